//! Master boot records (crate `mbrman`): how many partitions a disk has by one that is not a GPT's protective one.

use std::io::Cursor;

use mbrman::MBRHeader;

/// Type of the entry by which a GPT's own MBR says that the disk is taken (UEFI 2.10, 5.2.3).
const PROTECTIVE: u8 = 0xEE;

/// Used ones of the four entries in the first sector, given as hexadecimal bytes with blanks between them, such as `od` prints.
/// `None` where it is no MBR, or the protective one of a GPT. Logical partitions are inside an entry, which counts as one.
pub(super) fn entries(hex: &str) -> Option<u32> {
    let sector: Vec<u8> =
        hex.split_ascii_whitespace().map(|b| u8::from_str_radix(b, 16).ok()).collect::<Option<_>>()?;
    let header = MBRHeader::read_from(&mut Cursor::new(sector)).ok()?;
    let used = || header.iter().filter(|(_, entry)| entry.is_used());
    if used().any(|(_, entry)| entry.sys == PROTECTIVE) {
        return None;
    }
    u32::try_from(used().count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // GPT fdisk 1.0.9: `sgdisk -n 1:2048:+8M -n 2:0:+8M -n 3:0:+8M -t 2:8200 --gpttombr=1:2:3`, and one partition in a GPT;
    // coreutils: `od -An -v --format=x1 --read-bytes=512`.
    const THREE: &str = include_str!("mbr/three.txt");
    const PROTECTED: &str = include_str!("mbr/protective.txt");

    #[test]
    fn partitions_of_an_mbr_are_counted_and_a_gpt_has_none() {
        assert_eq!(entries(THREE), Some(3));
        assert_eq!(entries(PROTECTED), None);
        // Without its boot signature it is none.
        assert_eq!(entries(&THREE.replace("55 aa", "55 ab")), None);
        for damaged in ["", "fa", &THREE[..600], &THREE.replace("55", "5x"), &THREE.replace("55", "555")] {
            assert_eq!(entries(damaged), None);
        }
    }
}
