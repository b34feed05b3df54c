//! The rule, case by case.

use super::readings::{Cpu, Flags, Log, MSRS, Readings, SYSCFG, TME_ACTIVATE};
use super::*;
use crate::site::MemoryEncryption as Wanted;

/// A machine of two equal CPUs that is not virtual.
fn machine(vendor: &str, change: impl Fn(&mut Cpu)) -> Readings {
    let mut cpu = Cpu {
        vendor: Some(vendor.to_owned()),
        features: Some(0),
        structured: Some(0),
        encryption: Some(0),
        kernel: Some(Flags { vendor: vendor.to_owned(), ..Flags::default() }),
        ..Cpu::default()
    };
    change(&mut cpu);
    let cpus = [(0, cpu.clone()), (1, cpu)].into();
    Readings { cpus, kernel: Some((6, 12)), log: Some(Log::default()), ..Readings::default() }
}

fn amd(syscfg: u64) -> Readings {
    machine("AuthenticAMD", |cpu| {
        cpu.encryption = Some(0x0001_780f);
        cpu.msrs = [(SYSCFG, syscfg)].into();
    })
}

fn intel(activate: u64) -> Readings {
    machine("GenuineIntel", |cpu| {
        cpu.structured = Some(1 << 13);
        cpu.msrs = [(TME_ACTIVATE, activate)].into();
    })
}

fn state(readings: &Readings) -> State {
    decide(readings).state
}

const ON: u64 = 1 << 23;

#[test]
fn the_table_of_amd() {
    let tsme = |value: Option<bool>| vec![("tsme_status".to_owned(), value)];
    let flagged = |mut readings: Readings| {
        for cpu in readings.cpus.values_mut() {
            cpu.kernel.as_mut().unwrap().sme = true;
        }
        readings
    };
    let logged = |mut readings: Readings| {
        readings.log.as_mut().unwrap().sme = Some("Memory Encryption Features active: AMD SME".to_owned());
        readings
    };
    assert_eq!(state(&machine("AuthenticAMD", |_| ())), State::Unsupported);
    assert_eq!(state(&amd(0)), State::Unknown, "TSME may be on");
    assert_eq!(state(&Readings { tsme: tsme(Some(false)), ..amd(0) }), State::OffInFirmware);
    assert_eq!(state(&Readings { tsme: tsme(Some(true)), ..amd(0) }), State::ActiveTransparent);
    assert_eq!(state(&Readings { tsme: tsme(None), ..amd(0) }), State::Unknown);
    assert_eq!(state(&amd(ON)), State::KernelOff);
    assert_eq!(state(&Readings { tsme: tsme(Some(false)), ..amd(ON) }), State::KernelOff);
    assert_eq!(state(&flagged(amd(ON))), State::Active, "since 5.18 the flag tells");
    assert_eq!(state(&logged(flagged(amd(ON)))), State::Active);
    assert_eq!(state(&logged(amd(ON))), State::Unknown, "flag and log contradict each other");
    for kernel in [Some((5, 17)), Some((4, 18)), None] {
        assert_eq!(state(&Readings { kernel, ..flagged(amd(ON)) }), State::KernelOff);
        assert_eq!(state(&Readings { kernel, ..logged(flagged(amd(ON))) }), State::Active);
        assert_eq!(state(&Readings { kernel, log: None, ..flagged(amd(ON)) }), State::Unknown);
    }
    assert_eq!(state(&Readings { kernel: Some((5, 18)), ..flagged(amd(ON)) }), State::Active);
    // The kernel's log is the security processor's word too, where it has no file.
    let said = |mut readings: Readings| {
        readings.log.as_mut().unwrap().tsme = Some("ccp 0000:22:00.1: psp: TSME enabled".to_owned());
        readings
    };
    assert_eq!(state(&said(amd(0))), State::ActiveTransparent);
    assert_eq!(state(&said(Readings { tsme: tsme(Some(false)), ..amd(0) })), State::Unknown);
    // Both are on: the kernel's switch is not needed.
    assert_eq!(state(&Readings { tsme: tsme(Some(true)), ..logged(flagged(amd(ON))) }), State::ActiveTransparent);
    // The firmware's TSME needs no register, but two processors may say different things.
    let mut unread = amd(ON);
    unread.cpus.values_mut().for_each(|cpu| cpu.msrs.clear());
    assert_eq!(state(&unread), State::Unknown);
    assert_eq!(state(&Readings { tsme: tsme(Some(true)), ..unread }), State::ActiveTransparent);
    let both = [tsme(Some(true)), tsme(Some(false))].concat();
    assert_eq!(state(&Readings { tsme: both.clone(), ..amd(0) }), State::Unknown);
    assert_eq!(state(&Readings { tsme: both, ..machine("AuthenticAMD", |_| ()) }), State::Unknown);
}

