//! `sovereign-image verify`: is every byte of a medium what the builder wrote?

use std::io::Read;
use std::path::Path;

use sovereign_model::medium::{EMBEDDED_SITE_PATH, MANIFEST_PATH, Manifest, MediumFile};

use crate::boot;
use crate::hash;
use crate::inspect::{self, InspectError};
use crate::iso::{CATALOGUE_PATH, ELTORITO_PATH};
use crate::iso9660::{Entry, Iso, IsoReadError};
use crate::progress::{Progress, Task};

/// Why a medium must not be used.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read, or is none of ours.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Something on it is not what was built.
    #[error(
        "{path} is damaged or was altered; do not install from it, copy or download it again:\n  {}",
        .problems.join("\n  ")
    )]
    Damaged {
        /// The image.
        path: String,
        /// Every difference found.
        problems: Vec<String>,
    },
}

impl From<IsoReadError> for VerifyError {
    fn from(error: IsoReadError) -> Self {
        Self::Inspect(error.into())
    }
}

/// Compares all files of a medium with its manifest, and its boot images with what was written down about them. Gives the bytes
/// that were read.
pub fn verify(path: &Path, progress: &Progress) -> Result<u64, VerifyError> {
    let (iso, manifest) = inspect::open(path)?;
    let mut problems = structure(&iso.entries, &manifest);
    let total = manifest.files.iter().map(|file| file.size.get()).sum();
    let task = progress.bytes("checking the medium", total);
    for file in &manifest.files {
        if let Some(entry) = iso.find(&file.path).filter(|entry| entry.size == file.size.get()) {
            problems.extend(content(&iso, entry, file, &task)?);
        }
    }
    drop(task);
    problems.extend(boot::examine(path, &iso)?.problems);
    if problems.is_empty() {
        return Ok(total);
    }
    Err(VerifyError::Damaged { path: path.display().to_string(), problems })
}

/// Missing files, files of another length, and files nobody knows.
fn structure(entries: &[Entry], manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    for file in &manifest.files {
        match entries.iter().find(|entry| entry.path == file.path) {
            None => problems.push(format!("{} is missing", file.path)),
            Some(entry) if entry.size != file.size.get() => {
                problems.push(format!("{} has {} bytes, the manifest says {}", file.path, entry.size, file.size.get()));
            }
            Some(_) => (),
        }
    }
    let known = [MANIFEST_PATH, EMBEDDED_SITE_PATH, ELTORITO_PATH, CATALOGUE_PATH];
    for entry in entries {
        if !known.contains(&entry.path.as_str()) && !manifest.files.iter().any(|file| file.path == entry.path) {
            problems.push(format!("{} is not in the manifest", entry.path));
        }
    }
    problems
}

fn content(iso: &Iso, entry: &Entry, file: &MediumFile, task: &Task<'_>) -> Result<Option<String>, IsoReadError> {
    let reader = Counted { inner: iso.piece(entry.offset, entry.size)?, task };
    Ok(match hash::reader(reader) {
        Ok((found, _)) if found == file.sha256 => None,
        Ok((found, _)) => Some(format!("{} has SHA-256 {found}, the manifest says {}", file.path, file.sha256)),
        Err(error) => Some(format!("{} cannot be read: {error}", file.path)),
    })
}

/// Tells the progress bar what goes through.
struct Counted<'t, R> {
    inner: R,
    task: &'t Task<'t>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.task.add(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_model::Bytes;

    fn manifest(files: &[(&str, u64)]) -> Manifest {
        Manifest {
            schema: 1,
            version: "1".to_owned(),
            edition: "e".to_owned(),
            edition_label: "l".to_owned(),
            build_id: String::new(),
            epoch: 0,
            suite: "s".to_owned(),
            kernel: "k".to_owned(),
            unpacked: Bytes(0),
            files: files
                .iter()
                .map(|(path, size)| MediumFile { path: (*path).to_owned(), size: Bytes(*size), sha256: String::new() })
                .collect(),
        }
    }

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.to_owned(), offset: 0, size }
    }

    #[test]
    fn missing_longer_and_foreign_files_are_named() {
        let entries = [entry("b", 3), entry("foreign", 1), entry(MANIFEST_PATH, 9), entry(EMBEDDED_SITE_PATH, 9)];
        assert_eq!(
            structure(&entries, &manifest(&[("a", 1), ("b", 2)])),
            ["a is missing", "b has 3 bytes, the manifest says 2", "foreign is not in the manifest"]
        );
    }
}
