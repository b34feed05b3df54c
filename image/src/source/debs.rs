//! A folder of package files, indexed by us: nothing but their own control records is known about them.

use std::fs;
use std::path::{Path, PathBuf};

use super::iso::is_deb;
use super::pool::{self, Deb};
use super::{Description, Entry, PackageSource, SourceError};
use crate::cache::{Cache, Layer};
use crate::edition::{Edition, Proxmox};
use crate::file::At;
use crate::hash::{self, Key};
use crate::progress::Progress;
use crate::tool::{Call, Tool};

/// Changes whenever this file makes something else of the same packages.
const RECIPE: &str = "debs 1";

/// The folder's packages, in the cache.
pub struct DebFolder {
    description: Description,
    pool: Layer,
    preferences: String,
}

impl DebFolder {
    /// Reads every `.deb` file of the folder; other files and folders in it are left alone.
    pub fn open(
        path: &Path,
        edition: &Edition,
        proxmox: &Proxmox,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, SourceError> {
        let read = |source| SourceError::Read { path: path.into(), source };
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path).map_err(read)? {
            let file = entry.map_err(read)?.path();
            if is_deb(&file.to_string_lossy()) {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(SourceError::NoDebs { path: path.into() });
        }
        files.sort();
        let _task = progress.spin(&format!("reading {} packages", files.len()));
        let mut hashed = Vec::new();
        let mut key = Key::new().with("recipe", RECIPE).with("architecture", &edition.architecture);
        for file in files {
            let (sha256, size) =
                hash::file(&file).map_err(|source| SourceError::Read { path: file.clone(), source })?;
            key = key.with("package", &sha256);
            hashed.push((file, sha256, size));
        }
        let pool = cache.layer("debs", &key.finish(), |folder| -> Result<(), SourceError> {
            let mut debs = Vec::new();
            for (number, (origin, sha256, size)) in hashed.into_iter().enumerate() {
                let control = control(&origin)?;
                let file = folder.join(format!("{number}.partial"));
                fs::hard_link(&origin, &file).or_else(|_| fs::copy(&origin, &file).map(drop)).at(&file)?;
                debs.push(Deb { control, size, sha256, file, origin });
            }
            pool::write(folder, debs, &edition.architecture, &proxmox.suite)
        })?;
        let description = Description {
            kind: "a folder of packages".to_owned(),
            product: proxmox.product_name.clone(),
            release: None,
        };
        Ok(Self { description, pool, preferences: pool::preferences(proxmox) })
    }
}

impl PackageSource for DebFolder {
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

/// The control record of a package whose data is whole too: a file that is cut short has one nonetheless.
fn control(file: &Path) -> Result<String, SourceError> {
    let failed = |source| SourceError::Deb { path: file.into(), source: Box::new(source) };
    Call::new(Tool::DpkgDeb).arg("--contents").arg(file).run().map_err(failed)?;
    Call::new(Tool::DpkgDeb).arg("--field").arg(file).text().map_err(failed)
}
