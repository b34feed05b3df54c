//! Constants and arithmetic of the storage stack, each with its source: partitions, md, LUKS2, LVM.
//!
//! Everything here is integer arithmetic on [`Bytes`]; `None` means that the device is too small for its metadata.

use crate::bytes::{Bytes, KIB, MIB};

/// Partitions start and end on this boundary (GPT practice; a multiple of every sector, stripe and erase block size in use).
pub const ALIGNMENT: Bytes = Bytes::mib(1);
/// Bytes of the GPT's entry array: 128 entries of 128 bytes (UEFI 2.10, 5.3.1, at least 16,384 bytes).
const GPT_ENTRIES: u64 = 128 * 128;
/// GRUB's core image for BIOS; it takes some 100 KiB (GRUB manual, "BIOS installation").
pub const BIOS_BOOT: Bytes = Bytes::mib(1);
/// Each disk's EFI system partition; `proxmox-boot-tool` rejects those under 256 MiB.
pub const ESP: Bytes = Bytes::gib(1);
/// Member of the array `boot`.
pub const BOOT_MEMBER: Bytes = Bytes::gib(1);

/// Chunk of the RAID 10 array; mdadm's own default (`DEFAULT_CHUNK`, mdadm.h).
pub const RAID10_CHUNK: Bytes = Bytes(512 * KIB);
/// A sector as md counts: always 512 bytes.
const MD_SECTOR: u64 = 512;

/// Where the data of a LUKS2 container starts: `--offset 32768` sectors, cryptsetup's default for LUKS2.
pub const LUKS_OFFSET: Bytes = Bytes::mib(16);
/// Encryption sector in bytes, forced: cryptsetup picks 512 on 512/512 NVMe.
pub const LUKS_SECTOR: u32 = 4096;
/// argon2id: least memory of a guess.
pub const ARGON2ID_MIN_MEMORY: Bytes = Bytes::mib(64);
/// argon2id: memory of a guess on a machine with 4 GiB or more.
pub const ARGON2ID_DEFAULT_MEMORY: Bytes = Bytes::gib(1);
/// argon2id: most memory cryptsetup accepts (`max_memory` in lib/crypto_backend/pbkdf_check.c: 4 GiB).
pub const ARGON2ID_MAX_MEMORY: Bytes = Bytes::gib(4);
/// argon2id: most threads cryptsetup accepts (the same file).
pub const ARGON2ID_MAX_PARALLEL: u32 = 4;

/// Where extents start on a physical volume; LVM's default (`pe_start`, aligned to 1 MiB).
pub const PE_START: Bytes = Bytes::mib(1);
/// Extent; LVM's default.
pub const EXTENT: Bytes = Bytes::mib(4);
/// What stays unallocated in `pve` at least, unless the site file says otherwise.
pub const DEFAULT_RESERVE: Bytes = Bytes(22_000_000_000);
/// ... or this share of the group, hundredths of a per cent, whichever is larger.
pub const DEFAULT_RESERVE_SHARE: u16 = 400;

/// Thin chunk on SSDs.
pub const SSD_CHUNK: Bytes = Bytes(128 * KIB);
/// Thin chunk on HDDs: one stripe of a RAID 10 of four.
pub const HDD_CHUNK: Bytes = Bytes::mib(1);
/// A block of thin metadata (dm-thin: 4 KiB).
const THIN_BLOCK: u64 = 4 * KIB;
/// Mappings a leaf of the thin metadata B-tree holds when it is half full, as it is after random writes
/// (252 entries of 16 bytes fit a 4 KiB node).
const THIN_MAPPINGS: u64 = 126;
/// Thin volumes the metadata is dimensioned for.
const THIN_VOLUMES: u64 = 64;
/// Thin metadata where the pool is neither very small nor very large.
pub const THIN_METADATA: Bytes = Bytes::mib(512);
/// Least thin metadata; LVM accepts 2 MiB, which a few snapshots fill.
pub const THIN_METADATA_MIN: Bytes = Bytes::mib(32);
/// Most thin metadata: 255 x (2^14 - 64) blocks of 4 KiB, 15.88 GiB (`DEFAULT_THIN_POOL_MAX_METADATA_SIZE_V1_KB`, lvm2).
pub const THIN_METADATA_MAX: Bytes = Bytes(255 * ((1 << 14) - 64) * THIN_BLOCK);

/// What the backup GPT takes at the end of a disk: the entries in whole sectors and one sector of header.
pub const fn gpt_backup(logical_sector: u32) -> Bytes {
    let sector = logical_sector as u64;
    Bytes(GPT_ENTRIES.div_ceil(sector) * sector + sector)
}

