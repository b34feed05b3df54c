//! The plan as a tree of text: what the review screen, the dry run and the log print.

use crate::bytes::{Bytes, GIB, MIB};
use crate::inventory::Firmware;
use crate::plan::{
    Array, Base, Container, DiskId, Guests, Member, PartitionRole, Plan, PlannedDisk, Pool, RaidLevel, VolumeGroup,
    pool_name, transport_name,
};
use crate::site::{BridgeKind, Redundancy};
use crate::text::is_unseen;

mod guests;

/// What characters a text may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// Box drawing characters.
    #[default]
    Unicode,
    /// ASCII alone, for serial consoles and logs.
    Ascii,
}

/// A line and what hangs below it.
struct Node {
    text: String,
    below: Vec<Node>,
}

impl Node {
    fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }

    fn branch(text: impl Into<String>, below: Vec<Self>) -> Self {
        Self { text: text.into(), below }
    }

    fn print(&self, prefix: &str, last: bool, charset: Charset, out: &mut String) {
        let (tee, corner, bar) = match charset {
            Charset::Unicode => ("├─ ", "└─ ", "│  "),
            Charset::Ascii => ("|- ", "`- ", "|  "),
        };
        out.push_str(prefix);
        out.push_str(if last { corner } else { tee });
        out.push_str(&self.text.replace('\n', "?"));
        out.push('\n');
        let prefix = format!("{prefix}{}", if last { "   " } else { bar });
        print_all(&self.below, &prefix, charset, out);
    }
}

fn print_all(nodes: &[Node], prefix: &str, charset: Charset, out: &mut String) {
    for (i, node) in nodes.iter().enumerate() {
        node.print(prefix, i + 1 == nodes.len(), charset, out);
    }
}

impl Plan {
    /// [`Plan::tree_in`] box drawing characters.
    pub fn tree(&self) -> String {
        self.tree_in(Charset::Unicode)
    }

    /// The whole plan as text. What will be destroyed is marked with `!`; each size stands in words and in bytes. Free text of
    /// the site file and of the disks (names, models, labels) stands as it is, except control characters, which become `?`.
    pub fn tree_in(&self, charset: Charset) -> String {
        let firmware = match self.firmware {
            Firmware::Bios => "BIOS",
            Firmware::Uefi { secure_boot: Some(true) } => "UEFI with Secure Boot",
            Firmware::Uefi { .. } => "UEFI",
        };
        let mut out = format!("plan for {} ({}), booted by {firmware}\n", self.site.site.name, self.site.site.fqdn);
        let mut nodes = vec![
            self.network_node(),
            Node::leaf(format!(
                "memory: {} for the host, at most {} for guests",
                size(self.host.memory),
                size(self.host.guests)
            )),
            Node::branch("disks, everything on them will be destroyed", self.disk_nodes()),
            Node::branch("arrays", self.array_nodes()),
            Node::branch("encryption", self.encryption_nodes()),
            Node::branch("volume groups", self.volume_groups.iter().map(group_node).collect()),
        ];
        let memory = self.memory_encryption.as_ref();
        nodes.extend(memory.map(|planned| Node::leaf(format!("memory encryption: {}", planned.describe()))));
        nodes.extend(self.guests.as_ref().map(Guests::node));
        if !self.warnings.is_empty() {
            nodes.push(Node::branch("warnings", self.warnings.iter().map(Node::leaf).collect()));
        }
        nodes.push(Node::leaf(format!("hash {}", self.hash())));
        print_all(&nodes, "", charset, &mut out);
        printable(&out, charset)
    }

    fn network_node(&self) -> Node {
        let kind = match self.site.network.bridge {
            BridgeKind::Linux => "Linux bridges",
            BridgeKind::OpenVswitch => "Open vSwitch",
        };
        let uplink = self.nics.first().map_or("no interface", |nic| nic.name.as_str());
        let mut below = vec![Node::leaf(format!("{kind}: vmbr0 public by {uplink}, vmbr1 internal without uplink"))];
        below.extend(self.nics.iter().map(|nic| Node::leaf(format!("{} is {}", nic.name, nic.mac))));
        let by = match &self.nic {
            Some(nic) => format!("network by {} ({})", nic.name, nic.mac),
            None => "network: no interface".to_owned(),
        };
        Node::branch(by, below)
    }

