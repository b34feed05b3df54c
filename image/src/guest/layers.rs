//! The layers guests are installed from: the base, and for each role what its packages and files add to the base.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sovereign_model::Bytes;
use sovereign_model::medium::{GUEST_PATH, GuestRole, Guests, MediumWorkload, guest_role_path};

use crate::cache::{Cache, CacheError};
use crate::edition::Edition;
use crate::fetch::Supply;
use crate::file::{At, FileError};
use crate::guest::{GuestBase, Role};
use crate::lock::GuestPackages;
use crate::overlay;
use crate::progress::Progress;
use crate::root::{Kernel, Made, Root, RootError};

/// Changes whenever this file makes something else of the same inputs.
const RECIPE: &str = "guest 1";

/// Why there are no guest layers.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file cannot be read or written.
    #[error("cannot prepare the guests' layers")]
    File(#[from] FileError),
    /// Packages cannot be installed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What guests are made of.
pub struct Inputs<'a> {
    /// The edition; its suites and path rules are the guests' too.
    pub edition: &'a Edition,
    /// What every guest is made of.
    pub base: &'a GuestBase,
    /// Main suite.
    pub suite: &'a str,
    /// The roles.
    pub roles: &'a [Role],
    /// The packages.
    pub packages: &'a GuestPackages,
    /// The guests' part of the overlays.
    pub overlays: &'a Path,
    /// Date of everything, seconds since 1970.
    pub epoch: u64,
}

/// The layers, in the cache.
pub struct Layers {
    /// What every guest has.
    base: Made,
    /// What roles add to it, by name.
    roles: BTreeMap<String, Made>,
}

impl Layers {
    /// Names of the layers: they stand for what is in them.
    pub fn names(&self) -> Vec<String> {
        std::iter::once(&self.base).chain(self.roles.values()).map(|made| made.layer.name()).collect()
    }

    /// Where each image goes on the medium.
    pub fn files(&self) -> Vec<(String, &Path)> {
        let roles = self.roles.iter().map(|(role, made)| (guest_role_path(role), made.image.as_path()));
        std::iter::once((GUEST_PATH.to_owned(), self.base.image.as_path())).chain(roles).collect()
    }

    /// What the manifest says about them, and about the workloads that guests are to run.
    pub fn describe(&self, workloads: Vec<MediumWorkload>) -> Guests {
        let role =
            |(name, made): (&String, &Made)| GuestRole { name: name.clone(), unpacked: Bytes(made.unpacked_bytes) };
        Guests {
            kernel: self.base.kernel.clone().unwrap_or_default(),
            unpacked: Bytes(self.base.unpacked_bytes),
            roles: self.roles.iter().map(role).collect(),
            workloads,
        }
    }
}

/// The layers, from the cache if they are there.
pub fn layers(
    inputs: &Inputs<'_>,
    cache: &Cache,
    supply: &Supply<'_>,
    progress: &Progress,
) -> Result<Layers, GuestError> {
    let files = folder(cache)?;
    let overlay = inputs.overlays.join("base");
    overlay::copy_tree(&overlay, files.path()).at(&overlay)?;
    let early = early(files.path(), cache)?;
    let exclude = [inputs.edition.exclude.as_slice(), &inputs.base.exclude].concat();
    let root = Root {
        kind: "guest",
        architecture: &inputs.edition.architecture,
        exclude: &exclude,
        include: &inputs.edition.include,
        suite: inputs.suite,
        packages: &inputs.packages.base,
        below: None,
        // Before the packages, since the initramfs is made with some of it; at the end, since they may have written over it.
        prepared: early.path(),
        laid: Some(files.path()),
        kernel: Kernel::Inside(&inputs.base.kernel_release),
        epoch: inputs.epoch,
    };
    let nothing_more = |_: &Path, _: &Path| Ok::<(), GuestError>(());
    let base = root.make(RECIPE, cache, supply, progress, nothing_more)?;
    let mut roles = BTreeMap::new();
    for role in inputs.roles {
        let files = folder(cache)?;
        if let Some(folder) = &role.files {
            overlay::copy_tree(folder, files.path()).at(folder)?;
        }
        for (path, text) in &role.generated {
            overlay::add_text(files.path(), path, text).at(path)?;
        }
        let early = self::early(files.path(), cache)?;
        let root = Root {
            kind: &format!("guest-{}", role.name),
            packages: inputs.packages.roles.get(&role.name).map_or(&[][..], Vec::as_slice),
            below: Some(&base),
            prepared: early.path(),
            laid: Some(files.path()),
            kernel: Kernel::Below,
            ..root
        };
        roles.insert(role.name.clone(), root.make(RECIPE, cache, supply, progress, nothing_more)?);
    }
    Ok(Layers { base, roles })
}

/// Of these files those that are there before the first package is: all but APT's own configuration, which is meant for the guest and
/// would be read by the APT that installs its packages.
fn early(files: &Path, cache: &Cache) -> Result<tempfile::TempDir, GuestError> {
    let early = folder(cache)?;
    overlay::copy_tree(files, early.path()).at(files)?;
    let apt = early.path().join("etc/apt");
    if apt.is_dir() {
        fs::remove_dir_all(&apt).at(&apt)?;
    }
    Ok(early)
}

/// A folder for files that hooks of other users read.
fn folder(cache: &Cache) -> Result<tempfile::TempDir, GuestError> {
    let folder = cache.scratch()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).at(folder.path())?;
    Ok(folder)
}
