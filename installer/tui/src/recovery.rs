//! The recovery key, and the sheet that it is on.

use sovereign_model::plan::Plan;
use zeroize::Zeroizing;

/// One letter for each four bits: those that are at the same place on Latin keyboards (the alphabet of YubiKeys, "modhex"), so that the key can be typed whatever layout is
/// loaded.
const LETTERS: &[u8; 16] = b"cbdefghijklnrtuv";
/// Letters between two hyphens.
const GROUP: usize = 4;

/// The key of 128 random bits: eight groups of four letters.
pub(crate) fn key(bytes: &[u8; 16]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (index, half) in halves.enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(half)]));
    }
    text
}

/// The sheet for the safe: which machine, which disks, and the key.
pub(crate) fn sheet(plan: &Plan, key: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let site = &plan.site.site;
    for line in [
        "RECOVERY SHEET - keep it in a safe, not with the machine",
        "",
        &format!("Machine       {} ({})", site.fqdn, site.name),
        &format!("Plan          {}", plan.hash().get(..16).unwrap_or_default()),
    ] {
        text.push_str(line);
        text.push('\n');
    }
    for (index, container) in plan.containers.iter().enumerate() {
        let head = if index == 0 { "Opens         " } else { "              " };
        text.push_str(&format!("{head}{}\n", container.name));
    }
    for (index, disk) in plan.disks.iter().enumerate() {
        let head = if index == 0 { "Disks         " } else { "              " };
        let id = disk.id.serial.as_ref().or(disk.id.wwn.as_ref()).map_or("-", String::as_str);
        text.push_str(&format!("{head}{id}  {}  {}\n", disk.id.size, disk.model));
    }
    for line in ["", "Recovery key", "", "    "] {
        text.push_str(line);
        if !line.trim().is_empty() || line.is_empty() {
            text.push('\n');
        }
    }
    text.push_str(key);
    text.push_str(
        "\n\nType it with its hyphens where the machine asks for the passphrase.\nIt has small letters alone.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_model::Passphrase;

    #[test]
    fn a_key_is_eight_groups_of_letters_that_every_keyboard_has() {
        let bytes = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff, 0, 0, 0, 0, 0, 0, 0xf0];
        let key = key(&bytes);
        assert_eq!(*key, "cbde-fghi-jkln-rtuv-vvcc-cccc-cccc-ccvc");
        assert!(Passphrase::from_line(key.as_bytes().to_vec()).is_ok());
    }
}
