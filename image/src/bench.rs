//! `sovereign-image bench`: what a build costs, as ratios within one run, since machines and mirrors differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::build::{self, Options};
use crate::cache::Cache;
use crate::choice::{self, Wanted};
use crate::error::Error;
use crate::file::At;
use crate::mirror::Mirrors;
use crate::progress::Progress;
use crate::resolve;
use crate::source::PackageSource;
use crate::squash;
use crate::tool::{Call, Tool};
use crate::workload;

/// The figures.
pub struct Figures {
    cold: Duration,
    bare: Vec<Bare>,
    warm_installer: Duration,
    warm_overlay: Duration,
}

/// A root file system made by hand.
struct Bare {
    what: &'static str,
    tree: Duration,
    squashfs: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare: Duration = self.bare.iter().map(|bare| bare.tree + bare.squashfs).sum();
        let ratio = self.cold.as_secs_f64() / bare.as_secs_f64();
        writeln!(f, "cold build, nothing cached, packages from the mirror: {:.1} s", self.cold.as_secs_f64())?;
        writeln!(
            f,
            "bare mmdebstrap and mksquashfs of the same packages, one after the other: {:.1} s",
            bare.as_secs_f64()
        )?;
        for Bare { what, tree, squashfs } in &self.bare {
            writeln!(f, "  {what}: {:.1} s + {:.1} s", tree.as_secs_f64(), squashfs.as_secs_f64())?;
        }
        writeln!(f, "cold build / bare: {ratio:.2} (to reach: at most 1.3)")?;
        writeln!(
            f,
            "rebuild after a change to the installer: {:.1} s (at most 30)",
            self.warm_installer.as_secs_f64()
        )?;
        write!(f, "rebuild after a change to the live overlay: {:.1} s (at most 30)", self.warm_overlay.as_secs_f64())
    }
}

/// Builds cold, builds bare, and rebuilds after two small changes. The cache of `options` is not used, only its folder.
pub fn bench(options: &Options, progress: &Progress) -> Result<Figures, Error> {
    // Held to the end: another build would remove the scratch folder of one that does not hold the lock.
    let cache = Cache::open(&options.cache, progress)?;
    let scratch = cache.scratch()?;
    let at = |name: &str| scratch.path().join(name);
    let selected = choice::select(&options.edition, &options.source, None, &cache, progress)?;
    let edition = selected.edition;
    let source = selected.source?;
    let mirrors = Mirrors::discover(&workload::mirrors(&options.mirror).1)?;

    let path = selected.path;
    let mut own = Options {
        edition: Wanted::File(path),
        cache: at("cache"),
        output: at("output"),
        lock: None,
        ..options.clone()
    };
    let (cold, _) = timed(|| build::build(&own, progress))?;

    // As a person would do it without this program: the same packages, the same initramfs made by their scripts, the same compression.
    let lines = resolve::sources(&edition, &mirrors)?;
    let bare = |what, packages: BTreeSet<&str>, source: Option<&dyn PackageSource>| -> Result<Bare, Error> {
        let tree = at("tree");
        let mut call = Call::new(Tool::Mmdebstrap)
            .args(["--variant=minbase", "--format=directory", "--aptopt=APT::Install-Recommends \"false\""])
            .arg(format!("--include={}", Vec::from_iter(packages).join(",")))
            .arg(edition.main_suite())
            .arg(&tree)
            .args(lines.lines());
        if let Some(source) = source {
            call = call.arg(source.entry().line());
        }
        let (tree_time, _) = {
            let _task = progress.spin(&format!("bare mmdebstrap: {what}"));
            timed(|| call.run().map_err(Error::from))?
        };
        let (squashfs, ()) = {
            let _task = progress.spin(&format!("bare mksquashfs: {what}"));
            timed(|| squash::bare(&tree, &at("bare.squashfs")).map_err(Error::from))?
        };
        fs::remove_dir_all(&tree).at(&tree)?;
        Ok(Bare { what, tree: tree_time, squashfs })
    };
    let mut made = vec![bare("the machine", names(&edition.packages), source.as_deref())?];
    if let Some(guests) = &edition.guests {
        // One guest with the packages of all roles: each package once, which is the least it can take.
        let catalogue = build::catalogue(&edition, &options.overlays)?;
        let roles = build::roles(&options.overlays, &catalogue, &[]);
        let mut packages = names(&guests.packages);
        packages.extend(roles.iter().flat_map(|role| role.packages.keys().map(String::as_str)));
        made.push(bare("one guest with the packages of every role", packages, None)?);
    }

    own.lock = fs::read_dir(&own.output)
        .at(&own.output)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "toml"));
    // Bytes after the end of a program change its hash and nothing else.
    let installer = at("installer");
    fs::copy(&options.installer, &installer).at(&installer)?;
    OpenOptions::new().append(true).open(&installer).and_then(|mut program| program.write_all(b"\n")).at(&installer)?;
    own.installer = installer;
    let (warm_installer, _) = timed(|| build::build(&own, progress))?;
    let overlays = at("overlays");
    crate::overlay::copy_tree(&options.overlays, &overlays).at(&overlays)?;
    let note = overlays.join("live/etc/bench");
    fs::write(&note, "a change\n").at(&note)?;
    own.overlays = overlays;
    let (warm_overlay, _) = timed(|| build::build(&own, progress))?;
    Ok(Figures { cold, bare: made, warm_installer, warm_overlay })
}

fn names(packages: &BTreeMap<String, String>) -> BTreeSet<&str> {
    packages.keys().map(String::as_str).collect()
}

fn timed<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(Duration, T), Error> {
    let started = Instant::now();
    let result = work()?;
    Ok((started.elapsed(), result))
}
