//! The way through the screens: which are shown, and which keys of the site file each of them asks for.

use sovereign_model::plan::{self, NoPlan, Reason};
use sovereign_model::site::Fault;

use crate::state::Known;

/// A screen before the installation starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Welcome,
    Hardware,
    Disks,
    Capacity,
    Encryption,
    Network,
    Admin,
    Summary,
}

impl Place {
    /// In their order.
    pub const ALL: [Self; 8] = [
        Self::Welcome,
        Self::Hardware,
        Self::Disks,
        Self::Capacity,
        Self::Encryption,
        Self::Network,
        Self::Admin,
        Self::Summary,
    ];

    /// The screens on which something can be changed.
    pub const CHANGING: [Self; 6] =
        [Self::Hardware, Self::Disks, Self::Capacity, Self::Encryption, Self::Network, Self::Admin];

    /// The screens that ask something.
    pub const ASKING: [Self; 5] = [Self::Disks, Self::Capacity, Self::Encryption, Self::Network, Self::Admin];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Welcome => "Welcome",
            Self::Hardware => "Hardware",
            Self::Disks => "Disks",
            Self::Capacity => "Capacity",
            Self::Encryption => "Encryption",
            Self::Network => "Network",
            Self::Admin => "Site and admin",
            Self::Summary => "Summary",
        }
    }

    /// The screen that asks for a key of the site file; `None` for keys that only a file can say.
    pub fn asking(path: &str) -> Option<Self> {
        let keys: Vec<&str> = path.split('.').collect();
        Some(match keys.as_slice() {
            ["storage", "ssd" | "hdd", "root" | "reserve"]
            | ["host", "memory" | "swap"]
            | ["guests", "deploy" | "ssd_overcommit"]
            | ["guests", "roles", _, "vcpus" | "memory" | "ssd" | "hdd"] => Self::Capacity,
            ["storage"]
            | ["storage", "ssd" | "hdd"]
            | ["storage", "ssd" | "hdd", "raid" | "disks"]
            | ["storage", "ssd" | "hdd", "match", ..] => Self::Disks,
            ["memory_encryption", "policy"] => Self::Hardware,
            ["encryption"] | ["encryption", "passphrase" | "file"] | ["site", "keyboard"] => Self::Encryption,
            ["network"]
            | [
                "network",
                "mode" | "mac" | "interface" | "address" | "gateway" | "dns" | "bridge" | "internal_address",
            ]
            | ["guests", "internal_gateway"]
            | ["guests", "roles", _, "internal_address" | "public_address" | "public_gateway"] => Self::Network,
            ["site" | "admin"] | ["site", "name" | "fqdn" | "timezone"] | ["admin", "email" | "ssh_keys"] => {
                Self::Admin
            }
            _ => return None,
        })
    }
}

/// The screens that a person still has to answer, in their order.
pub(crate) fn open(known: &Known) -> Vec<Place> {
    let problems = known.problems();
    let asking = problems.iter().filter(|p| p.about.fault != Fault::Unknown).map(|p| Place::asking(&p.about.path));
    let mut open: Vec<Place> = asking.flatten().filter(|place| Place::ASKING.contains(place)).collect();
    open.extend(Place::ASKING.into_iter().filter(|place| known.site_file.is_none() && !known.answered.contains(place)));
    if known.wants_passphrase() {
        open.push(Place::Encryption);
    }
    if problems.is_empty()
        && let Some(Err(NoPlan { reasons, .. })) = known.plan()
    {
        open.extend(reasons.iter().map(about).filter(|place| Place::ASKING.contains(place)));
    }
    open.sort_unstable();
    open.dedup();
    open
}

/// The screen on which a person can do something about a refusal.
pub(crate) fn about(reason: &Reason) -> Place {
    match reason {
        Reason::NotEncrypted(_) => Place::Hardware,
        Reason::NicAbsent { .. } | Reason::NicAmbiguous(_) => Place::Network,
        Reason::Guests(_) | Reason::Roles(_) | Reason::TooSmall { .. } | Reason::Metadata { .. } => Place::Capacity,
        _ => Place::Disks,
    }
}

impl Known {
    /// The plan for what is known, or why there is none; `None` while answers or the inventory are missing.
    pub fn plan(&self) -> Option<Result<plan::Plan, NoPlan>> {
        let inventory = self.inventory.as_ref()?.as_ref().ok()?;
        Some(plan::make(&self.draft.site().ok()?, inventory))
    }
}
