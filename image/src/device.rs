//! What a device is, and whether an image may be written to it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use sovereign_model::Bytes;

/// Bytes of a sector in sysfs, whatever the device's own are (Documentation/ABI/stable/sysfs-block).
const SYSFS_SECTOR: u64 = 512;

/// Why a device must not be written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing has that name.
    #[error("there is no such device; `lsblk` lists those there are")]
    Absent,
    /// Not a block device.
    #[error("it is not a block device; to copy the image to a file, use cp")]
    NotBlockDevice,
    /// A partition.
    #[error("it is a partition; name the whole device ({disk})")]
    Partition {
        /// The device it is on.
        disk: String,
    },
    /// Mounted, or part of something that is in use.
    #[error("it is in use ({by}); unmount or stop that first")]
    InUse {
        /// Mount points, swap, arrays or mappings.
        by: String,
    },
    /// Another device than the one that was meant.
    #[error("its serial number is {found}, not {wanted}")]
    OtherSerial {
        /// The device's.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// Perhaps a disk of this machine.
    #[error("it is not removable; if it is meant all the same, repeat its serial number: --serial {serial}")]
    NotRemovable {
        /// The device's.
        serial: String,
    },
    /// Perhaps a disk of this machine, and nothing tells it from another.
    #[error(
        "it is not removable and has no serial number, so it cannot be told from a disk of this machine; use a removable stick"
    )]
    NoSerial,
    /// The kernel gives it to nobody else.
    #[error(
        "another program has it open for itself; `fuser -v` names it: close that (a desktop's disk program, a virtual machine), then \
         start again"
    )]
    Busy,
    /// Write protected.
    #[error("it is write protected")]
    ReadOnly,
    /// Too small.
    #[error("it is too small by {missing} bytes")]
    TooSmall {
        /// How many bytes are missing.
        missing: u64,
    },
}

/// What is known about a device.
#[derive(Debug, Clone, Default)]
pub struct Device {
    block: bool,
    /// The whole device, if this is a partition.
    partition_of: Option<String>,
    removable: bool,
    read_only: bool,
    bytes: u64,
    serial: Option<String>,
    model: Option<String>,
    /// Mount points, swap, holders of it and its partitions.
    used_by: Vec<String>,
}

impl Device {
    /// May an image of so many bytes be written to it? `serial` is what the person says its serial number is.
    pub fn judge(&self, image_bytes: u64, serial: Option<&str>) -> Result<(), Refusal> {
        if !self.block {
            return Err(Refusal::NotBlockDevice);
        }
        if let Some(disk) = &self.partition_of {
            return Err(Refusal::Partition { disk: disk.clone() });
        }
        if !self.used_by.is_empty() {
            return Err(Refusal::InUse { by: self.used_by.join(", ") });
        }
        match (serial, &self.serial) {
            (Some(wanted), Some(known)) if wanted == known => (),
            (Some(wanted), known) => {
                let found = known.clone().unwrap_or_else(|| "not known".to_owned());
                return Err(Refusal::OtherSerial { found, wanted: wanted.to_owned() });
            }
            (None, _) if self.removable => (),
            (None, Some(serial)) => return Err(Refusal::NotRemovable { serial: serial.clone() }),
            (None, None) => return Err(Refusal::NoSerial),
        }
        if self.read_only {
            return Err(Refusal::ReadOnly);
        }
        match image_bytes.checked_sub(self.bytes) {
            Some(missing) if missing > 0 => Err(Refusal::TooSmall { missing }),
            _ => Ok(()),
        }
    }

    /// Model, serial and size in brackets, as far as they are known.
    pub fn identity(&self) -> String {
        let mut known: Vec<String> = self.model.iter().cloned().collect();
        known.extend(self.serial.iter().map(|serial| format!("serial {serial}")));
        if self.bytes > 0 {
            known.push(Bytes(self.bytes).to_string());
        }
        if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
    }

    /// Reads what sysfs, /proc and udev's database know.
    pub fn probe(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.file_type().is_block_device() {
            return Ok(Self::default());
        }
        let number = format!("{}:{}", major(metadata.rdev()), minor(metadata.rdev()));
        let sys = fs::canonicalize(format!("/sys/dev/block/{number}"))?;
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let attribute = |file: &str| fs::read_to_string(sys.join(file)).ok().map(|text| text.trim().to_owned());
        let udev = fs::read_to_string(format!("/run/udev/data/b{number}")).unwrap_or_default();
        let property =
            |key: &str| udev.lines().find_map(|line| line.strip_prefix("E:")?.strip_prefix(key)).map(str::to_owned);
        let partition = sys.join("partition").exists();
        Ok(Self {
            block: true,
            partition_of: partition.then(|| format!("/dev/{}", sys.parent().map(name).unwrap_or_default())),
            removable: attribute("removable").as_deref() == Some("1"),
            read_only: attribute("ro").as_deref() == Some("1"),
            bytes: attribute("size").and_then(|size| size.parse::<u64>().ok()).unwrap_or(0) * SYSFS_SECTOR,
            serial: property("ID_SERIAL_SHORT=").or_else(|| attribute("device/serial")).or_else(|| attribute("serial")),
            model: property("ID_MODEL=").or_else(|| attribute("device/model")),
            used_by: used_by(&sys, &name(&sys)),
        })
    }
}

