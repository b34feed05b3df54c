//! Which disks: each one gets a verdict for each pool, and exactly as many as the site file asks for must fit.

use std::collections::BTreeMap;
use std::fmt;

use crate::bytes::Bytes;
use crate::inventory::{Bmc, Class, Disk, Transport};
use crate::medium::{ANSWER_LABEL, VOLUME_ID};
use crate::plan::Pool;
use crate::plan::health::{self, Fault};
use crate::plan::identity::{Known, Twin};
use crate::site::{HealthPolicy, Match};

/// Why a disk is not chosen for a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It carries the running system or the answer medium.
    BootMedium,
    /// Something on it is mounted or swapped to.
    InUse(Vec<String>),
    /// The kernel refuses writes.
    ReadOnly,
    /// Card reader, USB stick, CD drive.
    Removable,
    /// No medium, or a broken disk.
    NoSize,
    /// Logical sectors of another size than 512 or 4096 bytes, such as 520 of a disk from a storage array.
    Sector(u32),
    /// Its kernel name is none that a device node can have.
    Name,
    /// Neither serial nor WWN: it could not be told from another after a reboot.
    NoIdentity,
    /// A virtual disk of a management controller.
    VirtualMedium(Bmc),
    /// One of several paths to one disk; kernel names of the others.
    Path(Vec<String>),
    /// Nothing tells it from another disk.
    Twin(Twin),
    /// It is failing, and the site file does not allow that.
    Failing(Vec<Fault>),
    /// Attached by something else than asked for.
    Transport {
        /// Asked for.
        wanted: Transport,
    },
    /// Attached by USB, and the match neither asks for USB nor names the disk.
    Usb,
    /// An eMMC or SD card, and the match neither asks for one nor names it.
    Mmc,
    /// A disk of a network, which the match does not ask for.
    Network,
    /// Spins or does not, against what is asked for.
    Rotational {
        /// Asked for.
        wanted: bool,
    },
    /// Spins, for the SSD pool, and the match neither says `rotational = true` nor names the disk.
    Spins,
    /// Below `min_size`.
    BelowMinimum(Bytes),
    /// Above `max_size`.
    AboveMaximum(Bytes),
    /// The model does not fit the pattern.
    Model(String),
    /// The serial is not among those listed.
    Serial,
    /// The WWN is not among those listed.
    Wwn,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootMedium => f.write_str("carries the installer or its answers, and is never a target"),
            Self::InUse(what) => write!(f, "in use: {}: unmount it, or switch the swap off", what.join(", ")),
            Self::ReadOnly => f.write_str("read-only: look for a write-protect switch, or replace a disk that has failed into it"),
            Self::Removable => f.write_str("removable: a card reader or stick is no disk to install on"),
            Self::NoSize => f.write_str("has no size: no medium is in it, or it is broken: detach it, or replace it"),
            Self::Sector(size) => {
                write!(f, "has logical sectors of {size} bytes, not 512 or 4096: reformat it (`sg_format`)")
            }
            Self::Name => f.write_str("has a kernel name that is no plain file name"),
            Self::NoIdentity => f.write_str(
                "has neither serial number nor WWN to be known by: attach it by another controller, or give a virtual disk a serial number",
            ),
            Self::VirtualMedium(bmc) => write!(
                f,
                "a virtual medium of the {bmc}, which is a file elsewhere and never a target: disconnect it there if it is not needed"
            ),
            Self::Path(others) => write!(
                f,
                "one of several paths to the same disk, with {}: leave one of them connected, for one disk is no mirror of itself",
                others.join(", ")
            ),
            Self::Twin(twin) => twin.fmt(f),
            Self::Failing(faults) => {
                let remedy = if faults.iter().all(Fault::is_heat) { "see to its cooling, and start again" } else { "replace it" };
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                write!(f, "is failing ({}): {remedy}; to use it all the same, name its serial in storage.health.allow", faults.join("; "))
            }
            Self::Transport { wanted } => write!(f, "transport is not {}", transport_name(*wanted)),
            Self::Usb => f.write_str(
                "attached by USB, which the match neither asks for nor names: where it is meant, add transport = \"usb\" or its serial",
            ),
            Self::Mmc => f.write_str(
                "an eMMC or SD card, which the match neither asks for nor names: where it is meant, add transport = \"mmc\" or its serial",
            ),
            Self::Network => f.write_str(
                "reached over a network, which the match neither asks for nor names: where it is meant, add transport = \"network\" or its serial",
            ),
            Self::Rotational { wanted: true } => f.write_str("does not spin (rotational = true)"),
            Self::Rotational { wanted: false } => f.write_str("spins (rotational = false)"),
            Self::Spins => f.write_str("spins, and the match does not say rotational = true"),
            Self::BelowMinimum(min) => write!(f, "smaller than min_size, {min}"),
            Self::AboveMaximum(max) => write!(f, "larger than max_size, {max}"),
            Self::Model(pattern) => write!(f, "model does not fit \"{pattern}\""),
            Self::Serial => f.write_str("serial is not listed"),
            Self::Wwn => f.write_str("WWN is not listed"),
        }
    }
}

