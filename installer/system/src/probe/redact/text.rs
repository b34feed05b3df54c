//! Captures in lines.

use std::collections::BTreeMap;

use super::names::{Kind, Names};
use crate::tools::mount::{Mount, parse_mounts};

/// Lines of `text` as `line` makes them; those that it makes nothing of are left out.
fn lines(text: &str, line: impl FnMut(&str) -> Option<String>) -> String {
    text.lines().filter_map(line).map(|line| line + "\n").collect()
}

/// udev's properties that the probe reads.
pub(super) fn udevadm(text: &str, names: &mut Names) -> String {
    lines(text, |line| {
        let (name, value) = line.split_once('=')?;
        let value = match name {
            "DEVPATH" | "DEVNAME" | "ID_MODEL" | "ID_REVISION" => value.to_owned(),
            "ID_SCSI_SERIAL" | "ID_SERIAL_SHORT" => names.of(Kind::Serial, value),
            "ID_WWN" | "ID_WWN_WITH_EXTENSION" => names.of(Kind::Wwn, value),
            _ => return None,
        };
        Some(format!("{name}={value}"))
    })
}

/// Of mdadm what is read of it.
pub(super) fn mdadm(text: &str, names: &mut Names) -> String {
    lines(text, |line| {
        if line.starts_with("/dev/") || line.trim().starts_with("this ") {
            return Some(line.to_owned());
        }
        let (name, value) = line.split_once(" : ")?;
        let value = match name.trim() {
            // libblkid writes the same digits with dashes.
            "Array UUID" | "UUID" => names.of(Kind::Uuid, &dashed(value.split_whitespace().next()?)),
            "Name" => names.label(value.split("  ").next()?.trim()),
            "Raid Level" | "Raid Devices" | "Device Role" => value.to_owned(),
            _ => return None,
        };
        Some(format!("{name} : {value}"))
    })
}

/// `b13f06e4:fe97c835:e5205e2b:e834d0df` as libblkid writes it.
fn dashed(uuid: &str) -> String {
    let digits = uuid.chars().filter(|c| *c != ':').enumerate();
    let mut out = String::new();
    for (at, digit) in digits {
        if [8, 12, 16, 20].contains(&at) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

/// Values of /sys; names of NVM subsystems are names of drives.
pub(super) fn attributes(text: &str, names: &mut Names) -> String {
    lines(text, |line| {
        let (path, value) = line.split_once(' ')?;
        match path.rsplit('/').next()? {
            "subsysnqn" => Some(format!("{path} {}", names.of(Kind::Subsystem, value))),
            "serial" => None,
            "uevent" => Some(format!("{path} -")),
            _ => Some(line.to_owned()),
        }
    })
}

/// Sectors without the code before the table, in which a disk's number is too.
pub(super) fn mbr(text: &str) -> String {
    // The table's offset (UEFI 2.10, 5.2.1).
    const TABLE: usize = 446;
    lines(text, |line| {
        let (device, hex) = line.split_once(": ")?;
        let bytes: Vec<&str> =
            hex.split(' ').enumerate().map(|(at, byte)| if at < TABLE { "00" } else { byte }).collect();
        Some(format!("{device}: {}", bytes.join(" ")))
    })
}

/// File systems of block devices.
pub(super) fn mounts(text: &str, nodes: &BTreeMap<String, String>, names: &mut Names) -> String {
    let mut line = |mount: Mount| {
        let node = nodes.get(&mount.source)?;
        Some(format!("{node} {} {} - 0 0\n", names.mount_point(&mount.point), mount.kind))
    };
    parse_mounts(text).into_iter().filter_map(&mut line).collect()
}

/// Swap on block devices.
pub(super) fn swaps(text: &str, nodes: &BTreeMap<String, String>) -> String {
    lines(text, |line| {
        let (device, rest) = line.split_once(char::is_whitespace)?;
        nodes.get(device).map(|node| format!("{node} {}", rest.trim()))
    })
}

/// The release alone: a kernel that somebody built says where.
pub(super) fn kernel(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    words.join(" ") + "\n"
}

/// The kernel's log, as the probe keeps it: its first line says who built it, and where.
pub(super) fn log(text: &str) -> String {
    lines(text, |line| Some(if line.contains("Linux version") { line.split(" (").next()? } else { line }.to_owned()))
}

/// Parameters that say how the installer runs, and none that say where.
pub(super) fn cmdline(text: &str) -> String {
    const KEPT: [&str; 6] = ["sovereign.mode", "sovereign.toram", "console", "mem_encrypt", "quiet", "loglevel"];
    let words = text.split_whitespace().filter(|word| KEPT.contains(&word.split('=').next().unwrap_or_default()));
    words.collect::<Vec<_>>().join(" ") + "\n"
}

/// A file of an interface, `NAME/FILE`, and its text. The names of some interfaces are their address.
pub(super) fn interface(path: &str, text: &str, names: &mut Names) -> Option<(String, String)> {
    let (name, file) = path.split_once('/')?;
    let text = match file {
        "address" => names.of(Kind::Mac, text) + "\n",
        // It has the interface's name too.
        "uevent" => lines(text, |line| line.starts_with("DEVTYPE=").then(|| line.to_owned())),
        "type" | "carrier" | "speed" | "device/driver" => text.to_owned(),
        _ => return None,
    };
    let digits =
        name.strip_prefix("enx").filter(|rest| rest.len() == 12 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    let name = match digits {
        Some(digits) => {
            let bytes: Vec<&str> = (0..6).filter_map(|byte| digits.get(2 * byte..2 * byte + 2)).collect();
            format!("enx{}", names.of(Kind::Mac, &bytes.join(":")).replace(':', ""))
        }
        None => name.to_owned(),
    };
    Some((format!("{name}/{file}"), text))
}

/// Of what an ATA disk says of itself, the section `Security:`, up to the next one.
pub(super) fn identify(text: &str) -> String {
    let from = text.lines().skip_while(|line| line.trim() != "Security:");
    let section = from.enumerate().take_while(|(at, line)| *at == 0 || line.starts_with(char::is_whitespace));
    section.map(|(_, line)| format!("{line}\n")).collect()
}
