//! What stands on a disk in the running kernel (/sys/class/block/*/holders), and how to take it down from the top.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

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
    /// What is swapped to: the device itself, or files of a file system on it.
    swaps: Vec<String>,
    /// Where bcache keeps what it has of a disk or partition that is registered, below /sys/class/block.
    bcache: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Kind {
    /// A disk, a partition, or nothing any more.
    #[default]
    Plain,
    Md,
    /// An LVM volume of this device-mapper name.
    Volume(String),
    /// A dm-crypt mapping of this name.
    Crypt(String),
    /// Another device-mapper device of this name.
    Mapper(String),
    /// A loop device.
    Loop,
    /// A device of bcache, which goes with the disk that it shows.
    Bcache,
    /// Something on another device that is none of these.
    Unknown,
}

/// One thing to take down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Unmount this folder.
    Unmount(String),
    /// Stop swapping to this device or file.
    SwapOff(String),
    /// Close this dm-crypt mapping.
    Close(String),
    /// Remove this device-mapper device: an LVM volume, or anything else of the kind. LVM itself is not asked: a group of which a
    /// member is missing, or of whose name there are two, is none to it.
    Remove(String),
    /// Let go of this loop device.
    Detach(String),
    /// Stop this array, or container of arrays.
    Stop(String),
    /// Have bcache let go of what this folder below /sys/class/block stands for.
    LetGo(String),
}

impl Action {
    /// What is in use by this system, where the action would end that.
    pub fn in_use(&self) -> Option<&str> {
        match self {
            Self::Unmount(what) | Self::SwapOff(what) => Some(what),
            _ => None,
        }
    }
}

/// Why nothing may be taken down.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stays {
    /// It is on other disks too.
    #[error("{what} also uses {}, which is not to be installed on", others.join(", "))]
    Spans {
        /// Such as `the array md127` or `the volume group old`.
        what: String,
        /// Disks that were not selected.
        others: Vec<String>,
    },
    /// Nobody here knows how to take it down.
    #[error("{what} stands on {}, and nothing here knows how to take it down", on.join(", "))]
    Unknown {
        /// Kernel name.
        what: String,
        /// Disks that it is on.
        on: Vec<String>,
    },
}

/// Why something was not taken down.
#[derive(Debug, thiserror::Error)]
pub enum TakeDownError {
    /// A program's.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The kernel refuses.
    #[error("cannot write to {}", path.display())]
    Refused {
        /// Where it was told.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The kernel does not come to an end with it.
    #[error("{} is still there after {} s", path.display(), LET_GO_PATIENCE.as_secs())]
    Lingers {
        /// What should be gone.
        path: PathBuf,
    },
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
/// Block devices by kernel name.
const SYS_BLOCK: &str = "/sys/class/block";
/// How long bcache may take to write back what it holds and let go.
const LET_GO_PATIENCE: Duration = Duration::from_secs(60);

/// Everything the kernel has stacked.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: BTreeMap<String, Node>,
    /// Kernel names by device node.
    by_path: BTreeMap<String, String>,
}

impl Graph {
    /// Reads the machine.
    ///
    /// # Errors
    /// /sys or /proc cannot be read.
    pub fn read() -> io::Result<Self> {
        let swaps = fs::read_to_string("/proc/swaps")?;
        Self::read_from(Path::new(SYS_BLOCK), &fs::read_to_string("/proc/self/mounts")?, &swaps)
    }

    /// As [`Graph::read`], from a copy of /sys/class/block and the texts of /proc/self/mounts and /proc/swaps.
    ///
    /// # Errors
    /// `sys` cannot be read.
    pub fn read_from(sys: &Path, mounts: &str, swaps: &str) -> io::Result<Self> {
        let mut graph = Self::default();
        let mut loops = Vec::new();
        let mut members = Vec::new();
        for entry in fs::read_dir(sys)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A copy of /sys may hold folders where the kernel has links: both are followed.
            let folder = match fs::canonicalize(entry.path()) {
                // An array that was being stopped is gone by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                folder => folder?,
            };
            graph.by_path.insert(format!("/dev/{name}"), name.clone());
            if let Some(mapper) = line(&folder.join("dm/name")) {
                graph.by_path.insert(format!("/dev/mapper/{mapper}"), name.clone());
            }
            for holder in names(&folder.join("holders")) {
                graph.stands(&holder, &name);
            }
            let disk = folder.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
            if let Some(disk) = disk.filter(|_| folder.join("partition").exists()) {
                graph.stands(&name, &disk);
            }
            loops.extend(line(&folder.join(BACKING)).map(|backing| (name.clone(), backing)));
            members.extend(container(&folder).map(|container| (name.clone(), container)));
            let node = graph.nodes.entry(name.clone()).or_default();
            node.kind = kind(&folder, &name);
            node.bcache = registered(&folder, &name);
        }
        // An array in a container (IMSM, DDF) has the container's disks, and must go before it.
        for (member, container) in members {
            graph.stands(&member, &container);
        }
        // A loop device is no holder of what it shows; what shows a file has no device below it.
        for (name, backing) in loops {
            if let Some(below) = graph.by_path.get(&backing).cloned() {
                graph.stands(&name, &below);
            }
        }
        let unknown = |name: &str, node: &Node| {
            node.kind == Kind::Plain && !node.below.is_empty() && !sys.join(name).join("partition").exists()
        };
        for (name, node) in &mut graph.nodes {
            if unknown(name, node) {
                node.kind = Kind::Unknown;
            }
        }
        graph.note_users(mounts, swaps);
        Ok(graph)
    }

