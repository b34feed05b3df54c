//! Files on the mounted target: written whole, with their mode from the start.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use sovereign_engine::StepError;

use crate::fail::OrStep;

/// Mode of ordinary configuration.
pub const PUBLIC: u32 = 0o644;
/// Mode of what only root may read.
pub const PRIVATE: u32 = 0o600;
/// Mode of what nobody should change.
pub const SEALED: u32 = 0o400;

/// Writes `bytes` to `path` with `mode`, replacing what was there. Folders are made as needed. Never follows a link: packages ship
/// links such as /etc/localtime that lead out of the target.
///
/// # Errors
/// The file system refuses.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StepError> {
    let attempt = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if path.symlink_metadata().is_ok() {
            fs::remove_file(path)?;
        }
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(path)?;
        // The mode given to open() went through the umask.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)
    };
    attempt().or_step(&format!("cannot write {}", path.display()))
}

/// Makes a folder with its parents and sets its mode.
///
/// # Errors
/// The file system refuses.
pub fn folder(path: &Path, mode: u32) -> Result<(), StepError> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .or_step(&format!("cannot make the folder {}", path.display()))
}

/// Makes `path` a symbolic link to `to`, replacing what was there.
///
/// # Errors
/// The file system refuses.
pub fn link(path: &Path, to: &str) -> Result<(), StepError> {
    let attempt = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if path.symlink_metadata().is_ok() {
            fs::remove_file(path)?;
        }
        std::os::unix::fs::symlink(to, path)
    };
    attempt().or_step(&format!("cannot link {} to {to}", path.display()))
}

/// Reads a text.
///
/// # Errors
/// It is not there or not UTF-8.
pub fn read(path: &Path) -> Result<String, StepError> {
    fs::read_to_string(path).or_step(&format!("cannot read {}", path.display()))
}

/// The permission bits of a file.
///
/// # Errors
/// It is not there.
pub fn mode(path: &Path) -> Result<u32, StepError> {
    let metadata = fs::symlink_metadata(path).or_step(&format!("cannot read {}", path.display()))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_the_target_is_replaced_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "untouched").unwrap();
        let path = dir.path().join("target/etc/localtime");
        link(&path, outside.to_str().unwrap()).unwrap();
        write(&path, b"new", SEALED).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
        assert_eq!(read(&path).unwrap(), "new");
        assert_eq!(mode(&path).unwrap(), 0o400);
        write(&path, b"again", PUBLIC).unwrap();
        assert_eq!((read(&path).unwrap().as_str(), mode(&path).unwrap()), ("again", 0o644));
    }
}
