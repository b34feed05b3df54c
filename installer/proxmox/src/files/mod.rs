//! The files that Proxmox VE reads, made as Proxmox itself would make them. Pure: structs in, text out.

pub mod apt;
pub mod cluster;
pub mod hosts;
pub mod interfaces;
pub mod link;
pub mod storage;

pub use apt::{Repository, SourceFile, apt_sources};
pub use cluster::{Datacenter, datacenter_cfg, user_cfg};
pub use hosts::{HostsError, hosts};
pub use interfaces::{Address, Cidr, Interfaces, InterfacesError, Kind, interfaces};
pub use link::{LinkFile, link};
pub use storage::{Backend, Content, Storage, StorageError, parse_storage_cfg, storage_cfg};
