//! The rules a database is judged by: how bad it is to break each, and what to do then.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Proxmox refuses the database or a guest, or loses or overwrites something of it.
    Error,
    /// It loads, but something has no effect or is missing, and hurts later.
    Warning,
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The table is as pmxcfs makes it.
    Table,
    /// SQLite finds nothing wrong with the file.
    Damage,
    /// Numbers are numbers and names are texts: anything else counts as 0.
    ColumnType,
    /// Inodes are not negative, and each is there once.
    Inode,
    /// There is a version counter, above 0.
    NoVersion,
    /// The row with inode 0 is the version counter: its name, its type (8, or 4 in a cluster), no data with type 4.
    VersionRow,
    /// The version counter is at least every inode.
    VersionBelowInode,
    /// Every entry has a name.
    NoName,
    /// Every name can be one.
    BadName,
    /// A name is in a directory once.
    DuplicateName,
    /// No name at the top is one that pmxcfs makes itself.
    VirtualName,
    /// Entries are directories and files.
    UnknownType,
    /// A directory has no data.
    DirectoryData,
    /// A file has at most 1 MiB.
    TooLarge,
    /// Every entry's directory is there.
    MissingParent,
    /// Every entry's directory is one.
    ParentIsFile,
    /// Every entry is connected with the root.
    Unreachable,
    /// A VMID is there once.
    DuplicateVmid,
    /// Guests are kept in directories.
    GuestDirectory,
    /// Data are bytes, as pmxcfs writes them.
    DataType,
    /// The version counter's row has nothing that loading passes over: a parent, data with type 8.
    VersionRowForm,
    /// Times and writers have 32 bits; the rest is cut off.
    Range,
    /// An entry's version lies between its inode and the counter.
    EntryVersion,
    /// Names are texts in UTF-8 of at most 255 bytes.
    NameForm,
    /// The table's columns are declared as pmxcfs declares them.
    TableForm,
    /// Files together have at most 128 MiB.
    TotalSize,
    /// There is `priv`.
    NoPriv,
    /// There is a node.
    NoNode,
    /// What lies in `nodes` is named like nodes.
    NodeName,
    /// A node has the directories of its guests and keys.
    NodeDirectory,
    /// Among guests there are only guests.
    GuestName,
    /// There is a storage.cfg.
    NoStorage,
    /// storage.cfg is read as it was meant.
    Storage,
    /// Proxmox keeps all of a virtual machine's settings, and can start it.
    Guest,
    /// A virtual machine's settings do what they say.
    GuestEffect,
    /// A volume is one guest's alone.
    SharedVolume,
    /// What a volume is a clone of is there.
    MissingBase,
    /// A MAC address is one card's alone.
    SharedMac,
}

impl Rule {
    /// Whether it is about the settings of guests: pmxcfs itself does not look at them.
    pub fn is_of_guests(self) -> bool {
        matches!(self, Self::Guest | Self::GuestEffect | Self::SharedVolume | Self::MissingBase | Self::SharedMac)
    }

