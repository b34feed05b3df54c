//! Inventories from captures of real (emulated) machines; `captures/README.md` says how they were taken.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::{Disk, Firmware, Inventory, Transport};
use sovereign_model::plan;
use sovereign_model::site::{Site, parse::parse};
use sovereign_system::probe::{self, Captures, ProbeError};

/// Machines without a site of their own.
const REFERENCE: [&str; 4] = ["reference-empty", "reference-installed", "reference-installed-open", "mixed"];
/// Machines with a site of the same name in `captures-sites`.
const PLANNED: [&str; 10] = [
    "ceph-osds",
    "dell-perc",
    "earlier-install",
    "emmc-box",
    "hpe-smart-array",
    "nas-degraded",
    "nvme-namespaces",
    "proxmox-zfs",
    "sas-multipath",
    "usb-duplicates",
];

fn machines() -> Vec<&'static str> {
    [&REFERENCE[..], &PLANNED].concat()
}

fn folder(machine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(machine)
}

fn load(machine: &str) -> Inventory {
    probe::load_inventory(&folder(machine)).unwrap()
}

fn site(machine: &str) -> Site {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures-sites").join(format!("{machine}.toml"));
    parse(&fs::read_to_string(path).unwrap(), machine).unwrap()
}

fn disk<'a>(inventory: &'a Inventory, serial: &str) -> &'a Disk {
    inventory.disks.iter().find(|disk| disk.serial.as_deref() == Some(serial)).unwrap()
}

/// What a disk carries, as `PARTITION KIND LABEL`.
fn contents(disk: &Disk) -> Vec<String> {
    let label = |label: &Option<String>| label.as_ref().map(|l| format!(" {l}")).unwrap_or_default();
    let part = |number: Option<u32>| number.map_or("-".to_owned(), |n| n.to_string());
    disk.contents.iter().flatten().map(|c| format!("{} {}{}", part(c.partition), c.kind, label(&c.label))).collect()
}

#[test]
fn inventories_and_reports_are_as_agreed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("captures-snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        for machine in machines() {
            let inventory = load(machine);
            insta::assert_snapshot!(format!("{machine}-inventory"), serde_json::to_string_pretty(&inventory).unwrap());
            insta::assert_snapshot!(format!("{machine}-report"), probe::report::describe(&inventory));
        }
    });
}

/// A plan to the byte, or why there is none, for each machine that has a site.
#[test]
fn plans_and_refusals_are_as_agreed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("captures-snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| {
        for machine in PLANNED {
            let text = match plan::make(&site(machine), &load(machine)) {
                Ok(plan) => plan.tree(),
                Err(refusal) => refusal.to_string(),
            };
            insta::assert_snapshot!(format!("{machine}-plan"), text);
        }
    });
}

#[test]
fn a_folder_gives_the_inventory_that_was_saved_with_it() {
    for machine in machines() {
        let file = folder(machine).join(probe::INVENTORY_FILE);
        assert_eq!(probe::load_inventory(&file).unwrap(), load(machine), "{machine}");
    }
}

#[test]
fn the_reference_machine_is_seen_to_the_byte() {
    let inventory = load("reference-empty");
    assert_eq!(inventory.firmware, Firmware::Uefi { secure_boot: Some(false) });
    assert_eq!(inventory.cpu.threads, 2);
    for serial in ["NVME-000", "NVME-001"] {
        let nvme = disk(&inventory, serial);
        assert_eq!((nvme.size, nvme.transport, nvme.rotational), (Bytes(512_110_190_592), Transport::Nvme, false));
        assert!(nvme.contents == Some(Vec::new()) && nvme.in_use.is_empty() && !nvme.boot_medium);
    }
    for serial in ["HDD-000", "HDD-001", "HDD-002", "HDD-003"] {
        let hdd = disk(&inventory, serial);
        assert_eq!((hdd.size, hdd.transport, hdd.rotational), (Bytes(6_001_175_126_016), Transport::Sata, true));
        assert_eq!((hdd.logical_sector, hdd.physical_sector), (512, 4096));
    }
    let media: Vec<_> = inventory.disks.iter().filter(|disk| disk.boot_medium).map(|d| d.serial.as_deref()).collect();
    assert_eq!(media, [Some("USB-MEDIUM")]);
    assert_eq!(inventory.disks.len(), 7);
}

#[test]
fn an_earlier_installation_is_seen_and_free() {
    let inventory = load("reference-installed");
    let nvme = disk(&inventory, "NVME-000");
    // wipefs lists each magic number it would erase: two of a GPT, three of a FAT.
    assert_eq!(
        contents(nvme),
        [
            "- gpt",
            "- gpt",
            "- PMBR",
            "2 vfat ESP0",
            "2 vfat ESP0",
            "2 vfat ESP0",
            "3 linux_raid_member sovereign:boot",
            "4 linux_raid_member sovereign:ssd",
        ]
    );
    // The backup GPT's header is in the last sector.
    assert_eq!(nvme.contents.as_ref().unwrap()[1].offset, Bytes(512_110_190_592 - 512));
    assert!(inventory.disks.iter().all(|disk| disk.in_use.is_empty() || disk.boot_medium));
}

