//! File systems: FAT32 for EFI system partitions, ext4 for the rest; and swap.

use std::time::Duration;

use uuid::Uuid;

use crate::runner::{Cmd, RunError, Runner};

const TIMEOUT: Duration = Duration::from_secs(300);

/// Makes a FAT32 file system. `volume_id` becomes its UUID in the form `ABCD-1234`, `label` has 11 characters at most, `sector` is the
/// disk's logical sector in bytes.
///
/// A FAT whose sectors are not the disk's is one that no firmware reads. Clusters of several sectors of 4096 bytes would be too few for
/// FAT32 (65,525, Microsoft's specification), so that there it is one.
///
/// # Errors
/// [`RunError`].
pub fn fat32(runner: &dyn Runner, device: &str, volume_id: u32, label: &str, sector: u32) -> Result<(), RunError> {
    let (id, sector_size) = (format!("{volume_id:08x}"), sector.to_string());
    let mut args = vec!["-F", "32", "-S", &sector_size, "-i", &id, "-n", label];
    if sector > 512 {
        args.extend(["-s", "1"]);
    }
    args.push(device);
    runner.run(&Cmd::new("mkfs.vfat", args).timeout(TIMEOUT)).map(drop)
}

/// A FAT volume identifier as blkid and fstab write it.
pub fn fat_uuid(volume_id: u32) -> String {
    format!("{:04X}-{:04X}", volume_id >> 16, volume_id & 0xFFFF)
}

/// What is below a new ext4 file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// A device that may hold data of earlier use.
    Used,
    /// A container with a new key: whatever was there is noise. Neither a discard nor a zeroed journal gains anything, and they take
    /// most of the time.
    Fresh,
}

/// Makes an ext4 file system. `label` has 16 characters at most.
///
/// # Errors
/// [`RunError`].
pub fn ext4(runner: &dyn Runner, device: &str, uuid: &Uuid, label: &str, ground: Ground) -> Result<(), RunError> {
    let uuid = uuid.to_string();
    let mut args = vec!["-q", "-F", "-U", &uuid, "-L", label];
    if ground == Ground::Fresh {
        args.extend(["-E", "nodiscard,lazy_journal_init=1"]);
    }
    args.push(device);
    runner.run(&Cmd::new("mkfs.ext4", args).timeout(TIMEOUT)).map(drop)
}

/// Makes a swap area.
///
/// # Errors
/// [`RunError`].
pub fn swap(runner: &dyn Runner, device: &str, uuid: &Uuid) -> Result<(), RunError> {
    runner.run(&Cmd::new("mkswap", ["--uuid", &uuid.to_string(), device]).timeout(TIMEOUT)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        fat32(&runner, "/dev/nvme0n1p2", 0x00AB_12CD, "ESP1", 512).unwrap();
        fat32(&runner, "/dev/nvme0n1p1", 0x00AB_12CD, "ESP1", 4096).unwrap();
        let uuid = Uuid::from_u128(1);
        ext4(&runner, "/dev/md/boot", &uuid, "boot", Ground::Used).unwrap();
        ext4(&runner, "/dev/pve/root", &uuid, "root", Ground::Fresh).unwrap();
        swap(&runner, "/dev/pve/swap", &uuid).unwrap();
        assert_eq!(
            runner.lines(),
            [
                "mkfs.vfat -F 32 -S 512 -i 00ab12cd -n ESP1 /dev/nvme0n1p2",
                "mkfs.vfat -F 32 -S 4096 -i 00ab12cd -n ESP1 -s 1 /dev/nvme0n1p1",
                "mkfs.ext4 -q -F -U 00000000-0000-0000-0000-000000000001 -L boot /dev/md/boot",
                "mkfs.ext4 -q -F -U 00000000-0000-0000-0000-000000000001 -L root -E nodiscard,lazy_journal_init=1 /dev/pve/root",
                "mkswap --uuid 00000000-0000-0000-0000-000000000001 /dev/pve/swap",
            ]
        );
        assert_eq!(fat_uuid(0x00AB_12CD), "00AB-12CD");
    }
}
