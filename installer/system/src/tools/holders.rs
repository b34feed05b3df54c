//! What stands on a disk in the running kernel (/sys/class/block/*/holders), and how to take it down from the top.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::mount::parse_mounts;
use super::{cryptsetup, loops, lvm, mdadm, mount};
use crate::runner::{Cmd, RunError, Runner};

/// A block device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// Kernel names of what stands directly on it: holders, and partitions of a disk.
    above: BTreeSet<String>,
    /// Kernel names of what it stands on.
    below: BTreeSet<String>,
    kind: Kind,
    mounts: Vec<String>,
    swap: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Plain,
    Md,
    /// An LVM volume of this group.
    Volume(String),
    /// A dm-crypt mapping of this name.
    Crypt(String),
    /// Another device-mapper device of this name.
    Mapper(String),
    /// A loop device.
    Loop,
}

/// One thing to take down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Unmount this folder.
    Unmount(String),
    /// Stop swapping to this device.
    SwapOff(String),
    /// Deactivate this volume group.
    Deactivate(String),
    /// Close this dm-crypt mapping.
    Close(String),
    /// Remove this device-mapper device.
    Remove(String),
    /// Let go of this loop device.
    Detach(String),
    /// Stop this array.
    Stop(String),
}

/// Why nothing may be taken down.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} also uses {}, which is not to be installed on", others.join(", "))]
pub struct Spans {
    /// Such as `the array md127` or `the volume group old`.
    pub what: String,
    /// Disks that were not selected.
    pub others: Vec<String>,
}

/// The names an installation gives to what it makes.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Volume groups.
    pub groups: Vec<String>,
    /// Device-mapper devices.
    pub mappings: Vec<String>,
    /// Arrays, each as its device /dev/md/NAME and the kernel name of the array that has it now.
    pub arrays: Vec<(String, String)>,
}

/// Something that is to stay and bears a name that is needed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} exists already, on {}, which is not to be installed on", on.join(", "))]
pub struct Taken {
    /// Such as `a volume group pve`.
    pub what: String,
    /// Devices it is on.
    pub on: Vec<String>,
}

/// What a loop device shows, below its folder in /sys: a path, as the kernel has it (drivers/block/loop.c, `loop_attr_backing_file_show()`).
const BACKING: &str = "loop/backing_file";
/// What `pvs` calls a physical volume that its group has lost.
const LOST: &str = "[unknown]";

/// Everything the kernel has stacked.
#[derive(Debug, Clone, Default)]
pub struct Graph(BTreeMap<String, Node>);

impl Graph {
    /// Reads the machine.
    ///
    /// # Errors
    /// /sys or /proc cannot be read.
    pub fn read() -> io::Result<Self> {
        let swaps = fs::read_to_string("/proc/swaps")?;
        Self::read_from(Path::new("/sys/class/block"), &fs::read_to_string("/proc/self/mounts")?, &swaps)
    }

