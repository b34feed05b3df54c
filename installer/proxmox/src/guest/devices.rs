//! The devices of a virtual machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::numbers::{CpuUnits, DiskSize, Mib, NicSlot, ScsiSlot, VlanTag};
use super::values::{Bridge, Mac, SshKey, StorageId, User, ValueError};

/// The CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// What they look like to the guest.
    pub model: CpuModel,
    /// Cores of each socket, at least 1. Together with the sockets not above the host's CPUs, or the machine does not start.
    pub cores: std::num::NonZeroU16,
    /// Sockets, at least 1.
    pub sockets: std::num::NonZeroU16,
    /// What they weigh; Proxmox's default of 100 where nothing is said.
    pub units: Option<CpuUnits>,
}

/// A model of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuModel {
    /// `x86-64-v2-AES`: any server of the last ten years, with AES. What Proxmox's web interface chooses.
    V2Aes,
    /// `x86-64-v3`: with AVX2.
    V3,
    /// `x86-64-v4`: with AVX-512.
    V4,
    /// `host`: all that the host's CPU can do. The machine cannot move to another one while it runs.
    Host,
    /// `max`: all that KVM or QEMU can do.
    Max,
    /// `kvm64`: the least. What Proxmox takes where nothing is said.
    Kvm64,
}

impl CpuModel {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::V2Aes, Self::V3, Self::V4, Self::Host, Self::Max, Self::Kvm64];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::V2Aes => "x86-64-v2-AES",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
            Self::Host => "host",
            Self::Max => "max",
            Self::Kvm64 => "kvm64",
        }
    }
}

/// The memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: Mib,
    /// What the host may take back.
    pub balloon: Balloon,
}

/// What the host may take back of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balloon {
    /// Nothing, and the host does not see how much is used.
    Off,
    /// Nothing, but the host sees how much is used. What Proxmox does where nothing is said.
    Watched,
}

/// What the guest is, as far as it makes a difference to QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// Linux since 2.6.
    Linux,
    /// Windows 11, Server 2022 and 2025.
    Windows11,
    /// Anything else.
    Other,
}

impl Os {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Linux, Self::Windows11, Self::Other];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Linux => "l26",
            Self::Windows11 => "win11",
            Self::Other => "other",
        }
    }
}

/// The firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// BIOS.
    SeaBios,
    /// UEFI. Its variables need a disk, or they are lost whenever the machine stops.
    Ovmf(EfiDisk),
}

/// The disk with the variables of UEFI, of the 4 MiB kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfiDisk {
    /// Where it is.
    pub volume: OwnVolume,
    /// Its size.
    pub size: DiskSize,
    /// Whether Microsoft's and the distributions' keys are in it, which turns Secure Boot on. Debian's signed shim boots with them.
    pub enrolled_keys: bool,
}

/// The disk with the state of a TPM 2.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmState {
    /// Where it is.
    pub volume: OwnVolume,
    /// Its size.
    pub size: DiskSize,
}

/// A volume of the guest's own. Its name follows from the guest: `vm-101-disk-0`, or `base-9001-disk-0` on a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnVolume {
    /// The storage, one of LVM's.
    pub storage: StorageId,
    /// Its number, there once.
    pub number: u16,
}

/// The controller of the SCSI disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// `virtio-scsi-single`: one for each disk, with a thread of its own for its input and output.
    Single,
    /// `virtio-scsi-pci`: one for all disks. There are no threads for input and output.
    Shared,
}

/// A SCSI disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where it is.
    pub volume: OwnVolume,
    /// Its size.
    pub size: DiskSize,
    /// Whether what the guest frees is freed on the storage: thin volumes want it.
    pub discard: bool,
    /// Whether the guest takes it for an SSD.
    pub ssd: bool,
    /// Whether it is in backups of the guest.
    pub backup: bool,
}

/// A network card, paravirtual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its address. Without one it would have another at every start.
    pub mac: Mac,
    /// The bridge it is plugged into.
    pub bridge: Bridge,
    /// Whether Proxmox's firewall is between.
    pub firewall: bool,
    /// The VLAN.
    pub tag: Option<VlanTag>,
    /// The addresses that cloud-init gives it.
    pub ip: Ip,
}

/// The addresses that cloud-init gives a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// Nothing is said: IPv4 by DHCP.
    Unset,
    /// IPv4 alone.
    V4(Ip4),
    /// IPv6 alone.
    V6(Ip6),
    /// Both.
    Both(Ip4, Ip6),
}

/// An IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip4 {
    /// From a DHCP server.
    Dhcp,
    /// A fixed one, with the next router.
    Static(Prefixed<Ipv4Addr>, Option<Ipv4Addr>),
}

/// An IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip6 {
    /// From a DHCP server.
    Dhcp,
    /// From the router.
    Auto,
    /// A fixed one, with the next router.
    Static(Prefixed<Ipv6Addr>, Option<Ipv6Addr>),
}

/// An address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixed<A> {
    pub(super) address: A,
    pub(super) prefix: u8,
}

/// The shortest prefix that Proxmox takes.
pub(super) const PREFIX_MIN: u8 = 8;

impl Prefixed<Ipv4Addr> {
    /// An IPv4 address, such as 10.10.0.2/24.
    ///
    /// # Errors
    /// [`ValueError::Prefix`].
    pub fn v4(address: Ipv4Addr, prefix: u8) -> Result<Self, ValueError> {
        if (PREFIX_MIN..=32).contains(&prefix) { Ok(Self { address, prefix }) } else { Err(ValueError::Prefix(prefix)) }
    }
}

impl Prefixed<Ipv6Addr> {
    /// An IPv6 address, such as fd00::2/64.
    ///
    /// # Errors
    /// [`ValueError::Prefix`].
    pub fn v6(address: Ipv6Addr, prefix: u8) -> Result<Self, ValueError> {
        if (PREFIX_MIN..=128).contains(&prefix) {
            Ok(Self { address, prefix })
        } else {
            Err(ValueError::Prefix(prefix))
        }
    }
}

/// What cloud-init is told, on a volume in `ide2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInit {
    /// Where the volume is: `vm-ID-cloudinit`, on a template too.
    pub storage: StorageId,
    /// The user to set up; the distribution's own where there is none.
    pub user: Option<User>,
    /// Who may log in.
    pub keys: Vec<SshKey>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
    /// The domain that is searched.
    pub search: Option<super::values::GuestName>,
}

/// A device to boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BootDevice {
    /// A disk.
    Disk(ScsiSlot),
    /// A network card.
    Nic(NicSlot),
}

/// What a person sees of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// A serial port, which `qm terminal` and the web interface show; there is no graphics card.
    Serial,
    /// Proxmox's default graphics card.
    Graphics,
}

/// When a machine is started and stopped among the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Startup {
    /// Its place; those without one come last.
    pub order: Option<u32>,
    /// Seconds until the next one is started.
    pub up_s: Option<u32>,
    /// Seconds it may take to shut down.
    pub down_s: Option<u32>,
}
