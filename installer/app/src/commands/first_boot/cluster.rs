//! `[cluster]`: makes this node the first of a cluster, or one more of an existing one, by Proxmox VE's own `pvecm`.
//!
//! Joining has an order: `pvecm` refuses a node that has guests, and the node's configuration database is replaced by the cluster's. So
//! guests wait outside of it, and they and the node's storages are registered afterwards, never over what the cluster has.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sovereign_model::installed::{CLUSTER_PASSWORD, WAITING_GUESTS};
use sovereign_model::site::{Cluster, ClusterMode};
use sovereign_proxmox::files::Backend;
use sovereign_steps::configure::storages;
use sovereign_system::runner::Cmd;
use zeroize::Zeroizing;

use super::{Machine, secret};
use crate::failure::chain;
use crate::findings::{Finding, State};

/// There once a node is part of a cluster.
const COROSYNC: &str = "/etc/pve/corosync.conf";
/// `pvecm` waits for the other nodes, restarts services and makes certificates.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Does what the site wants; nothing where it wants nothing, or where it was done before.
pub(super) fn act(machine: &Machine<'_>) -> Vec<Finding> {
    let wanted = &machine.plan.site.cluster;
    let done = match wanted.mode {
        ClusterMode::None => return Vec::new(),
        ClusterMode::Create => create(machine, wanted).map(|finding| vec![finding]),
        ClusterMode::Join => join(machine, wanted),
    };
    done.unwrap_or_else(|detail| vec![Finding { what: "cluster".into(), state: State::Missing, detail }])
}

fn link0(machine: &Machine<'_>, wanted: &Cluster) -> Result<String, String> {
    let management = machine.plan.site.network.address.as_deref().and_then(|address| address.split('/').next());
    wanted
        .link0
        .as_deref()
        .or(management)
        .map(str::to_owned)
        .ok_or_else(|| "there is no address for the cluster's traffic: set cluster.link0".to_owned())
}

fn is_member(machine: &Machine<'_>) -> bool {
    machine.path(COROSYNC).exists()
}

fn create(machine: &Machine<'_>, wanted: &Cluster) -> Result<Finding, String> {
    let name = wanted.name.as_deref().unwrap_or_default();
    let what = format!("cluster {name}");
    if is_member(machine) {
        return Ok(Finding::present(&what, true, "created"));
    }
    let link = link0(machine, wanted)?;
    let cmd = Cmd::new("pvecm", ["create", name, "--link0", &link]).timeout(TIMEOUT);
    machine.runner.run(&cmd).map_err(|error| chain(&error))?;
    Ok(Finding::present(&what, true, format!("created, link0 {link}")))
}

fn join(machine: &Machine<'_>, wanted: &Cluster) -> Result<Vec<Finding>, String> {
    let peer = wanted.peer.as_deref().unwrap_or_default();
    let what = format!("cluster of {peer}");
    if !is_member(machine) {
        let fingerprint = wanted.fingerprint.as_deref().unwrap_or_default();
        let link = link0(machine, wanted)?;
        let password = secret::read(machine, CLUSTER_PASSWORD)?
            .ok_or_else(|| format!("{CLUSTER_PASSWORD} is not there: join by hand with `pvecm add {peer}`"))?;
        let line = Zeroizing::new([password.as_slice(), b"\n"].concat());
        let args = ["add", peer, "--fingerprint", fingerprint, "--link0", &link];
        let cmd = Cmd::new("pvecm", args).secret(&line).timeout(TIMEOUT);
        machine.runner.run(&cmd).map_err(|error| chain(&error))?;
    }
    // Proxmox VE makes /etc/pve read-only until the node is part of a majority.
    let deadline = Instant::now() + machine.patience;
    if !machine.wait_for(deadline, || quorate(machine), |quorate| *quorate) {
        return Err(
            "joined, but the cluster has no quorum: nothing was registered; the next start tries again".to_owned()
        );
    }
    secret::erase(machine, CLUSTER_PASSWORD);
    let mut findings = vec![Finding::present(&what, true, "joined")];
    findings.extend(register_storages(machine)?);
    findings.extend(register_guests(machine)?);
    Ok(findings)
}

fn quorate(machine: &Machine<'_>) -> bool {
    #[derive(Deserialize)]
    struct Members {
        cluster: Option<Quorum>,
    }
    #[derive(Deserialize)]
    struct Quorum {
        quorate: u32,
    }
    let text = fs::read_to_string(machine.path("/etc/pve/.members")).unwrap_or_default();
    let members: Option<Members> = serde_json::from_str(&text).ok();
    members.and_then(|members| members.cluster).is_some_and(|cluster| cluster.quorate == 1)
}

