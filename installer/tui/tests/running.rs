//! A running installation, its end, and everything that can go wrong with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use sovereign_model::event::Event;
use sovereign_tui::{Cmd, Ended, Failed, Msg, Reply, Theme};
use technician::Technician;
use technician::run::agreed;

/// A snapshot of the screen under a name, on this terminal.
macro_rules! see {
    ($technician:expr, $name:expr) => {
        insta::assert_snapshot!(format!("{}-{}", $name, $technician.terminal()), $technician.picture())
    };
}

fn starts(name: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::StepStarted { name: started, .. } if started == name)
}

fn half_of(step: usize) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Progress { index, percent, .. } if *index == step && *percent >= 50)
}

const UNPACK: usize = 11;

fn from_start_to_end(columns: u16, rows: u16, theme: Theme) {
    let mut technician = agreed(columns, rows, theme);
    see!(technician, "0-before-the-first-event");
    technician.plays(half_of(1), |_| {});
    see!(technician, "1-verifying");
    let mut technician = agreed(columns, rows, theme);
    technician.plays(half_of(UNPACK), |_| {}).hears_of_arrays().waits(1);
    see!(technician, "2-unpacking");
    technician.types("l");
    see!(technician, "2-unpacking-log");
    technician.types("l");
    let mut technician = agreed(columns, rows, theme);
    technician.plays(|_| false, |_| {}).hears_of_arrays().ends(Ended::Complete);
    see!(technician, "3-done");
    technician.types("<enter>");
    see!(technician, "3-done-sheet");
}

#[test]
fn an_installation_from_the_first_step_to_the_end() {
    from_start_to_end(80, 24, Theme::PLAIN);
}

#[test]
fn the_same_on_a_large_terminal_in_colour() {
    from_start_to_end(120, 40, Theme::FULL);
}

#[test]
fn nobody_restarts_by_accident_before_the_recovery_key_was_seen() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(|_| false, |_| {}).ends(Ended::Complete);
    technician.types("<tab><tab><enter>");
    assert!(technician.screen().contains("nobody has seen the recovery key yet"), "{}", technician.screen());
    assert!(!technician.cmds.iter().any(|cmd| matches!(cmd, Cmd::Reboot)));
    technician.types("h<enter>");
    let Some(Cmd::WriteRecoverySheet { text }) = technician.cmds.last() else { panic!("no sheet is written") };
    assert!(text.contains("cici-cici-cici-cici-cici-cici-cici-cici") && text.contains("host.example.org"));
    technician.hears(Msg::Reply(Reply::SheetWritten(Ok("recovery-berlin-1.txt on SOVEREIGN".to_owned()))));
    assert!(technician.screen().contains("The recovery sheet is written: recovery-berlin-1.txt on SOVEREIGN"));
    technician.types("l<enter>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Reboot)));
}

#[test]
fn before_the_first_write_ctrl_c_cancels_if_it_is_meant() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(starts("verify-medium"), |_| {});
    let before = technician.cmds.len();
    technician.types("<c-c>");
    see!(technician, "cancel-question");
    technician.types("<enter><c-c><c-c>");
    assert_eq!(technician.cmds.len(), before);
    technician.types("<c-c><tab><enter>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Cancel)));
    see!(technician, "cancelling");
    technician.hears(Msg::Event(Event::Cancelled)).ends(Ended::Cancelled);
    see!(technician, "cancelled");
    // What was typed is gone with the attempt; the rest is not.
    technician.types("lll<enter>");
    assert!(technician.screen().contains("Encryption  5/8"), "{}", technician.screen());
}

#[test]
fn after_the_first_write_nothing_breaks_it_off() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(starts("verify-disks"), |_| {}).types("<c-c>");
    assert!(technician.screen().contains("Cancel the installation?"));
    // While somebody thinks it over, it becomes too late.
    technician.hears(Msg::Event(Event::PointOfNoReturn)).waits(1);
    see!(technician, "too-late");
    let before = technician.cmds.len();
    technician.types("<c-c><tab><enter><c-c><esc>qx");
    assert_eq!(technician.cmds.len(), before);
}

