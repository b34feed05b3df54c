//! Memory encryption of the machines in `memory-encryption/`, a folder of captures each; its README.md says where they are from.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use sovereign_model::memory_encryption::State::{self, *};
use sovereign_system::probe::{Captures, memory_encryption};

/// Each case, the state it must come out with, and whether it is a virtual machine.
const CASES: [(&str, State, bool); 38] = [
    ("amd-active", Active, false),
    ("amd-active-before-5.18", Active, false),
    ("amd-active-transparent", ActiveTransparent, false),
    ("amd-active-twice", ActiveTransparent, false),
    ("amd-cpus-disagree", OffInFirmware, false),
    ("amd-flag-before-5.18", KernelOff, false),
    ("amd-flag-before-5.18-without-log", Unknown, false),
    ("amd-kernel-off", KernelOff, false),
    ("amd-log-of-another-kernel", Unknown, false),
    ("amd-name-of-a-device", KernelOff, false),
    ("amd-off-in-firmware", OffInFirmware, false),
    ("amd-tsme-disagrees", Unknown, false),
    ("amd-unknown-without-tsme-status", Unknown, false),
    ("amd-unreadable-msr", Unknown, false),
    ("amd-unreadable-msr-with-tsme", ActiveTransparent, false),
    ("amd-unsupported", Unsupported, false),
    ("amd-virtualised", Unknown, true),
    ("garbage", Unknown, false),
    ("hygon-active", Active, false),
    ("hygon-kernel-off", KernelOff, false),
    ("hygon-unsupported", Unsupported, false),
    ("intel-active-transparent", ActiveTransparent, false),
    ("intel-bypassed", OffInFirmware, false),
    ("intel-cpus-disagree", OffInFirmware, false),
    ("intel-dump-of-one-cpu", Unknown, false),
    ("intel-excluded-everything", OffInFirmware, false),
    ("intel-excluded-range", ActiveTransparent, false),
    ("intel-flag-before-6.10", OffInFirmware, false),
    ("intel-off-in-firmware", OffInFirmware, false),
    ("intel-offline-cpu-and-odd-spelling", ActiveTransparent, false),
    ("intel-only-tme-activate", ActiveTransparent, false),
    ("intel-truncated-dump", Unknown, false),
    ("intel-unlocked", EnabledUnlocked, false),
    ("intel-unreadable-msr", Unknown, false),
    ("intel-unsupported", Unsupported, false),
    ("intel-virtualised", Unknown, true),
    ("vendors-disagree", Unknown, false),
    ("zhaoxin-unsupported", Unsupported, false),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/memory-encryption")
}

#[test]
fn each_machine_is_in_the_state_that_its_registers_say() {
    for (case, state, virtualised) in CASES {
        let (captures, found) = memory_encryption::of_folder(&folder().join(case)).unwrap();
        assert_eq!((found.state, found.virtualised), (state, virtualised), "{case}: {:#?}", found.evidence);
        assert_eq!(captures.remarks().count(), 0, "{case}");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder().join(case));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("expected", serde_json::to_string_pretty(&found).unwrap()));
    }
}

#[test]
fn every_folder_is_a_case() {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<_> = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name()).collect();
    found.sort();
    assert_eq!(found, CASES.map(|(case, ..)| case));
}

/// CPUs that disagree are reported, and what they disagree about.
#[test]
fn a_disagreement_is_in_the_evidence() {
    for (case, about) in [
        ("amd-cpus-disagree", "SYSCFG"),
        ("intel-cpus-disagree", "TME_ACTIVATE"),
        ("intel-unreadable-msr", "TME_ACTIVATE"),
        ("vendors-disagree", "vendor"),
    ] {
        let evidence = memory_encryption::of_folder(&folder().join(case)).unwrap().1.evidence;
        assert!(
            evidence.iter().any(|line| line.contains("CPUs disagree") && line.contains(about)),
            "{case}: {evidence:#?}"
        );
    }
}

/// A piece of a file: of the format, nearly, or not at all.
fn piece() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("CPU 0:".to_owned()),
        Just("CPU 1:".to_owned()),
        Just("0-1".to_owned()),
        Just("processor : 0\nvendor_id : GenuineIntel\nflags : sme tme\nprocessor : 1\nflags : sme tme".to_owned()),
        Just("processor : 1\nvendor_id : AuthenticAMD\nflags : sme hypervisor".to_owned()),
        Just("Linux version 6.12.1 (x)".to_owned()),
        Just("Linux version 5.4".to_owned()),
        Just("[ 0.0] Memory Encryption Features active: AMD SME".to_owned()),
        Just("ccp 0000:22:00.1: psp: TSME enabled".to_owned()),
        Just("1".to_owned()),
        Just("0".to_owned()),
        "\\PC{0,12}",
        "[\\x00-\\x7f]{0,8}",
    ];
    let leaf = (prop::sample::select(vec![0_u32, 1, 7, 0x8000_0000, 0x8000_001f]), leaves()).prop_map(
        |(leaf, [a, b, c, d])| format!("   {leaf:#010x} 0x00: eax={a:#010x} ebx={b:#010x} ecx={c:#010x} edx={d:#010x}"),
    );
    let register = (prop::sample::select(vec![0x981_u32, 0x982, 0x983, 0x984, 0xc001_0010]), registers())
        .prop_map(|(register, value)| format!("{register:#x} {value:#018x}"));
    prop_oneof![word, leaf, register]
}

