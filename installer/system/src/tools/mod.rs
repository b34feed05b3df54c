//! One file a tool: typed arguments in, parsed results out; each goes through the [`crate::runner::Runner`].

pub mod blkid;
pub mod cryptsetup;
pub mod efi;
pub mod grub;
pub mod hdparm;
pub mod holders;
pub mod keyboard;
pub mod loops;
pub mod luks;
pub mod lvm;
pub mod mbr;
pub mod mdadm;
pub mod mkfs;
pub mod mount;
pub mod nvme;
pub mod podman;
pub mod squashfs;
pub mod sync;
pub mod table;
pub mod thin;
pub mod udev;
pub mod wipe;