    /// As [`Graph::read`], from a copy of /sys/class/block and the texts of /proc/self/mounts and /proc/swaps.
    ///
    /// # Errors
    /// `sys` cannot be read.
    pub fn read_from(sys: &Path, mounts: &str, swaps: &str) -> io::Result<Self> {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        let mut by_path: BTreeMap<String, String> = BTreeMap::new();
        let mut loops = Vec::new();
        for entry in fs::read_dir(sys)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A copy of /sys may hold folders where the kernel has links: both are followed.
            let folder = fs::canonicalize(entry.path())?;
            by_path.insert(format!("/dev/{name}"), name.clone());
            if let Some(mapper) = line(&folder.join("dm/name")) {
                by_path.insert(format!("/dev/mapper/{mapper}"), name.clone());
            }
            for holder in names(&folder.join("holders")) {
                nodes.entry(holder.clone()).or_default().below.insert(name.clone());
                nodes.entry(name.clone()).or_default().above.insert(holder);
            }
            if folder.join("partition").exists()
                && let Some(disk) = folder.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned())
            {
                nodes.entry(disk.clone()).or_default().above.insert(name.clone());
                nodes.entry(name.clone()).or_default().below.insert(disk);
            }
            loops.extend(line(&folder.join(BACKING)).map(|backing| (name.clone(), backing)));
            nodes.entry(name).or_default().kind = kind(&folder);
        }
        // A loop device is no holder of what it shows; what shows a file has no device below it.
        for (name, backing) in loops {
            let Some(below) = by_path.get(&backing) else { continue };
            nodes.entry(below.clone()).or_default().above.insert(name.clone());
            nodes.entry(name).or_default().below.insert(below.clone());
        }
        for mount in parse_mounts(mounts) {
            if let Some(node) = by_path.get(&mount.source).and_then(|n| nodes.get_mut(n)) {
                node.mounts.push(mount.point);
            }
        }
        for source in swaps.lines().skip(1).filter_map(|l| l.split_whitespace().next()) {
            if let Some(node) = by_path.get(source).and_then(|n| nodes.get_mut(n)) {
                node.swap = true;
            }
        }
        Ok(Self(nodes))
    }

    /// What to take down, in order, so that nothing stands on `disks` (kernel names) any more. `groups` are all physical volumes
    /// of the machine.
    ///
    /// # Errors
    /// [`Spans`]: something stands on one of the disks and on another disk as well.
    pub fn teardown(&self, disks: &[String], groups: &[lvm::Physical]) -> Result<Vec<Action>, Spans> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for disk in disks {
            self.visit(disk, &mut seen, &mut order);
        }
        for name in &order {
            let others: Vec<_> = self.bases(name).into_iter().filter(|b| !disks.contains(b)).collect();
            if !others.is_empty() {
                return Err(Spans { what: self.words(name), others });
            }
        }
        for group in groups.iter().filter(|p| !p.group.is_empty() && self.is_on(&p.device, disks)) {
            let members = groups.iter().filter(|p| p.group == group.group);
            // What is lost stands on no disk of this machine.
            let others: BTreeSet<_> = members
                .filter(|p| p.device != LOST && !self.is_on(&p.device, disks))
                .map(|p| p.device.clone())
                .collect();
            if !others.is_empty() {
                let what = format!("the volume group {}", group.group);
                return Err(Spans { what, others: others.into_iter().collect() });
            }
        }
        Ok(self.actions(&order))
    }

    /// Whether nothing stands on a disk (kernel name) but its own partitions, and none of them is in use.
    pub fn is_bare(&self, disk: &str) -> bool {
        let mut order = Vec::new();
        self.visit(disk, &mut BTreeSet::new(), &mut order);
        self.actions(&order).is_empty()
    }

    /// Looks for what bears one of `names` and is not on `disks` (kernel names), so that it stays when they are cleared. `groups` are
    /// all physical volumes of the machine.
    ///
    /// # Errors
    /// [`Taken`], the first there is.
    pub fn free(&self, names: &Names, disks: &[String], groups: &[lvm::Physical]) -> Result<(), Taken> {
        let stays = |bases: &BTreeSet<String>| bases.iter().any(|b| !disks.contains(b));
        let taken = |what: String, on: BTreeSet<String>| Err(Taken { what, on: on.into_iter().collect() });
        for group in &names.groups {
            let members = groups.iter().filter(|p| p.group == *group && p.device != LOST);
            let on: BTreeSet<_> = members.filter(|p| !self.is_on(&p.device, disks)).map(|p| p.device.clone()).collect();
            if !on.is_empty() {
                return taken(format!("a volume group {group}"), on);
            }
        }
        for (name, node) in &self.0 {
            let (Kind::Crypt(mapping) | Kind::Mapper(mapping)) = &node.kind else { continue };
            let bases = self.bases(name);
            if names.mappings.contains(mapping) && stays(&bases) {
                return taken(format!("a mapping {mapping}"), bases);
            }
        }
        for (device, name) in &names.arrays {
            let bases = self.bases(name);
            if stays(&bases) {
                return taken(format!("an array {device}"), bases);
            }
        }
        Ok(())
    }

    fn actions(&self, order: &[String]) -> Vec<Action> {
        let nodes = || order.iter().filter_map(|name| self.0.get(name).map(|node| (name, node)));
        let mut points: Vec<&String> = nodes().flat_map(|(_, node)| &node.mounts).collect();
        // What is mounted below another mount point has the longer path.
        points.sort_by_key(|p| std::cmp::Reverse(p.len()));
        let mut actions: Vec<Action> = points.into_iter().cloned().map(Action::Unmount).collect();
        actions.extend(nodes().filter(|(_, n)| n.swap).map(|(name, _)| Action::SwapOff(format!("/dev/{name}"))));
        for (at, (name, node)) in nodes().enumerate() {
            let last_of = |group: &String| {
                !order[at + 1..]
                    .iter()
                    .any(|n| matches!(self.0.get(n), Some(Node { kind: Kind::Volume(g), .. }) if g == group))
            };
            match &node.kind {
                Kind::Md => actions.push(Action::Stop(format!("/dev/{name}"))),
                // All volumes of a group go at once, after everything that stands on any of them.
                Kind::Volume(group) if last_of(group) => actions.push(Action::Deactivate(group.clone())),
                Kind::Plain | Kind::Volume(_) => {}
                Kind::Crypt(mapping) => actions.push(Action::Close(mapping.clone())),
                Kind::Mapper(mapping) => actions.push(Action::Remove(mapping.clone())),
                Kind::Loop => actions.push(Action::Detach(format!("/dev/{name}"))),
            }
        }
        actions
    }

    /// Depth first, so that whatever stands on a device comes before it.
    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        if let Some(node) = self.0.get(name) {
            for above in &node.above {
                self.visit(above, seen, order);
            }
        }
        order.push(name.to_owned());
    }

    /// The disks a device stands on in the end.
    fn bases(&self, name: &str) -> BTreeSet<String> {
        match self.0.get(name) {
            Some(node) if !node.below.is_empty() => node.below.iter().flat_map(|b| self.bases(b)).collect(),
            _ => BTreeSet::from([name.to_owned()]),
        }
    }

    fn is_on(&self, device: &str, disks: &[String]) -> bool {
        let short = device.strip_prefix("/dev/").unwrap_or(device);
        let name = device.strip_prefix("/dev/mapper/").and_then(|mapping| {
            self.0.iter().find_map(|(name, node)| match &node.kind {
                Kind::Crypt(m) | Kind::Mapper(m) if m == mapping => Some(name.clone()),
                _ => None,
            })
        });
        let name = name.unwrap_or_else(|| short.to_owned());
        self.0.contains_key(&name) && self.bases(&name).iter().all(|b| disks.contains(b))
    }

    fn words(&self, name: &str) -> String {
        match self.0.get(name).map(|n| &n.kind) {
            Some(Kind::Md) => format!("the array {name}"),
            Some(Kind::Volume(group)) => format!("the volume group {group}"),
            Some(Kind::Crypt(mapping) | Kind::Mapper(mapping)) => format!("the mapping {mapping}"),
            _ => format!("the device {name}"),
        }
    }
}

