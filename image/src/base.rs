//! The base layer: the packages of the lock as one file system, with the kernel's initramfs made once, for any machine.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::cache::{Cache, CacheError, Layer};
use crate::edition::Edition;
use crate::fetch::{FetchError, Store};
use crate::file::{At, FileError};
use crate::hash::{self, Key};
use crate::lock::Lock;
use crate::mirror::Mirrors;
use crate::progress::Progress;
use crate::squash;
use crate::tool::{Call, Tool, ToolError};

/// Changes whenever this file makes something else of the same inputs.
const RECIPE: &str = "base 3";
/// Hooks of mmdebstrap: when each runs, and what it is.
const HOOKS: [(&str, &str, &str); 3] = [
    ("setup", "prepare.sh", include_str!("../hooks/prepare.sh")),
    ("essential", "answers.sh", include_str!("../hooks/answers.sh")),
    ("customize", "clean.sh", include_str!("../hooks/clean.sh")),
];
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
    /// A package is not there.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program failed.
    #[error("cannot make the base layer")]
    Tool(#[from] ToolError),
    /// Another kernel than the edition's.
    #[error(
        "the packages bring the kernel {found}, the edition wants `{wanted}`: `kernel` in the edition names the wrong package, or the \
         source has another kernel than it should"
    )]
    Kernel {
        /// Its release.
        found: String,
        /// The edition's pattern.
        wanted: String,
    },
    /// Not one kernel but none or several.
    #[error(
        "the packages bring {found} kernels ({list}); an image boots exactly one: leave one kernel package in the edition"
    )]
    Kernels {
        /// How many.
        found: usize,
        /// Which.
        list: String,
    },
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
pub fn base(
    inputs: &Inputs<'_>,
    cache: &Cache,
    mirrors: impl FnOnce() -> Result<Mirrors, crate::mirror::MirrorError>,
    progress: &Progress,
) -> Result<Base, BaseError> {
    let prepared = cache.scratch()?;
    fs::set_permissions(prepared.path(), Permissions::from_mode(0o755)).at(prepared.path())?;
    prepare_configuration(inputs.overlays, prepared.path())?;
    let key = key(inputs, prepared.path())?;
    let layer = cache.layer("base", &key, |folder| -> Result<(), BaseError> {
        let store = Store::open(&cache.packages())?;
        store.fetch(inputs.lock, &mirrors().map_err(FetchError::from)?, progress)?;
        build(inputs, &store, prepared.path(), folder, progress)
    })?;
    let path = layer.path("base.json");
    let facts: Facts =
        fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other)).at(&path)?;
    Ok(Base { layer, kernel: facts.kernel, unpacked_bytes: facts.unpacked_bytes })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Facts {
    kernel: String,
    unpacked_bytes: u64,
}

