//! Guests: the templates' disks as they are made on thin volumes, and each of them started on its own.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use std::path::PathBuf;
use std::time::Duration;

use sovereign_qemu_tests::boot::{LOGIN_TIMEOUT, off, power_off};
use sovereign_qemu_tests::templates::{ROLES, Templates};
use sovereign_qemu_tests::words::ROOT_PASSWORD;
use sovereign_qemu_tests::{AnswerMedium, Bus, Disk, Firmware, Lab, Machine, Shell, Vm, agent, re};

/// From the login prompt to the end of cloud-init, with role's services on a loaded host.
const CLOUD_INIT_TIMEOUT: Duration = Duration::from_secs(900);
/// A started guest's agent.
const AGENT_TIMEOUT: Duration = Duration::from_secs(300);
/// Until a workload runs and answers, once its machine is up.
const WORKLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// A data disk of 10 GB stands for the terabytes of the reference.
const DATA_BYTES: u64 = 10_000_000_000;

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

/// A template's disk that is started by itself with a seed: cloud-init finishes, and there is a root shell.
struct Started {
    machine: Machine,
    agent: PathBuf,
}

impl Started {
    #[track_caller]
    fn of(lab: &Lab, templates: &Templates, role: &str, firmware: Firmware, data: bool) -> Self {
        let mut machine = Machine::new(lab, firmware).memory_mib(1024).paravirtual_network();
        machine = machine.disk_over(Disk::new(Bus::Scsi, "ROOT0001", 0), &templates.image(role), "qcow2");
        if data {
            machine = machine.disk(Disk::new(Bus::Scsi, "DATA0001", DATA_BYTES).rotating(7200));
        }
        let user_data = format!(
            "#cloud-config\nchpasswd:\n  expire: false\n  users:\n    - {{ name: root, password: {ROOT_PASSWORD}, type: text }}\n"
        );
        let meta_data = format!("instance-id: i-{role}\nlocal-hostname: {role}\n");
        let network = "version: 1\nconfig:\n  - { type: physical, name: eth0, subnets: [{ type: static, address: 192.0.2.10/24 }] }\n";
        let files: [(&str, &[u8]); 3] = [
            ("user-data", user_data.as_bytes()),
            ("meta-data", meta_data.as_bytes()),
            ("network-config", network.as_bytes()),
        ];
        machine.answer(&AnswerMedium::seed(lab, "seed", &files));
        let agent = machine.agent();
        Self { machine, agent }
    }

    #[track_caller]
    fn log_in<'vm>(&self, vm: &'vm Vm, role: &str) -> Shell<'vm> {
        // The password comes from the seed.
        vm.console().wait_for(re(r"Cloud-init v\. .* finished at"), CLOUD_INIT_TIMEOUT);
        // A prompt of before has scrolled away.
        vm.console().send_line("");
        let shell = Shell::log_in(vm, ROOT_PASSWORD, LOGIN_TIMEOUT);
        vm.lab().mark(&format!("{role}: logged in"));
        let status = shell.run_within("cloud-init status --wait --long", CLOUD_INIT_TIMEOUT);
        assert!(status.stdout.contains("status: done"), "{}", status.stdout);
        assert_eq!(shell.ok("hostname").trim(), role);
        assert_eq!(agent::ask(vm, &self.agent, "guest-get-host-name", AGENT_TIMEOUT)["host-name"], role);
        shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
        let failed = shell.ok("systemctl --failed --plain --no-legend | cut -d' ' -f1");
        let why = shell.run("for unit in $(systemctl --failed --plain --no-legend | cut -d' ' -f1); do journalctl -b --no-pager -u $unit; done");
        assert_eq!(failed.trim(), "", "units have failed:\n{}", why.stdout);
        for unit in ["nftables.service", "qemu-guest-agent.service"] {
            assert_eq!(shell.ok(&format!("systemctl is-active {unit}")).trim(), "active", "{unit}");
        }
        assert_eq!(shell.ok("findmnt -no SOURCE,FSTYPE /").trim(), "/dev/mapper/guest-root ext4");
        shell
    }
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
    let mut started = Started::of(&lab, &Templates::get(), "edge", Firmware::UefiSecureBoot, false);
    let vm = started.machine.power_on("edge");
    let shell = started.log_in(&vm, "edge");
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
    let mut started = Started::of(&lab, &Templates::get(), "edge", Firmware::Bios, false);
    let vm = started.machine.power_on("edge-bios");
    let shell = started.log_in(&vm, "edge");
    assert_eq!(shell.run("test -d /sys/firmware/efi").status, 1, "this was UEFI");
    power_off(&shell);
    off(vm);
}

/// The core's template starts, makes its data volume on the blank second disk, and finds it again.
#[test]
fn the_core_template_starts() {
    let lab = Lab::new("guest_core");
    let mut started = Started::of(&lab, &Templates::get(), "core", Firmware::UefiSecureBoot, true);
    let vm = started.machine.power_on("core");
    let shell = started.log_in(&vm, "core");
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
    let mut started = Started::of(&lab, &Templates::get(), "storage", Firmware::UefiSecureBoot, true);
    let vm = started.machine.power_on("storage");
    let shell = started.log_in(&vm, "storage");
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
fn workloads_run(lab: &Lab, role: &str, data: bool, workloads: &[Workload], secrets: &[Secret]) {
    let templates = Templates::with_workloads();
    let mut started = Started::of(lab, &templates, role, Firmware::UefiSecureBoot, data);
    let vm = started.machine.power_on(role);
    let shell = started.log_in(&vm, role);
    assert_workloads(&shell, &templates, role, workloads, secrets);
    lab.mark(&format!("{role}: workloads answer"));
    power_off(&shell);
    off(vm);
}

/// The edge runs its proxy.
#[test]
fn the_edge_template_runs_its_workload_without_a_network() {
    let lab = Lab::new("workloads_edge");
    workloads_run(&lab, "edge", false, &[("traefik", 80)], &[("/etc/traefik/internal.key", "600", "root")]);
}

/// The core runs all four of its workloads.
#[test]
fn the_core_template_runs_its_workloads_without_a_network() {
    let workloads: [Workload; 4] = [("livekit", 7880), ("matrix", 8008), ("stalwart", 8080), ("vaultwarden", 8222)];
    let secrets: [Secret; 5] = [
        ("/etc/livekit/livekit.yaml", "600", "30788"),
        ("/etc/matrix/homeserver.yaml", "600", "991"),
        ("/etc/matrix/signing.key", "600", "991"),
        ("/etc/stalwart/admin", "600", "root"),
        ("/etc/stalwart/tls.key", "600", "root"),
    ];
    workloads_run(&Lab::new("workloads_core"), "core", true, &workloads, &secrets);
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
    workloads_run(&Lab::new("workloads_storage"), "storage", true, &[("nextcloud", 8080)], &secrets);
}
