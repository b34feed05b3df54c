//! What each disk is: namespaces of one drive, paths to one disk, volumes of RAID controllers, eMMC, media of a BMC.

mod bmc;
mod raid;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sovereign_model::inventory::{Class, Disk, Transport};

use super::capture::ATTRIBUTES;
use super::captures::Captures;
use super::lsblk::Node;

/// What is known of a disk for classing it.
struct Seen<'a> {
    /// `VENDOR` of lsblk, trimmed; empty where unknown.
    vendor: &'a str,
    /// Where it hangs, the target of its link in /sys/block.
    path: &'a str,
    disk: &'a Disk,
}

/// Values of /sys by their path below it.
pub(super) fn attributes(captures: &Captures) -> HashMap<&str, &str> {
    captures.get(ATTRIBUTES).unwrap_or_default().lines().filter_map(|line| line.split_once(' ')).collect()
}

/// The class of each of `disks`, in their order. `all` is the top of lsblk's tree, in which an eMMC's areas are too.
pub(super) fn classes(captures: &Captures, all: &[Node], disks: &[Disk]) -> Vec<Class> {
    let attributes = &attributes(captures);
    let vendor = |disk: &Disk| all.iter().find(|node| node.kname == disk.kernel_name).and_then(|n| n.vendor.as_deref());
    let see = |disk| Seen {
        vendor: vendor(disk).unwrap_or_default().trim(),
        path: super::disks::sysfs_path(captures, &disk.kernel_name),
        disk,
    };
    let seen: Vec<Seen<'_>> = disks.iter().map(see).collect();
    let paths = same_disk(disks);
    let drives = drives(attributes, &seen);
    seen.iter()
        .map(|one| {
            multipath(&paths, one.disk)
                .or_else(|| raid::volume(attributes, one))
                .or_else(|| bmc::medium(one))
                .or_else(|| namespace(attributes, &drives, one))
                .or_else(|| card(attributes, all, one))
                .unwrap_or_default()
        })
        .collect()
}

/// Kernel names of disks with one name in the world and one length. A WWN names the disk behind the path; one that a bridge or
/// a SATA disk makes up is no proof.
fn same_disk(disks: &[Disk]) -> BTreeMap<(&str, u64), Vec<&str>> {
    let mut same: BTreeMap<(&str, u64), Vec<&str>> = BTreeMap::new();
    for disk in disks {
        let has_paths = match disk.transport {
            Transport::Nvme | Transport::Sas | Transport::Scsi | Transport::Network => true,
            Transport::Virtio => disk.kernel_name.starts_with("sd"),
            Transport::Sata | Transport::Usb | Transport::Mmc | Transport::Other => false,
        };
        if let Some(wwn) = disk.wwn.as_deref().filter(|_| has_paths) {
            same.entry((wwn, disk.size.0)).or_default().push(&disk.kernel_name);
        }
    }
    same
}

fn multipath(same: &BTreeMap<(&str, u64), Vec<&str>>, disk: &Disk) -> Option<Class> {
    let paths = same.get(&(disk.wwn.as_deref()?, disk.size.0)).filter(|paths| paths.len() > 1)?;
    let others: Vec<String> =
        paths.iter().filter(|name| **name != disk.kernel_name).map(|name| (*name).to_owned()).collect();
    (others.len() < paths.len()).then(|| Class::MultipathPath { paths: count(paths.len()), others })
}

/// The NVMe drive a namespace is on: the subsystem's name, and the serial number, since some drives have the name of their kind.
fn drive(attributes: &HashMap<&str, &str>, one: &Seen<'_>) -> Option<(String, Option<String>)> {
    if one.disk.transport != Transport::Nvme || !one.disk.kernel_name.starts_with("nvme") {
        return None;
    }
    let device = one.path.split('/').rev().skip(1).find(|part| part.starts_with("nvme"));
    let device = device.or_else(|| one.disk.kernel_name.rsplit_once('n').map(|(controller, _)| controller))?;
    let folder = if device.starts_with("nvme-subsys") { "nvme-subsystem" } else { "nvme" };
    let name = attributes.get(format!("class/{folder}/{device}/subsysnqn").as_str()).copied();
    Some((name.unwrap_or(device).to_owned(), one.disk.serial.clone()))
}

/// A namespace's number; where the kernel does not tell, the one in its name, which is the same on a drive with one.
fn number(attributes: &HashMap<&str, &str>, kname: &str) -> Option<u32> {
    let told = attributes.get(format!("block/{kname}/nsid").as_str()).copied();
    told.or_else(|| kname.rsplit_once('n').map(|(_, number)| number))?.parse().ok()
}

type Drives = BTreeMap<(String, Option<String>), BTreeSet<u32>>;

/// The numbers of each drive's namespaces.
fn drives(attributes: &HashMap<&str, &str>, seen: &[Seen<'_>]) -> Drives {
    let mut drives = Drives::new();
    for one in seen {
        if let (Some(drive), Some(number)) = (drive(attributes, one), number(attributes, &one.disk.kernel_name)) {
            drives.entry(drive).or_default().insert(number);
        }
    }
    drives
}

fn namespace(attributes: &HashMap<&str, &str>, drives: &Drives, one: &Seen<'_>) -> Option<Class> {
    let drive = drive(attributes, one)?;
    let numbers = drives.get(&drive)?;
    let number = number(attributes, &one.disk.kernel_name)?;
    Some(Class::NvmeNamespace { number, of: count(numbers.len()), subsystem: drive.0 })
}

/// An eMMC or an SD card, by what the kernel calls it or by the areas that only an eMMC has.
fn card(attributes: &HashMap<&str, &str>, all: &[Node], one: &Seen<'_>) -> Option<Class> {
    let kname = &one.disk.kernel_name;
    if one.disk.transport != Transport::Mmc {
        return None;
    }
    let area =
        |node: &Node, what: &str| node.kname.strip_prefix(kname.as_str()).is_some_and(|rest| rest.starts_with(what));
    let boot_areas = count(all.iter().filter(|node| area(node, "boot")).count());
    // The replay-protected area is a character device, and none of lsblk's.
    let rpmb = attributes.contains_key(format!("bus/mmc_rpmb/devices/{kname}rpmb/uevent").as_str());
    match attributes.get(format!("block/{kname}/device/type").as_str()).copied() {
        Some("SD") => Some(Class::SdCard),
        Some("MMC") => Some(Class::Emmc { boot_areas, rpmb }),
        _ if boot_areas > 0 => Some(Class::Emmc { boot_areas, rpmb }),
        _ => None,
    }
}

/// A number of disks.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
