//! `memory-encryption --sysroot` on the machines of `installer/system/tests/memory-encryption`: what it prints, and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../system/tests/memory-encryption");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    cases
}

/// Exit code, standard output, standard error.
fn run(dir: &Path, json: bool) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sovereign-installer"));
    command.args(["memory-encryption", "--sysroot"]).arg(dir).args(json.then_some("--json"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_json_is_that_of_each_case_and_the_exit_code_says_whether_it_is_active() {
    let cases = cases();
    assert!(cases.len() >= 14);
    for case in cases {
        let (code, out, err) = run(&case, true);
        let snapshot = fs::read_to_string(case.join("expected.snap")).unwrap();
        let expected: Value = serde_json::from_str(snapshot.splitn(3, "---\n").nth(2).unwrap()).unwrap();
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found, expected, "{}", case.display());
        let mut keys: Vec<&String> = found.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["advice", "evidence", "state", "vendor", "virtualised"]);
        assert!(found["evidence"].as_array().is_some_and(|list| !list.is_empty()) && found["virtualised"].is_boolean());
        let active = found["state"].as_str().unwrap().starts_with("active");
        assert_eq!((code, err.as_str()), (Some(if active { 0 } else { 5 }), ""), "{}", case.display());
    }
}

#[test]
fn a_person_reads_the_same() {
    let case = cases().into_iter().find(|path| path.ends_with("intel-bypassed")).unwrap();
    let (code, out, _) = run(&case, false);
    assert_eq!(code, Some(5));
    assert!(out.starts_with("memory encryption: off-in-firmware (GenuineIntel)\n"), "{out}");
    assert!(out.contains("BYPASSED (bit 31)") && out.contains("\nWhat to do: switch off the bypass of TME"), "{out}");
}

#[test]
fn what_holds_no_captures_is_bad_input() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    for (path, what) in [
        (dir.path(), "holds nothing that tells of memory encryption"),
        (&dir.path().join("none"), "No such file"),
        (&file, "Not a directory"),
    ] {
        let (code, out, err) = run(path, true);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(what) && err.contains(&path.display().to_string()), "{err}");
        fs::write(&file, "").unwrap();
    }
}
