//! One pool of equal disks, or of one disk, from partitions to extents.

use crate::bytes::Bytes;
use crate::inventory::{Disk, Transport};
use crate::layout;
use crate::plan::identity::identity;
use crate::plan::make::destroys;
use crate::plan::redundancy::raid_volume;
use crate::plan::refusal::Reason;
use crate::plan::{
    Array, Base, Container, DiskId, Member, Partition, PartitionRole, PlannedDisk, Pool, RaidLevel, ThinPool, Volume,
    VolumeGroup,
};
use crate::site::{HddPool, HddRaid, Provisioning, Site, Size, SsdRaid};

/// Path on the target of the key file that opens the HDD container.
pub const HDD_KEY_FILE: &str = "/etc/sovereign/keys/hdd.key";

/// The layers of one pool.
#[derive(Debug)]
pub(super) struct Built {
    /// Its disks.
    pub disks: Vec<PlannedDisk>,
    /// Its arrays, in the order they are made.
    pub arrays: Vec<Array>,
    /// The container on the last array, or on the last partition of the only disk.
    pub container: Container,
    /// The volume group on it.
    pub volume_group: VolumeGroup,
    /// What a person should know of its disks: what of larger ones stays unused, sectors that differ.
    pub notes: Vec<String>,
}

/// How the last partitions of a pool's disks become the one device that is encrypted.
#[derive(Clone, Copy)]
struct Joined {
    /// The array's level; `None` where the pool is one disk.
    level: Option<RaidLevel>,
    /// Disks of the pool.
    disks: u32,
}

impl Joined {
    fn ssd(raid: SsdRaid, disks: &[&Disk]) -> Self {
        let level = match raid {
            SsdRaid::Raid1 => Some(RaidLevel::Raid1),
            SsdRaid::Hardware | SsdRaid::None => None,
        };
        Self { level, disks: u32::try_from(disks.len()).unwrap_or(u32::MAX) }
    }

    fn hdd(raid: HddRaid, disks: &[&Disk]) -> Self {
        let level = match raid {
            HddRaid::Raid10 => Some(RaidLevel::Raid10 { chunk: layout::RAID10_CHUNK }),
            HddRaid::Hardware | HddRaid::None => None,
        };
        Self { level, disks: u32::try_from(disks.len()).unwrap_or(u32::MAX) }
    }

    /// Where data starts on a partition of this size.
    fn data_offset(self, partition: Bytes) -> Bytes {
        match self.level {
            Some(RaidLevel::Raid1) => layout::md_data_offset(partition, None),
            Some(RaidLevel::Raid10 { chunk }) => layout::md_data_offset(partition, Some(chunk)),
            None => Bytes::ZERO,
        }
    }

    /// Length of the device made of partitions of this size.
    fn size(self, partition: Bytes) -> Option<Bytes> {
        match self.level {
            Some(RaidLevel::Raid1) => layout::raid1_size(partition),
            Some(RaidLevel::Raid10 { .. }) => layout::raid10_size(partition, self.disks),
            None => Some(partition),
        }
    }

    /// What the layers below a volume group miss before it could have a first byte, where its partitions start here; zero where they fit.
    fn missing(self, disks: &[&Disk], start: Bytes) -> Bytes {
        let end = usable_end(disks).unwrap_or_default();
        let partition = end.saturating_sub(start);
        let data = partition.saturating_sub(self.data_offset(partition));
        let copies = match self.level {
            Some(RaidLevel::Raid10 { .. }) => u64::from(self.disks / 2),
            Some(RaidLevel::Raid1) | None => 1,
        };
        let device = Bytes(data.0.saturating_mul(copies));
        let overhead = Bytes(layout::LUKS_OFFSET.0 + layout::PE_START.0);
        Bytes(start.saturating_sub(end).0 + overhead.saturating_sub(device).0)
    }

    /// An array of this level on the partitions of this number; `None` where the pool is one disk.
    fn array(self, name: &str, partition: Bytes, size: Bytes, members: Vec<Member>) -> Option<Array> {
        let (data_offset, level) = (self.data_offset(partition), self.level?);
        Some(Array { name: name.to_owned(), level, members, data_offset, size })
    }
}

