//! One pool of equal disks, from partitions to extents.

use crate::bytes::Bytes;
use crate::inventory::{Disk, Transport};
use crate::layout;
use crate::plan::make::{destroys, identity};
use crate::plan::refusal::Reason;
use crate::plan::{
    Array, Container, DiskId, Member, Partition, PartitionRole, PlannedDisk, Pool, RaidLevel, ThinPool, Volume,
    VolumeGroup,
};
use crate::site::{HddPool, Provisioning, Site, Size};

/// Path on the target of the key file that opens the HDD container.
pub const HDD_KEY_FILE: &str = "/etc/sovereign/keys/hdd.key";

/// The layers of one pool.
#[derive(Debug)]
pub(super) struct Built {
    /// Its disks.
    pub disks: Vec<PlannedDisk>,
    /// Its arrays, in the order they are made.
    pub arrays: Vec<Array>,
    /// The container on the last array.
    pub container: Container,
    /// The volume group on it.
    pub volume_group: VolumeGroup,
    /// What of larger disks stays unused, in words.
    pub waste: Vec<String>,
}

/// The bootable pool on these disks.
pub(super) fn ssd(site: &Site, disks: &[&Disk]) -> Result<Built, Reason> {
    let (swap, discard) = (site.host.swap, site.encryption.discard);
    let site = &site.storage.ssd;
    let mut fixed = Vec::new();
    let mut start = layout::ALIGNMENT;
    for (role, size) in [
        (PartitionRole::BiosBoot, layout::BIOS_BOOT),
        (PartitionRole::Esp, layout::ESP),
        (PartitionRole::BootMember, layout::BOOT_MEMBER),
    ] {
        fixed.push((role, start, size));
        start = Bytes(start.0 + size.0);
    }
    let member = member_size(disks, start);
    let array = member.and_then(layout::raid1_size);
    let extents = array.and_then(layout::luks_size).map_or(0, layout::vg_extents);
    let whole = Bytes(extents * layout::EXTENT.0);
    let reserve = site.reserve.map_or_else(
        || layout::DEFAULT_RESERVE.max(Size::Share(layout::DEFAULT_RESERVE_SHARE).of(whole)),
        |reserve| reserve.of(whole),
    );
    let root = site.root.of(whole).covering(layout::EXTENT);
    let mut volumes = vec![Volume { name: "root".to_owned(), extents: root }];
    let swap = swap.map_or(0, |swap| swap.of(whole).covering(layout::EXTENT));
    if swap > 0 {
        volumes.push(Volume { name: "swap".to_owned(), extents: swap });
    }
    let space = Space { pool: Pool::Ssd, extents, root, swap, reserve: reserve.covering(layout::EXTENT) };
    let (pool, free_extents) = share_out(&space, site.volumes, layout::SSD_CHUNK, || missing(disks, start, None))?;
    // `share_out` has refused where there are no extents, so both are there.
    let (Some(member), Some(length)) = (member, array) else {
        return Err(space.too_small(0, missing(disks, start, None)));
    };
    let boot = layout::raid1_size(layout::BOOT_MEMBER).unwrap_or_default();
    let nvme = disks.iter().all(|disk| disk.transport == Transport::Nvme);
    Ok(Built {
        disks: planned(disks, Pool::Ssd, &fixed, (PartitionRole::SsdMember, start, member)),
        arrays: vec![
            array_of(
                "boot",
                RaidLevel::Raid1,
                layout::md_data_offset(layout::BOOT_MEMBER, None),
                boot,
                members(0, disks, 3),
            ),
            array_of("ssd", RaidLevel::Raid1, layout::md_data_offset(member, None), length, members(0, disks, 4)),
        ],
        container: Container {
            name: "luks-ssd".to_owned(),
            array: "ssd".to_owned(),
            sector: layout::LUKS_SECTOR,
            offset: layout::LUKS_OFFSET,
            size: layout::luks_size(length).unwrap_or_default(),
            discard: discard && disks.iter().all(|disk| !disk.rotational),
            no_workqueue: nvme,
            key_file: None,
        },
        volume_group: VolumeGroup {
            name: "pve".to_owned(),
            container: "luks-ssd".to_owned(),
            extent: layout::EXTENT,
            extents,
            volumes,
            pool,
            free_extents,
        },
        waste: waste(disks, Pool::Ssd),
    })
}

