//! The lock file of workloads: exactly which image each workload is, by digest. It names no mirror.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sovereign_model::role::{Catalogue, Name};
use sovereign_model::workload::{Reference, Workload};
use toml::Spanned;

use super::error::WorkloadError;
use super::manifest::Digest;

/// Where the lock file is unless another one is named.
pub const DEFAULT_PATH: &str = "image/workloads.lock";
/// Format of the lock file.
const VERSION: u32 = 1;

/// One workload's image, to the bit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The role that runs it.
    pub role: Name,
    /// The workload's name.
    pub name: Name,
    /// What was resolved: the reference of its workload.toml.
    pub image: Reference,
    /// Digest of the manifest for linux/amd64.
    pub digest: Digest,
    /// Bytes of the manifest and all blobs.
    pub size: u64,
}

impl Locked {
    /// Role and name, as the medium's folders are called.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.role, self.name)
    }

    /// What is wrong with this entry, given those before it.
    fn problem<'l>(&self, catalogue: &Catalogue, mut before: impl Iterator<Item = &'l Self>) -> Option<String> {
        let workload = catalogue.workload(self.role.as_str(), self.name.as_str());
        if before.any(|other| other.folder() == self.folder()) {
            return Some("is locked twice".to_owned());
        }
        match workload {
            None => Some("is that of no role in the overlays".to_owned()),
            Some(Workload { image, .. }) if *image != self.image => {
                Some(format!("is locked as {}, its workload.toml says {image}", self.image))
            }
            Some(_) => None,
        }
    }
}

/// The file, as it is written.
#[derive(Serialize)]
struct Written<'l> {
    version: u32,
    workloads: &'l [Locked],
}

/// The file, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: Spanned<u32>,
    #[serde(default)]
    workloads: Vec<Spanned<Locked>>,
}

/// What a build without a lock of its own takes: the workloads of the named file, else those of the usual one if it is there.
pub fn chosen(named: Option<&Path>, catalogue: &Catalogue) -> Result<Vec<Locked>, WorkloadError> {
    match named {
        Some(path) => read(path, catalogue),
        // Without guests nobody could run them.
        None if catalogue.workloads().is_empty() || !Path::new(DEFAULT_PATH).exists() => Ok(Vec::new()),
        None => read(Path::new(DEFAULT_PATH), catalogue),
    }
}

/// Reads a lock file and compares it with the workloads there are.
fn read(path: &Path, catalogue: &Catalogue) -> Result<Vec<Locked>, WorkloadError> {
    let text = fs::read_to_string(path).map_err(|source| WorkloadError::Read { path: path.into(), source })?;
    parse(&text, path, catalogue)
}

