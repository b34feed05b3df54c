//! Step `wipe`: no signature of earlier use is left on the disks.

use std::fs;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::plan::Pool;
use sovereign_system::runner::Runner;
use sovereign_system::tools::{cryptsetup, mdadm, udev, wipe};

use crate::context::Context;
use crate::fail::OrStep;
use crate::verify_disks::still_the_same;

/// A member of several generations of arrays has as many superblocks; more than this is no disk, but a fault.
const SUPERBLOCKS: usize = 8;

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
        for _ in 0..SUPERBLOCKS {
            // A container on an array has its keys where the array's data starts: at neither end of the member.
            if let Some(offset) = mdadm::data_offset_on(runner, device).or_step_on(what, device)? {
                wipe::header_at(device, offset).or_step_on(what, device)?;
            }
            if !mdadm::zero_superblock(runner, device).or_step_on(what, device)? {
                break;
            }
        }
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

/// Discards a disk, and says how that went. A disk that does not take it is as well installed on. Its ends are zeroed after it
/// once more: what reads of discarded sectors return is the disk's business.
///
/// # Errors
/// The device cannot be written.
fn discard(runner: &dyn Runner, device: &str) -> Result<String, StepError> {
    let said = match wipe::discard(runner, device) {
        Ok(()) => format!("{device}: discarded"),
        Err(error) => format!("{device}: not discarded, which does no harm: {error}"),
    };
    wipe::ends(device).or_step_on("cannot erase the ends of the disk", device)?;
    Ok(said)
}

/// The partitions the kernel sees on a disk.
fn partitions(disk: &str) -> Result<Vec<String>, StepError> {
    let folder = format!("/sys/class/block/{disk}");
    let entries = fs::read_dir(&folder).or_step(&format!("cannot read {folder}"))?;
    let names = entries.filter_map(Result::ok).filter(|e| e.path().join("partition").exists());
    Ok(names.map(|e| format!("/dev/{}", e.file_name().to_string_lossy())).collect())
}

impl Step<Context, Destructive> for Wipe {
    fn name(&self) -> &'static str {
        "wipe"
    }

    fn describe(&self, context: &Context) -> String {
        format!("erase signatures, superblocks and keys of earlier use from {} disks", context.plan.disks.len())
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        still_the_same(context)?;
        for (index, disk) in context.plan.disks.iter().enumerate() {
            let device = context.disk(index);
            report.progress(percent(index, context.plan.disks.len()), device.as_str());
            for partition in partitions(&disk.kernel_name)? {
                forget(runner, &partition)?;
            }
            forget(runner, &device)?;
            // What was written to an SSD before slows it down until it is told; a disk that was empty need not be.
            if disk.pool == Pool::Ssd && !disk.destroys.is_empty() {
                report.log(discard(runner, &device)?);
            }
            udev::reread_table(runner, &device).or_step_on("the kernel cannot read the empty table", &device)?;
        }
        udev::settle(runner).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for index in 0..context.plan.disks.len() {
            let device = context.disk(index);
            let left =
                wipe::found(context.runner.as_ref(), &device).or_step_on("cannot look for signatures", &device)?;
            if !left.is_empty() {
                return Err(StepError::new(format!("signatures came back: {}", left.join(", "))).on(device));
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
    fn a_disk_that_fails_at_discards_is_zeroed_all_the_same() {
        for complaint in
            ["BLKDISCARD ioctl failed: Operation not supported", "BLKDISCARD ioctl failed: Input/output error"]
        {
            let mut disk = tempfile::NamedTempFile::new().unwrap();
            disk.write_all(&[0xAA; 4096]).unwrap();
            let device = disk.path().to_str().unwrap();
            let said = discard(&Recorder::new().fails("blkdiscard", 1, complaint), device).unwrap();
            assert!(said.contains("not discarded") && said.contains(complaint), "{said}");
            assert_eq!(fs::read(device).unwrap(), [0; 4096]);
        }
        let disk = tempfile::NamedTempFile::new().unwrap();
        let device = disk.path().to_str().unwrap();
        assert_eq!(discard(&Recorder::new(), device).unwrap(), format!("{device}: discarded"));
    }
}
