//! What happens when nobody reads what is printed: `sovereign-image inspect ... | head -1`, `2>&1 | head`, a full disk.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An image that is ours by its name and its manifest, and has nothing else: enough for `inspect --sizes`, damaged for
/// `verify`.
fn image(folder: &Path) -> PathBuf {
    let (tree, image) = (folder.join("tree"), folder.join("x.iso"));
    fs::create_dir_all(tree.join("sovereign")).unwrap();
    let manifest = r#"{"schema":1,"version":"1","edition":"e","edition_label":"l","build_id":"b","epoch":0,
        "suite":"s","kernel":"k","unpacked":0,"files":[]}"#;
    fs::write(tree.join("sovereign/manifest.json"), manifest).unwrap();
    let made = Command::new("xorriso")
        .args(["-no_rc", "-as", "mkisofs", "-quiet", "-V", "SOVEREIGN_INSTALLER", "-r", "-o"])
        .args([&image, &tree])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    image
}

/// Runs the program; whoever reads the given stream is gone already.
fn run(args: &[&str], closed_stdout: bool, closed_stderr: bool) -> (Option<i32>, String) {
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let output = Command::new(env!("CARGO_BIN_EXE_sovereign-image"))
        .args(args)
        .stdout(if closed_stdout { closed() } else { Stdio::piped() })
        .stderr(if closed_stderr { closed() } else { Stdio::piped() })
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path()).display().to_string();
    for args in [&["inspect", "--sizes", &image][..], &["inspect", "--sizes", "--json", &image], &["--help"]] {
        assert_eq!(run(args, true, false), (Some(0), String::new()), "{args:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sovereign-image"));
    let output = command.args(["inspect", "--sizes"]).arg(image).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: cannot write to standard output\n  because: "), "{said}");
}

#[test]
fn lines_that_nobody_reads_do_not_end_a_command_half_way() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path()).display().to_string();
    // It tells its progress, then what is wrong with the image.
    let (code, said) = run(&["verify", &image], false, false);
    assert_eq!(code, Some(7));
    assert!(said.contains("checking the medium") && said.contains("error: "), "{said}");
    assert_eq!(run(&["verify", &image], false, true).0, Some(7));
    assert_eq!(run(&["verify", &image], true, true).0, Some(7));
    // A report that lists problems ends with 7, read or not.
    let (code, said) = run(&["inspect", &image], true, false);
    assert_eq!(code, Some(7));
    assert!(said.starts_with("error: ") && said.contains("has the problems that the report lists"), "{said}");
}
