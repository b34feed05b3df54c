//! What the first boot looks at beside arrays, containers and pools: the end of the installation, names and bridges of the network, the
//! memory's shares, and the cluster file system.

use std::fs;

use serde::Deserialize;
use sovereign_model::event::Event;
use sovereign_model::installed::{GUESTS_SLICE, JOURNAL};
use sovereign_model::plan::{PartitionRole, PlannedDisk};
use sovereign_model::site::NetworkMode;
use sovereign_system::runner::Cmd;

use super::Machine;
use crate::findings::{Finding, State};

/// The last step whose end is journalled on the machine itself.
const LAST_STEP: &str = "finalise";
/// Where the machine's EFI system partitions are mounted, in the order of its bootable disks.
const ESPS: [&str; 2] = ["/boot/efi", "/boot/efi2"];

/// Everything, in the order of the layers.
pub(super) fn look(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = vec![installation(machine)];
    findings.extend(esps(machine));
    findings.extend(network(machine));
    findings.extend(memory(machine));
    if machine.is_proxmox() {
        findings.push(cluster_file_system(machine));
    }
    findings
}

/// The journal on the machine ends with the last step that is written there.
fn installation(machine: &Machine<'_>) -> Finding {
    let what = "installation";
    let text = match fs::read_to_string(machine.path(JOURNAL)) {
        Ok(text) => text,
        Err(error) => return Finding::present(what, false, format!("cannot read {JOURNAL}: {error}")),
    };
    let done = |line: &str| matches!(serde_json::from_str::<Event>(line), Ok(Event::StepDone { name, .. }) if name == LAST_STEP);
    if text.lines().any(done) {
        return Finding::present(what, true, "complete");
    }
    Finding::present(what, false, "its journal has no end: boot the installation medium again")
}

/// Each EFI system partition says that the installation is complete. One that is away is its array's matter.
fn esps(machine: &Machine<'_>) -> Vec<Finding> {
    #[derive(Deserialize)]
    struct Said {
        state: String,
    }
    let said = |esp: &str| {
        let text = fs::read_to_string(machine.path(esp).join("sovereign/install.json")).ok()?;
        serde_json::from_str::<Said>(&text).ok()
    };
    let say = |esp: &str| match said(esp) {
        Some(said) => Finding::compared(&format!("EFI system partition {esp}"), &"complete".to_owned(), &said.state),
        None => Finding::present(&format!("EFI system partition {esp}"), false, "not mounted, or without our mark"),
    };
    let is_bootable = |disk: &&PlannedDisk| disk.partitions.iter().any(|p| p.role == PartitionRole::Esp);
    let count = machine.plan.disks.iter().filter(is_bootable).count();
    ESPS.iter().take(count).map(|esp| say(esp)).collect()
}

/// Each interface has its planned name, and both bridges are there and up.
fn network(machine: &Machine<'_>) -> Vec<Finding> {
    let class = machine.path("/sys/class/net");
    let read = |name: &str, file: &str| {
        fs::read_to_string(class.join(name).join(file)).ok().map(|text| text.trim().to_owned())
    };
    let mut findings: Vec<Finding> = machine
        .plan
        .nics
        .iter()
        .map(|nic| {
            let what = format!("interface {}", nic.name);
            match read(&nic.name, "address") {
                Some(address) => Finding::compared(&what, &nic.mac, &address),
                None => Finding::present(&what, false, format!("no interface has this name; planned {}", nic.mac)),
            }
        })
        .collect();
    for bridge in ["vmbr0", "vmbr1"] {
        // IFF_UP is the lowest bit (include/uapi/linux/if.h).
        let flags =
            read(bridge, "flags").and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
        findings.push(match flags {
            Some(flags) if flags & 1 == 1 => Finding::present(&format!("bridge {bridge}"), true, "up"),
            Some(_) => Finding::present(&format!("bridge {bridge}"), false, "down"),
            None => Finding::present(&format!("bridge {bridge}"), false, "not there"),
        });
    }
    if machine.plan.site.network.mode == NetworkMode::Static {
        findings.extend(machine.plan.site.network.address.as_deref().map(|address| has_address(machine, address)));
    }
    findings
}

fn has_address(machine: &Machine<'_>, address: &str) -> Finding {
    let what = "management address";
    let shown = machine.runner.run(&Cmd::new("ip", ["-oneline", "address", "show", "scope", "global"]));
    match shown {
        Ok(shown) if shown.stdout.split_whitespace().any(|word| word == address) => {
            Finding::present(what, true, address)
        }
        Ok(_) => Finding::present(what, false, format!("no interface has {address}")),
        Err(error) => Finding::present(what, false, crate::failure::chain(&error)),
    }
}

/// What systemd and the kernel were told of the host's share.
fn memory(machine: &Machine<'_>) -> Vec<Finding> {
    let planned = &machine.plan.host;
    let property = |slice: &str, name: &str| {
        let shown = machine.runner.run(&Cmd::new("systemctl", ["show", "--value", "--property", name, slice]));
        shown.map(|output| output.stdout.trim().to_owned()).unwrap_or_default()
    };
    let guests = property(GUESTS_SLICE, "MemoryMax");
    let host = property("system.slice", "MemoryLow");
    let mut findings = vec![
        Finding::compared("memory limit of all virtual machines", &planned.guests.get().to_string(), &guests),
        Finding::compared("memory kept for the host", &planned.memory.align_down(4096).get().to_string(), &host),
    ];
    // Where a guest runs already, the kernel has the limit too.
    let file = machine.path("/sys/fs/cgroup").join(GUESTS_SLICE).join("memory.max");
    if let Ok(limit) = fs::read_to_string(file) {
        let wanted = planned.guests.get().to_string();
        findings.push(Finding::compared("memory limit in the kernel", &wanted, &limit.trim().to_owned()));
    }
    let swappiness = fs::read_to_string(machine.path("/proc/sys/vm/swappiness")).unwrap_or_default();
    findings.push(Finding::compared("swappiness", &planned.swappiness.to_string(), &swappiness.trim().to_owned()));
    findings
}

/// Whether anything is mounted on /etc/pve.
pub(super) fn is_cluster_file_system_mounted(machine: &Machine<'_>) -> bool {
    let mounts = fs::read_to_string(machine.path("/proc/self/mounts")).unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some("/etc/pve"))
}

/// /etc/pve is mounted and answers.
fn cluster_file_system(machine: &Machine<'_>) -> Finding {
    let what = "cluster file system";
    if !is_cluster_file_system_mounted(machine) {
        return Finding::present(what, false, "/etc/pve is not mounted: see `journalctl -u pve-cluster`");
    }
    let answers = |path: &str| machine.path(path).exists();
    let node = format!("/etc/pve/nodes/{}", machine.plan.node());
    for path in ["/etc/pve/.version", "/etc/pve/storage.cfg", &node] {
        if !answers(path) {
            return Finding { what: what.into(), state: State::Degraded, detail: format!("{path} is not there") };
        }
    }
    Finding::present(what, true, "mounted at /etc/pve")
}
