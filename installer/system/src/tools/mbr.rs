//! Protective MBRs (crate `mbrman`): what tells tools that know no GPT that the whole disk is taken.

use std::io::{Read, Seek, SeekFrom, Write};

use mbrman::{BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

/// Partition type of a protective entry (UEFI 2.10, 5.2.3).
const PROTECTIVE: u8 = 0xEE;
/// CHS address that means "beyond what CHS can say".
const BEYOND: CHS = CHS { cylinder: 1023, head: 255, sector: 63 };

/// Why a protective MBR could not be written or is not one.
#[derive(Debug, thiserror::Error)]
pub enum MbrError {
    /// The disk refused.
    #[error("cannot read or write the master boot record")]
    Io(#[from] std::io::Error),
    /// The crate refused.
    #[error("the master boot record is not valid")]
    Mbr(#[from] mbrman::Error),
    /// It was read back and is not what was written.
    #[error("the master boot record does not protect the whole disk: {0}")]
    NotProtective(String),
}

/// What the size field must say: every sector but the first, or 0xFFFFFFFF where 32 bits do not suffice.
pub fn protected_sectors(disk_sectors: u64) -> u32 {
    u32::try_from(disk_sectors.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Bytes of the first sector that are a boot loader's: the disk's signature and the partition entries follow (UEFI 2.10, 5.2.1).
pub const BOOT_CODE: usize = 440;

/// Writes a protective MBR with this boot code; zeros are none. `disk_sectors` counts logical sectors.
///
/// # Errors
/// [`MbrError`].
pub fn write_protective<D: Read + Write + Seek>(
    disk: &mut D,
    disk_sectors: u64,
    boot_code: &[u8; BOOT_CODE],
) -> Result<(), MbrError> {
    let mut header = MBRHeader::new([0; 4]);
    header.partition_1 = MBRPartitionEntry {
        boot: BOOT_INACTIVE,
        // Sector 1 in CHS: the GPT header's.
        first_chs: CHS { cylinder: 0, head: 0, sector: 2 },
        sys: PROTECTIVE,
        last_chs: BEYOND,
        starting_lba: 1,
        sectors: protected_sectors(disk_sectors),
    };
    header.write_into(disk)?;
    disk.seek(SeekFrom::Start(0))?;
    disk.write_all(boot_code)?;
    Ok(())
}

/// Reads the MBR back: one protective entry over the whole disk, the rest empty.
///
/// # Errors
/// [`MbrError`].
pub fn check_protective<D: Read + Seek>(disk: &mut D, disk_sectors: u64) -> Result<(), MbrError> {
    disk.seek(SeekFrom::Start(0))?;
    let header = MBRHeader::read_from(disk)?;
    let entry = &header.partition_1;
    let wanted = protected_sectors(disk_sectors);
    if (entry.sys, entry.starting_lba, entry.sectors) != (PROTECTIVE, 1, wanted) {
        return Err(MbrError::NotProtective(format!(
            "its first entry is of type {:#04x} at sector {} with {} sectors, not {wanted}",
            entry.sys, entry.starting_lba, entry.sectors
        )));
    }
    if let Some((number, _)) = header.iter().find(|(n, e)| *n != 1 && e.is_used()) {
        return Err(MbrError::NotProtective(format!("entry {number} is used too")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_size_field_fits_below_and_saturates_above_2_tib() {
        // The reference machine's disks: 512,110,190,592 and 6,001,175,126,016 bytes.
        assert_eq!(protected_sectors(1_000_215_216), 1_000_215_215);
        assert_eq!(protected_sectors(11_721_045_168), u32::MAX);
        assert_eq!(protected_sectors(1 << 32), u32::MAX);
    }

    #[test]
    fn what_is_written_is_read_back_and_a_changed_byte_is_found() {
        let mut disk = Cursor::new(vec![0xAA_u8; 4096]);
        write_protective(&mut disk, 1_000_215_216, &[0; BOOT_CODE]).unwrap();
        check_protective(&mut disk, 1_000_215_216).unwrap();
        let bytes = disk.get_ref();
        assert_eq!(bytes[446 + 4], 0xEE);
        assert_eq!(bytes[510..512], [0x55, 0xAA]);
        assert!(matches!(check_protective(&mut disk, 1 << 32), Err(MbrError::NotProtective(_))));
        disk.get_mut()[462 + 4] = 0x83;
        assert!(check_protective(&mut disk, 1_000_215_216).is_err());
        disk.get_mut()[510] = 0;
        assert!(matches!(check_protective(&mut disk, 1_000_215_216), Err(MbrError::Mbr(_))));
    }
}
