//! A guest's disk: GPT with a BIOS boot partition, an EFI system partition, and a physical volume for the guest's own group.

use std::path::PathBuf;

use sovereign_engine::StepError;
use sovereign_model::Bytes;
use sovereign_model::layout::{ALIGNMENT, usable_end};
use sovereign_system::tools::table::{Kind, Slot};
use sovereign_system::tools::thin::{self, Inside};
use sovereign_system::tools::{loops, mount, table};

use crate::context::{Context, exists, mapper_path};
use crate::fail::OrStep;
use crate::files;

/// Logical sectors a guest sees, bytes: what QEMU gives a SCSI disk.
pub const SECTOR: u32 = 512;
/// The guest's own volume group.
pub const GROUP: &str = "guest";
/// Its root volume.
pub const ROOT: &str = "root";
/// Where the guest mounts its EFI system partition.
pub const EFI_MOUNT: &str = "/boot/efi";
/// GRUB's core image for BIOS, as on the host.
pub(super) const BIOS_BOOT: Bytes = Bytes::mib(1);
/// Where it starts.
pub(super) const BIOS_START: Bytes = ALIGNMENT;
/// Room for shim, GRUB and an update of either; FAT32 needs 33 MiB at least.
const ESP: Bytes = Bytes::mib(128);

/// The partitions of a guest's disk of this size.
///
/// # Errors
/// It is too small for its own tables.
pub fn slots(size: Bytes) -> Result<Vec<Slot>, StepError> {
    let (bios, esp) = (BIOS_START, Bytes(BIOS_START.get() + BIOS_BOOT.get()));
    let group = Bytes(esp.get() + ESP.get());
    let rest = usable_end(size, SECTOR).saturating_sub(group);
    if rest == Bytes::ZERO {
        return Err(StepError::new(format!("a guest's disk of {size} has no room for a system")));
    }
    Ok(vec![
        Slot { number: 1, start: bios, size: BIOS_BOOT, kind: Kind::GuestBiosBoot },
        Slot { number: 2, start: esp, size: ESP, kind: Kind::GuestEsp },
        Slot { number: 3, start: group, size: rest, kind: Kind::GuestGroup },
    ])
}

/// The mapping that is the guest's physical volume while its disk is shown.
const MAPPING: &str = "sovereign-guest";
/// Its device.
const PHYSICAL_VOLUME: &str = "/dev/mapper/sovereign-guest";

/// A guest's disk that is shown: as a whole and its EFI system partition as loop devices with a guest's sectors, its physical volume as a
/// mapping of the volume itself. What is written through a loop device whose sectors are smaller than those below it goes down a page at a time.
#[derive(Debug)]
pub struct Disk {
    /// The loop device of the whole disk.
    pub device: String,
    /// The volume, `/dev/pve/...`.
    volume: String,
    /// The loop device of the EFI system partition.
    esp: String,
}

impl Disk {
    /// Shows the volume `volume` (`/dev/pve/...`), all of its `size`, as a disk of a guest, with a new partition table; the boot code before
    /// the table stays.
    ///
    /// # Errors
    /// It is too small, losetup's, the table's, dmsetup's.
    pub fn show(context: &Context, volume: &str, size: Bytes) -> Result<Self, StepError> {
        let runner = context.runner.as_ref();
        let slots = slots(size)?;
        let what = "cannot show the volume as a disk";
        let device = loops::attach(runner, volume, SECTOR).or_step_on(what, volume)?;
        table::rewrite(&device, SECTOR, &slots).or_step_on("cannot write the guest's partition table", &device)?;
        let [_, esp, group] = slots.as_slice() else {
            return Err(StepError::new("a guest's disk has three partitions"));
        };
        let esp = loops::attach_part(runner, volume, SECTOR, esp.start, esp.size).or_step_on(what, volume)?;
        thin::map_part(runner, MAPPING, volume, group.start, group.size).or_step_on(what, volume)?;
        Ok(Self { device, volume: volume.to_owned(), esp })
    }

    /// The EFI system partition.
    pub fn esp(&self) -> &str {
        &self.esp
    }

    /// The device of the guest's root volume, while its group is active.
    pub fn root() -> String {
        mapper_path(&format!("{GROUP}-{ROOT}"))
    }

    /// Mounts the guest's file systems below the context's folder for guests, and gives that folder.
    ///
    /// # Errors
    /// mount's.
    pub fn mount(&self, context: &Context) -> Result<PathBuf, StepError> {
        let runner = context.runner.as_ref();
        let (root, point) = (Self::root(), context.guest.clone());
        files::folder(&point, 0o755)?;
        mount::mount(runner, &root, &point, "noatime").or_step_on("cannot mount the guest's root", &root)?;
        let efi = point.join(EFI_MOUNT.trim_start_matches('/'));
        files::folder(&efi, 0o700)?;
        mount::mount(runner, &self.esp, &efi, "umask=0077")
            .or_step_on("cannot mount the guest's EFI system partition", &self.esp)?;
        Ok(point)
    }

    /// Unmounts the guest's file systems, deactivates its group and lets go of what shows it.
    ///
    /// # Errors
    /// Something is still in use.
    pub fn let_go(self, context: &Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        let what = "cannot let go of the guest's disk";
        unmount(context)?;
        inside().deactivate(runner).or_step_on("cannot deactivate the guest's volume group", &self.volume)?;
        thin::unmap(runner, MAPPING).or_step_on(what, &self.volume)?;
        [&self.esp, &self.device]
            .into_iter()
            .try_for_each(|device| loops::detach(runner, device).or_step_on(what, device))
    }
}

/// The volume group of the guest that is shown.
pub fn inside() -> Inside<'static> {
    Inside { device: PHYSICAL_VOLUME, group: GROUP }
}

fn unmount(context: &Context) -> Result<(), StepError> {
    if mount::is_mounted(&context.guest).or_step("cannot read the list of mounts")? {
        mount::unmount_tree(context.runner.as_ref(), &context.guest)
            .or_step(&format!("cannot unmount {}", context.guest.display()))?;
    }
    Ok(())
}

/// Lets go of every guest's disk that is still shown, wherever a step stopped.
///
/// # Errors
/// Something is still in use.
pub fn let_go_of_all(context: &Context) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let what = "cannot let go of the guest's disk";
    unmount(context)?;
    if exists(PHYSICAL_VOLUME) {
        // A disk that was not yet filled has no group.
        let _ = inside().deactivate(runner);
        thin::unmap(runner, MAPPING).or_step_on(what, PHYSICAL_VOLUME)?;
    }
    let devices = loops::of_devices(runner).or_step("cannot list the loop devices")?;
    devices.iter().try_for_each(|device| loops::detach(runner, device).or_step_on(what, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_disk_is_laid_out_to_its_last_whole_mebibyte() {
        let found = slots(Bytes::gib(4)).unwrap();
        let sizes: Vec<_> = found.iter().map(|s| (s.number, s.start, s.size)).collect();
        assert_eq!(
            sizes,
            [
                (1, Bytes::mib(1), Bytes::mib(1)),
                (2, Bytes::mib(2), Bytes::mib(128)),
                (3, Bytes::mib(130), Bytes::mib(4096 - 1 - 130)),
            ]
        );
        assert!(slots(Bytes::mib(131)).is_err());
        assert!(slots(Bytes::mib(132)).is_ok());
    }
}
