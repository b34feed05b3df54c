//! Making devices forget what was on them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use sovereign_model::Bytes;

use crate::runner::{Cmd, RunError, Runner};

/// How much of each end of a device is zeroed: covers every signature that is known to sit there (ZFS labels, the backup GPT,
/// md 0.90 and 1.0, IMSM, DDF, DRBD, Ceph, bcache).
pub const END: Bytes = Bytes::mib(16);
/// Discarding a whole disk takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Removes every signature libblkid knows.
///
/// # Errors
/// [`RunError`].
pub fn signatures(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("wipefs", ["--all", "--force", device])).map(drop)
}

/// The signatures libblkid finds, as `type at offset`.
///
/// # Errors
/// [`RunError`].
pub fn found(runner: &dyn Runner, device: &str) -> Result<Vec<String>, RunError> {
    #[derive(serde::Deserialize)]
    struct Whole {
        signatures: Vec<Signature>,
    }
    #[derive(serde::Deserialize)]
    struct Signature {
        #[serde(rename = "type")]
        kind: String,
        offset: String,
    }
    let cmd = Cmd::new("wipefs", ["--json", device]);
    let output = runner.run(&cmd)?;
    // util-linux prints nothing at all where there is nothing.
    if output.stdout.trim().is_empty() {
        return Ok(Vec::new());
    }
    let whole: Whole = serde_json::from_str(&output.stdout)
        .map_err(|e| RunError::Unexpected { line: cmd.line(), reason: e.to_string() })?;
    Ok(whole.signatures.into_iter().map(|s| format!("{} at {}", s.kind, s.offset)).collect())
}

/// A part of a disk, in bytes: a partition of an earlier table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Area {
    /// Where it starts.
    pub start: Bytes,
    /// Its length.
    pub size: Bytes,
}

impl Area {
    /// Its first and last [`END`], within a disk of `disk`; all of it where they would overlap.
    fn ends(self, disk: Bytes) -> Vec<Self> {
        let end = disk.get().min(self.start.get().saturating_add(self.size.get()));
        let size = Bytes(end.saturating_sub(self.start.get()));
        if size == Bytes::ZERO {
            return Vec::new();
        }
        if size <= Bytes(2 * END.get()) {
            return vec![Self { start: self.start, size }];
        }
        vec![Self { start: self.start, size: END }, Self { start: Bytes(end - END.get()), size: END }]
    }
}

/// Bytes of a master boot record, at the start of a disk.
const MBR: usize = 512;
/// The type of the entry that stands for a GPT.
const PROTECTIVE: u8 = 0xEE;

/// The areas that a master boot record names: also those of a hybrid one, which the kernel does not look at where there is a GPT.
/// `sector` is the disk's logical sector size in bytes.
///
/// # Errors
/// The disk cannot be read.
pub fn mbr_areas(device: &str, sector: u32) -> io::Result<Vec<Area>> {
    let mut record = [0; MBR];
    File::open(device)?.read_exact(&mut record)?;
    if record[510..] != [0x55, 0xAA] {
        return Ok(Vec::new());
    }
    // Four entries of 16 bytes from 446 on: type at 4, first sector at 8, number of sectors at 12, little endian (UEFI, 5.2.1).
    let number = |entry: &[u8], at: usize| {
        u64::from(entry[at])
            | u64::from(entry[at + 1]) << 8
            | u64::from(entry[at + 2]) << 16
            | u64::from(entry[at + 3]) << 24
    };
    let entries = record[446..510].chunks_exact(16).filter(|entry| ![0, PROTECTIVE].contains(&entry[4]));
    Ok(entries
        .map(|entry| Area {
            start: Bytes(number(entry, 8) * u64::from(sector)),
            size: Bytes(number(entry, 12) * u64::from(sector)),
        })
        .collect())
}

/// Zeroes the first and last [`END`] of a device, by the disk's own means where it has them.
///
/// # Errors
/// The device refuses.
pub fn ends(device: &str) -> io::Result<()> {
    ends_of(device, &[])
}

/// As [`ends`], and those of `areas` of the device.
///
/// # Errors
/// The device refuses.
pub fn ends_of(device: &str, areas: &[Area]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(device)?;
    let size = Bytes(file.seek(SeekFrom::End(0))?);
    for area in [Area { start: Bytes::ZERO, size }].iter().chain(areas) {
        for end in area.ends(size) {
            zero(&mut file, end.start, end.size)?;
        }
    }
    file.sync_all()
}

