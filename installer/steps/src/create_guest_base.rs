//! Step `create-guest-base`: the guests' common system on a thin volume, bootable by BIOS and UEFI. Templates are snapshots of it.

use std::fmt::Write as _;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::medium::{GUEST_PATH, Guests, Manifest, WORKLOADS_PATH};
use sovereign_system::tools::{mkfs, squashfs, thin};
use uuid::Uuid;

use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PUBLIC};
use crate::guests::{self, Disk, EFI_MOUNT, GROUP, ROOT, SECTOR};
use crate::state::{self, State};

/// Name of the volume, until every template is a snapshot of it.
pub const BASE: &str = "sovereign-guest-base";
/// What the base file system takes beside its files: its own tables, the journal, and room for the first role's.
const ROOM: Bytes = Bytes::gib(2);
/// How much longer images of workloads are in a guest's store than on the medium, where their layers are compressed by gzip or zstd: a third
/// is what is left of programs and libraries, a quarter of text.
const IMAGES: u64 = 4;
/// The volume's length is a multiple of this, that of an extent.
const STEP: u64 = 4 << 20;

/// See the module.
pub struct CreateGuestBase;

/// What the medium has for guests.
///
/// # Errors
/// It has nothing.
pub fn of_medium(context: &Context) -> Result<&Guests, StepError> {
    context.manifest.guests.as_ref().ok_or_else(|| StepError::new("this medium has no guests' file systems"))
}

/// Bytes that the workloads' images take on the medium; none where it has none.
pub fn images_size(manifest: &Manifest) -> Bytes {
    manifest.files.iter().find(|file| file.path == WORKLOADS_PATH).map_or(Bytes::ZERO, |file| file.size)
}

/// Length of the base volume for a file system of `unpacked` bytes, and beside it the largest role's and workloads' images that take `images`
/// on the medium: which role has which of them is not looked at, since what is not written to takes nothing of the pool.
pub fn base_size(guests: &Guests, images: Bytes) -> Bytes {
    let role = guests.roles.iter().map(|role| role.unpacked).max().unwrap_or_default();
    let beside = role.get().saturating_add(images.get().saturating_mul(IMAGES)).saturating_add(ROOM.get());
    Bytes(guests.unpacked.get().saturating_add(beside).next_multiple_of(STEP))
}

impl Step<Context, Destructive> for CreateGuestBase {
    fn name(&self) -> &'static str {
        "create-guest-base"
    }

    fn describe(&self, _: &Context) -> String {
        "make the guests' base system on a thin volume".to_owned()
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        let size = base_size(of_medium(context)?, images_size(&context.manifest));
        let (group, pool) = context.guests_pool()?;
        thin::create(runner, group, pool, BASE, size).or_step_on("cannot make the guests' base volume", BASE)?;
        let disk = Disk::show(context, &format!("/dev/{group}/{BASE}"), size)?;
        let what = "cannot make the guest's volume group";
        guests::inside().create_group(runner).or_step_on(what, BASE)?;
        guests::inside().create_volume(runner, ROOT).or_step_on(what, BASE)?;

        let (root, esp) = (Uuid::new_v4(), Uuid::new_v4().as_fields().0);
        let what = "cannot make the guest's file system";
        mkfs::ext4(runner, &Disk::root(), &root, "root", mkfs::Ground::Fresh).or_step_on(what, &Disk::root())?;
        mkfs::fat32(runner, disk.esp(), esp, "ESP", SECTOR).or_step_on(what, disk.esp())?;
        let folder = disk.mount(context)?;
        squashfs::unpack(runner, &context.on_medium(GUEST_PATH), &folder, &mut |percent| {
            report.progress(percent / 10 * 7, GUEST_PATH);
        })
        .or_step("cannot unpack the guests' base")
        .map_err(|e| e.next("Read errors of the medium are in the kernel's log (dmesg). Write or attach it again."))?;
        files::write(&folder.join("etc/fstab"), fstab(esp).as_bytes(), PUBLIC)?;
        report.progress(70, "boot loader");
        guests::grub::install(context, &folder, &disk.device, &root, &of_medium(context)?.kernel)?;
        disk.let_go(context)?;
        let taken = thin::mapped(runner, group, BASE).or_step_on("cannot see what the base takes of its pool", BASE)?;
        report.log(format!("the guests' base takes {taken} ({} bytes) of the pool {group}/{pool}", taken.exact()));
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let (group, _) = context.guests_pool()?;
        let volumes = sovereign_system::tools::lvm::volumes(context.runner.as_ref(), group)
            .or_step_on("cannot list the volumes", group)?;
        if volumes.iter().any(|v| v.name == BASE) {
            return Ok(());
        }
        Err(StepError::new(format!("the volume {group}/{BASE} is not there")))
    }

    fn undo(&self, context: &mut Context) -> Result<(), StepError> {
        guests::let_go_of_all(context)
    }
}

/// fstab of every guest: the root volume has one name in all of them.
fn fstab(esp: u32) -> String {
    let mut text = String::from("# Written by the installer.\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "/dev/mapper/{GROUP}-{ROOT} / ext4 noatime,errors=remount-ro 0 1");
    let _ = writeln!(text, "UUID={} {EFI_MOUNT} vfat umask=0077,nofail 0 0", mkfs::fat_uuid(esp));
    text
}

#[cfg(test)]
mod tests {
    use sovereign_model::medium::GuestRole;

    use super::*;

    #[test]
    fn the_base_has_room_for_any_role_and_whole_extents() {
        let role = |name: &str, unpacked| GuestRole { name: name.to_owned(), unpacked: Bytes(unpacked) };
        let guests =
            |roles| Guests { kernel: String::new(), unpacked: Bytes(900_000_000), roles, workloads: Vec::new() };
        let sum = 900_000_000 + 300_000_000 + (2 << 30);
        let both = guests(vec![role("edge", 5), role("storage", 300_000_000)]);
        let size = base_size(&both, Bytes::ZERO).get();
        assert!(size >= sum && size < sum + STEP && size.is_multiple_of(STEP), "{size}");
        assert!(base_size(&guests(Vec::new()), Bytes::ZERO).get() > 900_000_000);
        let size = base_size(&both, Bytes(700_000_000)).get();
        assert!(size >= sum + 4 * 700_000_000 && size < sum + 4 * 700_000_000 + STEP, "{size}");
    }

    #[test]
    fn a_guest_mounts_by_names_that_are_the_same_in_all_of_them() {
        assert_eq!(
            fstab(0x00AB_12CD),
            "# Written by the installer.\n/dev/mapper/guest-root / ext4 noatime,errors=remount-ro 0 1\n\
             UUID=00AB-12CD /boot/efi vfat umask=0077,nofail 0 0\n"
        );
    }
}
