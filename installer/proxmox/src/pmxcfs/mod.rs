//! The configuration database of pmxcfs, the file system that Proxmox mounts on /etc/pve: one SQLite table, a row an entry.
//!
//! | module | what it does |
//! |---|---|
//! | [`tree`] | what is to be in it, with the rules of a good one |
//! | [`write()`] | makes a new database of a tree |
//! | [`read()`] | reads the rows of any database, however broken |
//! | [`check()`] | what pmxcfs would refuse or damage, what a node would miss, and what is wrong with its virtual machines |
//! | [`dump()`] | shows it to a person |
//!
//! When pmxcfs loads a database (pve-cluster 9.1, `src/pmxcfs/database.c` and `memdb.c`) it takes row after row in the order of
//! the inodes. It stops for good at: a row without a name, a directory with data, a type it does not know, an inode 0 that is not
//! `__version__`, a second entry of the same name in a directory, an entry below a file that came before it, a parent that never
//! came, a VMID that comes twice, a guests' directory that is a file. It does not notice, and goes on to do damage, when: the
//! version counter is missing, zero or below an inode (its next creation overwrites that row), entries form a circle or lie
//! below a file that came after them (they are gone from the tree, not from the database), a number is none (it counts as 0).

pub mod check;
mod content;
pub mod dump;
mod guests;
mod mask;
mod paths;
pub mod read;
pub mod rule;
pub mod tree;
pub mod write;

pub(crate) use content::words as storage_words;

pub use check::check;
pub use dump::{Listing, dump, listing};
pub use read::{Database, ReadError, Row, Value, read};
pub use rule::{Problem, Rule, Severity};
pub use tree::{Initial, Tree, TreeError};
pub use write::{WriteError, write};

/// Where a node keeps its database.
pub const DATABASE_PATH: &str = "/var/lib/pve-cluster/config.db";

/// Most bytes in a file; `MEMDB_MAX_FILE_SIZE`.
pub const FILE_MAX: usize = 1 << 20;

/// Most bytes in all files; `MEMDB_MAX_FSSIZE`. Not enforced by pmxcfs, but what `df /etc/pve` shows.
pub const TOTAL_MAX: u64 = 128 << 20;

/// Most bytes in a name that the kernel passes on to a file system, `NAME_MAX`.
pub const NAME_MAX: usize = 255;

/// Name of the row with inode 0, which holds the version counter.
pub const VERSION_NAME: &str = "__version__";

/// The type of a directory, `DT_DIR` of dirent.h.
pub const TYPE_DIRECTORY: i64 = 4;

/// The type of a file, `DT_REG` of dirent.h.
pub const TYPE_FILE: i64 = 8;

/// Names that pmxcfs puts into its root itself; a row of the same name cannot be reached.
pub const VIRTUAL_NAMES: [&str; 10] =
    ["local", "qemu-server", "lxc", "openvz", ".version", ".members", ".vmlist", ".clusterlog", ".rrd", ".debug"];

/// The directories of a node in which pmxcfs looks for guests.
pub const GUEST_DIRECTORIES: [&str; 3] = ["qemu-server", "lxc", "openvz"];
