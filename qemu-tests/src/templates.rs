//! Templates of guests, made once for each ISO in a micro-VM by the installer's own steps: what the machine said of their volumes, and the
//! roles' disks copied out, each an image of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::boot::{micro, micro_shell};
use crate::disk::{Bus, Disk};
use crate::failure::OrFail;
use crate::host::{self, HostError};
use crate::machine::{Firmware, Machine};
use crate::medium::Iso;
use crate::shell::Shell;
use crate::timing::Lab;
use crate::words::PASSPHRASE;

/// Site file of the machine that the templates are made on.
pub const SITE: &str = "guests";
/// Role, number of its template, number of its machine.
pub const ROLES: [(&str, u32, u32); 3] = [("edge", 9001, 101), ("core", 9002, 102), ("storage", 9003, 103)];
/// Length of each role's system on the reference disks, bytes (docs/capacity.md).
const ROOT_BYTES: [u64; 3] = [20_002_635_776, 350_002_085_888, 80_002_154_496];
/// The installation until the machines are there, beside another machine.
const TIMEOUT: Duration = Duration::from_secs(2400);
/// Bytes from its start within which a template's disk has been written to, MiB: the base and a role's files. What follows is a hole, but
/// for the second partition table at the end.
const WRITTEN_MIB: u64 = 3584;

/// Templates that were made from the ISO under test.
#[derive(Debug)]
pub struct Templates {
    folder: PathBuf,
}

impl Templates {
    /// Makes those of the ISO under test, or takes those that another test has made.
    #[track_caller]
    pub fn get() -> Self {
        Self::of(&Iso::find().or_fail())
    }

    /// The same with the ISO of the fixture edition, which has images of workloads.
    #[track_caller]
    pub fn with_workloads() -> Self {
        Self::of(&Iso::find_fixture().or_fail())
    }

    #[track_caller]
    fn of(iso: &Iso) -> Self {
        let folder = iso.shared.join("templates");
        let _lock = host::lock(&iso.shared.join("templates.lock")).or_fail();
        let stamp = folder.join("complete");
        if !stamp.exists() {
            let lab = Lab::in_folder("templates", folder.clone()).or_fail();
            make(&lab, &folder, iso);
            std::fs::write(&stamp, "").map_err(|source| HostError::file("write", &stamp, source)).or_fail();
        }
        Self { folder }
    }

    /// What the machine said of the volumes.
    #[track_caller]
    pub fn facts(&self) -> Value {
        let path = self.folder.join("facts.json");
        let text = std::fs::read_to_string(&path).map_err(|source| HostError::file("read", &path, source)).or_fail();
        serde_json::from_str(&text).or_fail()
    }

    /// Image (qcow2) of the disk with a role's system.
    pub fn image(&self, role: &str) -> PathBuf {
        self.folder.join("disks").join(format!("{}.qcow2", serial(role)))
    }
}

fn serial(role: &str) -> String {
    format!("OUT{}", role.to_uppercase())
}

