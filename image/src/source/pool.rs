//! A folder of packages as an archive for APT: an index, and rules that leave Debian's packages to the Debian mirror.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Entry, SourceError};
use crate::edition::Proxmox;
use crate::file::At;
use crate::hash;

/// Label of the archive, which the preferences name.
const LABEL: &str = "Sovereign pool";

/// One package of the pool.
pub struct Deb {
    /// Control record: lines of fields, without those that say where the file is and what its hash is.
    pub control: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// The file, in the pool's folder.
    pub file: PathBuf,
    /// What errors call the file.
    pub origin: PathBuf,
}

impl Deb {
    fn field(&self, name: &'static str) -> Result<&str, SourceError> {
        field(&self.control, name).ok_or_else(|| SourceError::Field { path: self.origin.clone(), field: name })
    }

    /// The name Debian's archive would give the file; it has no epoch.
    fn name(&self) -> Result<String, SourceError> {
        let version = self.field("Version")?;
        let version = version.split_once(':').map_or(version, |(_, version)| version);
        let name = format!("{}_{version}_{}.deb", self.field("Package")?, self.field("Architecture")?);
        let fits = |c: char| c.is_ascii_alphanumeric() || "+-.~_".contains(c);
        if name.chars().all(fits) {
            Ok(name)
        } else {
            Err(SourceError::Field { path: self.origin.clone(), field: "Version" })
        }
    }
}

/// A field of a control record.
pub fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim).filter(|v| !v.is_empty())
}

/// Makes an archive of the packages in `folder`: gives each file its name, writes index and Release file. Two packages of one version
/// must be the same file, which is then there once.
pub fn write(folder: &Path, debs: Vec<Deb>, architecture: &str, suite: &str) -> Result<(), SourceError> {
    let mut named: BTreeMap<String, Deb> = BTreeMap::new();
    for deb in debs {
        let found = deb.field("Architecture")?;
        if found != architecture && found != "all" {
            let (found, wanted) = (found.to_owned(), architecture.to_owned());
            return Err(SourceError::Architecture { path: deb.origin, found, wanted });
        }
        let name = deb.name()?;
        match named.get(&name) {
            Some(other) if other.sha256 != deb.sha256 => {
                return Err(SourceError::Duplicate { first: other.origin.clone(), second: deb.origin });
            }
            Some(_) => fs::remove_file(&deb.file).at(&deb.file)?,
            None => drop(named.insert(name, deb)),
        }
    }
    let mut index = String::new();
    for (name, deb) in &named {
        let to = folder.join(name);
        fs::rename(&deb.file, &to).at(&to)?;
        // Writing to a String cannot fail.
        let _ = write!(
            index,
            "{}\nFilename: {name}\nSize: {}\nSHA256: {}\n\n",
            deb.control.trim_end(),
            deb.size,
            deb.sha256
        );
    }
    let release = format!(
        "Origin: Sovereign\nLabel: {LABEL}\nSuite: {suite}\nCodename: {suite}\nDate: Thu, 01 Jan 1970 00:00:00 UTC\n\
         Architectures: {architecture}\nSHA256:\n {} {} Packages\n",
        hash::bytes(index.as_bytes()),
        index.len(),
    );
    for (name, text) in [("Packages", index), ("Release", release)] {
        let path = folder.join(name);
        fs::write(&path, text).at(&path)?;
    }
    Ok(())
}

/// How APT is told about the pool in a folder of the cache.
pub fn entry(folder: &Path) -> Entry {
    Entry {
        uri: format!("copy:{}", folder.display()).trim_end_matches('/').to_owned(),
        suite: "/".to_owned(),
        component: String::new(),
        signed_by: None,
    }
}

/// Where a package is in the pool and on the Debian mirror, Debian's is taken, unless Proxmox rebuilt it.
pub fn preferences(proxmox: &Proxmox) -> String {
    let mut text = format!("Package: *\nPin: release l={LABEL}\nPin-Priority: 100\n");
    if !proxmox.rebuilt.is_empty() {
        // `Package: *` is not possible with versions: an expression that every name has.
        let _ = write!(text, "\nPackage: /./\nPin: version /({})/\nPin-Priority: 990\n", proxmox.rebuilt.join("|"));
    }
    text
}
