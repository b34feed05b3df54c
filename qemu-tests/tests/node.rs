//! A node, from the ISO of the fixture edition: the Proxmox edition's way with packages that the tests made. Proxmox's own programs are
//! not in it; what they would read is judged here by our own rules.

use sovereign_qemu_tests::boot::{LOGIN_TIMEOUT, off, power_off, unlock_and_log_in};
use sovereign_qemu_tests::guest::{REPORT_TIMEOUT, assert_no_failed_unit, first_boot_report, is_ok};
use sovereign_qemu_tests::identity::Listing;
use sovereign_qemu_tests::words::PASSPHRASE;
use sovereign_qemu_tests::{Installed, Lab, Shell, re, secrets};

/// Everything that both nodes have in common, whatever their firmware and bridges.
#[track_caller]
fn assert_node(shell: &Shell<'_>, name: &str) {
    let report = first_boot_report(shell);
    assert_eq!(report["verdict"], "green", "{report:#}");
    assert_eq!(report["edition"], "fixture, no Proxmox VE");
    for what in ["installation", "cluster file system", "interface nic0", "bridge vmbr0", "bridge vmbr1", "array hdd"] {
        assert!(is_ok(&report, what), "{what} is not in {report:#}");
    }
    shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
    assert_no_failed_unit(shell);

    // The name stands for an address that others reach.
    let known = shell.ok(&format!("getent ahosts {name}"));
    assert!(known.starts_with("192.0.2.10 "), "{known}");
    assert_eq!(shell.ok("hostname").trim(), name);

    // The memory of the host: what the plan says, systemd knows, and the kernel enforces once a guest runs.
    let plan = shell.json("cat /etc/sovereign/plan.json");
    let guests = &plan["host"]["guests"];
    assert_eq!(plan["host"]["memory"].as_u64(), Some(800_000_000));
    shell.ok("systemd-run --quiet --unit=guest --slice=qemu.slice sleep 60");
    assert_eq!(shell.ok("cat /sys/fs/cgroup/qemu.slice/memory.max").trim(), guests.to_string());
    // In whole pages.
    assert_eq!(shell.ok("cat /sys/fs/cgroup/system.slice/memory.low").trim(), "799997952");
    assert_eq!(shell.ok("sysctl -n vm.swappiness").trim(), "10");
    assert_eq!(shell.ok("swapon --show=NAME,SIZE --noheadings --bytes").split_whitespace().nth(1), Some("1073737728"));

    // The configuration database, and the folder it is shown in.
    shell.ok("sovereign-installer pmxcfs check /var/lib/pve-cluster/config.db");
    let storages = shell.ok("cat /etc/pve/storage.cfg");
    for section in ["dir: local\n", "lvmthin: local-lvm\n", "lvmthin: bulk-lvm\n"] {
        assert!(storages.contains(section), "{storages}");
    }
    assert!(shell.ok("cat /etc/pve/user.cfg").contains("root@e2e.example.org"));
    shell.ok(&format!("test -d /etc/pve/nodes/{name}/qemu-server"));
    assert_eq!(shell.ok("stat -c %a /var/lib/pve-cluster/config.db").trim(), "600");

    // Packages were installed once, when the image was built; one kernel, and it is the one that runs.
    assert_eq!(shell.ok("dpkg --audit").trim(), "");
    assert_eq!(shell.ok("ls /boot/vmlinuz-*").trim(), format!("/boot/vmlinuz-{}", shell.ok("uname -r").trim()));
    shell.ok("dpkg-query -W -f '${db:Status-Abbrev}' proxmox-ve | grep -q '^ii'");
    assert!(shell.ok("cat /etc/aliases").contains("root: root@e2e.example.org"));
    assert!(shell.ok("cat /etc/chrony/sources.d/sovereign.sources").contains("server 192.0.2.1 iburst"));
}

/// Who looks at the console or logs in is told what this is, where it is, and how its arrays are.
#[track_caller]
fn assert_banners(shell: &Shell<'_>) {
    for banner in ["/run/issue.d/50-sovereign.issue", "/run/motd.d/50-sovereign"] {
        shell.wait_until(&format!("cat {banner}"), "192.0.2.10", REPORT_TIMEOUT);
        let text = shell.ok(&format!("cat {banner}"));
        assert!(text.contains("array ssd") && text.contains("array hdd"), "{banner}: {text}");
    }
    assert!(shell.ok("cat /etc/issue.d/10-sovereign-edition.issue").contains("fixture, no Proxmox VE"));
}

