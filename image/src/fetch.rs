//! The store of package files: each under its own SHA-256, downloaded once, checked before it is used.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io, thread};

use crate::hash;
use crate::lock::Package;
use crate::mirror::{MirrorError, Mirrors};
use crate::progress::Progress;
use crate::tool::{Call, Tool, ToolError};

/// How many files one run of the downloader fetches: enough to use a connection well, few enough for a command line.
const BATCH: usize = 64;

/// Why a package is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store cannot be read or written.
    #[error("cannot use the package store: {path}")]
    Store {
        /// What was read or written.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The mirror no longer has this version.
    #[error(
        "{name} {version} is no longer on the mirror (not found: {path}): a newer version has replaced it. Make the lock file \
         anew with `sovereign-image lock`, or point --mirror at an archive that keeps old versions"
    )]
    Gone {
        /// Package name.
        name: String,
        /// Its version.
        version: String,
        /// Path inside the archive.
        path: String,
    },
    /// What came is not what was locked.
    #[error(
        "{name} {version} from the mirror is not the locked file: {found_bytes} bytes with SHA-256 {found}, wanted \
         {wanted_bytes} bytes with {wanted}. The file was altered or cut short on the way; nothing was built from it"
    )]
    Mismatch {
        /// Package name.
        name: String,
        /// Its version.
        version: String,
        /// SHA-256 of what came.
        found: String,
        /// Its length.
        found_bytes: u64,
        /// SHA-256 in the lock file.
        wanted: String,
        /// Length in the lock file.
        wanted_bytes: u64,
    },
    /// The downloader failed otherwise.
    #[error("cannot download packages")]
    Download(#[from] ToolError),
}

/// A folder of package files named by their SHA-256.
pub struct Store(PathBuf);

impl Store {
    /// The store in this folder, made if it is missing.
    pub fn open(folder: &Path) -> Result<Self, FetchError> {
        let partial = folder.join("partial");
        fs::create_dir_all(&partial).map_err(|source| FetchError::Store { path: partial, source })?;
        let folder = fs::canonicalize(folder).map_err(|source| FetchError::Store { path: folder.into(), source })?;
        Ok(Self(folder))
    }

    /// Where the file of this package is.
    pub fn file(&self, package: &Package) -> PathBuf {
        self.0.join(format!("{}.deb", package.sha256))
    }

    fn partial(&self, package: &Package) -> PathBuf {
        self.0.join("partial").join(&package.sha256)
    }

    /// Downloads what is missing; afterwards every one of the packages is in the store, checked. A file gets its name in the store
    /// only after its hash was found right.
    pub fn fetch<'p>(
        &self,
        packages: impl IntoIterator<Item = &'p Package>,
        mirrors: &Mirrors,
        progress: &Progress,
    ) -> Result<(), FetchError> {
        let missing: Vec<&Package> = packages.into_iter().filter(|package| !self.file(package).exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let total = missing.iter().map(|package| package.size).sum();
        let task = progress.bytes(&format!("downloading {} packages", missing.len()), total);
        let mut done = 0;
        for batch in missing.chunks(BATCH) {
            self.download(batch, mirrors, &|partial| task.at(done + partial))?;
            for package in batch {
                self.admit(package)?;
                done += package.size;
            }
            task.at(done);
        }
        Ok(())
    }

    /// Downloads into the partial folder with APT's own downloader, so that proxies and credentials of the host apply.
    fn download(&self, batch: &[&Package], mirrors: &Mirrors, report: &dyn Fn(u64)) -> Result<(), FetchError> {
        let mut call = Call::new(Tool::AptHelper).args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"]);
        call = call.args(mirrors.apt_options()).arg("download-file");
        for package in batch {
            // A leftover of another run would be resumed, whatever it holds.
            let partial = self.partial(package);
            if partial.exists() {
                fs::remove_file(&partial).map_err(|source| FetchError::Store { path: partial.clone(), source })?;
            }
            let url = format!("{}{}", mirrors.base(&package.archive)?, package.path);
            call = call.arg(url).arg(&partial).arg(format!("SHA256:{}", package.sha256));
        }
        let mut child = call
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| call.cannot_start(source))?;
        let mut errors = child.stderr.take();
        let reader =
            thread::spawn(move || errors.as_mut().map(io::read_to_string).and_then(Result::ok).unwrap_or_default());
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|source| call.cannot_start(source))? {
                break status;
            }
            report(batch.iter().filter_map(|package| fs::metadata(self.partial(package)).ok()).map(|m| m.len()).sum());
            thread::sleep(Duration::from_millis(100));
        };
        let said = reader.join().unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        // What does not fit its hash is kept under another name.
        let rejected = |package: &Package| hash::file(&self.partial(package).with_extension("FAILED")).ok();
        Err(explain(batch, &said, rejected).unwrap_or_else(|| call.failed(status, &said).into()))
    }

    /// Checks a downloaded file and gives it its name in the store.
    fn admit(&self, package: &Package) -> Result<(), FetchError> {
        let partial = self.partial(package);
        let store = |source| FetchError::Store { path: partial.clone(), source };
        let (found, found_bytes) = hash::file(&partial).map_err(store)?;
        if found != package.sha256 || found_bytes != package.size {
            return Err(mismatch(package, found, found_bytes));
        }
        fs::rename(&partial, self.file(package)).map_err(store)
    }

    /// The control record of a package, kept beside its file.
    pub fn control(&self, package: &Package) -> Result<String, FetchError> {
        let path = self.0.join(format!("{}.control", package.sha256));
        // A record that was cut short, by a full disk perhaps, is made again.
        if let Some(text) = fs::read_to_string(&path).ok().filter(|text| is_control(text, package)) {
            return Ok(text);
        }
        let text = Call::new(Tool::DpkgDeb).arg("--field").arg(self.file(package)).text()?;
        let partial = self.partial(package).with_extension("control");
        fs::write(&partial, &text)
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|source| FetchError::Store { path, source })?;
        Ok(text)
    }
}

