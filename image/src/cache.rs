//! Layers kept by what they are made of: a folder named by the hash of all inputs is never made twice.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{FlockOperation, flock};

use crate::hash::is_lower_hex;
use crate::progress::Progress;

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be read or written.
    #[error("cannot use the cache: {path}; give another folder with --cache, or delete this one")]
    File {
        /// The cache, or what in it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its path means something else to a program.
    #[error(
        "the path of the cache, {path:?}, has the character {character:?}, which a shell or APT's lists would take for something \
         else; give a path of letters, digits and /._-+@=, with --cache"
    )]
    Path {
        /// The cache.
        path: PathBuf,
        /// The first character that must not be in it.
        character: char,
    },
}

/// The folder of the cache, which one build uses at a time.
pub struct Cache {
    folder: PathBuf,
    /// Holds the lock; the kernel gives it up with the process, however that ends.
    _lock: File,
}

/// Digits of a key in the name of a layer: 64 bits of a SHA-256 tell apart more layers than a disk can hold.
const KEY_DIGITS: usize = 16;
/// What the folders of unfinished layers are called.
const SCRATCH: &str = "scratch-";

/// A finished folder in the cache.
pub struct Layer(PathBuf);

impl Layer {
    /// Kind and key of the layer: stands for its content in the keys of others.
    pub fn name(&self) -> String {
        self.0.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Cache {
    /// The cache in this folder, made if it is missing. Waits for another build that uses it, and removes what builds that were
    /// stopped left behind.
    pub fn open(folder: &Path, progress: &Progress) -> Result<Self, CacheError> {
        let failed = |source| CacheError::File { path: folder.into(), source };
        // The path ends up in mmdebstrap's hooks, in a sources.list and in an apt.conf; each would want another quoting.
        let whole = std::path::absolute(folder).map_err(failed)?;
        safe(&whole)?;
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        safe(&folder)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            progress.say(&format!("waiting for another build that uses {}", folder.display()));
            flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        }
        let cache = Self { folder, _lock: lock };
        cache.forget(|name| name.starts_with(SCRATCH)).map_err(failed)?;
        Ok(cache)
    }

    /// Folder of the package files.
    pub fn packages(&self) -> PathBuf {
        self.folder.join("packages")
    }

    /// Folder of workloads' images.
    pub fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// Folder of APT's lists.
    pub fn apt(&self) -> PathBuf {
        self.folder.join("apt")
    }

    /// Folder of APT's lists of a source that is looked at alone.
    pub fn apt_source(&self) -> PathBuf {
        self.folder.join("apt-source")
    }

    /// Folder for what is put together and thrown away.
    pub fn scratch(&self) -> Result<tempfile::TempDir, CacheError> {
        tempfile::Builder::new()
            .prefix(SCRATCH)
            .tempdir_in(&self.folder)
            .map_err(|source| CacheError::File { path: self.folder.clone(), source })
    }

    /// The layer `kind` of this key: as it is, or made by `make` in an empty folder, which gets its name only when all went
    /// well. Older layers of the same kind are removed: one build needs one of each.
    pub fn layer<E: From<CacheError>>(
        &self,
        kind: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Layer, E> {
        let name = format!("{kind}-{}", &key[..KEY_DIGITS]);
        let path = self.folder.join(&name);
        if !path.is_dir() {
            let scratch = self.scratch()?;
            let failed = |source| CacheError::File { path: path.clone(), source };
            // mmdebstrap's hooks run under other users where the build is rootless, and must be able to look inside.
            fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).map_err(failed)?;
            make(scratch.path())?;
            fs::rename(scratch.keep(), &path).map_err(failed)?;
            self.forget(|other| other != name && is_layer(other, kind)).map_err(failed)?;
        }
        Ok(Layer(path))
    }

    /// Removes the folders whose names are meant.
    fn forget(&self, meant: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if meant(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Is this the name of a layer of this kind? A kind may be the beginning of another one: `guest`, `guest-edge`.
fn is_layer(name: &str, kind: &str) -> bool {
    let key = name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
    key.is_some_and(|key| key.len() == KEY_DIGITS && key.bytes().all(is_lower_hex))
}

fn safe(path: &Path) -> Result<(), CacheError> {
    // What is not UTF-8 becomes U+FFFD, which is not among them either.
    let text = path.to_string_lossy();
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"/._-+@=,".contains(*c)) {
        Some(character) => Err(CacheError::Path { path: path.into(), character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_take_apart_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["with space", "a;b", "$HOME", "it's", "[x]", "sched\u{f6}n"] {
            let folder = dir.path().join(name);
            let refused = Cache::open(&folder, &Progress::default()).err();
            assert!(matches!(refused, Some(CacheError::Path { .. })), "{name}");
            assert!(!folder.exists(), "{name}");
        }
        // Where a link leads counts too.
        let real = dir.path().join("with space");
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
        let refused = Cache::open(&dir.path().join("link"), &Progress::default()).err();
        assert!(matches!(refused, Some(CacheError::Path { character: ' ', .. })));
    }

    fn write(text: &'static str) -> impl FnOnce(&Path) -> Result<(), CacheError> {
        move |folder| {
            fs::write(folder.join("f"), text).map_err(|source| CacheError::File { path: folder.into(), source })
        }
    }

    #[test]
    fn a_layer_is_made_once_for_a_key_and_replaces_older_ones() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), &Progress::default()).unwrap();
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let first = cache.layer("kind", &one, write("first")).unwrap();
        let again = cache.layer("kind", &one, write("never")).unwrap();
        assert_eq!(fs::read_to_string(again.path("f")).unwrap(), "first");
        cache.layer("kind", &two, write("second")).unwrap();
        assert!(!first.path("f").exists());
    }

    #[test]
    fn a_kind_whose_name_begins_like_another_replaces_none_of_its_layers() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), &Progress::default()).unwrap();
        let keys = ["1", "2"].map(|digit| digit.repeat(64));
        let edge = cache.layer("guest-edge", &keys[0], write("edge")).unwrap();
        for key in &keys {
            cache.layer("guest", key, write("base")).unwrap();
        }
        assert_eq!(fs::read_to_string(edge.path("f")).unwrap(), "edge");
        assert_eq!(names(dir.path()), ["guest-2222222222222222", "guest-edge-1111111111111111", "lock"]);
    }

    #[test]
    fn a_layer_that_failed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), &Progress::default()).unwrap();
        let failing = |folder: &Path| {
            fs::write(folder.join("half"), "").unwrap();
            Err(CacheError::File { path: folder.into(), source: io::Error::other("stopped") })
        };
        assert!(cache.layer("kind", &"1".repeat(64), failing).is_err());
        assert_eq!(names(dir.path()), ["lock"]);
    }

    #[test]
    fn what_a_killed_build_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("scratch-x/half")).unwrap();
        fs::create_dir(dir.path().join("kind-1")).unwrap();
        Cache::open(dir.path(), &Progress::default()).unwrap();
        assert_eq!(names(dir.path()), ["kind-1", "lock"]);
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
