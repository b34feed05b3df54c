//! What Proxmox VE 9 keeps on a node: its configuration database ([`pmxcfs`]), the files it reads ([`files`]) and
//! its virtual machines ([`guest`]).
//!
//! Nothing here starts a program or knows a plan: small structs in, text or a database out. What Proxmox does with it was read in
//! its sources: pve-cluster 9.1 (pmxcfs), pve-common 9.2 (network interfaces, section files), pve-storage 9.1 and
//! qemu-server 9.2.

pub mod files;
pub mod guest;
pub mod names;
pub mod pmxcfs;
pub mod section;
