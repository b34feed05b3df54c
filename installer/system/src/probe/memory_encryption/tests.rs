//! Taking captures of a machine that is a folder, and reading them again.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use sovereign_model::memory_encryption::State;

use super::*;
use crate::testing::Recorder;

const DUMP: &str = "   0x00000000 0x00: eax=0x00000010 ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n   \
                    0x00000001 0x00: eax=0x00a10f11 ebx=0x00c00800 ecx=0x7efa320b edx=0x178bfbff\n   \
                    0x80000000 0x00: eax=0x80000028 ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n   \
                    0x8000001f 0x00: eax=0x030fffeb ebx=0x000041b3 ecx=0x000003ee edx=0x00000001\n";
const LOG: &str = "[    0.000000] Linux version 6.12.1 (builder@host) #1 SMP\n[    0.010000] secret of others\n";

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A machine of two CPUs on which the firmware has switched SME on and the kernel does not use it.
fn machine() -> (tempfile::TempDir, Recorder) {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "proc/version", "Linux version 6.12.1 (builder@host) #1 SMP\n");
    let cpu = |n| format!("processor\t: {n}\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu msr\n\n");
    write(root.path(), "proc/cpuinfo", &(cpu(0) + &cpu(1)));
    write(root.path(), ONLINE, "0-1\n");
    write(root.path(), "sys/devices/pci0/0000:22:00.1/tsme_status", "0\n");
    fs::create_dir_all(root.path().join(PCI)).unwrap();
    symlink("../../../devices/pci0/0000:22:00.1", root.path().join(PCI).join("0000:22:00.1")).unwrap();
    for number in 0..2 {
        write(root.path(), &format!("dev/cpu/{number}/msr"), "");
        let device =
            fs::OpenOptions::new().write(true).open(root.path().join(format!("dev/cpu/{number}/msr"))).unwrap();
        device.write_all_at(&0x00f4_0000_u64.to_le_bytes(), 0xc001_0010).unwrap();
    }
    let runner = Recorder::new().prints("cpuid -r", &format!("CPU 0:\n{DUMP}CPU 1:\n{DUMP}")).prints("dmesg", LOG);
    (root, runner)
}

#[test]
fn what_is_taken_of_a_machine_says_the_same_when_it_was_saved() {
    let (root, runner) = machine();
    let (captures, found) = of_machine(&runner, root.path());
    assert_eq!((found.state, found.vendor.as_str(), found.virtualised), (State::KernelOff, "AuthenticAMD", false));
    assert_eq!(runner.lines(), ["modprobe --quiet --all msr ccp", "cpuid -r", "dmesg --color=never"]);
    assert_eq!(captures.remarks().count(), 0);
    // A register reads as zero where nothing was written: a sparse file is no device.
    assert!(captures.get("msr/1.txt").is_some_and(|text| text.ends_with("0xc0010010 0x0000000000f40000\n")));
    // Of the log only what matters is kept.
    assert_eq!(captures.get(DMESG), LOG.lines().next().map(|line| format!("{line}\n")).as_deref());

    let saved = tempfile::tempdir().unwrap();
    captures.save(saved.path()).unwrap();
    assert_eq!(of_folder(saved.path()).unwrap(), (captures, found));
}

#[test]
fn what_cannot_be_had_is_remarked_on_and_the_state_is_unknown() {
    let (root, _) = machine();
    fs::remove_dir_all(root.path().join("dev")).unwrap();
    let runner = Recorder::new().fails("cpuid", 127, "not found").fails("dmesg", 1, "Operation not permitted");
    let (captures, found) = of_machine(&runner, root.path());
    assert_eq!(found.state, State::Unknown);
    let remarks: Vec<&str> = captures.remarks().collect();
    assert_eq!(remarks.len(), 3, "{remarks:#?}");
    assert!(remarks[0].contains("cpuid -r") && remarks[1].contains("CPU 0 (/dev/cpu/0/msr)"), "{remarks:#?}");
}

#[test]
fn a_dump_longer_than_the_runner_keeps_is_taken_whole() {
    let (root, _) = machine();
    let dump: String = (0..2000).map(|n| format!("CPU {n}:\n{DUMP}")).collect();
    let runner = Recorder::new().prints("cpuid -r", &dump).prints("dmesg", LOG);
    assert_eq!(of_machine(&runner, root.path()).0.get(CPUID).map(str::len), Some(dump.len()));
}

#[test]
fn a_folder_with_nothing_of_use_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = |path: &Path| matches!(of_folder(path), Err(ProbeError::NoReadings { path: named }) if named == path);
    assert!(nothing(dir.path()));
    for (name, text) in [
        ("proc/version", "Linux version 6.12.1 (x)\n"),
        (ONLINE, "0\n"),
        (CPUID, " \r\n"),
        ("msr/x.txt", "0x982 0x3\n"),
    ] {
        write(dir.path(), name, text);
        assert!(nothing(dir.path()), "{name}");
    }
    write(dir.path(), CPUID, "garbage\n");
    assert_eq!(of_folder(dir.path()).unwrap().1.state, State::Unknown);
    let file = dir.path().join(CPUID);
    assert!(matches!(of_folder(&file), Err(ProbeError::Read { path, .. }) if path == file));
    let none = dir.path().join("none");
    assert!(matches!(of_folder(&none), Err(ProbeError::Read { path, .. }) if path == none));
    fs::create_dir(dir.path().join(DMESG)).unwrap();
    assert!(matches!(of_folder(dir.path()), Err(ProbeError::Input(_))));
}

#[test]
fn links_that_lead_out_of_the_folder_are_not_read() {
    let (other, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(other.path(), "tsme_status", "1\n");
    write(dir.path(), CPUID, &format!("CPU 0:\n{DUMP}"));
    fs::create_dir_all(dir.path().join(PCI)).unwrap();
    symlink(other.path(), dir.path().join(PCI).join("0000:22:00.1")).unwrap();
    symlink("nowhere", dir.path().join(DMESG)).unwrap();
    let (captures, found) = of_folder(dir.path()).unwrap();
    assert_eq!(found.state, State::Unknown);
    assert!(captures.remarks().all(|remark| remark.contains("leads out of")) && captures.remarks().count() == 1);
}