/// Mount points, swap areas and holders of a device and its partitions.
fn used_by(sys: &Path, name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let folder = |path: PathBuf| {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    names.extend(folder(sys.to_owned()).filter(|entry| sys.join(entry).join("partition").exists()));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let mut used = Vec::new();
    for name in &names {
        let device = format!("/dev/{name}");
        used.extend(users(&mounts, &device).map(|at| format!("{device} is mounted at {at}")));
        used.extend(users(&swaps, &device).map(|_| format!("{device} is swap")));
        let holders = if name == names[0].as_str() { sys.join("holders") } else { sys.join(name).join("holders") };
        used.extend(folder(holders).map(|holder| format!("{holder} is on {device}")));
    }
    used
}

/// The second fields of the lines whose first is `device`.
fn users<'t>(table: &'t str, device: &str) -> impl Iterator<Item = &'t str> {
    table.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(device)).then(|| words.next().unwrap_or("?"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stick() -> Device {
        Device {
            block: true,
            removable: true,
            bytes: 1000,
            serial: Some("ABC".to_owned()),
            model: Some("Stick".to_owned()),
            ..Device::default()
        }
    }

    #[test]
    fn a_removable_device_that_is_free_is_written_to() {
        assert_eq!(stick().judge(1000, None), Ok(()));
        assert_eq!(stick().judge(1000, Some("ABC")), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = |change: fn(&mut Device), serial: Option<&str>| {
            let mut device = stick();
            change(&mut device);
            device.judge(1000, serial).unwrap_err()
        };
        assert_eq!(refused(|d| d.block = false, None), Refusal::NotBlockDevice);
        assert!(matches!(refused(|d| d.partition_of = Some("/dev/sdx".to_owned()), None), Refusal::Partition { .. }));
        assert!(matches!(refused(|d| d.removable = false, None), Refusal::NotRemovable { serial } if serial == "ABC"));
        let unnamed = refused(|d| (d.removable, d.serial) = (false, None), None);
        assert_eq!(unnamed, Refusal::NoSerial);
        assert!(!unnamed.to_string().contains("--serial"));
        assert!(matches!(refused(|_| (), Some("XYZ")), Refusal::OtherSerial { .. }));
        assert!(matches!(refused(|d| d.serial = None, Some("ABC")), Refusal::OtherSerial { .. }));
        assert_eq!(refused(|d| d.read_only = true, None), Refusal::ReadOnly);
        assert_eq!(refused(|d| d.bytes = 999, None), Refusal::TooSmall { missing: 1 });
        // A serial number does not help a device that is in use: writing below a mounted file system is never right.
        assert!(matches!(refused(|d| d.used_by.push("x".to_owned()), Some("ABC")), Refusal::InUse { .. }));
    }

    #[test]
    fn a_serial_number_opens_a_device_that_is_not_removable() {
        let disk = Device { removable: false, ..stick() };
        assert_eq!(disk.judge(1000, Some("ABC")), Ok(()));
    }

    #[test]
    fn a_file_is_no_device() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = Device::probe(file.path()).unwrap();
        assert_eq!(device.judge(1, None), Err(Refusal::NotBlockDevice));
    }

    #[test]
    fn the_disk_this_machine_runs_from_is_refused() {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let Some(device) = mounts
            .lines()
            .filter_map(|l| l.split(' ').next())
            .find(|d| d.starts_with("/dev/") && Path::new(d).exists())
        else {
            return;
        };
        let known = Device::probe(Path::new(device)).unwrap();
        let refusal = known.judge(1, known.serial.as_deref()).unwrap_err();
        assert!(matches!(refusal, Refusal::InUse { .. } | Refusal::Partition { .. }), "{refusal}");
    }

    #[test]
    fn mounted_partitions_are_found_in_the_table() {
        let table = "/dev/sda1 /media/a\\040b vfat rw 0 0\n/dev/sda10 /x ext4 rw 0 0\n";
        assert_eq!(users(table, "/dev/sda1").collect::<Vec<_>>(), ["/media/a\\040b"]);
    }
}