#[test]
fn what_is_mounted_above_arrays_and_containers_is_in_use() {
    let inventory = load("reference-installed-open");
    let root = ["/target", "/target/boot", "/target/boot/efi", "[SWAP]"];
    assert_eq!(disk(&inventory, "NVME-000").in_use, root);
    assert_eq!(disk(&inventory, "NVME-001").in_use, ["/target", "/target/boot", "/target/with blank", "[SWAP]"]);
    assert!(disk(&inventory, "HDD-000").in_use.is_empty());
}

#[test]
fn the_transport_of_each_kind_of_controller_is_known() {
    let inventory = load("mixed");
    let seen: Vec<_> = inventory.disks.iter().map(|d| (d.serial.as_deref().unwrap_or("-"), d.transport)).collect();
    for wanted in [
        ("VBLK-A", Transport::Virtio),
        ("VSCSI-A", Transport::Virtio),
        ("SAS-A", Transport::Sas),
        ("MEGA-A", Transport::Scsi),
        ("ANSWER-STICK", Transport::Usb),
        ("0xdeadbeef", Transport::Mmc),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} is not in {seen:?}");
    }
    // Neither the CD drive nor the loop device.
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert_eq!(disk(&inventory, "VSCSI-A").logical_sector, 4096);
    assert!(disk(&inventory, "VBLK-RO").read_only);
    assert!(disk(&inventory, "ANSWER-STICK").boot_medium);
}

/// Every read of this disk ends in an error: it is listed with unknown contents, the others keep theirs, and a remark names it.
#[test]
fn a_disk_that_cannot_be_read_is_listed_and_remarked_on() {
    let captures = Captures::load(&folder("mixed")).unwrap();
    let inventory = load("mixed");
    let unknown: Vec<_> = inventory.disks.iter().filter(|disk| disk.contents.is_none()).map(Disk::path).collect();
    let bad = disk(&inventory, "VBLK-BAD").path();
    assert_eq!(unknown, [bad.as_str()]);
    let remarks: Vec<&str> = captures.remarks().collect();
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].contains(&format!("{bad}'")), "{remarks:?}");
}

#[test]
fn no_capture_holds_the_secret_of_the_command_line() {
    for machine in REFERENCE {
        let captures = Captures::load(&folder(machine)).unwrap();
        assert!(captures.get("proc/cmdline").is_some_and(|line| line.contains("luks.passphrase=***")), "{machine}");
        assert!(!captures.iter().any(|(_, text)| text.contains("never-shown")), "{machine}");
    }
}

/// A copy of a machine's captures in which one file is damaged.
fn damaged() -> impl Strategy<Value = Captures> {
    let junk = prop_oneof![
        Just(String::new()),
        Just("\"".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("null".to_owned()),
        Just("[{".to_owned()),
        "\\PC{0,8}",
        "[\\x00-\\x7f]{0,4}",
    ];
    let pick = (0..machines().len(), any::<Index>(), any::<Index>(), any::<Index>(), junk);
    pick.prop_map(|(machine, file, start, length, junk)| {
        let mut captures = Captures::load(&folder(machines()[machine])).unwrap();
        let (path, text) =
            file.get(&captures.iter().map(|(p, t)| (p.to_owned(), t.to_owned())).collect::<Vec<_>>()).clone();
        let chars: Vec<char> = text.chars().collect();
        let start = start.index(chars.len() + 1);
        let end = start + length.index(chars.len() - start + 1).min(64);
        let text: String =
            chars[..start].iter().copied().chain(junk.chars()).chain(chars[end..].iter().copied()).collect();
        captures.insert(path, text);
        captures
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage gives an inventory or an error that names the capture, never a panic; a report is 80 columns of ASCII whatever
    /// the names in it.
    #[test]
    fn damaged_captures_never_panic(captures in damaged()) {
        match probe::inventory(&captures) {
            Ok(inventory) => {
                let report = probe::report::describe(&inventory);
                let fits = |line: &str| line.len() <= 80 && line.bytes().all(|b| (b' '..=b'~').contains(&b));
                prop_assert!(report.lines().all(fits), "{report}");
            }
            Err(ProbeError::Parse { capture, .. }) => prop_assert!(captures.get(&capture).is_some()),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// Whatever is missing but the size of the memory, an inventory comes out.
    #[test]
    fn missing_captures_are_no_error(machine in 0..machines().len(), kept in any::<u64>()) {
        let whole = Captures::load(&folder(machines()[machine])).unwrap();
        let mut captures = Captures::default();
        for (number, (path, text)) in whole.iter().enumerate() {
            if path == "proc/meminfo" || kept >> (number % 64) & 1 == 1 {
                captures.insert(path, text);
            }
        }
        let inventory = probe::inventory(&captures).unwrap();
        let listed = if captures.get("lsblk.json").is_some() { probe::inventory(&whole).unwrap().disks.len() } else { 0 };
        prop_assert_eq!(inventory.disks.len(), listed);
    }
}
