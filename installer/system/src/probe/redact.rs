//! Captures to show to others: what tells one machine from another of its kind is replaced by stand-ins, the same in every
//! capture, in the order of what they stand for. The same plan comes out, with the same classes of disks.
//!
//! Of each capture only what is known is kept, line by line or field by field: a field that a later version of a tool adds, and a
//! capture that nothing here knows, are left out.

mod json;
mod names;
mod text;

use super::capture::{
    ATTRIBUTES, BLOCK_PATHS, CPUINFO, DMI_MEMORY, EARLIER, EFI, KERNEL, LOOKED_AT, LSBLK, MBR, MDADM, MEDIUM_DEV,
    MEMINFO, MOUNTS, NET, PVS, SMARTCTL, SWAPS, TPM_VERSION, UDEVADM, WIPEFS,
};
use super::captures::{Captures, REMARKS};
use names::Names;

/// Captures in which nothing names one machine, and folders of them.
const KEPT: [&str; 10] = [
    CPUINFO,
    MEMINFO,
    "proc/mdstat",
    DMI_MEMORY,
    TPM_VERSION,
    MEDIUM_DEV,
    LOOKED_AT,
    BLOCK_PATHS,
    "versions.txt",
    "cpuid.txt",
];
const KEPT_BELOW: [&str; 5] = [EFI, "sys/class/dmi/id/", "sys/devices/system/cpu/", "sys/bus/pci/devices/", "msr/"];

/// The captures without serial numbers, WWNs, MAC addresses, UUIDs, IP addresses, names of hosts, sites, labels and mount points.
#[must_use]
pub fn redact(captures: &Captures) -> Captures {
    // What is found in the first run is numbered for the second.
    let mut names = Names::default();
    rewrite(captures, &mut names);
    names.number();
    let mut redacted = rewrite(captures, &mut names);
    if let Some(remarks) = captures.get(REMARKS) {
        // What a program said may name what nothing else here does.
        let commands: String = remarks.lines().map(|line| format!("{}\n", without_output(line))).collect();
        redacted.insert(REMARKS, names.swept(&commands));
    }
    redacted
}

/// Of a remark on a program that failed, the program and its exit code.
fn without_output(remark: &str) -> &str {
    const CODE: &str = "ended with exit code ";
    let Some(at) = remark.find(CODE) else { return remark };
    let digits = remark[at + CODE.len()..].chars().take_while(char::is_ascii_digit).count();
    &remark[..at + CODE.len() + digits]
}

fn rewrite(captures: &Captures, names: &mut Names) -> Captures {
    let mut out = Captures::default();
    let nodes = json::paths(captures.get(LSBLK).unwrap_or_default());
    for (path, text) in captures.iter() {
        let text = match path {
            LSBLK => json::lsblk(text, names),
            WIPEFS => json::wipefs(text, names),
            PVS => json::pvs(text, names),
            SMARTCTL => json::smartctl(text),
            EARLIER => json::earlier(text, names),
            UDEVADM => text::udevadm(text, names),
            MDADM => text::mdadm(text, names),
            ATTRIBUTES => text::attributes(text, names),
            MBR => text::mbr(text),
            MOUNTS => text::mounts(text, &nodes, names),
            SWAPS => text::swaps(text, &nodes),
            KERNEL => text::kernel(text),
            "proc/cmdline" => text::cmdline(text),
            // Lines about encryption alone, and the kernel's first one.
            "dmesg.txt" => text::log(text),
            drive if drive.starts_with("nvme/") && drive.ends_with("/id-ctrl.json") => json::id_ctrl(text),
            // It has no names, but that of the kernel.
            drive if drive.starts_with("nvme/") && drive.ends_with("/sanitize-log.json") => text.to_owned(),
            disk if disk.starts_with("ata/") && disk.ends_with("/identify.txt") => text::identify(text),
            kept if KEPT.contains(&kept) || KEPT_BELOW.iter().any(|folder| kept.starts_with(folder)) => text.to_owned(),
            net => {
                if let Some((path, text)) = net.strip_prefix(NET).and_then(|rest| text::interface(rest, text, names)) {
                    out.insert(format!("{NET}{path}"), text);
                }
                continue;
            }
        };
        out.insert(path, text);
    }
    out
}

#[cfg(test)]
mod tests;
