//! Nodes in folders, and `pvecm` played by a recorder.

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
    write(root, "/etc/pve/.members", &format!(r#"{{ "nodename": "host", "cluster": {{ "quorate": {quorate} }} }}"#));
    write(root, "/etc/pve/.vmlist", r#"{ "version": 1, "ids": { "101": { "node": "node1", "type": "qemu" } } }"#);
    fs::create_dir_all(root.join("etc/pve/nodes/host/qemu-server")).unwrap();
}

/// Of every node, and of the first joiner.
const STORAGES: &str = "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\n";

/// Does what `pvecm` does when it is told to: only then is the cluster there.
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

/// `pvecm` whose cluster is there a moment after it has ended, as while pve-cluster starts anew.
struct Late<'a> {
    root: &'a Path,
    recorder: Recorder,
}

impl Runner for Late<'_> {
    fn status(&self, cmd: &Cmd, on_stdout: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
        if cmd.program == "pvecm" {
            let root = self.root.to_owned();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                cluster(&root, 0, STORAGES);
                std::thread::sleep(Duration::from_millis(50));
                cluster(&root, 1, STORAGES);
            });
        }
        self.recorder.status(cmd, on_stdout)
    }
}

fn creating() -> Plan {
    let mut plan = plan();
    plan.site.cluster = Cluster { mode: ClusterMode::Create, name: Some("main".to_owned()), ..Cluster::default() };
    plan
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
    let plan = creating();
    let runner = Joining { root: root.path(), storages: "", recorder: Recorder::new() };
    let findings = act(&machine(root.path(), &runner, &plan));
    assert_eq!(runner.recorder.lines(), ["pvecm create main --link0 192.0.2.10"]);
    assert_eq!(findings, [Finding::present("cluster main", true, "created, link0 192.0.2.10")]);
    assert_eq!(act(&machine(root.path(), &runner, &plan)), [Finding::present("cluster main", true, "created")]);
    assert_eq!(runner.recorder.lines().len(), 1, "a cluster that is there is not made again");
}

#[test]
fn a_cluster_that_was_not_made_is_reported_with_its_cause_and_tried_again() {
    let root = tempfile::tempdir().unwrap();
    alone(root.path());
    let plan = creating();
    // pvecm of pve-cluster 9.1 ends with 0 whatever its worker died of.
    let runner = Recorder::new().fails("pvecm", 0, "TASK ERROR: Invalid cluster name\n");
    let findings = act(&machine(root.path(), &runner, &plan));
    assert_eq!(findings[0].state, State::Missing);
    let detail = &findings[0].detail;
    assert!(detail.contains("left no /etc/pve/corosync.conf") && detail.contains("Invalid cluster name"), "{detail}");
    act(&machine(root.path(), &runner, &plan));
    assert_eq!(runner.lines().len(), 2);
    // What it printed stands in for a complaint.
    let runner = Recorder::new().prints("pvecm", "Corosync Cluster Engine\n\n");
    assert!(act(&machine(root.path(), &runner, &plan))[0].detail.ends_with("it said:\n    Corosync Cluster Engine"));
    assert!(act(&machine(root.path(), &Recorder::new(), &plan))[0].detail.ends_with("it printed nothing"));
}

#[test]
fn a_cluster_that_was_made_and_has_no_quorum_is_not_called_created() {
    let root = tempfile::tempdir().unwrap();
    cluster(root.path(), 0, STORAGES);
    let (runner, plan) = (Recorder::new(), creating());
    let findings = act(&machine(root.path(), &runner, &plan));
    assert_eq!(findings[0].state, State::Missing);
    assert!(findings[0].detail.contains("created, but the cluster has no quorum"), "{findings:?}");
    assert!(runner.lines().is_empty());
}

#[test]
fn a_cluster_that_is_there_a_moment_later_is_waited_for() {
    for mode in [ClusterMode::Create, ClusterMode::Join] {
        let root = tempfile::tempdir().unwrap();
        alone(root.path());
        let plan = if mode == ClusterMode::Create { creating() } else { joining(root.path()) };
        let runner = Late { root: root.path(), recorder: Recorder::new() };
        let findings = act(&Machine { patience: Duration::from_secs(1), ..machine(root.path(), &runner, &plan) });
        assert_eq!(findings[0].state, State::Ok, "{findings:?}");
        assert!(!root.path().join(&CLUSTER_PASSWORD[1..]).exists());
    }
}

#[test]
fn a_join_that_failed_behind_exit_code_0_keeps_the_password_and_shows_the_cause_without_it() {
    let root = tempfile::tempdir().unwrap();
    let plan = joining(root.path());
    alone(root.path());
    let many: String = (0..40).map(|n| format!("line {n}\n")).collect();
    let runner = Recorder::new().fails("pvecm", 0, &format!("{many}401 401 authentication failure: root's word\n"));
    let findings = act(&machine(root.path(), &runner, &plan));
    assert_eq!((findings.len(), findings[0].state), (1, State::Missing));
    let detail = &findings[0].detail;
    assert!(detail.contains("401 authentication failure: ***") && detail.contains("line 39"), "{detail}");
    assert!(!detail.contains("root's word") && !detail.contains("line 20"), "{detail}");
    assert!(root.path().join(&CLUSTER_PASSWORD[1..]).exists(), "the next start needs it");
    act(&machine(root.path(), &runner, &plan));
    assert_eq!(runner.lines().len(), 2);
}

#[test]
fn a_cluster_without_a_storage_configuration_gets_the_storages_of_its_joiner() {
    let root = tempfile::tempdir().unwrap();
    let (runner, plan) = (Recorder::new(), joining(root.path()));
    cluster(root.path(), 1, "");
    fs::remove_file(root.path().join("etc/pve/storage.cfg")).unwrap();
    let findings = act(&machine(root.path(), &runner, &plan));
    assert!(findings.iter().all(|finding| finding.state == State::Ok), "{findings:?}");
    assert_eq!(runner.lines().len(), 2, "{:?}", runner.lines());
    fs::create_dir(root.path().join("etc/pve/storage.cfg")).unwrap();
    let findings = act(&machine(root.path(), &runner, &plan));
    assert!(findings[0].detail.contains("cannot read the cluster's storage.cfg"), "{findings:?}");
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
