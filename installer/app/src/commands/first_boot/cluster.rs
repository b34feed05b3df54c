//! `[cluster]`: makes this node the first of a cluster, or one more of an existing one, by Proxmox VE's own `pvecm`.
//!
//! Joining has an order: `pvecm` refuses a node that has guests, and the node's configuration database is replaced by the cluster's. So
//! guests wait outside of it, and they and the node's storages are registered afterwards, never over what the cluster has.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use sovereign_model::installed::{CLUSTER_PASSWORD, WAITING_GUESTS};
use sovereign_model::site::{Cluster, ClusterMode};
use sovereign_proxmox::files::Backend;
use sovereign_proxmox::section;
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
    // Without it nothing tells whether this node is a member already.
    if wanted.mode != ClusterMode::None && !super::checks::is_cluster_file_system_mounted(machine) {
        let detail = "/etc/pve is not mounted: nothing was done, the next start tries again";
        return vec![Finding::present("cluster", false, detail)];
    }
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

/// Adds this node's storages to the cluster's: a new one for this node alone, one that is there and made of the same for this node too.
/// Something else of that name stays as it is, and guests on it do not start here.
fn register_storages(machine: &Machine<'_>) -> Result<Vec<Finding>, String> {
    let text = fs::read_to_string(machine.path("/etc/pve/storage.cfg"))
        .map_err(|error| format!("cannot read the cluster's storage.cfg: {error}"))?;
    let (sections, _) = section::parse(&text);
    let mut findings = Vec::new();
    for storage in storages(machine.plan) {
        let id = storage.id.as_str();
        let (kind, made_of) = match &storage.backend {
            // Every node has `local`.
            Backend::Dir { .. } => continue,
            Backend::LvmThin { vg, pool } => ("lvmthin", vec![("vgname", vg.as_str()), ("thinpool", pool.as_str())]),
            Backend::Lvm { vg } => ("lvm", vec![("vgname", vg.as_str())]),
        };
        let what = format!("storage {id}");
        let node = machine.node();
        let Some(there) = sections.iter().find(|section| section.id == id) else {
            let mut args = vec!["add".to_owned(), kind.to_owned(), id.to_owned()];
            args.extend(made_of.iter().flat_map(|(key, value)| [format!("--{key}"), (*value).to_owned()]));
            args.extend(["--content", "images,rootdir", "--nodes", node].map(str::to_owned));
            machine.runner.run(&Cmd::new("pvesm", args)).map_err(|error| chain(&error))?;
            findings.push(Finding::present(&what, true, "registered for this node"));
            continue;
        };
        let same = there.kind == kind && made_of.iter().all(|(key, value)| there.get(key) == Some(*value));
        if !same {
            let detail = "the cluster has another storage of this name: give one of them another name with `pvesm`";
            findings.push(Finding::present(&what, false, detail));
            continue;
        }
        // Without a list it is every node's.
        match there.get("nodes") {
            Some(nodes) if !nodes.split(',').any(|known| known.trim() == node) => {
                let nodes = format!("{nodes},{node}");
                machine
                    .runner
                    .run(&Cmd::new("pvesm", ["set", id, "--nodes", &nodes]))
                    .map_err(|error| chain(&error))?;
                findings.push(Finding::present(&what, true, "the cluster's, now for this node too"));
            }
            _ => findings.push(Finding::present(&what, true, "the cluster's")),
        }
    }
    Ok(findings)
}

/// Registers the guests that waited. A number that another node uses is not ours to take: that guest goes on waiting, and so does one that
/// cannot be registered; the others are none the worse for it.
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
        let to = machine.path(&format!("/etc/pve/nodes/{}/qemu-server/{number}.conf", machine.node()));
        findings.push(match register(&waiting, &to, taken.ids.contains_key(&number)) {
            Ok(true) => Finding::present(&what, true, "registered"),
            Ok(false) => {
                let detail = format!("the cluster has a guest of this number: {} goes on waiting", waiting.display());
                Finding::present(&what, false, detail)
            }
            Err(error) => Finding::present(&what, false, format!("cannot register {}: {error}", waiting.display())),
        });
    }
    Ok(findings)
}