/// Where layers get their packages from. Several may ask at once; they are served one after the other, so that a package that two of them
/// want is downloaded once.
pub struct Supply<'a> {
    folder: PathBuf,
    mirrors: Mutex<Box<dyn Fn() -> Result<Mirrors, MirrorError> + Send + 'a>>,
    progress: &'a Progress,
}

impl<'a> Supply<'a> {
    /// A supply that keeps packages in this folder. `mirrors` is asked when a layer has to be made.
    pub fn new(
        folder: PathBuf,
        mirrors: impl Fn() -> Result<Mirrors, MirrorError> + Send + 'a,
        progress: &'a Progress,
    ) -> Self {
        Self { folder, mirrors: Mutex::new(Box::new(mirrors)), progress }
    }

    /// The store, with all of these packages in it.
    pub fn with(&self, packages: &[Package]) -> Result<Store, FetchError> {
        let mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let store = Store::open(&self.folder)?;
        store.fetch(packages, &mirrors()?, self.progress)?;
        Ok(store)
    }
}

/// Is this the whole control record of the package? dpkg-deb ends it with a line feed.
fn is_control(text: &str, package: &Package) -> bool {
    let names = |line: &str| line.strip_prefix("Package:").map(str::trim) == Some(&package.name);
    text.ends_with('\n') && text.lines().any(names)
}

fn mismatch(package: &Package, found: String, found_bytes: u64) -> FetchError {
    FetchError::Mismatch {
        name: package.name.clone(),
        version: package.version.clone(),
        found,
        found_bytes,
        wanted: package.sha256.clone(),
        wanted_bytes: package.size,
    }
}

