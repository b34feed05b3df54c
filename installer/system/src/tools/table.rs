//! Partition tables: GPT (crate `gpt`) under a protective MBR, written under an exclusive lock on the whole disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::thread;
use std::time::{Duration, Instant};

use gpt::disk::LogicalBlockSize;
use gpt::{DiskDevice, GptConfig, partition_types};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sovereign_model::Bytes;
use sovereign_model::plan::{Partition, PartitionRole};
use uuid::{Uuid, uuid};

use super::mbr::{self, MbrError};

/// EFI system partition (UEFI 2.10, table 5.7).
const TYPE_ESP: Uuid = uuid!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
/// GRUB's core image on GPT disks ("BIOS boot").
const TYPE_BIOS_BOOT: Uuid = uuid!("21686148-6449-6E6F-744E-656564454649");
/// Linux file system (the kernel's and every tool's default; sgdisk's code 8300).
const TYPE_LINUX: Uuid = uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4");
/// LUKS container (sgdisk's code 8309).
const TYPE_LUKS: Uuid = uuid!("CA7D7CCB-63ED-4C53-861C-1742536059CC");
/// Linux RAID member (Discoverable Partitions Specification).
const TYPE_RAID: Uuid = uuid!("A19D880F-05FC-4D3B-A006-743F0F84911E");
/// LVM physical volume (Discoverable Partitions Specification).
const TYPE_LVM: Uuid = uuid!("E6D6D379-F507-44C2-A23C-238F2A3DF928");

/// How long the lock on a disk is tried for: udev holds one while it looks at the disk.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Why a table could not be written or is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk refused.
    #[error("cannot read or write the disk")]
    Io(#[from] std::io::Error),
    /// Somebody holds the disk.
    #[error("the disk stays locked by another program: `fuser -v` on it says which")]
    Locked(#[source] rustix::io::Errno),
    /// The protective MBR.
    #[error("the protective MBR is wrong")]
    Mbr(#[from] MbrError),
    /// The crate refused.
    #[error("the partition table is not valid")]
    Gpt(#[from] gpt::GptError),
    /// The plan cannot be written as GPT.
    #[error("the plan's partitions cannot be written: {0}")]
    Plan(String),
    /// Read back, it differs.
    #[error("the partition table was read back and differs: {0}")]
    Differs(String),
}

/// A partition as it stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// From 1.
    pub number: u32,
    /// Offset from the start of the disk.
    pub start: Bytes,
    /// Length.
    pub size: Bytes,
    /// What it is for.
    pub kind: Kind,
}

/// What a partition is for: decides its type GUID and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A partition of the host's disks.
    Host(PartitionRole),
    /// GRUB's core image on a guest's disk.
    GuestBiosBoot,
    /// EFI system partition of a guest's disk.
    GuestEsp,
    /// Physical volume of a guest's own volume group.
    GuestGroup,
}

impl From<&Partition> for Slot {
    fn from(partition: &Partition) -> Self {
        let Partition { number, role, start, size } = *partition;
        Self { number, start, size, kind: Kind::Host(role) }
    }
}

/// The partitions of a planned disk.
pub fn slots(partitions: &[Partition]) -> Vec<Slot> {
    partitions.iter().map(Slot::from).collect()
}

impl Kind {
    /// Name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host(PartitionRole::BiosBoot) => "sovereign-bios",
            Self::Host(PartitionRole::Esp) => "sovereign-esp",
            Self::Host(PartitionRole::BootMember | PartitionRole::Boot) => "sovereign-boot",
            Self::Host(PartitionRole::SsdMember | PartitionRole::SsdContainer) => "sovereign-ssd",
            Self::Host(PartitionRole::HddMember | PartitionRole::HddContainer) => "sovereign-hdd",
            Self::GuestBiosBoot => "guest-bios",
            Self::GuestEsp => "guest-esp",
            Self::GuestGroup => "guest-group",
        }
    }

    /// Type GUID.
    const fn guid(self) -> Uuid {
        match self {
            Self::Host(PartitionRole::BiosBoot) | Self::GuestBiosBoot => TYPE_BIOS_BOOT,
            Self::Host(PartitionRole::Esp) | Self::GuestEsp => TYPE_ESP,
            Self::Host(PartitionRole::BootMember | PartitionRole::SsdMember | PartitionRole::HddMember) => TYPE_RAID,
            Self::Host(PartitionRole::Boot) => TYPE_LINUX,
            Self::Host(PartitionRole::SsdContainer | PartitionRole::HddContainer) => TYPE_LUKS,
            Self::GuestGroup => TYPE_LVM,
        }
    }
}

/// Writes a new table with these partitions, and returns the GUID of each, by number. `sector` is the disk's logical sector in
/// bytes. The kernel is not told yet: udev does not look at the disk before the lock is gone.
///
/// # Errors
/// [`TableError`].
pub fn write(device: &str, sector: u32, partitions: &[Slot]) -> Result<BTreeMap<u32, Uuid>, TableError> {
    create(device, sector, partitions, BootCode::None)
}

