//! The package pool of an official Proxmox VE ISO.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::pool::{self, Deb, field};
use super::{Description, Entry, PackageSource, SourceError};
use crate::cache::{Cache, Layer};
use crate::edition::{Edition, Proxmox};
use crate::file::At;
use crate::hash::{self, Key};
use crate::iso9660::{self, Iso, IsoReadError};
use crate::progress::Progress;
use crate::tool::{Call, Tool};

/// Changes whenever this file makes something else of the same ISO.
const RECIPE: &str = "iso 1";
/// What the ISO says about itself, in lines of shell assignments.
const CD_INFO: &str = ".cd-info";
/// The same, where Debian's tools look for it.
const DISK_INFO: &str = ".disk/info";
/// Folder of the packages.
const PACKAGES: &str = "proxmox/packages/";

/// The ISO, unpacked into the cache.
pub struct ProxmoxIso {
    description: Description,
    pool: Layer,
    preferences: String,
}

impl ProxmoxIso {
    /// Checks the ISO and unpacks its packages, each compared with the ISO's own index.
    pub fn open(
        path: &Path,
        edition: &Edition,
        proxmox: &Proxmox,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, SourceError> {
        let not_ours = |problem: String| SourceError::NotProxmoxIso { path: path.into(), problem };
        let damaged = |source| SourceError::Iso { path: path.into(), source };
        let unreadable = |source| SourceError::Read { path: path.into(), source };
        let iso = Iso::open(path).map_err(|error| match error {
            IsoReadError::Open { source, .. } | IsoReadError::Read { source, .. } => unreadable(source),
            IsoReadError::Kind { .. } => unreadable(io::Error::other("it is neither a file nor a block device")),
            IsoReadError::NotIso { .. } => not_ours("it has no ISO 9660 file system".to_owned()),
            other => damaged(other),
        })?;
        let text = |name: &str| {
            let entry = iso.find(name).ok_or_else(|| not_ours(format!("it has no /{name}")))?;
            Ok::<_, SourceError>(String::from_utf8_lossy(&iso.content(entry).map_err(damaged)?).into_owned())
        };
        let info = assignments(&text(CD_INFO)?);
        text(DISK_INFO)?;
        let value =
            |key: &str| info.get(key).cloned().ok_or_else(|| not_ours(format!("/{CD_INFO} does not say {key}")));
        let product = value("PRODUCT")?;
        if product != proxmox.product {
            let found = info.get("PRODUCTLONG").cloned().unwrap_or(product);
            return Err(SourceError::WrongProduct { path: path.into(), found, wanted: proxmox.product_name.clone() });
        }
        let release = value("RELEASE")?;
        if release.split('.').next() != Some(&proxmox.release) {
            let (found, wanted) = (release, proxmox.release.clone());
            return Err(SourceError::WrongRelease { path: path.into(), found, wanted });
        }
        let release = info.get("ISORELEASE").map_or(release.clone(), |build| format!("{release}-{build}"));
        let packages: Vec<&iso9660::Entry> =
            iso.entries.iter().filter(|entry| entry.path.starts_with(PACKAGES) && is_deb(&entry.path)).collect();
        if packages.is_empty() {
            return Err(not_ours(format!("there are no packages in /{PACKAGES}")));
        }
        let records = index(&iso, path, proxmox, &edition.architecture, cache)?;

        // Lengths and hashes of the signed-for files, and where they are: another ISO has another key.
        let mut key = Key::new().with("recipe", RECIPE).with("architecture", &edition.architecture);
        for (sha256, record) in &records {
            key = key.with(sha256, &record.control);
        }
        for package in &packages {
            key = key.with(&package.path, format!("{} {}", package.offset, package.size));
        }
        let total = packages.iter().map(|package| package.size).sum();
        let pool = cache.layer("iso", &key.finish(), |folder| -> Result<(), SourceError> {
            let task = progress.bytes(&format!("unpacking {} packages of the ISO", packages.len()), total);
            let mut debs = Vec::new();
            for (number, package) in packages.iter().enumerate() {
                let file = folder.join(format!("{number}.partial"));
                let mut out = File::create(&file).at(&file)?;
                let mut piece = iso.piece(package.offset, package.size).map_err(damaged)?;
                io::copy(&mut piece, &mut out).at(&file)?;
                drop(out);
                let (found, size) = hash::file(&file).at(&file)?;
                let Some(record) = records.get(&found) else {
                    let wanted = wanted(&records, &package.path).unwrap_or("nothing about it");
                    return Err(SourceError::PackageMismatch {
                        path: path.into(),
                        package: package.path.clone(),
                        found,
                        wanted: wanted.to_owned(),
                    });
                };
                let origin = PathBuf::from(format!("{}:/{}", path.display(), package.path));
                debs.push(Deb { control: record.control.clone(), size, sha256: found, file, origin });
                task.add(package.size);
            }
            pool::write(folder, debs, &edition.architecture, &proxmox.suite)
        })?;
        let description =
            Description { kind: "an ISO".to_owned(), product: proxmox.product_name.clone(), release: Some(release) };
        Ok(Self { description, pool, preferences: pool::preferences(proxmox) })
    }
}

impl PackageSource for ProxmoxIso {
    fn description(&self) -> &Description {
        &self.description
    }