/// The first byte that is not zero at the ends of a device and of `areas` of it; `None` where all are.
///
/// # Errors
/// The device cannot be read.
pub fn not_zero(device: &str, areas: &[Area]) -> io::Result<Option<Bytes>> {
    let mut file = File::open(device)?;
    let size = Bytes(file.seek(SeekFrom::End(0))?);
    let mut ends: Vec<Area> =
        [Area { start: Bytes::ZERO, size }].iter().chain(areas).flat_map(|area| area.ends(size)).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut buffer = vec![0; 1 << 20];
    for end in ends {
        file.seek(SeekFrom::Start(end.start.get()))?;
        let mut at = end.start.get();
        let last = at + end.size.get();
        while at < last {
            let length = usize::try_from((last - at).min(buffer.len() as u64)).unwrap_or(buffer.len());
            file.read_exact(&mut buffer[..length])?;
            if let Some(offset) = buffer[..length].iter().position(|byte| *byte != 0) {
                return Ok(Some(Bytes(at + offset as u64)));
            }
            at += length as u64;
        }
    }
    Ok(None)
}

/// What libblkid finds in an area of a device, as its type; `None` where it finds nothing.
///
/// # Errors
/// [`RunError`]: also where it finds signatures of several kinds, which it will not choose among.
pub fn found_in(runner: &dyn Runner, device: &str, area: Area) -> Result<Option<String>, RunError> {
    let (offset, size) = (area.start.get().to_string(), area.size.get().to_string());
    let cmd = Cmd::new(
        "blkid",
        ["--probe", "--offset", &offset, "--size", &size, "--match-tag", "TYPE", "--output", "value", device],
    );
    let output = runner.status(&cmd, &mut |_| {})?;
    match output.code {
        0 => Ok(Some(output.stdout.trim().to_owned())),
        // blkid(8): nothing was found.
        2 => Ok(None),
        code => Err(RunError::Failed { line: cmd.line(), code, stdout: output.stdout, stderr: output.stderr }),
    }
}

/// Zeroes [`END`] from `offset` on, or what there is of it: where a LUKS header on an array lies on the array's member. A header
/// takes 16 MiB at most by default, and no member holds more of it than that.
///
/// # Errors
/// The device refuses.
pub fn header_at(device: &str, offset: Bytes) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(device)?;
    let size = Bytes(file.seek(SeekFrom::End(0))?);
    let length = size.saturating_sub(offset).min(END);
    if length > Bytes::ZERO {
        zero(&mut file, offset, length)?;
    }
    file.sync_all()
}

/// Zeroes a range. On a block device `fallocate` is "write zeroes", which disks do themselves or the kernel does for them.
fn zero(file: &mut File, offset: Bytes, length: Bytes) -> io::Result<()> {
    let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    match fallocate(&*file, flags, offset.get(), length.get()) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::INVAL) => {
            file.seek(SeekFrom::Start(offset.get()))?;
            io::copy(&mut io::repeat(0).take(length.get()), file).map(drop)
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells an SSD that nothing on it is needed. No proof of erasure.
///
/// # Errors
/// [`RunError`]: the disk takes no discards, or fails at them. Nothing depends on it.
pub fn discard(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("blkdiscard", ["--force", device]).timeout(TIMEOUT)).map(drop)
}

