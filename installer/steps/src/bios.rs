//! GRUB's boot code for BIOS on a disk: the boot sector, and the core image in the BIOS boot partition.
//!
//! `grub-bios-setup` does the same, and looks through every device of the machine first: more than a minute under emulation. It does so for the
//! first disk of a machine; the others get what it wrote. A guest's disk is written from GRUB's own files. Offsets are those of GRUB 2.12
//! (include/grub/i386/pc/boot.h, util/setup.c).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// A sector, bytes.
const SECTOR: usize = 512;
/// Where the boot sector says at which sector the core image starts: `GRUB_BOOT_MACHINE_KERNEL_SECTOR`, 8 bytes.
const KERNEL_SECTOR: Range<usize> = 0x5C..0x64;
/// A jump over what corrects a BIOS that names the wrong drive, `GRUB_BOOT_MACHINE_DRIVE_CHECK`: taken on floppies alone, no operation on disks.
const DRIVE_CHECK: Range<usize> = 0x66..0x68;
/// What stays the disk's own: its parameter block (`BPB_START` to `BPB_END`).
const PARAMETERS: Range<usize> = 0x3..0x5A;
/// ... and from its signature to its partition entries (`WINDOWS_NT_MAGIC` to `PART_END`).
const ENTRIES: Range<usize> = 0x1B8..0x1FE;
/// `struct grub_pc_bios_boot_blocklist`, the last bytes of the core image's first sector: where the rest starts (8 bytes), ...
const REST_START: Range<usize> = 500..508;
/// ... and how many sectors it has (2 bytes). What follows, where it is loaded to, `grub-mkimage` has written.
const REST_LENGTH: Range<usize> = 508..510;
/// x86's no operation.
const NOP: u8 = 0x90;

