//! What the screens propose where no site file says anything.

use std::collections::BTreeMap;

use sovereign_model::inventory::Disk;
use sovereign_model::plan::{self, Pool};
use sovereign_model::role::{Catalogue, Network};
use sovereign_model::site::{Draft, HealthPolicy, Match};

/// The internal network: the host is the first of it, the machines come from the eleventh on (RFC 1918).
const INTERNAL: &str = "10.10.0";
/// The first machine's place in it.
const FIRST: usize = 11;

/// A site with the whole appliance: all machines, on an internal network of their own, their volumes within the pools.
pub(crate) fn site() -> Draft {
    let mut draft = Draft::default();
    draft.set("encryption.passphrase", "prompt");
    draft.set("network.mode", "static");
    draft.set("guests.deploy", true);
    draft.set("guests.ssd_overcommit", false);
    draft.set("network.internal_address", format!("{INTERNAL}.1/24"));
    let roles = Catalogue::shipped().map_or(&[][..], Catalogue::roles);
    for (index, role) in roles.iter().enumerate().filter(|(_, role)| role.is_on(Network::Internal)) {
        let address = format!("{INTERNAL}.{}", FIRST + index);
        draft.set(&format!("guests.roles.{}.internal_address", role.name), format!("{address}/24"));
        if role.is_on(Network::Public) {
            // The way out of the machines that have no other.
            draft.set("guests.internal_gateway", address);
        }
    }
    draft
}

/// Disks proposed for the pools, by kernel name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Proposed {
    ssd: Vec<String>,
    hdd: Vec<String>,
}

impl Proposed {
    pub fn of(&self, disk: &Disk) -> Option<Pool> {
        if self.ssd.contains(&disk.kernel_name) {
            Some(Pool::Ssd)
        } else if self.hdd.contains(&disk.kernel_name) {
            Some(Pool::Hdd)
        } else {
            None
        }
    }
}

/// The pools, where only one choice suggests itself: two flash disks of one size, and an even number of spinning ones of one size. Where several do,
/// none is proposed: a person chooses.
pub(crate) fn pools(disks: &[Disk], policy: &HealthPolicy) -> Proposed {
    let named = Match { rotational: Some(false), ..Match::default() };
    let spinning = Match { rotational: Some(true), ..Match::default() };
    let verdicts = plan::judge(disks, &[(Pool::Ssd, &named), (Pool::Hdd, &spinning)], policy);
    let equal = |pool| {
        let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for disk in verdicts.iter().filter(|verdict| verdict.fits(pool)).map(|verdict| &verdict.disk) {
            groups.entry((disk.size, disk.logical_sector)).or_default().push(disk.kernel_name.clone());
        }
        groups.into_values().filter(|group| group.len() > 1).collect::<Vec<_>>()
    };
    let mut proposed = Proposed::default();
    if let [only] = equal(Pool::Ssd).as_slice()
        && only.len() == 2
    {
        proposed.ssd.clone_from(only);
    }
    if let [only] = equal(Pool::Hdd).as_slice()
        && only.len().is_multiple_of(2)
    {
        proposed.hdd.clone_from(only);
    }
    proposed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proposed_lacks_only_what_nobody_can_know() {
        let mut missing: Vec<String> = site().problems().into_iter().map(|p| p.about.path).collect();
        missing.sort();
        assert_eq!(missing, ["admin", "network.address", "site", "storage"]);
    }
}
