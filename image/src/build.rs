//! `sovereign-image build`: from an edition to an image.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::{fs, mem, thread};

use rustix::fs::Mode;
use rustix::process::umask;
use sovereign_model::Bytes;
use sovereign_model::medium::{BASE_PATH, KERNEL_PATH, LIVE_PATH, Manifest, TARGET_PATH, WORKLOADS_PATH};
use sovereign_model::role::Catalogue;

use crate::base;
use crate::cache::Cache;
use crate::choice::{self, Fallback, Wanted};
use crate::edition::Edition;
use crate::epoch;
use crate::error::Error;
use crate::fetch::{Store, Supply};
use crate::file::At;
use crate::guest::layers::{self, Layers};
use crate::guest::{self, Role};
use crate::hash::Key;
use crate::initrd;
use crate::iso::{SBOM_PATH, SOURCE_PATH, Stage};
use crate::lock::{Lock, LockError, Package};
use crate::menu::Menu;
use crate::mirror::{MirrorError, Mirrors};
use crate::overlay::{self, Program};
use crate::progress::Progress;
use crate::resolve;
use crate::sbom;
use crate::source::{self, Description, PackageSource, SourceError, SourceOptions};
use crate::squash;
use crate::workload::{self, Locked, Packed, Registry};

/// Version of the product: that of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The guests' part of the overlays.
pub const GUEST_OVERLAYS: &str = "guest";
/// Where the installer is, in the live system and on the machine.
const INSTALLER_PATH: &str = "usr/bin/sovereign-installer";

/// What to build, from what, to where.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The edition to build: a name (image/editions/NAME.toml), a file, or `auto`: with a source of Proxmox's packages, or where Proxmox's
    /// repository answers, the proxmox edition, else the rehearsal
    #[arg(long, value_name = "NAME|FILE|auto", default_value = "auto")]
    pub edition: Wanted,
    #[command(flatten)]
    pub source: SourceOptions,
    /// Build exactly these packages; without it they are resolved afresh and a lock file is written beside the image. The one that is
    /// there stays where the packages are the same, or where the mirror cannot be reached and all its packages are in the cache
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// The installer to put into the image
    #[arg(long, value_name = "FILE", default_value = "target/release/sovereign-installer")]
    pub installer: PathBuf,
    /// The project's overlays
    #[arg(long, value_name = "FOLDER", default_value = "overlays")]
    pub overlays: PathBuf,
    /// Folder the image is written to
    #[arg(long, value_name = "FOLDER", default_value = "target")]
    pub output: PathBuf,
    /// Folder that keeps packages and layers between builds
    #[arg(long, value_name = "FOLDER", default_value = "target/image-cache")]
    pub cache: PathBuf,
    /// Put the images of this lock file of workloads on the image (`sovereign-image workloads lock`); the default is
    /// image/workloads.lock if it is there, and with --lock what that file has. Workloads that are not in it are left out
    #[arg(long, value_name = "FILE")]
    pub workloads: Option<PathBuf>,
    /// Fetch packages from here: debian=URL, debian-security=URL; the default is this machine's APT configuration. An address alone,
    /// http://... or https://..., is a registry that has every workload's image, docker.io/library/traefik at
    /// URL/docker.io/library/traefik
    #[arg(long, value_name = "ARCHIVE=URL|URL")]
    pub mirror: Vec<String>,
    /// Date of everything in the image, seconds since 1970; the default is SOURCE_DATE_EPOCH of the environment, then the lock file's
    /// date. Two builds of one lock file with one date are equal to the bit
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    pub epoch: Option<u64>,
}

/// What to lock.
#[derive(Debug, clap::Args)]
pub struct LockOptions {
    /// The edition to lock: a name, a file, or `auto`, as for build
    #[arg(long, value_name = "NAME|FILE|auto", default_value = "rehearsal")]
    pub edition: Wanted,
    #[command(flatten)]
    pub source: SourceOptions,
    /// The lock file to write; the default is image/locks/NAME.lock.toml
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder that keeps package lists between runs
    #[arg(long, value_name = "FOLDER", default_value = "target/image-cache")]
    pub cache: PathBuf,
    /// Resolve against this: debian=URL, debian-security=URL; the default is this machine's APT configuration
    #[arg(long, value_name = "ARCHIVE=URL")]
    pub mirror: Vec<String>,
    /// The project's overlays: they say which roles guests have
    #[arg(long, value_name = "FOLDER", default_value = "overlays")]
    pub overlays: PathBuf,
    /// Lock the images of this lock file of workloads too; the default is image/workloads.lock if it is there
    #[arg(long, value_name = "FILE")]
    pub workloads: Option<PathBuf>,
}

