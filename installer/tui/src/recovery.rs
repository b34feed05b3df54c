//! The recovery key, and the sheet that it is on.

use sovereign_model::plan::{Plan, pool_name};
use zeroize::Zeroizing;

use crate::run::Run;
use crate::state::Known;

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

/// What stands on the sheet in the place of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// There is none.
    None,
    /// There is one, and it is not shown.
    Hidden,
    /// The key.
    Key(&'a str),
}

/// The sheet for the safe: which machine, which disks, how they are opened, and the key. Lines have at most 78 columns where the names in them allow it.
pub(crate) fn sheet(plan: &Plan, run: &Run, known: &Known, key: Shown<'_>) -> Zeroizing<String> {
    let head = format!(
        "{}\n{}\n{}\n{HOW}\n{}\n\nRecovery key\n",
        whose(plan, run, known),
        disks(plan),
        containers(plan, run),
        by_hand(plan, run)
    );
    let (key, after) = match key {
        Shown::None => ("none was made: the passphrase is the only way to the data", ""),
        Shown::Hidden => (HIDDEN, ""),
        Shown::Key(key) => (key, TYPE_IT),
    };
    // It never grows beyond this: a string that moves leaves a copy of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(head.len() + key.len() + after.len() + 3));
    for part in [head.as_str(), "  ", key, "\n", after] {
        text.push_str(part);
    }
    text
}

/// Stands for a key that is not shown.
const HIDDEN: &str = "************************ (v shows it)";
const TYPE_IT: &str = "  Type it with its hyphens where the machine asks for the passphrase.\n";
const HOW: &str = "\
To unlock
  At each start the machine asks for the passphrase. The recovery key, where
  one was made, is a second passphrase. luks-hdd, where there is one, then
  opens by a key file inside of luks-ssd, and by the same passphrases.

To rescue
  Start the machine from the installation medium, open a shell there, and run
    sovereign-installer rescue
  It starts the arrays, asks for the passphrase and mounts the system at
  /target. By hand, on any Linux with mdadm, cryptsetup and LVM:
    mdadm --assemble --scan";

/// One below the other, the first behind the head.
fn listed(head: &str, lines: impl Iterator<Item = String>) -> String {
    let rows = lines.enumerate().map(|(index, text)| format!("{:<13} {text}\n", if index == 0 { head } else { "" }));
    rows.collect()
}

fn whose(plan: &Plan, run: &Run, known: &Known) -> String {
    let site = &plan.site.site;
    let id = if run.install_id.is_empty() { "unknown" } else { &run.install_id };
    [
        ("Host", site.fqdn.clone()),
        ("Site", site.name.clone()),
        ("Appliance", format!("{}, {}", known.version, known.edition)),
        ("Installation", id.to_owned()),
        ("Plan", plan.hash()),
    ]
    .into_iter()
    .fold("RECOVERY SHEET: keep it in a safe, away from the machine\n\n".to_owned(), |text, (head, value)| {
        text + &format!("{head:<13} {value}\n")
    })
}

fn disks(plan: &Plan) -> String {
    let each = plan.disks.iter().map(|disk| {
        let id = disk.id.serial.as_ref().or(disk.id.wwn.as_ref()).map_or("no serial", String::as_str);
        let size = disk.id.size.to_string();
        format!("{}  {size:>7}  {id:<20}  {}", pool_name(disk.pool), disk.model)
    });
    listed("Disks", each)
}

fn containers(plan: &Plan, run: &Run) -> String {
    let each = plan.containers.iter().map(|container| {
        let uuid = run.uuid(&container.name).map_or("UUID unknown".to_owned(), |uuid| format!("UUID {uuid}"));
        format!("{:<10}  {uuid}", container.name)
    });
    listed("Containers", each)
}

/// The commands that open this machine's containers, and mount it.
fn by_hand(plan: &Plan, run: &Run) -> String {
    let open = plan.containers.iter().map(|container| {
        let name = &container.name;
        // Its name is its label too.
        let device = run.uuid(name).map_or_else(|| format!("/dev/disk/by-label/{name}"), |uuid| format!("UUID={uuid}"));
        format!("    cryptsetup open {device} {name}\n")
    });
    let commands: String = open.collect();
    commands + "    vgchange --activate y\n    mount /dev/pve/root /target"
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