/// A disk and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The disk.
    pub disk: Disk,
    /// Each pool of the site file, and why the disk is not chosen for it; `None` means it fits.
    pub pools: Vec<(Pool, Option<Rejection>)>,
}

impl Verdict {
    /// Whether the disk fits `pool`.
    pub fn fits(&self, pool: Pool) -> bool {
        self.pools.iter().any(|(p, rejection)| *p == pool && rejection.is_none())
    }
}

/// How the site file spells a transport.
pub const fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Nvme => "nvme",
        Transport::Sata => "sata",
        Transport::Sas => "sas",
        Transport::Usb => "usb",
        Transport::Virtio => "virtio",
        Transport::Mmc => "mmc",
        Transport::Network => "network",
        Transport::Scsi => "scsi",
        Transport::Other => "other",
    }
}

/// Judges every disk for every pool. The result is in the order of serials, WWNs and sizes, whatever order `disks` has and whatever the
/// kernel calls them; kernel names decide only among disks that nothing else tells apart, none of which is ever written.
/// `disks` are as [`Disk::normalised`] makes them.
pub fn judge(disks: &[Disk], pools: &[(Pool, &Match)], policy: &HealthPolicy) -> Vec<Verdict> {
    let mut sorted: Vec<&Disk> = disks.iter().collect();
    sorted.sort_by_key(|disk| (&disk.serial, &disk.wwn, disk.size, &disk.kernel_name));
    let known = Known::of(disks);
    sorted
        .iter()
        .map(|disk| {
            let unfit = unfit(disk, &known, policy);
            let judge =
                |(pool, matching): &(Pool, &Match)| (*pool, unfit.clone().or_else(|| mismatch(disk, *pool, matching)));
            Verdict { disk: (*disk).clone(), pools: pools.iter().map(judge).collect() }
        })
        .collect()
}

/// Serials and WWNs that a match names and that no disk has.
pub fn absent(matching: &Match, disks: &[Disk]) -> Vec<String> {
    let serials = matching
        .serials
        .iter()
        .filter(|serial| !disks.iter().any(|disk| disk.serial.as_deref() == Some(serial.as_str())));
    let wwns = matching.wwns.iter().filter(|wwn| !disks.iter().any(|disk| has_wwn(disk, wwn)));
    serials.chain(wwns).cloned().collect()
}