/// Adds this node's storages to the cluster's, for this node alone; a storage of the same name that is there stays as it is.
fn register_storages(machine: &Machine<'_>) -> Result<Vec<Finding>, String> {
    let text = fs::read_to_string(machine.path("/etc/pve/storage.cfg"))
        .map_err(|error| format!("cannot read the cluster's storage.cfg: {error}"))?;
    let known = |id: &str| text.lines().any(|line| line.split_once(": ").is_some_and(|(_, name)| name.trim() == id));
    let mut findings = Vec::new();
    for storage in storages(machine.plan) {
        let id = storage.id.as_str();
        let mut args = match &storage.backend {
            // Every node has `local`.
            Backend::Dir { .. } => continue,
            Backend::LvmThin { vg, pool } => vec!["add", "lvmthin", id, "--vgname", vg, "--thinpool", pool],
            Backend::Lvm { vg } => vec!["add", "lvm", id, "--vgname", vg],
        };
        let what = format!("storage {id}");
        if known(id) {
            findings.push(Finding::present(&what, true, "the cluster has one of this name; it was left as it is"));
            continue;
        }
        args.extend(["--content", "images,rootdir", "--nodes", machine.node()]);
        machine.runner.run(&Cmd::new("pvesm", args)).map_err(|error| chain(&error))?;
        findings.push(Finding::present(&what, true, "registered for this node"));
    }
    Ok(findings)
}

/// Registers the guests that waited. A number that the cluster uses already is nobody else's to take: that guest goes on waiting.
fn register_guests(machine: &Machine<'_>) -> Result<Vec<Finding>, String> {
    #[derive(Deserialize)]
    struct Guests {
        #[serde(default)]
        ids: BTreeMap<String, serde_json::Value>,
    }
    let taken: Guests = fs::read_to_string(machine.path("/etc/pve/.vmlist"))
        .map_err(|error| format!("cannot read the cluster's list of guests: {error}"))
        .and_then(|text| {
            serde_json::from_str(&text).map_err(|error| format!("the cluster's list of guests: {error}"))
        })?;
    let mut findings = Vec::new();
    for (number, waiting) in waiting(machine)? {
        let what = format!("guest {number}");
        if taken.ids.contains_key(&number) {
            let detail = format!("the cluster has a guest of this number: {} goes on waiting", waiting.display());
            findings.push(Finding { what, state: State::Missing, detail });
            continue;
        }
        let to = machine.path(&format!("/etc/pve/nodes/{}/qemu-server/{number}.conf", machine.node()));
        let register = || -> std::io::Result<()> {
            let text = fs::read(&waiting)?;
            // Made new or not at all: another node may have taken the number meanwhile.
            fs::OpenOptions::new().write(true).create_new(true).open(&to)?.write_all(&text)?;
            fs::remove_file(&waiting)
        };
        register().map_err(|error| format!("cannot register {}: {error}", waiting.display()))?;
        findings.push(Finding::present(&what, true, "registered"));
    }
    Ok(findings)
}

