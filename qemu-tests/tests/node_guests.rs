//! A node with guests, from the ISO of the fixture edition: templates and machines are in its configuration database and on its volumes.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use std::collections::BTreeMap;

use serde_json::Value;
use sovereign_qemu_tests::boot::{LOGIN_TIMEOUT, off, power_off, unlock_and_log_in};
use sovereign_qemu_tests::guest::{assert_no_failed_unit, first_boot_report, is_ok};
use sovereign_qemu_tests::templates::ROLES;
use sovereign_qemu_tests::words::EXIT_DEGRADED;
use sovereign_qemu_tests::{Installed, Lab, Shell, re};

/// Every volume of a node with all guests but the host's own, and the template's volume that it is a snapshot of.
fn planned() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (role, template, machine) in ROLES {
        let mut disk = |group: &str, number: u32| {
            let base = format!("base-{template}-disk-{number}");
            all.insert(format!("{group}/vm-{machine}-disk-{number}"), base.clone());
            all.insert(format!("{group}/{base}"), String::new());
        };
        disk("pve", 0);
        disk("pve", 1);
        if role != "edge" {
            disk("bulk", 2);
        }
        // Every machine has a seed of its own.
        for id in [template, machine] {
            all.insert(format!("pve/vm-{id}-cloudinit"), String::new());
        }
    }
    all
}

/// The node has exactly the planned volumes, none of them active; templates' disks are read-only and passed over by activation.
#[track_caller]
fn assert_volumes(shell: &Shell<'_>) {
    let report = shell.json("lvs --reportformat json -o vg_name,lv_name,lv_attr,origin,pool_lv,autoactivation");
    let rows = report["report"][0]["lv"].as_array().unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let of_host = ["pve/root", "pve/data", "bulk/data"];
    let mut found = BTreeMap::new();
    for row in rows {
        let id = format!("{}/{}", text(row, "vg_name"), text(row, "lv_name"));
        if of_host.contains(&id.as_str()) {
            continue;
        }
        // lvs(8): thin, the permission, inherited allocation; then whether it is active, and at the end whether activation skips it.
        let attributes = text(row, "lv_attr");
        let flags: Vec<char> = attributes.chars().collect();
        let sealed = id.contains("/base-");
        assert!(attributes.starts_with(if sealed { "Vri" } else { "Vwi" }), "{id}: {attributes}");
        assert_eq!((flags[4], flags[9] == 'k'), ('-', sealed), "{id}: {attributes}");
        assert_eq!((text(row, "pool_lv").as_str(), text(row, "lv_autoactivation").as_str()), ("data", ""), "{id}");
        found.insert(id, text(row, "origin"));
    }
    assert_eq!(found, planned());
}

/// The configuration database has the six guests, and nothing is wrong with any of them; the folder that it is shown in has them too.
#[track_caller]
fn assert_configurations(shell: &Shell<'_>) {
    let report = shell.json("sovereign-installer pmxcfs check --json /var/lib/pve-cluster/config.db");
    assert_eq!(report["problems"].as_array().unwrap().len(), 0, "{report:#}");
    let files = shell.ok("ls /etc/pve/nodes/node/qemu-server");
    let mut files: Vec<&str> = files.split_whitespace().collect();
    files.sort_unstable();
    assert_eq!(files, ["101.conf", "102.conf", "103.conf", "9001.conf", "9002.conf", "9003.conf"]);
    for (role, template, machine) in ROLES {
        let read = |id: u32| shell.ok(&format!("cat /etc/pve/qemu-server/{id}.conf"));
        let (template, machine, base) = (read(template), read(machine), format!("local-lvm:base-{template}-disk-0,"));
        let has = |text: &str, line: &str| assert!(text.contains(line), "{role}: no {line:?} in\n{text}");
        has(&template, "\ntemplate: 1\n");
        has(&template, &format!("\nscsi0: {base}"));
        has(&machine, "\nonboot: 1\n");
        has(&machine, "\nstartup: order=");
        has(&machine, &format!("\nname: {role}.e2e.example.org\n"));
        assert!(!machine.contains("template") && !machine.contains("base-"), "{role}:\n{machine}");
    }
    let storages = shell.ok("cat /etc/pve/storage.cfg");
    for section in ["lvmthin: local-lvm\n", "lvmthin: bulk-lvm\n"] {
        assert!(storages.contains(section), "{storages}");
    }
}

