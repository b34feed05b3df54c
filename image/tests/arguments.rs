//! Arguments that name nothing, or something else than is wanted: exit code 2, and a message that says which.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

/// Runs the program and gives what it said on standard error; it must end with 2.
#[track_caller]
fn refused(args: &[&Path]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sovereign-image")).args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    said
}

/// A pipe that nobody writes to.
fn make_fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

#[test]
fn an_image_that_is_not_there_or_is_none_is_a_wrong_argument() {
    let dir = tempfile::tempdir().unwrap();
    let (absent, site) = (dir.path().join("x.iso"), dir.path().join("site.toml"));
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sites/reference.toml");
    std::fs::copy(reference, &site).unwrap();
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo);
    let output = dir.path().join("copy.iso");
    let [inspect, sizes, verify, write, device, stick, embed, to, from] =
        ["inspect", "--sizes", "verify", "write", "--device", "/dev/null", "embed", "--output", "--site"]
            .map(Path::new);
    for (image, wanted) in [
        (absent.as_path(), "x.iso\n  because: No such file"),
        (dir.path(), " is neither a file nor a block device"),
        (&fifo, "fifo is neither a file nor a block device"),
        (Path::new("/dev/zero"), "/dev/zero is neither a file nor a block device"),
    ] {
        for args in [
            &[inspect, image][..],
            &[inspect, sizes, image],
            &[verify, image],
            &[write, image, device, stick],
            &[embed, image, from, &site, to, &output],
        ] {
            let said = refused(args);
            assert!(said.contains(wanted), "{args:?}: {said}");
        }
    }
    assert!(!output.exists());
}

#[test]
fn a_site_file_that_is_not_there_and_a_copy_without_a_folder_are_wrong_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("x.iso");
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sites/reference.toml");
    let [embed, to, from] = ["embed", "--output", "--site"].map(Path::new);
    let (absent, output) = (dir.path().join("site.toml"), dir.path().join("copy.iso"));
    let said = refused(&[embed, &image, from, &absent, to, &output]);
    assert!(said.starts_with("error: cannot read the site file ") && said.contains("site.toml\n  because: "), "{said}");
    let fifo = dir.path().join("fifo");
    make_fifo(&fifo);
    for endless in [dir.path(), &fifo, Path::new("/dev/zero")] {
        let said = refused(&[embed, &image, from, endless, to, &output]);
        assert!(said.starts_with(&format!("error: {} is not a file: ", endless.display())), "{said}");
    }
    let nowhere = dir.path().join("nowhere");
    let said = refused(&[embed, &image, from, &site, to, &nowhere.join("copy.iso")]);
    assert!(said.starts_with(&format!("error: there is no folder {}", nowhere.display())), "{said}");
}
