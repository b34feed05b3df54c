//! `site.toml`, the answer file: what is wanted. Types here; reading with line-exact errors in [`parse`].

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::inventory::Transport;

mod check;
mod draft;
mod erase;
pub mod error;
mod guests;
mod health;
mod memory_encryption;
pub mod parse;
mod redundancy;
mod schema;
pub mod size;
mod syntax;
mod workloads;

pub use draft::{Draft, Problem};
pub use erase::{Erase, EraseMode};
pub use error::{About, Fault, SiteError, SiteErrors};
pub use guests::{GuestRole, Guests};
pub use health::HealthPolicy;
pub use memory_encryption::{MemoryEncryption, MemoryEncryptionPolicy};
pub use redundancy::{HddRaid, Redundancy, SsdRaid};
pub use schema::schema;
pub use size::Size;
pub use workloads::{Tls, Workloads};

/// An answer file. Unknown keys are errors everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Who and where this machine is.
    pub site: Identity,
    /// The person in charge.
    pub admin: Admin,
    /// How the host is reached.
    pub network: Network,
    /// Which disks, and what is built on them.
    pub storage: Storage,
    /// Who can open the disks.
    pub encryption: Encryption,
    /// Whether the machine's memory must be encrypted.
    #[serde(default, skip_serializing_if = "MemoryEncryption::is_default")]
    pub memory_encryption: MemoryEncryption,
    /// How the disks are made to forget what was on them.
    #[serde(default, skip_serializing_if = "Erase::is_default")]
    pub erase: Erase,
    /// Consoles of the installed system.
    #[serde(default)]
    pub console: Console,
    /// What the host keeps for itself.
    #[serde(default)]
    pub host: Host,
    /// Where updates come from.
    #[serde(default)]
    pub updates: Updates,
    /// Whether this node is part of a Proxmox VE cluster.
    #[serde(default)]
    pub cluster: Cluster,
    /// The virtual machines of the appliance. Without the section there are none.
    #[serde(default)]
    pub guests: Option<Guests>,
    /// The services that the machines run. Without the section they are called by their own names and have certificates of the appliance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<Workloads>,
    /// What happens when all is done.
    #[serde(default)]
    pub finish: Finish,
}

impl Site {
    /// The site file again, complete with defaults and without the password hash: what the target keeps.
    ///
    /// # Errors
    /// None is known for the values a site file can hold; the serialiser's error otherwise.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Names of the files that must be on the answer medium beside the site file: secrets, one a file.
    pub fn answer_files(&self) -> Vec<&str> {
        let passphrase = self.encryption.file.as_ref().filter(|_| self.encryption.passphrase == PassphraseSource::File);
        [passphrase, self.updates.subscription_file.as_ref(), self.cluster.password_file.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }
}

/// `[site]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// A name people use for this installation, such as `berlin-1`.
    pub name: String,
    /// Fully qualified domain name of the host; its first label is the host name.
    pub fqdn: String,
    /// IANA time zone, such as `Europe/Berlin`.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// Keyboard layout of the console, as XKB names it, such as `de` or `us`.
    #[serde(default = "default_keyboard")]
    pub keyboard: String,
    /// Locale, such as `en_US.UTF-8` or `C.UTF-8`.
    #[serde(default = "default_locale")]
    pub locale: String,
}

/// `[admin]`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where the machine sends its mail.
    pub email: String,
    /// Public keys that may log in as root over SSH, one line each.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// root's password as a crypt(3) hash (`mkpasswd -m yescrypt`). Without one, root has no password. It is read, never written
    /// back: neither a plan nor the copy of the site file on the target holds it.
    #[serde(default, skip_serializing)]
    pub root_password_hash: Option<String>,
}