/// The end of the last partition on a disk: the last MiB boundary before the backup GPT.
pub const fn usable_end(disk: Bytes, logical_sector: u32) -> Bytes {
    disk.saturating_sub(gpt_backup(logical_sector)).align_down(ALIGNMENT.0)
}

/// Room mdadm leaves for a write-intent bitmap on a member, in sectors (`choose_bm_space()`, super1.c).
const fn bitmap_sectors(member: u64) -> u64 {
    const GIB_SECTORS: u64 = 2 * 1024 * 1024;
    if member < 128 {
        0
    } else if member - 128 >= 200 * GIB_SECTORS {
        256
    } else if member - 8 > 8 * GIB_SECTORS {
        128
    } else {
        8
    }
}

/// The data offset mdadm 4.4 chooses for metadata 1.2 on a member (`validate_geometry1()`, super1.c): 12 KiB for the
/// superblock, the bitmap's room, and a headroom for reshaping of about 0.1 % of the member and at most 128 MiB, together
/// rounded up to a MiB. `chunk` is `None` for RAID 1; otherwise the headroom is not halved below two chunks.
pub fn md_data_offset(member: Bytes, chunk: Option<Bytes>) -> Bytes {
    let sectors = member.0 / MD_SECTOR;
    let mut headroom: u64 = 128 * 1024 * 2;
    while headroom << 10 > sectors && chunk.is_none_or(|chunk| headroom / 2 >= chunk.0 / MD_SECTOR * 2) {
        headroom >>= 1;
    }
    let offset = 24 + bitmap_sectors(sectors) + headroom;
    Bytes((offset * MD_SECTOR).div_ceil(MIB) * MIB)
}

/// Length of a RAID 1 array on members of this size.
pub fn raid1_size(member: Bytes) -> Option<Bytes> {
    member.align_down(MD_SECTOR).checked_sub(md_data_offset(member, None))
}

/// Length of a RAID 10 array (layout n2, [`RAID10_CHUNK`]) on `disks` members of this size; each holds whole chunks.
pub fn raid10_size(member: Bytes, disks: u32) -> Option<Bytes> {
    let data = member.checked_sub(md_data_offset(member, Some(RAID10_CHUNK)))?.align_down(RAID10_CHUNK.0);
    data.checked_mul(u64::from(disks) / 2)
}

/// Length of an opened container on an array of this size.
pub fn luks_size(array: Bytes) -> Option<Bytes> {
    Some(array.checked_sub(LUKS_OFFSET)?.align_down(u64::from(LUKS_SECTOR)))
}

/// Whole extents of a volume group on an opened container of this size.
pub const fn vg_extents(container: Bytes) -> u64 {
    container.saturating_sub(PE_START).whole(EXTENT)
}

/// What the metadata of a fully mapped thin pool takes: 4 KiB x (1 + ceil(chunks / 126) + volumes).
pub const fn thin_metadata_need(pool: Bytes, chunk: Bytes, volumes: u64) -> Bytes {
    let chunks = pool.covering(chunk);
    Bytes(THIN_BLOCK * (1 + chunks.div_ceil(THIN_MAPPINGS) + volumes))
}

