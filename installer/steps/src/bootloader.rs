//! Step `bootloader`: GRUB for UEFI and BIOS on every SSD, so that any one of them boots the machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::inventory::partition_path;
use sovereign_model::plan::{Partition, PartitionRole, PlannedDisk};
use sovereign_system::runner::Runner;
use sovereign_system::tools::{efi, grub};

use crate::bios;
use crate::configure::in_target;
use crate::context::{Context, esp_mount};
use crate::fail::OrStep;
use crate::state::{self, State};

/// Present where the machine was booted by UEFI.
const EFIVARS: &str = "/sys/firmware/efi/efivars";
/// Files that must be on an EFI system partition: shim and GRUB in our folder, shim in the removable path.
const LOADERS: [&str; 3] = ["EFI/debian/shimx64.efi", "EFI/debian/grubx64.efi", "EFI/BOOT/BOOTX64.EFI"];
/// The last two bytes of a boot sector.
const BOOT_MAGIC: [u8; 2] = [0x55, 0xAA];
/// Where GRUB's boot.img says at which sector the core image starts (GRUB_BOOT_MACHINE_KERNEL_SECTOR, 8 bytes).
const KERNEL_SECTOR: usize = 0x5C;

/// See the module.
pub struct Bootloader;

/// A disk that boots the machine.
struct Bootable<'a> {
    /// Index into the plan's disks.
    index: usize,
    /// Its device node.
    device: String,
    /// Number of its EFI system partition.
    esp: u32,
    /// Its BIOS boot partition, where a BIOS can start from it: with sectors of 512 bytes.
    bios: Option<&'a Partition>,
    /// The plan's disk.
    disk: &'a PlannedDisk,
}

fn bootable(context: &Context) -> impl Iterator<Item = Bootable<'_>> {
    context.plan.disks.iter().enumerate().filter_map(|(index, disk)| {
        let partition = |role| disk.partitions.iter().find(|p| p.role == role);
        let bios = partition(PartitionRole::BiosBoot).filter(|_| disk.logical_sector == 512);
        Some(Bootable { index, device: context.disk(index), esp: partition(PartitionRole::Esp)?.number, bios, disk })
    })
}

impl Step<Context, Destructive> for Bootloader {
    fn name(&self) -> &'static str {
        "bootloader"
    }

    fn describe(&self, context: &Context) -> String {
        let disks = bootable(context).count();
        let firmware = if bootable(context).any(|disk| disk.bios.is_some()) { "UEFI and BIOS" } else { "UEFI" };
        format!("install GRUB for {firmware} on {disks} disk{}", if disks == 1 { "" } else { "s" })
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        report.progress(0, "UEFI");
        grub::install_efi(runner, &context.target, esp_mount(0))
            .or_step_on("cannot install GRUB for UEFI", &context.disk(0))?;
        let mut disks = Vec::new();
        for Bootable { device, bios, disk, .. } in bootable(context) {
            if let Some(partition) = bios {
                disks.push((device, partition));
            } else {
                report.log(format!("{device} has sectors of {} bytes: no BIOS starts from it", disk.logical_sector));
            }
        }
        report.progress(20, "BIOS and menu");
        // Neither reads what the other writes, and both mostly look around.
        std::thread::scope(|scope| {
            let bios = scope.spawn(|| install_bios(runner, &context.target, &disks));
            let menu = grub::update(runner, &context.target).or_step("cannot write the boot menu");
            bios.join().unwrap_or_else(|_| Err(StepError::new("installing GRUB for BIOS broke off"))).and(menu)
        })?;
        report.progress(90, "EFI system partitions");
        in_target(
            context,
            "cannot bring the EFI system partitions into step",
            &["/usr/lib/sovereign/boot-sync", "--installed"],
        )?;
        if Path::new(EFIVARS).exists() {
            // The entry made last comes first in the boot order.
            let disks: Vec<_> = bootable(context).collect();
            for Bootable { index, device, esp, .. } in disks.into_iter().rev() {
                let label = format!("Sovereign disk {}", index + 1);
                if let Err(error) = efi::add_entry(runner, &device, esp, &label) {
                    report.log(format!("no boot entry in NVRAM, the removable path must do: {error}"));
                }
            }
        }
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let mut first: Option<BTreeMap<PathBuf, Vec<u8>>> = None;
        for Bootable { index, device, bios, .. } in bootable(context) {
            let folder = context.esp(index);
            let tree = contents(&folder).or_step(&format!("cannot read {}", folder.display()))?;
            for loader in LOADERS {
                if !tree.keys().any(|p| p.to_string_lossy().eq_ignore_ascii_case(loader)) {
                    return Err(StepError::new(format!("{loader} is not on the EFI system partition")).on(device));
                }
            }
            match &first {
                Some(first) if *first != tree => {
                    let differs = first.keys().chain(tree.keys()).find(|p| first.get(*p) != tree.get(*p));
                    let path = differs.map(|p| p.display().to_string()).unwrap_or_default();
                    return Err(StepError::new(format!("the EFI system partitions differ in {path}")).on(device));
                }
                Some(_) => {}
                None => first = Some(tree),
            }
            if let Some(bios) = bios {
                check_bios(&device, &partition_path(&device, bios.number))
                    .or_step_on("cannot check GRUB for BIOS", &device)??;
            }
        }
        let menu = context.on_target("/boot/grub/grub.cfg");
        let text = crate::files::read(&menu)?;
        let kernel = format!("vmlinuz-{}", context.manifest.kernel);
        if !text.contains(&kernel) {
            return Err(StepError::new(format!("{} does not start {kernel}", menu.display())));
        }
        Ok(())
    }
}