    /// `above` stands on `below`.
    fn stands(&mut self, above: &str, below: &str) {
        self.nodes.entry(above.to_owned()).or_default().below.insert(below.to_owned());
        self.nodes.entry(below.to_owned()).or_default().above.insert(above.to_owned());
    }

    /// What is mounted and swapped to.
    fn note_users(&mut self, mounts: &str, swaps: &str) {
        let mut points: Vec<(String, String)> = Vec::new();
        for mount in parse_mounts(mounts) {
            // bcachefs names all its devices, with colons between them.
            for source in mount.source.split(':') {
                let Some(name) = self.by_path.get(source).cloned() else { continue };
                points.push((mount.point.clone(), name.clone()));
                self.nodes.entry(name).or_default().mounts.push(mount.point.clone());
            }
        }
        for source in swaps.lines().skip(1).filter_map(|l| l.split_whitespace().next()) {
            // A file is on what is mounted nearest above it.
            let below = |point: &str| Path::new(source).starts_with(point);
            let file_system = || points.iter().filter(|(p, _)| below(p)).max_by_key(|(p, _)| p.len()).map(|(_, n)| n);
            if let Some(name) = self.by_path.get(source).or_else(file_system).cloned() {
                self.nodes.entry(name).or_default().swaps.push(source.to_owned());
            }
        }
    }

