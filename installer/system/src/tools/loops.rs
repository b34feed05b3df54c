//! Loop devices of util-linux 2.41: a volume shown as a disk with partitions of its own.

use crate::runner::{Cmd, RunError, Runner};

/// Shows `volume` as a disk with logical sectors of `sector` bytes, whatever it has itself, and gives the new device node
/// (`/dev/loop0`; its partitions are `/dev/loop0p1` and so on).
///
/// # Errors
/// [`RunError`].
pub fn attach(runner: &dyn Runner, volume: &str, sector: u32) -> Result<String, RunError> {
    let sector = sector.to_string();
    let cmd = Cmd::new("losetup", ["--find", "--show", "--partscan", "--sector-size", &sector, volume]);
    let found = runner.run(&cmd)?.stdout;
    let device = found.trim();
    if device.starts_with("/dev/loop") && !device.contains(char::is_whitespace) {
        return Ok(device.to_owned());
    }
    Err(RunError::Unexpected { line: cmd.line(), reason: format!("it says {device:?}, which is no loop device") })
}

/// Lets go of a loop device.
///
/// # Errors
/// [`RunError`]: most often something is still mounted from it.
pub fn detach(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("losetup", ["--detach", device])).map(drop)
}

/// The loop devices that show `volume`.
///
/// # Errors
/// [`RunError`].
pub fn showing(runner: &dyn Runner, volume: &str) -> Result<Vec<String>, RunError> {
    let cmd = Cmd::new("losetup", ["--associated", volume, "--noheadings", "--output", "NAME"]);
    Ok(runner.run(&cmd)?.stdout.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new()
            .prints("losetup --find", "/dev/loop4\n")
            .prints("losetup --associated", "/dev/loop4\n/dev/loop5\n");
        assert_eq!(attach(&runner, "/dev/pve/guest-base", 512).unwrap(), "/dev/loop4");
        assert_eq!(showing(&runner, "/dev/pve/guest-base").unwrap(), ["/dev/loop4", "/dev/loop5"]);
        detach(&runner, "/dev/loop4").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "losetup --find --show --partscan --sector-size 512 /dev/pve/guest-base",
                "losetup --associated /dev/pve/guest-base --noheadings --output NAME",
                "losetup --detach /dev/loop4",
            ]
        );
    }

    #[test]
    fn what_is_no_device_is_not_written_to() {
        for said in ["", "/dev/sda", "/dev/loop0 /dev/loop1"] {
            let runner = Recorder::new().prints("losetup", said);
            assert!(matches!(attach(&runner, "/dev/pve/x", 512), Err(RunError::Unexpected { .. })), "{said}");
        }
    }
}
