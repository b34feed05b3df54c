//! The inventory for people: plain ASCII, at most 80 columns.

use std::fmt::Write as _;

use sovereign_model::inventory::{Class, Content, Correction, Disk, Ecc, Firmware, Inventory, Nic};
use sovereign_model::memory_encryption::MemoryEncryption;
use sovereign_model::plan::transport_name;

/// Longest line, in columns: a serial console.
const WIDTH: usize = 80;
/// Where what is said of a disk begins.
const INDENT: &str = "            ";

/// A report of the machine, each line ended by a line feed.
pub fn describe(inventory: &Inventory) -> String {
    let mut lines = vec![
        format!("Machine    {} {}", inventory.machine.vendor, inventory.machine.product),
        format!("Processor  {} x {} ({})", inventory.cpu.threads, inventory.cpu.model, inventory.cpu.vendor),
        format!(
            "Memory     {} ({} bytes){}",
            inventory.memory,
            inventory.memory.exact(),
            encryption(inventory.memory_encryption.as_ref())
        ),
        format!("ECC        {}", inventory.ecc.map_or_else(|| "unknown".to_owned(), ecc)),
        format!("Firmware   {}", firmware(inventory.firmware)),
    ];
    if !inventory.machine.bios.is_empty() {
        lines.push(format!("           {}", inventory.machine.bios));
    }
    lines.extend([
        format!("TPM        {}", tpm(inventory)),
        format!("Kernel     {}", inventory.kernel),
        String::new(),
        "Network".to_owned(),
    ]);
    lines.extend(inventory.nics.iter().map(nic));
    if inventory.nics.is_empty() {
        lines.push("  no wired interface".to_owned());
    }
    lines.push(String::new());
    lines.push("Disks".to_owned());
    for disk in &inventory.disks {
        lines.extend(self::disk(disk));
    }
    if inventory.disks.is_empty() {
        lines.push("  none".to_owned());
    }
    let mut out = String::new();
    for line in lines {
        out.push_str(fitted(&line).trim_end());
        out.push('\n');
    }
    out
}

/// At most [`WIDTH`] columns of printable ASCII: serial numbers and labels come from outside.
fn fitted(line: &str) -> String {
    let plain = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' };
    let mut out: String = line.chars().take(WIDTH).map(plain).collect();
    if line.chars().count() > WIDTH {
        out.truncate(WIDTH - 3);
        out.push_str("...");
    }
    out
}

fn ecc(ecc: Ecc) -> String {
    let corrects = match ecc.correction {
        Correction::None => "none: errors of the RAM go unnoticed",
        Correction::Detection => "errors are noticed, not corrected",
        Correction::SingleBit => "corrects single bits",
        Correction::MultiBit => "corrects several bits",
    };
    let counted = |count: Option<u64>, what: &str| count.map(|count| format!("; {count} {what}")).unwrap_or_default();
    format!(
        "{corrects}{}{}",
        counted(ecc.corrected_errors, "corrected"),
        counted(ecc.uncorrected_errors, if ecc.uncorrected_errors == Some(0) { "uncorrected" } else { "UNCORRECTED" })
    )
}

fn tpm(inventory: &Inventory) -> &'static str {
    match inventory.tpm.as_ref().map(|tpm| tpm.version) {
        Some(Some(2)) => "2.0",
        Some(Some(1)) => "1.2",
        Some(_) => "of unknown version",
        None if inventory.tpm2 => "2.0",
        None => "none",
    }
}

const fn firmware(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "BIOS",
        Firmware::Uefi { secure_boot: None } => "UEFI, Secure Boot unknown",
        Firmware::Uefi { secure_boot: Some(false) } => "UEFI, Secure Boot off",
        Firmware::Uefi { secure_boot: Some(true) } => "UEFI, Secure Boot on",
    }
}

/// Whether it is encrypted, where somebody looked.
fn encryption(found: Option<&MemoryEncryption>) -> String {
    let Some(found) = found else { return String::new() };
    format!(", encryption: {}{}", found.state, if found.virtualised { " (virtual)" } else { "" })
}

