//! How an installation ends: every refusal and failure, what is done then, and the recovery sheet with its secret.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use sovereign_model::event::Event;
use sovereign_model::inventory::Inventory;
use sovereign_model::{plan, site};
use sovereign_tui::{Cmd, Ended, Failed, Medium, Msg, Reply, Theme};
use technician::run::agreed;
use technician::{REFERENCE, REFERENCE_SITE, Technician};

/// The recovery key of [`agreed`].
const KEY: &str = "cici-cici-cici-cici-cici-cici-cici-cici";

/// A snapshot of the screen under a name, on this terminal.
macro_rules! see {
    ($technician:expr, $name:expr) => {
        insta::assert_snapshot!(format!("{}-{}", $name, $technician.terminal()), $technician.picture())
    };
}

fn starts(name: &'static str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::StepStarted { name: started, .. } if started == name)
}

/// The installation as far as the step `name`, which fails.
fn fails_at(technician: &mut Technician, index: usize, name: &'static str, error: &str, changed: bool) {
    technician.plays(starts(name), |_| {});
    technician.hears(Msg::Event(Event::StepFailed { index, name: name.to_owned(), error: error.to_owned() }));
    // The app says the same with the engine's words before it.
    let error = format!("the step {name} failed: {error}");
    technician.ends(Ended::Failed(Failed { error, changed }));
}

fn on_each_terminal(look: impl Fn(&mut Technician)) {
    for (columns, rows, theme) in [(80, 24, Theme::PLAIN), (80, 24, Theme::FULL), (120, 40, Theme::FULL)] {
        look(&mut agreed(columns, rows, theme));
    }
}

#[test]
fn a_site_that_this_system_cannot_serve_is_refused_in_the_first_step() {
    let error = "site.timezone is \"Europe/Berln\", which this system does not know\n  What to do: Did you mean \"Europe/Berlin\"? No disk was changed.";
    on_each_terminal(|technician| {
        fails_at(technician, 0, "verify-site", error, false);
        see!(technician, "refused-site");
    });
}

