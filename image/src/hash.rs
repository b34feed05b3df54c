//! SHA-256 of files, trees and cache keys, as lower-case hexadecimal.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// How much is read at a time: large enough that system calls do not count, small enough for any stack of buffers.
pub const CHUNK_BYTES: usize = 1 << 20;

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Is this a digit of the hexadecimal numbers here?
pub fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// SHA-256 of bytes in memory.
pub fn bytes(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// SHA-256 and length in bytes of everything `reader` gives.
pub fn reader(mut reader: impl Read) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut length = 0;
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex(&hasher.finalize()), length));
        }
        hasher.update(&buffer[..n]);
        length += n as u64;
    }
}

/// SHA-256 and length in bytes of a file.
pub fn file(path: &Path) -> io::Result<(String, u64)> {
    reader(File::open(path)?)
}

/// SHA-256 of some byte ranges of a file, one after the other. A range beyond the end is an error.
pub fn ranges(file: &File, ranges: &[Range<u64>]) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
            file.read_exact_at(&mut buffer[..length], at)?;
            hasher.update(&buffer[..length]);
            at += length as u64;
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// A key made of named parts; any change of a name, a value or their order changes the key.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    /// An empty key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one part. Lengths are hashed too, so that parts cannot run into each other.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// The key as 64 hexadecimal digits.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Every path below `root` but `root` itself, sorted, relative; directories before what they hold.
pub fn walk(root: &Path) -> io::Result<Vec<PathBuf>> {
    fn descend(root: &Path, relative: &Path, out: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut names: Vec<_> = fs::read_dir(root.join(relative))?.collect::<Result<Vec<_>, _>>()?;
        names.sort_by_key(fs::DirEntry::file_name);
        for entry in names {
            let path = relative.join(entry.file_name());
            out.push(path.clone());
            if entry.file_type()?.is_dir() {
                descend(root, &path, out)?;
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    descend(root, Path::new(""), &mut out)?;
    Ok(out)
}

/// A key of everything in a tree that ends up in an image: names, kinds, the executable bit, contents. Owners, times and the
/// other permission bits do not count, since git does not keep them.
pub fn tree(root: &Path) -> io::Result<String> {
    let mut key = Key::new();
    for relative in walk(root)? {
        let path = root.join(&relative);
        let name = relative.to_string_lossy().into_owned();
        let metadata = fs::symlink_metadata(&path)?;
        key = if metadata.is_dir() {
            key.with("directory", name)
        } else if metadata.is_symlink() {
            key.with("link", name).with("to", fs::read_link(&path)?.to_string_lossy().as_bytes())
        } else {
            let kind = if metadata.permissions().mode() & 0o100 == 0 { "file" } else { "program" };
            key.with(kind, name).with("content", file(&path)?.0)
        };
    }
    Ok(key.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_match_the_published_test_vector() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        let one = Key::new().with("a", "bc").with("d", "").finish();
        let two = Key::new().with("a", "b").with("cd", "").finish();
        assert_ne!(one, two);
    }

    #[test]
    fn a_tree_changes_with_content_name_link_and_executable_bit_but_not_with_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "x").unwrap();
        let first = tree(dir.path()).unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(tree(dir.path()).unwrap(), first);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let executable = tree(dir.path()).unwrap();
        assert_ne!(executable, first);
        fs::write(&file, "y").unwrap();
        assert_ne!(tree(dir.path()).unwrap(), executable);
        std::os::unix::fs::symlink("f", dir.path().join("l")).unwrap();
        let linked = tree(dir.path()).unwrap();
        fs::remove_file(dir.path().join("l")).unwrap();
        std::os::unix::fs::symlink("g", dir.path().join("l")).unwrap();
        assert_ne!(tree(dir.path()).unwrap(), linked);
    }
}