fn nic(nic: &Nic) -> String {
    let link = match nic.link {
        Some(true) => "link",
        Some(false) => "no link",
        None => "down",
    };
    let speed = nic.speed_mbps.map(|mbps| format!(" {mbps} Mbit/s")).unwrap_or_default();
    format!("  {:<15} {}  {:<12} {link}{speed}", nic.name, nic.mac, nic.driver)
}

fn disk(disk: &Disk) -> Vec<String> {
    let spins = if disk.rotational { "HDD" } else { "SSD" };
    let head = format!(
        "  {:<9} {:>8} {:>22} {:<7} {spins} {}/{} {}",
        disk.kernel_name,
        disk.size.to_string(),
        format!("({} B)", disk.size.exact()),
        transport_name(disk.transport),
        disk.logical_sector,
        disk.physical_sector,
        disk.model,
    );
    let serial = disk.serial.as_deref().unwrap_or("none");
    let revision = disk.firmware.as_deref().map(|revision| format!(", firmware {revision}")).unwrap_or_default();
    let mut notes = vec![format!("serial {serial}{revision}")];
    if let Some(wwn) = &disk.wwn {
        let both = format!("{}, WWN {wwn}", notes[0]);
        // The name of an NVMe namespace can be longer than a line.
        if both.chars().count() <= WIDTH - INDENT.len() { notes[0] = both } else { notes.push(format!("WWN {wwn}")) }
    }
    for (is, note) in [
        (disk.boot_medium, "INSTALLATION OR ANSWER MEDIUM, never a target"),
        (disk.read_only, "read-only"),
        (disk.removable, "removable"),
    ] {
        if is {
            notes.push(note.to_owned());
        }
    }
    if !is_plain(&disk.class) {
        notes.push(disk.class.to_string());
    }
    notes.extend(disk.health.as_ref().map(ToString::to_string));
    if !disk.in_use.is_empty() {
        notes.push(format!("in use: {}", disk.in_use.join(" ")));
    }
    match &disk.contents {
        Some(known) => notes.extend(contents(disk, known)),
        None => notes.push("CONTENTS UNKNOWN, they could not be read (not root?)".to_owned()),
    }
    notes.extend(disk.belongs.iter().map(|owner| format!("holds {owner}")));
    let mut lines = vec![head];
    for note in &notes {
        lines.extend(wrapped(note));
    }
    lines
}

/// Whether a class is what everybody takes a disk for.
const fn is_plain(class: &Class) -> bool {
    matches!(class, Class::Ordinary | Class::NvmeNamespace { of: 1, .. })
}

/// A note in lines of a disk, broken at blanks; what follows the first line stands a little further in.
fn wrapped(note: &str) -> Vec<String> {
    let mut lines = vec![INDENT.to_owned()];
    for word in note.split(' ') {
        let full =
            |line: &String| line.len() > INDENT.len() + 2 && line.chars().count() + 1 + word.chars().count() > WIDTH;
        match lines.last_mut().filter(|line| !full(line)) {
            Some(line) if line.ends_with(' ') && line.trim().is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(format!("{INDENT}  {word}")),
        }
    }
    lines
}

/// One line for the whole disk and for each partition, in their order. A signature with several magics (both ends of a GPT) once.
fn contents(disk: &Disk, contents: &[Content]) -> Vec<String> {
    if contents.is_empty() {
        return vec!["no signature found".to_owned()];
    }
    let mut lines: Vec<(Option<u32>, Vec<String>)> = Vec::new();
    for content in contents {
        let mut text = content.kind.clone();
        if let Some(label) = &content.label {
            // Writing to a String cannot fail.
            let _ = write!(text, " \"{label}\"");
        }
        if let Some(mbr) = disk.mbr().filter(|_| content.is_mbr()) {
            let _ = write!(text, " ({mbr})");
        }
        if lines.last().is_none_or(|(partition, _)| *partition != content.partition) {
            lines.push((content.partition, Vec::new()));
        }
        if let Some((_, texts)) = lines.last_mut().filter(|(_, texts)| !texts.contains(&text)) {
            texts.push(text);
        }
    }
    let place = |partition: Option<u32>| partition.map_or("disk".to_owned(), |number| format!("part {number}"));
    lines.into_iter().map(|(partition, texts)| format!("{:<8} {}", place(partition), texts.join(", "))).collect()
}
