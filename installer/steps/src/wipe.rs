//! Step `wipe`: no signature of earlier use is left on the disks.

use std::fs;
use std::path::{Path, PathBuf};

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::site::EraseMode;
use sovereign_system::runner::Runner;
use sovereign_system::tools::{cryptsetup, mdadm, udev, wipe};

use crate::context::Context;
use crate::fail::OrStep;
use crate::verify_disks::{SYS_BLOCK, still_the_same};

/// See the module.
pub struct Wipe;

/// Makes a device forget: keys, superblocks, signatures, both ends.
///
/// # Errors
/// A tool's, with the device.
pub fn forget(runner: &dyn Runner, device: &str) -> Result<(), StepError> {
    let what = "cannot erase what was on the device";
    let found = wipe::found(runner, device).or_step_on(what, device)?;
    let has = |kind: &str| found.iter().any(|f| f.starts_with(kind));
    if has("crypto_LUKS") {
        // Best effort: a damaged header cannot be erased this way, and its area is zeroed below.
        let _ = cryptsetup::erase(runner, device);
    }
    if !found.is_empty() {
        // A member of several generations of arrays has as many superblocks, of which mdadm, when it is not told the version, shows the
        // newest and zeroes all. A container on an array has its keys where the array's data starts: at neither end of the member.
        for version in mdadm::VERSIONS {
            if let Some(offset) = mdadm::data_offset_on(runner, device, version).or_step_on(what, device)? {
                wipe::header_at(device, offset).or_step_on(what, device)?;
            }
            mdadm::zero_superblock(runner, device, Some(version)).or_step_on(what, device)?;
        }
        // Best effort: a damaged superblock of a firmware RAID it does not zero. They lie at the ends, which are zeroed below.
        let _ = mdadm::zero_superblock(runner, device, None);
        wipe::signatures(runner, device).or_step_on(what, device)?;
    }
    wipe::ends(device).or_step_on(what, device)
}

/// Makes a device that was made just now forget what earlier use left at its ends: old data reappears at equal offsets.
///
/// # Errors
/// The device refuses.
pub fn forget_new(device: &str) -> Result<(), StepError> {
    wipe::ends(device).or_step_on("cannot erase the ends of the new device", device)
}

/// Discards a disk, and says how that went. A disk that does not take it is as well installed on.
fn discard(runner: &dyn Runner, device: &str) -> String {
    match wipe::discard(runner, device) {
        Ok(()) => format!("{device}: discarded"),
        Err(error) => format!("{device}: not discarded, which does no harm: {error}"),
    }
}

/// A partition that the kernel sees on a disk.
struct Seen {
    /// Its node.
    device: String,
    /// Where it is.
    area: wipe::Area,
}

/// The partitions the kernel sees on a disk, of which `sys` is /sys/class/block.
fn partitions(sys: &Path, disk: &str) -> Result<Vec<Seen>, StepError> {
    let folder = sys.join(disk);
    let what = format!("cannot read {}", folder.display());
    let entries = fs::read_dir(&folder).or_step(&what)?;
    let folders = entries.filter_map(Result::ok).map(|e| e.path()).filter(|path| path.join("partition").exists());
    // In sectors of 512 bytes, whatever the disk has (Documentation/ABI/stable/sysfs-block).
    let number = |path: PathBuf| -> Result<Bytes, StepError> {
        let text = fs::read_to_string(&path).or_step(&what)?;
        let sectors: u64 = text.trim().parse().or_step(&what)?;
        Ok(Bytes(sectors.saturating_mul(512)))
    };
    folders
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let area = wipe::Area { start: number(path.join("start"))?, size: number(path.join("size"))? };
            Ok(Seen { device: format!("/dev/{name}"), area })
        })
        .collect()
}

/// Whether the kernel says that a disk spins.
fn spins(sys: &Path, disk: &str) -> bool {
    fs::read_to_string(sys.join(disk).join("queue/rotational")).is_ok_and(|text| text.trim() != "0")
}

