//! The plan: what will be done, to the byte. A pure function of site and inventory; it names no UUIDs, which are drawn when
//! the installation starts.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::erase::SelfErase;
use crate::inventory::{Firmware, Health, Nic, Transport};
use crate::memory_encryption;
use crate::site::Site;

mod differ;
mod erase;
pub mod guests;
mod hash;
mod health;
mod identity;
pub mod make;
mod node;
mod pool;
mod redundancy;
mod refusal;
mod select;
mod topology;
mod tree;

pub use guests::{Addressing, Guest, GuestVolume, Guests, Interface, VolumeContent};
pub use hash::{NotAHash, PlanHash};
pub use health::Fault;
pub use identity::Twin;
pub use make::{make, preview};
pub use node::{HostShare, PinnedNic};
pub use pool::HDD_KEY_FILE;
pub use refusal::{NoPlan, Reason};
pub use select::{Rejection, Verdict, judge, transport_name};
pub use tree::Charset;

/// Everything a person must agree to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this structure; 1.
    pub schema: u32,
    /// What was asked for. It holds no secret.
    pub site: Site,
    /// How the machine was booted; the target is made bootable for BIOS and UEFI alike wherever possible.
    pub firmware: Firmware,
    /// The interface that carries the management address.
    pub nic: Option<Nic>,
    /// The names that all interfaces get, the management interface's first.
    pub nics: Vec<PinnedNic>,
    /// How the memory is shared.
    pub host: HostShare,
    /// Whether the memory is encrypted, and what the target does for it; `None` where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_encryption: Option<memory_encryption::Planned>,
    /// Disks that are written, the SSD pool's first, each pool in the order of serial numbers.
    pub disks: Vec<PlannedDisk>,
    /// Arrays, in the order they are made: `boot`, `ssd`, `hdd`. Pools of one disk have none.
    pub arrays: Vec<Array>,
    /// LUKS2 containers: `luks-ssd`, `luks-hdd`.
    pub containers: Vec<Container>,
    /// Volume groups: `pve`, `bulk`.
    pub volume_groups: Vec<VolumeGroup>,
    /// Templates and virtual machines; `None` where the site asks for none.
    #[serde(default)]
    pub guests: Option<Guests>,
    /// Key derivation of the passphrase's slots.
    pub argon2id: Argon2idCost,
    /// Things a person should know and may accept: waste, sectors, health.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The machine's name in Proxmox VE: the first label of its full name.
    pub fn node(&self) -> &str {
        let fqdn = &self.site.site.fqdn;
        fqdn.split('.').next().unwrap_or(fqdn)
    }
}

/// A pool of equal disks, or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// The bootable pool.
    Ssd,
    /// The bulk pool.
    Hdd,
}

impl Pool {
    /// Both, in the order of a plan.
    pub const ALL: [Self; 2] = [Self::Ssd, Self::Hdd];
}

/// The pool's name in the site file: `storage.NAME`.
pub const fn pool_name(pool: Pool) -> &'static str {
    match pool {
        Pool::Ssd => "ssd",
        Pool::Hdd => "hdd",
    }
}

/// Who a disk is: never its kernel name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskId {
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name.
    pub wwn: Option<String>,
    /// Length.
    pub size: Bytes,
}

/// A disk that will be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedDisk {
    /// Who it is.
    pub id: DiskId,
    /// Kernel name when the plan was made; not part of the hash. Right before the first write the machine is probed and planned
    /// again, and the new plan, of the same hash, takes this one's place with the names of that moment.
    pub kernel_name: String,
    /// Model, for people.
    pub model: String,
    /// What it is attached by.
    pub transport: Transport,
    /// Which pool it is for.
    pub pool: Pool,
    /// Logical sector size in bytes.
    pub logical_sector: u32,
    /// What it is, in words, where it is a volume of a known RAID controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raid_volume: Option<String>,
    /// Partitions, in order.
    pub partitions: Vec<Partition>,
    /// What is on it now and will be destroyed, in words; part of the hash.
    pub destroys: Vec<String>,
    /// How it erases itself first; only where the site asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_erase: Option<SelfErase>,
    /// What it says of its own state; `None` where it does not tell. Not part of the hash: temperature and hours change from one look to
    /// the next. What is wrong with it is, as a refusal or a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// What it is for; decides type GUID and name.
    pub role: PartitionRole,
    /// Offset from the start of the disk.
    pub start: Bytes,
    /// Length.
    pub size: Bytes,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionRole {
    /// GRUB's core image for BIOS.
    BiosBoot,
    /// EFI system partition, FAT32, one for each disk and never part of an array.
    Esp,
    /// Member of the array `boot`.
    BootMember,
    /// /boot itself, where the pool is one disk.
    Boot,
    /// Member of the array `ssd`.
    SsdMember,
    /// The container `luks-ssd` itself, where the pool is one disk.
    SsdContainer,
    /// Member of the array `hdd`.
    HddMember,
    /// The container `luks-hdd` itself, where the pool is one disk.
    HddContainer,
}

/// An md array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// `boot`, `ssd` or `hdd`; the device is /dev/md/NAME.
    pub name: String,
    /// Level.
    pub level: RaidLevel,
    /// Its members.
    pub members: Vec<Member>,
    /// Where data starts on each member, chosen by mdadm; checked after creation.
    pub data_offset: Bytes,
    /// Length of the array's device.
    pub size: Bytes,
}

/// RAID level with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RaidLevel {
    /// Mirror.
    Raid1,
    /// Striped mirrors, near layout with two copies.
    Raid10 {
        /// Chunk.
        chunk: Bytes,
    },
}

/// A partition, as a member of an array or by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Index into [`Plan::disks`].
    pub disk: usize,
    /// Partition number on it.
    pub partition: u32,
}

/// What a container stands on: `"array": NAME` or `"partition": {..}` in its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// The whole array of this name.
    Array(String),
    /// A whole partition of the pool's only disk.
    Partition(Member),
}

/// A LUKS2 container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Name of the mapping and LUKS label: `luks-ssd`, `luks-hdd`.
    pub name: String,
    /// What it stands on.
    #[serde(flatten)]
    pub base: Base,
    /// Encryption sector size in bytes.
    pub sector: u32,
    /// Where data starts.
    pub offset: Bytes,
    /// Length of the opened container.
    pub size: Bytes,
    /// Whether discards pass.
    pub discard: bool,
    /// Whether the read and write work queues are bypassed (NVMe).
    pub no_workqueue: bool,
    /// Path on the target of a key file that opens it too, beside the passphrase.
    pub key_file: Option<String>,
}

/// A volume group on a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeGroup {
    /// `pve` or `bulk`.
    pub name: String,
    /// Name of the container it is on.
    pub container: String,
    /// Extent size.
    pub extent: Bytes,
    /// Extents in all.
    pub extents: u64,
    /// Thick volumes.
    pub volumes: Vec<Volume>,
    /// The thin pool.
    pub pool: Option<ThinPool>,
    /// Extents that stay unallocated.
    pub free_extents: u64,
}

/// A thick logical volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Extents.
    pub extents: u64,
}

/// A thin pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinPool {
    /// `data`.
    pub name: String,
    /// Extents of data.
    pub extents: u64,
    /// Chunk.
    pub chunk: Bytes,
    /// Extents of metadata; the spare (`lvol0_pmspare`) takes as many again.
    pub metadata_extents: u64,
}

/// argon2id parameters of the passphrase's key slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argon2idCost {
    /// Memory of one guess.
    pub memory: Bytes,
    /// Milliseconds of one guess on this machine.
    pub time_ms: u32,
    /// Threads.
    pub parallel: u32,
}