/// As [`write`], over a table of the same disk: the boot code before it stays.
///
/// # Errors
/// [`TableError`].
pub fn rewrite(device: &str, sector: u32, partitions: &[Slot]) -> Result<BTreeMap<u32, Uuid>, TableError> {
    create(device, sector, partitions, BootCode::Keep)
}

/// What becomes of the boot code in the first sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BootCode {
    None,
    Keep,
}

fn create(
    device: &str,
    sector: u32,
    partitions: &[Slot],
    boot_code: BootCode,
) -> Result<BTreeMap<u32, Uuid>, TableError> {
    let mut file = OpenOptions::new().read(true).write(true).open(device)?;
    // udev respects this lock and leaves the disk alone until it is dropped with the file.
    lock(&file, LOCK_PATIENCE)?;
    let mut code = [0; mbr::BOOT_CODE];
    if boot_code == BootCode::Keep {
        file.read_exact(&mut code)?;
    }
    let guids = write_to(&mut file, sector, partitions, &code)?;
    file.sync_all()?;
    check_on(&mut file, sector, partitions, &guids)?;
    Ok(guids)
}

/// Locks a disk for one writer. Whoever has it now gets `patience` to let go of it.
fn lock(file: &File, patience: Duration) -> Result<(), TableError> {
    let deadline = Instant::now() + patience;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
            result => return result.map_err(TableError::Locked),
        }
    }
}

/// Reads a table back and compares it with the plan.
///
/// # Errors
/// [`TableError`].
pub fn check(device: &str, sector: u32, partitions: &[Slot], guids: &BTreeMap<u32, Uuid>) -> Result<(), TableError> {
    check_on(&mut File::open(device)?, sector, partitions, guids)
}

fn block_size(sector: u32) -> Result<LogicalBlockSize, TableError> {
    LogicalBlockSize::try_from(u64::from(sector))
        .map_err(|_| TableError::Plan(format!("the disk has sectors of {sector} bytes, neither 512 nor 4096")))
}

fn disk_sectors<D: Seek>(disk: &mut D, sector: u32) -> Result<u64, std::io::Error> {
    Ok(disk.seek(SeekFrom::End(0))? / u64::from(sector))
}

fn write_to<D: DiskDevice + Read + Write + Seek>(
    disk: &mut D,
    sector: u32,
    partitions: &[Slot],
    boot_code: &[u8; mbr::BOOT_CODE],
) -> Result<BTreeMap<u32, Uuid>, TableError> {
    let sectors = disk_sectors(disk, sector)?;
    mbr::write_protective(disk, sectors, boot_code)?;
    let mut entries = BTreeMap::new();
    let mut guids = BTreeMap::new();
    for (expected, partition) in (1..).zip(partitions) {
        if partition.number != expected {
            return Err(TableError::Plan(format!("partition {expected} is called {}", partition.number)));
        }
        let unit = u64::from(sector);
        let (start, size) = (partition.start.get(), partition.size.get());
        if start % unit != 0 || size % unit != 0 || size == 0 {
            return Err(TableError::Plan(format!("partition {expected} is not made of whole sectors")));
        }
        let guid = Uuid::new_v4();
        guids.insert(expected, guid);
        entries.insert(
            expected,
            gpt::partition::Partition {
                part_type_guid: partition_types::Type {
                    guid: partition.kind.guid(),
                    os: partition_types::OperatingSystem::None,
                },
                part_guid: guid,
                first_lba: start / unit,
                last_lba: (start + size) / unit - 1,
                flags: 0,
                name: partition.kind.name().to_owned(),
            },
        );
    }
    let mut table = GptConfig::new()
        .writable(true)
        .logical_block_size(block_size(sector)?)
        .create_from_device(&mut *disk, Some(Uuid::new_v4()))?;
    let (first, last) = (table.header().first_usable, table.header().last_usable);
    if let Some((number, _)) = entries.iter().find(|(_, e)| e.first_lba < first || e.last_lba > last) {
        return Err(TableError::Plan(format!("partition {number} does not fit between sectors {first} and {last}")));
    }
    table.update_partitions(entries)?;
    table.write()?;
    Ok(guids)
}

