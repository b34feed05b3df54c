//! Who a disk is: its WWN, or its serial number and its size; never its kernel name. Disks that these do not tell apart are refused, all of
//! them: what is taken for two disks may be one by two paths, and no mirror.

use std::collections::HashMap;
use std::fmt;

use crate::bytes::Bytes;
use crate::inventory::Disk;

/// How many other disks a sentence names.
const NAMED: usize = 3;

/// What a disk is called in what goes into the plan: by what it is known by, not by its kernel name.
pub(super) fn identity(disk: &Disk) -> String {
    match (&disk.serial, &disk.wwn) {
        (Some(serial), _) => serial.clone(),
        (None, Some(wwn)) => wwn.clone(),
        (None, None) => disk.kernel_name.clone(),
    }
}

/// What a disk is called where somebody must find it: `sda (ST6000NM0115, serial ZAD0AAA1, 6.00 TB)`.
pub(super) fn named(disk: &Disk) -> String {
    let model = if disk.model.is_empty() { "unknown model" } else { &disk.model };
    let id = match (&disk.serial, &disk.wwn) {
        (Some(serial), _) => format!("serial {serial}"),
        (None, Some(wwn)) => format!("WWN {wwn}"),
        (None, None) => "no serial".to_owned(),
    };
    format!("{} ({model}, {id}, {})", disk.kernel_name, disk.size)
}

/// Several disks as [`named`], the first of many.
pub(super) fn named_all(disks: &[&Disk]) -> String {
    let names: Vec<String> = disks.iter().take(NAMED).map(|disk| named(disk)).collect();
    and_more(names.join(", "), disks.len())
}

fn and_more(names: String, count: usize) -> String {
    if count > NAMED { format!("{names} and {} more", count - NAMED) } else { names }
}

/// What a disk shares with others so that nothing tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Twin {
    /// A WWN belongs to one disk in the world: these are paths to one disk, or copies of a virtual one.
    Wwn {
        /// The WWN.
        wwn: String,
        /// Kernel names of the others.
        others: String,
    },
    /// The same serial number and size, and no two WWNs to compare: a controller or USB bridge that invents serial numbers, a copied
    /// virtual disk, or two paths to one disk.
    Serial {
        /// The serial number.
        serial: String,
        /// Kernel names of the others.
        others: String,
    },
    /// The same kernel name.
    Name(String),
}

impl fmt::Display for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wwn { wwn, others } => write!(
                f,
                "has the same identity as {others}, WWN {wwn}: it is one disk by several paths, or a copy; leave one path connected, or give \
                 the copy a WWN of its own"
            ),
            Self::Serial { serial, others } => write!(
                f,
                "has the same identity as {others}, serial {serial} and size, and there are no WWNs to tell them apart: detach all but one, \
                 attach them by a controller that passes their own serial numbers, or give virtual disks serial numbers of their own"
            ),
            Self::Name(name) => write!(f, "another disk has the same kernel name, {name}"),
        }
    }
}

/// Kernel names of the disks that have each identifier.
#[derive(Default)]
pub(super) struct Known<'d> {
    wwns: HashMap<&'d str, Others<'d>>,
    serials: HashMap<(&'d str, Bytes), Others<'d>>,
    names: HashMap<&'d str, usize>,
}

/// Some kernel names.
#[derive(Default)]
struct Others<'d> {
    count: usize,
    /// How many of them have no WWN.
    without_wwn: usize,
    /// One more than are named: one of them is the disk itself.
    names: Vec<&'d str>,
}

impl<'d> Others<'d> {
    fn add(&mut self, disk: &'d Disk) {
        self.count += 1;
        self.without_wwn += usize::from(disk.wwn.is_none());
        if self.names.len() <= NAMED {
            self.names.push(&disk.kernel_name);
        }
    }

    fn but(&self, disk: &Disk) -> String {
        let names: Vec<&str> =
            self.names.iter().filter(|name| **name != disk.kernel_name).take(NAMED).copied().collect();
        and_more(names.join(", "), self.count - 1)
    }
}

impl<'d> Known<'d> {
    pub fn of(disks: &'d [Disk]) -> Self {
        let mut known = Self::default();
        for disk in disks {
            *known.names.entry(&disk.kernel_name).or_default() += 1;
            if let Some(wwn) = &disk.wwn {
                known.wwns.entry(wwn).or_default().add(disk);
            }
            if let Some(serial) = &disk.serial {
                known.serials.entry((serial, disk.size)).or_default().add(disk);
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

    /// What a disk shares with another so that nothing tells them apart.
    pub fn twin(&self, disk: &Disk) -> Option<Twin> {
        if self.names.get(disk.kernel_name.as_str()).is_some_and(|count| *count > 1) {
            return Some(Twin::Name(disk.kernel_name.clone()));
        }
        if let Some(wwn) = &disk.wwn
            && let Some(same) = self.wwns.get(wwn.as_str()).filter(|same| same.count > 1)
        {
            return Some(Twin::Wwn { wwn: wwn.clone(), others: same.but(disk) });
        }
        let serial = disk.serial.as_ref()?;
        let same = self.serials.get(&(serial.as_str(), disk.size)).filter(|same| same.count > 1)?;
        // Of two disks with a WWN each, these differ: they were compared above.
        (disk.wwn.is_none() || same.without_wwn > 0)
            .then(|| Twin::Serial { serial: serial.clone(), others: same.but(disk) })
    }
}
