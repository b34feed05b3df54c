//! What happens when nobody reads what is printed: `sovereign-installer plan ... | head -1`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Stdio};

fn with_closed_output(args: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_sovereign-installer"))
        .args(args)
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans/reference");
    let [site, inventory] = ["site.toml", "inventory.json"].map(|name| case.join(name).display().to_string());
    let plan = ["plan", "--site", &site, "--inventory", &inventory];
    for args in [&plan[..], &[&plan[..], &["--json"]].concat(), &["schema"], &["check", "--site", &site], &["probe"]] {
        let (code, stderr) = with_closed_output(args);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sovereign-installer")).arg("schema").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot write to standard output"));
}
