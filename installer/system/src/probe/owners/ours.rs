//! Earlier installations of ours: partitions named `sovereign-...`, and what their EFI system partitions say of site and time.

use std::collections::BTreeMap;

use serde::Deserialize;
use sovereign_model::inventory::{Disk, EarlierSite, Owner};

use crate::probe::lsblk::Node;

/// How the names of our partitions begin.
const NAMES: &str = "sovereign-";

/// What is read of `sovereign/install.json`; the rest of it is for others.
#[derive(Deserialize)]
struct Said {
    site: String,
    started: u64,
    state: String,
}

/// Sites by the node of the EFI system partition that tells, and by the host whose name the arrays beside it have: the bulk disks
/// carry no EFI system partition.
pub(super) struct Sites {
    by_device: BTreeMap<String, EarlierSite>,
    by_host: BTreeMap<String, EarlierSite>,
}

impl Sites {
    /// From lines `DEVICE JSON`. A line that is none of ours tells nothing.
    pub(super) fn of(text: &str, nodes: &[&Node], disks: &[Disk]) -> Self {
        let line = |line: &str| {
            let (device, json) = line.split_once(' ')?;
            let said: Said = serde_json::from_str(json).ok()?;
            let site = EarlierSite { name: said.site, started: said.started, complete: said.state == "complete" };
            Some((device.to_owned(), site))
        };
        let by_device: BTreeMap<String, EarlierSite> = text.lines().filter_map(line).collect();
        let mut by_host = BTreeMap::new();
        for (node, disk) in nodes.iter().zip(disks) {
            if let Some(site) = told(&by_device, node) {
                by_host.extend(hosts(disk).map(|host| (host.to_owned(), site.clone())));
            }
        }
        Self { by_device, by_host }
    }

    /// The installation on a disk that has partitions of ours.
    pub(super) fn of_disk(&self, node: &Node, disk: &Disk) -> Option<Owner> {
        let ours = |part: &Node| part.part_label.as_deref().is_some_and(|label| label.starts_with(NAMES));
        if !node.partitions().any(ours) {
            return None;
        }
        let site = told(&self.by_device, node).or_else(|| hosts(disk).find_map(|host| self.by_host.get(host)));
        Some(Owner::Sovereign { site: site.cloned() })
    }
}

fn told<'a>(by_device: &'a BTreeMap<String, EarlierSite>, node: &Node) -> Option<&'a EarlierSite> {
    node.partitions().find_map(|part| by_device.get(&part.path))
}

/// Hosts in the names of the arrays that a disk has members of: `HOST:NAME`.
fn hosts(disk: &Disk) -> impl Iterator<Item = &str> {
    let members = disk.contents.iter().flatten().filter(|content| content.kind == "linux_raid_member");
    members.filter_map(|content| content.label.as_deref()?.split_once(':').map(|(host, _)| host))
}