/// Values of leaves, with those that mean something often among them.
fn leaves() -> impl Strategy<Value = [u32; 4]> {
    prop_oneof![
        Just([0x20, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
        Just([0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
        Just([0x8000_0028, 0, 1 << 13, 0]),
        Just([1, 0, 0, 0]),
        Just([0, 0, 1 << 31, 0]),
        any::<[u32; 4]>(),
    ]
}

fn registers() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..4, Just(1 << 23), Just(0x8000_0003), Just(0x800), any::<u64>()]
}

const FILES: [&str; 8] = [
    "cpuid.txt",
    "msr/0.txt",
    "msr/1.txt",
    "sys/bus/pci/devices/0000:22:00.1/tsme_status",
    "sys/devices/system/cpu/online",
    "proc/cpuinfo",
    "proc/version",
    "dmesg.txt",
];

/// The captures of one of these cases with other lines in some of these files.
fn damaged(cases: Vec<&'static str>, files: Vec<&'static str>) -> impl Strategy<Value = Captures> {
    let change = (prop::sample::select(files), any::<prop::sample::Index>(), 0..3_usize, piece());
    (prop::sample::select(cases), vec(change, 0..6)).prop_map(|(case, changes)| {
        let (mut captures, _) = memory_encryption::of_folder(&folder().join(case)).unwrap();
        for (file, at, gone, new) in changes {
            let mut lines: Vec<String> = captures.get(file).unwrap_or_default().lines().map(str::to_owned).collect();
            let at = at.index(lines.len() + 1);
            let end = (at + gone).min(lines.len());
            lines.splice(at..end, [new]);
            captures.insert(file, lines.join("\n"));
        }
        captures
    })
}

/// What the files say to a simpler reader than the one that is tested: a text that contains one of these anywhere.
fn says(captures: &Captures, file: &str, what: impl Fn(&str) -> bool) -> bool {
    captures.get(file).is_some_and(|text| text.lines().any(what))
}

/// The last word of a line of a register file, as a number.
fn value(line: &str, register: &str) -> Option<u64> {
    let line = line.to_ascii_lowercase();
    let value = line.trim().strip_prefix(register)?.trim().strip_prefix("0x")?;
    u64::from_str_radix(value, 16).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in the files: no panic, and never active in a virtual machine, nor on Intel where a CPU on line is bypassed, unlocked or off.
    #[test]
    fn damage_never_makes_a_machine_active(captures in damaged(CASES.map(|(case, ..)| case).to_vec(), FILES.to_vec())) {
        let dir = tempfile::tempdir().unwrap();
        captures.save(dir.path()).unwrap();
        let Ok((_, found)) = memory_encryption::of_folder(dir.path()) else { return Ok(()) };
        prop_assert!(!found.virtualised || !found.state.is_active());
        if !found.state.is_active() {
            return Ok(());
        }
        if found.vendor == "GenuineIntel" {
            prop_assert_eq!(found.state, ActiveTransparent);
            let both = captures.get("sys/devices/system/cpu/online").is_some_and(|text| text.trim() == "0-1");
            for file in if both { &["msr/0.txt", "msr/1.txt"][..] } else { &[] } {
                let is_on = |line: &str| value(line, "0x982").is_some_and(|value| value & 0x8000_0003 == 3);
                let is_bad = |line: &str| value(line, "0x982").is_some_and(|value| value & 0x8000_0003 != 3);
                prop_assert!(says(&captures, file, is_on) && !says(&captures, file, is_bad), "{file}: {found:#?}");
            }
        } else {
            let tsme = says(&captures, FILES[3], |line| line.trim() == "1") || says(&captures, "dmesg.txt", |line| line.contains("TSME"));
            let on = |line: &str| value(line, "0xc0010010").is_some_and(|value| value >> 23 & 1 == 1);
            let sme = ["msr/0.txt", "msr/1.txt"].iter().any(|file| says(&captures, file, on));
            prop_assert!(tsme || sme, "{found:#?}");
        }
    }

    /// Where CPUID has the hypervisor bit, nothing that any other file says makes the machine active.
    #[test]
    fn a_virtual_machine_stays_one(captures in damaged(vec!["amd-virtualised", "intel-virtualised"], FILES[1..].to_vec())) {
        let dir = tempfile::tempdir().unwrap();
        captures.save(dir.path()).unwrap();
        let (_, found) = memory_encryption::of_folder(dir.path()).unwrap();
        prop_assert!(found.virtualised && !found.state.is_active(), "{found:#?}");
    }

    /// Files of nothing but pieces.
    #[test]
    fn garbage_never_panics(texts in vec(vec(piece(), 0..12), FILES.len())) {
        let dir = tempfile::tempdir().unwrap();
        let mut captures = Captures::default();
        for (file, lines) in FILES.iter().zip(texts) {
            captures.insert(*file, lines.join("\n"));
        }
        captures.save(dir.path()).unwrap();
        if let Ok((_, found)) = memory_encryption::of_folder(dir.path()) {
            prop_assert!(!found.evidence.is_empty() && !found.advice.is_empty());
            prop_assert!(!found.virtualised || !found.state.is_active());
        }
    }
}
