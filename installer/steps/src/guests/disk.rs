//! A guest's disk: GPT with a BIOS boot partition, an EFI system partition, and a physical volume for the guest's own group.

use std::path::PathBuf;

use sovereign_engine::StepError;
use sovereign_model::Bytes;
use sovereign_model::inventory::partition_path;
use sovereign_model::layout::{ALIGNMENT, usable_end};
use sovereign_system::tools::table::{Kind, Slot};
use sovereign_system::tools::thin::Inside;
use sovereign_system::tools::{loops, mount, table, udev};

use crate::context::{Context, mapper_path};
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

/// A guest's disk that is shown as a loop device.
#[derive(Debug)]
pub struct Disk {
    /// The loop device.
    pub device: String,
    esp: String,
    group: String,
}

impl Disk {
    /// Shows the volume `volume` (`/dev/pve/...`) as a disk of a guest.
    ///
    /// # Errors
    /// losetup's.
    pub fn show(context: &Context, volume: &str) -> Result<Self, StepError> {
        let device = loops::attach(context.runner.as_ref(), volume, SECTOR)
            .or_step_on("cannot show the volume as a disk", volume)?;
        let (esp, group) = (partition_path(&device, 2), partition_path(&device, 3));
        Ok(Self { device, esp, group })
    }

    /// The kernel takes the partition table as it is now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reread(&self, context: &Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        udev::reread_table(runner, &self.device).or_step_on("the kernel cannot read the new table", &self.device)?;
        udev::settle(runner).or_step("udev did not come to rest")
    }

    /// Writes the partition table for a disk of `size`; the boot code before it stays.
    ///
    /// # Errors
    /// The table's.
    pub fn partition(&self, context: &Context, size: Bytes) -> Result<(), StepError> {
        let what = "cannot write the guest's partition table";
        let slots = slots(size)?;
        let guids = table::rewrite(&self.device, SECTOR, &slots).or_step_on(what, &self.device)?;
        self.reread(context)?;
        table::check(&self.device, SECTOR, &slots, &guids)
            .or_step_on("the guest's partition table is not what was written", &self.device)
    }

    /// The EFI system partition.
    pub fn esp(&self) -> &str {
        &self.esp
    }

    /// The guest's volume group.
    pub fn inside(&self) -> Inside<'_> {
        Inside { device: &self.group, group: GROUP }
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

    /// Unmounts the guest's file systems, deactivates its group and lets go of the loop device.
    ///
    /// # Errors
    /// Something is still in use.
    pub fn let_go(self, context: &Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        unmount(context)?;
        self.inside().deactivate(runner).or_step_on("cannot deactivate the guest's volume group", &self.group)?;
        loops::detach(runner, &self.device).or_step_on("cannot let go of the guest's disk", &self.device)
    }
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
    unmount(context)?;
    for device in loops::of_devices(runner).or_step("cannot list the loop devices")? {
        let (esp, group) = (partition_path(&device, 2), partition_path(&device, 3));
        let disk = Disk { device, esp, group };
        // A disk that was not yet partitioned has no group.
        if crate::context::exists(&disk.group) {
            let _ = disk.inside().deactivate(runner);
        }
        loops::detach(runner, &disk.device).or_step_on("cannot let go of the guest's disk", &disk.device)?;
    }
    Ok(())
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
