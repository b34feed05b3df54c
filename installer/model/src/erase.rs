//! How disks are made to forget what was on them, and what a disk can do about that by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a disk erases itself, as it says itself; without a command of its own, why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SelfErase {
    /// NVMe: Format NVM with a user data erase. No drive says how long that takes.
    NvmeFormat {
        /// Whether the command erases every namespace of the drive, not this one alone.
        whole_drive: bool,
    },
    /// NVMe: Sanitize, which always means the whole drive.
    NvmeSanitize {
        /// What it does.
        action: SanitizeAction,
        /// How long it takes as the drive says, in seconds.
        seconds: Option<u32>,
    },
    /// ATA: Security Erase Unit.
    AtaSecurity {
        /// Whether it also erases sectors that were replaced.
        enhanced: bool,
        /// How long it takes as the drive says, in minutes.
        minutes: Option<u32>,
    },
    /// It has no such command, or does not take it now.
    Unable {
        /// Why, as the end of a sentence about the disk.
        why: String,
    },
}

/// What a drive does to sanitize itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SanitizeAction {
    /// Erases every block.
    BlockErase,
    /// Forgets the key that everything is encrypted with.
    CryptoErase,
}

impl SelfErase {
    /// Whether the command erases other namespaces of an NVMe drive too.
    pub const fn is_of_whole_drive(&self) -> bool {
        matches!(self, Self::NvmeFormat { whole_drive: true } | Self::NvmeSanitize { .. })
    }

    /// How long it takes as the drive says, in seconds.
    pub fn seconds(&self) -> Option<u64> {
        match self {
            Self::NvmeSanitize { seconds, .. } => seconds.map(u64::from),
            Self::AtaSecurity { minutes, .. } => minutes.map(|minutes| u64::from(minutes) * 60),
            Self::NvmeFormat { .. } | Self::Unable { .. } => None,
        }
    }
}

/// The command and how long it takes: `ATA Security Erase Unit (enhanced), about 118 minutes`.
impl fmt::Display for SelfErase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NvmeFormat { .. } => f.write_str("NVMe Format with user data erase")?,
            Self::NvmeSanitize { action: SanitizeAction::BlockErase, .. } => {
                f.write_str("NVMe Sanitize, block erase")?;
            }
            Self::NvmeSanitize { action: SanitizeAction::CryptoErase, .. } => {
                f.write_str("NVMe Sanitize, cryptographic erase")?;
            }
            Self::AtaSecurity { enhanced, .. } => {
                write!(f, "ATA Security Erase Unit{}", if *enhanced { " (enhanced)" } else { "" })?;
            }
            Self::Unable { why } => return f.write_str(why),
        }
        match self.seconds() {
            Some(seconds) if seconds > 120 => write!(f, ", about {} minutes", seconds.div_ceil(60)),
            Some(seconds) => write!(f, ", about {seconds} seconds"),
            None => f.write_str(", and the drive does not say how long that takes"),
        }
    }
}

/// The controller in an NVMe disk's kernel name, which its other namespaces share: `nvme0` of `nvme0n1`.
pub fn nvme_controller(kernel_name: &str) -> Option<&str> {
    let number = kernel_name.strip_prefix("nvme")?;
    let digits = number.len() - number.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    (digits > 0 && number[digits..].starts_with('n')).then(|| &kernel_name[.."nvme".len() + digits])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_says_what_it_does_and_how_long_that_takes() {
        let cases = [
            (
                SelfErase::NvmeFormat { whole_drive: false },
                "NVMe Format with user data erase, and the drive does not say how long that takes",
            ),
            (
                SelfErase::NvmeSanitize { action: SanitizeAction::BlockErase, seconds: Some(30) },
                "NVMe Sanitize, block erase, about 30 seconds",
            ),
            (
                SelfErase::NvmeSanitize { action: SanitizeAction::CryptoErase, seconds: Some(121) },
                "NVMe Sanitize, cryptographic erase, about 3 minutes",
            ),
            (
                SelfErase::AtaSecurity { enhanced: true, minutes: Some(118) },
                "ATA Security Erase Unit (enhanced), about 118 minutes",
            ),
            (SelfErase::Unable { why: "it is frozen".to_owned() }, "it is frozen"),
        ];
        for (erase, words) in cases {
            assert_eq!(erase.to_string(), words);
        }
    }

    #[test]
    fn namespaces_of_one_drive_share_a_controller() {
        assert_eq!(nvme_controller("nvme0n1"), Some("nvme0"));
        assert_eq!(nvme_controller("nvme12n3"), Some("nvme12"));
        for other in ["sda", "nvme", "nvmen1", "nvme0", "mmcblk0"] {
            assert_eq!(nvme_controller(other), None, "{other}");
        }
    }
}
