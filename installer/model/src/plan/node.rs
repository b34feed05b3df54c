//! What the node is besides its disks: the names of its interfaces, and the share of its memory that stays the host's.

use serde::{Deserialize, Serialize};

use crate::bytes::{Bytes, MIB};
use crate::inventory::{Inventory, Nic};
use crate::site::{Host, Network, Site};

/// The memory is counted in steps of this size, so that a kernel which reserves a few pages more does not change the plan.
const MEMORY_STEP: u64 = 16 * MIB;
/// `vm.swappiness` where there is a swap volume: it takes what is never touched, and nothing a guest works with.
const SWAPPINESS_WITH_SWAP: u32 = 10;
/// `vm.swappiness` without one: swap that somebody adds by hand is used in need alone.
const SWAPPINESS_WITHOUT_SWAP: u32 = 1;

/// The name an interface keeps, bound to its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedNic {
    /// Name on the installed machine: `nic0` carries the management address.
    pub name: String,
    /// Its address, lower case with colons.
    pub mac: String,
    /// Kernel name when the plan was made, empty where it was not there; not part of the hash.
    pub kernel_name: String,
}

/// How the memory is shared between the host and its guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostShare {
    /// What stays the host's whatever virtual machines do.
    pub memory: Bytes,
    /// What all virtual machines together may take, at most: the limit of `qemu.slice`. Containers are not in it.
    pub guests: Bytes,
    /// `vm.swappiness`, 0 to 200.
    pub swappiness: u32,
}

/// A name for every interface: the management interface is the first, the others follow in the order of their addresses. On a machine
/// without any, the one that the site names by its address has its name before it is there.
pub(super) fn pin(management: Option<&Nic>, nics: &[Nic], network: &Network) -> Vec<PinnedNic> {
    if let (None, [], Some(mac)) = (management, nics, &network.mac) {
        let mac = mac.replace('-', ":").to_ascii_lowercase();
        return vec![PinnedNic { name: "nic0".to_owned(), mac, kernel_name: String::new() }];
    }
    let mut others: Vec<&Nic> = nics.iter().filter(|nic| management.is_none_or(|m| m.mac != nic.mac)).collect();
    others.sort_by_key(|nic| (&nic.mac, &nic.name));
    others.dedup_by_key(|nic| &nic.mac);
    let all = management.into_iter().chain(others).enumerate();
    all.map(|(index, nic)| PinnedNic {
        name: format!("nic{index}"),
        mac: nic.mac.clone(),
        kernel_name: nic.name.clone(),
    })
    .collect()
}

/// The host's share on this machine, and a warning where it is less than the site asks for.
pub(super) fn share(site: &Site, inventory: &Inventory) -> (HostShare, Option<String>) {
    let Host { memory: wanted, swap } = &site.host;
    let there = inventory.memory.align_down(MEMORY_STEP);
    let (wanted, half) = (wanted.of(there), Bytes(there.0 / 2));
    let memory = wanted.min(half);
    let share = HostShare {
        memory,
        guests: there.saturating_sub(memory).align_down(MEMORY_STEP),
        swappiness: if swap.is_some() { SWAPPINESS_WITH_SWAP } else { SWAPPINESS_WITHOUT_SWAP },
    };
    let warning = (wanted > half)
        .then(|| format!("the machine has {there} of RAM: the host keeps half of it, not {wanted} (host.memory)"));
    (share, warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(name: &str, mac: &str) -> Nic {
        Nic { name: name.into(), mac: mac.into(), driver: String::new(), link: None, speed_mbps: None }
    }

    #[test]
    fn the_management_interface_is_the_first_and_the_order_of_the_others_is_that_of_their_addresses() {
        let nics =
            [nic("eno1", "52:54:00:00:00:03"), nic("eno2", "52:54:00:00:00:01"), nic("eno3", "52:54:00:00:00:02")];
        let site = network("");
        let names = |management: Option<&Nic>, nics: &[Nic]| -> Vec<String> {
            pin(management, nics, &site).into_iter().map(|p| format!("{}={}", p.name, p.kernel_name)).collect()
        };
        assert_eq!(names(Some(&nics[0]), &nics), ["nic0=eno1", "nic1=eno2", "nic2=eno3"]);
        let mut turned = nics.to_vec();
        turned.reverse();
        assert_eq!(names(Some(&nics[0]), &turned), ["nic0=eno1", "nic1=eno2", "nic2=eno3"]);
        assert_eq!(names(None, &nics), ["nic0=eno2", "nic1=eno3", "nic2=eno1"]);
        assert!(pin(None, &[], &site).is_empty());
    }

    #[test]
    fn an_interface_that_the_site_names_has_its_name_before_it_is_there() {
        let pinned = pin(None, &[], &network("mac = \"52-54-00-AB-00-01\""));
        assert_eq!((pinned[0].name.as_str(), pinned[0].mac.as_str()), ("nic0", "52:54:00:ab:00:01"));
        assert!(pin(None, &[], &network("interface = \"eno1\"")).is_empty());
    }

    fn network(more: &str) -> Network {
        toml::from_str(&format!("mode = \"dhcp\"\n{more}\n")).unwrap()
    }
}