    /// What to take down, in order, so that nothing stands on `disks` (kernel names) any more. `groups` are all physical volumes
    /// of the machine.
    ///
    /// # Errors
    /// [`Stays`]: something stands on one of the disks and on another disk as well, or cannot be taken down.
    pub fn teardown(&self, disks: &[String], groups: &[lvm::Physical]) -> Result<Vec<Action>, Stays> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for disk in disks {
            self.visit(disk, &mut seen, &mut order);
        }
        for name in &order {
            let bases = self.bases(name);
            let others: Vec<_> = bases.iter().filter(|b| !disks.contains(b)).cloned().collect();
            if !others.is_empty() {
                return Err(Stays::Spans { what: self.words(name), others });
            }
            if self.nodes.get(name).is_some_and(|node| node.kind == Kind::Unknown) {
                return Err(Stays::Unknown { what: name.clone(), on: bases.into_iter().collect() });
            }
        }
        for group in groups.iter().filter(|p| !p.group.is_empty() && self.is_on(&p.device, disks)) {
            let members = groups.iter().filter(|p| p.group_id == group.group_id);
            // What is lost stands on no disk of this machine.
            let others: BTreeSet<_> = members
                .filter(|p| p.device != LOST && !self.is_on(&p.device, disks))
                .map(|p| p.device.clone())
                .collect();
            if !others.is_empty() {
                let what = format!("the volume group {}", group.group);
                return Err(Stays::Spans { what, others: others.into_iter().collect() });
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
        for (name, node) in &self.nodes {
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
        let nodes = || order.iter().filter_map(|name| self.nodes.get(name).map(|node| (name, node)));
        // A file that is swapped to is on something that is mounted.
        let mut actions: Vec<Action> =
            nodes().flat_map(|(_, n)| n.swaps.iter().cloned().map(Action::SwapOff)).collect();
        let mut points: Vec<&String> = nodes().flat_map(|(_, node)| &node.mounts).collect();
        // What is mounted below another mount point has the longer path.
        points.sort_by_key(|p| std::cmp::Reverse(p.len()));
        actions.extend(points.into_iter().cloned().map(Action::Unmount));
        for (name, node) in nodes() {
            match &node.kind {
                Kind::Md => actions.push(Action::Stop(format!("/dev/{name}"))),
                Kind::Volume(mapping) | Kind::Mapper(mapping) => actions.push(Action::Remove(mapping.clone())),
                Kind::Crypt(mapping) => actions.push(Action::Close(mapping.clone())),
                Kind::Loop => actions.push(Action::Detach(format!("/dev/{name}"))),
                Kind::Bcache => actions.push(Action::LetGo(format!("{name}/bcache"))),
                Kind::Plain | Kind::Unknown => {}
            }
            // While a device of bcache shows it, that is stopped, and this seen to the next time: it goes by itself, or stays.
            let shown = node.above.iter().any(|n| self.nodes.get(n).is_some_and(|n| n.kind == Kind::Bcache));
            actions.extend(node.bcache.iter().filter(|_| !shown).cloned().map(Action::LetGo));
        }
        actions
    }

    /// Depth first, so that whatever stands on a device comes before it.
    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        if let Some(node) = self.nodes.get(name) {
            for above in &node.above {
                self.visit(above, seen, order);
            }
        }
        order.push(name.to_owned());
    }

    /// The disks a device stands on in the end.
    fn bases(&self, name: &str) -> BTreeSet<String> {
        match self.nodes.get(name) {
            Some(node) if !node.below.is_empty() => node.below.iter().flat_map(|b| self.bases(b)).collect(),
            _ => BTreeSet::from([name.to_owned()]),
        }
    }

    fn is_on(&self, device: &str, disks: &[String]) -> bool {
        // LVM may know a device by one of its links.
        let linked = || Some(fs::canonicalize(device).ok()?.file_name()?.to_string_lossy().into_owned());
        let name = self.by_path.get(device).cloned().or_else(linked);
        name.is_some_and(|name| self.nodes.contains_key(&name) && self.bases(&name).iter().all(|b| disks.contains(b)))
    }

    fn words(&self, name: &str) -> String {
        match self.nodes.get(name).map(|n| &n.kind) {
            Some(Kind::Md) => format!("the array {name}"),
            Some(Kind::Volume(mapping)) => format!("the volume group {}", group_of(mapping)),
            Some(Kind::Crypt(mapping) | Kind::Mapper(mapping)) => format!("the mapping {mapping}"),
            _ => format!("the device {name}"),
        }
    }
}

fn kind(folder: &Path, name: &str) -> Kind {
    if folder.join(BACKING).exists() {
        return Kind::Loop;
    }
    if folder.join("md").is_dir() {
        // The folder md/ of a stopped array may linger with the state `clear`.
        return if line(&folder.join("md/array_state")).as_deref() == Some("clear") { Kind::Plain } else { Kind::Md };
    }
    if name.starts_with("bcache") && folder.join("bcache").exists() {
        return Kind::Bcache;
    }
    let (Some(name), uuid) = (line(&folder.join("dm/name")), line(&folder.join("dm/uuid")).unwrap_or_default()) else {
        return Kind::Plain;
    };
    if uuid.starts_with("LVM-") {
        return Kind::Volume(name);
    }
    if uuid.starts_with("CRYPT-") { Kind::Crypt(name) } else { Kind::Mapper(name) }
}

/// The container that an array is in: `external:/md127/0`, or with `-` where it is read-only (Documentation/admin-guide/md.rst).
fn container(folder: &Path) -> Option<String> {
    let version = line(&folder.join("md/metadata_version"))?;
    let path = version.strip_prefix("external:")?.strip_prefix(['/', '-'])?;
    path.split('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Where bcache is told to let go of a disk or partition: of one that is cached, or of the set that one belongs to which caches.
fn registered(folder: &Path, name: &str) -> Option<String> {
    if name.starts_with("bcache") || !folder.join("bcache").exists() {
        return None;
    }
    Some(if folder.join("bcache/set").exists() { format!("{name}/bcache/set") } else { format!("{name}/bcache") })
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
/// [`TakeDownError`].
pub fn carry_out(runner: &dyn Runner, action: &Action) -> Result<(), TakeDownError> {
    match action {
        Action::Unmount(point) => mount::unmount(runner, point)?,
        Action::SwapOff(device) => runner.run(&Cmd::new("swapoff", [device])).map(drop)?,
        Action::Close(mapping) => cryptsetup::close(runner, mapping)?,
        Action::Remove(mapping) => runner.run(&Cmd::new("dmsetup", ["remove", "--retry", mapping])).map(drop)?,
        Action::Detach(device) => loops::detach(runner, device)?,
        Action::Stop(device) => mdadm::stop(runner, device)?,
        Action::LetGo(folder) => let_go(&Path::new(SYS_BLOCK).join(folder), LET_GO_PATIENCE)?,
    }
    Ok(())
}

/// Tells bcache to stop what a folder of /sys stands for, and waits until it is gone.
fn let_go(folder: &Path, patience: Duration) -> Result<(), TakeDownError> {
    let path = folder.join("stop");
    fs::write(&path, "1").map_err(|source| TakeDownError::Refused { path, source })?;
    let deadline = Instant::now() + patience;
    while folder.exists() {
        if Instant::now() >= deadline {
            return Err(TakeDownError::Lingers { path: folder.to_owned() });
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
#[path = "holders_tests.rs"]
mod tests;