    /// Every array, and every pool that has none.
    fn array_nodes(&self) -> Vec<Node> {
        let arrays = self.arrays.iter().map(|array| self.array_node(array));
        let without = Pool::ALL.into_iter().filter_map(|pool| {
            let what = match self.redundancy(pool)? {
                Redundancy::Array => return None,
                Redundancy::Hardware => "none, one volume of a RAID controller",
                Redundancy::None => "none, UNSAFE: when its disk fails, everything on it is lost",
            };
            Some(Node::leaf(format!("{}: {what}", pool_name(pool))))
        });
        arrays.chain(without).collect()
    }

    fn disk_nodes(&self) -> Vec<Node> {
        let mut nodes: Vec<_> = self.disks.iter().map(|disk| self.disk_node(disk)).collect();
        let silent: Vec<String> =
            self.disks.iter().filter(|disk| disk.health.is_none()).map(|disk| self.id_text(&disk.id)).collect();
        if !silent.is_empty() {
            nodes.push(Node::leaf(format!("health is not known: {}", silent.join("; "))));
        }
        nodes
    }

    fn disk_node(&self, disk: &PlannedDisk) -> Node {
        let pool = match disk.pool {
            Pool::Ssd => "SSD pool",
            Pool::Hdd => "HDD pool",
        };
        let mut below = vec![Node::leaf(format!(
            "{}, {}, {}, logical sector {}",
            if disk.model.is_empty() { "unknown model" } else { &disk.model },
            self.id_text(&disk.id),
            transport_name(disk.transport),
            disk.logical_sector
        ))];
        below.extend(disk.raid_volume.as_deref().map(Node::leaf));
        below.extend(disk.health.iter().map(|health| Node::leaf(health.to_string())));
        if disk.destroys.is_empty() {
            below.push(Node::leaf("nothing was found on it"));
        }
        below.extend(disk.destroys.iter().map(|what| Node::leaf(format!("! destroys {what}"))));
        below.extend(disk.self_erase.iter().map(|how| Node::leaf(format!("! erases itself: {how}"))));
        below.extend(disk.partitions.iter().map(|partition| {
            let role = match partition.role {
                PartitionRole::BiosBoot => "BIOS boot",
                PartitionRole::Esp => "EFI system partition",
                PartitionRole::BootMember => "member of boot",
                PartitionRole::Boot => "/boot",
                PartitionRole::SsdMember => "member of ssd",
                PartitionRole::SsdContainer => "luks-ssd",
                PartitionRole::HddMember => "member of hdd",
                PartitionRole::HddContainer => "luks-hdd",
            };
            Node::leaf(format!("partition {}: {role}, {}", partition.number, size(partition.size)))
        }));
        Node::branch(format!("! {} for the {pool}, {}", disk.kernel_name, size(disk.id.size)), below)
    }

    /// What a disk is known by: more than its serial number where another disk of the plan has the same.
    fn id_text(&self, id: &DiskId) -> String {
        let alone = self.disks.iter().filter(|disk| disk.id.serial == id.serial).count() < 2;
        match (&id.serial, &id.wwn) {
            (Some(serial), _) if alone => format!("serial {serial}"),
            (Some(serial), Some(wwn)) => format!("serial {serial}, WWN {wwn}"),
            (Some(serial), None) => format!("serial {serial}, {}", size(id.size)),
            (None, Some(wwn)) => format!("WWN {wwn}"),
            (None, None) => "no identity".to_owned(),
        }
    }

