//! /etc/fstab: only the root file system may hold up a boot.

use sovereign_engine::StepError;
use sovereign_model::plan::PartitionRole;

use super::storage::PATIENCE;
use crate::context::{Context, SWAP, esp_mount};
use crate::files::{self, PUBLIC};

/// Writes it.
///
/// # Errors
/// A UUID is not known, or the file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let known = |point: &str| Context::known(&context.found.filesystems, point);
    let root = context.root_group()?;
    let mut text = String::from("# Written by the installer. Only / may hold up a boot.\n");
    text += &format!("/dev/mapper/{}-root / ext4 noatime,errors=remount-ro 0 1\n", root.name.replace('-', "--"));
    // An array that misses a member is started after 30 s (mdadm-last-resort). Nothing waits meanwhile.
    let later = format!("nofail,x-systemd.device-timeout={PATIENCE}");
    text += &format!("UUID={} /boot ext4 noatime,{later} 0 2\n", known("/boot")?);
    for index in 0..context.partitions(PartitionRole::Esp).len() {
        let point = esp_mount(index);
        text += &format!("UUID={} {point} vfat umask=0077,{later} 0 0\n", known(point)?);
    }
    if root.volumes.iter().any(|v| v.name == SWAP) {
        text += &format!("/dev/mapper/{}-{SWAP} none swap sw,nofail 0 0\n", root.name.replace('-', "--"));
    }
    files::write(&context.on_target("/etc/fstab"), text.as_bytes(), PUBLIC)
}