/// Looks for anything that is left on a disk: signatures on it and where its partitions were, and any byte at an end of either.
///
/// # Errors
/// What was found, or the device cannot be read.
pub fn verify_clean(runner: &dyn Runner, device: &str, areas: &[wipe::Area]) -> Result<(), StepError> {
    let looking = "cannot look for what is left";
    let unclean = |what: String| {
        Err(StepError::new(format!("the disk is not clean after it was erased: {what}")).on(device).next(
            "Look for something that writes to it, such as a second host on the same disks; if nothing does, replace the disk.",
        ))
    };
    let left = wipe::found(runner, device).or_step_on(looking, device)?;
    if !left.is_empty() {
        return unclean(format!("it has the signatures {}", left.join(", ")));
    }
    for area in areas {
        if let Some(kind) = wipe::found_in(runner, device, *area).or_step_on(looking, device)? {
            return unclean(format!("a {kind} is where a partition was, at byte {}", area.start.exact()));
        }
    }
    match wipe::not_zero(device, areas).or_step_on(looking, device)? {
        Some(at) => unclean(format!("byte {} is not zero", at.exact())),
        None => Ok(()),
    }
}

impl Step<Context, Destructive> for Wipe {
    fn name(&self) -> &'static str {
        "wipe"
    }

    fn describe(&self, context: &Context) -> String {
        let also = match context.plan.site.erase.mode {
            EraseMode::Signatures | EraseMode::Secure => "",
            EraseMode::Discard => ", and tell those without rotating parts that nothing on them is needed",
        };
        format!("erase signatures, superblocks and keys of earlier use from {} disks{also}", context.plan.disks.len())
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let sys = Path::new(SYS_BLOCK);
        let total = context.plan.disks.len();
        let mut cleared = Vec::with_capacity(total);
        for index in 0..total {
            // Each disk right before it is written: the one before may have taken its time.
            still_the_same(context)?;
            let (runner, disk) = (context.runner.as_ref(), &context.plan.disks[index]);
            let device = context.disk(index);
            report.progress(percent(index, total), device.as_str());
            let hidden = wipe::mbr_areas(&device, disk.logical_sector).or_step_on("cannot read the disk", &device)?;
            let mut areas: Vec<wipe::Area> = hidden;
            for partition in partitions(sys, &disk.kernel_name)? {
                forget(runner, &partition.device)?;
                areas.push(partition.area);
            }
            areas.sort_unstable();
            areas.dedup();
            forget(runner, &device)?;
            // What was written to an SSD before slows it down until it is told.
            if context.plan.site.erase.mode == EraseMode::Discard && !spins(sys, &disk.kernel_name) {
                report.log(discard(runner, &device));
            }
            // Also after a discard: what reads of discarded sectors return is the disk's business.
            wipe::ends_of(&device, &areas)
                .or_step_on("cannot erase the ends of the disk and its partitions", &device)?;
            udev::reread_table(runner, &device).or_step_on("the kernel cannot read the empty table", &device)?;
            cleared.push(areas);
        }
        context.found.cleared = cleared;
        udev::settle(context.runner.as_ref()).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for (index, disk) in context.plan.disks.iter().enumerate() {
            let device = context.disk(index);
            let areas = context.found.cleared.get(index).map_or(&[][..], Vec::as_slice);
            verify_clean(context.runner.as_ref(), &device, areas)?;
            if let Some(left) = partitions(Path::new(SYS_BLOCK), &disk.kernel_name)?.first() {
                return Err(StepError::new(format!("the kernel still sees the partition {}", left.device)).on(device));
            }
        }
        Ok(())
    }
}

