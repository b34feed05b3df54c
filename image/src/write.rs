//! `sovereign-image write`: puts an image on a USB stick, reads it back and compares.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise, major, minor};
use sovereign_model::Bytes;

use crate::progress::Progress;
use crate::verify::{self, Verified, VerifyError};

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
    /// The image is not whole, or none of ours.
    #[error(transparent)]
    Verify(#[from] VerifyError),
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
    transfer(image, device, |found| open(device, serial, found, progress), progress)
}

/// Opens a device that may be written to, and says which one it is.
fn open(device: &Path, serial: Option<&str>, image: &Verified, progress: &Progress) -> Result<File, WriteError> {
    let known = Device::probe(device).map_err(at("examine", device))?;
    let refused = |reason| WriteError::Refused { device: device.into(), identity: known.identity(), reason };
    known.judge(image.bytes, serial).map_err(refused)?;
    // Exclusive: the kernel itself refuses a block device that something uses.
    let flags = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(device).map_err(|error| {
        let busy = error.kind() == io::ErrorKind::ResourceBusy;
        if busy { refused(Refusal::Busy) } else { at("open", device)(error) }
    })?;
    progress.say(&format!(
        "writing {} {} to {}{}",
        image.manifest.edition,
        image.manifest.version,
        device.display(),
        known.identity()
    ));
    Ok(file)
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |source| WriteError::Io { doing, path, source }
}

/// What is written to.
trait Target: Read + Write + Seek {
    /// Afterwards everything is on the medium, and what is read comes from there, not from memory.
    fn settle(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()?;
        Ok(fadvise(self, 0, None, Advice::DontNeed)?)
    }
}

/// Checks the image, opens the target, writes, reads back and compares. `name` is the target's, for errors.
fn transfer<T: Target>(
    image: &Path,
    name: &Path,
    open: impl FnOnce(&Verified) -> Result<T, WriteError>,
    progress: &Progress,
) -> Result<(), WriteError> {
    let found = verify::verify(image, progress)?;
    let mut target = open(&found)?;
    let mut source = File::open(image).map_err(at("read", image))?;
    {
        let task = progress.bytes("writing", found.bytes);
        copy(&mut source, found.bytes, &mut target, &|n| task.add(n)).map_err(at("write", name))?;
        target.settle().map_err(at("write", name))?;
    }
    let task = progress.bytes("reading back and comparing", found.bytes);
    match difference(&mut source, found.bytes, &mut target, &|n| task.add(n)).map_err(at("re-read", name))? {
        None => Ok(()),
        Some(offset) => Err(WriteError::Differs { device: name.into(), offset }),
    }
}

/// Copies the first `bytes` of `source` to the beginning of `target`.
fn copy(
    source: &mut (impl Read + Seek),
    bytes: u64,
    target: &mut (impl Write + Seek),
    report: &dyn Fn(u64),
) -> io::Result<()> {
    source.seek(SeekFrom::Start(0))?;
    target.seek(SeekFrom::Start(0))?;
    let mut source = source.take(bytes);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = fill(&mut source, &mut buffer)?;
        if n == 0 {
            return target.flush();
        }
        target.write_all(&buffer[..n])?;
        report(n as u64);
    }
}

/// The first byte where `target` is not `source`, over the first `bytes` of `source`.
fn difference(
    source: &mut (impl Read + Seek),
    bytes: u64,
    target: &mut (impl Read + Seek),
    report: &dyn Fn(u64),
) -> io::Result<Option<u64>> {
    source.seek(SeekFrom::Start(0))?;
    target.seek(SeekFrom::Start(0))?;
    let mut source = source.take(bytes);
    let (mut wanted, mut found) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    loop {
        let n = fill(&mut source, &mut wanted)?;
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
    use crate::fixture;
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

    #[test]
    fn what_is_written_is_compared_to_the_byte() {
        let image: Vec<u8> = (0..9_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut device = Cursor::new(vec![0xff; 10_000_000]);
        copy(&mut Cursor::new(&image), 9_000_000, &mut device, &|_| ()).unwrap();
        assert_eq!(difference(&mut Cursor::new(&image), 9_000_000, &mut device, &|_| ()).unwrap(), None);
        device.get_mut()[8_999_999] ^= 1;
        assert_eq!(difference(&mut Cursor::new(&image), 9_000_000, &mut device, &|_| ()).unwrap(), Some(8_999_999));
        let mut short = Cursor::new(image[..4_500_000].to_vec());
        assert_eq!(difference(&mut Cursor::new(&image), 9_000_000, &mut short, &|_| ()).unwrap(), Some(4_500_000));
    }

    /// A stick that gives back something else at one byte.
    struct Liar(File, u64);

    impl Read for Liar {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Liar {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl Seek for Liar {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    impl Target for Liar {
        fn settle(&mut self) -> io::Result<()> {
            use std::os::unix::fs::FileExt;
            let mut byte = [0];
            self.0.read_exact_at(&mut byte, self.1)?;
            self.0.write_all_at(&[!byte[0]], self.1)?;
            self.0.settle()
        }
    }

    /// A file that stands for a stick longer than the image, full of something else.
    fn stand_in(path: &Path, image: &Path) -> File {
        let length = fs::metadata(image).unwrap().len();
        fs::write(path, vec![0xff; usize::try_from(length).unwrap() + 5000]).unwrap();
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn an_image_is_checked_written_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let (image, stick) = (fixture::image(dir.path()), dir.path().join("stick"));
        let progress = Progress::default();
        transfer(&image, &stick, |_| Ok(stand_in(&stick, &image)), &progress).unwrap();
        let (wanted, found) = (fs::read(&image).unwrap(), fs::read(&stick).unwrap());
        assert!(found[..wanted.len()] == wanted, "another content");
        assert_eq!(found[wanted.len()..], [0xff; 5000]);

        let error = transfer(&image, &stick, |_| Ok(Liar(stand_in(&stick, &image), 6_000_001)), &progress).unwrap_err();
        assert!(matches!(error, WriteError::Differs { offset: 6_000_001, .. }), "{error}");
    }

    #[test]
    fn nothing_is_opened_for_a_damaged_image() {
        let dir = tempfile::tempdir().unwrap();
        let image = fixture::image(dir.path());
        fixture::flip(&image, 7_000_000);
        let open = |_: &Verified| -> Result<File, WriteError> { panic!("the stick was opened") };
        let error = transfer(&image, Path::new("stick"), open, &Progress::default()).unwrap_err();
        assert_eq!(crate::error::Error::from(error).exit_code(), sovereign_model::exit::ExitCode::BadMedium);
    }

    #[test]
    fn a_file_is_refused_by_the_command_whatever_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let (image, file) = (fixture::image(dir.path()), dir.path().join("f"));
        fs::write(&file, "as it was").unwrap();
        let error = write(&image, &file, None, &Progress::default()).unwrap_err();
        assert!(matches!(error, WriteError::Refused { reason: Refusal::NotBlockDevice, .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"as it was");
    }
}
