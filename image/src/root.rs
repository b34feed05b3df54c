//! A root file system made of packages: installed by mmdebstrap, from nothing or over another one, and compressed as it is made.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::cache::{Cache, CacheError, Layer};
use crate::fetch::{FetchError, Store, Supply};
use crate::file::{At, FileError};
use crate::hash::{self, Key};
use crate::lock::Package;
use crate::progress::Progress;
use crate::squash;
use crate::tool::{Call, Tool, ToolError};

/// Changes whenever this file makes something else of the same inputs.
const RECIPE: &str = "root 1";
/// Scripts that mmdebstrap runs; those from [`FIRST_OVER`] on for a layer over another one alone.
const HOOKS: [(&str, &str); 6] = [
    ("lay.sh", include_str!("../hooks/lay.sh")),
    ("answers.sh", include_str!("../hooks/answers.sh")),
    ("clean.sh", include_str!("../hooks/clean.sh")),
    ("unpack.sh", include_str!("../hooks/unpack.sh")),
    ("install.sh", include_str!("../hooks/install.sh")),
    ("prune.sh", include_str!("../hooks/prune.sh")),
];
/// Place in [`HOOKS`].
const FIRST_OVER: usize = 3;
/// Where a kernel's package puts it, in the tree and beside the finished image.
const BOOT: &str = "boot";

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A file cannot be read or written.
    #[error("cannot prepare a layer of packages")]
    File(#[from] FileError),
    /// A package is not there.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program failed.
    #[error("cannot make the layer `{kind}`")]
    Tool {
        /// The layer.
        kind: String,
        /// What failed.
        #[source]
        source: ToolError,
    },
    /// Another kernel than what is wanted.
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
        "the packages bring {found} kernels ({list}); a machine boots exactly one: leave one kernel package in the edition"
    )]
    Kernels {
        /// How many.
        found: usize,
        /// Which.
        list: String,
    },
}

/// Where the kernel is once the layer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel<'a> {
    /// In the tree, of a release like this pattern.
    Inside(&'a str),
    /// Beside the image and not in it, as `vmlinuz`, of a release like this pattern.
    Beside(&'a str),
    /// In the layer below.
    Below,
}

/// What a root file system is made of.
#[derive(Clone, Copy)]
pub struct Root<'a> {
    /// Kind of the layer in the cache; the image in its folder is `<kind>.squashfs`.
    pub kind: &'a str,
    /// Debian's name of the processor architecture.
    pub architecture: &'a str,
    /// Path patterns dpkg does not unpack.
    pub exclude: &'a [String],
    /// Exceptions from `exclude`.
    pub include: &'a [String],
    /// Main suite.
    pub suite: &'a str,
    /// All packages; of a layer over another one, those that it adds.
    pub packages: &'a [Package],
    /// The layer this one is made over.
    pub below: Option<&'a Made>,
    /// Files that are there before the first package is.
    pub prepared: &'a Path,
    /// Files laid over the finished tree.
    pub laid: Option<&'a Path>,
    /// What becomes of the kernel.
    pub kernel: Kernel<'a>,
    /// Date of everything, seconds since 1970.
    pub epoch: u64,
}

