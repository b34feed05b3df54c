//! A tree of directories and files that pmxcfs will load as it is.

use std::collections::BTreeMap;

use crate::guest::{Guest, GuestError};
use crate::names::{self, NameError};

use super::read::{Database, Placed};
use super::{FILE_MAX, NAME_MAX, VERSION_NAME, VIRTUAL_NAMES, paths};

/// Why something cannot be put into a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A part of the path is empty, `.`, `..`, too long or holds control characters.
    #[error(
        "`{path}` has a part that is no name: each part between slashes needs 1 to 255 bytes without control characters, and not `.` or `..`"
    )]
    Name {
        /// The path, control characters escaped.
        path: String,
    },
    /// pmxcfs makes this name itself, or keeps its version there.
    #[error("`{0}` cannot be stored: pmxcfs makes an entry of that name itself; choose another name")]
    Reserved(String),
    /// There is no such directory yet.
    #[error("`{path}` has no directory to be in: add the directory `{parent}` first")]
    NoParent {
        /// What was to be added.
        path: String,
        /// What is missing.
        parent: String,
    },
    /// The parent is a file.
    #[error("`{path}` cannot be added: `{parent}` is a file, not a directory")]
    ParentIsFile {
        /// What was to be added.
        path: String,
        /// The file.
        parent: String,
    },
    /// The path is taken.
    #[error("`{0}` is there already: each name can be in a directory once")]
    Duplicate(String),
    /// In a database: of an unknown type.
    #[error("`{0}` is neither a file nor a directory: check the database first")]
    Kind(String),
    /// A file above 1 MiB.
    #[error("`{path}` has {size} bytes: pmxcfs keeps files of at most {FILE_MAX} bytes; keep it outside /etc/pve")]
    TooLarge {
        /// The file.
        path: String,
        /// Its length, bytes.
        size: usize,
    },
    /// A directory below `nodes` that is named like no node.
    #[error("`{path}` is no node: pmxcfs looks for guests of nodes only")]
    Node {
        /// The directory.
        path: String,
        /// The rule.
        #[source]
        source: NameError,
    },
    /// pmxcfs refuses to start with a file of this name.
    #[error("`{0}` must be a directory: guests are kept in it")]
    GuestDirectory(String),
    /// Among guests, a `.conf` that belongs to no guest.
    #[error("`{path}` is no guest's: name it after a number from {min} to {max}, such as `100.conf`", min = names::VMID_MIN, max = names::VMID_MAX)]
    GuestName {
        /// The file.
        path: String,
    },
    /// The number belongs to another guest.
    #[error(
        "`{path}` has the number of `{other}`: pmxcfs refuses to start with two guests of one number; choose another"
    )]
    SameVmid {
        /// What was to be added.
        path: String,
        /// Who has the number.
        other: String,
    },
    /// The guest contradicts itself.
    #[error(transparent)]
    Guest(GuestError),
}

/// The top-level files of a node that has just been installed.
#[derive(Debug, Clone, Copy)]
pub struct Initial<'a> {
    /// `datacenter.cfg`.
    pub datacenter_cfg: &'a str,
    /// `user.cfg`.
    pub user_cfg: &'a str,
    /// `storage.cfg`.
    pub storage_cfg: &'a str,
}

/// A tree. Each entry's directory comes before it, and all comes in the order of the paths' bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Path, and contents of a file or `None` for a directory.
    entries: BTreeMap<String, Option<Vec<u8>>>,
    /// Who has which number.
    guests: BTreeMap<u32, String>,
}

