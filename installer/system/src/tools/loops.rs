//! Loop devices of util-linux 2.41: a volume, or a part of one, shown with sectors of another size than its own.

use sovereign_model::Bytes;

use crate::runner::{Cmd, RunError, Runner};

/// Shows `volume` as a disk with logical sectors of `sector` bytes, whatever it has itself, and gives the new device node (`/dev/loop0`).
/// Nobody looks for partitions on it.
///
/// # Errors
/// [`RunError`].
pub fn attach(runner: &dyn Runner, volume: &str, sector: u32) -> Result<String, RunError> {
    show(runner, &["--sector-size", &sector.to_string(), volume])
}

/// As [`attach`], `size` bytes of it from `start` on.
///
/// # Errors
/// [`RunError`].
pub fn attach_part(
    runner: &dyn Runner,
    volume: &str,
    sector: u32,
    start: Bytes,
    size: Bytes,
) -> Result<String, RunError> {
    let [sector, start, size] = [sector.to_string(), start.get().to_string(), size.get().to_string()];
    show(runner, &["--sector-size", &sector, "--offset", &start, "--sizelimit", &size, volume])
}

fn show(runner: &dyn Runner, args: &[&str]) -> Result<String, RunError> {
    let cmd = Cmd::new("losetup", ["--find", "--show"].iter().chain(args).copied());
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

/// The loop devices that show other devices; those of the running system show files.
///
/// # Errors
/// [`RunError`].
pub fn of_devices(runner: &dyn Runner) -> Result<Vec<String>, RunError> {
    let cmd = Cmd::new("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"]);
    let list = runner.run(&cmd)?.stdout;
    let shown = list.lines().filter_map(|line| line.split_once(' ')).filter(|(_, shows)| shows.starts_with("/dev/"));
    Ok(shown.map(|(name, _)| name.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        // util-linux 2.41
        let list = "/dev/loop1 /run/sovereign/medium/sovereign/base.squashfs\n/dev/loop4 /dev/dm-5\n";
        let runner = Recorder::new().prints("losetup --find", "/dev/loop4\n").prints("losetup --list", list);
        assert_eq!(attach(&runner, "/dev/pve/guest-base", 512).unwrap(), "/dev/loop4");
        let part = attach_part(&runner, "/dev/pve/guest-base", 512, Bytes::mib(2), Bytes::mib(128));
        assert_eq!(part.unwrap(), "/dev/loop4");
        assert_eq!(of_devices(&runner).unwrap(), ["/dev/loop4"]);
        detach(&runner, "/dev/loop4").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "losetup --find --show --sector-size 512 /dev/pve/guest-base",
                "losetup --find --show --sector-size 512 --offset 2097152 --sizelimit 134217728 /dev/pve/guest-base",
                "losetup --list --noheadings --raw --output NAME,BACK-FILE",
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
