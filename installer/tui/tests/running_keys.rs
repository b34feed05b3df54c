//! Keys in any order while an installation runs and after it: nothing panics, and none breaks it off by accident.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use proptest::prelude::*;
use sovereign_model::event::Event;
use sovereign_tui::{Cmd, Ended, Failed, Msg, Theme};
use technician::Technician;
use technician::run::{agreed, recorded};

/// Keys of which somebody presses some before each of the next events.
const KEYS: [&str; 26] = [
    "<tab>",
    "<s-tab>",
    "<enter>",
    "<esc>",
    "<bs>",
    "<up>",
    "<down>",
    "<left>",
    "<right>",
    "<home>",
    "<end>",
    "<pagedown>",
    "<space>",
    "<c-c>",
    "<c-g>",
    "<c-l>",
    "<c-z>",
    "?",
    "q",
    "l",
    "h",
    "j",
    "G",
    "g",
    "v",
    "w",
];

#[derive(Debug, Clone)]
enum Deed {
    Key(usize),
    /// So many of the recorded events come.
    Events(usize),
    Tick,
    Resize(u16, u16),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        12 => (0..KEYS.len()).prop_map(Deed::Key),
        3 => (1usize..40).prop_map(Deed::Events),
        1 => Just(Deed::Tick),
        1 => (0u16..140, 0u16..50).prop_map(|(columns, rows)| Deed::Resize(columns, rows)),
        1 => Just(Deed::Resize(80, 24)),
    ]
}

fn ended(which: u8) -> Ended {
    match which {
        0 => Ended::Complete,
        1 => Ended::Cancelled,
        _ => Ended::Failed(Failed { error: "a\n\n  b  c\n  What to do: d".to_owned(), changed: true }),
    }
}

/// What would break an installation off.
fn breaks_off(cmd: &Cmd) -> bool {
    matches!(cmd, Cmd::Cancel | Cmd::Reboot | Cmd::PowerOff | Cmd::Shell | Cmd::Install(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_key_breaks_off_an_installation_that_writes(
        deeds in prop::collection::vec(deed(), 100..500),
        end in 0u8..3,
        after in prop::collection::vec(deed(), 50..100),
    ) {
        let mut technician = agreed(80, 24, Theme::PLAIN);
        let mut events = recorded().into_iter().map(|recorded| recorded.event);
        let (mut writes, mut pressed) = (false, String::new());
        for deed in &deeds {
            let before = technician.cmds.len();
            happens(&mut technician, deed, &mut events, &mut writes);
            if let Deed::Key(key) = deed {
                pressed.push_str(KEYS[*key]);
            }
            let broken = technician.cmds[before..].iter().any(breaks_off);
            prop_assert!(!broken || !writes, "broken off by {pressed}");
            // Before the first write only who was asked and chose to.
            prop_assert!(!broken || pressed.contains("<c-c>"), "broken off by {pressed}");
            if matches!(deed, Deed::Tick | Deed::Resize(..)) {
                technician.screen();
            }
        }
        technician.ends(ended(end));
        for deed in &after {
            happens(&mut technician, deed, &mut events, &mut writes);
            technician.screen();
        }
    }
}

fn happens(technician: &mut Technician, deed: &Deed, events: &mut dyn Iterator<Item = Event>, writes: &mut bool) {
    match deed {
        Deed::Key(key) => {
            technician.types(KEYS[*key]);
        }
        Deed::Events(count) => {
            for event in events.take(*count) {
                *writes |= event == Event::PointOfNoReturn;
                technician.hears(Msg::Event(event));
            }
        }
        Deed::Tick => {
            technician.waits(1);
        }
        Deed::Resize(columns, rows) => {
            technician.hears(Msg::Resize { columns: *columns, rows: *rows });
        }
    }
}
