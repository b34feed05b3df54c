//! `sovereign-installer pmxcfs`: what it prints, and the exit codes.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sovereign_proxmox::pmxcfs::{Initial, Tree, write};

/// 2026-01-02 03:04:05 UTC.
const MTIME: u32 = 1_767_323_045;

/// Exit code, standard output, standard error.
fn pmxcfs(args: &[&str], database: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sovereign-installer"))
        .arg("pmxcfs")
        .args(args)
        .arg(database)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(database.to_str().unwrap(), "config.db");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn database(folder: &Path, tree: &Tree) -> PathBuf {
    let path = folder.join("config.db");
    write(&path, tree, MTIME).unwrap();
    path
}

fn node(storage_cfg: &str) -> Tree {
    let mut tree =
        Tree::initial("node1", Initial { datacenter_cfg: "keyboard: de\n", user_cfg: "", storage_cfg }).unwrap();
    tree.file("priv/shadow.cfg", "verysecret").unwrap();
    tree
}

const STORAGE: &str = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n\n";

#[test]
fn a_good_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path(), &node(STORAGE));
    let (code, out, err) = pmxcfs(&["check"], &path);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "11 entries: 0 errors, 0 warnings: nothing wrong\n", ""));
    let (code, out, _) = pmxcfs(&["dump"], &path);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("dump", out);
    let (code, out, _) = pmxcfs(&["dump", "--json"], &path);
    assert_eq!(code, Some(0));
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["version"] == 12 && !out.contains("verysecret"));
}

#[test]
fn warnings_alone_are_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path(), &node("dir: local\n\tpath /srv\n"));
    let (code, out, err) = pmxcfs(&["check"], &path);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("warnings", out);
    let (code, out, _) = pmxcfs(&["check", "--json"], &path);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("warnings-json", out);
}

#[test]
fn a_database_that_proxmox_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path(), &Tree::new());
    // The name of its only row, the version counter: pmxcfs refuses any other.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(11).rposition(|window| window == b"__version__").unwrap();
    bytes[at] = b'x';
    fs::write(&path, bytes).unwrap();
    let (code, out, err) = pmxcfs(&["check"], &path);
    assert_eq!((code, err.as_str()), (Some(8), ""));
    insta::assert_snapshot!("errors", out);
    let (code, out, _) = pmxcfs(&["check", "--json"], &path);
    assert_eq!(code, Some(8));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["errors"], 1);
    assert_eq!(pmxcfs(&["dump"], &path).0, Some(0));
}

#[test]
fn a_guest_that_proxmox_would_not_read_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = node(STORAGE);
    let conf = "name: edge_1\nnet0: virtio,bridge=vmbr0\nscsi0: local:101/vm-101-disk-0.raw,size=8G\n";
    tree.file("nodes/node1/qemu-server/101.conf", conf).unwrap();
    let path = database(folder.path(), &tree);
    let (code, out, err) = pmxcfs(&["check"], &path);
    assert_eq!((code, err.as_str()), (Some(8), ""));
    insta::assert_snapshot!("guest", out);
    let (code, out, _) = pmxcfs(&["check", "--json"], &path);
    assert_eq!(code, Some(8));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["errors"], &report["warnings"]), (&2.into(), &1.into()));
    assert_eq!(report["problems"][2]["rule"], "guest-effect");
}

#[test]
fn what_is_no_database_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    for command in ["check", "dump"] {
        let (code, out, err) = pmxcfs(&[command], &path);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.starts_with("sovereign-installer: cannot read config.db: "), "{err}");
    }
    fs::write(&path, "no database").unwrap();
    for args in [&["check"][..], &["check", "--json"], &["dump"]] {
        let (code, out, err) = pmxcfs(args, &path);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains("config.db is not an SQLite database: give the path"), "{err}");
    }
}
