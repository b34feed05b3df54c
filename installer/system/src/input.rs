//! Reading files that people name: regular files only, and no more than a limit. A pipe, a device or an endless file holds nothing up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system refuses.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Something else than a file has this name.
    #[error("{} is {what}, and only regular files are read: save what it yields to a file, and name that", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
        /// What it is: `a folder`.
        what: &'static str,
    },
    /// It does not end in time.
    #[error("{} is larger than {limit} bytes, the most that is read of such a file: is it the right one?", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Bytes.
        limit: u64,
    },
}

/// The bytes of a regular file, `limit` at most. Symbolic links are followed.
///
/// # Errors
/// [`InputError`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, InputError> {
    let failed = |source| InputError::Read { path: path.to_owned(), source };
    // Asked before it is opened: opening some devices does something. And again after, for it may have been replaced.
    check(path, &fs::metadata(path).map_err(failed)?)?;
    let file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check(path, &metadata)?;
    let too_large = || InputError::TooLarge { path: path.to_owned(), limit };
    if metadata.len() > limit {
        return Err(too_large());
    }
    // All at once: what is a secret leaves no copies behind in memory. A file of /proc says that it is empty.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len() + 1).unwrap_or_default());
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Opens without waiting for whoever writes into a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.union(OFlags::NOCTTY).bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), InputError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(InputError::NotAFile { path: path.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn files_are_read_up_to_the_limit_also_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "12345").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, 5).unwrap(), b"12345");
        assert!(matches!(read(&link, 4), Err(InputError::TooLarge { limit: 4, .. })));
        // It says that it has no bytes.
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
        assert!(matches!(read(Path::new("/proc/self/status"), 8), Err(InputError::TooLarge { .. })));
        assert!(matches!(read(&dir.path().join("none"), 9), Err(InputError::Read { .. })));
    }

    #[test]
    fn pipes_devices_and_folders_are_refused_at_once_by_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, wanted) in
            [(pipe.as_path(), "a pipe"), (Path::new("/dev/zero"), "a device"), (dir.path(), "a folder")]
        {
            let error = read(path, 1 << 30).unwrap_err();
            assert!(matches!(error, InputError::NotAFile { what, .. } if what == wanted), "{error}");
        }
    }
}