#[test]
fn the_flag_of_hygon_never_tells() {
    let hygon = |log: Option<Log>| {
        let readings = machine("HygonGenuine", |cpu| {
            cpu.encryption = Some(0x0001_780f);
            cpu.msrs = [(SYSCFG, ON)].into();
            cpu.kernel.as_mut().unwrap().sme = true;
        });
        state(&Readings { log, ..readings })
    };
    let active = Log { sme: Some("AMD Memory Encryption Features active: SME".to_owned()), ..Log::default() };
    assert_eq!((hygon(None), hygon(Some(Log::default()))), (State::Unknown, State::KernelOff));
    assert_eq!(hygon(Some(active)), State::Active);
}

#[test]
fn the_table_of_intel() {
    const BYPASSED: u64 = 1 << 31;
    for (value, wanted) in [
        (0b11, State::ActiveTransparent),
        (0b10, State::EnabledUnlocked),
        (0b01, State::OffInFirmware),
        (0b00, State::OffInFirmware),
        (0b11 | BYPASSED, State::OffInFirmware),
        (0b10 | BYPASSED, State::OffInFirmware),
        // Algorithms and keys do not count.
        (0xffff_000f_0000_00ff, State::ActiveTransparent),
        (!BYPASSED, State::ActiveTransparent),
    ] {
        assert_eq!(state(&intel(value)), wanted, "{value:#x}");
    }
    assert_eq!(state(&machine("GenuineIntel", |_| ())), State::Unsupported);
    let tsme = vec![("tsme_status".to_owned(), Some(true))];
    assert_eq!(state(&Readings { tsme, ..machine("GenuineIntel", |_| ()) }), State::Unsupported, "not Intel's");
    assert!(decide(&intel(0b11 | BYPASSED)).advice.contains("bypass"));
}

#[test]
fn one_cpu_speaks_for_all() {
    for (other, wanted) in [(0b10, State::EnabledUnlocked), (0, State::OffInFirmware)] {
        let mut readings = intel(0b11);
        readings.cpus.get_mut(&1).unwrap().msrs.insert(TME_ACTIVATE, other);
        let found = decide(&readings);
        assert_eq!(found.state, wanted);
        assert!(found.evidence.iter().any(|line| line.contains("CPUs disagree")), "{:#?}", found.evidence);
    }
    for readings in [intel(0b11), amd(ON)] {
        let mut readings = readings;
        readings.cpus.get_mut(&1).unwrap().msrs.clear();
        assert_eq!(state(&readings), State::Unknown);
    }
    let mut readings = amd(ON);
    readings.cpus.get_mut(&1).unwrap().msrs.insert(SYSCFG, 0);
    assert_eq!(state(&readings), State::Unknown);
    readings.tsme = vec![("tsme_status".to_owned(), Some(false))];
    assert_eq!(state(&readings), State::OffInFirmware);
    readings.cpus.get_mut(&1).unwrap().encryption = None;
    assert_eq!(state(&readings), State::Unknown);
    assert_eq!(state(&Readings::default()), State::Unknown);
}

#[test]
fn a_virtual_machine_is_never_active_however_it_is_seen() {
    type Change = fn(&mut Readings);
    let changes: [Change; 4] = [
        |readings| readings.cpus.get_mut(&1).unwrap().features = Some(1 << 31),
        |readings| readings.cpus.get_mut(&0).unwrap().kernel.as_mut().unwrap().hypervisor = true,
        |readings| readings.log.as_mut().unwrap().hypervisor = Some("Hypervisor detected: KVM".to_owned()),
        |readings| {
            readings.offline = [(7, Cpu { features: Some(1 << 31), ..Cpu::default() })].into();
        },
    ];
    for change in changes {
        let mut readings = intel(0b11);
        change(&mut readings);
        let found = decide(&readings);
        assert_eq!((found.state, found.virtualised), (State::Unknown, true));
        assert!(found.advice.contains("virtual machine"));
    }
    // Nothing says that it is none.
    let mut readings = intel(0b11);
    for cpu in readings.cpus.values_mut() {
        (cpu.features, cpu.kernel) = (None, None);
    }
    assert_eq!(state(&readings), State::Unknown);
    let mut plain = machine("AuthenticAMD", |cpu| cpu.features = Some(1 << 31));
    assert_eq!(state(&plain), State::Unsupported);
    plain.cpus.clear();
    assert_eq!(state(&plain), State::Unknown);
}