/// With a machine's disk shown as it is to the machine, the host's LVM knows its own volume groups alone.
#[track_caller]
fn assert_guests_are_not_looked_into(shell: &Shell<'_>) {
    shell.ok("lvchange --activate y pve/vm-101-disk-0 && udevadm settle");
    let disk = shell.ok("losetup --find --show --read-only --partscan --sector-size 512 /dev/pve/vm-101-disk-0");
    shell.ok("udevadm settle && cp -r /etc/lvm /run/lvm-open && rm /run/lvm-open/lvmlocal.conf");
    let groups = |before: &str| {
        let seen = shell.ok(&format!("{before} vgs --noheadings -o vg_name | sort -u"));
        seen.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(groups(""), ["bulk", "pve"]);
    let devices = shell.ok("pvs --noheadings -o pv_name");
    assert!(devices.split_whitespace().all(|device| device.starts_with("/dev/mapper/luks-")), "{devices}");
    assert_eq!(groups("LVM_SYSTEM_DIR=/run/lvm-open"), ["bulk", "guest", "pve"], "this could not have failed");
    shell.ok(&format!("losetup --detach {} && lvchange --activate n pve/vm-101-disk-0", disk.trim()));
}

/// `status` says of each guest that it is there, and of one that is not what is wrong with it.
#[track_caller]
fn assert_status_knows_the_guests(shell: &Shell<'_>) {
    let status = || {
        let output = shell.run("sovereign-installer status");
        (output.status, output.stdout)
    };
    let (code, text) = status();
    assert_eq!(code, 0, "{text}");
    for (role, template, machine) in ROLES {
        let volumes = if role == "edge" { 3 } else { 4 };
        let line =
            format!("guest {role}: template {template}: {volumes} volumes; machine {machine}: {volumes} volumes");
        assert!(text.contains(&line), "{line:?} is not in\n{text}");
    }
    shell.ok("lvchange --permission rw pve/base-9001-disk-0 && lvremove --yes bulk/vm-103-disk-2");
    let (code, text) = status();
    assert_eq!(code, EXIT_DEGRADED, "{text}");
    for line in ["DEGRADED guest edge: ", "ok       guest core: ", "MISSING  guest storage: without bulk/vm-103-disk-2"]
    {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    // Proxmox VE itself removes the guest's configuration with its disks.
    shell.ok(
        "rm /etc/pve/qemu-server/103.conf && lvremove --yes pve/vm-103-disk-0 pve/vm-103-disk-1 pve/vm-103-cloudinit",
    );
    let (_, text) = status();
    assert!(text.contains("guest storage: template 9003: 4 volumes; machine 103 was removed"), "{text}");
}

/// A node with three templates and a machine cloned from each boots green: the guests are configured as Proxmox VE takes them, their volumes
/// are exactly the planned ones, and the host never looks into them.
#[test]
fn a_node_with_guests_boots_green() {
    let installed = Installed::guest_node();
    let lab = Lab::new("node_guests");
    let vm = installed.machine(&lab).power_on("boot");
    let shell = unlock_and_log_in(&vm);
    let report = first_boot_report(&shell);
    assert_eq!(report["verdict"], "green", "{report:#}");
    for what in ["cluster file system", "thin pool pve/data", "thin pool bulk/data"] {
        assert!(is_ok(&report, what), "{what} is not in {report:#}");
    }
    for (role, ..) in ROLES {
        assert!(is_ok(&report, &format!("guest {role}")), "guest {role} is not in {report:#}");
    }
    shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
    assert_no_failed_unit(&shell);
    assert_volumes(&shell);
    assert_configurations(&shell);
    assert_guests_are_not_looked_into(&shell);
    assert_status_knows_the_guests(&shell);
    power_off(&shell);
    off(vm);
}
