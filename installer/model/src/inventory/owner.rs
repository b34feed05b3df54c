//! What the contents of a disk belong to: what somebody would miss.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that a disk's contents belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Owner {
    /// An installation by this installer.
    Sovereign {
        /// What its EFI system partition tells; `None` where that could not be read.
        site: Option<EarlierSite>,
    },
    /// Proxmox VE, as its own installer lays it out.
    ProxmoxVe,
    /// A ZFS pool.
    Zfs {
        /// Its name, where the label tells.
        pool: Option<String>,
    },
    /// An object storage daemon of Ceph.
    CephOsd,
    /// Windows, or its boot partition.
    Windows,
    /// VMware ESXi, or a datastore of it.
    Vmware,
    /// macOS.
    Apple,
    /// A Linux array (md), with metadata of md's own.
    Md {
        /// `raid1`, where the metadata tells.
        level: Option<String>,
        /// `HOST:NAME` or `NAME`; empty where it has none.
        name: String,
        /// Its UUID.
        uuid: Option<String>,
        /// Members it is made of, spares aside.
        devices: Option<u32>,
        /// Slots of which no member is in this machine.
        missing: Vec<u32>,
    },
    /// An array whose metadata is that of firmware or of a controller (IMSM, DDF and others).
    FirmwareRaid {
        /// libblkid's type: `isw_raid_member`.
        metadata: String,
    },
    /// An LVM volume group.
    Lvm {
        /// Its name, where LVM tells.
        group: Option<String>,
        /// Physical volumes of it that are not in this machine.
        missing: u32,
    },
    /// A LUKS container.
    Luks {
        /// Its label, where it has one.
        label: Option<String>,
    },
    /// Bcache, backing device or cache.
    Bcache,
    /// DRBD.
    Drbd,
    /// Stratis.
    Stratis,
    /// A Btrfs file system.
    Btrfs {
        /// Its label, where it has one.
        label: Option<String>,
    },
    /// An installation or rescue image.
    Image {
        /// The volume's name.
        label: Option<String>,
    },
    /// Any other file system, or swap space.
    FileSystem {
        /// libblkid's type.
        format: String,
        /// Its label, where it has one.
        label: Option<String>,
    },
}

/// What an earlier installation of ours says of itself, in `sovereign/install.json` on its EFI system partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierSite {
    /// The site's name.
    pub name: String,
    /// Seconds since 1970, when the installation began.
    pub started: u64,
    /// Whether it came to its end.
    pub complete: bool,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sovereign { site: None } => f.write_str("an earlier installation of ours"),
            Self::Sovereign { site: Some(site) } => {
                write!(f, "an earlier installation of ours: {}, {}", site.name, date(site.started))?;
                f.write_str(if site.complete { "" } else { ", interrupted" })
            }
            Self::ProxmoxVe => f.write_str("Proxmox VE"),
            Self::Zfs { pool } => named(f, "ZFS pool", pool.as_deref()),
            Self::CephOsd => f.write_str("Ceph OSD"),
            Self::Windows => f.write_str("Windows"),
            Self::Vmware => f.write_str("VMware ESXi"),
            Self::Apple => f.write_str("macOS"),
            Self::Md { level, name, devices, missing, .. } => {
                f.write_str("md array")?;
                if !name.is_empty() {
                    write!(f, " {name}")?;
                }
                for (words, present) in [
                    (level.clone(), true),
                    (devices.map(|n| format!("{n} members")), true),
                    (Some(format!("MISSING {}", list(missing))), !missing.is_empty()),
                ] {
                    if let Some(words) = words.filter(|_| present) {
                        write!(f, ", {words}")?;
                    }
                }
                Ok(())
            }
            Self::FirmwareRaid { metadata } => write!(f, "firmware RAID ({metadata})"),
            Self::Lvm { group, missing } => {
                named(f, "LVM volume group", group.as_deref())?;
                if *missing == 0 { Ok(()) } else { write!(f, ", MISSING {missing} physical volumes") }
            }
            Self::Luks { label } => named(f, "LUKS container", label.as_deref()),
            Self::Bcache => f.write_str("bcache"),
            Self::Drbd => f.write_str("DRBD"),
            Self::Stratis => f.write_str("Stratis"),
            Self::Btrfs { label } => named(f, "Btrfs", label.as_deref()),
            Self::Image { label } => named(f, "installation image", label.as_deref()),
            Self::FileSystem { format, label } => named(f, format, label.as_deref()),
        }
    }
}

fn named(f: &mut fmt::Formatter<'_>, what: &str, name: Option<&str>) -> fmt::Result {
    match name {
        Some(name) => write!(f, "{what} {name}"),
        None => f.write_str(what),
    }
}

/// `member 1` or `members 1, 3`.
fn list(slots: &[u32]) -> String {
    let numbers: Vec<String> = slots.iter().map(u32::to_string).collect();
    format!("member{} {}", if slots.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

/// The day in UTC, `2026-11-20`, of seconds since 1970. Days are counted from 0000-03-01, so that a leap day ends its year.
fn date(seconds: u64) -> String {
    // Days from 0000-03-01 to 1970-01-01, and in 400, 100, 4 and 1 years.
    const EPOCH: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = seconds / 86_400 + EPOCH;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months of 31, 30, 31, 30 and 31 days come to 153 in five.
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_795_000_000, "2026-11-18"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), wanted);
        }
        // No number is too large.
        assert_eq!(date(u64::MAX), "584554051223-11-09");
    }

    #[test]
    fn each_owner_is_said_in_words() {
        let site = |complete| Owner::Sovereign {
            site: Some(EarlierSite { name: "berlin-1".to_owned(), started: 1_795_000_000, complete }),
        };
        let md = |level: Option<&str>, missing: &[u32]| Owner::Md {
            level: level.map(str::to_owned),
            name: "nas:0".to_owned(),
            uuid: None,
            devices: level.map(|_| 4),
            missing: missing.to_vec(),
        };
        for (owner, wanted) in [
            (site(true), "an earlier installation of ours: berlin-1, 2026-11-18"),
            (site(false), "an earlier installation of ours: berlin-1, 2026-11-18, interrupted"),
            (Owner::Sovereign { site: None }, "an earlier installation of ours"),
            (md(None, &[]), "md array nas:0"),
            (md(Some("raid5"), &[2]), "md array nas:0, raid5, 4 members, MISSING member 2"),
            (md(Some("raid6"), &[1, 3]), "md array nas:0, raid6, 4 members, MISSING members 1, 3"),
            (Owner::Zfs { pool: Some("rpool".to_owned()) }, "ZFS pool rpool"),
            (Owner::Lvm { group: None, missing: 0 }, "LVM volume group"),
            (
                Owner::Lvm { group: Some("pve".to_owned()), missing: 1 },
                "LVM volume group pve, MISSING 1 physical volumes",
            ),
        ] {
            assert_eq!(owner.to_string(), wanted);
        }
    }
}