#[test]
fn vendors_that_are_not_known_have_nothing_or_nobody_knows() {
    assert_eq!(state(&machine("  Shanghai  ", |_| ())), State::Unsupported);
    assert_eq!(state(&machine("CentaurHauls", |cpu| cpu.structured = Some(1 << 13))), State::Unknown);
    assert_eq!(state(&machine("CentaurHauls", |cpu| cpu.structured = None)), State::Unknown);
    let mut mixed = intel(0b11);
    mixed.cpus.get_mut(&1).unwrap().vendor = Some("AuthenticAMD".to_owned());
    let found = decide(&mixed);
    assert_eq!((found.state, found.vendor.as_str()), (State::Unknown, "unknown"));
}

#[test]
fn a_range_that_is_left_out_is_reported_with_its_addresses() {
    let mut readings = intel(0b11);
    for cpu in readings.cpus.values_mut() {
        cpu.msrs.extend([(MSRS[2], 0x000f_ffff_e000_0800), (MSRS[3], 0x0001_0000_0000)]);
    }
    let found = decide(&readings);
    assert_eq!(found.state, State::ActiveTransparent);
    let line = found.evidence.iter().find(|line| line.contains("excluded")).unwrap();
    assert!(line.contains("addresses 0x100000000 to 0x11fffffff are excluded from the encryption"), "{line}");
    let warned = plan(Some(&found), &Wanted::default()).unwrap().1;
    assert_eq!(warned.as_ref(), Some(line));
}

#[test]
fn what_a_site_makes_of_each_state() {
    let wanted = |policy, attested: Option<&str>| Wanted { policy, attested: attested.map(str::to_owned) };
    let found = |state, virtualised| MemoryEncryption {
        vendor: "AuthenticAMD".to_owned(),
        state,
        virtualised,
        evidence: Vec::new(),
        advice: "do something".to_owned(),
    };
    for (state, accepted, switch) in [
        (State::Unsupported, false, false),
        (State::OffInFirmware, false, false),
        (State::EnabledUnlocked, false, false),
        (State::KernelOff, true, true),
        (State::Active, true, true),
        (State::ActiveTransparent, true, false),
        (State::Unknown, false, false),
    ] {
        let found = found(state, false);
        let required = plan(Some(&found), &wanted(Policy::Require, None));
        assert_eq!(required.is_ok(), accepted, "{state}");
        if let Err(refused) = required {
            let text = refused.to_string();
            assert!(text.contains("TSME") && text.contains("do something") && text.contains(state.name()), "{text}");
        }
        let (planned, warning) = plan(Some(&found), &wanted(Policy::Warn, None)).unwrap();
        assert_eq!((planned.unwrap().kernel_switch, warning.is_none()), (switch, accepted), "{state}");
        let (planned, warning) = plan(Some(&found), &wanted(Policy::Ignore, None)).unwrap();
        assert_eq!((planned.unwrap().kernel_switch, warning), (false, None), "{state}");

        let attested = plan(Some(&found), &wanted(Policy::Require, Some("A. B., today")));
        match (state, attested) {
            (State::Unknown, Ok((Some(planned), None))) => {
                assert_eq!(planned.describe(), "attested: A. B., today (the machine itself says: unknown)");
            }
            (_, Ok((Some(planned), None))) => assert!(accepted && planned.attested.is_none()),
            (_, Err(refused)) => assert!(!accepted && refused.to_string().contains("counts only where"), "{refused}"),
            (_, other) => panic!("{other:?}"),
        }
    }
    // The host of a virtual machine may encrypt, whatever the virtual processor says.
    let virtual_machine = found(State::Unsupported, true);
    assert!(plan(Some(&virtual_machine), &wanted(Policy::Require, Some("A. B., today"))).is_ok());
    assert!(plan(Some(&virtual_machine), &wanted(Policy::Require, None)).is_err());
}

#[test]
fn an_inventory_that_says_nothing_is_refused_where_encryption_is_required() {
    let wanted = Wanted { policy: Policy::Require, attested: None };
    let refused = plan(None, &wanted).unwrap_err();
    assert!(refused.is_unknown() && refused.to_string().contains("probe --json"));
    assert_eq!(plan(None, &Wanted::default()), Ok((None, None)));
    let attested = Wanted { attested: Some("A. B., today".to_owned()), ..wanted };
    assert_eq!(plan(None, &attested).unwrap().0.unwrap().state, State::Unknown);
}
