//! Guests: the templates' disks as they are made on thin volumes, and each of them started on its own.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use sovereign_qemu_tests::boot::{off, power_off};
use sovereign_qemu_tests::started::Started;
use sovereign_qemu_tests::templates::{ROLES, Templates};
use sovereign_qemu_tests::{Firmware, Lab, Shell};

/// The three templates share the blocks of their base, machines are clones of them, nothing but the seeds can be written to by itself, and
/// the host's LVM never sees what is inside.
#[test]
fn templates_share_the_blocks_of_their_base() {
    let templates = Templates::get();
    let facts = templates.facts();
    let number = |name: &str| facts[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {facts:#}"));
    let (base, pool) = (number("base_bytes"), number("pool_bytes"));
    assert!(base > 300_000_000, "the base is nearly empty: {facts:#}");
    assert!(pool * 100 <= base * 125, "the templates take more than 1.25 times their base: {facts:#}");

    let volumes = facts["volumes"]["report"][0]["lv"].as_array().unwrap();
    let volume = |name: &str| {
        let found = volumes.iter().find(|row| row["lv_name"] == name);
        found.unwrap_or_else(|| panic!("there is no volume {name} in {volumes:#?}"))
    };
    for (role, template, machine) in ROLES {
        let (base, clone) = (volume(&format!("base-{template}-disk-0")), volume(&format!("vm-{machine}-disk-0")));
        // lvs(8): thin, read-only, inactive, skipped by activation.
        let attributes = base["lv_attr"].as_str().unwrap();
        assert!(attributes.starts_with("Vri") && attributes.contains('k'), "{role}: {attributes}");
        assert!(clone["lv_attr"].as_str().unwrap().starts_with("Vwi"), "{role}: {clone}");
        assert_eq!(clone["origin"], format!("base-{template}-disk-0"), "{role}");
        assert_eq!(base["origin"], "", "{role}: the base is gone");
        volume(&format!("vm-{template}-cloudinit"));
        volume(&format!("vm-{machine}-cloudinit"));
        if role != "edge" {
            let data = volume(&format!("base-{template}-disk-2"));
            assert_eq!((&data["vg_name"], &data["pool_lv"]), (&"bulk".into(), &"data".into()), "{role}");
        }
    }

    let words =
        |name: &str| -> Vec<String> { facts[name].as_str().unwrap().split_whitespace().map(str::to_owned).collect() };
    assert_eq!(words("groups_seen_by_the_host"), ["bulk", "pve"]);
    assert_eq!(words("groups_seen_without_its_filter"), ["bulk", "guest", "pve"], "this could not have failed");
    assert!(facts["table"].as_str().unwrap().contains("No problems found"), "{}", facts["table"]);
}

/// The root volume takes the whole of the disk that the role was given, though its base was small.
#[track_caller]
fn assert_grown(shell: &Shell<'_>, at_least: u64) {
    let size: u64 = shell.ok("findmnt -nbo SIZE /").trim().parse().unwrap();
    assert!(size > at_least, "the root file system has {size} bytes, not {at_least}");
}

/// The edge's template starts by UEFI with Secure Boot, is set up by its seed and lets in the web alone.
#[test]
fn the_edge_template_starts() {
    let lab = Lab::new("guest_edge");
    let mut started = Started::of(&lab, "edge", Firmware::UefiSecureBoot);
    let vm = started.machine.power_on("edge");
    let shell = started.log_in(&vm);
    assert_grown(&shell, 18_000_000_000);
    let rules = shell.ok("nft list table inet sovereign");
    for words in ["policy drop", "proto-dst 443", "proto-dst 80", "dnat ip to 10.10.0.12"] {
        assert!(rules.contains(words), "{words}: {rules}");
    }
    power_off(&shell);
    off(vm);
}

/// The same disk starts by BIOS: the boot code that the installer wrote leads to GRUB, and that to the same system.
#[test]
fn a_template_starts_by_bios_too() {
    let lab = Lab::new("guest_bios");
    let mut started = Started::of(&lab, "edge", Firmware::Bios);
    let vm = started.machine.power_on("edge-bios");
    let shell = started.log_in(&vm);
    assert_eq!(shell.run("test -d /sys/firmware/efi").status, 1, "this was UEFI");
    power_off(&shell);
    off(vm);
}

/// The core's template starts, makes its data volume on the blank second disk, and finds it again.
#[test]
fn the_core_template_starts() {
    let lab = Lab::new("guest_core");
    let mut started = Started::of(&lab, "core", Firmware::UefiSecureBoot);
    let vm = started.machine.power_on("core");
    let shell = started.log_in(&vm);
    assert_grown(&shell, 330_000_000_000);
    assert_eq!(shell.ok("findmnt -no FSTYPE /srv").trim(), "ext4");
    shell.ok("podman --version");
    power_off(&shell);
    off(vm);
}

/// The storage's template starts: PostgreSQL answers a query, Redis a ping, and the data volume is XFS on the second disk.
#[test]
fn the_storage_template_starts() {
    let lab = Lab::new("guest_storage");
    let mut started = Started::of(&lab, "storage", Firmware::UefiSecureBoot);
    let vm = started.machine.power_on("storage");
    let shell = started.log_in(&vm);
    assert_grown(&shell, 70_000_000_000);
    let answer = shell.ok("runuser -u postgres -- psql -tAc 'select 6 * 7'");
    assert_eq!(answer.trim(), "42");
    assert_eq!(shell.ok("redis-cli ping").trim(), "PONG");
    let mount = shell.ok("findmnt -no SOURCE,FSTYPE /srv");
    let (source, kind) = mount.trim().split_once(' ').unwrap();
    assert_eq!(kind, "xfs");
    assert!(shell.ok(&format!("lsblk -dnro SERIAL {source}")).contains("DATA0001"), "{source}");
    power_off(&shell);
    off(vm);
}
