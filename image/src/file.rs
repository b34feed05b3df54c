//! The error of a file that cannot be read or written: every module's error carries this one.

use std::io;
use std::path::{Path, PathBuf};

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