/// Resolves an edition afresh and writes its lock file.
pub fn lock(options: &LockOptions, progress: &Progress) -> Result<(), Error> {
    let cache = Cache::open(&options.cache, progress)?;
    let selected = choice::select(&options.edition, &options.source, None, &cache, progress)?;
    let source = selected.source?;
    let edition = &selected.edition;
    let path = match &options.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("image/locks/{}.lock.toml", edition.name)),
    };
    let catalogue = catalogue(edition, &options.overlays)?;
    let workloads = workload::lock::chosen(options.workloads.as_deref(), &catalogue)?;
    let roles = roles(&options.overlays, &catalogue, &workloads);
    let mut lock = resolved(edition, &roles, &options.mirror, source.as_deref(), &cache, progress)?;
    lock.workloads = workloads;
    lock.write(&path)?;
    say_locked(&lock, &path, progress);
    say_fallback(selected.fallback.as_ref(), edition, progress);
    Ok(())
}

/// Builds the image and gives its path.
pub fn build(options: &Options, progress: &Progress) -> Result<PathBuf, Error> {
    if !options.installer.is_file() {
        return Err(Error::NoInstaller { path: options.installer.clone() });
    }
    // What is built is public and must not depend on who builds: APT's users read the repository, modes end up in the image.
    umask(Mode::from_raw_mode(0o022));
    let (registry, archives) = workload::mirrors(&options.mirror);
    let registry = Registry::new(registry)?;
    let cache = Cache::open(&options.cache, progress)?;
    let given = options.lock.as_deref().map(|path| Ok::<_, LockError>((path, Lock::read(path)?))).transpose()?;
    let locked = given.as_ref().map(|(_, lock)| lock);
    let selected = choice::select(&options.edition, &options.source, locked, &cache, progress)?;
    let edition = selected.edition;
    let catalogue = catalogue(&edition, &options.overlays)?;
    let mut workloads = match (&given, &options.workloads) {
        (Some((path, lock)), None) => {
            workload::lock::check(&lock.workloads, path, &catalogue)?;
            lock.workloads.clone()
        }
        (_, named) => workload::lock::chosen(named.as_deref(), &catalogue)?,
    };
    workloads.sort();
    let roles = roles(&options.overlays, &catalogue, &workloads);
    fs::create_dir_all(&options.output).at(&options.output)?;
    let name = format!("sovereign-{VERSION}-{}-{}", edition.name, edition.architecture);
    let (lock, source) = if let Some((path, lock)) = given {
        lock.check_edition(&edition, &roles, path)?;
        (lock, selected.source?)
    } else {
        let path = options.output.join(format!("{name}.lock.toml"));
        let sought = Sought { edition: &edition, roles: &roles, workloads: &workloads, mirrors: &archives };
        current_lock(&sought, selected.source, &cache, &path, progress)?
    };
    let description = described(&edition, source.as_deref(), &lock);
    let epoch = options.epoch.unwrap_or(lock.epoch);

    let address = source.as_deref().map(address);
    let supply = Supply::new(cache.packages(), || mirrors(&archives, address.as_ref()), progress);
    // First, since a registry that does not answer should not be noticed after minutes of work.
    let images = workload::pack(&workloads, &registry, epoch, &cache, progress)?;
    let inputs = base::Inputs { edition: &edition, lock: &lock, overlays: &options.overlays, epoch };
    // Side by side: installing packages keeps one processor busy. Where one of the two fails, the other is still finished and kept.
    let (base, guests) = thread::scope(|scope| {
        let guests = scope.spawn(|| guests(&inputs, &roles, &cache, &supply, progress));
        let base = base::base(&inputs, &cache, &supply, progress);
        (base, guests.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let (base, guests) = (base?, guests?);
    let installer = Program { file: &options.installer, path: INSTALLER_PATH };
    let target = overlay::layer("target", &options.overlays.join("target"), &[installer], epoch, &cache)?;
    let live = overlay::layer("live", &options.overlays.join("live"), &[], epoch, &cache)?;
    let initrd = initrd::initrd(&base, epoch, &cache)?;

    let mut names = vec![base.layer.name(), target.name(), live.name(), initrd.name()];
    names.extend(guests.iter().flat_map(Layers::names));
    names.extend(images.iter().map(Packed::name));
    let build_id = build_id(&names, &edition, description.as_ref(), epoch);
    let menu = Menu { edition: &edition, version: VERSION, build_id: &build_id };
    let image = options.output.join(format!("{name}.iso"));
    let task = progress.spin("writing the image");
    let scratch = cache.scratch()?;
    let root = scratch.path().join("medium");
    fs::create_dir(&root).at(&root)?;
    let stage = Stage { root: &root, scratch: scratch.path(), epoch };
    stage
        .text(".disk/info", &format!("{} {VERSION} ({}) {}\n", edition.product, edition.label, edition.architecture))?;
    stage.text(&format!(".disk/id/{build_id}"), "")?;
    stage.file(KERNEL_PATH, &base.kernel_image())?;
    stage.file("boot/initrd.img", &initrd.path("initrd.img"))?;
    stage.file(BASE_PATH, &base.image())?;
    stage.file(TARGET_PATH, &target.path("target.squashfs"))?;
    stage.file(LIVE_PATH, &live.path("live.squashfs"))?;
    if let Some(guests) = &guests {
        for (path, image) in guests.files() {
            stage.file(&path, image)?;
        }
    }
    if let Some(images) = &images {
        stage.file(WORKLOADS_PATH, &images.image())?;
    }
    let lock = Lock { workloads, ..lock };
    stage.text(SBOM_PATH, &sbom::render(&edition, &roles, &lock, VERSION, &build_id, epoch)?)?;
    if let Some(description) = &description {
        stage.text(SOURCE_PATH, &serde_json::to_string_pretty(description)?)?;
    }
    let (esp, mbr) = stage.boot_images(&base.tree(), &menu)?;
    let manifest = Manifest {
        schema: 1,
        version: VERSION.to_owned(),
        edition: edition.name.clone(),
        edition_label: edition.label.clone(),
        build_id,
        epoch,
        suite: lock.suite.clone(),
        kernel: base.kernel.clone(),
        unpacked: Bytes(base.unpacked_bytes + squash::unpacked_bytes(&target.path("target.squashfs"))?),
        guests: guests
            .as_ref()
            .map(|guests| guests.describe(images.map(|images| images.workloads).unwrap_or_default())),
        files: stage.files()?,
    };
    stage.write(&manifest, &esp, &mbr, &options.output.join(format!(".{name}.iso.partial")), &image)?;
    drop(task);
    if let Some(description) = &description {
        progress.say(&description.to_string());
    }
    for role in &roles {
        if let Some(workloads) = role.left_out() {
            progress.say(&format!(
                "left out, as no images of them are locked (`sovereign-image workloads lock`): {workloads} of the guest {}",
                role.name
            ));
        }
    }
    say_fallback(selected.fallback.as_ref(), &edition, progress);
    Ok(image)
}

/// The mirrors and, where there is a source, its address, with the file of credentials it wants.
fn mirrors(options: &[String], source: Option<&(String, Option<PathBuf>)>) -> Result<Mirrors, MirrorError> {
    let mirrors = Mirrors::discover(options)?;
    Ok(match source {
        Some((uri, credentials)) => mirrors.with(source::ARCHIVE, uri, credentials.as_deref()),
        None => mirrors,
    })
}

/// Address of a source, and the file of credentials for it.
fn address(source: &dyn PackageSource) -> (String, Option<PathBuf>) {
    (source.entry().uri, source.credentials().map(Path::to_owned))
}

/// What the image's packages beyond Debian's are; a source that does not know its release has that of the product's package.
fn described(edition: &Edition, source: Option<&dyn PackageSource>, lock: &Lock) -> Option<Description> {
    let proxmox = edition.proxmox.as_ref()?;
    let version = lock.packages.iter().find(|package| package.name == proxmox.package).map(|p| p.version.clone());
    let mut description = match source {
        Some(source) => source.description().clone(),
        None => Description { kind: "the cache".to_owned(), product: proxmox.product_name.clone(), release: None },
    };
    description.release = description.release.or(version);
    Some(description)
}

/// Says, last of all, that it is not the edition that was hoped for.
fn say_fallback(fallback: Option<&Fallback>, edition: &Edition, progress: &Progress) {
    if let Some(fallback) = fallback {
        progress.say(&format!("this is the edition `{}` ({}): {fallback}", edition.name, edition.label));
    }
}

fn resolved(
    edition: &Edition,
    roles: &[Role],
    options: &[String],
    source: Option<&dyn PackageSource>,
    cache: &Cache,
    progress: &Progress,
) -> Result<Lock, Error> {
    let _task = progress.spin("resolving packages");
    let lock =
        resolve::resolve(edition, roles, &mirrors(options, source.map(address).as_ref())?, source, &cache.apt())?;
    check_release(edition, &lock)?;
    Ok(lock)
}

/// The product's package is of the edition's major release, whatever the source says of itself or does not.
fn check_release(edition: &Edition, lock: &Lock) -> Result<(), SourceError> {
    let Some(proxmox) = &edition.proxmox else { return Ok(()) };
    let Some(package) = lock.packages.iter().find(|package| package.name == proxmox.package) else { return Ok(()) };
    // A Debian version: [epoch:]upstream[-revision].
    let upstream = package.version.split_once(':').map_or(package.version.as_str(), |(_, rest)| rest);
    if upstream.split(|c: char| !c.is_ascii_digit()).next() == Some(&proxmox.release) {
        return Ok(());
    }
    Err(SourceError::Packages {
        package: package.name.clone(),
        found: package.version.clone(),
        wanted: proxmox.release.clone(),
    })
}

fn say_locked(lock: &Lock, path: &Path, progress: &Progress) {
    progress.say(&format!(
        "{} packages, {} to download at most; locked in {}",
        lock.all().len(),
        Bytes(lock.total_bytes()),
        path.display()
    ));
}

/// What a build without a lock file is to be made of.
struct Sought<'a> {
    edition: &'a Edition,
    roles: &'a [Role],
    workloads: &'a [Locked],
    /// Options ARCHIVE=URL.
    mirrors: &'a [String],
}

/// The lock of a build that was given none: resolved afresh, or that of the last build at `path` where the packages are still the same
/// or the mirror or the source does not answer. Other workloads do not make packages, and so the date, anew.
fn current_lock(
    sought: &Sought<'_>,
    source: Result<Option<Box<dyn PackageSource>>, SourceError>,
    cache: &Cache,
    path: &Path,
    progress: &Progress,
) -> Result<(Lock, Option<Box<dyn PackageSource>>), Error> {
    let &Sought { edition, roles, workloads, mirrors } = sought;
    // One that cannot be used is replaced: nobody asked for it.
    let mut earlier = Lock::read(path).ok().filter(|lock| lock.check_edition(edition, roles, path).is_ok());
    let before = earlier.as_mut().map(|lock| mem::take(&mut lock.workloads)).unwrap_or_default();
    let (fresh, source) = match source {
        Ok(source) => (resolved(edition, roles, mirrors, source.as_deref(), cache, progress), source),
        Err(error) => (Err(error.into()), None),
    };
    let store = Store::open(&cache.packages())?;
    let (lock, why) = choose_lock(earlier, fresh, |package| store.file(package).exists())?;
    let lock = Lock { workloads: workloads.to_vec(), ..lock };
    if why != Chosen::Fresh && before != workloads {
        lock.write(path)?;
    }
    match why {
        Chosen::Fresh => {
            lock.write(path)?;
            say_locked(&lock, path, progress);
        }
        Chosen::Unchanged => progress.say(&format!(
            "{} packages, the same as before: {} and its date ({}) stay",
            lock.all().len(),
            path.display(),
            epoch::iso8601(lock.epoch)
        )),
        Chosen::Offline { reason } => progress.say(&format!(
            "warning: the mirror cannot be reached ({reason}): building from {} of {}, whose packages are all here; newer \
             versions are not looked for",
            path.display(),
            epoch::iso8601(lock.epoch)
        )),
    }
    Ok((lock, source))
}

/// Which lock is built from, and why.
#[derive(Debug, PartialEq, Eq)]
enum Chosen {
    /// Resolved now.
    Fresh,
    /// The last build's: the packages are the same, so that a mirror's new date alone makes nothing anew.
    Unchanged,
    /// The last build's: the mirror does not answer.
    Offline {
        /// What APT said.
        reason: String,
    },
}

fn choose_lock(
    earlier: Option<Lock>,
    fresh: Result<Lock, Error>,
    is_stored: impl Fn(&Package) -> bool,
) -> Result<(Lock, Chosen), Error> {
    match (earlier, fresh) {
        (Some(earlier), Ok(fresh)) if Lock { epoch: earlier.epoch, ..fresh.clone() } == earlier => {
            Ok((earlier, Chosen::Unchanged))
        }
        (_, Ok(fresh)) => Ok((fresh, Chosen::Fresh)),
        (Some(earlier), Err(error)) if earlier.all().into_iter().all(is_stored) => match error.silence() {
            Some(reason) => Ok((earlier, Chosen::Offline { reason: reason.to_owned() })),
            None => Err(error),
        },
        (_, Err(error)) => Err(error),
    }
}

/// What the overlays say of roles and workloads; nothing in an edition without guests.
pub fn catalogue(edition: &Edition, overlays: &Path) -> Result<Catalogue, Error> {
    let none = || Ok(Catalogue::new(&[]).map_err(guest::RolesError::from)?);
    if edition.guests.is_some() { Ok(guest::catalogue(&overlays.join(GUEST_OVERLAYS))?) } else { none() }
}

/// The roles, on an image that has these workloads.
pub fn roles(overlays: &Path, catalogue: &Catalogue, workloads: &[Locked]) -> Vec<Role> {
    guest::roles(&overlays.join(GUEST_OVERLAYS), catalogue, workloads)
}

/// The guests' layers, in an edition that has guests.
fn guests(
    inputs: &base::Inputs<'_>,
    roles: &[Role],
    cache: &Cache,
    supply: &Supply<'_>,
    progress: &Progress,
) -> Result<Option<Layers>, Error> {
    let base::Inputs { edition, lock, overlays, epoch } = *inputs;
    let (Some(base), Some(packages)) = (&edition.guests, &lock.guests) else { return Ok(None) };
    let overlays = &overlays.join(GUEST_OVERLAYS);
    let inputs = layers::Inputs { edition, base, roles, suite: &lock.suite, packages, overlays, epoch };
    Ok(Some(layers::layers(&inputs, cache, supply, progress)?))
}

/// A UUID made from everything the image is made of: version 8 (RFC 9562, 5.8), the rest of the bits from SHA-256.
fn build_id(layers: &[String], edition: &Edition, source: Option<&Description>, epoch: u64) -> String {
    let mut key = Key::new()
        .with("version", VERSION)
        .with("edition", &edition.name)
        .with("product", &edition.product)
        .with("label", &edition.label)
        .with("epoch", epoch.to_string())
        .with("source", source.map(Description::to_string).unwrap_or_default())
        // The menu's text is made by this program alone.
        .with("menu", Menu { edition, version: VERSION, build_id: "" }.render());
    for layer in layers {
        key = key.with("layer", layer);
    }
    let hex = key.finish();
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::ResolveError;
    use crate::tool::ToolError;

    fn lock(epoch: u64, versions: &[&str]) -> Lock {
        let package = |version: &&str| Package {
            name: "a".to_owned(),
            version: (*version).to_owned(),
            architecture: "all".to_owned(),
            archive: "debian".to_owned(),
            path: format!("pool/a_{version}_all.deb"),
            size: 1,
            sha256: "0".repeat(64),
        };
        Lock::new("e", "s", epoch, versions.iter().map(package).collect())
    }

    fn silence() -> Error {
        let source = ToolError::Missing { program: "x".to_owned(), package: "x" };
        ResolveError::Unreachable { reason: "refused".to_owned(), source }.into()
    }

    #[test]
    fn the_same_packages_keep_the_lock_and_its_date() {
        let chosen = choose_lock(Some(lock(1, &["1"])), Ok(lock(2, &["1"])), |_| false).unwrap();
        assert_eq!(chosen, (lock(1, &["1"]), Chosen::Unchanged));
    }

    #[test]
    fn another_version_another_package_or_no_earlier_lock_is_a_fresh_one() {
        for earlier in [None, Some(lock(1, &["1"])), Some(lock(1, &["2", "3"])), Some(lock(1, &[]))] {
            let chosen = choose_lock(earlier, Ok(lock(2, &["2"])), |_| true).unwrap();
            assert_eq!(chosen, (lock(2, &["2"]), Chosen::Fresh));
        }
    }

    #[test]
    fn a_silent_mirror_is_done_without_only_where_every_package_is_here() {
        let chosen = choose_lock(Some(lock(1, &["1", "2"])), Err(silence()), |_| true).unwrap();
        assert_eq!(chosen, (lock(1, &["1", "2"]), Chosen::Offline { reason: "refused".to_owned() }));
        assert!(choose_lock(Some(lock(1, &["1", "2"])), Err(silence()), |package| package.version == "1").is_err());
        assert!(choose_lock(None, Err(silence()), |_| true).is_err());
        let wrong = ResolveError::Answer { line: String::new() };
        assert!(choose_lock(Some(lock(1, &["1"])), Err(wrong.into()), |_| true).is_err());
    }
}
