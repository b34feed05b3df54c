//! A recorded event stream, played to the screens at its own speed.

use std::time::Duration;

use serde::Deserialize;
use sovereign_model::Bytes;
use sovereign_model::event::{Amount, Event};
use sovereign_tui::{ArraySync, Cmd, Ended, Msg, Reply, Theme};

use super::{KEY, REFERENCE, Technician};

/// Events of an installation of the reference machine under QEMU, a line each, and when each came: events.jsonl of the test
/// `an_installed_machine_is_what_was_planned` (2026-11-27), whose last two lines, of what no file on the machine can tell, are after its console.
const RECORDED: &str = include_str!("../recorded/install.jsonl");

/// An event and when it came.
#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    at_ms: u64,
    #[serde(flatten)]
    pub event: Event,
}

pub fn recorded() -> Vec<Recorded> {
    RECORDED.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Answers everything and agrees; the installation has been asked for.
pub fn agreed(columns: u16, rows: u16, theme: Theme) -> Technician {
    let mut technician = Technician::at(columns, rows, theme, None).sees(REFERENCE);
    technician.types("nnnn<tab><tab><tab>correct horse battery staple<tab>correct horse battery staple<tab><space>");
    technician.hears(Msg::Reply(Reply::RecoveryKey(Ok(zeroize::Zeroizing::new([7; 16])))));
    technician.types("n<tab><tab>192.0.2.10/24<tab>192.0.2.1<tab>192.0.2.53<tab>n");
    technician.types("berlin-1<enter>host.example.org<enter><enter>admin@example.org<enter>");
    technician.types(KEY).types("<tab><tab><enter>");
    technician.types("i0001<enter><tab><enter>");
    assert!(matches!(technician.cmds.last(), Some(Cmd::Install(_))), "{}", technician.screen());
    technician
}

impl Technician {
    /// Plays the events up to and with the first one that fits, a tick each second, and looks at the screen after each tick.
    pub fn plays(&mut self, until: impl Fn(&Event) -> bool, mut look: impl FnMut(&Self)) -> &mut Self {
        for Recorded { at_ms, event } in recorded() {
            while self.played + Duration::from_secs(1) <= Duration::from_millis(at_ms) {
                self.played += Duration::from_secs(1);
                self.waits(1);
                look(self);
            }
            let last = until(&event);
            self.hears(Msg::Event(event));
            if last {
                break;
            }
        }
        self.waits(1);
        look(self);
        self
    }

    pub fn hears_of_arrays(&mut self) -> &mut Self {
        let array = |name: &str, done, total, rate| ArraySync {
            name: name.to_owned(),
            amount: Amount { done: Bytes(done), total: Bytes(total) },
            rate: Bytes(rate),
        };
        self.hears(Msg::Arrays(vec![
            array("ssd", 61_000_000_000, 509_825_318_912, 1_200_000_000),
            array("hdd", 96_000_000_000, 12_001_812_512_768, 260_000_000),
        ]))
    }

    pub fn ends(&mut self, ended: Ended) -> &mut Self {
        self.hears(Msg::Ended(ended))
    }
}
