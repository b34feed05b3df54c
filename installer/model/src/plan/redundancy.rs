//! Who keeps a second copy: what a person must know of a pool that is one disk, and of volumes of RAID controllers.

use crate::inventory::{Class, Disk};
use crate::plan::identity::{identity, named};
use crate::plan::refusal::Reason;
use crate::plan::{Base, Container, Plan, Pool, pool_name};
use crate::site::{Match, Redundancy, Site};

impl Plan {
    /// Who keeps a second copy of what a pool holds; `None` where the site has no such pool.
    pub fn redundancy(&self, pool: Pool) -> Option<Redundancy> {
        let storage = &self.site.storage;
        match pool {
            Pool::Ssd => Some(storage.ssd.raid.redundancy()),
            Pool::Hdd => storage.hdd.as_ref().map(|hdd| hdd.raid.redundancy()),
        }
    }

    /// The pool a container is of.
    pub fn pool_of(&self, container: &Container) -> Option<Pool> {
        let member = match &container.base {
            Base::Array(name) => self.arrays.iter().find(|array| array.name == *name)?.members.first()?,
            Base::Partition(member) => member,
        };
        self.disks.get(member.disk).map(|disk| disk.pool)
    }

    /// What is unsafe about the machine, in a sentence for everybody who looks at it; `None` where each pool has a second copy.
    pub fn danger(&self) -> Option<String> {
        let pools: Vec<_> = Pool::ALL
            .into_iter()
            .filter(|pool| self.redundancy(*pool) == Some(Redundancy::None))
            .map(pool_name)
            .collect();
        let text = match pools.as_slice() {
            [] => return None,
            [pool] => format!(
                "UNSAFE, for laboratories only: the {pool} pool has no RAID; when its disk fails, everything on it is lost"
            ),
            pools => format!(
                "UNSAFE, for laboratories only: the {} pools have no RAID; when a disk fails, everything on it is lost",
                pools.join(" and ")
            ),
        };
        Some(text)
    }
}

/// What a disk is, in words, where it is a volume of a known RAID controller.
pub(super) fn raid_volume(disk: &Disk) -> Option<String> {
    match &disk.class {
        class @ Class::HardwareRaid { .. } => Some(class.to_string()),
        Class::Ordinary
        | Class::NvmeNamespace { .. }
        | Class::Emmc { .. }
        | Class::SdCard
        | Class::MultipathPath { .. }
        | Class::VirtualMedium { .. } => None,
    }
}

/// The pools of a site: who keeps their second copy, and what was asked of their disks.
fn wanted(site: &Site) -> impl Iterator<Item = (Pool, Redundancy, &Match)> {
    let storage = &site.storage;
    let hdd = storage.hdd.as_ref().map(|hdd| (Pool::Hdd, hdd.raid.redundancy(), &hdd.matching));
    std::iter::once((Pool::Ssd, storage.ssd.raid.redundancy(), &storage.ssd.matching)).chain(hdd)
}

/// A disk that happens to match is no RAID volume because the site file hopes so: it is one of a known controller, or a person names it.
pub(super) fn reasons<'d>(site: &Site, disks_of: impl Fn(Pool) -> &'d [&'d Disk]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (pool, redundancy, matching) in wanted(site) {
        let is_named = !matching.serials.is_empty() || !matching.wwns.is_empty();
        if redundancy != Redundancy::Hardware || is_named {
            continue;
        }
        let unknown = disks_of(pool).iter().filter(|disk| raid_volume(disk).is_none());
        reasons.extend(unknown.map(|disk| Reason::NoController { pool, disk: named(disk) }));
    }
    reasons
}

/// Where what keeps the second copy is not what the site file says, or cannot be seen.
pub(super) fn warnings<'d>(site: &Site, disks_of: impl Fn(Pool) -> &'d [&'d Disk]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (pool, redundancy, _) in wanted(site) {
        let name = pool_name(pool);
        for disk in disks_of(pool) {
            let disk_name = identity(disk);
            match (redundancy, raid_volume(disk)) {
                (Redundancy::Hardware, None) => warnings.push(format!(
                    "disk {disk_name} of the {name} pool is named as the volume of a RAID controller, and no controller that is known is \
                     behind it: whether it survives a failing disk cannot be seen"
                )),
                (Redundancy::Array, Some(volume)) => warnings.push(format!(
                    "disk {disk_name} of the {name} pool is a {volume}, and md is put on top of it: give the system the disks themselves \
                     (HBA or JBOD mode), or make one volume and write storage.{name}.raid = \"hardware\""
                )),
                (Redundancy::None, Some(volume)) => warnings.push(format!(
                    "disk {disk_name} of the {name} pool is a {volume}: if its controller keeps a second copy, storage.{name}.raid = \
                     \"hardware\" says so"
                )),
                (Redundancy::Hardware, Some(_)) | (Redundancy::Array | Redundancy::None, None) => {}
            }
        }
    }
    warnings
}
