//! Volumes of RAID controllers: by the driver, the place the driver gives its volumes, and what they call themselves. A disk that
//! such a controller passes through is no volume.

use std::collections::HashMap;

use sovereign_model::inventory::{Class, RaidController, Transport};

use super::Seen;

/// PCI vendors that sell controllers of other makers under their own name.
const DELL: &str = "0x1028";
const HP: [&str; 2] = ["0x103c", "0x1590"];
/// SCSI type of a controller itself (SPC, "storage array controller device").
const CONTROLLER: &str = "12";

/// Where a SCSI disk is: its host, and its channel there.
struct Place<'a> {
    host: &'a str,
    channel: u32,
    /// PCI address of what the host is.
    pci: Option<&'a str>,
}

/// The class of a disk that is a controller's volume.
pub(super) fn volume(attributes: &HashMap<&str, &str>, one: &Seen<'_>) -> Option<Class> {
    let model = one.disk.model.replace('_', " ");
    let found = |controller, model: String| Some(Class::HardwareRaid { controller, model });
    match one.disk.transport {
        Transport::Usb | Transport::Virtio | Transport::Mmc | Transport::Network => return None,
        Transport::Nvme | Transport::Sata => return mirror(&model).and_then(|controller| found(controller, model)),
        Transport::Sas | Transport::Scsi | Transport::Other => {}
    }
    let place = place(one.path)?;
    let told = |what: &str| attributes.get(format!("bus/pci/devices/{}/{what}", place.pci?).as_str()).copied();
    let driver = told("driver").unwrap_or_default();
    let seller = told("subsystem_vendor").unwrap_or_default();
    let vendor = one.vendor.to_ascii_uppercase();
    let dell = seller == DELL || vendor == "DELL";
    let hp = HP.contains(&seller) || vendor == "HP" || vendor == "HPE";
    let logical = model.eq_ignore_ascii_case("logical volume");
    let full = || format!("{} {model}", one.vendor).trim().to_owned();
    match driver {
        // Channels 0 and 1 are disks that are passed through (MEGASAS_MAX_PD_CHANNELS of megaraid_sas.h).
        "megaraid_sas" if place.channel < 2 => None,
        "megaraid_sas" | "megaraid_mbox" | "megaraid" if dell => found(RaidController::DellPerc, model),
        "megaraid_sas" | "megaraid_mbox" | "megaraid" if hp => found(RaidController::HpeSmartArray, model),
        "megaraid_sas" | "megaraid_mbox" | "megaraid" => found(RaidController::MegaRaid, full()),
        // Its volumes and disks share a channel; a volume has the name of its controller.
        "mpi3mr" if model.starts_with("PERC") => found(RaidController::DellPerc, model),
        "mpi3mr" if hp && is_mr(&model) => found(RaidController::HpeSmartArray, model),
        "mpi3mr" if is_mr(&model) => found(RaidController::MegaRaid, full()),
        // Volumes are on channel 1, those of external arrays on 2 or 3 (hpsa.h, smartpqi.h).
        "hpsa" | "smartpqi" if place.channel == 0 => None,
        "hpsa" | "smartpqi" if hp => found(RaidController::HpeSmartArray, controller(attributes, &place)),
        "hpsa" | "smartpqi" => found(RaidController::Adaptec, controller(attributes, &place)),
        // Containers are on channel 0 (aacraid.h).
        "aacraid" if place.channel == 0 => found(RaidController::Adaptec, full()),
        "arcmsr" if vendor == "ARECA" => found(RaidController::Areca, model),
        "3w-xxxx" | "3w-9xxx" | "3w-sas" => found(RaidController::ThreeWare, model),
        "mptsas" | "mptspi" | "mpt2sas" | "mpt3sas"
            if logical || model == "Virtual Disk" || model.starts_with("VIRTUAL DISK") =>
        {
            found(RaidController::FusionMpt, full())
        }
        "hptiop" => found(RaidController::HighPoint, full()),
        "stex" => found(RaidController::Promise, full()),
        // Of captures without drivers, names that nothing else has.
        "" if dell && model.starts_with("PERC") => found(RaidController::DellPerc, model),
        "" if hp && logical => found(RaidController::HpeSmartArray, String::new()),
        _ => None,
    }
}

/// Mirrors that look like a SATA or NVMe disk.
fn mirror(model: &str) -> Option<RaidController> {
    let upper = model.to_ascii_uppercase();
    if upper.starts_with("DELLBOSS") || upper.contains("BOSS-N1") {
        Some(RaidController::DellBoss)
    } else if upper.contains("NS204I") {
        Some(RaidController::HpeBootDevice)
    } else if upper.starts_with("MARVELL RAID") || upper.contains("M.2 VD") {
        Some(RaidController::Marvell)
    } else {
        None
    }
}

/// `MR416i-p`, `MR9660-16i`, `MegaRAID 9660-16i`, `RAID 940-8i`: what a controller is called, and no disk.
fn is_mr(model: &str) -> bool {
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    ["MR", "MegaRAID ", "RAID "].iter().any(|name| model.strip_prefix(name).is_some_and(digit))
}

/// `.../0000:03:00.0/host0/target0:2:0/0:2:0:0/block/sda`
fn place(path: &str) -> Option<Place<'_>> {
    let parts: Vec<&str> = path.split('/').collect();
    let numbered = |part: &&str| part.strip_prefix("host").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let at = parts.iter().position(|part| numbered(part) && part.len() > "host".len())?;
    let address = parts.iter().find(|part| part.split(':').count() == 4)?;
    let is_pci = |part: &&&str| part.split(':').count() == 3 && part.contains('.') && !part.starts_with("pci");
    Some(Place {
        host: parts[at].trim_start_matches("host"),
        channel: address.split(':').nth(1)?.parse().ok()?,
        pci: parts[..at].iter().rev().find(is_pci).copied(),
    })
}

/// What the controller calls itself on its own host; empty where it is no SCSI device.
fn controller(attributes: &HashMap<&str, &str>, place: &Place<'_>) -> String {
    let is_it = |path: &&str| {
        let rest = path.strip_prefix("class/scsi_device/")?.strip_suffix("/device/type")?;
        rest.split(':').next().filter(|host| *host == place.host).map(|_| rest.to_owned())
    };
    let mut found: Vec<String> =
        attributes.iter().filter(|(_, value)| **value == CONTROLLER).filter_map(|(path, _)| is_it(path)).collect();
    found.sort();
    let model = |device: &String| attributes.get(format!("class/scsi_device/{device}/device/model").as_str()).copied();
    found.iter().find_map(model).unwrap_or_default().trim().to_owned()
}