/// Why there is no boot code.
#[derive(Debug, thiserror::Error)]
pub enum BiosError {
    /// The disk or a file.
    #[error("cannot read or write the disk")]
    Io(#[from] io::Error),
    /// A file that is none of GRUB's.
    #[error("{0} is not what GRUB ships")]
    Image(&'static str),
    /// The partition is too small.
    #[error("GRUB's core image has {image} bytes, and the BIOS boot partition {room}")]
    Room {
        /// Length of the image, bytes.
        image: usize,
        /// Length of the partition, bytes.
        room: u64,
    },
}

/// Writes `boot` (boot.img) and `core` (core.img) to the disk, the second into the `room` bytes from `start` on, a whole sector.
///
/// # Errors
/// [`BiosError`]; the boot sector is written last.
pub fn write(device: &str, boot: &[u8], core: &[u8], start: u64, room: u64) -> Result<(), BiosError> {
    let mut disk = OpenOptions::new().read(true).write(true).open(device)?;
    let mut sector = [0; SECTOR];
    disk.read_exact(&mut sector)?;
    let first = start / SECTOR as u64;
    let boot = boot_sector(boot, &sector, first)?;
    let core = core_image(core, first)?;
    if core.len() as u64 > room {
        return Err(BiosError::Room { image: core.len(), room });
    }
    put(&mut disk, start, &core, &boot)?;
    Ok(())
}

/// Gives the disk `to` the boot code of the disk `from`, whose BIOS boot partition starts at the same `start` and has the same length `room`,
/// whole sectors.
///
/// # Errors
/// [`BiosError`]: also where `from` has none there. The boot sector is written last.
pub fn copy(from: &str, to: &str, start: u64, room: usize) -> Result<(), BiosError> {
    let mut disk = File::open(from)?;
    let mut boot = [0; SECTOR];
    disk.read_exact(&mut boot)?;
    if boot[KERNEL_SECTOR] != (start / SECTOR as u64).to_le_bytes() {
        return Err(BiosError::Image("the boot sector"));
    }
    let mut partition = vec![0; room];
    disk.seek(SeekFrom::Start(start))?;
    disk.read_exact(&mut partition)?;
    let mut disk = OpenOptions::new().read(true).write(true).open(to)?;
    let mut sector = [0; SECTOR];
    disk.read_exact(&mut sector)?;
    let boot = boot_sector(&boot, &sector, start / SECTOR as u64)?;
    put(&mut disk, start, &partition, &boot)?;
    Ok(())
}

fn put(disk: &mut File, start: u64, core: &[u8], boot: &[u8; SECTOR]) -> io::Result<()> {
    disk.seek(SeekFrom::Start(start))?;
    disk.write_all(core)?;
    disk.sync_all()?;
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(boot)?;
    disk.sync_all()
}

/// GRUB's boot sector with what is the disk's own, leading to the core image at sector `first`.
fn boot_sector(boot: &[u8], disk: &[u8; SECTOR], first: u64) -> Result<[u8; SECTOR], BiosError> {
    let mut sector: [u8; SECTOR] = boot.try_into().map_err(|_| BiosError::Image("boot.img"))?;
    if sector[SECTOR - 2..] != [0x55, 0xAA] {
        return Err(BiosError::Image("boot.img"));
    }
    for own in [PARAMETERS, ENTRIES] {
        sector[own.clone()].copy_from_slice(&disk[own]);
    }
    sector[KERNEL_SECTOR].copy_from_slice(&first.to_le_bytes());
    sector[DRIVE_CHECK].fill(NOP);
    Ok(sector)
}

/// The core image in whole sectors, with the place of all but its first.
fn core_image(core: &[u8], first: u64) -> Result<Vec<u8>, BiosError> {
    let mut image = core.to_vec();
    image.resize(core.len().next_multiple_of(SECTOR), 0);
    let rest = u16::try_from(image.len() / SECTOR).ok().and_then(|sectors| sectors.checked_sub(1));
    let rest = rest.filter(|rest| *rest > 0).ok_or(BiosError::Image("core.img"))?;
    image[REST_START].copy_from_slice(&(first + 1).to_le_bytes());
    image[REST_LENGTH].copy_from_slice(&rest.to_le_bytes());
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// boot.img's jump over the parameter block, and its last two bytes.
    fn boot() -> [u8; SECTOR] {
        let mut boot = [0x11; SECTOR];
        boot[..2].copy_from_slice(&[0xEB, 0x63]);
        boot[SECTOR - 2..].copy_from_slice(&[0x55, 0xAA]);
        boot
    }

    #[test]
    fn the_boot_sector_leads_to_the_core_image_and_keeps_what_is_the_disks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let device = file.path().to_str().unwrap();
        let mut own = [0; SECTOR];
        own[ENTRIES].fill(0x77);
        std::fs::write(device, own).unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let core: Vec<u8> = (0..1300u32).map(|n| n.to_le_bytes()[0]).collect();
        write(device, &boot(), &core, 1 << 20, 1 << 20).unwrap();
        let disk = std::fs::read(device).unwrap();
        assert_eq!(disk[..2], [0xEB, 0x63]);
        assert_eq!(disk[PARAMETERS], [0; 0x57]);
        assert_eq!(disk[KERNEL_SECTOR], 2048u64.to_le_bytes());
        assert_eq!(disk[DRIVE_CHECK], [NOP, NOP]);
        assert_eq!(disk[ENTRIES], [0x77; 0x46]);
        assert_eq!(disk[510..512], [0x55, 0xAA]);
        let image = &disk[1 << 20..(1 << 20) + 3 * SECTOR];
        assert_eq!(image[..500], core[..500]);
        assert_eq!(image[REST_START], 2049u64.to_le_bytes());
        assert_eq!(image[REST_LENGTH], 2u16.to_le_bytes());
        assert_eq!(image[510..1300], core[510..]);
    }

    #[test]
    fn a_second_disk_starts_as_the_first_does_and_keeps_its_own_table() {
        let disk = |fill: u8| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut bytes = vec![fill; 4 << 20];
            bytes[1 << 20..2 << 20].fill(0);
            std::fs::write(file.path(), &bytes).unwrap();
            file
        };
        let (first, second) = (disk(1), disk(2));
        let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
        assert!(copy(&path(&first), &path(&second), 1 << 20, 1 << 20).is_err(), "there is none yet");
        write(&path(&first), &boot(), &[0x33; 1300], 1 << 20, 1 << 20).unwrap();
        copy(&path(&first), &path(&second), 1 << 20, 1 << 20).unwrap();
        let (first, second) = (std::fs::read(first.path()).unwrap(), std::fs::read(second.path()).unwrap());
        assert_eq!(second[1 << 20..2 << 20], first[1 << 20..2 << 20]);
        assert_eq!(second[..3], first[..3]);
        assert_eq!((&second[ENTRIES], &second[PARAMETERS]), (&[2; 0x46][..], &[2; 0x57][..]));
        assert_eq!(second[2 << 20..], vec![2; 2 << 20]);
    }

    #[test]
    fn what_is_no_grub_or_does_not_fit_is_not_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let device = file.path().to_str().unwrap();
        let refused =
            |boot: &[u8], core: &[u8], room| write(device, boot, core, 1 << 20, room).unwrap_err().to_string();
        assert!(refused(&[0; SECTOR], &[1; 2048], 1 << 20).starts_with("boot.img"));
        assert!(refused(&boot()[..500], &[1; 2048], 1 << 20).starts_with("boot.img"));
        assert!(refused(&boot(), &[1; 512], 1 << 20).starts_with("core.img"));
        assert!(refused(&boot(), &[1; 2048], 1024).contains("2048 bytes"));
        assert_eq!(std::fs::read(device).unwrap(), vec![0; 4 << 20]);
    }
}
