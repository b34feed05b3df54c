//! `[storage.health]`: which disks are too bad to be used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits of `max_wear_percent`: a disk that is worn out beyond its rated life is named in `allow`.
pub(super) const MAX_WEAR_PERCENT: std::ops::RangeInclusive<u32> = 1..=100;

/// `[storage.health]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthPolicy {
    /// Most of its rated life that an SSD may have used up, percent: 1 to 100. Default 90.
    #[serde(default = "default_max_wear_percent")]
    pub max_wear_percent: u32,
    /// Serial numbers of disks that are used although they are failing; of a disk without a serial number of its own, its WWN. Any other
    /// disk that is failing is refused.
    #[serde(default)]
    pub allow: Vec<String>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { max_wear_percent: default_max_wear_percent(), allow: Vec::new() }
    }
}

impl HealthPolicy {
    /// Whether nothing but the defaults is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

const fn default_max_wear_percent() -> u32 {
    90
}