/// Whether a guest that waited is registered now; not where its number is somebody else's.
fn register(waiting: &Path, to: &Path, taken: bool) -> std::io::Result<bool> {
    let text = fs::read(waiting)?;
    // Left of an attempt that was cut short after its file was whole.
    if fs::read(to).is_ok_and(|there| there == text) {
        fs::remove_file(waiting)?;
        return Ok(true);
    }
    if taken {
        return Ok(false);
    }
    // Made new or not at all: another node may have taken the number meanwhile.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
    if let Err(error) = file.write_all(&text).and_then(|()| file.sync_all()) {
        // Half a guest would pass for one that is registered.
        let _ = fs::remove_file(to);
        return Err(error);
    }
    fs::remove_file(waiting)?;
    Ok(true)
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
    use sovereign_model::plan::Plan;
    use sovereign_system::runner::{Output, RunError, Runner};
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

    /// What Proxmox VE shows in /etc/pve of a node on its own.
    fn alone(root: &Path) {
        write(root, "/proc/self/mounts", "/dev/fuse /etc/pve fuse rw 0 0\n");
        write(root, "/etc/pve/.members", "{}");
        write(root, "/etc/pve/.vmlist", "{}");
    }

    /// What it shows once the node is part of a cluster.
    fn cluster(root: &Path, quorate: u32, storages: &str) {
        alone(root);
        write(root, COROSYNC, "totem {}\n");
        write(root, "/etc/pve/storage.cfg", &format!("dir: local\n\tpath /var/lib/vz\n\n{storages}"));
        write(
            root,
            "/etc/pve/.members",
            &format!(r#"{{ "nodename": "host", "cluster": {{ "quorate": {quorate} }} }}"#),
        );
        write(root, "/etc/pve/.vmlist", r#"{ "version": 1, "ids": { "101": { "node": "node1", "type": "qemu" } } }"#);
        fs::create_dir_all(root.join("etc/pve/nodes/host/qemu-server")).unwrap();
    }

    /// Of every node, and of the first joiner.
    const STORAGES: &str = "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\n";

    /// Joins when it is told to: only then is the cluster there.
    struct Joining<'a> {
        root: &'a Path,
        storages: &'a str,
        recorder: Recorder,
    }

    impl Runner for Joining<'_> {
        fn status(&self, cmd: &Cmd, on_stdout: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
            if cmd.program == "pvecm" {
                let folder = self.root.join("etc/pve/nodes/host/qemu-server");
                assert!(!folder.exists(), "something was registered before the join");
                cluster(self.root, 1, self.storages);
            }
            self.recorder.status(cmd, on_stdout)
        }
    }

    fn machine<'a>(root: &Path, runner: &'a dyn Runner, plan: &'a Plan) -> Machine<'a> {
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
        alone(root.path());
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
        let plan = joining(root.path());
        alone(root.path());
        for number in [100, 101, 9000] {
            write(root.path(), &format!("{WAITING_GUESTS}/{number}.conf"), &format!("name: guest{number}\n"));
        }
        let runner = Joining { root: root.path(), storages: STORAGES, recorder: Recorder::new() };
        let findings = act(&machine(root.path(), &runner, &plan));
        assert_eq!(
            runner.recorder.lines(),
            [
                "pvecm add node1.example.org --fingerprint AA:BB --link0 192.0.2.10",
                "pvesm add lvmthin bulk-lvm --vgname bulk --thinpool data --content images,rootdir --nodes host",
            ],
            "local-lvm is every node's already"
        );
        assert_eq!(runner.recorder.input_of("pvecm").unwrap(), b"root's word\n");
        let at = |number| root.path().join(format!("etc/pve/nodes/host/qemu-server/{number}.conf"));
        assert_eq!(fs::read_to_string(at(100)).unwrap(), "name: guest100\n");
        assert!(at(9000).exists() && !at(101).exists(), "101 is another node's guest");
        assert!(root.path().join(format!("{}/101.conf", &WAITING_GUESTS[1..])).exists());
        assert!(!root.path().join(&CLUSTER_PASSWORD[1..]).exists(), "the password was used and is erased");
        let states: Vec<_> = findings.iter().map(|f| (f.what.as_str(), f.state)).collect();
        insta::assert_debug_snapshot!(states);
    }

    #[test]
    fn a_storage_of_an_earlier_joiner_becomes_this_nodes_too_and_another_of_its_name_does_not() {
        let root = tempfile::tempdir().unwrap();
        let plan = joining(root.path());
        let bulk = "lvmthin: bulk-lvm\n\tthinpool data\n\tvgname bulk\n\tnodes node2,node3\n\n";
        let other = "lvm: local-lvm\n\tvgname pve\n\n";
        alone(root.path());
        let runner = Joining { root: root.path(), storages: &format!("{bulk}{other}"), recorder: Recorder::new() };
        let findings = act(&machine(root.path(), &runner, &plan));
        assert_eq!(runner.recorder.lines()[1..], ["pvesm set bulk-lvm --nodes node2,node3,host"]);
        let state = |what: &str| findings.iter().find(|f| f.what == what).unwrap().state;
        assert_eq!((state("storage bulk-lvm"), state("storage local-lvm")), (State::Ok, State::Missing));
    }

    #[test]
    fn a_guest_that_was_registered_before_the_power_went_is_not_somebody_elses() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), joining(root.path()));
        cluster(root.path(), 1, STORAGES);
        write(root.path(), &format!("{WAITING_GUESTS}/101.conf"), "name: ours\n");
        write(root.path(), "/etc/pve/nodes/host/qemu-server/101.conf", "name: ours\n");
        let findings = act(&machine(root.path(), &runner, &plan));
        assert!(findings.iter().any(|f| f.what == "guest 101" && f.state == State::Ok), "{findings:?}");
        assert!(!root.path().join(format!("{}/101.conf", &WAITING_GUESTS[1..])).exists());
    }

    #[test]
    fn a_guest_that_cannot_be_written_waits_and_the_others_do_not() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), joining(root.path()));
        cluster(root.path(), 1, STORAGES);
        for number in [100, 200] {
            write(root.path(), &format!("{WAITING_GUESTS}/{number}.conf"), "name: x\n");
        }
        // Something that cannot be replaced by a file.
        fs::create_dir_all(root.path().join("etc/pve/nodes/host/qemu-server/100.conf")).unwrap();
        let findings = act(&machine(root.path(), &runner, &plan));
        let state = |what: &str| findings.iter().find(|f| f.what == what).unwrap().state;
        assert_eq!((state("guest 100"), state("guest 200")), (State::Missing, State::Ok));
        assert!(root.path().join(format!("{}/100.conf", &WAITING_GUESTS[1..])).exists());
    }

    #[test]
    fn without_the_cluster_file_system_nothing_is_asked_of_anybody() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), joining(root.path()));
        let findings = act(&machine(root.path(), &runner, &plan));
        assert!(findings[0].detail.contains("/etc/pve is not mounted"), "{findings:?}");
        assert!(runner.lines().is_empty() && root.path().join(&CLUSTER_PASSWORD[1..]).exists());
    }

    #[test]
    fn without_a_quorum_nothing_is_registered_and_the_next_start_goes_on_without_joining_again() {
        let root = tempfile::tempdir().unwrap();
        let (runner, plan) = (Recorder::new(), joining(root.path()));
        cluster(root.path(), 0, STORAGES);
        let findings = act(&machine(root.path(), &runner, &plan));
        assert!(findings[0].detail.contains("no quorum"), "{findings:?}");
        assert!(runner.lines().is_empty());
        cluster(root.path(), 1, STORAGES);
        act(&machine(root.path(), &runner, &plan));
        assert!(runner.lines().iter().all(|line| line.starts_with("pvesm")), "{:?}", runner.lines());
    }

    #[test]
    fn a_node_that_is_refused_keeps_its_password_for_the_next_try() {
        let root = tempfile::tempdir().unwrap();
        let runner = Recorder::new().fails("pvecm", 2, "* this host already contains virtual guests");
        let plan = joining(root.path());
        alone(root.path());
        let findings = act(&machine(root.path(), &runner, &plan));
        assert_eq!(findings[0].state, State::Missing);
        assert!(findings[0].detail.contains("already contains virtual guests"), "{findings:?}");
        assert!(root.path().join(&CLUSTER_PASSWORD[1..]).exists());
    }
}