/// A node with UEFI firmware, installed without any network card: it boots green, with Linux bridges as planned.
#[test]
fn a_node_with_linux_bridges_boots_green() {
    let installed = Installed::uefi_node();
    let lab = Lab::new("node_linux");
    let vm = installed.machine(&lab).power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_node(&shell, "node-linux");
    let file = shell.ok("cat /etc/network/interfaces");
    assert!(file.contains("bridge-ports nic0") && file.contains("bridge-ports none"), "{file}");
    let links = shell.json("ip -details -json link show");
    let kind = |name: &str| {
        let link = links.as_array().unwrap().iter().find(|link| link["ifname"] == name).unwrap();
        (
            link["linkinfo"]["info_kind"].as_str().unwrap_or_default().to_owned(),
            link["master"].as_str().map(str::to_owned),
        )
    };
    assert_eq!(kind("vmbr0").0, "bridge");
    assert_eq!(kind("vmbr1").0, "bridge");
    assert_eq!(kind("nic0").1.as_deref(), Some("vmbr0"));
    let addresses = shell.ok("ip -4 -oneline address show scope global");
    assert!(
        addresses.contains("vmbr0    inet 192.0.2.10/24") && addresses.contains("vmbr1    inet 10.10.0.1/24"),
        "{addresses}"
    );
    secrets::assert_absent_inside(&shell, PASSPHRASE);
    Listing::keep(&installed, &shell);
    assert_banners(&shell);
    power_off(&shell);
    off(vm);
}

/// A node with BIOS firmware, installed without any network card: it boots green, with Open vSwitch as planned.
#[test]
fn a_node_with_open_vswitch_boots_green() {
    let installed = Installed::bios_node();
    let lab = Lab::new("node_ovs");
    let vm = installed.machine(&lab).power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_node(&shell, "node-ovs");
    let bridges = shell.ok("ovs-vsctl list-br");
    assert_eq!(bridges.split_whitespace().collect::<Vec<_>>(), ["vmbr0", "vmbr1"]);
    let ports = shell.ok("ovs-vsctl list-ports vmbr0");
    let mut ports: Vec<&str> = ports.split_whitespace().collect();
    ports.sort_unstable();
    assert_eq!(ports, ["mgmt", "nic0"]);
    let addresses = shell.ok("ip -4 -oneline address show scope global");
    assert!(
        addresses.contains("mgmt    inet 192.0.2.10/24") && addresses.contains("internal    inet 10.10.0.1/24"),
        "{addresses}"
    );
    Listing::keep(&installed, &shell);
    assert_banners(&shell);
    power_off(&shell);
    off(vm);
}

/// Two machines installed from one image, and started once: what they have in common is listed, and nothing of it is an identity.
#[test]
fn two_machines_of_one_image_share_no_identity() {
    let lab = Lab::new("identities");
    let (one, other) = (Listing::of(&Installed::uefi_node()), Listing::of(&Installed::bios_node()));
    let (plain, random) = one.shared(&other);
    lab.keep("shared.txt", &plain.join("\n"));
    lab.keep("shared-and-random.txt", &random.join("\n"));
    assert!(plain.len() > 20, "the listings are empty:\n{one:#?}");
    for (what, value) in &one.names {
        assert_ne!(other.names.get(what), Some(value), "both machines have this {what}");
    }
    for what in ["machine-id", "hostid", "ssh_host_ed25519_key.pub"] {
        assert!(one.names.get(what).is_some_and(|value| value.len() > 7), "{what}: {:?}", one.names.get(what));
    }
    let allowed = |path: &&str| ALLOWED.iter().any(|(known, _)| path.starts_with(known));
    let unknown: Vec<&str> = random.into_iter().filter(|path| !allowed(path)).collect();
    assert!(
        unknown.is_empty(),
        "both machines have these files, which hold something drawn at random:\n{}",
        unknown.join("\n")
    );
}

/// Files that are equal on all machines of one image and look random, and why that is right.
const ALLOWED: [(&str, &str); 6] = [
    ("/etc/sovereign/manifest.json", "hashes of the medium"),
    ("/var/lib/dpkg/", "hashes of packages' files"),
    ("/etc/shadow", "the site files of both tests have one password"),
    ("/etc/ssl/certs/", "certificates of authorities"),
    ("/var/lib/ucf/", "hashes of packages' configuration files"),
    ("/var/lib/smartmontools/drivedb/", "a package's list of drives"),
];
