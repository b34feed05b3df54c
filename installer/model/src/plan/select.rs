//! Which disks: each one gets a verdict for each pool, and exactly as many as the site file asks for must fit.

use std::collections::HashMap;
use std::fmt;

use crate::bytes::Bytes;
use crate::inventory::{Disk, Transport};
use crate::plan::Pool;
use crate::site::Match;

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
    /// Another disk has the same serial, WWN or kernel name.
    Duplicate(String),
    /// Attached by something else than asked for.
    Transport {
        /// Asked for.
        wanted: Transport,
    },
    /// Attached by USB, and the match neither asks for USB nor names the disk.
    Usb,
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
            Self::BootMedium => f.write_str("carries the installer or its answers"),
            Self::InUse(what) => write!(f, "in use: {}", what.join(", ")),
            Self::ReadOnly => f.write_str("read-only"),
            Self::Removable => f.write_str("removable"),
            Self::NoSize => f.write_str("has no size: no medium, or broken"),
            Self::Sector(size) => {
                write!(f, "has logical sectors of {size} bytes, not 512 or 4096: reformat it (`sg_format`)")
            }
            Self::Name => f.write_str("has a kernel name that is no plain file name"),
            Self::NoIdentity => f.write_str("has neither serial number nor WWN to be known by"),
            Self::Duplicate(id) => write!(f, "another disk has the same identity, {id}"),
            Self::Transport { wanted } => write!(f, "transport is not {}", transport_name(*wanted)),
            Self::Usb => f.write_str("attached by USB, which the match neither asks for nor names"),
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

/// Judges every disk for every pool. The result is in the order of serials, WWNs and kernel names, whatever order `disks` has.
/// `disks` are as [`Disk::normalised`] makes them.
pub fn judge(disks: &[Disk], pools: &[(Pool, &Match)]) -> Vec<Verdict> {
    let mut sorted: Vec<&Disk> = disks.iter().collect();
    sorted.sort_by_key(|disk| (&disk.serial, &disk.wwn, &disk.kernel_name));
    let known = Known::of(disks);
    sorted
        .iter()
        .map(|disk| {
            let unfit = unfit(disk, &known);
            let judge =
                |(pool, matching): &(Pool, &Match)| (*pool, unfit.clone().or_else(|| mismatch(disk, *pool, matching)));
            Verdict { disk: (*disk).clone(), pools: pools.iter().map(judge).collect() }
        })
        .collect()
}

/// How many disks have each serial, WWN and kernel name.
#[derive(Default)]
pub(super) struct Known<'d> {
    serials: HashMap<&'d str, usize>,
    wwns: HashMap<&'d str, usize>,
    names: HashMap<&'d str, usize>,
}

impl<'d> Known<'d> {
    pub fn of(disks: &'d [Disk]) -> Self {
        let mut known = Self::default();
        for disk in disks {
            *known.names.entry(&disk.kernel_name).or_default() += 1;
            for (ids, id) in [(&mut known.serials, &disk.serial), (&mut known.wwns, &disk.wwn)] {
                if let Some(id) = id {
                    *ids.entry(id).or_default() += 1;
                }
            }
        }
        known
    }

    /// Kernel names that several disks have, in their order.
    pub fn repeated_names(&self) -> Vec<&'d str> {
        let mut names: Vec<&str> = self.names.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    }

    /// What a disk shares with another one.
    fn shared(&self, disk: &Disk) -> Option<String> {
        let several = |ids: &HashMap<&str, usize>, id: &str| ids.get(id).is_some_and(|count| *count > 1);
        let shared = |ids, id: &Option<String>, what: &str| {
            id.as_deref().filter(|id| several(ids, id)).map(|id| format!("{what} {id}"))
        };
        shared(&self.serials, &disk.serial, "serial")
            .or_else(|| shared(&self.wwns, &disk.wwn, "WWN"))
            .or_else(|| several(&self.names, &disk.kernel_name).then(|| format!("kernel name {}", disk.kernel_name)))
    }
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

/// Why a disk must not be written whatever the site file says.
fn unfit(disk: &Disk, known: &Known<'_>) -> Option<Rejection> {
    if !is_plain_name(&disk.kernel_name) {
        return Some(Rejection::Name);
    }
    if disk.boot_medium {
        return Some(Rejection::BootMedium);
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
    // Two paths to one disk, two namespaces of one drive, a disk listed twice, or a controller that invents serials: none of them
    // is a mirror.
    known.shared(disk).map(Rejection::Duplicate)
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
    if disk.transport == Transport::Usb && matching.transport.is_none() && !named {
        return Some(Rejection::Usb);
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
    use super::glob;

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
