//! Who keeps a second copy of what a pool holds, and how many disks that takes.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::site::{HddPool, SsdPool};

/// `storage.ssd.raid`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SsdRaid {
    /// Mirror of two disks.
    Raid1,
    /// One volume of a RAID controller, which keeps the copies; no md.
    Hardware,
    /// One disk without any copy, for laboratories: when it fails, everything on it is lost.
    None,
}

/// `storage.hdd.raid`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HddRaid {
    /// Striped mirrors, layout n2, chunk 512 KiB.
    Raid10,
    /// One volume of a RAID controller, which keeps the copies; no md.
    Hardware,
    /// One disk without any copy, for laboratories: when it fails, everything on it is lost.
    None,
}

/// Who keeps a second copy of what a pool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redundancy {
    /// The kernel, in an md array.
    Array,
    /// A RAID controller, which shows its disks as one volume.
    Hardware,
    /// Nobody.
    None,
}

impl SsdRaid {
    /// Who keeps the second copy.
    pub const fn redundancy(self) -> Redundancy {
        match self {
            Self::Raid1 => Redundancy::Array,
            Self::Hardware => Redundancy::Hardware,
            Self::None => Redundancy::None,
        }
    }
}

impl HddRaid {
    /// Who keeps the second copy.
    pub const fn redundancy(self) -> Redundancy {
        match self {
            Self::Raid10 => Redundancy::Array,
            Self::Hardware => Redundancy::Hardware,
            Self::None => Redundancy::None,
        }
    }
}

impl Redundancy {
    /// Disks of the bootable pool where the site file does not say: a mirror's two, or the one.
    pub const fn ssd_disks(self) -> u32 {
        match self {
            Self::Array => 2,
            Self::Hardware | Self::None => 1,
        }
    }

    /// Disks of the bulk pool where the site file does not say: two mirrors', or the one.
    pub const fn hdd_disks(self) -> u32 {
        match self {
            Self::Array => 4,
            Self::Hardware | Self::None => 1,
        }
    }
}

impl SsdPool {
    /// How many disks must match.
    pub fn count(&self) -> u32 {
        self.disks.unwrap_or(self.raid.redundancy().ssd_disks())
    }
}

impl HddPool {
    /// How many disks must match.
    pub fn count(&self) -> u32 {
        self.disks.unwrap_or(self.raid.redundancy().hdd_disks())
    }
}

/// Reads `[storage.ssd]`, and writes down what its number of disks is where that is left to the default: a plan and the target's copy of the
/// site file say it.
///
/// # Errors
/// The format's.
pub(super) fn ssd<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SsdPool, D::Error> {
    let mut pool = SsdPool::deserialize(deserializer)?;
    pool.disks = Some(pool.count());
    Ok(pool)
}

/// As [`ssd`], of `[storage.hdd]`.
///
/// # Errors
/// The format's.
pub(super) fn hdd<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HddPool>, D::Error> {
    let mut pool = Option::<HddPool>::deserialize(deserializer)?;
    if let Some(pool) = &mut pool {
        pool.disks = Some(pool.count());
    }
    Ok(pool)
}