    fn array_node(&self, array: &Array) -> Node {
        let level = match array.level {
            RaidLevel::Raid1 => "RAID 1".to_owned(),
            RaidLevel::Raid10 { chunk } => format!("RAID 10, near layout, chunk {}", binary(chunk)),
        };
        let mut below = vec![Node::leaf(format!("data from {}", binary(array.data_offset)))];
        below.extend(array.members.iter().map(|m| Node::leaf(self.partition_text(m))));
        Node::branch(format!("{}: {level}, {}", array.name, size(array.size)), below)
    }

    fn partition_text(&self, member: &Member) -> String {
        match self.disks.get(member.disk) {
            Some(disk) => format!("partition {} of {}", member.partition, self.id_text(&disk.id)),
            None => format!("partition {} of disk {}", member.partition, member.disk),
        }
    }

    fn encryption_nodes(&self) -> Vec<Node> {
        let cost = self.argon2id;
        let mut nodes: Vec<_> = self.containers.iter().map(|container| self.container_node(container)).collect();
        nodes.push(Node::leaf(format!(
            "each guess of the passphrase costs {} ms, {} of memory, {} threads (argon2id)",
            cost.time_ms,
            binary(cost.memory),
            cost.parallel
        )));
        nodes
    }

    fn container_node(&self, container: &Container) -> Node {
        let mut below = vec![Node::leaf(format!(
            "sector {}, data from {}, discards {}, work queues {}",
            container.sector,
            binary(container.offset),
            if container.discard { "pass" } else { "do not pass" },
            if container.no_workqueue { "bypassed" } else { "used" }
        ))];
        below.push(Node::leaf(match &container.key_file {
            Some(path) => format!("opened by the passphrase, or by {path} on the encrypted root"),
            None => "opened by the passphrase".to_owned(),
        }));
        let base = match &container.base {
            Base::Array(name) => name.clone(),
            Base::Partition(member) => self.partition_text(member),
        };
        Node::branch(format!("{}: LUKS2 on {base}, {}", container.name, size(container.size)), below)
    }
}

fn group_node(group: &VolumeGroup) -> Node {
    let extents = |n: u64| format!("{} extents, {}", Bytes(n).exact(), size(Bytes(group.extent.0.saturating_mul(n))));
    let mut below: Vec<_> = group
        .volumes
        .iter()
        .map(|volume| Node::leaf(format!("volume {}: {}", volume.name, extents(volume.extents))))
        .collect();
    if let Some(pool) = &group.pool {
        below.push(Node::branch(
            format!("thin pool {}: {}", pool.name, extents(pool.extents)),
            vec![
                Node::leaf(format!("chunk {}", binary(pool.chunk))),
                Node::leaf(format!("metadata: {}", extents(pool.metadata_extents))),
                Node::leaf(format!("spare metadata: {}", extents(pool.metadata_extents))),
            ],
        ));
    }
    let free = if group.pool.is_some() { "reserve, unallocated" } else { "unallocated, for thick volumes" };
    if group.free_extents > 0 {
        below.push(Node::leaf(format!("{free}: {}", extents(group.free_extents))));
    }
    Node::branch(format!("{} on {}: {}", group.name, group.container, extents(group.extents)), below)
}

/// Control characters, except new lines, become `?`; in ASCII, all other characters too.
pub(super) fn printable(text: &str, charset: Charset) -> String {
    let good = |c: char| c == '\n' || !is_unseen(c) && (charset == Charset::Unicode || c.is_ascii());
    text.chars().map(|c| if good(c) { c } else { '?' }).collect()
}

/// `512 GB (512,110,190,592 bytes)`.
fn size(bytes: Bytes) -> String {
    format!("{bytes} ({} bytes)", bytes.exact())
}

/// What is a round number in binary: `129 MiB`, `512 KiB`.
fn binary(bytes: Bytes) -> String {
    if bytes.0 >= GIB && bytes.0.is_multiple_of(GIB) {
        format!("{} GiB", bytes.0 / GIB)
    } else if bytes.0 >= MIB && bytes.0.is_multiple_of(MIB) {
        format!("{} MiB", bytes.0 / MIB)
    } else {
        format!("{} KiB", bytes.0 / 1024)
    }
}
