//! Step `make-filesystems`: the EFI system partitions, /boot, root; and the first word about this installation on each ESP.

use std::fs;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::plan::{PartitionRole, PlannedDisk};
use sovereign_system::tools::{blkid, mkfs, mount, udev};
use uuid::Uuid;

use crate::context::{Context, SWAP, esp_mount};
use crate::fail::{OrStep, same};
use crate::state::{InstallState, State};

/// See the module.
pub struct MakeFilesystems;

/// The devices with a file system and their mount points on the target; the swap volume under its own name.
fn devices(context: &Context) -> Result<Vec<(String, &'static str)>, StepError> {
    let mut devices = vec![(context.root_device()?, "/"), (context.boot_device()?, "/boot")];
    let esps = context.partitions(PartitionRole::Esp).into_iter().enumerate();
    devices.extend(esps.map(|(index, device)| (device, esp_mount(index))));
    let group = context.root_group()?;
    if group.volumes.iter().any(|v| v.name == SWAP) {
        devices.push((format!("/dev/{}/{SWAP}", group.name), SWAP));
    }
    Ok(devices)
}

/// The logical sector of the bootable disks, bytes: the planner mixes none within a pool.
fn esp_sector(context: &Context) -> u32 {
    let is_bootable = |disk: &&PlannedDisk| disk.partitions.iter().any(|p| p.role == PartitionRole::Esp);
    context.plan.disks.iter().find(is_bootable).map_or(512, |disk| disk.logical_sector)
}

impl Step<Context, Destructive> for MakeFilesystems {
    fn name(&self) -> &'static str {
        "make-filesystems"
    }

    fn describe(&self, _: &Context) -> String {
        "make file systems: FAT32 on each EFI system partition, ext4 for /boot and root".to_owned()
    }

    fn run(&self, context: &mut Context, _: &Destructive, _: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        for (device, point) in devices(context)? {
            let what = format!("cannot make the file system of {point}");
            let uuid = Uuid::new_v4();
            let written = match point {
                "/" => mkfs::ext4(runner, &device, &uuid, "root", mkfs::Ground::Fresh).map(|()| uuid.to_string()),
                "/boot" => mkfs::ext4(runner, &device, &uuid, "boot", mkfs::Ground::Used).map(|()| uuid.to_string()),
                SWAP => mkfs::swap(runner, &device, &uuid).map(|()| uuid.to_string()),
                _ => {
                    let id = uuid.as_fields().0;
                    let label = if point == esp_mount(0) { "ESP1" } else { "ESP2" };
                    mkfs::fat32(runner, &device, id, label, esp_sector(context)).map(|()| mkfs::fat_uuid(id))
                }
            };
            context.found.filesystems.insert(point.to_owned(), written.or_step_on(&what, &device)?);
        }
        udev::settle(runner).or_step("udev did not come to rest")?;
        let state = InstallState::of(context, State::Incomplete, self.name());
        for device in context.partitions(PartitionRole::Esp) {
            let what = "cannot note the installation on the EFI system partition";
            let point = &context.target;
            fs::create_dir_all(point).or_step(&format!("cannot make the folder {}", point.display()))?;
            mount::mount(runner, &device, point, "rw").or_step_on(what, &device)?;
            let written = state.write(point);
            mount::unmount(runner, &point.to_string_lossy()).or_step_on(what, &device)?;
            written?;
        }
        Ok(())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for (device, point) in devices(context)? {
            let found = blkid::uuid(context.runner.as_ref(), &device).or_step_on("cannot read the UUID", &device)?;
            same("the file system's UUID", &device, &context.found.filesystems.get(point).cloned(), &found)?;
        }
        Ok(())
    }
}