/// The guests that wait, by number.
fn waiting(machine: &Machine<'_>) -> Result<Vec<(String, PathBuf)>, String> {
    let folder = machine.path(WAITING_GUESTS);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(".conf").filter(|n| n.parse::<u32>().is_ok()) {
            found.push((number.to_owned(), path.clone()));
        }
    }
    found.sort_by_key(|(number, _)| number.parse::<u32>().unwrap_or_default());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sovereign_model::plan::Plan;
    use sovereign_system::testing::Recorder;

    use super::*;
    use crate::commands::first_boot::tests::{plan, write};

    fn joining(root: &Path) -> Plan {
        let mut plan = plan();
        plan.site.cluster = Cluster {
            mode: ClusterMode::Join,
            peer: Some("node1.example.org".to_owned()),
            fingerprint: Some("AA:BB".to_owned()),
            password_file: Some("password".to_owned()),
            ..Cluster::default()
        };
        write(root, CLUSTER_PASSWORD, "root's word");
        plan
    }

    /// What Proxmox VE shows in /etc/pve once the node is part of a cluster.
    fn cluster(root: &Path, quorate: u32) {
        write(root, COROSYNC, "totem {}\n");
        write(root, "/etc/pve/storage.cfg", "dir: local\n\tpath /var/lib/vz\n\nlvmthin: local-lvm\n\tvgname pve\n\n");
        write(
            root,
            "/etc/pve/.members",
            &format!(r#"{{ "nodename": "host", "cluster": {{ "quorate": {quorate} }} }}"#),
        );
        write(root, "/etc/pve/.vmlist", r#"{ "version": 1, "ids": { "101": { "node": "node1", "type": "qemu" } } }"#);
        fs::create_dir_all(root.join("etc/pve/nodes/host/qemu-server")).unwrap();
    }

    fn machine<'a>(root: &Path, runner: &'a Recorder, plan: &'a Plan) -> Machine<'a> {
        Machine { root: root.to_owned(), runner, plan, patience: Duration::ZERO }
    }

    #[test]
    fn a_node_on_its_own_calls_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), plan());
        assert!(act(&machine(root.path(), &runner, &plan)).is_empty());
        assert!(runner.lines().is_empty());
    }

    #[test]
    fn the_first_node_makes_the_cluster_once() {
        let root = tempfile::tempdir().unwrap();
        let (runner, mut plan) = (Recorder::new(), plan());
        plan.site.cluster = Cluster { mode: ClusterMode::Create, name: Some("main".to_owned()), ..Cluster::default() };
        let findings = act(&machine(root.path(), &runner, &plan));
        assert_eq!(runner.lines(), ["pvecm create main --link0 192.0.2.10"]);
        assert_eq!(findings[0].state, State::Ok);
        write(root.path(), COROSYNC, "totem {}\n");
        act(&machine(root.path(), &runner, &plan));
        assert_eq!(runner.lines().len(), 1, "a cluster that is there is not made again");
    }

    #[test]
    fn a_joiner_joins_first_and_then_registers_its_storages_and_guests() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), joining(root.path()));
        cluster(root.path(), 1);
        fs::remove_file(root.path().join(&COROSYNC[1..])).unwrap();
        for number in [100, 101, 9000] {
            write(root.path(), &format!("{WAITING_GUESTS}/{number}.conf"), &format!("name: guest{number}\n"));
        }
        let findings = act(&machine(root.path(), &runner, &plan));
        assert_eq!(
            runner.lines(),
            [
                "pvecm add node1.example.org --fingerprint AA:BB --link0 192.0.2.10",
                "pvesm add lvmthin bulk-lvm --vgname bulk --thinpool data --content images,rootdir --nodes host",
            ],
            "local-lvm is the cluster's already"
        );
        assert_eq!(runner.input_of("pvecm").unwrap(), b"root's word\n");
        let at = |number| root.path().join(format!("etc/pve/nodes/host/qemu-server/{number}.conf"));
        assert_eq!(fs::read_to_string(at(100)).unwrap(), "name: guest100\n");
        assert!(at(9000).exists() && !at(101).exists(), "101 is another node's guest");
        assert!(root.path().join(format!("{}/101.conf", &WAITING_GUESTS[1..])).exists());
        assert!(!root.path().join(&CLUSTER_PASSWORD[1..]).exists(), "the password was used and is erased");
        let states: Vec<_> = findings.iter().map(|f| (f.what.as_str(), f.state)).collect();
        insta::assert_debug_snapshot!(states);
    }

    #[test]
    fn without_a_quorum_nothing_is_registered_and_the_next_start_goes_on_without_joining_again() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), joining(root.path()));
        cluster(root.path(), 0);
        let findings = act(&machine(root.path(), &runner, &plan));
        assert!(findings[0].detail.contains("no quorum"), "{findings:?}");
        assert!(runner.lines().is_empty());
        cluster(root.path(), 1);
        act(&machine(root.path(), &runner, &plan));
        assert!(runner.lines().iter().all(|line| line.starts_with("pvesm")), "{:?}", runner.lines());
    }

    #[test]
    fn a_node_that_is_refused_keeps_its_password_for_the_next_try() {
        let root = tempfile::tempdir().unwrap();
        let runner = Recorder::new().fails("pvecm", 2, "* this host already contains virtual guests");
        let plan = joining(root.path());
        let findings = act(&machine(root.path(), &runner, &plan));
        assert_eq!(findings[0].state, State::Missing);
        assert!(findings[0].detail.contains("already contains virtual guests"), "{findings:?}");
        assert!(root.path().join(&CLUSTER_PASSWORD[1..]).exists());
    }
}