#[track_caller]
fn make(lab: &Lab, folder: &Path, iso: &Iso) {
    let mut machine = Machine::new(lab, Firmware::Bios).memory_mib(4096).reference_disks().network();
    machine.iso_image(&iso.path);
    for ((role, ..), bytes) in ROLES.iter().zip(ROOT_BYTES) {
        machine = machine.disk(Disk::new(Bus::Virtio, &serial(role), bytes));
    }
    let vm = micro(&mut machine, "templates");
    let shell = micro_shell(&vm);
    shell.ok("mkdir -p /run/answers && ip link set lo up");
    let site = host::site(SITE);
    let site = std::fs::read(&site).map_err(|source| HostError::file("read", &site, source)).or_fail();
    shell.write_file("/run/answers/site.toml", 0o644, &site);
    shell.write_file("/run/answers/passphrase", 0o600, PASSPHRASE.as_bytes());
    let install =
        "sovereign-installer install --site /run/answers/site.toml --countdown 0 --stop-after deploy-machines";
    let output = shell.run_live(install, TIMEOUT);
    assert_eq!(output.status, 0, "{}", output.stdout);
    lab.keep("install.txt", &output.stdout);
    let log = shell.ok("cat /run/sovereign/log/install.log");
    lab.keep("install.log", &log);
    shell.keep("/run/sovereign/log/events.jsonl", "events.jsonl");
    let facts = facts(&shell, &log);
    lab.keep("facts.json", &format!("{facts:#}"));
    for (role, template, _) in ROLES {
        copy_out(&shell, role, template);
    }
    shell.ok("sync");
    vm.power_cut();
    let disks = folder.join("disks");
    std::fs::create_dir_all(&disks).map_err(|source| HostError::file("create the folder", &disks, source)).or_fail();
    for (role, ..) in ROLES {
        let from = machine.image(&serial(role));
        let to = disks.join(from.file_name().unwrap_or_default());
        std::fs::rename(&from, &to).map_err(|source| HostError::file("keep", &from, source)).or_fail();
    }
}

/// Copies the disk with a role's system to the disk that waits for it.
#[track_caller]
fn copy_out(shell: &Shell<'_>, role: &str, template: u32) {
    let serial = serial(role);
    let volume = format!("base-{template}-disk-0");
    shell.ok(&format!("lvchange --activate y --ignoreactivationskip pve/{volume} && udevadm settle"));
    shell.ok_within(
        &format!(
            "to=$(lsblk -dnro PATH,SERIAL | awk '/{serial}/ {{ print $1 }}'); from=/dev/pve/{volume}; \
             end=$(( $(blockdev --getsize64 $from) / 1048576 - 1 )); \
             test $(blockdev --getsize64 $from) = $(blockdev --getsize64 $to) && \
             dd if=$from of=$to bs=1M count={WRITTEN_MIB} conv=sparse status=none && \
             dd if=$from of=$to bs=1M skip=$end seek=$end status=none"
        ),
        TIMEOUT,
    );
    shell.ok(&format!("lvchange --activate n pve/{volume}"));
}

#[track_caller]
fn facts(shell: &Shell<'_>, said: &str) -> Value {
    let base = said.lines().find(|line| line.contains("the guests' base takes")).and_then(|line| {
        let digits = line.split(" bytes)").next()?.rsplit('(').next()?;
        digits.replace(',', "").parse::<u64>().ok()
    });
    // Documentation/admin-guide/device-mapper/thin-provisioning.rst: used and all data blocks, in chunks of 128 KiB.
    let status = shell.ok("dmsetup status pve-data-tpool");
    let used = status.split_whitespace().nth(5).and_then(|word| word.split('/').next()?.parse::<u64>().ok());
    let volumes = shell.json("lvs --all --reportformat json -o vg_name,lv_name,lv_attr,origin,pool_lv");
    shell.ok("lvchange --activate y --ignoreactivationskip pve/base-9001-disk-0 && udevadm settle");
    let disk = shell.ok("losetup --find --show --read-only --partscan --sector-size 512 /dev/pve/base-9001-disk-0");
    shell.ok("udevadm settle");
    let groups = |system: &str| {
        let seen = shell.ok(&format!("LVM_SYSTEM_DIR={system} vgs --noheadings -o vg_name | sort"));
        seen.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (with, without) = (groups("/target/etc/lvm"), groups("/etc/lvm"));
    let manifest = shell.json("cat /run/sovereign/medium/sovereign/manifest.json");
    let table = shell.ok(&format!("sgdisk --verify {}", disk.trim()));
    shell.ok(&format!("losetup --detach {} && lvchange --activate n pve/base-9001-disk-0", disk.trim()));
    json!({
        "base_bytes": base,
        "pool_bytes": used.map(|chunks| chunks * 128 * 1024),
        "volumes": volumes,
        "groups_seen_by_the_host": with,
        "groups_seen_without_its_filter": without,
        "table": table,
        "workloads": manifest["guests"]["workloads"],
    })
}
