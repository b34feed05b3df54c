//! udev and the kernel's view of partitions.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::runner::{Cmd, RunError, Runner};

/// Waits until udev has handled what happened so far.
///
/// # Errors
/// [`RunError`].
pub fn settle(runner: &dyn Runner) -> Result<(), RunError> {
    runner.run(&Cmd::new("udevadm", ["settle", "--timeout=60"])).map(drop)
}

/// Has the kernel read a disk's partition table again.
///
/// # Errors
/// [`RunError`]: EBUSY while anything on the disk is held.
pub fn reread_table(runner: &dyn Runner, disk: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("blockdev", ["--rereadpt", disk])).map(drop)
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
    fn waiting_ends() {
        assert!(appears(Path::new("/"), Duration::ZERO));
        assert!(!appears(Path::new("/no/such/thing"), Duration::from_millis(50)));
    }
}
