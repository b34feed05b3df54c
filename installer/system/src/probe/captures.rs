//! Raw captures: a map from relative path to text, and the folder it is saved to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use super::{INVENTORY_FILE, ProbeError};
use crate::input;

/// Where the remarks are, one a line.
pub(super) const REMARKS: &str = "remarks.txt";
/// Folders deeper than this are not looked into: the captures need five levels (`sys/class/net/NAME/device/driver`).
const MAX_DEPTH: usize = 12;
/// Longer files are no captures.
const MAX_BYTES: u64 = 16 << 20;

/// What was read from a machine, as text, by a path like the one it was read from (`proc/meminfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    files: BTreeMap<String, String>,
}

impl Captures {
    /// The text of a capture, where it was taken.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Adds a capture, or puts it in the place of an earlier one.
    pub fn insert(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.files.insert(path.into(), text.into());
    }

    /// All captures, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// What could not be captured and why, one sentence each: a tool that is missing, a disk that cannot be read.
    pub fn remarks(&self) -> impl Iterator<Item = &str> {
        self.get(REMARKS).unwrap_or_default().lines().filter(|line| !line.trim().is_empty())
    }

    pub(super) fn remark(&mut self, sentence: &str) {
        let remarks = self.files.entry(REMARKS.to_owned()).or_default();
        // One line each, whatever a tool printed.
        remarks.push_str(&sentence.split_whitespace().collect::<Vec<_>>().join(" "));
        remarks.push('\n');
    }

    /// Writes each capture to its path below `dir`. Makes the folders.
    ///
    /// # Errors
    /// [`ProbeError::Write`]; [`ProbeError::Path`] for a path that leaves `dir`.
    pub fn save(&self, dir: &Path) -> Result<(), ProbeError> {
        for (name, text) in self.iter() {
            if name.is_empty() || !Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
                return Err(ProbeError::Path { capture: name.to_owned() });
            }
            let path = dir.join(name);
            let write = |source| ProbeError::Write { path: path.clone(), source };
            fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(write)?;
            fs::write(&path, text).map_err(write)?;
        }
        Ok(())
    }

    /// Reads every file below `dir` but `inventory.json`, which is made from them. Symbolic links are not followed; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// [`ProbeError::Read`], and [`ProbeError::Input`] for a file above 16 MiB.
    pub fn load(dir: &Path) -> Result<Self, ProbeError> {
        let mut captures = Self::default();
        captures.load_below(dir, "", 0)?;
        Ok(captures)
    }

    fn load_below(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<(), ProbeError> {
        let read = |path: &Path, source| ProbeError::Read { path: path.to_owned(), source };
        for entry in fs::read_dir(dir).map_err(|e| read(dir, e))? {
            let entry = entry.map_err(|e| read(dir, e))?;
            let path = entry.path();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            // Of the entry itself, not of what a symbolic link points to.
            let meta = entry.metadata().map_err(|e| read(&path, e))?;
            if meta.is_dir() && depth < MAX_DEPTH {
                self.load_below(&path, &format!("{name}/"), depth + 1)?;
            } else if meta.is_file() && name != INVENTORY_FILE {
                let bytes = input::read(&path, MAX_BYTES)?;
                self.insert(name, String::from_utf8_lossy(&bytes));
            }
        }
        Ok(())
    }
}
