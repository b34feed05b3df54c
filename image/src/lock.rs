//! The lock file: exactly which packages an image is made of, by version and hash. It names no host.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::hash::is_lower_hex;

/// Format of the lock file.
const SCHEMA: u32 = 1;

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read.
    #[error("cannot read the lock file {path}")]
    Read {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the lock file {path}")]
    Write {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no lock file.
    #[error("{path} is not a lock file; make one with `sovereign-image lock`")]
    Parse {
        /// The lock file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It cannot be turned into text.
    #[error("cannot write the lock file as TOML")]
    Serialise(#[from] toml::ser::Error),
    /// An entry that cannot be right.
    #[error("{path}: package `{package}`: {problem}; make the lock file anew with `sovereign-image lock`")]
    Entry {
        /// The lock file.
        path: PathBuf,
        /// The package.
        package: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The lock file is for another edition.
    #[error("{path} locks the edition `{found}`, not `{wanted}`")]
    Edition {
        /// The lock file.
        path: PathBuf,
        /// The edition it is for.
        found: String,
        /// The edition that is built.
        wanted: String,
    },
    /// The edition wants a package that was not locked.
    #[error("{path} has no package `{package}`, which the edition asks for: lock again with `sovereign-image lock`")]
    Outdated {
        /// The lock file.
        path: PathBuf,
        /// The missing package.
        package: String,
    },
}

/// One package, to the bit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// `debian`, `debian-security` or `proxmox`.
    pub archive: String,
    /// Path inside the archive, such as `pool/main/b/bash/bash_5.2.37-2_amd64.deb`.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// All packages of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Format of this file.
    pub schema: u32,
    /// Edition it was made for.
    pub edition: String,
    /// Main suite.
    pub suite: String,
    /// Newest date of the archives' Release files, seconds since 1970: the date of everything made from this lock.
    pub epoch: u64,
    /// Packages, sorted by name.
    pub packages: Vec<Package>,
}

impl Lock {
    /// A lock of these packages.
    pub fn new(edition: &str, suite: &str, epoch: u64, mut packages: Vec<Package>) -> Self {
        packages.sort();
        Self { schema: SCHEMA, edition: edition.to_owned(), suite: suite.to_owned(), epoch, packages }
    }

    /// Reads and checks a lock file.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = fs::read_to_string(path).map_err(|source| LockError::Read { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Parses and checks a lock file; `path` is for errors. Entries become file names and addresses, so nothing in them may
    /// lead out of a folder or an archive.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let lock: Self =
            toml::from_str(text).map_err(|source| LockError::Parse { path: path.into(), source: Box::new(source) })?;
        for package in &lock.packages {
            let problem = if package.sha256.len() != 64 || !package.sha256.bytes().all(is_lower_hex) {
                "sha256 is not 64 lower-case hexadecimal digits"
            } else if package.path.starts_with('/')
                || package.path.split('/').any(|part| matches!(part, "" | "." | ".."))
            {
                "the path leads out of the archive"
            } else if Path::new(&package.path).extension().is_none_or(|extension| extension != "deb") {
                "the path is not that of a package"
            } else if package.size == 0 {
                "the size is zero"
            } else {
                continue;
            };
            return Err(LockError::Entry { path: path.into(), package: package.name.clone(), problem });
        }
        Ok(lock)
    }

    /// Is this the lock of this edition, with all it asks for?
    pub fn check_edition(&self, edition: &crate::edition::Edition, path: &Path) -> Result<(), LockError> {
        if self.edition != edition.name {
            return Err(LockError::Edition {
                path: path.into(),
                found: self.edition.clone(),
                wanted: edition.name.clone(),
            });
        }
        match edition.packages.keys().find(|name| !self.packages.iter().any(|p| p.name == **name)) {
            Some(package) => Err(LockError::Outdated { path: path.into(), package: package.clone() }),
            None => Ok(()),
        }
    }

    /// The lock as text.
    pub fn render(&self) -> Result<String, LockError> {
        let head =
            "# Made by `sovereign-image lock`: every package of the image by version and hash. Not to be edited.\n";
        Ok(format!("{head}{}", toml::to_string(self)?))
    }

    /// Writes the lock file.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let text = self.render()?;
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, text)
        };
        write().map_err(|source| LockError::Write { path: path.into(), source })
    }

    /// Bytes of all package files.
    pub fn total_bytes(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1:2-3".to_owned(),
            architecture: "amd64".to_owned(),
            archive: "debian".to_owned(),
            path: format!("pool/main/{name}_2-3_amd64.deb"),
            size: 7,
            sha256: "0".repeat(64),
        }
    }

    #[test]
    fn what_is_written_is_read_back_sorted() {
        let lock = Lock::new("rehearsal", "trixie", 1, vec![package("b"), package("a")]);
        let again = Lock::parse(&lock.render().unwrap(), Path::new("l")).unwrap();
        assert_eq!(again, lock);
        assert_eq!(again.packages[0].name, "a");
        assert_eq!(again.total_bytes(), 14);
    }

    #[test]
    fn entries_that_lead_elsewhere_are_refused() {
        let break_one = |change: fn(&mut Package)| {
            let mut wrong = package("a");
            change(&mut wrong);
            let text = Lock::new("rehearsal", "trixie", 1, vec![wrong]).render().unwrap();
            matches!(Lock::parse(&text, Path::new("l")), Err(LockError::Entry { package, .. }) if package == "a")
        };
        assert!(break_one(|p| p.path = "pool/../../etc/x.deb".to_owned()));
        assert!(break_one(|p| p.path = "/etc/x.deb".to_owned()));
        assert!(break_one(|p| p.path = "pool/x".to_owned()));
        assert!(break_one(|p| p.sha256 = "../x".to_owned()));
        assert!(break_one(|p| p.size = 0));
        assert!(!break_one(|_| ()));
    }

    #[test]
    fn a_lock_without_a_package_of_the_edition_says_lock_again() {
        let edition = crate::fixture::rehearsal();
        let lock = Lock::new("rehearsal", "trixie", 1, vec![package("a")]);
        let error = lock.check_edition(&edition, Path::new("l")).unwrap_err();
        assert!(error.to_string().contains("lock again"), "{error}");
        let other = Lock::new("proxmox", "trixie", 1, vec![]);
        assert!(matches!(other.check_edition(&edition, Path::new("l")), Err(LockError::Edition { .. })));
    }
}