    /// How bad it is to break it.
    pub fn severity(self) -> Severity {
        match self {
            Self::DataType
            | Self::VersionRowForm
            | Self::Range
            | Self::EntryVersion
            | Self::NameForm
            | Self::TableForm
            | Self::TotalSize
            | Self::NoPriv
            | Self::NoNode
            | Self::NodeName
            | Self::NodeDirectory
            | Self::GuestName
            | Self::NoStorage
            | Self::Storage
            | Self::GuestEffect
            | Self::SharedMac => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// What to do, and what happens otherwise.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Table => "pmxcfs cannot work with it; take a backup from /var/lib/pve-cluster/backup",
            Self::Damage => {
                "take a backup, or copy the database again, with config.db-wal and while pve-cluster is stopped"
            }
            Self::ColumnType => "pmxcfs reads it as another value, mostly 0; write the row anew",
            Self::Inode => "pmxcfs keeps one of them or loses count; give the entry an inode of its own above 0",
            Self::NoVersion => {
                "pmxcfs starts counting at 1 and overwrites what is there; add the row with the highest inode as version"
            }
            Self::VersionRow => "pmxcfs refuses to start; it must be (0, 0, V, writer, mtime, 8, '__version__', NULL)",
            Self::VersionRowForm => "pmxcfs passes over it; it writes (0, 0, V, writer, mtime, 8, '__version__', NULL)",
            Self::VersionBelowInode => "new entries overwrite this one; raise the version to the highest inode",
            Self::NoName => "pmxcfs refuses to start; name or delete the row",
            Self::BadName => "no program can reach the entry; rename it",
            Self::DuplicateName => "pmxcfs refuses to start; delete or rename one of them",
            Self::VirtualName => "pmxcfs keeps that name for itself; rename or delete the entry",
            Self::UnknownType => "pmxcfs knows 4 (directory) and 8 (file) alone; correct the type",
            Self::DirectoryData => "pmxcfs refuses to start; set the data to NULL, or the type to 8",
            Self::TooLarge => "pmxcfs can never write it again; keep it outside /etc/pve",
            Self::MissingParent => "pmxcfs refuses to start; add the directory or delete the entry",
            Self::ParentIsFile => "pmxcfs refuses to start or loses the entry; move it into a directory",
            Self::Unreachable => "pmxcfs loads it and never shows it; connect it with the root, or delete it",
            Self::DuplicateVmid => "pmxcfs refuses to start; delete or renumber one of them",
            Self::GuestDirectory => "pmxcfs refuses to start; delete the file and add a directory",
            Self::DataType => "pmxcfs takes its text for the contents; it becomes bytes when it is written next",
            Self::Range => "pmxcfs keeps the lowest 32 bits; correct the number",
            Self::EntryVersion => "pmxcfs does not write such rows; set it to the inode",
            Self::NameForm => "programs and the cluster's log may not take it; rename the entry",
            Self::TableForm => "pmxcfs takes it as it is, and so does not see wrong values; make the database anew",
            Self::TotalSize => "pmxcfs is made for 128 MiB; keep large files outside /etc/pve",
            Self::NoPriv => "every lock fails without it; add the directory",
            Self::NoNode => {
                "no guest can be made; add `nodes/N`, N being the host name, with `qemu-server`, `lxc` and `priv`"
            }
            Self::NodeName => "pmxcfs does not look for guests there; name it after a node",
            Self::NodeDirectory => "add the directory",
            Self::GuestName => "name it VMID.conf with a VMID from 100 to 999999999, or move it elsewhere",
            Self::NoStorage => "Proxmox sees the storage `local` alone; add the file",
            Self::Storage => "Proxmox does not say so; correct storage.cfg",
            Self::Guest => "Proxmox leaves out what it cannot read; write the guest's configuration anew",
            Self::GuestEffect => "correct the guest's configuration",
            Self::SharedVolume => "two guests that write to one volume destroy it; give each its own",
            Self::MissingBase => {
                "the guest does not start without it; restore the template, or the guest from a backup"
            }
            Self::SharedMac => "one of the two is not reached while both run; give each its own",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is broken.
    pub rule: Rule,
    /// The entry.
    pub inode: Option<i64>,
    /// Its path, or its name where it has none.
    pub path: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do, and what happens otherwise.
    pub remedy: &'static str,
}

/// One line: `error: nodes/a/lxc (inode 7): has data: pmxcfs refuses to start; ...`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: ")?;
        match (&self.path, self.inode) {
            (Some(path), Some(inode)) => write!(f, "{path} (inode {inode}): ")?,
            (Some(path), None) => write!(f, "{path}: ")?,
            (None, Some(inode)) => write!(f, "inode {inode}: ")?,
            (None, None) => {}
        }
        write!(f, "{}: {}", self.what, self.remedy)
    }
}