/// GRUB for BIOS, on the first disk by its own program. A disk laid out as the first gets what that one has.
fn install_bios(runner: &dyn Runner, target: &Path, disks: &[(String, &Partition)]) -> Result<(), StepError> {
    let Some((first, model)) = disks.first() else { return Ok(()) };
    for (device, partition) in disks {
        let what = "cannot install GRUB for BIOS";
        let (start, size) = (partition.start.get(), partition.size);
        match usize::try_from(size.get()) {
            Ok(room) if device != first && partition.start == model.start && size == model.size => {
                bios::copy(first, device, start, room).or_step_on(what, device)?;
            }
            _ => grub::install_bios(runner, target, device).or_step_on(what, device)?,
        }
    }
    Ok(())
}

/// The boot sector is GRUB's and points at a core image in the BIOS boot partition.
fn check_bios(disk: &str, partition: &str) -> std::io::Result<Result<(), StepError>> {
    let mut sector = [0; 512];
    let mut file = File::open(disk)?;
    file.read_exact(&mut sector)?;
    let mut number = [0; 8];
    number.copy_from_slice(&sector[KERNEL_SECTOR..KERNEL_SECTOR + 8]);
    let core_at = u64::from_le_bytes(number) * 512;
    let magic = sector[510..] == BOOT_MAGIC;
    let mut core = vec![0; 512];
    file.seek(SeekFrom::Start(core_at))?;
    file.read_exact(&mut core)?;
    let mut head = vec![0; 512];
    File::open(partition)?.read_exact(&mut head)?;
    if magic && core_at != 0 && core == head && head.iter().any(|b| *b != 0) {
        return Ok(Ok(()));
    }
    Ok(Err(StepError::new("the boot sector does not lead to GRUB's core image in the BIOS boot partition").on(disk)))
}

/// Every file below `folder` with its content, by relative path.
fn contents(folder: &Path) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                let relative = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                found.insert(relative, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_sector_must_lead_to_the_core_image() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, partition) = (dir.path().join("disk"), dir.path().join("partition"));
        let mut bytes = vec![0; 8192];
        bytes[510..512].copy_from_slice(&BOOT_MAGIC);
        bytes[KERNEL_SECTOR] = 4;
        bytes[2048] = 0x52;
        fs::write(&disk, &bytes).unwrap();
        fs::write(&partition, &bytes[2048..4096]).unwrap();
        let check = || check_bios(disk.to_str().unwrap(), partition.to_str().unwrap()).unwrap();
        assert!(check().is_ok());
        bytes[2048] = 0;
        fs::write(&disk, &bytes).unwrap();
        assert!(check().is_err());
    }

    #[test]
    fn trees_are_compared_by_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("EFI/BOOT")).unwrap();
        fs::write(dir.path().join("EFI/BOOT/BOOTX64.EFI"), "shim").unwrap();
        let tree = contents(dir.path()).unwrap();
        assert_eq!(tree.into_iter().collect::<Vec<_>>(), [(PathBuf::from("EFI/BOOT/BOOTX64.EFI"), b"shim".to_vec())]);
    }
}
