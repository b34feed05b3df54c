//! A whole disk, and the signatures on it.

use serde::{Deserialize, Serialize};

use super::{Class, Health, Owner};
use crate::bytes::Bytes;
use crate::erase::SelfErase;

/// A whole disk. Each flag is a fact of its own that the kernel tells; they combine freely.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Kernel name such as `nvme0n1`. It may change at any boot: never an identity.
    pub kernel_name: String,
    /// Model, trimmed; empty where unknown.
    pub model: String,
    /// Serial number, trimmed.
    pub serial: Option<String>,
    /// World wide name (`naa.`, `eui.` or `0x...` as udev has it), lower case.
    pub wwn: Option<String>,
    /// Length.
    pub size: Bytes,
    /// Logical sector size in bytes, 512 or 4096.
    pub logical_sector: u32,
    /// Physical sector size in bytes.
    pub physical_sector: u32,
    /// What it is attached by.
    pub transport: Transport,
    /// Whether it spins.
    pub rotational: bool,
    /// The kernel's removable flag (card readers, most USB sticks, CD drives).
    pub removable: bool,
    /// The kernel refuses writes.
    pub read_only: bool,
    /// It carries the system that is running now (the installation medium), or the answer medium.
    pub boot_medium: bool,
    /// Mount points and `[SWAP]` of anything on it that is in use by the running system; empty is free.
    pub in_use: Vec<String>,
    /// What is on the whole disk and its partitions; `None` where that could not be found out: the disk cannot be read, or the
    /// probe was not run by root. That is not an empty disk.
    pub contents: Option<Vec<Content>>,
    /// Used entries, of four, of its master boot record, where it has one that is not the protective one of a GPT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mbr_partitions: Option<u32>,
    /// Version of its firmware, trimmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// What it is beyond what it is attached by.
    #[serde(default, skip_serializing_if = "Class::is_ordinary")]
    pub class: Class,
    /// What it says of its own state; `None` where it was not asked or does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What its contents belong to, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub belongs: Vec<Owner>,
    /// How it erases itself, or why it cannot; `None` where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_erase: Option<SelfErase>,
}

/// What a disk is attached by, as lsblk's TRAN has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// NVM Express.
    Nvme,
    /// Serial (or parallel) ATA.
    Sata,
    /// Serial attached SCSI.
    Sas,
    /// USB, virtual media of most BMCs too.
    Usb,
    /// virtio-blk or virtio-scsi.
    Virtio,
    /// SD card, eMMC.
    Mmc,
    /// Fibre channel, iSCSI.
    Network,
    /// A SCSI disk of a controller that does not tell, such as a hardware RAID volume.
    Scsi,
    /// Anything else.
    Other,
}

/// A signature found on a disk or partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Partition number, or `None` for the whole disk.
    pub partition: Option<u32>,
    /// blkid's type: `gpt`, `dos`, `linux_raid_member`, `crypto_LUKS`, `LVM2_member`, `ext4`, `iso9660` ...
    pub kind: String,
    /// Offset of the magic in bytes from the start of the device it is on.
    pub offset: Bytes,
    /// UUID, where it has one.
    pub uuid: Option<String>,
    /// Label or name, where it has one.
    pub label: Option<String>,
}

impl Disk {
    /// The same disk, its serial and WWN as the probe writes them: trimmed, the WWN in lower case, nothing where they are blank.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let id = |id: &Option<String>| id.as_deref().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
        Self { serial: id(&self.serial), wwn: id(&self.wwn).map(|wwn| wwn.to_lowercase()), ..self.clone() }
    }

    /// The device node, `/dev/nvme0n1`.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.kernel_name)
    }

    /// Words for its master boot record, where it has one of its own: `MBR, 2 partitions`.
    pub fn mbr(&self) -> Option<String> {
        self.mbr_partitions.map(|n| format!("MBR, {n} partition{}", if n == 1 { "" } else { "s" }))
    }

    /// The node of partition `number`: `/dev/nvme0n1p3`, `/dev/sda3`.
    pub fn partition_path(&self, number: u32) -> String {
        partition_path(&self.path(), number)
    }
}

impl Content {
    /// Whether it is the partition table of the whole disk, an MBR (libblkid calls it `dos`).
    pub fn is_mbr(&self) -> bool {
        self.partition.is_none() && self.kind == "dos"
    }
}

/// The node of a disk's partition: the kernel puts a `p` between a name that ends in a digit and the number
/// (`disk_name()` in block/partitions/core.c).
pub fn partition_path(disk: &str, number: u32) -> String {
    let p = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{p}{number}")
}