/// Extents of the bulk pool's group, of `extents` in all, that stay unallocated.
pub(super) fn hdd_reserve(site: &HddPool, extents: u64) -> u64 {
    let whole = Bytes(extents * layout::EXTENT.0);
    site.reserve.map_or(Bytes::ZERO, |reserve| reserve.of(whole)).covering(layout::EXTENT)
}

/// The bulk pool on these disks, which stand behind `first` others in the plan.
pub(super) fn hdd(site: &HddPool, disks: &[&Disk], first: usize) -> Result<Built, Reason> {
    let start = layout::ALIGNMENT;
    let count = u32::try_from(disks.len()).unwrap_or(u32::MAX);
    let member = member_size(disks, start);
    let array = member.and_then(|member| layout::raid10_size(member, count));
    let extents = array.and_then(layout::luks_size).map_or(0, layout::vg_extents);
    let space = Space { pool: Pool::Hdd, extents, root: 0, swap: 0, reserve: hdd_reserve(site, extents) };
    let short = || missing(disks, start, Some(count));
    let (pool, free_extents) = share_out(&space, site.volumes, layout::HDD_CHUNK, short)?;
    let (Some(member), Some(length)) = (member, array) else { return Err(space.too_small(0, short())) };
    let level = RaidLevel::Raid10 { chunk: layout::RAID10_CHUNK };
    let offset = layout::md_data_offset(member, Some(layout::RAID10_CHUNK));
    Ok(Built {
        disks: planned(disks, Pool::Hdd, &[], (PartitionRole::HddMember, start, member)),
        arrays: vec![array_of("hdd", level, offset, length, members(first, disks, 1))],
        container: Container {
            name: "luks-hdd".to_owned(),
            array: "hdd".to_owned(),
            sector: layout::LUKS_SECTOR,
            offset: layout::LUKS_OFFSET,
            size: layout::luks_size(length).unwrap_or_default(),
            discard: false,
            no_workqueue: false,
            key_file: Some(HDD_KEY_FILE.to_owned()),
        },
        volume_group: VolumeGroup {
            name: "bulk".to_owned(),
            container: "luks-hdd".to_owned(),
            extent: layout::EXTENT,
            extents,
            volumes: Vec::new(),
            pool,
            free_extents,
        },
        waste: waste(disks, Pool::Hdd),
    })
}

/// What a volume group has and what is taken from it before the pool, in extents.
struct Space {
    pool: Pool,
    extents: u64,
    root: u64,
    swap: u64,
    reserve: u64,
}

impl Space {
    /// What guests never get: volumes of the host, and the reserve.
    fn hard(&self) -> u64 {
        self.root.saturating_add(self.swap).saturating_add(self.reserve)
    }

    /// `metadata` in extents, both halves together; `below` is what the layers below the group miss.
    fn too_small(&self, metadata: u64, below: Bytes) -> Reason {
        // A site file can ask for more than 2^64 bytes in all.
        let size = |extents: u64| Bytes(extents.saturating_mul(layout::EXTENT.0));
        let mut parts = Vec::new();
        let mut lower = Vec::new();
        let reserve = match self.pool {
            Pool::Ssd => "storage.ssd.reserve",
            Pool::Hdd => "storage.hdd.reserve",
        };
        for (word, extents, key) in [
            ("root", self.root, "storage.ssd.root"),
            ("swap", self.swap, "host.swap"),
            ("reserve", self.reserve, reserve),
        ] {
            if extents > 0 {
                parts.push(format!("{word} {}", size(extents)));
                lower.push(key);
            }
        }
        if metadata > 0 {
            parts.push(format!("pool metadata {}", size(metadata)));
        }
        parts.push(format!("at least one extent of {} for guests", size(1)));
        let needed = size(self.hard().saturating_add(metadata).saturating_add(1));
        let there = size(self.extents);
        let short = Bytes(needed.saturating_sub(there).0.saturating_add(below.0));
        Reason::TooSmall { pool: self.pool, needed_text: parts.join(" + "), needed, there, short, lower }
    }
}