/// The password hash is not shown.
impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("email", &self.email)
            .field("ssh_keys", &self.ssh_keys)
            .field("root_password_hash", &self.root_password_hash.as_ref().map(|_| "***"))
            .finish()
    }
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// How the management address is had.
    pub mode: NetworkMode,
    /// The interface by its MAC address; exactly one of `mac` and `interface`, or neither where the machine has only one.
    #[serde(default)]
    pub mac: Option<String>,
    /// The interface by its name.
    #[serde(default)]
    pub interface: Option<String>,
    /// Management address with prefix length, such as `192.0.2.10/24`; `static` only.
    #[serde(default)]
    pub address: Option<String>,
    /// Default gateway; `static` only.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Name servers; `static` only.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Time servers, by name or address. Default: those of Debian's chrony.
    #[serde(default)]
    pub ntp: Vec<String>,
    /// What makes the bridges `vmbr0` (public, with the interface as uplink) and `vmbr1` (internal, without uplink).
    #[serde(default)]
    pub bridge: BridgeKind,
    /// The host's own address on `vmbr1` with prefix length. Default: none. Proxmox VE with `mode = "dhcp"` needs it: a node's name
    /// must stand for an address that stays.
    #[serde(default)]
    pub internal_address: Option<String>,
}

/// `network.bridge`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeKind {
    /// The kernel's bridge.
    #[default]
    Linux,
    /// Open vSwitch.
    OpenVswitch,
}

/// `network.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// Address, gateway and name servers are in the site file.
    Static,
    /// Asked for at each boot.
    Dhcp,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The bootable pool, volume group `pve`.
    #[serde(deserialize_with = "redundancy::ssd")]
    pub ssd: SsdPool,
    /// The bulk pool, volume group `bulk`. A machine without it is valid.
    #[serde(default, deserialize_with = "redundancy::hdd")]
    pub hdd: Option<HddPool>,
    /// Which disks are too bad to be used.
    #[serde(default, skip_serializing_if = "HealthPolicy::is_default")]
    pub health: HealthPolicy,
}

/// `[storage.ssd]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SsdPool {
    /// What keeps the data when a disk fails.
    pub raid: SsdRaid,
    /// Number of disks; exactly this many must match. Default: 2 for `raid1`, 1 for `hardware` and `none`.
    #[serde(default)]
    pub disks: Option<u32>,
    /// Which disks.
    #[serde(rename = "match")]
    pub matching: Match,
    /// Size of the host's root volume (thick). Default 40 GB.
    #[serde(default = "default_root")]
    pub root: Size,
    /// What of the volume group stays unallocated. Default: the larger of 22 GB and 4 %.
    #[serde(default)]
    pub reserve: Option<Size>,
    /// Whether guests' volumes come from a thin pool.
    #[serde(default)]
    pub volumes: Provisioning,
}

/// `[storage.hdd]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HddPool {
    /// What keeps the data when a disk fails.
    pub raid: HddRaid,
    /// Number of disks; exactly this many must match, an even number for `raid10`. Default: 4 for `raid10`, 1 for `hardware` and `none`.
    #[serde(default)]
    pub disks: Option<u32>,
    /// Which disks.
    #[serde(rename = "match")]
    pub matching: Match,
    /// What of the volume group stays unallocated. Default: nothing.
    #[serde(default)]
    pub reserve: Option<Size>,
    /// Whether guests' volumes come from a thin pool.
    #[serde(default)]
    pub volumes: Provisioning,
}

/// `volumes`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provisioning {
    /// A thin pool `data`.
    #[default]
    Thin,
    /// No pool: thick volumes, made as they are needed.
    Thick,
}

/// `match`: a disk fits when every key given fits. At least one key is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// What it is attached by.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// Whether it spins.
    #[serde(default)]
    pub rotational: Option<bool>,
    /// Smallest size.
    #[serde(default)]
    pub min_size: Option<Size>,
    /// Largest size.
    #[serde(default)]
    pub max_size: Option<Size>,
    /// Shell-style pattern for the model (`*`, `?`), case-insensitive.
    #[serde(default)]
    pub model: Option<String>,
    /// Serial numbers, each of which must be there.
    #[serde(default)]
    pub serials: Vec<String>,
    /// World wide names, each of which must be there.
    #[serde(default)]
    pub wwns: Vec<String>,
}

/// `[encryption]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// Where the passphrase comes from.
    pub passphrase: PassphraseSource,
    /// Name of the key file on the answer medium; `passphrase = "file"` only. It holds the passphrase on one line and nothing else.
    #[serde(default)]
    pub file: Option<String>,
    /// Cost of a guess.
    #[serde(default)]
    pub argon2id: Argon2id,
    /// Whether discards pass through the SSD container: they keep SSDs fast and show which blocks are in use. Default true.
    #[serde(default = "default_true")]
    pub discard: bool,
}

