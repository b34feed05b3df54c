//! Pools without md: what a person must know of a single disk.

use crate::plan::{Base, Container, Plan, Pool, pool_name};
use crate::site::Redundancy;

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
