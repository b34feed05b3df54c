//! Roles of virtual machines, as data: `overlays/guest/ROLE/role.toml`. Types here; reading with line-exact errors in [`parse`],
//! what holds between roles in [`catalogue`]. One more role is one more folder.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

mod amount;
pub mod catalogue;
pub mod parse;
mod port;
mod words;

pub use amount::{Amount, Capacity, Growth, Vcpus, Weight};
pub use catalogue::{
    Catalogue, CatalogueError, NATIVE_FILE, NATIVES_FOLDER, ROLE_FILE, TEMPLATES_FOLDER, WORKLOAD_FILE,
    WORKLOADS_FOLDER,
};
pub use parse::RoleError;
pub use port::{Port, PortRange, Protocol, Source};
pub use words::{Mount, Name, Package, Tag, Text, Unit};

/// The lowest number of a guest in Proxmox VE.
const VMID_MIN: u32 = 100;
/// The highest number of a guest in Proxmox VE.
const VMID_MAX: u32 = 999_999_999;

/// What a virtual machine is for. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name: the folder, the host name of the machine, and what the site file calls it.
    pub name: Name,
    /// A few words.
    pub title: Text,
    /// A sentence, for the notes in Proxmox VE.
    pub description: Text,
    /// Version of the role; it changes when what is in the template changes.
    pub version: Text,
    /// Number of the template.
    pub template: Vmid,
    /// Number of the machine that is cloned from it.
    pub machine: Vmid,
    /// Tags in Proxmox VE.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Networks, in the order of the machine's interfaces; one at least, each once.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<Network>,
    /// Systemd units that must be active once the machine is up.
    #[serde(default)]
    pub units: Vec<Unit>,
    /// Names of the container workloads.
    #[serde(default)]
    pub workloads: Vec<Name>,
    /// When the host starts and stops the machine.
    pub startup: Startup,
    /// Debian packages beside those of the guests' base, each with its reason.
    #[serde(default)]
    pub packages: BTreeMap<Package, Text>,
    /// What the firewall lets in; nothing else comes in.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// What the machine's disks hold.
    pub volumes: Volumes,
    /// What the machine gets.
    pub capacity: Capacity,
}

/// Number of a guest: 100 to 999999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vmid(u32);

impl Vmid {
    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vmid {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        if (VMID_MIN..=VMID_MAX).contains(&number) {
            return Ok(Self(number));
        }
        Err(format!("{number} is no number of a guest: write {VMID_MIN} to {VMID_MAX}"))
    }
}

impl From<Vmid> for u32 {
    fn from(vmid: Vmid) -> Self {
        vmid.0
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A bridge of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// `vmbr0`, with the host's interface as its uplink.
    Public,
    /// `vmbr1`, without an uplink.
    Internal,
}

impl Network {
    /// The bridge's name.
    pub const fn bridge(self) -> &'static str {
        match self {
            Self::Public => "vmbr0",
            Self::Internal => "vmbr1",
        }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    let once = networks.iter().enumerate().all(|(at, network)| !networks[..at].contains(network));
    if networks.is_empty() || !once {
        return Err(de::Error::custom(
            "a machine has one interface on each of its networks: name one or more, each once",
        ));
    }
    Ok(networks)
}

/// When the host starts and stops a machine (`startup` of Proxmox VE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Startup {
    /// Machines start in ascending order and stop in descending order.
    pub order: u32,
    /// Seconds to wait after its start before the next one starts.
    pub up_s: u32,
    /// Seconds it may take to shut down.
    pub down_s: u32,
}

/// `[volumes]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volumes {
    /// The system, on the SSD pool.
    pub root: RootVolume,
    /// Data, on the HDD pool.
    #[serde(default)]
    pub data: Option<DataVolume>,
}

/// `[volumes.root]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootVolume {
    /// What it is formatted with.
    pub filesystem: Filesystem,
}

/// `[volumes.data]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataVolume {
    /// What it is formatted with.
    pub filesystem: Filesystem,
    /// Where it is mounted.
    pub mount: Mount,
    /// On a machine without HDDs: how much of the role's SSD figure this volume takes.
    pub without_hdd: Percent,
}

/// File system of a guest's volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "XFS",
        })
    }
}

/// Per cent, 1 to [`Percent::MOST`]: what is left must hold a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Percent(u64);

impl Percent {
    /// The most a data volume may take of a machine's SSD figure.
    pub const MOST: u64 = 75;

    /// Per cent.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Percent {
    type Error = String;

    fn try_from(percent: u64) -> Result<Self, Self::Error> {
        if (1..=Self::MOST).contains(&percent) {
            return Ok(Self(percent));
        }
        Err(format!("{percent} per cent are not possible: write 1 to {}, so that the system has room", Self::MOST))
    }
}

impl Role {
    /// Whether it has an interface on this network.
    pub fn is_on(&self, network: Network) -> bool {
        self.networks.contains(&network)
    }
}
