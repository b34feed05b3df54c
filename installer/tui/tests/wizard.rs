//! The way from the welcome to the last question, key by key, without a site file and with one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use sovereign_tui::{Cmd, Msg, Reply, Theme};
use technician::{KEY, REFERENCE, Technician};
use zeroize::Zeroizing;

/// A snapshot of the screen under a name, on this terminal.
macro_rules! see {
    ($technician:expr, $name:expr) => {
        insta::assert_snapshot!(format!("{}-{}", $name, $technician.terminal()), $technician.picture())
    };
}

/// Every asking screen answered by hand on the reference machine, with a look at each before and after.
fn answers_everything(columns: u16, rows: u16, theme: Theme) -> Technician {
    let mut technician = Technician::at(columns, rows, theme, None).sees(REFERENCE);
    see!(technician, "1-welcome");
    technician.types("n");
    see!(technician, "2-hardware");
    technician.types("n");
    see!(technician, "3-disks");
    technician.types("n");
    see!(technician, "4-capacity");
    technician.types("j<tab><tab><tab><tab><tab>");
    see!(technician, "4-capacity-figures");
    technician.types("<esc>n");
    technician.types("n");
    see!(technician, "5-encryption-empty");
    technician.types("<c-u>de<tab><enter>").hears(Msg::Reply(Reply::Keyboard(Ok(()))));
    assert!(matches!(technician.cmds.last(), Some(Cmd::LoadKeyboard { layout }) if layout == "de"));
    technician.types("<tab>zy-@<tab>correct horse battery staple<tab>correct horse battery stapl");
    see!(technician, "5-encryption-typing");
    technician.types("e<tab><space>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::DrawRecoveryKey)));
    technician.hears(Msg::Reply(Reply::RecoveryKey(Ok(Zeroizing::new([7; 16])))));
    see!(technician, "5-encryption");
    technician.types("n");
    see!(technician, "6-network-empty");
    technician.types("<tab><tab>192.0.2.10/24<tab>192.0.2.1<tab>192.0.2.53 2001:db8::53<tab>");
    see!(technician, "6-network");
    technician.types("n");
    see!(technician, "7-admin-empty");
    technician.types("berlin-1<enter>host.example.org<enter><c-u>Europe/Berlin<enter>admin@example.org<enter>");
    technician.types("<tab><enter>").hears(Msg::Reply(Reply::SshKeys(Ok(vec![KEY.to_owned()]))));
    see!(technician, "7-admin");
    technician.types("<tab><enter>");
    see!(technician, "8-summary");
    technician
}

#[test]
fn without_a_site_file_everything_is_asked() {
    answers_everything(80, 24, Theme::PLAIN);
}

#[test]
fn on_a_large_terminal_in_colour_everything_is_asked() {
    answers_everything(120, 40, Theme::FULL);
}

#[test]
fn on_a_small_terminal_in_colour_everything_is_asked() {
    answers_everything(80, 24, Theme::FULL);
}

/// A machine that is to have no guests gets none, and who wants them after all has what was typed before.
#[test]
fn guests_can_be_left_out_and_come_back() {
    let mut technician = Technician::at(80, 24, Theme::PLAIN, None).sees(REFERENCE);
    technician.types("nnn");
    // The edge's vCPUs.
    technician.types("<tab><tab><tab><tab><tab><tab>3<s-tab><s-tab><s-tab><s-tab><s-tab><s-tab>");
    assert!(technician.screen().contains("> Virtual machines      (*) machines"), "{}", technician.screen());
    for (key, chosen) in
        [("l", "(*) templates alone"), ("l", "(*) none"), ("h", "(*) templates alone"), ("l", "(*) none")]
    {
        technician.types(key);
        assert!(technician.screen().contains(chosen), "{}", technician.screen());
    }
    assert!(!technician.screen().contains("vCPUs           ["), "{}", technician.screen());
    see!(technician, "4-capacity-none");
    technician.types("l");
    assert!(technician.screen().contains("(*) machines"), "{}", technician.screen());
    assert!(technician.screen().contains("edge: vCPUs           [3_"), "{}", technician.screen());
}

#[test]
fn the_plan_is_a_tree_and_a_picture_and_every_screen_can_be_gone_back_to() {
    let mut technician = answers_everything(80, 24, Theme::PLAIN);
    technician.types("t");
    see!(technician, "8-summary-picture");
    technician.types("<end>");
    see!(technician, "8-summary-picture-end");
    technician.types("tG");
    see!(technician, "8-summary-end");
    technician.types("e");
    see!(technician, "8-summary-change");
    technician.types("5");
    assert!(technician.screen().contains("Network  6/8"));
    technician.types("n");
    assert!(technician.screen().contains("Summary  8/8"), "{}", technician.screen());
    technician.types("e<c-n><enter>n");
    assert!(technician.screen().contains("Summary  8/8"), "{}", technician.screen());
}

#[test]
fn the_answers_are_saved_without_secrets() {
    let mut technician = answers_everything(80, 24, Theme::PLAIN);
    technician.types("w");
    let Some(Cmd::SaveSite { toml }) = technician.cmds.last() else { panic!("nothing is saved") };
    insta::assert_snapshot!("saved-site", toml);
    technician.hears(Msg::Reply(Reply::SiteSaved(Ok("site.toml on SOVEREIGN".to_owned()))));
    assert!(technician.screen().contains("Saved: site.toml on SOVEREIGN"));
    technician.hears(Msg::Reply(Reply::SiteSaved(Err("there is a site.toml already: rename it".to_owned()))));
    assert!(technician.screen().contains("! there is a site.toml already: rename it"));
}

#[test]
fn the_last_question_defaults_to_no_and_takes_the_word_alone() {
    let mut technician = answers_everything(80, 24, Theme::PLAIN);
    let installs = |technician: &Technician| technician.cmds.iter().filter(|c| matches!(c, Cmd::Install(_))).count();
    technician.types("i");
    see!(technician, "9-consent");
    technician.types("<enter>");
    see!(technician, "9-consent-no-word");
    technician.types("0002<enter>");
    assert!(technician.screen().contains("that is not the word"));
    technician.types("<tab><tab><enter>");
    assert!(technician.screen().contains("that is not the word"));
    technician.types("<c-u>0001<enter>");
    see!(technician, "9-consent-word");
    // Enter alone goes on to No, and No goes back.
    technician.types("<enter>");
    assert!(technician.screen().contains("disks will be erased"), "{}", technician.screen());
    assert_eq!(installs(&technician), 0);
    technician.types("i0001<enter><tab><enter>");
    assert_eq!(installs(&technician), 1);
    let Some(Cmd::Install(install)) = technician.cmds.last() else { panic!("nothing is installed") };
    assert_eq!(install.passphrase.as_ref().unwrap().expose(), b"correct horse battery staple");
    assert_eq!(install.recovery.as_ref().unwrap().expose(), b"cici-cici-cici-cici-cici-cici-cici-cici");
    assert_eq!(install.consent.plan_hash().len(), 64);
    assert_eq!(install.site.site.fqdn, "host.example.org");
    let debug = format!("{:?} {:?}", technician.cmds, technician.state);
    assert!(!debug.contains("horse") && !debug.contains("cici"), "{debug}");
}

#[test]
fn every_screen_has_its_own_help() {
    let mut technician = answers_everything(80, 24, Theme::PLAIN);
    let mut seen = Vec::new();
    let mut look = |technician: &mut Technician, name: &str| {
        technician.types("<c-g>");
        insta::assert_snapshot!(format!("help-{name}"), technician.screen());
        let help = technician.screen();
        assert!(!seen.contains(&help), "{name} has the help of another screen");
        seen.push(help);
        technician.types("<esc>");
    };
    look(&mut technician, "summary");
    for (key, name) in
        [("1", "hardware"), ("2", "disks"), ("3", "capacity"), ("4", "encryption"), ("5", "network"), ("6", "admin")]
    {
        technician.types("e").types(key);
        look(&mut technician, name);
        technician.types("<esc>");
    }
}

/// A recovery key that was asked for is there before the next screen is, and one that was declined while it was made is not.
#[test]
fn a_recovery_key_is_there_if_it_was_asked_for_and_only_then() {
    let asks = || {
        let mut technician = Technician::at(80, 24, Theme::PLAIN, None).sees(REFERENCE);
        technician
            .types("nnnn<tab><tab><tab>correct horse battery staple<tab>correct horse battery staple<tab><space>");
        assert!(matches!(technician.cmds.last(), Some(Cmd::DrawRecoveryKey)));
        technician
    };
    let made = || Msg::Reply(Reply::RecoveryKey(Ok(Zeroizing::new([7; 16]))));
    let mut technician = asks();
    technician.types("n");
    assert!(technician.screen().contains("the recovery key is not made yet"), "{}", technician.screen());
    technician.hears(made()).types("n");
    assert!(technician.screen().contains("Network  6/8"), "{}", technician.screen());
    let mut technician = asks();
    technician.types("<space>").hears(made());
    assert!(technician.screen().contains("No recovery key is made."), "{}", technician.screen());
    assert!(technician.screen().contains("(*) none   ( ) make one"), "{}", technician.screen());
}
