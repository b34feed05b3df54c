//! `[cluster]`: makes this node the first of a cluster, or one more of an existing one, by Proxmox VE's own `pvecm`.
//!
//! Joining has an order: `pvecm` refuses a node that has guests, and the node's configuration database is replaced by the cluster's. So
//! guests wait outside of it, and they and the node's storages are registered afterwards, never over what the cluster has.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
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
/// How long /etc/pve may be away while pve-cluster starts anew.
const SETTLING: Duration = Duration::from_secs(60);
/// Most lines of what `pvecm` said that are reported.
const SHOWN_LINES: usize = 12;

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

/// Runs `pvecm` and returns what it complained of. It ends with 0 whatever became of its work, which a worker process does for it and
/// `fork_worker` does not ask after (pve-common, `RESTEnvironment.pm`); the cause of a failure is on standard error alone. So the work is
/// done when its result is there. pve-cluster starts anew meanwhile, and then /etc/pve is away for a moment.
fn pvecm(machine: &Machine<'_>, cmd: &Cmd, secret: &[u8]) -> Result<String, String> {
    let output = machine.runner.run(cmd).map_err(|error| hidden(&chain(&error), secret))?;
    let complaint = hidden(&last_lines(&output.stderr), secret);
    let deadline = Instant::now() + SETTLING.min(machine.patience);
    if machine.wait_for(deadline, || is_member(machine), |member| *member) {
        return Ok(complaint);
    }
    let line = cmd.line();
    Err(format!("`{line}` left no {COROSYNC}: the next start tries again{}", said(&complaint, &output.stdout, secret)))
}

/// What a program printed, as the rest of a message.
fn said(complaint: &str, stdout: &str, secret: &[u8]) -> String {
    let text = if complaint.is_empty() { hidden(&last_lines(stdout), secret) } else { complaint.to_owned() };
    if text.is_empty() { "; it printed nothing".to_owned() } else { format!("; it said:\n    {text}") }
}

/// The last lines of an output that are not empty.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n    ")
}

/// A text without the secret that the program was given.
fn hidden(text: &str, secret: &[u8]) -> String {
    match std::str::from_utf8(secret) {
        Ok(secret) if !secret.is_empty() => text.replace(secret, "***"),
        _ => text.to_owned(),
    }
}

fn create(machine: &Machine<'_>, wanted: &Cluster) -> Result<Finding, String> {
    let name = wanted.name.as_deref().unwrap_or_default();
    let mut complaint = String::new();
    let mut detail = "created".to_owned();
    if !is_member(machine) {
        let link = link0(machine, wanted)?;
        let cmd = Cmd::new("pvecm", ["create", name, "--link0", &link]).timeout(TIMEOUT);
        complaint = pvecm(machine, &cmd, &[])?;
        detail = format!("created, link0 {link}");
    }
    wait_for_quorum(machine, "created", "corosync does not run as it should", &complaint)?;
    Ok(Finding::present(&format!("cluster {name}"), true, detail))
}

fn join(machine: &Machine<'_>, wanted: &Cluster) -> Result<Vec<Finding>, String> {
    let peer = wanted.peer.as_deref().unwrap_or_default();
    let what = format!("cluster of {peer}");
    let mut complaint = String::new();
    if !is_member(machine) {
        let fingerprint = wanted.fingerprint.as_deref().unwrap_or_default();
        let link = link0(machine, wanted)?;
        let password = secret::read(machine, CLUSTER_PASSWORD)?
            .ok_or_else(|| format!("{CLUSTER_PASSWORD} is not there: join by hand with `pvecm add {peer}`"))?;
        let line = Zeroizing::new([password.as_slice(), b"\n"].concat());
        let args = ["add", peer, "--fingerprint", fingerprint, "--link0", &link];
        let cmd = Cmd::new("pvecm", args).secret(&line).timeout(TIMEOUT);
        complaint = pvecm(machine, &cmd, &password)?;
    }
    // Proxmox VE makes /etc/pve read-only until the node is part of a majority.
    wait_for_quorum(machine, "joined", "nothing was registered", &complaint)?;
    secret::erase(machine, CLUSTER_PASSWORD);
    let mut findings = vec![Finding::present(&what, true, "joined")];
    findings.extend(register_storages(machine)?);
    findings.extend(register_guests(machine)?);
    Ok(findings)
}

fn wait_for_quorum(machine: &Machine<'_>, done: &str, so: &str, complaint: &str) -> Result<(), String> {
    let deadline = Instant::now() + machine.patience;
    if machine.wait_for(deadline, || quorate(machine), |quorate| *quorate) {
        return Ok(());
    }
    let complaint = if complaint.is_empty() { String::new() } else { format!("; `pvecm` said:\n    {complaint}") };
    Err(format!("{done}, but the cluster has no quorum: {so}; the next start tries again{complaint}"))
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
    let text = match fs::read_to_string(machine.path("/etc/pve/storage.cfg")) {
        Ok(text) => text,
        // A cluster that never had a storage but the one that every node has.
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot read the cluster's storage.cfg: {error}")),
    };
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
        let node = machine.plan.node();
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
        let to = machine.path(&format!("/etc/pve/nodes/{}/qemu-server/{number}.conf", machine.plan.node()));
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
mod tests;