fn failed(event: &Event) -> Failed {
    let Event::StepFailed { error, .. } = event else { panic!("nothing failed") };
    Failed { error: error.clone(), changed: true }
}

#[test]
fn a_step_that_fails_says_what_where_and_why_and_is_tried_again_from_the_start() {
    for (columns, rows, theme) in [(80, 24, Theme::PLAIN), (120, 40, Theme::FULL)] {
        let mut technician = agreed(columns, rows, theme);
        technician.plays(half_of(UNPACK), |_| {});
        let event = Event::StepFailed {
            index: UNPACK,
            name: "unpack".to_owned(),
            error: "cannot unpack /run/sovereign/medium/sovereign/base.squashfs\n  because `unsquashfs -force -percentage -dest /target \
                    /run/sovereign/medium/sovereign/base.squashfs` ended with exit code 1\n  because FATAL ERROR: failed to read fragment \
                    table\n  What to do: Read errors of the medium are in the kernel's log (dmesg). Attach it again or write a new one."
                .to_owned(),
        };
        technician.hears(Msg::Event(event.clone())).ends(Ended::Failed(failed(&event)));
        technician.types("l<enter>");
        see!(technician, "failed-log");
        technician.types("<enter>h<enter>");
        assert!(matches!(technician.cmds.last(), Some(Cmd::ExportLogs)));
        technician
            .hears(Msg::Reply(Reply::LogsExported(Err("no removable disk can be written: attach one".to_owned()))));
        see!(technician, "failed-export");
        technician.types("lll<enter>");
        assert!(matches!(technician.cmds.last(), Some(Cmd::Probe)));
        let mut technician = technician.sees(technician::REFERENCE);
        technician.types("<tab><tab><tab>another passphrase<tab>another passphrase<tab>n");
        assert!(technician.screen().contains("Summary  8/8"), "{}", technician.screen());
        technician.types("i0001<enter><tab><enter>");
        let Some(Cmd::Install(install)) = technician.cmds.last() else { panic!("it is not tried again") };
        assert_eq!(install.passphrase.as_ref().unwrap().expose(), b"another passphrase");
    }
}

#[test]
fn an_installation_that_fails_before_it_starts_changed_nothing() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    let error = "the machine has changed since the plan was made: the plan's hash was 0750.. and is now 99ab..\n  What to do: Start over: \
                 the new plan will show what is there now. No disk was changed.";
    technician.ends(Ended::Failed(Failed { error: error.to_owned(), changed: false }));
    see!(technician, "failed-before-the-start");
}

#[test]
fn commands_that_cannot_be_carried_out_say_why() {
    let mut technician = Technician::on_serial(None);
    technician.types("<c-c>j<enter>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Shell)));
    technician.hears(Msg::Reply(Reply::Refused("the shell is on the other consoles: Alt-F2".to_owned())));
    assert!(technician.screen().contains("! the shell is on the other consoles: Alt-F2"));
}

/// What an attempt has not written another may have: who tries again is not told that the disks are as they were.
#[test]
fn a_second_attempt_does_not_hide_what_the_first_one_wrote() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(half_of(UNPACK), |_| {});
    let error = "the disk went away".to_owned();
    technician.ends(Ended::Failed(Failed { error, changed: true }));
    technician.types("lll<enter>");
    let mut technician = technician.sees(technician::REFERENCE);
    technician.types("<tab><tab><tab>another passphrase<tab>another passphrase<tab>ni0001<enter><tab><enter>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Install(_))), "{}", technician.screen());
    technician.types("<c-c>");
    assert!(
        technician.screen().contains("earlier one has, and the disks hold an unfinished"),
        "{}",
        technician.screen()
    );
    technician.types("<tab><enter>").hears(Msg::Event(Event::Cancelled)).ends(Ended::Cancelled);
    assert!(technician.screen().contains("Nothing by this attempt."), "{}", technician.screen());
    assert!(!technician.screen().contains("no disk was written to"), "{}", technician.screen());
}
