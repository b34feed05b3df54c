//! Guests' disks, made on the machine's own volumes: how one is laid out, shown to the running system and let go of again.
//!
//! A guest sees sectors of 512 bytes on a volume whose own are of 4096, so whatever is done to its inside goes through a loop device
//! with the guest's sectors.

mod bios;
mod disk;
pub mod efi;
pub mod grub;
pub mod site;
pub mod workloads;

use sovereign_model::Bytes;
use sovereign_model::layout::EXTENT;

pub use disk::{Disk, EFI_MOUNT, GROUP, ROOT, SECTOR, let_go_of_all, slots};

/// Length of a volume of so many extents.
pub const fn extent_bytes(extents: u64) -> Bytes {
    Bytes(extents.saturating_mul(EXTENT.get()))
}