/// `done` of `total` in per cent.
pub fn percent<N: TryInto<u128>>(done: N, total: N) -> u8 {
    // No count of things or bytes comes near the limit.
    let number = |n: N| n.try_into().unwrap_or(0);
    u8::try_from(number(done).saturating_mul(100) / number(total).max(1)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use sovereign_system::testing::Recorder;

    #[test]
    fn a_disk_that_fails_at_discards_is_installed_on_all_the_same() {
        for complaint in
            ["BLKDISCARD ioctl failed: Operation not supported", "BLKDISCARD ioctl failed: Input/output error"]
        {
            let said = discard(&Recorder::new().fails("blkdiscard", 1, complaint), "/dev/sda");
            assert!(said.contains("not discarded") && said.contains(complaint), "{said}");
        }
        assert_eq!(discard(&Recorder::new(), "/dev/sda"), "/dev/sda: discarded");
    }

    #[test]
    fn partitions_are_where_the_kernel_says() {
        let sys = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("sda/sda1/partition", "1\n"),
            ("sda/sda1/start", "2048\n"),
            ("sda/sda1/size", "8\n"),
            ("sda/queue/rotational", "0\n"),
            ("sdb/queue/rotational", "1\n"),
        ] {
            let path = sys.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let seen = partitions(sys.path(), "sda").unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].device, "/dev/sda1");
        assert_eq!(seen[0].area, wipe::Area { start: Bytes(1 << 20), size: Bytes(4096) });
        assert!(!spins(sys.path(), "sda") && spins(sys.path(), "sdb"));
        assert!(partitions(sys.path(), "sdc").is_err(), "a disk that is gone");
    }

    /// A disk of zeroes, and where two partitions were.
    fn disk() -> (tempfile::NamedTempFile, [wipe::Area; 2]) {
        let mut disk = tempfile::NamedTempFile::new().unwrap();
        disk.write_all(&vec![0; 1 << 20]).unwrap();
        let area = |start| wipe::Area { start: Bytes(start), size: Bytes(4096) };
        (disk, [area(8192), area(65_536)])
    }

    #[test]
    fn what_is_left_on_a_disk_stops_the_installation() {
        let (disk, areas) = disk();
        let device = disk.path().to_str().unwrap();
        let clean = || Recorder::new().fails("blkid --probe", 2, "");
        verify_clean(&clean(), device, &areas).unwrap();
        let words = |runner: &Recorder| verify_clean(runner, device, &areas).unwrap_err().render();
        let json = r#"{"signatures":[{"device":"sda","offset":"0x1fe","type":"dos","uuid":null,"label":null}]}"#;
        let error = words(&Recorder::new().prints("wipefs --json", json));
        assert!(error.contains("dos at 0x1fe") && error.contains(device), "{error}");
        let second = "blkid --probe --offset 65536";
        let error = words(&Recorder::new().prints(second, "zfs_member\n").fails("blkid --probe", 2, ""));
        assert!(error.contains("a zfs_member is where a partition was, at byte 65,536"), "{error}");
        fs::write(disk.path(), [vec![0; 8192], vec![1], vec![0; 90_000]].concat()).unwrap();
        let error = words(&clean());
        assert!(error.contains("byte 8,192 is not zero"), "{error}");
    }

    /// A disk that was a member of two generations of arrays with a container on each: both keys are gone, wherever they lie.
    #[test]
    fn keys_of_every_generation_of_arrays_are_erased() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        fs::write(disk.path(), vec![0xAA; 96 << 20]).unwrap();
        let device = disk.path().to_str().unwrap();
        let json = r#"{"signatures":[{"device":"sda1","offset":"0x1000","type":"linux_raid_member","uuid":null,"label":null}]}"#;
        let runner = Recorder::new()
            .prints("wipefs --json", json)
            .prints("mdadm --examine --metadata=1.2", "    Data Offset : 40960 sectors\n")
            .prints("mdadm --examine --metadata=1.1", "    Data Offset : 98304 sectors\n");
        forget(&runner, device).unwrap();
        let bytes = fs::read(device).unwrap();
        for start in [20 << 20, 48 << 20] {
            assert!(bytes[start..start + (1 << 20)].iter().all(|byte| *byte == 0), "a header at {start} survived");
        }
        let lines = runner.lines();
        let at = |line: &str| lines.iter().position(|l| l.starts_with(line)).unwrap();
        assert!(at("mdadm --examine --metadata=1.1") < at(&format!("mdadm --zero-superblock {device}")), "{lines:?}");
    }

    #[test]
    fn a_tool_that_fails_while_a_disk_is_erased_is_named_with_the_disk() {
        let (disk, _) = disk();
        let device = disk.path().to_str().unwrap();
        let json = r#"{"signatures":[{"device":"sda1","offset":"0x0","type":"crypto_LUKS","uuid":null,"label":null}]}"#;
        let luks = || Recorder::new().prints("wipefs --json", json);
        for (line, complaint) in [
            ("wipefs --all", "probing initialization failed: Device or resource busy"),
            ("mdadm --zero-superblock", "Couldn't open for write"),
        ] {
            let error = forget(&luks().fails(line, 1, complaint), device).unwrap_err().render();
            assert!(error.contains(device) && error.contains(line) && error.contains(complaint), "{error}");
        }
        // The keys of a damaged header: what is zeroed below is all of it.
        let runner =
            luks().fails("cryptsetup erase", 1, "Device is not a valid LUKS device.").fails("mdadm --zero", 2, "");
        forget(&runner, device).unwrap();
        // A superblock of a firmware RAID that mdadm cannot zero: so are both ends.
        fs::write(device, [0xAA; 8192]).unwrap();
        let all = format!("mdadm --zero-superblock {device}");
        forget(&luks().fails(&all, 1, "Could not zero superblock"), device).unwrap();
        assert_eq!(fs::read(device).unwrap(), [0; 8192]);
        assert!(forget(&Recorder::new().fails("wipefs", 1, "no medium"), "/no/such/disk").is_err());
    }
}
