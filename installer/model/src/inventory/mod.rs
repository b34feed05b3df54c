//! What is there: the machine as the probe saw it. Made on the machine, or from a folder of captures, anywhere.

mod class;
mod disk;
mod health;
mod owner;

use serde::{Deserialize, Serialize};

pub use class::{Bmc, Class, RaidController};
pub use disk::{Content, Disk, Transport, partition_path};
pub use health::{CriticalWarnings, Health};
pub use owner::{EarlierSite, Owner};

use crate::bytes::Bytes;
use crate::memory_encryption::MemoryEncryption;

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Format of this structure; 1.
    pub schema: u32,
    /// Vendor, product and board as DMI has them.
    pub machine: Machine,
    /// Processors.
    pub cpu: Cpu,
    /// Usable RAM, `MemTotal` of /proc/meminfo.
    pub memory: Bytes,
    /// How the machine was booted.
    pub firmware: Firmware,
    /// Whether a TPM 2.0 is there (/sys/class/tpm/tpm0/tpm_version_major).
    pub tpm2: bool,
    /// The first TPM there is, of whatever version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<Tpm>,
    /// Error correction of the RAM; `None` where neither the firmware nor the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc: Option<Ecc>,
    /// Whether the memory is encrypted; `None` where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_encryption: Option<MemoryEncryption>,
    /// Kernel release that made the capture, `uname -r`.
    pub kernel: String,
    /// Ethernet interfaces with a device behind them, by name.
    pub nics: Vec<Nic>,
    /// Whole disks, by kernel name. No partitions, loops, RAM disks, md or device-mapper devices.
    pub disks: Vec<Disk>,
}

impl Inventory {
    /// Takes over what `earlier`, a look at the same machine, knew of the health of disks of which this one knows nothing. A
    /// disk is the same where its serial, WWN and length are.
    pub fn recall_health(&mut self, earlier: &Self) {
        for disk in self.disks.iter_mut().filter(|disk| disk.health.is_none()) {
            let id = |disk: &Disk| (disk.serial.clone(), disk.wwn.clone(), disk.size);
            let mut same = earlier.disks.iter().filter(|other| id(other) == id(disk));
            // Of two that cannot be told apart, neither has the other's health.
            if let (Some(only), None) = (same.next(), same.next()) {
                disk.health.clone_from(&only.health);
            }
        }
    }
}

/// DMI strings; empty where the firmware has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// `sys_vendor`.
    pub vendor: String,
    /// `product_name`.
    pub product: String,
    /// Maker, version and date of the firmware, in one line: `bios_vendor`, `bios_version` and `bios_date`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bios: String,
}

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// `vendor_id` of /proc/cpuinfo.
    pub vendor: String,
    /// `model name` of /proc/cpuinfo.
    pub model: String,
    /// Logical CPUs on line.
    pub threads: u32,
}

/// A trusted platform module, from /sys/class/tpm/tpm0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tpm {
    /// Version of its specification, 1 or 2 (`tpm_version_major`); `None` where the kernel does not tell.
    pub version: Option<u32>,
}

/// Error correction of the RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ecc {
    /// What can be corrected.
    pub correction: Correction,
    /// Errors that were corrected since the machine started; `None` where no EDAC driver counts them.
    pub corrected_errors: Option<u64>,
    /// Errors that could not be corrected since the machine started.
    pub uncorrected_errors: Option<u64>,
}

/// What memory can correct, the least first: SMBIOS 3.7, 7.17.3, and what EDAC drivers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Nothing, not even noticed.
    None,
    /// Errors are noticed only.
    Detection,
    /// One bit a word (SECDED).
    SingleBit,
    /// Several bits, such as a whole chip (Chipkill, SDDC).
    MultiBit,
}

/// How the machine was booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Firmware {
    /// BIOS, or UEFI's compatibility module.
    Bios,
    /// UEFI.
    Uefi {
        /// The `SecureBoot` variable, where it can be read.
        secure_boot: Option<bool>,
    },
}

/// An Ethernet interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Kernel name, such as `enp3s0`.
    pub name: String,
    /// Permanent or present address, lower case with colons.
    pub mac: String,
    /// Kernel driver; empty where unknown.
    pub driver: String,
    /// Whether a cable with a partner is plugged in; `None` while the interface is down.
    pub link: Option<bool>,
    /// Megabit per second, where the link tells.
    pub speed_mbps: Option<u32>,
}