impl Tree {
    /// An empty tree: the root directory alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a node needs before its first start. `openvz` is of no use any more, but Proxmox still makes it.
    ///
    /// # Errors
    /// The node's name is none, or a file is too large.
    pub fn initial(node: &str, files: Initial<'_>) -> Result<Self, TreeError> {
        let home = format!("nodes/{node}");
        let mut tree = Self::new();
        tree.file("datacenter.cfg", files.datacenter_cfg)?
            .file("storage.cfg", files.storage_cfg)?
            .file("user.cfg", files.user_cfg)?
            .dir("priv")?
            .dir("nodes")?
            .dir(&home)?;
        for name in ["lxc", "openvz", "priv", "qemu-server"] {
            tree.dir(&format!("{home}/{name}"))?;
        }
        Ok(tree)
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// [`TreeError`]; nothing is added then.
    pub fn dir(&mut self, path: &str) -> Result<&mut Self, TreeError> {
        self.place(path)?;
        if let Some(name) = paths::node(path) {
            names::node(name).map_err(|source| TreeError::Node { path: path.to_owned(), source })?;
        }
        self.entries.insert(path.to_owned(), None);
        Ok(self)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`TreeError`]; nothing is added then.
    pub fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<&mut Self, TreeError> {
        self.place(path)?;
        let bytes = bytes.into();
        if bytes.len() > FILE_MAX {
            return Err(TreeError::TooLarge { path: path.to_owned(), size: bytes.len() });
        }
        if paths::is_guest_directory(path) {
            return Err(TreeError::GuestDirectory(path.to_owned()));
        }
        let (directory, name) = paths::split(path);
        if paths::is_guest_directory(directory) && name.strip_suffix(".conf").is_some() {
            let range = names::VMID_MIN..=names::VMID_MAX;
            let vmid = paths::vmid(name).filter(|vmid| range.contains(vmid));
            let vmid = vmid.ok_or_else(|| TreeError::GuestName { path: path.to_owned() })?;
            if let Some(other) = self.guests.get(&vmid) {
                return Err(TreeError::SameVmid { path: path.to_owned(), other: other.clone() });
            }
            self.guests.insert(vmid, path.to_owned());
        }
        self.entries.insert(path.to_owned(), Some(bytes));
        Ok(self)
    }

    /// Paths in order, each with its contents, `None` for a directory. A directory comes before what is in it.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, Option<&[u8]>)> {
        self.entries.iter().map(|(path, data)| (path.as_str(), data.as_deref()))
    }

    /// Adds the configuration of a virtual machine of a node's.
    ///
    /// # Errors
    /// [`TreeError`]; nothing is added then.
    pub fn guest(&mut self, node: &str, guest: &Guest) -> Result<&mut Self, TreeError> {
        let text = guest.write().map_err(TreeError::Guest)?;
        self.file(&format!("nodes/{node}/qemu-server/{}.conf", guest.id), text)
    }

    /// The guests: number and path of the configuration.
    pub fn guests(&self) -> impl Iterator<Item = (u32, &str)> {
        self.guests.iter().map(|(vmid, path)| (*vmid, path.as_str()))
    }

    /// The tree in a database, where all of it can be put into one: run [`check`](super::check()) first.
    ///
    /// # Errors
    /// The first entry that cannot be; an entry that is not connected with the root has no name.
    pub fn from_database(database: &Database) -> Result<Self, TreeError> {
        let mut rows: Vec<_> = database.places().into_iter().filter(|(row, _)| row.inode() != Some(0)).collect();
        rows.sort_by_key(|(_, place)| match place {
            Placed::At(path) => Some(path.clone()),
            Placed::Lost => None,
        });
        let mut tree = Self::new();
        for (row, place) in rows {
            let path = match place {
                // A name that is not UTF-8 is another one in the path.
                Placed::At(path) if std::str::from_utf8(row.name.bytes()).is_ok() => path,
                Placed::At(_) | Placed::Lost => return Err(TreeError::Name { path: row.shown_name() }),
            };
            if row.is_directory() {
                tree.dir(&path)?;
            } else if row.is_file() {
                tree.file(&path, row.data.bytes())?;
            } else {
                return Err(TreeError::Kind(path));
            }
        }
        Ok(tree)
    }