/// The bootable pool on these disks.
pub(super) fn ssd(site: &Site, disks: &[&Disk]) -> Result<Built, Reason> {
    let (swap, discard) = (site.host.swap, site.encryption.discard);
    let site = &site.storage.ssd;
    let joined = Joined::ssd(site.raid, disks);
    let (boot_role, last_role) = match joined.level {
        Some(_) => (PartitionRole::BootMember, PartitionRole::SsdMember),
        None => (PartitionRole::Boot, PartitionRole::SsdContainer),
    };
    // No BIOS reads sectors of 4096 bytes, and its boot loader has no place there.
    let bios = disks.iter().all(|disk| disk.logical_sector == 512);
    let mut fixed = Vec::new();
    let mut start = layout::ALIGNMENT;
    for (role, size) in bios
        .then_some((PartitionRole::BiosBoot, layout::BIOS_BOOT))
        .into_iter()
        .chain([(PartitionRole::Esp, layout::ESP), (boot_role, layout::BOOT_MEMBER)])
    {
        fixed.push((role, start, size));
        start = Bytes(start.0 + size.0);
    }
    let (boot_number, last_number) = if bios { (3, 4) } else { (2, 3) };
    let member = member_size(disks, start);
    let device = member.and_then(|member| joined.size(member));
    let extents = device.and_then(layout::luks_size).map_or(0, layout::vg_extents);
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
    let short = || joined.missing(disks, start);
    let (pool, free_extents) = share_out(&space, site.volumes, layout::SSD_CHUNK, short)?;
    // `share_out` has refused where there are no extents, so both are there.
    let (Some(member), Some(length)) = (member, device) else { return Err(space.too_small(0, short())) };
    let boot = joined.size(layout::BOOT_MEMBER).unwrap_or_default();
    let nvme = disks.iter().all(|disk| disk.transport == Transport::Nvme);
    let arrays = [
        joined.array("boot", layout::BOOT_MEMBER, boot, members(0, disks, boot_number)),
        joined.array("ssd", member, length, members(0, disks, last_number)),
    ];
    let arrays: Vec<Array> = arrays.into_iter().flatten().collect();
    Ok(Built {
        disks: planned(disks, Pool::Ssd, &fixed, (last_role, start, member)),
        container: Container {
            name: "luks-ssd".to_owned(),
            base: base(&arrays, 0, last_number),
            sector: layout::LUKS_SECTOR,
            offset: layout::LUKS_OFFSET,
            size: layout::luks_size(length).unwrap_or_default(),
            discard: discard && disks.iter().all(|disk| !disk.rotational),
            no_workqueue: nvme,
            key_file: None,
        },
        arrays,
        volume_group: VolumeGroup {
            name: "pve".to_owned(),
            container: "luks-ssd".to_owned(),
            extent: layout::EXTENT,
            extents,
            volumes,
            pool,
            free_extents,
        },
        notes: notes(disks, Pool::Ssd),
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
    let joined = Joined::hdd(site.raid, disks);
    let role = match joined.level {
        Some(_) => PartitionRole::HddMember,
        None => PartitionRole::HddContainer,
    };
    let member = member_size(disks, start);
    let device = member.and_then(|member| joined.size(member));
    let extents = device.and_then(layout::luks_size).map_or(0, layout::vg_extents);
    let space = Space { pool: Pool::Hdd, extents, root: 0, swap: 0, reserve: hdd_reserve(site, extents) };
    let short = || joined.missing(disks, start);
    let (pool, free_extents) = share_out(&space, site.volumes, layout::HDD_CHUNK, short)?;
    let (Some(member), Some(length)) = (member, device) else { return Err(space.too_small(0, short())) };
    let array = joined.array("hdd", member, length, members(first, disks, 1));
    let arrays: Vec<Array> = array.into_iter().collect();
    Ok(Built {
        disks: planned(disks, Pool::Hdd, &[], (role, start, member)),
        container: Container {
            name: "luks-hdd".to_owned(),
            base: base(&arrays, first, 1),
            sector: layout::LUKS_SECTOR,
            offset: layout::LUKS_OFFSET,
            size: layout::luks_size(length).unwrap_or_default(),
            discard: false,
            no_workqueue: false,
            key_file: Some(HDD_KEY_FILE.to_owned()),
        },
        arrays,
        volume_group: VolumeGroup {
            name: "bulk".to_owned(),
            container: "luks-hdd".to_owned(),
            extent: layout::EXTENT,
            extents,
            volumes: Vec::new(),
            pool,
            free_extents,
        },
        notes: notes(disks, Pool::Hdd),
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
    usable_end(disks)?.checked_sub(start).filter(|size| *size > Bytes::ZERO)
}

/// Where the last partition ends, the same on all disks; `None` of no disks.
fn usable_end(disks: &[&Disk]) -> Option<Bytes> {
    disks.iter().map(|disk| layout::usable_end(disk.size, disk.logical_sector)).min()
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
            raid_volume: raid_volume(disk),
            partitions: fixed
                .iter()
                .chain([&last])
                .zip(1..)
                .map(|(&(role, start, size), number)| Partition { number, role, start, size })
                .collect(),
            destroys: destroys(disk),
            self_erase: None,
            health: disk.health.clone(),
        })
        .collect()
}

fn members(first: usize, disks: &[&Disk], partition: u32) -> Vec<Member> {
    (first..first + disks.len()).map(|disk| Member { disk, partition }).collect()
}

/// What the container stands on: the last array, or the partition of this number on the pool's only disk.
fn base(arrays: &[Array], disk: usize, partition: u32) -> Base {
    match arrays.last() {
        Some(array) => Base::Array(array.name.clone()),
        None => Base::Partition(Member { disk, partition }),
    }
}

/// What of each larger disk stays unused, and physical sectors that differ.
fn notes(disks: &[&Disk], pool: Pool) -> Vec<String> {
    let mut notes = waste(disks, pool);
    notes.extend(mixed_physical(disks, pool));
    notes
}

/// 512n and 512e disks make one array: the kernel addresses both by 512 bytes, and nothing above writes less than 4096 at a time.
fn mixed_physical(disks: &[&Disk], pool: Pool) -> Option<String> {
    let first = disks.first()?.physical_sector;
    disks.iter().any(|disk| disk.physical_sector != first).then(|| {
        let sectors: Vec<_> =
            disks.iter().map(|disk| format!("{}: {}", identity(disk), disk.physical_sector)).collect();
        format!(
            "the disks of the {} pool have physical sectors of several sizes in bytes ({}): everything is aligned for all of them, \
             but they are no disks of one kind",
            super::pool_name(pool),
            sectors.join(", ")
        )
    })
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
