//! What a disk is beyond what it is attached by: a part of a drive, a path to one, a volume of a controller, or nothing real at all.

use std::fmt;

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Class {
    /// A drive of its own, or none that is known to be anything else.
    #[default]
    Ordinary,
    /// A namespace of an NVMe drive. Several of one drive fail together.
    NvmeNamespace {
        /// Its number (NSID), from 1.
        number: u32,
        /// How many namespaces of this drive the machine sees, this one among them.
        of: u32,
        /// The drive: the NVM subsystem's name where it has one (NQN), else the controller's serial number or kernel name.
        subsystem: String,
    },
    /// The user area of an eMMC, soldered to the board.
    Emmc {
        /// Boot areas it has (`mmcblk0boot0` ...): firmware may be in them.
        boot_areas: u32,
        /// Whether it has a replay-protected area.
        rpmb: bool,
    },
    /// An SD card.
    SdCard,
    /// One of several paths to the same disk. Writing to one of them writes to all.
    MultipathPath {
        /// Paths to this disk, this one among them.
        paths: u32,
        /// Kernel names of the others.
        others: Vec<String>,
    },
    /// A virtual disk or floppy that a management controller (BMC) attaches: a file on somebody's desk.
    VirtualMedium {
        /// Whose controller.
        bmc: Bmc,
    },
    /// A volume of a RAID controller: the disks below it are not seen.
    HardwareRaid {
        /// The controller's family.
        controller: RaidController,
        /// Its model as the machine tells it, `PERC H755 Front`; empty where it does not.
        model: String,
    },
}

/// Maker of a management controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bmc {
    /// American Megatrends `MegaRAC`, in servers of many makers.
    Ami,
    /// Dell iDRAC.
    Dell,
    /// HPE iLO.
    Hpe,
    /// Supermicro, with firmware of ATEN or its own.
    Supermicro,
    /// Lenovo XCC or IMM.
    Lenovo,
    /// Fujitsu iRMC.
    Fujitsu,
    /// Cisco CIMC.
    Cisco,
    /// Intel RMM.
    Intel,
    /// `OpenBMC`, or another Linux device that plays a disk.
    OpenBmc,
    /// One of another maker.
    Other,
}

/// Family of a RAID controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RaidController {
    /// Dell PERC.
    DellPerc,
    /// Dell BOSS: a mirror of two M.2 drives.
    DellBoss,
    /// HPE Smart Array, and the controllers after it (SR, MR).
    HpeSmartArray,
    /// HPE NS204i: a mirror of two M.2 drives.
    HpeBootDevice,
    /// Broadcom (Avago, LSI) `MegaRAID`, under this or another maker's name.
    MegaRaid,
    /// Volumes of Broadcom's (LSI's) Fusion-MPT adapters.
    FusionMpt,
    /// Microchip (Microsemi, PMC-Sierra) Adaptec.
    Adaptec,
    /// Areca.
    Areca,
    /// 3ware.
    ThreeWare,
    /// Marvell: mirrors of two M.2 drives, such as those of Lenovo's `ThinkSystem`.
    Marvell,
    /// `HighPoint` `RocketRAID`.
    HighPoint,
    /// Promise `SuperTrak`.
    Promise,
}

impl Class {
    /// Whether it is nothing out of the ordinary.
    pub const fn is_ordinary(&self) -> bool {
        matches!(self, Self::Ordinary)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordinary => f.write_str("disk"),
            Self::NvmeNamespace { number, of: 1, .. } => {
                write!(f, "NVMe namespace {number}, the only one of its drive")
            }
            Self::NvmeNamespace { number, of, .. } => write!(f, "NVMe namespace {number}, one of {of} of its drive"),
            Self::Emmc { boot_areas, rpmb } => {
                write!(f, "eMMC with {boot_areas} boot area{}", if *boot_areas == 1 { "" } else { "s" })?;
                f.write_str(if *rpmb { " and a replay-protected one" } else { "" })
            }
            Self::SdCard => f.write_str("SD card"),
            Self::MultipathPath { paths, others } => {
                write!(f, "one of {paths} paths to the same disk, with {}", others.join(", "))
            }
            Self::VirtualMedium { bmc } => write!(f, "virtual medium of the {bmc}"),
            Self::HardwareRaid { controller, model } if model.is_empty() => write!(f, "RAID volume of {controller}"),
            Self::HardwareRaid { controller, model } => write!(f, "RAID volume of {controller} ({model})"),
        }
    }
}

impl fmt::Display for Bmc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ami => "BMC (AMI)",
            Self::Dell => "Dell iDRAC",
            Self::Hpe => "HPE iLO",
            Self::Supermicro => "Supermicro BMC",
            Self::Lenovo => "Lenovo XCC",
            Self::Fujitsu => "Fujitsu iRMC",
            Self::Cisco => "Cisco CIMC",
            Self::Intel => "Intel RMM",
            Self::OpenBmc => "OpenBMC",
            Self::Other => "BMC",
        })
    }
}

impl fmt::Display for RaidController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DellPerc => "Dell PERC",
            Self::DellBoss => "Dell BOSS",
            Self::HpeSmartArray => "HPE Smart Array",
            Self::HpeBootDevice => "HPE NS204i boot device",
            Self::MegaRaid => "Broadcom MegaRAID",
            Self::FusionMpt => "Broadcom Fusion-MPT adapter",
            Self::Adaptec => "Microchip Adaptec",
            Self::Areca => "Areca controller",
            Self::ThreeWare => "3ware controller",
            Self::Marvell => "Marvell controller",
            Self::HighPoint => "HighPoint RocketRAID",
            Self::Promise => "Promise SuperTrak",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_said_in_words() {
        let namespace = |of| Class::NvmeNamespace { number: 2, of, subsystem: "nqn".to_owned() };
        let raid = |model: &str| Class::HardwareRaid { controller: RaidController::MegaRaid, model: model.to_owned() };
        for (class, wanted) in [
            (Class::Ordinary, "disk"),
            (namespace(1), "NVMe namespace 2, the only one of its drive"),
            (namespace(3), "NVMe namespace 2, one of 3 of its drive"),
            (Class::Emmc { boot_areas: 1, rpmb: false }, "eMMC with 1 boot area"),
            (Class::Emmc { boot_areas: 2, rpmb: true }, "eMMC with 2 boot areas and a replay-protected one"),
            (
                Class::MultipathPath { paths: 2, others: vec!["sdb".to_owned()] },
                "one of 2 paths to the same disk, with sdb",
            ),
            (Class::VirtualMedium { bmc: Bmc::Dell }, "virtual medium of the Dell iDRAC"),
            (raid(""), "RAID volume of Broadcom MegaRAID"),
            (raid("MR9361-8i"), "RAID volume of Broadcom MegaRAID (MR9361-8i)"),
        ] {
            assert_eq!(class.to_string(), wanted);
        }
    }

    #[test]
    fn an_inventory_of_an_earlier_version_has_ordinary_disks() {
        assert_eq!(serde_json::from_str::<Class>(r#"{"kind":"ordinary"}"#).ok(), Some(Class::default()));
        assert!(serde_json::from_str::<Class>(r#"{"kind":"emmc","boot_areas":2,"rpmb":true,"cid":"x"}"#).is_err());
    }
}
