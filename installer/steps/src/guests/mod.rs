//! Guests' disks, made on the machine's own volumes: how one is laid out, shown to the running system and let go of again.
//!
//! A guest sees sectors of 512 bytes on a volume whose own are of 4096, so its partition table and its EFI system partition are written
//! through loop devices with the guest's sectors. LVM and ext4 with blocks of 4096 bytes are the same on both.

mod disk;
pub mod efi;
pub mod grub;
pub mod images;
pub mod site;
pub mod workloads;

use std::collections::{BTreeMap, BTreeSet};

use sovereign_engine::StepError;
use sovereign_model::Bytes;
use sovereign_model::layout::EXTENT;
use sovereign_system::tools::lvm::{self, Logical};

use crate::context::Context;
use crate::fail::OrStep;

pub use disk::{Disk, EFI_MOUNT, GROUP, ROOT, SECTOR, inside, let_go_of_all, slots};

/// The volumes of these groups by `group/name`: each group is asked once.
///
/// # Errors
/// LVM's.
pub fn listed<'a>(
    context: &Context,
    groups: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Logical>, StepError> {
    let mut found = BTreeMap::new();
    for group in groups.collect::<BTreeSet<_>>() {
        let volumes = lvm::volumes(context.runner.as_ref(), group).or_step_on("cannot list the volumes", group)?;
        found.extend(volumes.into_iter().map(|volume| (format!("{group}/{}", volume.name), volume)));
    }
    Ok(found)
}

/// Length of a volume of so many extents.
pub const fn extent_bytes(extents: u64) -> Bytes {
    Bytes(extents.saturating_mul(EXTENT.get()))
}