/// What apt-helper (2.6) meant: a line on standard error names the address and the reason.
fn explain(batch: &[&Package], said: &str, rejected: impl Fn(&Package) -> Option<(String, u64)>) -> Option<FetchError> {
    let blamed = |reasons: &[&str]| {
        said.lines().filter(|line| line.starts_with("E: Failed to fetch ")).find_map(|line| {
            let package = batch.iter().find(|package| line.contains(&package.path))?;
            reasons.iter().any(|reason| line.contains(reason)).then_some(*package)
        })
    };
    // HTTP, and folders by file: and copy:.
    if let Some(package) = blamed(&["  404  ", "No such file or directory", "File not found"]) {
        return Some(FetchError::Gone {
            name: package.name.clone(),
            version: package.version.clone(),
            path: package.path.clone(),
        });
    }
    let package = blamed(&["Hash Sum mismatch", "unexpected size"])?;
    let (found, found_bytes) = rejected(package).unwrap_or_else(|| ("unknown".to_owned(), 0));
    Some(mismatch(package, found, found_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, content: &[u8]) -> Package {
        Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            archive: "debian".to_owned(),
            path: format!("pool/{name}_1_all.deb"),
            size: content.len() as u64,
            sha256: hash::bytes(content),
        }
    }

    /// A mirror that is a folder, and a store, in one temporary folder.
    fn fetch(packages: &[Package], dir: &Path) -> (Store, Result<(), FetchError>) {
        fs::create_dir_all(dir.join("mirror/pool")).unwrap();
        fs::write(dir.join("mirror/pool/good_1_all.deb"), "good").unwrap();
        fs::write(dir.join("mirror/pool/altered_1_all.deb"), "altered").unwrap();
        let base = format!("copy:{}", dir.join("mirror").display());
        let mirrors = Mirrors::discover(&[format!("debian={base}"), format!("debian-security={base}")]).unwrap();
        let store = Store::open(&dir.join("store")).unwrap();
        let result = store.fetch(packages, &mirrors, &Progress::default());
        (store, result)
    }

    #[test]
    fn a_package_is_fetched_once_and_kept_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let good = package("good", b"good");
        let (store, result) = fetch(std::slice::from_ref(&good), dir.path());
        result.unwrap();
        assert_eq!(fs::read(store.file(&good)).unwrap(), b"good");
        fs::remove_dir_all(dir.path().join("mirror")).unwrap();
        let (_, again) = fetch(&[good], dir.path());
        again.unwrap();
    }

    #[test]
    fn an_altered_package_never_gets_into_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = package("altered", b"as locked");
        let (store, result) = fetch(std::slice::from_ref(&wanted), dir.path());
        let error = result.unwrap_err();
        assert!(
            matches!(&error, FetchError::Mismatch { found, found_bytes: 7, .. } if *found == hash::bytes(b"altered")),
            "{error}"
        );
        assert!(!store.file(&wanted).exists());
    }

    #[test]
    fn a_stored_record_that_is_cut_short_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let record = "Package: good\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: y\n";
        fs::write(tree.join("DEBIAN/control"), record).unwrap();
        let deb = dir.path().join("good.deb");
        Call::new(Tool::DpkgDeb).args(["--root-owner-group", "--build"]).arg(&tree).arg(&deb).run().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let good = package("good", &fs::read(&deb).unwrap());
        fs::copy(&deb, store.file(&good)).unwrap();
        let stored = store.0.join(format!("{}.control", good.sha256));
        for earlier in [None, Some(""), Some("Vers"), Some("Package: good\nVersi"), Some("Package: other\n")] {
            if let Some(earlier) = earlier {
                fs::write(&stored, earlier).unwrap();
            }
            assert_eq!(store.control(&good).unwrap(), record, "{earlier:?}");
            assert_eq!(fs::read_to_string(&stored).unwrap(), record, "{earlier:?}");
        }
        assert_eq!(fs::read_dir(store.0.join("partial")).unwrap().count(), 0);
    }

    #[test]
    fn a_package_that_is_gone_says_lock_again() {
        let dir = tempfile::tempdir().unwrap();
        let (_, result) = fetch(&[package("good", b"good"), package("gone", b"gone")], dir.path());
        let error = result.unwrap_err();
        assert!(matches!(&error, FetchError::Gone { name, .. } if name == "gone"), "{error}");
        assert!(error.to_string().contains("`sovereign-image lock`"));
    }

    #[test]
    fn what_apt_helper_says_over_http_is_understood() {
        // apt-helper 2.6.1
        let said = "E: Failed to fetch http://m.test/pool/a404_1_all.deb  Hash Sum mismatch\n   Hashes of expected file:\n\
                    E: Failed to fetch http://m.test/pool/b_1_all.deb  404  File not found [IP: 127.0.0.1 80]\n\
                    E: Download Failed\n";
        let (a, b) = (package("a404", b"a"), package("b", b"b"));
        let gone = explain(&[&a, &b], said, |_| None);
        assert!(matches!(gone, Some(FetchError::Gone { name, .. }) if name == "b"));
        let mismatch = explain(&[&a], said, |_| None);
        assert!(matches!(mismatch, Some(FetchError::Mismatch { name, .. }) if name == "a404"));
        assert!(explain(&[&a], "E: Could not resolve host\n", |_| None).is_none());
    }
}
