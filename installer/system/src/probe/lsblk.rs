//! What `lsblk --json --bytes` prints: the tree of block devices.

use serde::Deserialize;

use super::ProbeError;

/// Kernel names of devices that lsblk calls disks but that nothing is installed on: RAM, floppies, and what stands on other
/// disks (md, device-mapper, DRBD, bcache, volumes of ZFS), and CD drives in case their type is not told.
const NOT_DISKS: [&str; 11] = ["zram", "ram", "loop", "fd", "sr", "md", "dm-", "drbd", "bcache", "mtdblock", "zd"];
/// Name of the EFI system partitions that this installer makes.
pub(super) const OUR_ESP: &str = "sovereign-esp";

/// A block device. Fields that lsblk does not know are `None`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    /// Kernel name, such as `nvme0n1p2` or `dm-0`.
    pub kname: String,
    /// Device node as people know it, such as /dev/mapper/pve-root.
    pub path: String,
    /// `disk`, `part`, `rom`, `loop`, `raid1`, `crypt`, `lvm`, `mpath` ...
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub wwn: Option<String>,
    /// Bytes.
    #[serde(rename = "log-sec")]
    pub log_sec: Option<u32>,
    /// Bytes.
    #[serde(rename = "phy-sec")]
    pub phy_sec: Option<u32>,
    pub tran: Option<String>,
    pub vendor: Option<String>,
    /// Version of the firmware.
    pub rev: Option<String>,
    /// A partition's type: a GUID, or `0x83` in an MBR.
    #[serde(rename = "parttype")]
    pub part_type: Option<String>,
    /// A partition's name (GPT).
    #[serde(rename = "partlabel")]
    pub part_label: Option<String>,
    #[serde(default)]
    pub rota: Option<bool>,
    #[serde(default)]
    pub rm: Option<bool>,
    #[serde(default)]
    pub ro: Option<bool>,
    pub label: Option<String>,
    /// lsblk prints `[null]` for a device that is not mounted.
    #[serde(default)]
    pub mountpoints: Vec<Option<String>>,
    #[serde(default)]
    pub children: Vec<Node>,
}

#[derive(Deserialize)]
struct Tree {
    blockdevices: Vec<Node>,
}

/// The devices at the top of the tree. A device that stands on several (an array) is repeated below each.
pub(super) fn parse(capture: &str, text: &str) -> Result<Vec<Node>, ProbeError> {
    let parse = |error: serde_json::Error| ProbeError::Parse { capture: capture.to_owned(), reason: error.to_string() };
    serde_json::from_str::<Tree>(text).map(|tree| tree.blockdevices).map_err(parse)
}

impl Node {
    /// Whether it is a whole disk that an inventory lists.
    pub fn is_disk(&self) -> bool {
        let listed = |prefix: &str| {
            self.kname.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        // An eMMC's boot and replay-protected areas are devices of their own (mmcblk0boot0, mmcblk0rpmb).
        let mmc_area = self.kname.starts_with("mmcblk") && (self.kname.contains("boot") || self.kname.contains("rpmb"));
        self.kind.as_deref() == Some("disk") && !NOT_DISKS.iter().any(|prefix| listed(prefix)) && !mmc_area
    }

    /// Whether it is a drive with nothing in it, such as a card reader without a card.
    pub fn is_without_medium(&self) -> bool {
        self.size == Some(0)
    }

    /// Whether it is the device that wipefs calls `name`: the last part of its node.
    pub fn is(&self, name: &str) -> bool {
        self.path.rsplit('/').next() == Some(name)
    }

    /// Its partitions.
    pub fn partitions(&self) -> impl Iterator<Item = &Node> {
        self.children.iter().filter(|child| child.kind.as_deref() == Some("part"))
    }

    /// The number of a partition of `disk`, from its name (`disk_name()` in the kernel's block/partitions/core.c).
    pub fn partition_number(&self, disk: &Node) -> Option<u32> {
        let rest = self.kname.strip_prefix(disk.kname.as_str())?;
        rest.strip_prefix('p').unwrap_or(rest).parse().ok()
    }

    /// It and everything that stands on it.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }
}
