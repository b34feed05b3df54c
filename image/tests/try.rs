//! The machine that `scripts/try` switches on, by what it would tell QEMU.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// QEMU's arguments, a line each, with these variables in the environment. Programs of the host are stood in for.
fn arguments(variables: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (scripts, programs) = (dir.path().join("scripts"), dir.path().join("programs"));
    for folder in [&scripts, &programs, &dir.path().join("target")] {
        fs::create_dir(folder).unwrap();
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["try", "lib.sh"] {
        fs::copy(top.join("scripts").join(name), scripts.join(name)).unwrap();
    }
    fs::write(dir.path().join("target/x.iso"), "").unwrap();
    // QEMU that cannot do KVM.
    let qemu = "case \"$*\" in *'-accel kvm'*) exit 1 ;; esac\nprintf '%s\\n' \"$@\"";
    for (name, script) in [("qemu-system-x86_64", qemu), ("qemu-img", ""), ("dpkg-query", "echo installed")] {
        let path = programs.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(scripts.join("try")).env("PATH", path).env("BIOS", "1").env_remove("CPUS").env_remove("MEMORY");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The value of an option.
fn value<'a>(arguments: &'a [String], option: &str) -> &'a str {
    &arguments[arguments.iter().position(|argument| argument == option).unwrap() + 1]
}

#[test]
fn a_person_gets_the_reference_machine_or_the_one_that_is_asked_for() {
    let reference = arguments(&[]);
    assert_eq!((value(&reference, "-smp"), value(&reference, "-m")), ("12", "32G"));
    assert_eq!(value(&reference, "-object"), "memory-backend-ram,id=ram,size=32G,reserve=off");
    assert_eq!(value(&reference, "-accel"), "tcg,thread=single");
    let small = arguments(&[("CPUS", "2"), ("MEMORY", "4G")]);
    assert_eq!((value(&small, "-smp"), value(&small, "-m")), ("2", "4G"));
    assert!(value(&small, "-object").contains("size=4G,"), "{small:?}");
}