/// Only what changes the tree is in the key: packages by hash, the edition's path rules, hooks, configuration, date.
fn key(inputs: &Inputs<'_>, prepared: &Path) -> Result<String, BaseError> {
    let mut key = Key::new()
        .with("recipe", RECIPE)
        .with("hooks", HOOKS.map(|(_, _, text)| text).join("\0"))
        .with("squashfs", squash::recipe())
        .with("suite", &inputs.lock.suite)
        .with("epoch", inputs.epoch.to_string())
        .with("exclude", inputs.edition.exclude.join("\n"))
        .with("include", inputs.edition.include.join("\n"))
        .with("configuration", hash::tree(prepared).at(prepared)?);
    for package in &inputs.lock.packages {
        key = key.with(&package.name, &package.sha256);
    }
    Ok(key.finish())
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

/// A repository of exactly the locked packages, for APT inside mmdebstrap.
fn repository(lock: &Lock, store: &Store, folder: &Path) -> Result<(), BaseError> {
    let mut index = String::new();
    for package in &lock.packages {
        let name = format!("{}.deb", package.sha256);
        let path = folder.join(&name);
        fs::hard_link(store.file(package), &path)
            .or_else(|_| fs::copy(store.file(package), &path).map(drop))
            .at(&path)?;
        // Writing to a String cannot fail.
        let _ = write!(
            index,
            "{}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            store.control(package)?.trim_end(),
            package.size,
            package.sha256
        );
    }
    let release = format!(
        "Origin: Sovereign\nLabel: Sovereign\nSuite: {suite}\nCodename: {suite}\nDate: Thu, 01 Jan 1970 00:00:00 UTC\n\
         Architectures: amd64\nSHA256:\n {} {} Packages\n",
        hash::bytes(index.as_bytes()),
        index.len(),
        suite = lock.suite,
    );
    for (name, text) in [("Packages", index), ("Release", release)] {
        let path = folder.join(name);
        fs::write(&path, text).at(&path)?;
    }
    Ok(())
}

fn build(
    inputs: &Inputs<'_>,
    store: &Store,
    prepared: &Path,
    folder: &Path,
    progress: &Progress,
) -> Result<(), BaseError> {
    let repo = folder.join("repository");
    fs::create_dir(&repo).at(&repo)?;
    repository(inputs.lock, store, &repo)?;
    for (_, name, text) in HOOKS {
        let path = folder.join(name);
        fs::write(&path, text).at(&path)?;
    }
    let image = folder.join("base.squashfs");
    {
        let _task = progress.spin("installing the packages into a tree and compressing it");
        squash::from_tar(&mmdebstrap(inputs, prepared, folder), &image, inputs.epoch)?;
    }
    for (_, name, _) in HOOKS {
        let path = folder.join(name);
        fs::remove_file(&path).at(&path)?;
    }
    fs::remove_dir_all(&repo).at(&repo)?;

    squash::extract(&image, &folder.join("tree"), &BOOT_PATHS)?;
    let kernel = kernel(folder, &inputs.edition.kernel_release)?;
    let kernel_image = folder.join("vmlinuz");
    let boot = folder.join("boot");
    fs::rename(boot.join(format!("vmlinuz-{kernel}")), &kernel_image).at(&kernel_image)?;
    fs::remove_dir_all(&boot).at(&boot)?;
    let kernel_bytes = fs::metadata(&kernel_image).at(&kernel_image)?.len();
    let facts = Facts { kernel, unpacked_bytes: squash::unpacked_bytes(&image)? + kernel_bytes };
    let path = folder.join("base.json");
    Ok(serde_json::to_vec(&facts).map_err(io::Error::other).and_then(|text| fs::write(&path, text)).at(&path)?)
}

fn mmdebstrap(inputs: &Inputs<'_>, prepared: &Path, folder: &Path) -> Call {
    let names: Vec<&str> = inputs.lock.packages.iter().map(|package| package.name.as_str()).collect();
    let mut call = Call::new(Tool::Mmdebstrap)
        .env("SOURCE_DATE_EPOCH", inputs.epoch.to_string())
        .env("PREPARED", prepared)
        .args(["--mode=auto", "--variant=minbase", "--format=tar", "--skip=check/empty"])
        .arg(format!("--architectures={}", inputs.edition.architecture))
        .arg(format!("--include={}", names.join(",")))
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .arg("--dpkgopt=force-confold")
        // The tree is thrown away if the build stops: there is nothing to keep from a power cut.
        .arg("--dpkgopt=force-unsafe-io");
    // Before the last hook takes the kernel out of the tree.
    call = call.arg(format!("--customize-hook=copy-out /boot {}", folder.display()));
    for (when, name, _) in HOOKS {
        call = call.arg(format!("--{when}-hook=sh {}/{name} \"$1\"", folder.display()));
    }
    for (rule, patterns) in [("exclude", &inputs.edition.exclude), ("include", &inputs.edition.include)] {
        for pattern in patterns {
            call = call.arg(format!("--dpkgopt=path-{rule}={pattern}"));
        }
    }
    call.arg(&inputs.lock.suite).arg("-").arg(format!("deb [trusted=yes] copy:{}/repository ./", folder.display()))
}

/// The release of the one kernel in a tree, which must look as the edition says.
fn kernel(tree: &Path, pattern: &str) -> Result<String, BaseError> {
    let boot = tree.join("boot");
    let mut releases = Vec::new();
    for entry in fs::read_dir(&boot).at(&boot)? {
        let name = entry.at(&boot)?.file_name();
        releases.extend(name.to_string_lossy().strip_prefix("vmlinuz-").map(str::to_owned));
    }
    match <[String; 1]>::try_from(releases) {
        Ok([release]) if matches(pattern, &release) => Ok(release),
        Ok([found]) => Err(BaseError::Kernel { found, wanted: pattern.to_owned() }),
        Err(releases) => Err(BaseError::Kernels { found: releases.len(), list: releases.join(", ") }),
    }
}

/// Whether a text is as a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(tail, rest)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with kernels of these releases.
    fn tree(releases: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("boot")).unwrap();
        for release in releases {
            fs::write(dir.path().join(format!("boot/vmlinuz-{release}")), "").unwrap();
        }
        dir
    }

    #[test]
    fn there_is_one_kernel_and_it_is_the_editions() {
        let kernel = |releases: &[&str], pattern| kernel(tree(releases).path(), pattern);
        assert_eq!(kernel(&["6.17.2-1-pve"], "*-pve").unwrap(), "6.17.2-1-pve");
        assert!(matches!(kernel(&["6.12.1+deb13-amd64"], "*-pve"), Err(BaseError::Kernel { .. })));
        assert!(matches!(kernel(&["6.17.2-1-pve", "6.12.1-amd64"], "*-pve"), Err(BaseError::Kernels { found: 2, .. })));
        assert!(matches!(kernel(&[], "*"), Err(BaseError::Kernels { found: 0, .. })));
    }

    #[test]
    fn everything_that_is_taken_out_has_a_reason_and_lies_inside_the_tree() {
        let (_, _, text) = HOOKS.into_iter().find(|(_, name, _)| *name == "clean.sh").unwrap();
        let (_, rest) = text.split_once("done <<'END'\n").unwrap();
        let (list, _) = rest.split_once("\nEND\n").unwrap();
        let paths: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(paths.len() > 50);
        for line in paths {
            let (path, reason) = line.split_once(' ').unwrap();
            assert!(!path.starts_with(['/', '*']) && !path.contains("..") && !reason.trim().is_empty(), "{line}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in
            [("*-pve", "-pve", true), ("6.*-pve", "6.17-pve-pve", true), ("*-pve", "a-pve2", false), ("a", "a", true)]
        {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
