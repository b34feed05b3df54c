//! The lock file: exactly which packages and workloads' images an image is made of, by version and hash. It names no mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::guest::Role;
use crate::hash::is_lower_hex;
use crate::workload::Locked;

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
    /// The edition or a role wants a package that was not locked.
    #[error("{path} has no package `{package}`, which {layer} asks for: lock again with `sovereign-image lock`")]
    Outdated {
        /// The lock file.
        path: PathBuf,
        /// The missing package.
        package: String,
        /// What wants it.
        layer: String,
    },
    /// The lock is for other guests.
    #[error("{path} locks guests of the roles {found}, wanted are {wanted}: lock again with `sovereign-image lock`")]
    Roles {
        /// The lock file.
        path: PathBuf,
        /// Roles it is for.
        found: String,
        /// Roles of the overlays.
        wanted: String,
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

/// Packages of the guests. Which root file system a package is in matters: APT resolves each of them for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestPackages {
    /// What every guest has, sorted by name.
    pub base: Vec<Package>,
    /// What a role has beyond that, by role, sorted by name.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<Package>>,
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
    /// Packages of the machine itself, sorted by name.
    pub packages: Vec<Package>,
    /// Packages of its guests, where the edition has them on the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests: Option<GuestPackages>,
    /// Images of the workloads on the medium, sorted by role and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Locked>,
}

impl Lock {
    /// A lock of these packages, for an image without guests.
    pub fn new(edition: &str, suite: &str, epoch: u64, mut packages: Vec<Package>) -> Self {
        packages.sort();
        let (edition, suite) = (edition.to_owned(), suite.to_owned());
        Self { schema: SCHEMA, edition, suite, epoch, packages, guests: None, workloads: Vec::new() }
    }

    /// The same with guests.
    #[must_use]
    pub fn with_guests(self, mut guests: GuestPackages) -> Self {
        guests.base.sort();
        guests.roles.values_mut().for_each(|packages| packages.sort());
        Self { guests: Some(guests), ..self }
    }

    /// Layers by the names they have in the bill of materials (`host`, `guest`, `guest-<role>`), each with its packages.
    pub fn layers(&self) -> impl Iterator<Item = (String, &[Package])> {
        let base = self.guests.iter().map(|guests| ("guest".to_owned(), guests.base.as_slice()));
        let roles = self.guests.iter().flat_map(|guests| &guests.roles);
        let roles = roles.map(|(role, packages)| (format!("guest-{role}"), packages.as_slice()));
        std::iter::once(("host".to_owned(), self.packages.as_slice())).chain(base).chain(roles)
    }

