//! What a frame costs on a serial line: the bytes that crossterm writes while a recorded installation is shown.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use ratatui::backend::CrosstermBackend;
use ratatui::{Terminal, TerminalOptions, Viewport, layout::Rect};
use sovereign_tui::{Theme, view};
use technician::Technician;
use technician::run::agreed;

/// A frame that costs more makes a line of 9600 baud, 960 characters a second, lag behind by more than four seconds.
const MOST: usize = 4096;

/// Characters a second of a line of 9600 baud: ten bits each.
const BAUD_9600: usize = 960;

/// Bytes that were written to a terminal.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<Vec<u8>>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Plays the installation and counts the bytes of each frame.
fn costs(mut technician: Technician, keys: &str) -> Vec<usize> {
    let line = Line::default();
    let viewport = Viewport::Fixed(Rect::new(0, 0, 80, 24));
    let mut terminal =
        Terminal::with_options(CrosstermBackend::new(line.clone()), TerminalOptions { viewport }).unwrap();
    let mut frame = |technician: &Technician| {
        line.0.borrow_mut().clear();
        terminal.draw(|frame| view(&technician.state, frame)).unwrap();
        line.0.borrow().len()
    };
    technician.types(keys);
    let mut costs = vec![frame(&technician)];
    technician.plays(|_| false, |technician| costs.push(frame(technician)));
    costs
}

#[test]
fn a_frame_costs_at_most_4_kb_on_average_while_an_installation_runs() {
    for (name, theme, keys) in [
        ("steps, ASCII", Theme::PLAIN, ""),
        ("steps, colour", Theme::FULL, ""),
        ("log, ASCII", Theme::PLAIN, "l"),
        ("log, colour", Theme::FULL, "l"),
    ] {
        let costs = costs(agreed(80, 24, theme), keys);
        let (sum, most) = (costs.iter().sum::<usize>(), costs.iter().max().unwrap());
        let mean = sum / costs.len();
        // A frame a second: what it costs is what the line carries each second, of the 960 characters that 9600 baud are.
        let busy = costs.iter().filter(|cost| **cost > BAUD_9600).count();
        println!(
            "frame bytes ({name}, 80x24): {mean} on average, {most} at most, {} frames; of 9600 baud {} % on average, {busy} frames take more \
             than their second",
            costs.len(),
            mean * 100 / BAUD_9600
        );
        assert!(mean <= MOST, "{name}: {mean} bytes a frame");
    }
}

#[test]
fn between_two_ticks_nothing_is_drawn() {
    let mut technician = agreed(80, 24, Theme::PLAIN);
    technician.plays(|event| matches!(event, sovereign_model::event::Event::PointOfNoReturn), |_| {});
    let before = technician.screen();
    for recorded in technician::run::recorded().into_iter().skip(200).take(60) {
        technician.hears(sovereign_tui::Msg::Event(recorded.event));
        assert_eq!(technician.screen(), before);
    }
}