/// Root and swap are hard, then metadata and its spare, then the reserve, which is hard too; the pool gets the rest. Returns the pool
/// and the free extents.
fn share_out(
    space: &Space,
    volumes: Provisioning,
    chunk: Bytes,
    below: impl Fn() -> Bytes,
) -> Result<(Option<ThinPool>, u64), Reason> {
    let hard = space.hard();
    let rest = space.extents.saturating_sub(hard);
    let metadata = match volumes {
        Provisioning::Thick => 0,
        Provisioning::Thin => layout::thin_metadata_extents(Bytes(rest * layout::EXTENT.0), chunk)
            .map_err(|needed| Reason::Metadata { pool: space.pool, needed })?,
    };
    if space.extents <= hard || rest <= 2 * metadata {
        return Err(space.too_small(2 * metadata, below()));
    }
    Ok(match volumes {
        Provisioning::Thick => (None, space.extents - space.root - space.swap),
        Provisioning::Thin => {
            let extents = rest - 2 * metadata;
            (Some(ThinPool { name: "data".to_owned(), extents, chunk, metadata_extents: metadata }), space.reserve)
        }
    })
}

/// The last partition's size, the same on all disks: the smallest disk's. `None` where not even the fixed partitions fit.
fn member_size(disks: &[&Disk], start: Bytes) -> Option<Bytes> {
    let end = disks.iter().map(|disk| layout::usable_end(disk.size, disk.logical_sector)).min()?;
    end.checked_sub(start).filter(|size| *size > Bytes::ZERO)
}

/// What the layers below a volume group miss before it could have a first byte; zero where they fit.
fn missing(disks: &[&Disk], start: Bytes, raid10: Option<u32>) -> Bytes {
    let end = disks.iter().map(|disk| layout::usable_end(disk.size, disk.logical_sector)).min().unwrap_or_default();
    let member = end.saturating_sub(start);
    let chunk = raid10.map(|_| layout::RAID10_CHUNK);
    let overhead = Bytes(layout::LUKS_OFFSET.0 + layout::PE_START.0);
    let data = member.saturating_sub(layout::md_data_offset(member, chunk));
    let array = Bytes(data.0.saturating_mul(raid10.map_or(1, |disks| u64::from(disks / 2))));
    Bytes(start.saturating_sub(end).0 + overhead.saturating_sub(array).0)
}

fn planned(
    disks: &[&Disk],
    pool: Pool,
    fixed: &[(PartitionRole, Bytes, Bytes)],
    last: (PartitionRole, Bytes, Bytes),
) -> Vec<PlannedDisk> {
    disks
        .iter()
        .map(|disk| PlannedDisk {
            id: DiskId { serial: disk.serial.clone(), wwn: disk.wwn.clone(), size: disk.size },
            kernel_name: disk.kernel_name.clone(),
            model: disk.model.clone(),
            transport: disk.transport,
            pool,
            logical_sector: disk.logical_sector,
            partitions: fixed
                .iter()
                .chain([&last])
                .zip(1..)
                .map(|(&(role, start, size), number)| Partition { number, role, start, size })
                .collect(),
            destroys: destroys(disk),
        })
        .collect()
}

fn members(first: usize, disks: &[&Disk], partition: u32) -> Vec<Member> {
    (first..first + disks.len()).map(|disk| Member { disk, partition }).collect()
}

fn array_of(name: &str, level: RaidLevel, data_offset: Bytes, size: Bytes, members: Vec<Member>) -> Array {
    Array { name: name.to_owned(), level, members, data_offset, size }
}

/// What of each larger disk stays unused.
fn waste(disks: &[&Disk], pool: Pool) -> Vec<String> {
    let smallest = disks.iter().map(|disk| disk.size).min().unwrap_or_default();
    disks
        .iter()
        .filter(|disk| disk.size > smallest)
        .map(|disk| {
            let unused = disk.size.saturating_sub(smallest);
            format!(
                "disk {} of the {} pool is larger than the smallest: {unused} ({} bytes) of it stay unused",
                identity(disk),
                super::pool_name(pool),
                unused.exact()
            )
        })
        .collect()
}