fn parse(text: &str, path: &Path, catalogue: &Catalogue) -> Result<Vec<Locked>, WorkloadError> {
    let place = |byte: usize| {
        let before = text.get(..byte).unwrap_or(text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{}:{column}", path.display(), before.matches('\n').count() + 1)
    };
    let raw: Raw = toml::from_str(text).map_err(|error| WorkloadError::Parse {
        place: place(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    if *raw.version.as_ref() != VERSION {
        let message =
            format!("version {} of the lock file is not known here, which is {VERSION}", raw.version.as_ref());
        return Err(WorkloadError::Parse { place: place(raw.version.span().start), message });
    }
    for (at, entry) in raw.workloads.iter().enumerate() {
        let before = raw.workloads[..at].iter().map(AsRef::as_ref);
        if let Some(problem) = entry.as_ref().problem(catalogue, before) {
            let (place, workload) = (place(entry.span().start), entry.as_ref().folder());
            return Err(WorkloadError::Entry { place, workload, problem });
        }
    }
    let mut locked: Vec<Locked> = raw.workloads.into_iter().map(Spanned::into_inner).collect();
    locked.sort();
    Ok(locked)
}

/// Compares the workloads of a build's own lock file with those there are.
pub fn check(locked: &[Locked], path: &Path, catalogue: &Catalogue) -> Result<(), WorkloadError> {
    for (at, entry) in locked.iter().enumerate() {
        if let Some(problem) = entry.problem(catalogue, locked[..at].iter()) {
            let (place, workload) = (path.display().to_string(), entry.folder());
            return Err(WorkloadError::Entry { place, workload, problem });
        }
    }
    Ok(())
}

/// The workloads of each role that are not locked, by name, in the order in which the role names them.
pub fn left_out(catalogue: &Catalogue, locked: &[Locked]) -> BTreeMap<String, Vec<String>> {
    let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for workload in catalogue.workloads() {
        if !locked.iter().any(|entry| (&entry.role, &entry.name) == (&workload.role, &workload.name)) {
            left_out.entry(workload.role.to_string()).or_default().push(workload.name.to_string());
        }
    }
    left_out
}

/// Writes a lock file, sorted; the file that was there stays until the new one is whole.
pub fn write(locked: &mut [Locked], path: &Path) -> Result<(), WorkloadError> {
    locked.sort();
    let head = "# Made by `sovereign-image workloads lock`: the image of each workload by digest. Not to be edited.\n";
    let text = format!("{head}{}", toml::to_string(&Written { version: VERSION, workloads: locked })?);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        fs::create_dir_all(folder)?;
        // Else as any new file: what the umask leaves.
        let permissions = Permissions::from_mode(0o666);
        let mut partial =
            tempfile::Builder::new().prefix(".workloads.").permissions(permissions).tempfile_in(folder)?;
        partial.write_all(text.as_bytes())?;
        partial.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| WorkloadError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(role: &str, name: &str) -> Locked {
        let catalogue = Catalogue::shipped().unwrap();
        let workload = catalogue.workload(role, name).unwrap();
        let digest = Digest::of(name.as_bytes());
        Locked {
            role: workload.role.clone(),
            name: workload.name.clone(),
            image: workload.image.clone(),
            digest,
            size: 7,
        }
    }

    /// Text of a lock file of these workloads.
    fn text(mut entries: Vec<Locked>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/workloads.lock");
        write(&mut entries, &path).unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::read_to_string(path).unwrap()
    }

    fn parse(text: &str) -> Result<Vec<Locked>, String> {
        super::parse(text, Path::new("w.lock"), Catalogue::shipped().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_back_sorted() {
        let (edge, storage) = (locked("edge", "traefik"), locked("storage", "nextcloud"));
        let written = text(vec![storage.clone(), edge.clone()]);
        assert_eq!(written, text(vec![edge.clone(), storage.clone()]));
        assert!(written.contains("\nversion = 1\n\n[[workloads]]\nrole = \"edge\"\n"), "{written}");
        assert_eq!(parse(&written), Ok(vec![edge, storage]));
        assert_eq!(parse("version = 1\n"), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = text(vec![locked("edge", "traefik")]);
        let refused = |from: &str, to: &str, wanted: &str| {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let said = parse(&text).unwrap_err();
            assert!(said.starts_with(wanted) && said.contains("`sovereign-image workloads lock`"), "{said}");
        };
        refused("version = 1", "version = 2", "w.lock:2:11: version 2 of the lock file is not known here");
        refused("version = 1\n", "", "w.lock:1:1: missing field `version`");
        refused("[[workloads]]", "[[workloads]", "w.lock:4:");
        refused("size = 7", "size = -7", "w.lock:9:8: invalid value");
        refused("size = 7", "colour = 7", "w.lock:9:1: unknown field `colour`");
        refused("\"sha256:", "\"sha512:", "w.lock:8:10: `sha512:");
        refused("\"edge\"", "\"../edge\"", "w.lock:5:8: `../edge` is not possible here");
        refused("\"traefik\"", "\"nginx\"", "w.lock:4:1: the workload `edge/nginx` is that of no role");
        let stale = format!(
            "w.lock:4:1: the workload `edge/traefik` is locked as docker.io/library/traefik:v0, its workload.toml \
                             says {}: lock again",
            locked("edge", "traefik").image
        );
        let said = parse(&good.replace(&format!(":{}\"", locked("edge", "traefik").image.tag()), ":v0\"")).unwrap_err();
        assert!(said.starts_with(&stale), "{said}");
        let twice = format!("{good}{}", good.split_once("version = 1\n").unwrap().1);
        assert!(parse(&twice).unwrap_err().starts_with("w.lock:11:1: the workload `edge/traefik` is locked twice"));
    }

    #[test]
    fn what_is_not_locked_is_left_out() {
        let catalogue = Catalogue::shipped().unwrap();
        let none = left_out(catalogue, &[]);
        assert_eq!(none["edge"], ["traefik"]);
        assert_eq!(none.values().flatten().count(), catalogue.workloads().len());
        let rest = left_out(catalogue, &[locked("edge", "traefik"), locked("core", "matrix")]);
        assert!(!rest.contains_key("edge") && !rest["core"].contains(&"matrix".to_owned()));
        assert_eq!(rest["storage"], none["storage"]);
    }
}