    /// Every package once, however many layers it is in; sorted.
    pub fn all(&self) -> BTreeSet<&Package> {
        self.layers().flat_map(|(_, packages)| packages).collect()
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
        for package in lock.all() {
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

    /// Is this the lock of this edition and these roles, with all they ask for?
    pub fn check_edition(
        &self,
        edition: &crate::edition::Edition,
        roles: &[Role],
        path: &Path,
    ) -> Result<(), LockError> {
        if self.edition != edition.name {
            return Err(LockError::Edition {
                path: path.into(),
                found: self.edition.clone(),
                wanted: edition.name.clone(),
            });
        }
        let has_all = |layer: &str, wanted: &BTreeMap<String, String>, locked: &[&[Package]]| {
            let is_locked = |name: &String| locked.iter().any(|packages| packages.iter().any(|p| p.name == *name));
            match wanted.keys().find(|name| !is_locked(name)) {
                Some(package) => {
                    let (package, layer) = (package.clone(), layer.to_owned());
                    Err(LockError::Outdated { path: path.into(), package, layer })
                }
                None => Ok(()),
            }
        };
        has_all("the edition", &edition.packages, &[&self.packages])?;
        let Some(wanted) = &edition.guests else { return Ok(()) };
        let none = GuestPackages { base: Vec::new(), roles: BTreeMap::new() };
        let locked = self.guests.as_ref().unwrap_or(&none);
        has_all("every guest", &wanted.packages, &[&locked.base])?;
        if !locked.roles.keys().eq(roles.iter().map(|role| &role.name)) {
            let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(LockError::Roles {
                path: path.into(),
                found: list(locked.roles.keys().map(String::as_str).collect()),
                wanted: list(roles.iter().map(|role| role.name.as_str()).collect()),
            });
        }
        for (role, packages) in roles.iter().zip(locked.roles.values()) {
            has_all(&format!("the role {}", role.name), &role.packages, &[&locked.base, packages])?;
        }
        Ok(())
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

    /// Bytes of all package files, each counted once.
    pub fn total_bytes(&self) -> u64 {
        self.all().iter().map(|package| package.size).sum()
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
        let error = lock.check_edition(&edition, &[], Path::new("l")).unwrap_err();
        assert!(error.to_string().contains("lock again"), "{error}");
        let other = Lock::new("proxmox", "trixie", 1, vec![]);
        assert!(matches!(other.check_edition(&edition, &[], Path::new("l")), Err(LockError::Edition { .. })));
    }

    /// A lock of all that the edition, its guests and these roles ask for.
    fn whole(edition: &crate::edition::Edition, roles: &[Role]) -> Lock {
        let all = |packages: &BTreeMap<String, String>| packages.keys().map(|name| package(name)).collect::<Vec<_>>();
        let guests = GuestPackages {
            base: all(&edition.guests.as_ref().unwrap().packages),
            roles: roles.iter().map(|role| (role.name.clone(), all(&role.packages))).collect(),
        };
        Lock::new("rehearsal", "trixie", 1, all(&edition.packages)).with_guests(guests)
    }

    #[test]
    fn a_lock_has_what_each_layer_asks_for() {
        let edition = crate::fixture::rehearsal();
        let overlays = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/guest");
        let catalogue = crate::guest::catalogue(&overlays).unwrap();
        let roles = crate::guest::roles(&overlays, &catalogue, &[]);
        let check = |lock: &Lock| lock.check_edition(&edition, &roles, Path::new("l")).map_err(|e| e.to_string());
        let lock = whole(&edition, &roles);
        assert_eq!(check(&lock), Ok(()));
        assert_eq!(check(&Lock::parse(&lock.render().unwrap(), Path::new("l")).unwrap()), Ok(()));

        let without = |change: fn(&mut GuestPackages)| {
            let mut guests = lock.guests.clone().unwrap();
            change(&mut guests);
            check(&lock.clone().with_guests(guests)).unwrap_err()
        };
        let said = without(|guests| guests.base.retain(|package| package.name != "cloud-init"));
        assert!(said.contains("`cloud-init`, which every guest asks for"), "{said}");
        let said = without(|guests| guests.roles.get_mut("storage").unwrap().clear());
        assert!(said.contains("`postgresql`, which the role storage asks for"), "{said}");
        let said = without(|guests| drop(guests.roles.remove("edge")));
        assert!(said.contains("core, storage, wanted are core, edge, storage"), "{said}");
        let said = check(&Lock { guests: None, ..lock.clone() }).unwrap_err();
        assert!(said.contains("which every guest asks for"), "{said}");
    }

    #[test]
    fn a_package_of_two_layers_is_one() {
        let guests = GuestPackages {
            base: vec![package("b"), package("a")],
            roles: [("edge".to_owned(), vec![package("c")])].into(),
        };
        let lock = Lock::new("e", "s", 1, vec![package("a")]).with_guests(guests);
        assert_eq!(lock.all().iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(lock.total_bytes(), 21);
        let layers: Vec<String> =
            lock.layers().map(|(layer, packages)| format!("{layer} {}", packages.len())).collect();
        assert_eq!(layers, ["host 1", "guest 2", "guest-edge 1"]);
    }
}