#[test]
fn without_a_plan_the_table_of_disks_is_shown() {
    let case = |file: &str| {
        let path = format!("{}/../model/tests/plans/too-few/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let inventory: Inventory = serde_json::from_str(&case("inventory.json")).unwrap();
    let site = site::parse::parse(&case("site.toml"), "site.toml").unwrap();
    let refusal = plan::make(&site, &inventory).unwrap_err();
    let error = format!("no plan can be made\n{refusal}");
    on_each_terminal(|technician| {
        technician.ends(Ended::Failed(Failed { error: error.clone(), changed: false }));
        see!(technician, "refused-no-plan");
        technician.types("G");
        see!(technician, "refused-no-plan-end");
    });
}

#[test]
fn a_damaged_medium_is_read_again_when_it_is_tried_again() {
    let error = "sovereign/base.squashfs is altered or truncated: 328830976 bytes with SHA-256 9f86d081 instead of 328830976 bytes with 2c26b46b\n  \
                 What to do: The medium is damaged or incomplete. Write or attach it again and start over; no disk was changed.";
    on_each_terminal(|technician| {
        fails_at(technician, 1, "verify-medium", error, false);
        see!(technician, "refused-medium");
        technician.hears(Msg::Medium(Medium::Damaged("sovereign/base.squashfs is altered".to_owned())));
        technician.types("lll<enter>");
        let last = &technician.cmds[technician.cmds.len() - 2..];
        assert!(matches!(last, [Cmd::VerifyMedium, Cmd::Probe]), "{last:?}");
    });
}

#[test]
fn a_machine_that_has_changed_since_its_plan_is_planned_anew() {
    let error = "the machine has changed since the plan was made: the plan's hash was 0750 and is now 99ab\n  \
                 What to do: Start over: the new plan will show what is there now. No disk was changed.";
    on_each_terminal(|technician| {
        fails_at(technician, 2, "verify-disks", error, false);
        see!(technician, "refused-changed");
        technician.types("lll<enter>");
        assert!(matches!(technician.cmds.last(), Some(Cmd::Probe)));
    });
}

#[test]
fn memory_that_must_be_encrypted_and_is_not_is_refused() {
    let inventory: Inventory = serde_json::from_str(REFERENCE).unwrap();
    let site = format!("{REFERENCE_SITE}\n[memory_encryption]\npolicy = \"require\"\n");
    let refusal = plan::make(&site::parse::parse(&site, "site.toml").unwrap(), &inventory).unwrap_err();
    let error = format!("no plan can be made\n{refusal}");
    on_each_terminal(|technician| {
        technician.ends(Ended::Failed(Failed { error: error.clone(), changed: false }));
        see!(technician, "refused-memory-encryption");
    });
}

#[test]
fn a_step_that_fails_before_the_first_write_changed_nothing() {
    let error = "cannot list the physical volumes\n  because `pvs --reportformat json` ended with exit code 5\n  because WARNING: duplicate PV";
    on_each_terminal(|technician| {
        fails_at(technician, 2, "verify-disks", error, false);
        see!(technician, "failed-before-the-first-write");
    });
}

#[test]
fn a_step_that_fails_after_it_says_which_were_done() {
    let error = "cannot create the array hdd (device /dev/md/hdd)\n  because `mdadm --create /dev/md/hdd --run --level=10` ended with exit code 1\n  \
                 because mdadm: cannot open /dev/sdc1: Device or resource busy\n  What to do: Look for a failing disk with dmesg, and start over.";
    on_each_terminal(|technician| {
        fails_at(technician, 6, "create-arrays", error, true);
        see!(technician, "failed-after-the-first-write");
        technician.types("<c-c>");
        assert!(technician.screen().contains("The disks hold an unfinished installation."), "{}", technician.screen());
        // Enter stays, as everywhere.
        let asked = technician.cmds.len();
        technician.types("<enter>");
        assert_eq!(technician.cmds.len(), asked);
        // A restart of the attempt does not make it untrue.
        technician.types("lll<enter>").types("<c-c>");
        assert!(technician.screen().contains("The disks hold an unfinished installation."), "{}", technician.screen());
    });
}

#[test]
fn what_is_cancelled_changed_nothing() {
    on_each_terminal(|technician| {
        technician.plays(starts("verify-medium"), |_| {}).types("<c-c><tab><enter>");
        assert!(matches!(technician.cmds.last(), Some(Cmd::Cancel)));
        technician.hears(Msg::Event(Event::Cancelled)).ends(Ended::Cancelled);
        see!(technician, "ended-cancelled");
    });
}

#[test]
fn what_became_of_sheet_and_logs_stays_on_the_screen() {
    on_each_terminal(|technician| {
        technician.plays(|_| false, |_| {}).ends(Ended::Complete);
        technician.types("l<enter>");
        let why = "cannot write recovery-berlin-1.txt on /dev/sdz1: No space left on device. Delete something there, or attach another file system labelled SOVEREIGN";
        technician.hears(Msg::Reply(Reply::SheetWritten(Err(why.to_owned()))));
        technician
            .hears(Msg::Reply(Reply::LogsExported(Err("no removable disk can be written: attach one".to_owned()))));
        see!(technician, "done-nothing-is-written");
        technician.types("jk<tab>");
        assert!(technician.screen().contains("The recovery sheet is not written"));
        technician.hears(Msg::Reply(Reply::SheetWritten(Ok("recovery-berlin-1.txt on SOVEREIGN".to_owned()))));
        technician.hears(Msg::Reply(Reply::LogsExported(Ok("sovereign-logs on SOVEREIGN".to_owned()))));
        see!(technician, "done-both-are-written");
    });
}

#[test]
fn the_recovery_key_is_shown_on_demand_alone() {
    let mut technician = agreed(80, 40, Theme::PLAIN);
    technician.plays(|_| false, |technician| assert!(!technician.screen().contains("cici"))).ends(Ended::Complete);
    technician.types("<enter>");
    see!(technician, "sheet");
    assert!(!technician.screen().contains("cici"));
    technician.types("v");
    let revealed = technician.screen();
    // Never a snapshot of this one.
    assert!(revealed.contains(KEY) && revealed.contains("Type it with its hyphens"), "{}", revealed.len());
    technician.types("v");
    assert!(!technician.screen().contains("cici"));
    technician.types("vq<enter>");
    assert!(!technician.screen().contains("cici"), "a sheet that is opened again shows no key");
    // Neither the log nor what anybody debugs has it.
    technician.types("q<tab><tab><tab><tab><tab><enter>");
    assert!(technician.screen().contains("Log of"), "{}", technician.screen());
    assert!(!format!("{:?} {:?}", technician.state, technician.cmds).contains("cici"));
}

#[test]
fn on_a_small_terminal_the_revealed_key_is_seen_without_scrolling() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(|_| false, |_| {}).ends(Ended::Complete).types("<enter>v");
    assert!(technician.screen().contains(KEY));
    technician.types("g");
    assert!(technician.screen().contains("RECOVERY SHEET"), "{}", technician.screen());
}

#[test]
fn the_sheet_that_is_written_has_everything_on_it() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(|_| false, |_| {}).ends(Ended::Complete).types("<enter>w");
    let Some(Cmd::WriteRecoverySheet { text }) = technician.cmds.last() else { panic!("no sheet is written") };
    assert!(text.contains(KEY));
    assert!(
        text.lines().all(|line| line.chars().count() <= 78 && line.is_ascii()),
        "a printer has 78 columns of ASCII"
    );
    insta::assert_snapshot!("sheet-as-a-file", text.replace(KEY, "(the recovery key)"));
    assert!(!format!("{:?}", technician.cmds.last()).contains("cici"));
}

#[test]
fn done_says_what_comes_next_and_ctrl_c_knows_that_it_is_done() {
    on_each_terminal(|technician| {
        technician.plays(|_| false, |_| {}).hears_of_arrays().ends(Ended::Complete);
        see!(technician, "done");
        technician.types("<c-c>");
        assert!(technician.screen().contains("The machine is installed."), "{}", technician.screen());
    });
}

#[test]
fn the_log_of_a_running_installation_is_looked_back_into_and_followed_again() {
    on_each_terminal(|technician| {
        technician.plays(starts("unpack"), |_| {}).types("l");
        see!(technician, "log-followed");
        technician.types("<pagedown><up><up>");
        let before = technician.screen();
        technician.hears(Msg::Event(Event::Log { line: "one more line".to_owned() })).waits(1);
        let body = |screen: &str| screen.lines().skip(4).collect::<Vec<_>>().join("\n");
        assert_eq!(body(&technician.screen()), body(&before), "what somebody reads stays where it is");
        technician.types("G");
        assert!(technician.screen().contains("one more line"));
        technician.types("g");
        see!(technician, "log-from-its-start");
        technician.types("l");
        assert!(technician.screen().contains("steps done"));
    });
}
