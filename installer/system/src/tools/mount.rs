//! Mounting and unmounting.

use std::path::Path;
use std::time::Duration;

use crate::runner::{Cmd, RunError, Runner};

/// Unmounting ends when everything in memory is on the disks: gigabytes, through encryption, onto arrays that synchronise.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3600);

/// Mounts `device` on the folder `point`, which must exist.
///
/// # Errors
/// [`RunError`].
pub fn mount(runner: &dyn Runner, device: &str, point: &Path, options: &str) -> Result<(), RunError> {
    let point = point.to_string_lossy();
    runner.run(&Cmd::new("mount", ["-o", options, device, &point])).map(drop)
}

/// Shows a folder of the running system in another place, without what is mounted below it.
///
/// # Errors
/// [`RunError`].
pub fn bind(runner: &dyn Runner, from: &str, point: &Path) -> Result<(), RunError> {
    let point = point.to_string_lossy();
    runner.run(&Cmd::new("mount", ["--bind", from, &point])).map(drop)
}

/// As [`bind`], with what is mounted below it, now and later. What is unmounted in the other place stays mounted in the first.
///
/// # Errors
/// [`RunError`].
pub fn bind_tree(runner: &dyn Runner, from: &str, point: &Path) -> Result<(), RunError> {
    let point = point.to_string_lossy();
    runner.run(&Cmd::new("mount", ["--rbind", "--make-rslave", from, &point])).map(drop)
}

/// What is mounted below `point` from now on is mounted here alone. Else udev, which sees mounts of its own, keeps a copy of each, and with
/// it the device below, after all was unmounted here.
///
/// # Errors
/// [`RunError`].
pub fn keep_to_itself(runner: &dyn Runner, point: &Path) -> Result<(), RunError> {
    let point = point.to_string_lossy();
    runner.run(&Cmd::new("mount", ["--make-private", &point])).map(drop)
}

/// Mounts a file system that no device holds (`tmpfs`, `proc`, ...) on the folder `point`.
///
/// # Errors
/// [`RunError`].
pub fn kernels(runner: &dyn Runner, kind: &str, point: &Path) -> Result<(), RunError> {
    let point = point.to_string_lossy();
    runner.run(&Cmd::new("mount", ["-t", kind, kind, &point])).map(drop)
}

/// Mounts the image of a file system, a file, read-only on the folder `point`; its loop device goes when it is unmounted.
///
/// # Errors
/// [`RunError`].
pub fn image(runner: &dyn Runner, file: &Path, point: &Path) -> Result<(), RunError> {
    mount(runner, &file.to_string_lossy(), point, "ro,loop")
}

/// Unmounts `point` with everything below it.
///
/// # Errors
/// [`RunError`]: most often a program still uses it.
pub fn unmount_tree(runner: &dyn Runner, point: &Path) -> Result<(), RunError> {
    let point = point.to_string_lossy();
    runner.run(&Cmd::new("umount", ["--recursive", &point]).timeout(FLUSH_TIMEOUT)).map(drop)
}

/// Unmounts `point`.
///
/// # Errors
/// As [`unmount_tree`].
pub fn unmount(runner: &dyn Runner, point: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("umount", [point]).timeout(FLUSH_TIMEOUT)).map(drop)
}

/// A line of /proc/self/mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: String,
    /// Where.
    pub point: String,
    /// File system type.
    pub kind: String,
    /// Whether it takes writes.
    pub writable: bool,
}

/// Reads /proc/self/mounts; spaces and the like in names are octal escapes there.
pub fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(Mount {
                source: unescaped(words.next()?),
                point: unescaped(words.next()?),
                kind: words.next()?.to_owned(),
                writable: words.next().unwrap_or_default().split(',').any(|option| option == "rw"),
            })
        })
        .collect()
}

/// Undoes what `mangle()` of the kernel's fs/seq_file.c does to blanks, tabs, line feeds, backslashes and `#`: `\040` and so on.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok()).filter(u8::is_ascii);
        let used = if let Some(byte) = code {
            out.push(char::from(byte));
            4
        } else {
            out.push('\\');
            1
        };
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    out
}

/// Whether something is mounted on `point` now.
///
/// # Errors
/// /proc cannot be read.
pub fn is_mounted(point: &Path) -> std::io::Result<bool> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    Ok(parse_mounts(&mounts).iter().any(|m| Path::new(&m.point) == point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        mount(&runner, "/dev/pve/root", Path::new("/target"), "noatime").unwrap();
        bind(&runner, "/dev", Path::new("/target/dev")).unwrap();
        kernels(&runner, "tmpfs", Path::new("/guest/run")).unwrap();
        image(&runner, Path::new("/medium/a.squashfs"), Path::new("/guest/run/a")).unwrap();
        unmount_tree(&runner, Path::new("/target")).unwrap();
        unmount(&runner, "/mnt").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "mount -o noatime /dev/pve/root /target",
                "mount --bind /dev /target/dev",
                "mount -t tmpfs tmpfs /guest/run",
                "mount -o ro,loop /medium/a.squashfs /guest/run/a",
                "umount --recursive /target",
                "umount /mnt"
            ]
        );
    }

    #[test]
    fn names_with_spaces_are_read() {
        let mounts =
            parse_mounts("/dev/sda1 /mnt/my\\040disk\\043\\134 ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n");
        assert_eq!(mounts[0].point, "/mnt/my disk#\\");
        assert_eq!(mounts[1].kind, "proc");
        assert!(mounts[0].writable && !parse_mounts("/dev/sr0 /m iso9660 ro,errors=remount-rw 0 0")[0].writable);
    }

    #[test]
    fn escapes_of_mount_points_are_undone() {
        for (text, wanted) in
            [("/a\\040b\\134c", "/a b\\c"), ("/plain", "/plain"), ("\\", "\\"), ("\\9é", "\\9é"), ("\\777", "\\777")]
        {
            assert_eq!(unescaped(text), wanted);
        }
    }
}