/// Serials and WWNs that a match names and that several disks have which fit its other keys, with these disks: nobody can say which one
/// is meant.
pub fn ambiguous<'d>(pool: Pool, matching: &Match, disks: &'d [Disk]) -> Vec<(String, Vec<&'d Disk>)> {
    let mut found: BTreeMap<(&str, &str), Vec<&Disk>> = BTreeMap::new();
    if !matching.serials.is_empty() || !matching.wwns.is_empty() {
        for disk in disks.iter().filter(|disk| mismatch(disk, pool, matching).is_none()) {
            let ids = [("serial", &disk.serial, &matching.serials), ("WWN", &disk.wwn, &matching.wwns)];
            for (what, id, _) in ids.into_iter().filter(|(_, _, listed)| !listed.is_empty()) {
                if let Some(id) = id {
                    found.entry((what, id)).or_default().push(disk);
                }
            }
        }
    }
    let several = found.into_iter().filter(|(_, disks)| disks.len() > 1);
    several.map(|((what, id), disks)| (format!("{what} {id}"), disks)).collect()
}

/// Why a disk must not be written, whatever a match says.
fn unfit(disk: &Disk, known: &Known<'_>, policy: &HealthPolicy) -> Option<Rejection> {
    if !is_plain_name(&disk.kernel_name) {
        return Some(Rejection::Name);
    }
    if disk.boot_medium || is_medium(disk) {
        return Some(Rejection::BootMedium);
    }
    if let Class::VirtualMedium { bmc } = disk.class {
        return Some(Rejection::VirtualMedium(bmc));
    }
    if !disk.in_use.is_empty() {
        return Some(Rejection::InUse(disk.in_use.clone()));
    }
    if disk.size == Bytes::ZERO {
        return Some(Rejection::NoSize);
    }
    if disk.read_only {
        return Some(Rejection::ReadOnly);
    }
    if disk.removable {
        return Some(Rejection::Removable);
    }
    if ![512, 4096].contains(&disk.logical_sector) {
        return Some(Rejection::Sector(disk.logical_sector));
    }
    if disk.serial.is_none() && disk.wwn.is_none() {
        return Some(Rejection::NoIdentity);
    }
    if let Class::MultipathPath { others, .. } = &disk.class {
        return Some(Rejection::Path(others.clone()));
    }
    if let Some(twin) = known.twin(disk) {
        return Some(Rejection::Twin(twin));
    }
    let faults = health::faults(disk.health.as_ref(), policy);
    (!faults.is_empty() && !health::is_allowed(disk, policy)).then_some(Rejection::Failing(faults))
}

/// Whether it carries an installation or answer medium, whatever it is attached by and wherever the running system lies: a medium that was
/// copied to memory is mounted no more, and has another name where it was plugged in again.
fn is_medium(disk: &Disk) -> bool {
    let labels = disk.contents.iter().flatten().filter_map(|content| content.label.as_deref());
    labels.into_iter().any(|label| label == VOLUME_ID || label == ANSWER_LABEL)
}

/// Whether a kernel name makes a path below /dev and /sys/class/block.
fn is_plain_name(name: &str) -> bool {
    let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    !name.is_empty() && name != "." && !name.contains("..") && !name.contains(odd)
}

/// The first key of a match that a disk does not fit.
fn mismatch(disk: &Disk, pool: Pool, matching: &Match) -> Option<Rejection> {
    let named = !matching.serials.is_empty() || !matching.wwns.is_empty();
    if let Some(wanted) = matching.transport.filter(|wanted| *wanted != disk.transport) {
        return Some(Rejection::Transport { wanted });
    }
    if let Some(wanted) = matching.rotational.filter(|wanted| *wanted != disk.rotational) {
        return Some(Rejection::Rotational { wanted });
    }
    if let Some(min) = matching.min_size.map(|size| size.of(disk.size)).filter(|min| disk.size < *min) {
        return Some(Rejection::BelowMinimum(min));
    }
    if let Some(max) = matching.max_size.map(|size| size.of(disk.size)).filter(|max| disk.size > *max) {
        return Some(Rejection::AboveMaximum(max));
    }
    if let Some(pattern) = matching.model.as_ref().filter(|pattern| !glob(pattern, &disk.model)) {
        return Some(Rejection::Model(pattern.clone()));
    }
    if !matching.serials.is_empty() && !matching.serials.iter().any(|serial| disk.serial.as_ref() == Some(serial)) {
        return Some(Rejection::Serial);
    }
    if !matching.wwns.is_empty() && !matching.wwns.iter().any(|wwn| has_wwn(disk, wwn)) {
        return Some(Rejection::Wwn);
    }
    if matching.transport.is_none() && !named {
        match disk.transport {
            Transport::Usb => return Some(Rejection::Usb),
            Transport::Mmc => return Some(Rejection::Mmc),
            Transport::Network => return Some(Rejection::Network),
            Transport::Nvme
            | Transport::Sata
            | Transport::Sas
            | Transport::Virtio
            | Transport::Scsi
            | Transport::Other => {}
        }
    }
    if pool == Pool::Ssd && disk.rotational && matching.rotational.is_none() && !named {
        return Some(Rejection::Spins);
    }
    None
}