/// Extents of metadata for a pool that gets at most `pool` bytes: [`THIN_METADATA`]; on pools where that is more than 1 %,
/// 1 % but at least [`THIN_METADATA_MIN`]; on pools that need more, 1.25 times the need.
///
/// # Errors
/// The bytes wanted, where they are above [`THIN_METADATA_MAX`].
pub const fn thin_metadata_extents(pool: Bytes, chunk: Bytes) -> Result<u64, Bytes> {
    let need = thin_metadata_need(pool, chunk, THIN_VOLUMES).0;
    let wanted = need + need / 4;
    let mut size = THIN_METADATA.0;
    if size > pool.0 / 100 {
        size = pool.0 / 100;
    }
    if size < THIN_METADATA_MIN.0 {
        size = THIN_METADATA_MIN.0;
    }
    if size < wanted {
        size = wanted;
    }
    if size > THIN_METADATA_MAX.0 { Err(Bytes(size)) } else { Ok(Bytes(size).covering(EXTENT)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIB: u64 = 1 << 40;

    #[test]
    fn data_offsets_are_those_mdadm_chooses() {
        // Known from `mdadm --examine`: 1 GiB members have 4096 sectors (/proc/mdstat shows 1046528 blocks), 512 MiB members
        // 2048 (523264 blocks), members above 200 GiB 264192.
        let sectors = |member: Bytes, chunk| md_data_offset(member, chunk).0 / 512;
        assert_eq!(sectors(Bytes::gib(1), None), 4096);
        assert_eq!(sectors(Bytes::mib(512), None), 2048);
        assert_eq!(sectors(Bytes(509_960_257_536), None), 264_192);
        assert_eq!(sectors(Bytes(6_001_173_463_040), Some(RAID10_CHUNK)), 264_192);
        // Headroom stops at two chunks where there is a chunk: 1 MiB + 16 KiB, rounded up.
        assert_eq!(sectors(Bytes::mib(64), Some(RAID10_CHUNK)), 4096);
        assert_eq!(sectors(Bytes::mib(64), None), 2048);
        // The bitmap's room grows just above 200 GiB.
        assert_eq!(bitmap_sectors(200 * 2 * 1024 * 1024 + 127), 128);
        assert_eq!(bitmap_sectors(200 * 2 * 1024 * 1024 + 128), 256);
    }

    #[test]
    fn the_backup_gpt_keeps_its_sectors() {
        assert_eq!(gpt_backup(512), Bytes(33 * 512));
        assert_eq!(gpt_backup(4096), Bytes(5 * 4096));
        assert_eq!(usable_end(Bytes(512_110_190_592), 512), Bytes::mib(488_386));
        assert_eq!(usable_end(Bytes::mib(100), 512), Bytes::mib(99));
        assert_eq!(usable_end(Bytes(100), 512), Bytes::ZERO);
    }

    #[test]
    fn thin_metadata_follows_the_pool() {
        assert_eq!(THIN_METADATA_MAX, Bytes(17_045_913_600));
        assert_eq!(thin_metadata_extents(Bytes(12_002_055_421_952), HDD_CHUNK), Ok(128));
        assert_eq!(thin_metadata_extents(Bytes(447_800_672_256), SSD_CHUNK), Ok(128));
        assert_eq!(thin_metadata_extents(Bytes::gib(2), SSD_CHUNK), Ok(8));
        assert_eq!(thin_metadata_extents(Bytes::gib(20), SSD_CHUNK), Ok(52));
        assert!(thin_metadata_extents(Bytes(30 * TIB), HDD_CHUNK).unwrap() > 128);
        assert!(thin_metadata_extents(Bytes(500 * TIB), HDD_CHUNK).unwrap_err() > THIN_METADATA_MAX);
    }

    proptest! {
        #[test]
        fn data_always_follows_the_superblock_and_headroom_is_a_thousandth(member in (4 * MIB)..(64 * TIB)) {
            for chunk in [None, Some(RAID10_CHUNK)] {
                let offset = md_data_offset(Bytes(member), chunk);
                prop_assert_eq!(offset.0 % MIB, 0);
                prop_assert!(offset >= Bytes::mib(1) && offset <= Bytes::mib(129));
                // At most the headroom rule's 0.1 % + 1 MiB of rounding + the fixed part + two chunks.
                prop_assert!(offset.0 <= member / 1024 + 3 * MIB);
            }
        }

        #[test]
        fn layers_only_ever_shrink(member in (64 * MIB)..(64 * TIB), pairs in 1u32..12) {
            let member = Bytes(member);
            let array = raid10_size(member, pairs * 2).unwrap();
            prop_assert!(array.0 <= member.0 * u64::from(pairs));
            prop_assert_eq!(array.0 % (RAID10_CHUNK.0 * u64::from(pairs)), 0);
            let mirror = raid1_size(member).unwrap();
            let container = luks_size(mirror).unwrap();
            prop_assert!(mirror < member && container < mirror);
            let used = vg_extents(container) * EXTENT.0 + PE_START.0;
            prop_assert!(used <= container.0 && container.0 - used < EXTENT.0 || vg_extents(container) == 0);
        }

        #[test]
        fn metadata_covers_a_full_pool(pool in (64 * MIB)..(300 * TIB)) {
            let extents = thin_metadata_extents(Bytes(pool), HDD_CHUNK).unwrap();
            prop_assert!(extents * EXTENT.0 >= thin_metadata_need(Bytes(pool), HDD_CHUNK, THIN_VOLUMES).0);
            prop_assert!(extents * EXTENT.0 >= THIN_METADATA_MIN.0);
        }

        #[test]
        fn the_last_partition_never_meets_the_backup_gpt(disk: u64, four_k: bool) {
            let sector = if four_k { 4096 } else { 512 };
            let end = usable_end(Bytes(disk), sector);
            prop_assert_eq!(end.0 % MIB, 0);
            prop_assert!(end == Bytes::ZERO || end.0 + gpt_backup(sector).0 <= disk);
        }
    }
}
