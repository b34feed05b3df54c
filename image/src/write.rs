//! `sovereign-image write`: puts an image on a USB stick, reads it back and compares.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise, major, minor};
use sovereign_model::Bytes;

use crate::inspect::{self, InspectError};
use crate::progress::Progress;

/// How much is written or compared at a time; a multiple of any erase block sticks have.
const CHUNK_BYTES: usize = 4 << 20;
/// Bytes of a sector in sysfs, whatever the device's own are (Documentation/ABI/stable/sysfs-block).
const SYSFS_SECTOR: u64 = 512;

/// Why nothing was written, or why what was written cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file or device cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image is none of ours.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The device must not be written to.
    #[error("{device}{identity} was not written to: {reason}")]
    Refused {
        /// The device.
        device: PathBuf,
        /// Model, serial and size, as far as they are known.
        identity: String,
        /// Why, and what to do.
        reason: Refusal,
    },
    /// The stick gives back something else.
    #[error(
        "{device} gave back something else than was written, first at byte {offset}: the stick is broken, use another"
    )]
    Differs {
        /// The device.
        device: PathBuf,
        /// The first byte that differs.
        offset: u64,
    },
}

/// Why a device must not be written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
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
struct Device {
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
    fn judge(&self, image_bytes: u64, serial: Option<&str>) -> Result<(), Refusal> {
        if !self.block {
            return Err(Refusal::NotBlockDevice);
        }
        if let Some(disk) = &self.partition_of {
            return Err(Refusal::Partition { disk: disk.clone() });
        }
        if !self.used_by.is_empty() {
            return Err(Refusal::InUse { by: self.used_by.join(", ") });
        }
        let known = self.serial.clone().unwrap_or_else(|| "unknown".to_owned());
        match serial {
            Some(wanted) if self.serial.as_deref() != Some(wanted) => {
                return Err(Refusal::OtherSerial { found: known, wanted: wanted.to_owned() });
            }
            None if !self.removable => return Err(Refusal::NotRemovable { serial: known }),
            _ => (),
        }
        if self.read_only {
            return Err(Refusal::ReadOnly);
        }
        match image_bytes.checked_sub(self.bytes) {
            Some(missing) if missing > 0 => Err(Refusal::TooSmall { missing }),
            _ => Ok(()),
        }
    }

    fn identity(&self) -> String {
        let mut known: Vec<String> = self.model.iter().cloned().collect();
        known.extend(self.serial.iter().map(|serial| format!("serial {serial}")));
        if self.bytes > 0 {
            known.push(Bytes(self.bytes).to_string());
        }
        if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
    }

    /// Reads what sysfs, /proc and udev's database know.
    fn probe(path: &Path) -> io::Result<Self> {
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

/// Writes `image` to `device`. `serial` must be given for a device that is not removable, and must match wherever it is given.
pub fn write(image: &Path, device: &Path, serial: Option<&str>, progress: &Progress) -> Result<(), WriteError> {
    let (iso, manifest) = inspect::open(image)?;
    let bytes = iso.file_bytes;
    drop(iso);
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Io { doing, path, source }
    };
    let known = Device::probe(device).map_err(io("examine", device))?;
    known.judge(bytes, serial).map_err(|reason| WriteError::Refused {
        device: device.into(),
        identity: known.identity(),
        reason,
    })?;
    progress.say(&format!(
        "writing {} {} to {}{}",
        manifest.edition,
        manifest.version,
        device.display(),
        known.identity()
    ));
    let mut source = File::open(image).map_err(io("read", image))?;
    // Exclusive: the kernel itself refuses a block device that something uses.
    let flags = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
    let mut target =
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(device).map_err(io("open", device))?;
    {
        let task = progress.bytes("writing", bytes);
        copy(&mut source, &mut target, &|n| task.add(n)).map_err(io("write", device))?;
        target.sync_all().map_err(io("write", device))?;
    }
    // What is read now comes from the stick, not from memory.
    fadvise(&target, 0, None, Advice::DontNeed).map_err(|error| io("re-read", device)(error.into()))?;
    let task = progress.bytes("reading back and comparing", bytes);
    match difference(&mut source, &mut target, &|n| task.add(n)).map_err(io("re-read", device))? {
        None => Ok(()),
        Some(offset) => Err(WriteError::Differs { device: device.into(), offset }),
    }
}

fn copy(source: &mut (impl Read + Seek), target: &mut (impl Write + Seek), report: &dyn Fn(u64)) -> io::Result<()> {
    source.seek(SeekFrom::Start(0))?;
    target.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = fill(source, &mut buffer)?;
        if n == 0 {
            return target.flush();
        }
        target.write_all(&buffer[..n])?;
        report(n as u64);
    }
}

/// The first byte where `target` is not `source`, over the length of `source`.
fn difference(
    source: &mut (impl Read + Seek),
    target: &mut (impl Read + Seek),
    report: &dyn Fn(u64),
) -> io::Result<Option<u64>> {
    source.seek(SeekFrom::Start(0))?;
    target.seek(SeekFrom::Start(0))?;
    let (mut wanted, mut found) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    loop {
        let n = fill(source, &mut wanted)?;
        if n == 0 {
            return Ok(None);
        }
        let m = fill(target, &mut found[..n])?;
        if let Some(at) = (0..n).find(|i| *i >= m || wanted[*i] != found[*i]) {
            return Ok(Some(offset + at as u64));
        }
        offset += n as u64;
        report(n as u64);
    }
}

/// Reads until the buffer is full or the end is reached.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

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

    #[test]
    fn what_is_written_is_compared_to_the_byte() {
        let image: Vec<u8> = (0..9_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut device = Cursor::new(vec![0xff; 10_000_000]);
        copy(&mut Cursor::new(&image), &mut device, &|_| ()).unwrap();
        assert_eq!(difference(&mut Cursor::new(&image), &mut device, &|_| ()).unwrap(), None);
        device.get_mut()[8_999_999] ^= 1;
        assert_eq!(difference(&mut Cursor::new(&image), &mut device, &|_| ()).unwrap(), Some(8_999_999));
        let mut short = Cursor::new(image[..4_500_000].to_vec());
        assert_eq!(difference(&mut Cursor::new(&image), &mut short, &|_| ()).unwrap(), Some(4_500_000));
    }
}
