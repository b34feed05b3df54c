//! Virtual machines as qemu-server 9.2 keeps them: `nodes/N/qemu-server/VMID.conf`.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | a machine or template, and its file as Proxmox would write it |
//! | [`parse`] | reads such a file back |
//! | [`lines`] | reads any file, as Proxmox's parser does |
//! | [`check`] | judges any file, by rules that Proxmox's parser does not check too |
//! | [`volume`] | names of volumes |
//!
//! Proxmox's parser never refuses a file. What it cannot read it leaves out, with a warning in the log, and at the next change
//! it writes the file without it; of a setting that comes twice the last one counts. Lists such as a disk's it checks; numbers
//! and words that stand alone it takes as they are, and QEMU or the guest has the trouble.

pub mod check;
mod check_drives;
pub mod config;
pub mod devices;
mod format;
pub mod lines;
pub mod numbers;
pub mod parse;
mod schema;
mod schema_drives;
mod schema_lists;
mod text;
pub mod values;
pub mod volume;

pub use check::{Context, Finding, Reach, StorageInfo, check, mac_addresses};
pub use check_drives::{Used, volumes};
pub use config::{Agent, Created, Guest, GuestError, Purpose};
pub(crate) use format::is_on;
pub use parse::{ParseError, parse};
