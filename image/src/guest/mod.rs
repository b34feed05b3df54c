//! What guests are made of: a base that all of them share (image/guest/base.toml), and roles (overlays/guest/<role>/).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sovereign_model::role::{Catalogue, CatalogueError, NATIVES_FOLDER, ROLE_FILE, WORKLOADS_FOLDER};

use crate::edition::{self, EditionError};
use crate::file::{At, FileError};
use crate::workload::{self, Locked};

mod generated;
pub mod layers;

/// Of a role's folder: files as they lie on the guest.
const ROLE_FILES: &str = "files";

/// Why roles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// A file cannot be read.
    #[error("cannot read the guests' roles")]
    File(#[from] FileError),
    /// The roles are wrong, or do not fit together.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// What every guest is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuestBase {
    /// The package that brings the kernel.
    pub kernel: String,
    /// What the release of that kernel looks like; `*` stands for anything.
    pub kernel_release: String,
    /// Path patterns dpkg does not unpack on guests, beside those of the edition.
    pub exclude: Vec<String>,
    /// Packages, each with its reason.
    pub packages: BTreeMap<String, String>,
}

impl GuestBase {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, EditionError> {
        let text = fs::read_to_string(path).map_err(|source| EditionError::Read { path: path.into(), source })?;
        let mut base: Self = toml::from_str(&text)
            .map_err(|source| EditionError::Parse { path: path.into(), source: Box::new(source) })?;
        edition::check_reasons(&base.packages, path)?;
        edition::check_kernel_release(&base.kernel_release, path)?;
        base.packages.entry(base.kernel.clone()).or_insert_with(|| "the kernel".to_owned());
        Ok(base)
    }
}

/// One role, as far as its layer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name, and that of its folder.
    pub name: String,
    /// Packages, each with its reason; those that the base has too are not installed twice.
    pub packages: BTreeMap<String, String>,
    /// Names of its workloads that are not on the image.
    left_out: Vec<String>,
    /// Folder of files as they lie on the guest, if it has any.
    files: Option<PathBuf>,
    /// Files made from role.toml: path relative to the root, and text.
    generated: Vec<(String, String)>,
}

impl Role {
    /// Names of workloads that are not on the image; none if there is nothing to say.
    pub fn left_out(&self) -> Option<String> {
        generated::list(&self.left_out)
    }
}

/// What the guests' part of the overlays says of roles and workloads: each folder that has a role.toml is a role.
pub fn catalogue(overlays: &Path) -> Result<Catalogue, RolesError> {
    let texts = texts(overlays)?;
    let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Ok(Catalogue::new(&texts)?)
}

/// The roles of the guests' part of the overlays, sorted by name, on an image that has these workloads.
pub fn roles(overlays: &Path, catalogue: &Catalogue, locked: &[Locked]) -> Vec<Role> {
    let mut left_out = workload::lock::left_out(catalogue, locked);
    let mut roles: Vec<Role> = catalogue
        .roles()
        .iter()
        .map(|role| (role, left_out.remove(role.name.as_str()).unwrap_or_default()))
        .map(|(role, left_out)| Role {
            name: role.name.to_string(),
            packages: role.packages.iter().map(|(name, why)| (name.to_string(), why.to_string())).collect(),
            files: Some(overlays.join(role.name.as_str()).join(ROLE_FILES)).filter(|folder| folder.is_dir()),
            generated: generated::files(role, catalogue, &left_out),
            left_out,
        })
        .collect();
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    roles
}

/// The files of roles, workloads and natives, each with its path, sorted by path.
fn texts(overlays: &Path) -> Result<Vec<(String, String)>, FileError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(overlays).at(overlays)? {
        let role = entry.at(overlays)?.path();
        files.extend(Some(role.join(ROLE_FILE)).filter(|file| file.is_file()));
        for kind in [WORKLOADS_FOLDER, NATIVES_FOLDER] {
            walk(&role.join(kind), &mut files)?;
        }
    }
    files.sort();
    files.iter().map(|file| Ok((file.display().to_string(), fs::read_to_string(file).at(file)?))).collect()
}

/// Adds every file below `folder`, if it is there.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FileError> {
    if folder.is_dir() {
        for entry in fs::read_dir(folder).at(folder)? {
            let path = entry.at(folder)?.path();
            if path.is_dir() { walk(&path, files)? } else { files.push(path) }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_with_a_role_file_is_a_role() {
        let overlays = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/guest");
        let roles = super::roles(&overlays, &catalogue(&overlays).unwrap(), &[]);
        assert_eq!(roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["core", "edge", "storage"]);
        let storage = &roles[2];
        assert!(storage.packages.contains_key("postgresql") && storage.left_out() == Some("nextcloud".to_owned()));
        assert!(storage.files.is_some());

        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("base")).unwrap();
        for name in ["core", "edge", "storage", "fourth"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            let text = fs::read_to_string(overlays.join(if name == "fourth" { "edge" } else { name }).join(ROLE_FILE));
            let mut text = text.unwrap();
            if name == "fourth" {
                text = text
                    .replace("name = \"edge\"", "name = \"fourth\"")
                    .replace("9001", "9004")
                    .replace("101", "104")
                    .replace("order = 3", "order = 4")
                    .replace("forward = \"core\"\n", "")
                    .replace("[\"traefik\"]", "[]");
            }
            let mut files = Vec::new();
            walk(&overlays.join(name).join(WORKLOADS_FOLDER), &mut files).unwrap();
            walk(&overlays.join(name).join(NATIVES_FOLDER), &mut files).unwrap();
            for file in files {
                let copy = dir.path().join(file.strip_prefix(&overlays).unwrap());
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::copy(&file, copy).unwrap();
            }
            fs::write(dir.path().join(name).join(ROLE_FILE), text).unwrap();
        }
        let catalogue = super::catalogue(dir.path()).unwrap_or_else(|error| panic!("{error}"));
        let roles = super::roles(dir.path(), &catalogue, &[]);
        assert_eq!(
            roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(),
            ["core", "edge", "fourth", "storage"]
        );
        fs::write(dir.path().join("fourth").join(ROLE_FILE), "name = \"fourth\"\ncolour = 1\n").unwrap();
        let error = super::catalogue(dir.path()).unwrap_err().to_string();
        assert!(error.contains("fourth/role.toml:2:1"), "{error}");
    }
}
