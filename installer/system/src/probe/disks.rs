//! Whole disks: lsblk's tree, with what it lacks from udev, signatures from wipefs, and who uses them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::{Class, Content, Disk, Transport};
use sovereign_model::medium::{ANSWER_LABEL, VOLUME_ID};

use super::ProbeError;
use super::capture::{
    BLOCK_PATHS, LOOKED_AT, LOOPS, LSBLK, MBR, MEDIUM_DEV, MEDIUM_DISKSEQ, MOUNTS, SMARTCTL, SWAPS, UDEVADM, WIPEFS,
};
use super::captures::Captures;
use super::lsblk::{self, Node};
use super::{class, health, mbr, owners, self_erase};
use crate::tools::mount::parse_mounts;

/// Labels of the installation medium and of the answer medium.
const MEDIUM_LABELS: [&str; 2] = [VOLUME_ID, ANSWER_LABEL];
/// Where the live system mounts the installation medium.
const MEDIUM_MOUNT: &str = "/run/sovereign/medium";
/// How lsblk shows swap among mount points.
const SWAP: &str = "[SWAP]";
/// The usual sector size, where the kernel does not tell.
const SECTOR: u32 = 512;

/// The disks, by kernel name. None where lsblk could not be run (a remark of the captures says so).
pub(super) fn parse(captures: &Captures) -> Result<Vec<Disk>, ProbeError> {
    let Some(text) = captures.get(LSBLK) else { return Ok(Vec::new()) };
    let nodes = lsblk::parse(LSBLK, text)?;
    let context = Context {
        captures,
        users: users(captures),
        properties: properties(captures.get(UDEVADM).unwrap_or_default()),
        looked_at: captures.get(LOOKED_AT).unwrap_or_default().lines().collect(),
        signatures: signatures(captures.get(WIPEFS).unwrap_or_default())?,
    };
    let mut whole: Vec<&Node> = nodes.iter().filter(|node| node.is_disk()).collect();
    whole.sort_by(|a, b| a.kname.cmp(&b.kname));
    let mut disks: Vec<Disk> = whole.iter().map(|node| disk(&context, node)).collect();
    let mut told = health::parse(captures.get(SMARTCTL).unwrap_or_default());
    let classes = class::classes(captures, &nodes, &disks);
    let owners = owners::owners(captures, &whole, &disks)?;
    for ((disk, class), owners) in disks.iter_mut().zip(classes).zip(owners) {
        let told = told.remove(&disk.path()).unwrap_or_default();
        disk.firmware = disk.firmware.take().or(told.firmware);
        (disk.class, disk.health, disk.belongs) = (class, told.health, owners);
    }
    Ok(disks)
}

/// What is known of all devices beside lsblk's tree.
struct Context<'a> {
    captures: &'a Captures,
    /// Mount points and `[SWAP]` by device node.
    users: HashMap<String, Vec<String>>,
    /// udev's properties by device node.
    properties: HashMap<&'a str, HashMap<&'a str, &'a str>>,
    /// Device nodes on which signatures were looked for.
    looked_at: HashSet<&'a str>,
    /// What wipefs found, in its order.
    signatures: Vec<(Bytes, Signature)>,
}

