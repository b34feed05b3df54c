//! storage.cfg: which storages there are, for every node of a cluster.

use crate::names::{self, NameError};
use crate::pmxcfs::storage_words;
use crate::section::{self, Section};

/// The storage every node has; Proxmox puts a default in its place if it is anything but a directory at [`LOCAL_PATH`].
pub const LOCAL: &str = "local";
/// Where `local` is.
pub const LOCAL_PATH: &str = "/var/lib/vz";

/// What may be kept on a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Disks of virtual machines.
    Images,
    /// Volumes of containers.
    Rootdir,
    /// Templates of containers.
    Vztmpl,
    /// Images of installation media.
    Iso,
    /// Backups of guests.
    Backup,
    /// Hook scripts and cloud-init's files.
    Snippets,
    /// Disks and appliances to be imported.
    Import,
}

impl Content {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Images, Self::Rootdir, Self::Vztmpl, Self::Iso, Self::Backup, Self::Snippets, Self::Import];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Rootdir => "rootdir",
            Self::Vztmpl => "vztmpl",
            Self::Iso => "iso",
            Self::Backup => "backup",
            Self::Snippets => "snippets",
            Self::Import => "import",
        }
    }
}

/// What a storage is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// A directory.
    Dir {
        /// Its path.
        path: String,
    },
    /// Thin volumes.
    LvmThin {
        /// The volume group.
        vg: String,
        /// The thin pool in it.
        pool: String,
    },
    /// Thick volumes.
    Lvm {
        /// The volume group.
        vg: String,
    },
}

/// A storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its name, the first part of a volume's.
    pub id: String,
    /// What it is made of.
    pub backend: Backend,
    /// What may be kept on it, in the order in which it is written.
    pub content: Vec<Content>,
}

/// Why there is no such file, or none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// A name that Proxmox does not take.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An id that is there twice.
    #[error("the storage `{0}` is there twice: give each an id of its own")]
    Duplicate(String),
    /// A path that Proxmox does not take.
    #[error("`{0}` is no path of a storage: write an absolute one of letters, digits and `/ . _ - @`, without `..`")]
    Path(String),
    /// `local` is missing or something else.
    #[error("the storage `{LOCAL}` must be a directory at {LOCAL_PATH}: otherwise Proxmox puts a default in its place")]
    Local,
    /// Nothing may be kept there, or the same twice.
    #[error("the storage `{0}` needs at least one kind of content, and each only once")]
    Content(String),
    /// LVM holds volumes only.
    #[error("the storage `{id}` cannot hold {word}: LVM holds images and rootdir only", word = content.word())]
    Unsupported {
        /// The storage.
        id: String,
        /// What it cannot hold.
        content: Content,
    },
    /// In a file: something that is not read as it was meant.
    #[error("storage.cfg: {0}: correct the line")]
    Line(String),
}

/// The file.
///
/// # Errors
/// [`StorageError`].
pub fn storage_cfg(storages: &[Storage]) -> Result<String, StorageError> {
    let mut text = String::new();
    for (index, storage) in storages.iter().enumerate() {
        validate(storage)?;
        if storages.iter().take(index).any(|earlier| earlier.id == storage.id) {
            return Err(StorageError::Duplicate(storage.id.clone()));
        }
        let content = storage.content.iter().map(|content| content.word()).collect::<Vec<_>>().join(",");
        let content = ("content", content.as_str());
        let id = &storage.id;
        text.push_str(&match &storage.backend {
            Backend::Dir { path } => section::write("dir", id, &[("path", path), content]),
            Backend::LvmThin { vg, pool } => {
                section::write("lvmthin", id, &[("thinpool", pool), ("vgname", vg), content])
            }
            Backend::Lvm { vg } => section::write("lvm", id, &[("vgname", vg), content]),
        });
    }
    if storages.iter().any(|storage| storage.id == LOCAL) { Ok(text) } else { Err(StorageError::Local) }
}

fn validate(storage: &Storage) -> Result<(), StorageError> {
    names::storage(&storage.id)?;
    let mut sorted = storage.content.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() || sorted.len() != storage.content.len() {
        return Err(StorageError::Content(storage.id.clone()));
    }
    match &storage.backend {
        Backend::Dir { path } => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-@".contains(&b);
            if !path.starts_with('/') || !path.bytes().all(plain) || path.split('/').any(|part| part == "..") {
                return Err(StorageError::Path(path.clone()));
            }
        }
        Backend::LvmThin { vg, pool } => {
            names::volume(vg)?;
            names::volume(pool)?;
        }
        Backend::Lvm { vg } => names::volume(vg)?,
    }
    let is_local = matches!(&storage.backend, Backend::Dir { path } if path == LOCAL_PATH);
    if storage.id == LOCAL && !is_local {
        return Err(StorageError::Local);
    }
    let block = !matches!(storage.backend, Backend::Dir { .. });
    let volume = |content: &Content| matches!(content, Content::Images | Content::Rootdir);
    match storage.content.iter().find(|content| block && !volume(content)) {
        Some(content) => Err(StorageError::Unsupported { id: storage.id.clone(), content: *content }),
        None => Ok(()),
    }
}

/// Reads a file of these three types back, and refuses whatever Proxmox would read otherwise than it was meant.
///
/// # Errors
/// [`StorageError`].
pub fn parse_storage_cfg(text: &str) -> Result<Vec<Storage>, StorageError> {
    let (sections, skipped) = section::parse(text);
    if let Some(skipped) = skipped.first() {
        return Err(StorageError::Line(skipped.to_string()));
    }
    let storages: Vec<Storage> = sections.iter().map(storage).collect::<Result<_, _>>()?;
    storage_cfg(&storages).map(|_| storages)
}

fn storage(section: &Section) -> Result<Storage, StorageError> {
    let line = |what: String| StorageError::Line(format!("line {}: {what}", section.line));
    let value =
        |key: &str| section.get(key).map(str::to_owned).ok_or_else(|| line(format!("`{}` has no `{key}`", section.id)));
    let (backend, keys): (_, &[&str]) = match section.kind.as_str() {
        "dir" => (Backend::Dir { path: value("path")? }, &["path", "content"]),
        "lvmthin" => {
            (Backend::LvmThin { vg: value("vgname")?, pool: value("thinpool")? }, &["vgname", "thinpool", "content"])
        }
        "lvm" => (Backend::Lvm { vg: value("vgname")? }, &["vgname", "content"]),
        other => return Err(line(format!("unknown type `{other}`"))),
    };
    if let Some(entry) = section.entries.iter().find(|entry| !keys.contains(&entry.key.as_str())) {
        return Err(StorageError::Line(format!("line {}: unknown key `{}`", entry.line, entry.key)));
    }
    let content = value("content")?;
    let word = |word: &str| {
        let known = Content::ALL.into_iter().find(|content| content.word() == word);
        known.ok_or_else(|| line(format!("unknown content `{word}`")))
    };
    let content = storage_words(&content).map(word).collect::<Result<_, _>>()?;
    Ok(Storage { id: section.id.clone(), backend, content })
}