/// A root file system in the cache.
pub struct Made {
    /// Folder in the cache.
    pub layer: Layer,
    /// The image.
    pub image: PathBuf,
    /// Release of the kernel the packages brought, as `uname -r` prints it.
    pub kernel: Option<String>,
    /// Bytes it takes unpacked, a kernel beside it included.
    pub unpacked_bytes: u64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Facts {
    kernel: Option<String>,
    unpacked_bytes: u64,
}

impl Root<'_> {
    /// The layer, from the cache if it is there. `finish` may add to the folder of one that was made.
    pub fn make<E: From<RootError> + From<CacheError>>(
        &self,
        recipe: &str,
        cache: &Cache,
        supply: &Supply<'_>,
        progress: &Progress,
        finish: impl FnOnce(&Path, &Path) -> Result<(), E>,
    ) -> Result<Made, E> {
        let key = self.key(recipe)?;
        let image = format!("{}.squashfs", self.kind);
        let layer = cache.layer(self.kind, &key, |folder| {
            let store = supply.with(self.packages).map_err(RootError::from)?;
            self.build(&store, folder, &folder.join(&image), progress)?;
            finish(folder, &folder.join(&image))
        })?;
        let path = layer.path("facts.json");
        let facts: Facts = fs::read(&path)
            .and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other))
            .at(&path)
            .map_err(RootError::from)?;
        let image = layer.path(&image);
        Ok(Made { layer, image, kernel: facts.kernel, unpacked_bytes: facts.unpacked_bytes })
    }

    /// Only what changes the tree is in the key: packages by hash, path rules, hooks, files, date, the layer below.
    fn key(&self, recipe: &str) -> Result<String, RootError> {
        let mut key = Key::new()
            .with("recipe", RECIPE)
            .with("recipe of the kind", recipe)
            .with("squashfs", squash::recipe())
            .with("suite", self.suite)
            .with("epoch", self.epoch.to_string())
            .with("exclude", self.exclude.join("\n"))
            .with("include", self.include.join("\n"))
            .with("kernel", format!("{:?}", self.kernel))
            .with("prepared", hash::tree(self.prepared).at(self.prepared)?);
        for (name, text) in &HOOKS[..if self.below.is_some() { HOOKS.len() } else { FIRST_OVER }] {
            key = key.with(name, text);
        }
        if let Some(laid) = self.laid {
            key = key.with("laid", hash::tree(laid).at(laid)?);
        }
        if let Some(below) = self.below {
            key = key.with("below", below.layer.name());
        }
        for package in self.packages {
            key = key.with(&package.name, &package.sha256);
        }
        Ok(key.finish())
    }

    fn build(&self, store: &Store, folder: &Path, image: &Path, progress: &Progress) -> Result<(), RootError> {
        let hooks = folder.join("hooks");
        let repo = folder.join("repository");
        for folder in [&hooks, &repo] {
            fs::create_dir(folder).at(folder)?;
        }
        repository(self.packages, self.suite, store, &repo)?;
        for (name, text) in HOOKS {
            let path = hooks.join(name);
            fs::write(&path, text).at(&path)?;
        }
        let failed = |source| RootError::Tool { kind: self.kind.to_owned(), source };
        {
            let _task =
                progress.spin(&format!("installing the packages of the layer `{}` and compressing it", self.kind));
            squash::from_tar(&self.mmdebstrap(folder, &hooks, &repo), image, self.epoch).map_err(failed)?;
        }
        for folder in [&hooks, &repo] {
            fs::remove_dir_all(folder).at(folder)?;
        }
        let mut unpacked_bytes = squash::unpacked_bytes(image).map_err(failed)?;
        let kernel = match self.kernel {
            Kernel::Below => None,
            Kernel::Inside(pattern) | Kernel::Beside(pattern) => Some(kernel(folder, pattern)?),
        };
        if let (Some(release), Kernel::Beside(_)) = (&kernel, self.kernel) {
            let beside = folder.join("vmlinuz");
            fs::rename(folder.join(BOOT).join(format!("vmlinuz-{release}")), &beside).at(&beside)?;
            unpacked_bytes += fs::metadata(&beside).at(&beside)?.len();
        }
        let boot = folder.join(BOOT);
        if boot.is_dir() {
            fs::remove_dir_all(&boot).at(&boot)?;
        }
        let path = folder.join("facts.json");
        let text = serde_json::to_vec(&Facts { kernel, unpacked_bytes }).map_err(io::Error::other);
        Ok(text.and_then(|text| fs::write(&path, text)).at(&path)?)
    }

    /// The program that writes the tree as a tar archive. Each hook is a line of shell, with the tree as `$1`; the paths in it are of
    /// the cache, which has no character that a shell would take apart.
    fn mmdebstrap(&self, folder: &Path, scripts: &Path, repo: &Path) -> Call {
        let run = |script: &str, argument: Option<&Path>| {
            let argument = argument.map(|path| format!(" {}", path.display())).unwrap_or_default();
            format!("sh {}/{script}{argument} \"$1\"", scripts.display())
        };
        let mut call = Call::new(Tool::Mmdebstrap)
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .args(["--mode=auto", "--format=tar", "--skip=check/empty"])
            .arg(format!("--architectures={}", self.architecture))
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            .arg("--dpkgopt=force-confold")
            // The tree is thrown away if the build stops: there is nothing to keep from a power cut.
            .arg("--dpkgopt=force-unsafe-io");
        for (rule, patterns) in [("exclude", self.exclude), ("include", self.include)] {
            for pattern in patterns {
                call = call.arg(format!("--dpkgopt=path-{rule}={pattern}"));
            }
        }
        let mut hooks = Vec::new();
        let mut hook = |when: &str, line: String| hooks.push(format!("--{when}-hook={line}"));
        let below = self.below.map(|below| below.image.as_path());
        if below.is_some() {
            hook("setup", run("unpack.sh", below));
        }
        hook("setup", run("lay.sh", Some(self.prepared)));
        hook("essential", run("answers.sh", None));
        if below.is_some() && !self.packages.is_empty() {
            hook("customize", run("install.sh", Some(repo)));
        }
        if self.kernel != Kernel::Below {
            hook("customize", format!("copy-out /{BOOT} {}", folder.display()));
        }
        if matches!(self.kernel, Kernel::Beside(_)) {
            hook("customize", format!("rm \"$1\"/{BOOT}/vmlinuz-*"));
        }
        hook("customize", run("clean.sh", None));
        if let Some(laid) = self.laid {
            hook("customize", run("lay.sh", Some(laid)));
        }
        if below.is_some() {
            hook("customize", run("prune.sh", below));
            // Without a suite there is no source: what is installed comes from the folder.
            return call.args(hooks).args(["--variant=custom", "--skip=update,cleanup,output/dev", "", "-"]);
        }
        let names: Vec<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
        call.args(hooks)
            .arg("--variant=minbase")
            .arg(format!("--include={}", names.join(",")))
            .args([self.suite, "-"])
            .arg(format!("deb [trusted=yes] copy:{} ./", repo.display()))
    }
}

