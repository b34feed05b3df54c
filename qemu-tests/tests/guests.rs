//! Guests: the templates' disks as they are made on thin volumes, and each of them started on its own.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use std::time::Duration;

use sovereign_qemu_tests::boot::{off, power_off};
use sovereign_qemu_tests::started::Started;
use sovereign_qemu_tests::templates::{ROLES, Templates};
use sovereign_qemu_tests::{Firmware, Lab, Shell, re};

/// Until a workload runs and answers, once its machine is up.
const WORKLOAD_TIMEOUT: Duration = Duration::from_secs(600);

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
    let mut started = Started::of(&lab, &Templates::get(), "edge", Firmware::UefiSecureBoot);
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
    let mut started = Started::of(&lab, &Templates::get(), "edge", Firmware::Bios);
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
    let mut started = Started::of(&lab, &Templates::get(), "core", Firmware::UefiSecureBoot);
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
    let mut started = Started::of(&lab, &Templates::get(), "storage", Firmware::UefiSecureBoot);
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

/// A workload of the fixture's medium: its name, and the port on which its image answers HTTP with that name.
type Workload = (&'static str, u16);
/// What is secret on a guest: path, mode and owner.
type Secret = (&'static str, &'static str, &'static str);

/// Every workload of the role runs, from the image that the medium's manifest says, without having asked a network: it answers on its port, and
/// nobody but the program reads what is secret. Nothing is left of how the images were loaded.
#[track_caller]
fn assert_workloads(shell: &Shell<'_>, templates: &Templates, role: &str, workloads: &[Workload], secrets: &[Secret]) {
    let facts = templates.facts();
    let on_medium = facts["workloads"].as_array().unwrap();
    let stored = shell.ok("podman images --noheading --digests --format '{{.Repository}}:{{.Tag}} {{.Digest}}'");
    let mut stored: Vec<&str> = stored.lines().map(str::trim).collect();
    stored.sort_unstable();
    let mut wanted = Vec::new();
    for (name, port) in workloads {
        let found = on_medium.iter().find(|workload| workload["role"] == role && workload["name"] == *name);
        let found = found.unwrap_or_else(|| panic!("{role}/{name} is not on the medium: {on_medium:#?}"));
        let image = found["image"].as_str().unwrap();
        wanted.push(format!("{image} {}", found["digest"].as_str().unwrap()));
        shell.wait_until(&format!("systemctl is-active {name}.service"), re("^active$"), WORKLOAD_TIMEOUT);
        shell.wait_until(&format!("busybox wget -qO- http://127.0.0.1:{port}/"), *name, WORKLOAD_TIMEOUT);
        let quadlet = shell.ok(&format!("cat /etc/containers/systemd/{name}.container"));
        for line in [format!("Image={image}"), "Pull=never".to_owned()] {
            assert!(quadlet.lines().any(|known| known == line), "{line}: {quadlet}");
        }
    }
    wanted.sort_unstable();
    assert_eq!(stored, wanted);
    for (path, mode, owner) in secrets {
        let found = shell.ok(&format!("find {path} -type f -size +0 -user {owner} -printf %m"));
        assert_eq!(found, *mode, "{path} of {owner}");
    }
    assert_eq!(shell.ok("podman info --format '{{.Store.GraphDriverName}}'").trim(), "overlay");
    assert_eq!(shell.ok("find /var/tmp /tmp -name 'container_images*'").trim(), "");
}

/// Starts a role's template from the fixture's medium, and looks at its workloads.
#[track_caller]
fn workloads_run(lab: &Lab, role: &str, workloads: &[Workload], secrets: &[Secret]) {
    let templates = Templates::with_workloads();
    let mut started = Started::of(lab, &templates, role, Firmware::UefiSecureBoot);
    let vm = started.machine.power_on(role);
    let shell = started.log_in(&vm);
    assert_workloads(&shell, &templates, role, workloads, secrets);
    lab.mark(&format!("{role}: workloads answer"));
    power_off(&shell);
    off(vm);
}

/// The edge runs its proxy.
#[test]
fn the_edge_template_runs_its_workload_without_a_network() {
    let lab = Lab::new("workloads_edge");
    workloads_run(&lab, "edge", &[("traefik", 80)], &[("/etc/traefik/internal.key", "600", "root")]);
}

/// The core runs all four of its workloads.
#[test]
fn the_core_template_runs_its_workloads_without_a_network() {
    let workloads: [Workload; 4] = [("livekit", 7880), ("matrix", 8008), ("stalwart", 8080), ("vaultwarden", 8222)];
    let secrets: [Secret; 5] = [
        ("/etc/livekit/livekit.yaml", "600", "30788"),
        ("/etc/matrix/homeserver.yaml", "600", "30991"),
        ("/etc/matrix/signing.key", "600", "30991"),
        ("/etc/stalwart/admin", "600", "root"),
        ("/etc/stalwart/tls.key", "600", "root"),
    ];
    workloads_run(&Lab::new("workloads_core"), "core", &workloads, &secrets);
}

/// The storage runs Nextcloud beside its databases.
#[test]
fn the_storage_template_runs_its_workload_without_a_network() {
    let secrets: [Secret; 5] = [
        ("/etc/nextcloud/secrets/admin", "400", "33"),
        ("/etc/nextcloud/secrets/database", "400", "33"),
        ("/etc/nextcloud/secrets/redis", "400", "33"),
        ("/etc/redis/sovereign.acl", "400", "redis"),
        ("/etc/sovereign/postgresql/databases.sql", "600", "postgres"),
    ];
    workloads_run(&Lab::new("workloads_storage"), "storage", &[("nextcloud", 8080)], &secrets);
}
