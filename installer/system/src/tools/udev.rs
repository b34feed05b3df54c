//! udev and the kernel's view of partitions.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::runner::{Cmd, RunError, Runner};

/// How often a partition table is tried to be read again.
const REREADS: usize = 10;
/// Pause between two tries.
const REREAD_PAUSE: Duration = Duration::from_millis(200);

/// Waits until udev runs, and has been asked to look at every device: before that it would seem to be at rest.
///
/// # Errors
/// [`RunError`].
pub fn start(runner: &dyn Runner) -> Result<(), RunError> {
    runner.run(&Cmd::new("systemctl", ["start", "systemd-udevd.service", "systemd-udev-trigger.service"])).map(drop)
}

/// Waits until udev has handled what happened so far.
///
/// # Errors
/// [`RunError`].
pub fn settle(runner: &dyn Runner) -> Result<(), RunError> {
    runner.run(&Cmd::new("udevadm", ["settle", "--timeout=60"])).map(drop)
}

/// Has the kernel read a disk's partition table again. udev opens partitions for a moment to look at them, and the kernel refuses
/// meanwhile: then it is tried again when udev has come to rest.
///
/// # Errors
/// [`RunError`]: something else than udev holds the disk.
pub fn reread_table(runner: &dyn Runner, disk: &str) -> Result<(), RunError> {
    let cmd = Cmd::new("blockdev", ["--rereadpt", disk]);
    for _ in 1..REREADS {
        if runner.status(&cmd, &mut |_| {})?.code == 0 {
            return Ok(());
        }
        settle(runner)?;
        thread::sleep(REREAD_PAUSE);
    }
    runner.run(&cmd).map(drop)
}

/// Waits until `path` exists; `false` where it does not appear within `patience`.
pub fn appears(path: &Path, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while !path.exists() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        settle(&runner).unwrap();
        reread_table(&runner, "/dev/sda").unwrap();
        assert_eq!(runner.lines(), ["udevadm settle --timeout=60", "blockdev --rereadpt /dev/sda"]);
    }

    #[test]
    fn a_disk_that_stays_busy_is_an_error_after_several_tries() {
        let busy = Recorder::new().fails("blockdev", 1, "ioctl error on BLKRRPART: Device or resource busy");
        assert!(matches!(reread_table(&busy, "/dev/sda"), Err(RunError::Failed { code: 1, .. })));
        assert_eq!(busy.lines().iter().filter(|l| l.starts_with("blockdev")).count(), REREADS);
    }

    #[test]
    fn waiting_ends() {
        assert!(appears(Path::new("/"), Duration::ZERO));
        assert!(!appears(Path::new("/no/such/thing"), Duration::from_millis(50)));
    }
}