fn has_wwn(disk: &Disk, wwn: &str) -> bool {
    disk.wwn.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(wwn))
}

/// Shell-style pattern over the whole text, `*` and `?` only, ignoring case.
fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    // `reach[j]` says whether the pattern read so far fits the first `j` characters.
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for p in pattern {
        let mut next = vec![false; text.len() + 1];
        for j in 0..=text.len() {
            next[j] = match p {
                '*' => reach[j] || (j > 0 && next[j - 1]),
                '?' => j > 0 && reach[j - 1],
                c => j > 0 && reach[j - 1] && text[j - 1] == c,
            };
        }
        reach = next;
    }
    reach[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Health, Inventory};

    /// What becomes of one HDD of the reference machine, changed in this way, for a match.
    fn verdict(matching: &Match, change: impl Fn(&mut Disk)) -> Option<String> {
        let machine: Inventory =
            serde_json::from_str(include_str!("../../tests/plans/reference/inventory.json")).unwrap();
        let mut disk = machine.disks.into_iter().find(|disk| disk.rotational).unwrap();
        change(&mut disk);
        let verdicts = judge(&[disk], &[(Pool::Hdd, matching)], &HealthPolicy::default());
        verdicts[0].pools[0].1.as_ref().map(ToString::to_string)
    }

    /// A shelf of another cluster that is zoned to this machine spins too.
    #[test]
    fn disks_of_a_network_are_chosen_by_name_or_transport_alone() {
        let spinning = Match { rotational: Some(true), ..Match::default() };
        let far = |disk: &mut Disk| disk.transport = Transport::Network;
        assert_eq!(verdict(&spinning, |_| {}), None);
        assert!(verdict(&spinning, far).unwrap().contains("reached over a network"));
        assert_eq!(verdict(&Match { transport: Some(Transport::Network), ..spinning }, far), None);
    }

    /// smartctl calls a drive that has any critical warning failed.
    #[test]
    fn a_drive_that_is_too_hot_is_to_be_cooled_and_not_to_be_replaced() {
        let spinning = Match { rotational: Some(true), ..Match::default() };
        let warns = |bits| {
            let health = Health { passed: Some(false), critical_warning: Some(bits), ..Health::default() };
            verdict(&spinning, |disk| disk.health = Some(health.clone())).unwrap()
        };
        assert!(warns(1 << 1).contains("see to its cooling"), "{}", warns(1 << 1));
        assert!(warns(1 << 2).contains("replace it"), "{}", warns(1 << 2));
        assert!(warns(0).contains("SMART says that it is failing"), "{}", warns(0));
    }

    #[test]
    fn patterns_fit_whole_models_in_any_case() {
        assert!(glob("samsung*", "SAMSUNG MZVL2512HCJQ"));
        assert!(glob("*MZVL?512*", "SAMSUNG MZVL2512HCJQ"));
        assert!(glob("*", ""));
        assert!(glob("a**b", "ab"));
        assert!(!glob("samsung", "SAMSUNG MZVL2512HCJQ"));
        assert!(!glob("?", ""));
        assert!(!glob("", "x"));
    }
}
