//! What happens to the state: keys, news and replies in, commands out. No I/O, no clock, no randomness.

use crate::cmd::Cmd;
use crate::flow::{self, Place};
use crate::keys::Press;
use crate::msg::{Msg, Reply};
use crate::screens::{Go, Outcome, Screen};
use crate::state::{Message, Overlay, Size, State};
use crate::view;

/// What can be done after Ctrl-C; the first is the default.
pub(crate) const LEAVE: [&str; 4] = ["No, stay", "Open a shell", "Restart the machine", "Switch the machine off"];
/// The same during an installation that can still be cancelled.
pub(crate) const CANCEL: [&str; 2] = ["No, go on", "Cancel it"];

/// Takes what happened, and says what is to be done.
#[must_use]
pub fn update(state: &mut State, msg: Msg) -> Vec<Cmd> {
    match msg {
        Msg::Key(event) => return Press::of(event).map_or_else(Vec::new, |press| key(state, press)),
        Msg::Resize { columns, rows } => state.size = Size::of(columns, rows),
        Msg::Tick { now } => state.now = now,
        Msg::Medium(medium) => state.known.medium = medium,
        Msg::Inventory(inventory) => {
            state.known.inventory = Some(inventory);
            state.message = None;
        }
        Msg::Reply(reply) => return replied(state, reply),
        Msg::Event(_) | Msg::Arrays(_) | Msg::Ended(_) => {}
    }
    Vec::new()
}

fn replied(state: &mut State, reply: Reply) -> Vec<Cmd> {
    if let Reply::Refused(why) = reply {
        state.message = Some(Message::Bad(why));
    }
    Vec::new()
}

fn key(state: &mut State, press: Press) -> Vec<Cmd> {
    if press == Press::Ctrl('l') {
        return vec![Cmd::Redraw];
    }
    // On a terminal that is too small nobody sees what a key does.
    if !state.size.is_enough() {
        return Vec::new();
    }
    if let Some(overlay) = state.overlay.take() {
        return over(state, overlay, press);
    }
    state.message = None;
    match press {
        Press::Ctrl('c') => state.overlay = Some(Overlay::Leave(0)),
        Press::Ctrl('g') => state.overlay = Some(Overlay::Help(0)),
        Press::Char('?') if !state.screen.is_typing() => state.overlay = Some(Overlay::Help(0)),
        _ => {
            let room = view::room(state.size);
            let outcome = state.screen.press(press, &mut state.known, room);
            return follow(state, outcome);
        }
    }
    Vec::new()
}

/// A key while something lies over the screen.
fn over(state: &mut State, overlay: Overlay, press: Press) -> Vec<Cmd> {
    let moved = |at: usize, count: usize| match press {
        Press::Tab | Press::Down | Press::Right | Press::Ctrl('n') | Press::Char('j' | 'l') => Some((at + 1) % count),
        Press::BackTab | Press::Up | Press::Left | Press::Ctrl('p') | Press::Char('k' | 'h') => {
            Some((at + count - 1) % count)
        }
        _ => None,
    };
    match overlay {
        Overlay::Help(first) => {
            let rows = usize::from(state.size.rows.saturating_sub(6));
            let lines = view::help(state, usize::from(state.size.columns.min(76)).saturating_sub(4)).len();
            state.overlay =
                press.scroll(rows).filter(|_| lines > rows).map(|by| Overlay::Help(scrolled(first, by, lines - rows)));
        }
        Overlay::Leave(at) => match (moved(at, LEAVE.len()), press) {
            (Some(at), _) => state.overlay = Some(Overlay::Leave(at)),
            (None, Press::Enter | Press::Char(' ')) => match at {
                0 => {}
                1 => return vec![Cmd::Shell],
                2 => return vec![Cmd::Reboot],
                _ => return vec![Cmd::PowerOff],
            },
            _ => {}
        },
        Overlay::Cancel(at) => match (moved(at, CANCEL.len()), press) {
            (Some(at), _) => state.overlay = Some(Overlay::Cancel(at)),
            (None, Press::Enter | Press::Char(' ')) if at > 0 => return vec![Cmd::Cancel],
            _ => {}
        },
    }
    Vec::new()
}

/// `first` moved by so many lines, within 0 and `last`.
pub(crate) fn scrolled(first: usize, by: isize, last: usize) -> usize {
    first.saturating_add_signed(by).min(last)
}

/// Goes where the screen says.
fn follow(state: &mut State, outcome: Outcome) -> Vec<Cmd> {
    state.message = outcome.message;
    match outcome.go {
        Go::Stay => {}
        Go::Next => {
            if let Some(here) = state.screen.place() {
                let next = next(state, here);
                state.trail.push(here);
                state.screen = Screen::at(next, &state.known);
            }
        }
        Go::Back => {
            if let Some(before) = state.trail.pop() {
                state.screen = Screen::at(before, &state.known);
            }
        }
    }
    outcome.cmds
}

/// After the report of the hardware come the screens that are open, and then the summary.
fn next(state: &State, here: Place) -> Place {
    match here {
        Place::Welcome => Place::Hardware,
        _ => flow::open(&state.known).into_iter().next().unwrap_or(Place::Summary),
    }
}
