//! Which disks are too bad for an array, by what they say of themselves and by the site's policy.

use std::fmt;

use crate::inventory::{CriticalWarnings, Disk, Health};
use crate::plan::identity::{identity, named_all};
use crate::plan::refusal::Reason;
use crate::site::HealthPolicy;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It says itself that it is failing.
    Failed,
    /// A critical warning of NVMe, as its bits.
    Critical(u8),
    /// Data that could not be read or written for good.
    MediaErrors(u64),
    /// Sectors that cannot be read and wait to be written again.
    Pending(u64),
    /// Sectors that the disk's own scan could not read.
    Unreadable(u64),
    /// More of its rated life is used up than the site file allows.
    Worn {
        /// Used up, percent.
        percent: u8,
        /// Allowed, percent.
        most: u32,
    },
}

/// With its numbers.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("SMART says that it is failing"),
            Self::Critical(bits) => write!(f, "critical warning: {}", CriticalWarnings(*bits)),
            Self::MediaErrors(number) => write!(f, "media errors: {number}"),
            Self::Pending(number) => write!(f, "pending sectors: {number}"),
            Self::Unreadable(number) => write!(f, "unreadable sectors: {number}"),
            Self::Worn { percent, most } => {
                write!(
                    f,
                    "{percent} % of its rated life is used up, more than storage.health.max_wear_percent = {most}"
                )
            }
        }
    }
}

/// The bit of NVMe's critical warning that says that its temperature is out of bounds.
const HEAT: u8 = 1 << 1;

impl Fault {
    /// Whether it passes once the disk has cooled down.
    pub(super) const fn is_heat(&self) -> bool {
        matches!(self, Self::Critical(HEAT))
    }

    /// Without its numbers, which grow from one look to the next: it goes into the plan's hash.
    const fn kind(self) -> &'static str {
        match self {
            Self::Failed => "SMART says that it is failing",
            Self::Critical(_) => "it has a critical warning",
            Self::MediaErrors(_) => "it has media errors",
            Self::Pending(_) => "it has pending sectors",
            Self::Unreadable(_) => "it has unreadable sectors",
            Self::Worn { .. } => "it is worn out",
        }
    }
}

/// Everything that is wrong with a disk. Of a disk that does not tell, nothing is known to be.
pub(super) fn faults(health: Option<&Health>, policy: &HealthPolicy) -> Vec<Fault> {
    let Some(health) = health else { return Vec::new() };
    let count = |number: Option<u64>, fault: fn(u64) -> Fault| number.filter(|number| *number > 0).map(fault);
    let warning = health.critical_warning.filter(|bits| *bits != 0);
    let worn = health.wear_percent.filter(|percent| u32::from(*percent) > policy.max_wear_percent);
    [
        // An NVMe drive with a critical warning has failed for smartctl, whatever the warning is of: that says nothing more.
        (health.passed == Some(false) && warning.is_none()).then_some(Fault::Failed),
        warning.map(Fault::Critical),
        count(health.media_errors, Fault::MediaErrors),
        count(health.pending_sectors, Fault::Pending),
        count(health.uncorrectable_sectors, Fault::Unreadable),
        worn.map(|percent| Fault::Worn { percent, most: policy.max_wear_percent }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the site file names this disk as one that may be failing.
pub(super) fn is_allowed(disk: &Disk, policy: &HealthPolicy) -> bool {
    policy.allow.iter().any(|id| is_named(disk, id))
}

fn is_named(disk: &Disk, id: &str) -> bool {
    disk.serial.as_deref() == Some(id) || disk.wwn.as_deref().is_some_and(|wwn| wwn.eq_ignore_ascii_case(id))
}

/// Entries of `allow` that several disks have: nobody can say which one may be failing.
pub(super) fn ambiguous(policy: &HealthPolicy, disks: &[Disk]) -> Vec<Reason> {
    let named = policy.allow.iter().map(|id| (id, disks.iter().filter(|disk| is_named(disk, id)).collect::<Vec<_>>()));
    named
        .filter(|(_, disks)| disks.len() > 1)
        .map(|(id, disks)| Reason::AllowsSeveral { id: id.clone(), disks: named_all(&disks) })
        .collect()
}

/// What a person accepts with the plan: chosen disks that are failing, and entries of `allow` that allow nothing.
pub(super) fn warnings(policy: &HealthPolicy, chosen: &[&Disk], disks: &[Disk]) -> Vec<String> {
    let mut warnings = Vec::new();
    for disk in chosen {
        let kinds: Vec<&str> = faults(disk.health.as_ref(), policy).into_iter().map(Fault::kind).collect();
        if !kinds.is_empty() {
            warnings.push(format!(
                "disk {} is failing ({}) and is used all the same, as storage.health.allow says: replace it soon",
                identity(disk),
                kinds.join(", ")
            ));
        }
    }
    for id in &policy.allow {
        match disks.iter().find(|disk| is_named(disk, id)) {
            None => warnings.push(format!(
                "storage.health.allow names {id}, which no disk of this machine has: correct or remove it"
            )),
            Some(disk) if disk.health.is_some() && faults(disk.health.as_ref(), policy).is_empty() => {
                warnings.push(format!(
                    "storage.health.allow names {id}, which is not failing: remove it, so that it is refused once it does"
                ));
            }
            Some(_) => {}
        }
    }
    warnings
}
