//! What a disk says of its own state (SMART), in the words of ATA, NVMe and SCSI alike.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a disk says of its own state. Each number is `None` where this kind of disk does not tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Its own judgement: SMART's overall health. `Some(false)` is a disk that says it is failing.
    pub passed: Option<bool>,
    /// Critical warnings (NVMe), bits of [`CriticalWarnings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_warning: Option<u8>,
    /// Data that could not be read or written for good: NVMe's media and data integrity errors, SCSI's uncorrected errors, ATA's
    /// reported uncorrectable errors (attribute 187).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_errors: Option<u64>,
    /// Rated life that is used up, percent. NVMe counts on to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wear_percent: Option<u8>,
    /// Spare blocks that are left, percent (NVMe).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare_percent: Option<u8>,
    /// Sectors that cannot be read and wait to be written again (ATA attribute 197).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_sectors: Option<u64>,
    /// Sectors that were replaced (ATA attribute 5), or grown defects (SCSI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reallocated_sectors: Option<u64>,
    /// Sectors that the disk's own scan could not read (ATA attribute 198).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncorrectable_sectors: Option<u64>,
    /// Degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<i32>,
    /// Hours it has been on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_on_hours: Option<u64>,
}

/// Bits of NVMe's critical warning (NVM Express base specification 2.1, figure 206), in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriticalWarnings(pub u8);

/// What each bit means, the lowest first.
const CRITICAL: [&str; 6] = [
    "spare blocks are running out",
    "its temperature is out of bounds",
    "it has become unreliable",
    "it has become read-only",
    "its backup of volatile memory has failed",
    "its persistent memory has become read-only or unreliable",
];

impl fmt::Display for CriticalWarnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = CRITICAL.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, words)| *words);
        let unknown = (self.0 >> CRITICAL.len() != 0).then_some("an unknown warning");
        let words: Vec<&str> = known.chain(unknown).collect();
        if words.is_empty() { f.write_str("none") } else { f.write_str(&words.join(", ")) }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.passed {
            Some(true) => "health passed",
            Some(false) => "health FAILED",
            None => "health unknown",
        })?;
        if let Some(bits) = self.critical_warning.filter(|bits| *bits != 0) {
            write!(f, ", CRITICAL WARNING: {}", CriticalWarnings(bits))?;
        }
        for (number, words) in [
            (self.media_errors, "media errors"),
            (self.pending_sectors, "pending sectors"),
            (self.reallocated_sectors, "replaced sectors"),
            (self.uncorrectable_sectors, "unreadable sectors"),
        ] {
            if let Some(number) = number.filter(|number| *number != 0) {
                write!(f, ", {number} {words}")?;
            }
        }
        for (number, unit) in [
            (self.wear_percent.map(u64::from), "% worn"),
            (self.spare_percent.map(u64::from), "% spare"),
            (self.power_on_hours, " h on"),
        ] {
            if let Some(number) = number {
                write!(f, ", {number}{unit}")?;
            }
        }
        self.temperature_c.map_or(Ok(()), |degrees| write!(f, ", {degrees} C"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_disk_is_said_and_zeros_are_not() {
        assert_eq!(Health::default().to_string(), "health unknown");
        let good = Health {
            passed: Some(true),
            critical_warning: Some(0),
            media_errors: Some(0),
            wear_percent: Some(0),
            temperature_c: Some(-3),
            power_on_hours: Some(8_760),
            ..Health::default()
        };
        assert_eq!(good.to_string(), "health passed, 0% worn, 8760 h on, -3 C");
        let bad = Health {
            passed: Some(false),
            critical_warning: Some(0b101),
            pending_sectors: Some(8),
            reallocated_sectors: Some(2),
            uncorrectable_sectors: Some(1),
            ..Health::default()
        };
        assert_eq!(
            bad.to_string(),
            "health FAILED, CRITICAL WARNING: spare blocks are running out, it has become unreliable, 8 pending sectors, \
             2 replaced sectors, 1 unreadable sectors"
        );
    }

    #[test]
    fn a_bit_that_no_specification_names_is_a_warning_all_the_same() {
        assert_eq!(CriticalWarnings(0x80).to_string(), "an unknown warning");
        assert_eq!(CriticalWarnings(0).to_string(), "none");
    }
}
