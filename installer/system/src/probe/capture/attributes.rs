//! Single values of /sys: of disks, of what they are attached to, and of memory controllers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{ATTRIBUTES, Taker};

/// Attributes, below /sys, where `*` is any name. No file here talks to a device when it is read.
const WANTED: [&str; 19] = [
    "block/*/nsid",
    "block/*/device/type",
    "block/*/device/firmware_rev",
    "block/*/device/fwrev",
    "class/nvme/*/subsysnqn",
    "class/nvme/*/serial",
    "class/nvme-subsystem/*/subsysnqn",
    "class/scsi_host/*/proc_name",
    "class/scsi_device/*/device/type",
    "class/scsi_device/*/device/vendor",
    "class/scsi_device/*/device/model",
    "bus/mmc_rpmb/devices/*/uevent",
    "bus/pci/devices/*/subsystem_vendor",
    "bus/pci/devices/*/driver",
    "devices/system/edac/mc/*/ce_count",
    "devices/system/edac/mc/*/ue_count",
    "devices/system/edac/mc/*/mc_name",
    "devices/system/edac/mc/*/rank0/dimm_edac_mode",
    "devices/system/edac/mc/*/dimm0/dimm_edac_mode",
];
/// Longest value that is kept, in bytes.
const MAX_VALUE: u64 = 4096;

/// Lines `PATH VALUE`, the path below /sys. Of PCI devices those that block devices hang below.
pub(super) fn take(taker: &mut Taker<'_>) {
    let paths = taker.captures.get(super::BLOCK_PATHS).unwrap_or_default().to_owned();
    let mut text = String::new();
    for pattern in WANTED {
        for path in matching(taker, pattern) {
            let device = path.strip_prefix("bus/pci/devices/").and_then(|rest| rest.split('/').next());
            if device.is_some_and(|device| !paths.contains(&format!("/{device}/"))) {
                continue;
            }
            if let Some(value) = value(taker, &format!("sys/{path}")) {
                let _ = writeln!(text, "{path} {value}");
            }
        }
    }
    if !text.is_empty() {
        taker.captures.insert(ATTRIBUTES, text);
    }
}

/// What is in a file, in one line, or where a link points to; nothing where that is nothing.
fn value(taker: &Taker<'_>, path: &str) -> Option<String> {
    let link = fs::read_link(taker.at(path)).ok();
    let value = match link.as_deref().and_then(Path::file_name) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => String::from_utf8_lossy(&taker.bytes(path, MAX_VALUE).ok()?).into_owned(),
    };
    let value: Vec<&str> =
        value.split(|c: char| c.is_whitespace() || c == '\0').filter(|word| !word.is_empty()).collect();
    (!value.is_empty()).then(|| value.join(" "))
}

/// Paths below /sys that are like `pattern`, sorted.
fn matching(taker: &Taker<'_>, pattern: &str) -> Vec<String> {
    let Some((before, after)) = pattern.split_once("/*/") else { return Vec::new() };
    let names = taker.list(&format!("sys/{before}"));
    let paths = names.iter().map(|name| format!("{before}/{name}/{after}"));
    paths.filter(|path| fs::metadata(taker.at(&format!("sys/{path}"))).is_ok()).collect()
}
