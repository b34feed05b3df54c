//! Removable disks that are not answer media: public SSH keys are read from them, and logs may go onto them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sovereign_model::exit::ExitCode;
use sovereign_system::input;
use sovereign_system::runner::{Cmd, RunError, Runner};
use sovereign_system::tools::mount;

use crate::failure::{Failure, OrFail};

/// Where one is mounted while it is looked at.
const POINT: &str = "/run/sovereign/removable";
/// How file systems that sticks have are mounted to be read. A journal is left alone: reading must not write.
const READ: [(&str, &str); 6] = [
    ("vfat", "ro,nosuid,nodev,noexec"),
    ("exfat", "ro,nosuid,nodev,noexec"),
    ("iso9660", "ro,nosuid,nodev,noexec"),
    ("ext3", "ro,noload,nosuid,nodev,noexec"),
    ("ext4", "ro,noload,nosuid,nodev,noexec"),
    ("xfs", "ro,norecovery,nosuid,nodev,noexec"),
];
/// How file systems are mounted to be written: those that sticks are sold with, and the disks of machines do not have.
const WRITE: [(&str, &str); 2] = [("vfat", "rw,nosuid,nodev,noexec"), ("exfat", "rw,nosuid,nodev,noexec")];
/// Most bytes of a file of public keys.
const MAX_KEYS: u64 = 64 << 10;
/// What a public key begins with (OpenSSH 10).
const KEY_TYPES: [&str; 4] = ["ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-", "sk-"];

#[derive(Deserialize)]
struct Listed {
    blockdevices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    path: String,
    #[serde(default)]
    fstype: Option<String>,
    #[serde(default)]
    hotplug: bool,
    #[serde(default)]
    mountpoints: Vec<Option<String>>,
}

/// Devices of file systems of these kinds on removable disks that are not mounted, neither the installation medium nor an answer medium, each
/// with the options it is mounted with.
fn devices(runner: &dyn Runner, kinds: &[(&str, &'static str)]) -> Result<Vec<(String, &'static str)>, RunError> {
    let cmd = Cmd::new("lsblk", ["--json", "--list", "--output", "PATH,FSTYPE,HOTPLUG,MOUNTPOINTS"]);
    let output = runner.run(&cmd)?;
    let listed: Listed = serde_json::from_str(&output.stdout)
        .map_err(|error| RunError::Unexpected { line: cmd.line(), reason: error.to_string() })?;
    let is_free = |device: &Device| device.hotplug && device.mountpoints.iter().flatten().next().is_none();
    let options = |device: &Device| kinds.iter().find(|(kind, _)| device.fstype.as_deref() == Some(*kind)).map(|k| k.1);
    let free = listed.blockdevices.into_iter().filter(is_free);
    Ok(free.filter_map(|device| options(&device).map(|options| (device.path, options))).collect())
}

/// Mounts each such file system for the moment in which `look` looks at it; what cannot be mounted is passed over.
fn each<T>(
    runner: &dyn Runner,
    point: &Path,
    kinds: &[(&str, &'static str)],
    look: &mut dyn FnMut(&Path) -> Option<T>,
) -> Result<Option<T>, Failure> {
    fs::create_dir_all(point).or_fail(ExitCode::Internal)?;
    for (device, options) in devices(runner, kinds).or_fail(ExitCode::Internal)? {
        if mount::mount(runner, &device, point, options).is_err() {
            continue;
        }
        let found = look(point);
        mount::unmount(runner, &point.to_string_lossy()).or_fail(ExitCode::Internal)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The public SSH keys on removable disks: the lines of `*.pub` and `authorized_keys` in their top folders.
///
/// # Errors
/// There is none, or the disks cannot be listed.
pub fn ssh_keys(runner: &dyn Runner) -> Result<Vec<String>, Failure> {
    keys_at(runner, Path::new(POINT))
}

fn keys_at(runner: &dyn Runner, point: &Path) -> Result<Vec<String>, Failure> {
    let mut keys: Vec<String> = Vec::new();
    each(runner, point, &READ, &mut |folder| {
        keys.extend(keys_in(folder));
        None::<()>
    })?;
    keys.dedup();
    if keys.is_empty() {
        return Err(Failure::new(
            ExitCode::BadInput,
            "no removable disk has a public key (a file ending in .pub, or authorized_keys) in its top folder; attach one and try again",
        ));
    }
    Ok(keys)
}

fn keys_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_wanted = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pub"))
            || path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("authorized_keys"))
    };
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_wanted).collect();
    files.sort_unstable();
    let texts = files.iter().filter_map(|file| input::read(file, MAX_KEYS).ok());
    texts
        .flat_map(|bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines = text.lines().map(str::trim).filter(|line| KEY_TYPES.iter().any(|kind| line.starts_with(kind)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Has `write` write onto the first removable disk that takes it; returns the device, and what was written there.
///
/// # Errors
/// The disks cannot be listed, or one cannot be unmounted.
pub fn write(
    runner: &dyn Runner,
    write: &dyn Fn(&Path) -> std::io::Result<PathBuf>,
) -> Result<Option<PathBuf>, Failure> {
    let point = Path::new(POINT);
    each(runner, point, &WRITE, &mut |folder| {
        write(folder).ok().map(|path| path.strip_prefix(point).map(Path::to_path_buf).unwrap_or(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_system::testing::Recorder;

    /// lsblk of util-linux 2.41, shortened: a disk of the machine, the installation medium, and two sticks.
    const LISTED: &str = r#"{"blockdevices": [
        {"path":"/dev/sda1","fstype":"ext4","hotplug":false,"mountpoints":[null]},
        {"path":"/dev/sr0","fstype":"iso9660","hotplug":true,"mountpoints":["/run/sovereign/medium"]},
        {"path":"/dev/sdb","fstype":null,"hotplug":true,"mountpoints":[null]},
        {"path":"/dev/sdb1","fstype":"vfat","hotplug":true,"mountpoints":[null]},
        {"path":"/dev/sdc1","fstype":"ext4","hotplug":true,"mountpoints":[null]}]}"#;

    #[test]
    fn keys_are_read_from_sticks_alone_and_each_is_let_go_of() {
        let stick = tempfile::tempdir().unwrap();
        let point = stick.path();
        fs::write(point.join("ID.PUB"), "ssh-ed25519 AAAA one\r\n").unwrap();
        fs::write(point.join("authorized_keys"), "# mine\n\nssh-rsa BBBB two\nno key\n").unwrap();
        fs::write(point.join("id"), "ssh-ed25519 CCCC not public\n").unwrap();
        let runner =
            Recorder::new().prints("lsblk", LISTED).fails("mount -o ro,noload,nosuid,nodev,noexec /dev/sdc1", 32, "");
        assert_eq!(keys_at(&runner, point).unwrap(), ["ssh-ed25519 AAAA one", "ssh-rsa BBBB two"]);
        let point = point.display();
        assert_eq!(
            runner.lines()[1..],
            [
                format!("mount -o ro,nosuid,nodev,noexec /dev/sdb1 {point}"),
                format!("umount {point}"),
                format!("mount -o ro,noload,nosuid,nodev,noexec /dev/sdc1 {point}"),
            ]
        );
    }

    #[test]
    fn where_no_stick_has_keys_it_is_said_what_is_looked_for() {
        let empty = tempfile::tempdir().unwrap();
        let failure = keys_at(&Recorder::new().prints("lsblk", LISTED), empty.path()).unwrap_err();
        assert!(failure.to_string().contains("authorized_keys"), "{failure}");
    }
}