/// `encryption.passphrase`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PassphraseSource {
    /// Typed twice at the console.
    Prompt,
    /// A file on the answer medium.
    File,
}

/// `[encryption.argon2id]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Argon2id {
    /// Memory of one guess. Default: the smaller of 1 GiB and a quarter of the RAM, at least 64 MiB.
    #[serde(default)]
    pub memory: Option<Size>,
    /// Milliseconds one guess takes on this machine. Default 2000.
    #[serde(default = "default_argon2_time_ms")]
    pub time_ms: u32,
    /// Threads. Default: the smaller of 4 and the CPUs.
    #[serde(default)]
    pub parallel: Option<u32>,
}

impl Default for Argon2id {
    fn default() -> Self {
        Self { memory: None, time_ms: default_argon2_time_ms(), parallel: None }
    }
}

/// `[console]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Serial port of the installed system, such as `ttyS0`; its unlock prompt appears there. Default: the one the installer was booted with.
    #[serde(default)]
    pub serial: Option<String>,
    /// Baud rate of the serial port. Default: the one the installer was booted with on that port, or else 115200.
    #[serde(default)]
    pub baud: Option<u32>,
}

/// `[host]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// RAM fenced off for the host: virtual machines together never get it. Containers are not limited by it. Default 2 GB, but at most half
    /// of the RAM.
    #[serde(default = "default_host_memory")]
    pub memory: Size,
    /// Size of a swap volume in the encrypted volume group `pve`. Default: no swap.
    #[serde(default)]
    pub swap: Option<Size>,
}

impl Default for Host {
    fn default() -> Self {
        Self { memory: default_host_memory(), swap: None }
    }
}

/// `[updates]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Updates {
    /// Address of a Debian archive, such as `http://mirror.example.org/debian`. Default: none, and no updates of Debian's packages.
    #[serde(default)]
    pub debian: Option<String>,
    /// Address of Debian's security archive.
    #[serde(default)]
    pub debian_security: Option<String>,
    /// Proxmox VE's own repository; of no effect where the edition has no Proxmox VE.
    #[serde(default)]
    pub proxmox: ProxmoxUpdates,
    /// Name of a file on the answer medium that holds a Proxmox subscription key, one line. It is registered at the first boot.
    #[serde(default)]
    pub subscription_file: Option<String>,
}

/// `updates.proxmox`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxmoxUpdates {
    /// The repository that is open to everybody.
    #[default]
    NoSubscription,
    /// The repository of subscribers.
    Enterprise,
    /// None.
    None,
}

/// `[cluster]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// What is done at the first boot.
    #[serde(default)]
    pub mode: ClusterMode,
    /// Name of the new cluster, at most 15 letters, digits and `-`; `create` only.
    #[serde(default)]
    pub name: Option<String>,
    /// Name or address of a node that is in the cluster already; `join` only.
    #[serde(default)]
    pub peer: Option<String>,
    /// SHA-256 fingerprint of that node's certificate, 32 pairs of hexadecimal digits with colons; `join` only.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Name of a file on the answer medium that holds root's password on that node, one line; `join` only.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Address of this node for the cluster's own traffic. Default: the management address.
    #[serde(default)]
    pub link0: Option<String>,
}

/// `cluster.mode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterMode {
    /// A node on its own.
    #[default]
    None,
    /// The first node of a new cluster.
    Create,
    /// One more node of a cluster.
    Join,
}

/// `[finish]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// What to do when all is done.
    #[serde(default)]
    pub action: FinishAction,
}

/// `finish.action`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FinishAction {
    /// Start the installed system.
    #[default]
    Reboot,
    /// Switch off.
    Poweroff,
}

fn default_timezone() -> String {
    "Etc/UTC".to_owned()
}

fn default_keyboard() -> String {
    "us".to_owned()
}

fn default_locale() -> String {
    "C.UTF-8".to_owned()
}

const fn default_root() -> Size {
    Size::Absolute(Bytes(40_000_000_000))
}

const fn default_host_memory() -> Size {
    Size::Absolute(Bytes(2_000_000_000))
}

const fn default_true() -> bool {
    true
}

const fn default_argon2_time_ms() -> u32 {
    2000
}
