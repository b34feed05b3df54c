//! The pictures in docs/screens.md are what the screens show today. `SOVEREIGN_UPDATE_DOCS=1 cargo nextest run -p sovereign-tui --test
//! pictures` draws them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sovereign_model::event::Event;
use sovereign_tui::{Ended, Failed, Msg, Theme};
use technician::run::agreed;
use technician::{REFERENCE, Technician};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Compares a file with what it should be, or writes it.
fn is_fresh(path: &Path, wanted: &str) {
    if std::env::var_os("SOVEREIGN_UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "{} is not fresh: see the head of this test", path.display());
}

/// Everything answered, before the last question: an installation that was cancelled leads there too.
fn at_the_summary(theme: Theme) -> Technician {
    let mut technician = agreed(80, 24, theme);
    technician.ends(Ended::Cancelled).types("lll<enter>");
    let mut technician = technician.sees(REFERENCE);
    technician.types("<tab><tab><tab>correct horse battery staple<tab>correct horse battery staple<tab>n");
    technician
}

/// Name, caption and screen of each picture, in the order a person sees them.
fn pictures() -> Vec<(&'static str, &'static str, Technician)> {
    let walk = |keys: &str| {
        let mut technician = Technician::at(80, 24, Theme::FULL, None).sees(REFERENCE);
        technician.types(keys);
        technician
    };
    let mut typing = walk("nnnn");
    typing.types("<tab><tab><tab>correct horse battery staple<tab>correct horse battery staple<tab>");
    let run = || agreed(80, 24, Theme::FULL);
    let before = at_the_summary(Theme::FULL);
    let mut consent = at_the_summary(Theme::FULL);
    consent.types("i000");
    let half = |event: &Event| matches!(event, Event::Progress { index: 11, percent, .. } if *percent >= 50);
    let mut running = run();
    running.plays(half, |_| {}).hears_of_arrays().waits(1);
    let mut done = run();
    done.plays(|_| false, |_| {}).ends(Ended::Complete);
    let mut failed = run();
    failed.plays(half, |_| {});
    let error = "cannot unpack /run/sovereign/medium/sovereign/base.squashfs\n  because `unsquashfs` ended with exit code 1\n  because FATAL \
                 ERROR: failed to read fragment table\n  What to do: Read errors of the medium are in the kernel's log (dmesg). Attach it again or \
                 write a new one.";
    failed.hears(Msg::Event(Event::StepFailed { index: 11, name: "unpack".to_owned(), error: error.to_owned() }));
    failed.ends(Ended::Failed(Failed { error: error.to_owned(), changed: true }));
    let mut picture = at_the_summary(Theme::FULL);
    picture.types("t");
    vec![
        ("welcome", "Welcome: edition, version, and whether the medium is intact", walk("")),
        ("hardware", "Hardware: the machine as it is, with the verdict on memory encryption", walk("n")),
        ("disks", "Disks: every disk, what is on it, and which pool it is for", walk("nn")),
        ("capacity", "Capacity: what each machine gets here, beside the reference", walk("nnn")),
        ("encryption", "Encryption: passphrase with its strength, keyboard, recovery key", typing),
        (
            "network",
            "Network: interface, addresses, bridges",
            walk("nnnn<tab><tab><tab>correct horse<tab>correct horse<tab>n"),
        ),
        ("summary", "Summary: the plan as a tree ...", before),
        ("topology", "... and as a picture", picture),
        ("consent", "The last question: a word of the plan, and No is the default", consent),
        ("progress", "Progress: steps, bytes, rate and time left", running),
        ("done", "Done: what comes next", done),
        ("failure", "Failure: what, where, why, what was changed, what to do", failed),
    ]
}

#[test]
fn the_pictures_in_the_documentation_are_fresh() {
    let mut page = String::from(
        "# Screens\n\nDrawn by the tests of `installer/tui` (`tests/pictures.rs`), at 80x24 with line drawing and colours. On a terminal of old, or with \
         `--ascii`, the same screens come in ASCII without colours.\n",
    );
    for (name, caption, technician) in pictures() {
        is_fresh(&docs().join(format!("screens/{name}.svg")), &technician::svg::svg(&technician.draw()));
        write!(page, "\n## {caption}\n\n![{caption}](screens/{name}.svg)\n").unwrap();
    }
    let serial = at_the_summary(Theme::PLAIN);
    write!(page, "\n## The summary on a serial line\n\n```text\n{}```\n", serial.screen()).unwrap();
    is_fresh(&docs().join("screens.md"), &page);
}