fn disk(context: &Context<'_>, node: &Node) -> Disk {
    let captures = context.captures;
    let udev = context.properties.get(node.path.as_str());
    let first = |own: &Option<String>, names: &[&str]| {
        let own = own.as_deref().into_iter();
        let texts = own.chain(names.iter().filter_map(|name| udev?.get(name).copied()));
        texts.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut contents = contents(context, node, None);
    for part in node.partitions() {
        contents.extend(self::contents(context, part, part.partition_number(node)));
    }
    let mut in_use = BTreeSet::new();
    node.walk(&mut |holder| {
        in_use.extend(holder.mountpoints.iter().flatten().cloned());
        for name in [holder.path.clone(), format!("/dev/{}", holder.kname)] {
            in_use.extend(context.users.get(name.as_str()).into_iter().flatten().cloned());
        }
    });
    let mut devices = std::iter::once(node).chain(node.partitions());
    let known = node.is_without_medium() || devices.all(|device| context.looked_at.contains(device.path.as_str()));
    let boot_medium = in_use.contains(MEDIUM_MOUNT)
        || contents.iter().any(|content| is_medium(content.label.as_deref()))
        || std::iter::once(node).chain(node.partitions()).any(|n| is_medium(n.label.as_deref()))
        || was_medium(captures, node, udev.and_then(|properties| properties.get("DISKSEQ")).copied());
    Disk {
        model: first(&node.model, &["ID_MODEL"]).unwrap_or_default(),
        serial: first(&node.serial, &["ID_SCSI_SERIAL", "ID_SERIAL_SHORT"]),
        wwn: first(&node.wwn, &["ID_WWN_WITH_EXTENSION", "ID_WWN"]).map(|wwn| wwn.to_lowercase()),
        size: Bytes(node.size.unwrap_or_default()),
        logical_sector: node.log_sec.unwrap_or(SECTOR),
        physical_sector: node.phy_sec.or(node.log_sec).unwrap_or(SECTOR),
        transport: transport(&node.kname, node.tran.as_deref(), sysfs_path(captures, &node.kname)),
        rotational: node.rota.unwrap_or_default(),
        removable: node.rm.unwrap_or_default(),
        read_only: node.ro.unwrap_or_default(),
        boot_medium,
        in_use: in_use.into_iter().collect(),
        contents: known.then_some(contents),
        mbr_partitions: mbr_partitions(captures, &node.path),
        self_erase: self_erase::parse(captures, &node.kname),
        firmware: first(&node.rev, &["ID_REVISION"]),
        class: Class::default(),
        health: None,
        belongs: Vec::new(),
        kernel_name: node.kname.clone(),
    }
}

/// Whether the live system was started from it: the disk has the number that the initrd wrote down, or, where there is none, its name or
/// that of one of its partitions. A name may have passed to another disk since: what is copied to memory needs its medium no more.
fn was_medium(captures: &Captures, node: &Node, diskseq: Option<&str>) -> bool {
    let written = |name| captures.get(name).map(str::trim).filter(|text| !text.is_empty());
    match (written(MEDIUM_DISKSEQ), diskseq) {
        (Some(medium), Some(own)) => medium == own,
        _ => written(MEDIUM_DEV).is_some_and(|medium| {
            let medium = medium.trim_start_matches("/dev/");
            std::iter::once(node).chain(node.partitions()).any(|n| n.kname == medium)
        }),
    }
}

fn is_medium(label: Option<&str>) -> bool {
    label.is_some_and(|label| MEDIUM_LABELS.contains(&label))
}

/// `NAME=value` lines of `udevadm info --query=property`, the block of each device under its node.
fn properties(text: &str) -> HashMap<&str, HashMap<&str, &str>> {
    let mut blocks: Vec<HashMap<&str, &str>> = Vec::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        if name == "DEVPATH" || blocks.is_empty() {
            blocks.push(HashMap::new());
        }
        blocks.last_mut().map(|block| block.insert(name, value));
    }
    blocks.into_iter().filter_map(|block| Some((*block.get("DEVNAME")?, block))).collect()
}

/// Where a disk hangs: the target of its link in /sys/block; empty where that is not known.
pub(super) fn sysfs_path<'a>(captures: &'a Captures, kname: &str) -> &'a str {
    let lines = captures.get(BLOCK_PATHS).unwrap_or_default().lines();
    lines.filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == kname).map_or("", |(_, path)| path)
}