/// A repository of exactly these packages, for APT.
fn repository(packages: &[Package], suite: &str, store: &Store, folder: &Path) -> Result<(), RootError> {
    let mut index = String::new();
    for package in packages {
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
    );
    for (name, text) in [("Packages", index), ("Release", release)] {
        let path = folder.join(name);
        fs::write(&path, text).at(&path)?;
    }
    Ok(())
}

/// The release of the one kernel in a tree, which must look as the edition says.
fn kernel(tree: &Path, pattern: &str) -> Result<String, RootError> {
    let boot = tree.join("boot");
    let mut releases = Vec::new();
    for entry in fs::read_dir(&boot).at(&boot)? {
        let name = entry.at(&boot)?.file_name();
        releases.extend(name.to_string_lossy().strip_prefix("vmlinuz-").map(str::to_owned));
    }
    match <[String; 1]>::try_from(releases) {
        Ok([release]) if matches(pattern, &release) => Ok(release),
        Ok([found]) => Err(RootError::Kernel { found, wanted: pattern.to_owned() }),
        Err(releases) => Err(RootError::Kernels { found: releases.len(), list: releases.join(", ") }),
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
        assert!(matches!(kernel(&["6.12.1+deb13-amd64"], "*-pve"), Err(RootError::Kernel { .. })));
        assert!(matches!(kernel(&["6.17.2-1-pve", "6.12.1-amd64"], "*-pve"), Err(RootError::Kernels { found: 2, .. })));
        assert!(matches!(kernel(&[], "*"), Err(RootError::Kernels { found: 0, .. })));
    }

    #[test]
    fn everything_that_is_taken_out_has_a_reason_and_lies_inside_the_tree() {
        let (_, text) = HOOKS.into_iter().find(|(name, _)| *name == "clean.sh").unwrap();
        let (_, rest) = text.split_once("done <<'END'\n").unwrap();
        let (list, _) = rest.split_once("\nEND\n").unwrap();
        let paths: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(paths.len() > 50);
        for line in paths {
            let (path, reason) = line.split_once(' ').unwrap();
            assert!(!path.starts_with(['/', '*']) && !path.contains("..") && !reason.trim().is_empty(), "{line}");
        }
    }

    /// Runs a hook with the layer below and a tree.
    fn run(name: &str, below: &Path, tree: &Path) -> Result<(), ToolError> {
        let (_, text) = HOOKS.into_iter().find(|(known, _)| *known == name).unwrap();
        Call::program("sh").args(["-c", text, name]).arg(below).arg(tree).run().map(drop)
    }

    /// A layer with a few files, and its image.
    fn below(dir: &Path) -> PathBuf {
        let tree = dir.join("below");
        for folder in ["dev", "etc/empty", "usr/bin", "usr/sbin"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        for name in [
            "dev/null",
            "etc/same",
            "etc/changed",
            "etc/moved",
            "etc/again",
            "usr/bin/[",
            "usr/bin/a b",
            "usr/sbin/start-stop-daemon",
        ] {
            fs::write(tree.join(name), name).unwrap();
        }
        fs::hard_link(tree.join("usr/bin/["), tree.join("usr/bin/test")).unwrap();
        std::os::unix::fs::symlink("same", tree.join("etc/link")).unwrap();
        let image = dir.join("below.squashfs");
        squash::from_folder(&tree, &image, 1_000_000_000).unwrap();
        image
    }

    #[test]
    fn of_a_layer_over_another_what_is_new_or_changed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (below, tree) = (below(dir.path()), dir.path().join("tree"));
        fs::create_dir(&tree).unwrap();
        run("unpack.sh", &below, &tree).unwrap();
        assert!(!tree.join("dev/null").exists());
        let at = |name: &str| tree.join(name);
        fs::create_dir_all(at("srv/new")).unwrap();
        fs::write(at("etc/changed"), "otherwise").unwrap();
        fs::write(at("usr/new"), "new").unwrap();
        // An old date does not hide what is new, nor a moment away or another writing make the same something else.
        fs::File::open(at("usr/new")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::rename(at("etc/moved"), at("etc/away")).unwrap();
        fs::rename(at("etc/away"), at("etc/moved")).unwrap();
        fs::rename(at("usr/sbin/start-stop-daemon"), at("usr/sbin/start-stop-daemon.REAL")).unwrap();
        fs::write(at("usr/sbin/start-stop-daemon"), "#!/bin/sh\n").unwrap();
        fs::remove_file(at("etc/again")).unwrap();
        fs::write(at("etc/again"), "etc/again").unwrap();
        fs::remove_file(at("etc/link")).unwrap();
        std::os::unix::fs::symlink("changed", at("etc/link")).unwrap();
        run("prune.sh", &below, &tree).unwrap();
        let left: Vec<String> =
            hash::walk(&tree).unwrap().iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let files: Vec<&String> = left.iter().filter(|path| !at(path).is_dir() || at(path).is_symlink()).collect();
        assert_eq!(files, ["etc/changed", "etc/link", "usr/new"]);
        assert!(left.iter().any(|path| path == "srv/new") && !left.iter().any(|path| path == "usr/bin"), "{left:?}");
    }

    #[test]
    fn a_layer_that_takes_something_away_is_refused_with_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (below, tree) = (below(dir.path()), dir.path().join("tree"));
        fs::create_dir(&tree).unwrap();
        run("unpack.sh", &below, &tree).unwrap();
        fs::remove_file(tree.join("etc/same")).unwrap();
        let said = run("prune.sh", &below, &tree).unwrap_err().to_string();
        assert!(
            said.contains("cannot take away") && said.contains("./etc/same") && !said.contains("./etc/moved"),
            "{said}"
        );
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
