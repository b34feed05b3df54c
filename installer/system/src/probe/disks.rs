//! Whole disks: lsblk's tree, with what it lacks from udev, signatures from wipefs, and who uses them.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::{Content, Disk, Transport};

use super::ProbeError;
use super::capture::{BLOCK_PATHS, LSBLK, MEDIUM_DEV, MOUNTS, SWAPS, udev_name, wipefs_name};
use super::captures::Captures;
use super::lsblk::{self, Node};

/// Labels of the installation medium and of the answer medium.
const MEDIUM_LABELS: [&str; 2] = ["SOVEREIGN_INSTALLER", "SOVEREIGN"];
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
    let users = users(captures);
    let mut disks = Vec::new();
    for node in nodes.iter().filter(|node| node.is_disk()) {
        disks.push(disk(captures, node, &users)?);
    }
    disks.sort_by(|a, b| a.kernel_name.cmp(&b.kernel_name));
    Ok(disks)
}

fn disk(captures: &Captures, node: &Node, users: &HashMap<&str, Vec<String>>) -> Result<Disk, ProbeError> {
    let udev = properties(captures.get(&udev_name(&node.kname)).unwrap_or_default());
    let first = |own: &Option<String>, names: &[&str]| {
        let own = own.as_deref().into_iter();
        let texts = own.chain(names.iter().filter_map(|name| udev.get(name).copied()));
        texts.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut contents = signatures(captures, node, None)?;
    for part in node.partitions() {
        contents.extend(signatures(captures, part, part.partition_number(node))?);
    }
    let mut in_use = BTreeSet::new();
    node.walk(&mut |holder| {
        in_use.extend(holder.mountpoints.iter().flatten().cloned());
        for name in [holder.path.clone(), format!("/dev/{}", holder.kname)] {
            in_use.extend(users.get(name.as_str()).into_iter().flatten().cloned());
        }
    });
    let medium = captures.get(MEDIUM_DEV).unwrap_or_default().trim().trim_start_matches("/dev/");
    let boot_medium = in_use.contains(MEDIUM_MOUNT)
        || contents.iter().any(|content| is_medium(content.label.as_deref()))
        || std::iter::once(node).chain(node.partitions()).any(|n| is_medium(n.label.as_deref()) || n.kname == medium);
    Ok(Disk {
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
        contents,
        kernel_name: node.kname.clone(),
    })
}

fn is_medium(label: Option<&str>) -> bool {
    label.is_some_and(|label| MEDIUM_LABELS.contains(&label))
}

/// `NAME=value` lines of `udevadm info --query=property`.
fn properties(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

fn sysfs_path<'a>(captures: &'a Captures, kname: &str) -> &'a str {
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
struct Signature {
    /// Hexadecimal, `0x1fe`.
    offset: String,
    #[serde(rename = "type")]
    kind: String,
    uuid: Option<String>,
    label: Option<String>,
}

/// What wipefs found on a device. It prints nothing at all where there is nothing.
fn signatures(captures: &Captures, node: &Node, partition: Option<u32>) -> Result<Vec<Content>, ProbeError> {
    let name = wipefs_name(&node.kname);
    let text = captures.get(&name).unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let bad = |reason: String| ProbeError::Parse { capture: name.clone(), reason };
    let found: Signatures = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let content = |signature: Signature| {
        let offset = signature.offset.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        Ok(Content {
            partition,
            offset: Bytes(offset.ok_or_else(|| bad(format!("`{}` is not an offset", signature.offset)))?),
            kind: signature.kind,
            uuid: signature.uuid,
            label: signature.label,
        })
    };
    found.signatures.into_iter().map(content).collect()
}

/// Mount points and swap by device node, as the kernel lists them.
fn users(captures: &Captures) -> HashMap<&str, Vec<String>> {
    let mut users: HashMap<&str, Vec<String>> = HashMap::new();
    for line in captures.get(MOUNTS).unwrap_or_default().lines() {
        let mut words = line.split(' ');
        if let (Some(device), Some(place)) = (words.next(), words.next()) {
            users.entry(device).or_default().push(unescaped(place));
        }
    }
    for line in captures.get(SWAPS).unwrap_or_default().lines() {
        if let Some(device) = line.split_whitespace().next() {
            users.entry(device).or_default().push(SWAP.to_owned());
        }
    }
    users
}

/// Undoes what `mangle()` of the kernel's fs/seq_file.c does to blanks, tabs, line feeds, backslashes and `#`: `\040` and so on.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok()).filter(u8::is_ascii);
        let used = if let Some(byte) = code {
            out.push(char::from(byte));
            4
        } else {
            out.push('\\');
            1
        };
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    out
}