/// What a disk is attached by: lsblk's word first, then the name of its driver, then the devices it hangs below.
fn transport(kname: &str, tran: Option<&str>, path: &str) -> Transport {
    match tran {
        Some("nvme" | "pcie") => Transport::Nvme,
        Some("sata" | "ata" | "ide") => Transport::Sata,
        Some("sas") => Transport::Sas,
        Some("usb") => Transport::Usb,
        Some("virtio") => Transport::Virtio,
        Some("mmc") => Transport::Mmc,
        Some("spi") => Transport::Scsi,
        // The last ones are those of NVMe over fabrics.
        Some("fc" | "fcoe" | "iscsi" | "tcp" | "rdma" | "loop") => Transport::Network,
        _ if kname.starts_with("nvme") => Transport::Nvme,
        _ if kname.starts_with("vd") => Transport::Virtio,
        _ if kname.starts_with("mmcblk") => Transport::Mmc,
        _ if kname.starts_with("nbd") || kname.starts_with("rbd") => Transport::Network,
        _ if path.contains("/usb") => Transport::Usb,
        _ if path.contains("/virtio") => Transport::Virtio,
        _ if path.contains("/ata") => Transport::Sata,
        _ if kname.starts_with("sd") => Transport::Scsi,
        _ => Transport::Other,
    }
}

