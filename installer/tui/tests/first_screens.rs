//! Welcome and hardware, the help, and terminals of odd sizes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use sovereign_model::Bytes;
use sovereign_model::event::Amount;
use sovereign_model::inventory::{Class, Correction, Ecc, Health, Inventory, RaidController};
use sovereign_model::memory_encryption::{MemoryEncryption, State};
use sovereign_tui::{Cmd, Medium, Msg, Theme};
use technician::{REFERENCE, Technician};

#[test]
fn the_medium_is_verified_while_somebody_reads_the_welcome() {
    let mut technician = Technician::at(80, 24, Theme::FULL, None);
    assert!(matches!(technician.cmds.as_slice(), [Cmd::Probe, Cmd::VerifyMedium]));
    let amount = Amount { done: Bytes::mib(200), total: Bytes::mib(600) };
    technician.hears(Msg::Medium(Medium::Verifying(amount)));
    insta::assert_snapshot!("welcome-verifying", technician.coloured_screen());
    technician.hears(Msg::Medium(Medium::Verified));
    assert!(technician.screen().contains("verified: every file is as it was built"));
    let what =
        "sovereign/base.squashfs has the SHA-256 9f86d0.., and the manifest says 2c26b4..: write the medium anew";
    technician.hears(Msg::Medium(Medium::Damaged(what.to_owned())));
    insta::assert_snapshot!("welcome-damaged", technician.screen());
}

#[test]
fn the_hardware_is_shown_as_soon_as_it_is_known() {
    let mut technician = Technician::at(80, 24, Theme::PLAIN, None);
    technician.types("n");
    assert!(technician.screen().contains("Looking at the machine"));
    technician.types("n");
    assert!(technician.screen().contains("the machine is not known yet"), "{}", technician.screen());
    let mut technician = technician.sees(REFERENCE);
    insta::assert_snapshot!("hardware", technician.screen());
    technician.types("r");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Probe)));
    technician.hears(Msg::Inventory(Err("cannot run lsblk: No such file or directory".to_owned())));
    insta::assert_snapshot!("hardware-unseen", technician.screen());
}

/// The reference machine with something changed.
fn changed(change: impl FnOnce(&mut Inventory)) -> String {
    let mut machine = technician::inventory(REFERENCE);
    change(&mut machine);
    serde_json::to_string(&machine).unwrap()
}

#[test]
fn the_verdict_on_memory_encryption_comes_with_what_to_do() {
    let memory = |state, virtualised, advice: &str| {
        let found = MemoryEncryption {
            vendor: "AuthenticAMD".to_owned(),
            state,
            virtualised,
            evidence: Vec::new(),
            advice: advice.to_owned(),
        };
        changed(|machine| {
            machine.memory_encryption = Some(found);
            let correction = if virtualised { Correction::None } else { Correction::SingleBit };
            machine.ecc = Some(Ecc { correction, corrected_errors: None, uncorrected_errors: None });
        })
    };
    let off = "switch on TSME (transparent SME), or SMEE (SME enable) in the firmware setup, start the machine anew, and look again";
    for (name, machine) in [
        ("active", memory(State::ActiveTransparent, false, "nothing")),
        ("off", memory(State::OffInFirmware, false, off)),
        ("virtual", memory(State::Unknown, true, "this is a virtual machine: check the host")),
    ] {
        let mut technician = Technician::at(80, 24, Theme::FULL, None).sees(&machine);
        technician.types("n");
        insta::assert_snapshot!(format!("memory-{name}"), technician.coloured_screen());
    }
}

#[test]
fn what_disks_say_of_themselves_is_shown_and_a_raid_volume_is_a_pool() {
    let machine = changed(|machine| {
        machine.disks.retain(|disk| disk.kernel_name != "nvme1n1" && !disk.rotational);
        for disk in &mut machine.disks {
            if disk.kernel_name == "nvme0n1" {
                let controller = RaidController::DellPerc;
                disk.class = Class::HardwareRaid { controller, model: "PERC H755 Front".to_owned() };
            }
            let passed = Some(disk.kernel_name == "nvme0n1");
            disk.health = Some(Health { passed, wear_percent: Some(37), ..Health::default() });
        }
    });
    let mut technician = Technician::at(80, 24, Theme::FULL, None).sees(&machine);
    technician.types("n");
    insta::assert_snapshot!("hardware-health", technician.coloured_screen());
    technician.types("ns");
    insta::assert_snapshot!("disks-raid-volume", technician.coloured_screen());
    technician.types("n");
    assert!(technician.screen().contains("Capacity  4/8"), "{}", technician.screen());
}

#[test]
fn a_terminal_that_is_too_small_says_so_and_loses_nothing() {
    let mut technician = Technician::at(80, 24, Theme::PLAIN, None).sees(REFERENCE);
    technician.types("n");
    let before = technician.screen();
    technician.hears(Msg::Resize { columns: 60, rows: 20 });
    insta::assert_snapshot!("too-small", technician.screen());
    technician.types("nnn").hears(Msg::Resize { columns: 80, rows: 24 });
    assert_eq!(technician.screen(), before);
}

#[test]
fn a_terminal_without_a_size_has_80_columns_and_24_rows() {
    let technician = Technician::at(0, 0, Theme::PLAIN, None);
    assert_eq!(technician.screen(), Technician::at(80, 24, Theme::PLAIN, None).screen());
    let mut technician = Technician::at(120, 40, Theme::PLAIN, None);
    technician.hears(Msg::Resize { columns: 0, rows: 0 });
    assert_eq!((technician.state.size().columns, technician.state.size().rows), (80, 24));
}

#[test]
fn help_is_on_every_screen_and_the_next_key_closes_it() {
    let mut technician = Technician::at(80, 24, Theme::PLAIN, None).sees(REFERENCE);
    let before = technician.screen();
    technician.types("?");
    insta::assert_snapshot!("welcome-help", technician.screen());
    assert_eq!(technician.types("jk<esc>").screen(), before);
    assert_eq!(technician.types("<c-g>x").screen(), before);
}

#[test]
fn ctrl_c_asks_and_stays_by_default() {
    let mut technician = Technician::on_serial(None);
    let (before, asked) = (technician.screen(), technician.cmds.len());
    technician.types("<c-c>");
    insta::assert_snapshot!("leave", technician.screen());
    assert_eq!(technician.types("<enter>").screen(), before);
    assert_eq!(technician.types("<c-c><c-c>").screen(), before);
    assert_eq!(technician.cmds.len(), asked);
    technician.types("<c-c>jj<enter>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Reboot)));
}

#[test]
fn a_garbled_screen_is_drawn_anew() {
    let mut technician = Technician::on_serial(None);
    technician.types("<c-l>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Redraw)));
}
