//! Error correction of the RAM: what the firmware says (`dmidecode --type 16`), and what EDAC drivers count.

use std::collections::HashMap;

use sovereign_model::inventory::{Correction, Ecc};

/// `dmidecode` of the physical memory arrays, and values of /sys by their path below it.
pub(super) fn parse(dmi: &str, attributes: &HashMap<&str, &str>) -> Option<Ecc> {
    let total = |file: &str| {
        let counts =
            attributes.iter().filter(|(path, _)| path.starts_with("devices/system/edac/mc/") && path.ends_with(file));
        counts.filter_map(|(_, value)| value.parse::<u64>().ok()).reduce(u64::saturating_add)
    };
    let correction = edac(attributes).or_else(|| firmware(dmi))?;
    Some(Ecc { correction, corrected_errors: total("/ce_count"), uncorrected_errors: total("/ue_count") })
}

/// What is worst among the system's memory arrays. Caches and video memory have arrays of their own.
fn firmware(dmi: &str) -> Option<Correction> {
    let arrays = dmi.split("Physical Memory Array").skip(1);
    let field = |array: &str, name: &str| {
        array.lines().find_map(|line| Some(line.trim().strip_prefix(name)?.strip_prefix(": ")?.trim().to_owned()))
    };
    let system = arrays.filter(|array| field(array, "Use").is_none_or(|used_for| used_for == "System Memory"));
    let words = |array: &str| match field(array, "Error Correction Type")?.as_str() {
        "None" => Some(Correction::None),
        "Parity" | "CRC" => Some(Correction::Detection),
        "Single-bit ECC" => Some(Correction::SingleBit),
        "Multi-bit ECC" => Some(Correction::MultiBit),
        _ => None,
    };
    system.filter_map(words).min()
}

/// What the memory controllers do, by the words of the kernel's `edac_caps` (drivers/edac/edac_mc.c).
fn edac(attributes: &HashMap<&str, &str>) -> Option<Correction> {
    let modes = attributes.iter().filter(|(path, _)| path.ends_with("/dimm_edac_mode"));
    let words = |mode: &str| match mode {
        "None" => Some(Correction::None),
        "PARITY" | "EC" => Some(Correction::Detection),
        "SECDED" => Some(Correction::SingleBit),
        "S2ECD2ED" | "S4ECD4ED" | "S8ECD8ED" | "S16ECD16ED" => Some(Correction::MultiBit),
        _ => None,
    };
    modes.filter_map(|(_, mode)| words(mode)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    // dmidecode 3.6: `dmidecode --quiet --type 16`, in QEMU 7.2.
    const QEMU: &str = include_str!("ecc/qemu.txt");

    #[test]
    fn the_firmware_says_what_memory_can_correct() {
        let none = HashMap::new();
        let ecc = |correction| Some(Ecc { correction, corrected_errors: None, uncorrected_errors: None });
        assert_eq!(parse(QEMU, &none), ecc(Correction::MultiBit));
        for (word, wanted) in [
            ("None", ecc(Correction::None)),
            ("Single-bit ECC", ecc(Correction::SingleBit)),
            ("CRC", ecc(Correction::Detection)),
            ("Unknown", None),
        ] {
            assert_eq!(parse(&QEMU.replace("Multi-bit ECC", word), &none), wanted, "{word}");
        }
        assert_eq!(parse("", &none), None);
        let video = QEMU.replace("Multi-bit ECC", "None").replace("System Memory", "Video Memory");
        assert_eq!(parse(&format!("{video}{QEMU}"), &none), ecc(Correction::MultiBit));
    }

    #[test]
    fn errors_of_all_memory_controllers_are_added_up() {
        let attributes = HashMap::from([
            ("devices/system/edac/mc/mc0/ce_count", "3"),
            ("devices/system/edac/mc/mc1/ce_count", "4"),
            ("devices/system/edac/mc/mc0/ue_count", "0"),
            ("devices/system/edac/mc/mc0/rank0/dimm_edac_mode", "SECDED"),
            ("devices/system/edac/mc/mc1/rank0/dimm_edac_mode", "S4ECD4ED"),
        ]);
        let ecc = Ecc { correction: Correction::SingleBit, corrected_errors: Some(7), uncorrected_errors: Some(0) };
        assert_eq!(parse(QEMU, &attributes), Some(ecc));
    }
}