    fn entry(&self) -> Entry {
        pool::entry(&self.pool.path(""))
    }

    fn preferences(&self) -> String {
        self.preferences.clone()
    }
}

/// Is this the name of a package?
pub fn is_deb(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "deb")
}

/// A record of the ISO's package index.
struct Record {
    /// The fields but those that say where the file is and what its hash is.
    control: String,
    /// Name of the file, without folders.
    file: String,
}

/// Records of the ISO's package index by SHA-256.
fn index(
    iso: &Iso,
    path: &Path,
    proxmox: &Proxmox,
    architecture: &str,
    cache: &Cache,
) -> Result<BTreeMap<String, Record>, SourceError> {
    let damaged = |source| SourceError::Iso { path: path.into(), source };
    let name = format!("dists/{}/{}/binary-{architecture}/Packages", proxmox.suite, proxmox.product);
    let text = match (iso.find(&name), iso.find(&format!("{name}.gz"))) {
        (Some(entry), _) => iso.content(entry).map_err(damaged)?,
        (None, Some(entry)) => {
            let scratch = cache.scratch()?;
            let packed = scratch.path().join("Packages.gz");
            fs::write(&packed, iso.content(entry).map_err(damaged)?).at(&packed)?;
            Call::new(Tool::Gzip).args(["--decompress", "--stdout"]).arg(&packed).run()?.stdout
        }
        (None, None) => {
            let problem = format!("it has no package index /{name}, so that its packages cannot be checked");
            return Err(SourceError::NotProxmoxIso { path: path.into(), problem });
        }
    };
    Ok(records(&String::from_utf8_lossy(&text)))
}

/// The same of the text of an index.
fn records(text: &str) -> BTreeMap<String, Record> {
    const PLACE: [&str; 6] = ["Filename:", "Size:", "MD5sum:", "SHA1:", "SHA256:", "SHA512:"];
    let split = text.split("\n\n").filter_map(|record| {
        let sha256 = field(record, "SHA256")?.to_owned();
        let lines = record.lines().filter(|line| !PLACE.iter().any(|field| line.starts_with(field)));
        let control = lines.flat_map(|line| [line, "\n"]).collect::<String>().trim().to_owned();
        let file = field(record, "Filename").and_then(|name| name.rsplit('/').next()).unwrap_or_default().to_owned();
        Some((sha256, Record { control, file }))
    });
    split.collect()
}

/// What the index says a file should be.
fn wanted<'a>(records: &'a BTreeMap<String, Record>, path: &str) -> Option<&'a str> {
    let name = path.rsplit('/').next()?;
    records.iter().find(|(_, record)| record.file == name).map(|(sha256, _)| sha256.as_str())
}

/// Lines of the form `KEY='value'`, quoted in either way or not at all.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.trim_matches(['\'', '"']).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_iso_says_about_itself() {
        // proxmox-ve_9.2-1.iso
        let info = assignments(
            "RELEASE='9.2'\nISORELEASE='1'\nISONAME='proxmox-ve'\nPRODUCT='pve'\nPRODUCTLONG='Proxmox VE'\n",
        );
        assert_eq!(info["RELEASE"], "9.2");
        assert_eq!(info["PRODUCTLONG"], "Proxmox VE");
    }

    #[test]
    fn records_of_an_index_by_hash() {
        let records = records(
            "Package: a\nVersion: 1\nFilename: pool/a_1_all.deb\nSize: 3\nSHA256: 12\nDescription: x\n y\n\nPackage: b\nSHA256: 34\n",
        );
        assert_eq!(records["12"].control, "Package: a\nVersion: 1\nDescription: x\n y");
        assert_eq!(wanted(&records, "proxmox/packages/a_1_all.deb"), Some("12"));
        assert_eq!(records.len(), 2);
    }
}
