//! The base layer: the packages of the lock as one file system, with the kernel's initramfs made once, for any machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, CacheError, Layer};
use crate::edition::Edition;
use crate::fetch::Supply;
use crate::file::{At, FileError};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::root::{Kernel, Root, RootError};
use crate::squash;
use crate::tool::ToolError;

/// Changes whenever this file makes something else of the same inputs.
const RECIPE: &str = "base 4";
/// Configuration of the target overlay that the initramfs is made from.
const INITRAMFS_CONFIGURATION: [&str; 3] = ["etc/initramfs-tools", "etc/cryptsetup-initramfs", "etc/mdadm"];
/// What the medium's boot files are made from beside the kernel: drivers, busybox, GRUB and shim, with the libraries of their programs.
const BOOT_PATHS: [&str; 8] = [
    "usr/lib/modules",
    "usr/bin/busybox",
    "usr/bin/grub-mkimage",
    "usr/lib/grub/i386-pc",
    "usr/lib/grub/x86_64-efi-signed",
    "usr/lib/shim",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
];

/// Why there is no base layer.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// A file cannot be read or written.
    #[error("cannot prepare the base layer")]
    File(#[from] FileError),
    /// Its packages cannot be installed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program failed.
    #[error("cannot make the base layer")]
    Tool(#[from] ToolError),
}

/// The base layer in the cache.
pub struct Base {
    /// Folder in the cache.
    pub layer: Layer,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Bytes the layer takes unpacked.
    pub unpacked_bytes: u64,
}

impl Base {
    /// The image.
    pub fn image(&self) -> PathBuf {
        self.layer.path("base.squashfs")
    }

    /// The kernel. It is not in the image: GRUB reads it from the medium, and the installer copies it from there.
    pub fn kernel_image(&self) -> PathBuf {
        self.layer.path("vmlinuz")
    }

    /// The unpacked part of it that boot files are made from.
    pub fn tree(&self) -> PathBuf {
        self.layer.path("tree")
    }
}

/// What goes into a base layer.
pub struct Inputs<'a> {
    /// The edition.
    pub edition: &'a Edition,
    /// The packages.
    pub lock: &'a Lock,
    /// Folder of the overlays.
    pub overlays: &'a Path,
    /// Date of everything, seconds since 1970.
    pub epoch: u64,
}

/// The base layer, from the cache if it is there.
pub fn base(inputs: &Inputs<'_>, cache: &Cache, supply: &Supply<'_>, progress: &Progress) -> Result<Base, BaseError> {
    let prepared = cache.scratch()?;
    fs::set_permissions(prepared.path(), Permissions::from_mode(0o755)).at(prepared.path())?;
    prepare_configuration(inputs.overlays, prepared.path())?;
    let root = Root {
        kind: "base",
        architecture: &inputs.edition.architecture,
        exclude: &inputs.edition.exclude,
        include: &inputs.edition.include,
        suite: &inputs.lock.suite,
        packages: &inputs.lock.packages,
        below: None,
        prepared: prepared.path(),
        laid: None,
        // GRUB cannot read it in there.
        kernel: Kernel::Beside(&inputs.edition.kernel_release),
        epoch: inputs.epoch,
    };
    let made = root.make(RECIPE, cache, supply, progress, |folder, image| -> Result<(), BaseError> {
        Ok(squash::extract(image, &folder.join("tree"), &BOOT_PATHS)?)
    })?;
    Ok(Base { layer: made.layer, kernel: made.kernel.unwrap_or_default(), unpacked_bytes: made.unpacked_bytes })
}

/// Copies the configuration the initramfs is made from into one tree.
fn prepare_configuration(overlays: &Path, prepared: &Path) -> Result<(), BaseError> {
    let copy = |from: &Path, to: &Path| crate::overlay::copy_tree(from, to).at(from);
    let initramfs = overlays.join("initramfs");
    if initramfs.is_dir() {
        copy(&initramfs, prepared)?;
    }
    for part in INITRAMFS_CONFIGURATION {
        let from = overlays.join("target").join(part);
        if from.is_dir() {
            copy(&from, &prepared.join(part))?;
        }
    }
    Ok(())
}