    /// Whether something may be put at this path.
    fn place(&self, path: &str) -> Result<(), TreeError> {
        let wrong = |part: &str| {
            part.is_empty()
                || part == "."
                || part == ".."
                || part.len() > NAME_MAX
                || part.chars().any(char::is_control)
        };
        if path.split('/').any(wrong) {
            return Err(TreeError::Name { path: path.escape_debug().to_string() });
        }
        if VIRTUAL_NAMES.contains(&path) || path.split('/').any(|part| part == VERSION_NAME) {
            return Err(TreeError::Reserved(path.to_owned()));
        }
        let (parent, _) = paths::split(path);
        if !parent.is_empty() {
            match self.entries.get(parent) {
                Some(None) => {}
                Some(Some(_)) => {
                    return Err(TreeError::ParentIsFile { path: path.to_owned(), parent: parent.to_owned() });
                }
                None => return Err(TreeError::NoParent { path: path.to_owned(), parent: parent.to_owned() }),
            }
        }
        if self.entries.contains_key(path) {
            return Err(TreeError::Duplicate(path.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Tree {
        Tree::initial("n1", Initial { datacenter_cfg: "keyboard: de\n", user_cfg: "", storage_cfg: "" }).unwrap()
    }

    #[test]
    fn a_fresh_node() {
        let tree = node();
        let paths: Vec<&str> = tree.entries().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "datacenter.cfg",
                "nodes",
                "nodes/n1",
                "nodes/n1/lxc",
                "nodes/n1/openvz",
                "nodes/n1/priv",
                "nodes/n1/qemu-server",
                "priv",
                "storage.cfg",
                "user.cfg"
            ]
        );
    }

    #[test]
    fn names_that_are_none() {
        for path in ["", "/", "a/", "/a", "a//b", ".", "..", "nodes/..", "nodes/./x", "a\0b", "a\nb", &"x".repeat(256)]
        {
            assert!(matches!(node().file(path, ""), Err(TreeError::Name { .. })), "{path:?}");
            assert!(matches!(node().dir(path), Err(TreeError::Name { .. })), "{path:?}");
        }
        assert!(node().file(&"x".repeat(255), "").is_ok());
    }

    #[test]
    fn reserved_names_are_so_at_the_top_only() {
        for name in VIRTUAL_NAMES.into_iter().chain([VERSION_NAME]) {
            assert_eq!(node().file(name, "").unwrap_err(), TreeError::Reserved(name.to_owned()));
            assert_eq!(node().dir(name).unwrap_err(), TreeError::Reserved(name.to_owned()));
        }
        assert!(node().file("nodes/n1/local", "").is_ok());
        assert!(node().file("nodes/n1/__version__", "").is_err());
    }

    #[test]
    fn each_name_once_and_in_a_directory() {
        assert_eq!(node().file("user.cfg", "").unwrap_err(), TreeError::Duplicate("user.cfg".to_owned()));
        assert_eq!(node().dir("nodes").unwrap_err(), TreeError::Duplicate("nodes".to_owned()));
        assert!(
            matches!(node().file("ha/resources.cfg", ""), Err(TreeError::NoParent { parent, .. }) if parent == "ha")
        );
        assert!(matches!(node().file("user.cfg/x", ""), Err(TreeError::ParentIsFile { .. })));
    }

    #[test]
    fn a_file_of_a_mebibyte_and_a_byte() {
        assert!(node().file("big", vec![0; FILE_MAX]).is_ok());
        assert_eq!(
            node().file("big", vec![0; FILE_MAX + 1]).unwrap_err(),
            TreeError::TooLarge { path: "big".to_owned(), size: 1_048_577 }
        );
    }

    #[test]
    fn a_number_belongs_to_one_guest() {
        let mut tree = node();
        tree.file("nodes/n1/qemu-server/100.conf", "").unwrap();
        tree.dir("nodes/n2").unwrap().dir("nodes/n2/lxc").unwrap();
        for path in ["nodes/n1/lxc/100.conf", "nodes/n2/lxc/100.conf"] {
            let error = tree.file(path, "").unwrap_err();
            assert!(
                matches!(&error, TreeError::SameVmid { other, .. } if other == "nodes/n1/qemu-server/100.conf"),
                "{error}"
            );
        }
        tree.file("nodes/n2/lxc/101.conf", "").unwrap();
        assert_eq!(tree.guests().map(|(vmid, _)| vmid).collect::<Vec<_>>(), [100, 101]);
        for name in ["0100.conf", "99.conf", "1000000000.conf", "x.conf", ".conf"] {
            assert!(
                matches!(tree.file(&format!("nodes/n1/lxc/{name}"), ""), Err(TreeError::GuestName { .. })),
                "{name}"
            );
        }
        assert!(tree.file("nodes/n1/lxc/100.conf.tmp", "").is_ok());
        assert!(tree.file("nodes/n1/100.conf", "").is_ok());
    }

    #[test]
    fn nodes_are_directories_with_host_names() {
        assert!(matches!(node().dir("nodes/n_1"), Err(TreeError::Node { .. })));
        assert!(node().file("nodes/note.txt", "").is_ok());
        let mut tree = Tree::new();
        tree.dir("nodes").unwrap().dir("nodes/n1").unwrap();
        assert!(matches!(tree.file("nodes/n1/lxc", ""), Err(TreeError::GuestDirectory(_))));
        let long = Tree::initial(&"n".repeat(64), Initial { datacenter_cfg: "", user_cfg: "", storage_cfg: "" });
        assert!(matches!(long, Err(TreeError::Node { .. })));
        assert!(matches!(
            Tree::initial("a/b", Initial { datacenter_cfg: "", user_cfg: "", storage_cfg: "" }),
            Err(TreeError::NoParent { .. })
        ));
    }
}