fn check_on<D: DiskDevice + Read + Seek>(
    disk: &mut D,
    sector: u32,
    partitions: &[Slot],
    guids: &BTreeMap<u32, Uuid>,
) -> Result<(), TableError> {
    let sectors = disk_sectors(disk, sector)?;
    mbr::check_protective(disk, sectors)?;
    let config = GptConfig::new().only_valid_headers(true).logical_block_size(block_size(sector)?);
    let table = config.open_from_device(disk)?;
    let found: Vec<_> = table.partitions().iter().filter(|(_, p)| p.is_used()).collect();
    if found.len() != partitions.len() {
        return Err(TableError::Differs(format!("{} partitions instead of {}", found.len(), partitions.len())));
    }
    for (partition, (number, entry)) in partitions.iter().zip(found) {
        let unit = u64::from(sector);
        let same = partition.number == *number
            && guids.get(number) == Some(&entry.part_guid)
            && entry.part_type_guid.guid == partition.kind.guid()
            && entry.name == partition.kind.name()
            && entry.first_lba * unit == partition.start.get()
            && (entry.last_lba + 1) * unit == partition.start.get() + partition.size.get();
        if !same {
            return Err(TableError::Differs(format!("partition {number} is {entry}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nvme() -> Vec<Slot> {
        let part = |number, role, start, size| Slot {
            number,
            start: Bytes::mib(start),
            size: Bytes::mib(size),
            kind: Kind::Host(role),
        };
        vec![
            part(1, PartitionRole::BiosBoot, 1, 1),
            part(2, PartitionRole::Esp, 2, 1024),
            part(3, PartitionRole::BootMember, 1026, 1024),
            part(4, PartitionRole::SsdMember, 2050, 6000),
        ]
    }

    fn sparse(size: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        file
    }

    #[test]
    fn tables_are_written_and_read_back_with_both_sector_sizes() {
        for sector in [512, 4096] {
            let disk = sparse(10 << 30);
            let device = disk.path().to_str().unwrap();
            let guids = write(device, sector, &nvme()).unwrap();
            assert_eq!(guids.len(), 4);
            check(device, sector, &nvme(), &guids).unwrap();
            let mut other = nvme();
            other[3].size = Bytes::mib(5999);
            assert!(matches!(check(device, sector, &other, &guids), Err(TableError::Differs(_))));
        }
    }

    #[test]
    fn a_disk_that_grew_gets_a_table_of_its_size_and_keeps_its_boot_code() {
        let slot = |number, kind, start, size| Slot { number, start: Bytes::mib(start), size: Bytes::mib(size), kind };
        let guest = |group| {
            [slot(1, Kind::GuestBiosBoot, 1, 1), slot(2, Kind::GuestEsp, 2, 256), slot(3, Kind::GuestGroup, 258, group)]
        };
        let disk = sparse(4 << 30);
        let device = disk.path().to_str().unwrap();
        write(device, 512, &guest(3000)).unwrap();
        let mut file = OpenOptions::new().write(true).open(device).unwrap();
        file.write_all(&[0xEB; mbr::BOOT_CODE]).unwrap();
        file.set_len(20 << 30).unwrap();
        let guids = rewrite(device, 512, &guest(20_000)).unwrap();
        check(device, 512, &guest(20_000), &guids).unwrap();
        let mut head = [0; 512];
        File::open(device).unwrap().read_exact(&mut head).unwrap();
        assert_eq!(head[..mbr::BOOT_CODE], [0xEB; mbr::BOOT_CODE]);
        write(device, 512, &guest(20_000)).unwrap();
        File::open(device).unwrap().read_exact(&mut head).unwrap();
        assert_eq!(head[..mbr::BOOT_CODE], [0; mbr::BOOT_CODE]);
    }

    #[test]
    fn a_6_tb_disk_is_protected_to_its_32_bit_limit() {
        let disk = sparse(6_001_175_126_016);
        let device = disk.path().to_str().unwrap();
        let size = Bytes(6_001_173_463_040);
        let hdd = [Slot { number: 1, kind: Kind::Host(PartitionRole::HddMember), start: Bytes::mib(1), size }];
        let guids = write(device, 512, &hdd).unwrap();
        check(device, 512, &hdd, &guids).unwrap();
        let mut head = [0; 512];
        File::open(device).unwrap().read_exact(&mut head).unwrap();
        assert_eq!(head[446 + 12..446 + 16], [0xFF; 4]);
    }

    #[test]
    fn a_lock_that_udev_holds_for_a_moment_is_waited_for() {
        let disk = sparse(10 << 30);
        let looking = File::open(disk.path()).unwrap();
        flock(&looking, FlockOperation::NonBlockingLockShared).unwrap();
        let file = OpenOptions::new().write(true).open(disk.path()).unwrap();
        assert!(matches!(lock(&file, Duration::from_millis(300)), Err(TableError::Locked(_))));
        let udev = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            drop(looking);
        });
        write(disk.path().to_str().unwrap(), 512, &nvme()).unwrap();
        udev.join().unwrap();
    }

    #[test]
    fn a_torn_backup_is_an_error() {
        let disk = sparse(10 << 30);
        let device = disk.path().to_str().unwrap();
        let guids = write(device, 512, &nvme()).unwrap();
        let mut file = OpenOptions::new().write(true).open(device).unwrap();
        file.seek(SeekFrom::End(-512)).unwrap();
        file.write_all(&[0; 512]).unwrap();
        assert!(matches!(check(device, 512, &nvme(), &guids), Err(TableError::Gpt(_))));
    }

    #[test]
    fn a_partition_that_does_not_fit_is_refused() {
        let disk = sparse(4 << 30);
        let error = write(disk.path().to_str().unwrap(), 512, &nvme()).unwrap_err();
        assert!(error.to_string().contains("partition 4 does not fit"), "{error}");
    }
}
