//! Opening what a person named; and the error of a file that cannot be read or written: every module's error carries
//! this one.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Opens what may turn out to be anything, for reading. A pipe that nobody writes to does not keep it waiting; what was
/// opened must be looked at before it is read.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    File::options().read(true).custom_flags(flags).open(path)
}

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot read or write {path}")]
pub struct FileError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Names the file an error is about.
pub trait At<T> {
    /// The value, or an error that names `path`.
    fn at(self, path: impl AsRef<Path>) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: impl AsRef<Path>) -> Result<T, FileError> {
        self.map_err(|source| FileError { path: path.as_ref().into(), source })
    }
}
