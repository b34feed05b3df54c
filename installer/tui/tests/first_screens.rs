//! Welcome and hardware, the help, and terminals of odd sizes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use sovereign_model::Bytes;
use sovereign_model::event::Amount;
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