fn kind(folder: &Path) -> Kind {
    if folder.join(BACKING).exists() {
        return Kind::Loop;
    }
    if folder.join("md").is_dir() {
        // The folder md/ of a stopped array may linger with the state `clear`.
        return if line(&folder.join("md/array_state")).as_deref() == Some("clear") { Kind::Plain } else { Kind::Md };
    }
    let (Some(name), uuid) = (line(&folder.join("dm/name")), line(&folder.join("dm/uuid")).unwrap_or_default()) else {
        return Kind::Plain;
    };
    if uuid.starts_with("LVM-") {
        return Kind::Volume(group_of(&name));
    }
    if uuid.starts_with("CRYPT-") { Kind::Crypt(name) } else { Kind::Mapper(name) }
}

/// The volume group in a device-mapper name: `vg-lv`, with hyphens inside either doubled.
fn group_of(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'-' {
            if bytes.get(at + 1) != Some(&b'-') {
                break;
            }
            at += 1;
        }
        at += 1;
    }
    name[..at.min(name.len())].replace("--", "-")
}

fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Carries out one action.
///
/// # Errors
/// [`RunError`].
pub fn carry_out(runner: &dyn Runner, action: &Action) -> Result<(), RunError> {
    match action {
        Action::Unmount(point) => mount::unmount(runner, point),
        Action::SwapOff(device) => runner.run(&Cmd::new("swapoff", [device])).map(drop),
        Action::Deactivate(group) => lvm::deactivate(runner, group),
        Action::Close(mapping) => cryptsetup::close(runner, mapping),
        Action::Remove(mapping) => runner.run(&Cmd::new("dmsetup", ["remove", "--retry", mapping])).map(drop),
        Action::Detach(device) => loops::detach(runner, device),
        Action::Stop(device) => mdadm::stop(runner, device),
    }
}

#[cfg(test)]
#[path = "holders_tests.rs"]
mod tests;
