//! Files that people name on the command line and that are not what they should be: exit code 2 and the name, at once.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans/reference").join(name)
}

/// Exit code, standard output, standard error; the program is ended after 20 seconds, with code 124.
fn run(args: &[&str], paths: &[(&str, &Path)]) -> (Option<i32>, String, String) {
    let mut command = Command::new("timeout");
    command.args(["20", env!("CARGO_BIN_EXE_sovereign-installer")]).args(args);
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn pipes_devices_and_folders_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, what) in [(pipe.as_path(), "a pipe"), (Path::new("/dev/zero"), "a device"), (dir.path(), "a folder")] {
        let (code, _, err) = run(&["check"], &[("--site", path)]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(&format!("{} is {what}", path.display())), "{err}");
    }
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        let (code, _, err) = run(&["plan"], &[("--site", &case("site.toml")), ("--inventory", path)]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(&path.display().to_string()), "{err}");
    }
}

#[test]
fn a_plan_from_captures_says_what_the_probe_remarked() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../system/tests/captures/mixed");
    let (_, _, err) = run(&["plan"], &[("--site", &case("site.toml")), ("--inventory", &captures)]);
    assert_eq!(err.matches("remark: ").count(), 1, "{err}");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("proc")).unwrap();
    fs::copy(captures.join("proc/meminfo"), folder.path().join("proc/meminfo")).unwrap();
    let (code, _, err) = run(&["plan"], &[("--site", &case("site.toml")), ("--inventory", folder.path())]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("the capture `lsblk.json` is missing"), "{err}");
}

#[test]
fn a_folder_that_is_no_medium_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&["medium"], &[("--medium", folder.path())]);
    assert_eq!(code, Some(7), "{err}");
    assert!(err.contains("What to do: The medium is damaged or incomplete."), "{err}");
}

#[test]
fn the_hash_of_a_plan_is_printed_alone_and_a_wrong_one_is_refused() {
    let paths = [("--site", case("site.toml")), ("--inventory", case("inventory.json"))];
    let paths = paths.each_ref().map(|(option, path)| (*option, path.as_path()));
    let (code, out, _) = run(&["plan", "--hash"], &paths);
    assert_eq!(code, Some(0));
    let hash = out.trim_end();
    assert!(hash.len() == 64 && out == format!("{hash}\n"), "{out}");
    let (_, json, _) = run(&["plan", "--json"], &paths);
    assert!(json.contains(&format!("\"hash\": \"{hash}\"")));
    assert_eq!(run(&["plan", "--hash", "--json"], &paths).0, Some(2));
    for wrong in ["", "abc", &hash[1..], &format!("{hash}0"), &format!("{}g", &hash[1..])] {
        let (code, _, err) = run(&["install", "--plan-hash", wrong], &paths[..1]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("64 hexadecimal digits") && err.contains("plan --hash"), "{err}");
    }
}

#[test]
fn a_plan_that_an_installation_refuses_has_no_hash() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans/unread-disk");
    let (site, inventory) = (folder.join("site.toml"), folder.join("inventory.json"));
    let paths = [("--site", site.as_path()), ("--inventory", inventory.as_path())];
    assert_eq!(run(&["plan"], &paths).0, Some(0));
    let (code, out, err) = run(&["plan", "--hash"], &paths);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
}