/// Length of a block device.
///
/// # Errors
/// The device cannot be opened.
pub fn size(device: &str) -> io::Result<Bytes> {
    File::open(device)?.seek(SeekFrom::End(0)).map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;
    use std::io::Write;

    #[test]
    fn both_ends_of_a_large_device_and_all_of_a_small_one() {
        let zeroed = |size: u64, probes: &[u64]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut handle = file.as_file();
            handle.write_all(&vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
            let device = file.path().to_str().unwrap();
            ends(device).unwrap();
            assert_eq!(super::size(device).unwrap(), Bytes(size));
            let bytes = std::fs::read(file.path()).unwrap();
            probes.iter().map(|at| bytes[usize::try_from(*at).unwrap()] == 0).collect::<Vec<_>>()
        };
        let end = END.get();
        let large = 3 * end;
        let probes = [0, end - 1, end, large - end - 1, large - end, large - 1];
        assert_eq!(zeroed(large, &probes), [true, true, false, false, true, true]);
        assert_eq!(zeroed(1 << 20, &[0, 1 << 19, (1 << 20) - 1]), [true; 3]);
    }

    #[test]
    fn the_ends_of_earlier_partitions_are_zeroed_and_looked_at() {
        let end = END.get();
        let file = tempfile::NamedTempFile::new().unwrap();
        let size = 8 * end;
        file.as_file().write_all(&vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
        let device = file.path().to_str().unwrap();
        let area = |start: u64, size: u64| Area { start: Bytes(start), size: Bytes(size) };
        // One inside, one that an earlier and larger disk had, one beyond the end.
        let areas = [area(2 * end, 3 * end), area(6 * end + 7, 50 * end), area(9 * end, end)];
        assert_eq!(not_zero(device, &areas).unwrap(), Some(Bytes::ZERO));
        ends_of(device, &areas).unwrap();
        assert_eq!(not_zero(device, &areas).unwrap(), None);
        let bytes = std::fs::read(device).unwrap();
        let is_zero = |at: u64| bytes[usize::try_from(at).unwrap()] == 0;
        let kept = [end, 2 * end - 1, 3 * end, 4 * end - 1, 5 * end, 6 * end + 6];
        assert!(kept.iter().all(|at| !is_zero(*at)), "{:?}", kept.map(is_zero));
        let gone = [0, end - 1, 2 * end, 3 * end - 1, 4 * end, 5 * end - 1, 6 * end + 7, 8 * end - 1];
        assert!(gone.iter().all(|at| is_zero(*at)), "{:?}", gone.map(is_zero));
        // A byte that came back is found where it is.
        let mut handle = OpenOptions::new().write(true).open(device).unwrap();
        handle.seek(SeekFrom::Start(5 * end - 1)).unwrap();
        handle.write_all(&[1]).unwrap();
        assert_eq!(not_zero(device, &areas).unwrap(), Some(Bytes(5 * end - 1)));
        assert_eq!(not_zero(device, &[]).unwrap(), None);
    }

    #[test]
    fn a_hybrid_master_boot_record_names_areas_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut record = [0; 1024];
        let mut entry = |number: usize, kind: u8, start: u32, sectors: u32| {
            let at = 446 + 16 * number;
            record[at + 4] = kind;
            record[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
            record[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        };
        entry(0, 0x83, 2048, 8);
        entry(1, 0xEE, 1, 2047);
        entry(3, 0x0C, u32::MAX, u32::MAX);
        file.as_file().write_all(&record).unwrap();
        let device = file.path().to_str().unwrap();
        assert!(mbr_areas(device, 512).unwrap().is_empty(), "it has no magic number");
        record[510..512].copy_from_slice(&[0x55, 0xAA]);
        std::fs::write(file.path(), record).unwrap();
        let far = u64::from(u32::MAX) * 4096;
        let area = |start, size| Area { start: Bytes(start), size: Bytes(size) };
        assert_eq!(mbr_areas(device, 4096).unwrap(), [area(8 << 20, 32 << 10), area(far, far)]);
    }

    #[test]
    fn what_lies_at_an_earlier_partitions_place_is_named() {
        let area = Area { start: Bytes(1 << 20), size: Bytes(1 << 30) };
        let line = "blkid --probe --offset 1048576 --size 1073741824 --match-tag TYPE --output value /dev/sda";
        let ext4 = Recorder::new().prints("blkid", "ext4\n");
        assert_eq!(found_in(&ext4, "/dev/sda", area).unwrap().unwrap(), "ext4");
        assert_eq!(ext4.lines(), [line]);
        assert_eq!(found_in(&Recorder::new().fails("blkid", 2, ""), "/dev/sda", area).unwrap(), None);
        assert!(found_in(&Recorder::new().fails("blkid", 8, "ambivalent result"), "/dev/sda", area).is_err());
    }

    #[test]
    fn a_header_inside_a_member_goes_and_what_is_behind_it_stays() {
        let end = END.get();
        let file = tempfile::NamedTempFile::new().unwrap();
        let size = 2 * end + (1 << 20);
        file.as_file().write_all(&vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
        let device = file.path().to_str().unwrap();
        let zeroed = |at: u64| std::fs::read(device).unwrap()[usize::try_from(at).unwrap()] == 0;
        header_at(device, Bytes(1 << 20)).unwrap();
        let probes = [(1 << 20) - 1, 1 << 20, (1 << 20) + end - 1, (1 << 20) + end];
        assert_eq!(probes.map(zeroed), [false, true, true, false]);
        // Near the end, and a superblock that lies: the device does not grow.
        header_at(device, Bytes(size - 10)).unwrap();
        header_at(device, Bytes(size + 10)).unwrap();
        assert!(zeroed(size - 1) && !zeroed(size - 11));
        assert_eq!(super::size(device).unwrap(), Bytes(size));
    }

    #[test]
    fn the_whole_disk_is_discarded() {
        let runner = Recorder::new();
        discard(&runner, "/dev/sda").unwrap();
        assert_eq!(runner.lines(), ["blkdiscard --force /dev/sda"]);
    }

    #[test]
    fn what_is_left_is_named() {
        // util-linux 2.41, `wipefs --json /dev/sda`
        let json = r#"{ "signatures": [ {"device":"sda","offset":"0x200","type":"gpt","uuid":null,"label":null} ] }"#;
        let runner = Recorder::new().prints("wipefs --json", json);
        assert_eq!(found(&runner, "/dev/sda").unwrap(), ["gpt at 0x200"]);
        assert!(found(&Recorder::new(), "/dev/sda").unwrap().is_empty());
    }
}