#[derive(Deserialize)]
struct Signatures {
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
pub(super) struct Signature {
    /// Last part of the device node.
    pub device: String,
    /// Hexadecimal, `0x1fe`.
    offset: String,
    #[serde(rename = "type")]
    pub kind: String,
    uuid: Option<String>,
    label: Option<String>,
}

/// What wipefs found on all devices, each with its offset as a number. One JSON document a run.
pub(super) fn signatures(text: &str) -> Result<Vec<(Bytes, Signature)>, ProbeError> {
    let bad = |reason: String| ProbeError::Parse { capture: WIPEFS.to_owned(), reason };
    let mut found = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Signatures>() {
        for signature in document.map_err(|error| bad(error.to_string()))?.signatures {
            let offset = signature.offset.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
            let offset = offset.ok_or_else(|| bad(format!("`{}` is not an offset", signature.offset)))?;
            found.push((Bytes(offset), signature));
        }
    }
    Ok(found)
}

/// What wipefs found on one device.
fn contents(context: &Context<'_>, node: &Node, partition: Option<u32>) -> Vec<Content> {
    let of_it = context.signatures.iter().filter(|(_, signature)| node.is(&signature.device));
    of_it
        .map(|(offset, signature)| Content {
            partition,
            offset: *offset,
            kind: signature.kind.clone(),
            uuid: signature.uuid.clone(),
            label: signature.label.clone(),
        })
        .collect()
}

/// Partitions by the MBR of a disk, where it has one of its own.
fn mbr_partitions(captures: &Captures, path: &str) -> Option<u32> {
    let mut lines = captures.get(MBR).unwrap_or_default().lines();
    mbr::entries(lines.find_map(|line| line.strip_prefix(path)?.strip_prefix(": "))?)
}

/// Mount points and swap by device node, as the kernel lists them.
fn users(captures: &Captures) -> HashMap<String, Vec<String>> {
    let mut users: HashMap<String, Vec<String>> = HashMap::new();
    let mounts = parse_mounts(captures.get(MOUNTS).unwrap_or_default());
    for mount in &mounts {
        // bcachefs names all its devices, with colons between them.
        for source in mount.source.split(':') {
            users.entry(source.to_owned()).or_default().push(mount.point.clone());
        }
    }
    for line in captures.get(SWAPS).unwrap_or_default().lines() {
        if let Some(device) = line.split_whitespace().next() {
            users.entry(device.to_owned()).or_default().push(SWAP.to_owned());
        }
    }
    // What a loop device shows lies on a device too: a medium that is a file on a disk.
    let loops: Vec<(&str, &str)> =
        captures.get(LOOPS).unwrap_or_default().lines().filter_map(|line| line.split_once(' ')).collect();
    // Loops may stand on loops.
    for _ in 0..=loops.len() {
        for (name, shows) in &loops {
            let Some(points) = users.get(&format!("/dev/{name}")).cloned() else { continue };
            let of_mount =
                || mounts.iter().filter(|m| Path::new(shows).starts_with(&m.point)).max_by_key(|m| m.point.len());
            let device = if shows.starts_with("/dev/") {
                Some((*shows).to_owned())
            } else {
                of_mount().map(|m| m.source.clone())
            };
            if let Some(device) = device {
                let known = users.entry(device).or_default();
                let new: Vec<String> = points.into_iter().filter(|point| !known.contains(point)).collect();
                known.extend(new);
            }
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One disk `sda` with a partition `sda1`, whose lsblk fields are `disk` and `part` (JSON, after a comma).
    fn captures(disk: &str, part: &str) -> Captures {
        let mut captures = Captures::default();
        let node =
            r#""name":"sda","kname":"sda","path":"/dev/sda","type":"disk","size":1000,"log-sec":512,"phy-sec":4096"#;
        let child = r#""name":"sda1","kname":"sda1","path":"/dev/sda1","type":"part""#;
        captures.insert(LSBLK, format!(r#"{{"blockdevices":[{{{node}{disk},"children":[{{{child}{part}}}]}}]}}"#));
        captures.insert(LOOKED_AT, "/dev/sda\n/dev/sda1\n");
        captures
    }

    fn only(captures: &Captures) -> Disk {
        let mut disks = parse(captures).unwrap();
        assert_eq!(disks.len(), 1);
        disks.remove(0)
    }

    #[test]
    fn every_way_of_attaching_is_told_apart() {
        for (kname, tran, path, wanted) in [
            ("nvme0n1", Some("nvme"), "", Transport::Nvme),
            ("nvme0n1", Some("tcp"), "", Transport::Network),
            ("nvme0n1", None, "", Transport::Nvme),
            ("sda", Some("sata"), "", Transport::Sata),
            ("sda", Some("ata"), "", Transport::Sata),
            ("sda", Some("sas"), "", Transport::Sas),
            ("sda", Some("usb"), "", Transport::Usb),
            ("sda", Some("fc"), "", Transport::Network),
            ("sda", Some("iscsi"), "", Transport::Network),
            ("sda", Some("spi"), "", Transport::Scsi),
            ("vda", Some("virtio"), "", Transport::Virtio),
            ("vda", None, "", Transport::Virtio),
            ("mmcblk0", None, "", Transport::Mmc),
            ("nbd0", None, "../devices/virtual/block/nbd0", Transport::Network),
            (
                "sda",
                None,
                "../devices/pci0000:00/0000:00:03.0/virtio1/host2/target2:0:0/2:0:0:0/block/sda",
                Transport::Virtio,
            ),
            ("sda", None, "../devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/block/sda", Transport::Usb),
            ("sda", None, "../devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda", Transport::Sata),
            ("sda", None, "../devices/pci0000:00/0000:03:00.0/host0/target0:2:0/block/sda", Transport::Scsi),
            ("pmem0", None, "../devices/LNXSYSTM:00/ndbus0/region0/pmem0", Transport::Other),
        ] {
            assert_eq!(transport(kname, tran, path), wanted, "{kname} {tran:?} {path}");
        }
    }

    #[test]
    fn what_is_no_disk_to_install_on_is_left_out() {
        let node = |kname: &str, kind: &str| {
            format!(r#"{{"name":"{kname}","kname":"{kname}","path":"/dev/{kname}","type":"{kind}"}}"#)
        };
        let nodes = [
            ("sdb", "disk"),
            ("sda", "disk"),
            ("nvme0n1", "disk"),
            ("mmcblk0", "disk"),
            ("zram0", "disk"),
            ("fd0", "disk"),
            ("bcache0", "disk"),
            ("mmcblk0boot0", "disk"),
            ("sr0", "rom"),
            ("loop0", "loop"),
            ("md127", "raid1"),
            ("dm-0", "crypt"),
        ]
        .map(|(kname, kind)| node(kname, kind));
        let mut captures = Captures::default();
        captures.insert(LSBLK, format!(r#"{{"blockdevices":[{}]}}"#, nodes.join(",")));
        let names: Vec<String> = parse(&captures).unwrap().into_iter().map(|disk| disk.kernel_name).collect();
        assert_eq!(names, ["mmcblk0", "nvme0n1", "sda", "sdb"]);
    }

    #[test]
    fn a_medium_is_known_by_device_mount_or_label() {
        assert!(!only(&captures("", "")).boot_medium);
        let mut by_device = captures("", "");
        by_device.insert(MEDIUM_DEV, "sda1\n");
        let mut by_wipefs = captures("", "");
        by_wipefs.insert(
            WIPEFS,
            r#"{"signatures":[{"device":"sda1","offset":"0x52","type":"vfat","uuid":"AB","label":"SOVEREIGN"}]}"#,
        );
        let mut by_mount = captures("", "");
        by_mount.insert(MOUNTS, "/dev/sda /run/sovereign/medium iso9660 ro 0 0\n");
        let by_label = captures("", r#","label":"SOVEREIGN_INSTALLER""#);
        for captures in [by_device, by_wipefs, by_mount, by_label] {
            assert!(only(&captures).boot_medium, "{captures:?}");
        }
        // Another disk's name that starts the same, and a label that is not quite ours.
        let mut other = captures("", r#","label":"SOVEREIGN2""#);
        other.insert(MEDIUM_DEV, "sda12\n");
        assert!(!only(&other).boot_medium);
    }

    #[test]
    fn a_medium_that_was_copied_to_memory_is_known_by_its_number_and_not_by_its_name() {
        let with = |name: &str, number: &str, own: &str| {
            let mut captures = captures("", "");
            captures.insert(MEDIUM_DEV, name);
            captures.insert(MEDIUM_DISKSEQ, number);
            captures.insert(UDEVADM, format!("DEVPATH=/x\nDEVNAME=/dev/sda\n{own}"));
            only(&captures).boot_medium
        };
        assert!(with("sda\n", "3\n", "DISKSEQ=3\n"));
        assert!(with("sda1\n", "3\n", "DISKSEQ=3\n"), "the medium is a partition of it");
        assert!(with("sdb\n", "3\n", "DISKSEQ=3\n"), "whatever it is called");
        assert!(!with("sda\n", "3\n", "DISKSEQ=8\n"), "another disk has got its name");
        assert!(
            with("sda1\n", "", "DISKSEQ=8\n") && with("sda\n", "3\n", ""),
            "where there is no number, the name counts"
        );
        // Plugged in again it has a new number, and still carries its label: as the whole disk, as a partition, and as one stick of two.
        for captures in
            [captures(r#","label":"SOVEREIGN_INSTALLER""#, ""), captures("", r#","label":"SOVEREIGN_INSTALLER""#)]
        {
            let mut captures = captures;
            captures.insert(MEDIUM_DISKSEQ, "3\n");
            captures.insert(UDEVADM, "DEVPATH=/x\nDEVNAME=/dev/sda\nDISKSEQ=9\n");
            assert!(only(&captures).boot_medium, "{captures:?}");
        }
    }

    #[test]
    fn the_disk_that_a_medium_lies_on_as_a_file_is_the_medium() {
        let medium = |mounts: &str, loops: &str| {
            let mut captures = captures("", "");
            captures.insert(MOUNTS, mounts);
            captures.insert(LOOPS, loops);
            let disk = only(&captures);
            (disk.boot_medium, disk.in_use.join(" "))
        };
        let mounts = "/dev/sda1 /isos ext4 rw 0 0\n/dev/loop0 /run/sovereign/medium iso9660 ro 0 0\n";
        let all = "/isos /run/sovereign/medium".to_owned();
        assert_eq!(medium(mounts, "loop0 /isos/a b.iso\n"), (true, all.clone()));
        // A file in an image on the disk; and the disk itself, shown whole.
        let nested = "/dev/sda1 /isos ext4 rw 0 0\n/dev/loop1 /image vfat rw 0 0\n/dev/loop0 /run/sovereign/medium iso9660 ro 0 0\n";
        assert_eq!(medium(nested, "loop0 /image/x.iso\nloop1 /isos/i.img\n"), (true, format!("/image {all}")));
        let whole = "/dev/loop0 /run/sovereign/medium iso9660 ro 0 0\n";
        assert_eq!(medium(whole, "loop0 /dev/sda\n"), (true, "/run/sovereign/medium".to_owned()));
        // Loops that show what is on another disk, or what is nowhere.
        let elsewhere = "/dev/sdb1 / ext4 rw 0 0\n/dev/loop0 /run/sovereign/medium iso9660 ro 0 0\n";
        assert_eq!(medium(elsewhere, "loop0 /isos/x.iso\nloop1 /dev/sda1\nloop2\n"), (false, String::new()));
    }

    #[test]
    fn a_disk_is_in_use_by_what_stands_on_it() {
        let holder =
            r#","children":[{"kname":"dm-0","path":"/dev/mapper/x-y","type":"lvm","mountpoints":["/srv",null]}]"#;
        let mut captures = captures(r#","mountpoints":[null]"#, holder);
        captures.insert(
            MOUNTS,
            "proc /proc proc rw 0 0\n/dev/mapper/x-y /srv ext4 rw 0 0\n/dev/sda1 /a\\040b ext4 rw 0 0\n",
        );
        captures.insert(SWAPS, "Filename Type Size Used Priority\n/dev/dm-0 partition 1 0 -2\n");
        assert_eq!(only(&captures).in_use, ["/a b", "/srv", "[SWAP]"]);
    }

    #[test]
    fn udev_fills_in_what_lsblk_lacks() {
        let mut captures = captures(r#","serial":"  ","model":null,"wwn":null"#, "");
        captures.insert(UDEVADM, "DEVPATH=/x\nDEVNAME=/dev/sda\nID_MODEL=ST6000\nID_SERIAL_SHORT= ZA1 \nID_WWN=0x5000C500AB\nnonsense\nDEVPATH=/y\nDEVNAME=/dev/sdb\nID_MODEL=other\n");
        let disk = only(&captures);
        assert_eq!((disk.model.as_str(), disk.serial.as_deref()), ("ST6000", Some("ZA1")));
        assert_eq!(disk.wwn.as_deref(), Some("0x5000c500ab"));
    }

    #[test]
    fn signatures_carry_the_number_of_their_partition() {
        let mut captures = captures("", "");
        let dos = r#"{"device":"sda","offset":"0x1fe","type":"dos","uuid":null,"label":null}"#;
        let ext4 = r#"{"device":"sda1","offset":"0x438","type":"ext4","uuid":"u-1","label":"root"}"#;
        // Two runs.
        captures.insert(
            WIPEFS,
            format!("{{\"signatures\":[{ext4}]}}\n{{\"signatures\":[\n]}}\n{{\"signatures\":[{dos}]}}"),
        );
        let contents = only(&captures).contents.unwrap();
        assert_eq!((contents[0].partition, contents[0].kind.as_str(), contents[0].offset), (None, "dos", Bytes(510)));
        assert_eq!((contents[1].partition, contents[1].uuid.as_deref()), (Some(1), Some("u-1")));
        captures.insert(WIPEFS, r#"{"signatures":[{"device":"sda","offset":"five","type":"dos"}]}"#);
        let error = parse(&captures).unwrap_err().to_string();
        assert!(error.contains("`wipefs.json`") && error.contains("`five`"), "{error}");
    }

    #[test]
    fn a_disk_that_was_not_looked_at_whole_is_not_empty_but_unknown() {
        let mut captures = captures("", "");
        captures.insert(WIPEFS, "");
        assert_eq!(only(&captures).contents, Some(Vec::new()));
        for looked_at in ["/dev/sda\n", "/dev/sda1\n", ""] {
            captures.insert(LOOKED_AT, looked_at);
            assert_eq!(only(&captures).contents, None, "{looked_at}");
        }
    }

    #[test]
    fn an_mbr_is_that_of_its_own_disk() {
        let mut captures = captures("", "");
        let sector = include_str!("mbr/three.txt").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        captures.insert(MBR, format!("/dev/sda1: {sector}\n/dev/sdaa: {sector}\n"));
        assert_eq!(only(&captures).mbr_partitions, None);
        captures.insert(MBR, format!("/dev/sdaa: 00\n/dev/sda: {sector}\n"));
        assert_eq!(only(&captures).mbr_partitions, Some(3));
    }
}
