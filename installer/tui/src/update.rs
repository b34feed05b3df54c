//! What happens to the state: keys, news and replies in, commands out. No I/O, no clock, no randomness.

use sovereign_model::event::Event;
use sovereign_model::inventory::Inventory;

use crate::cmd::Cmd;
use crate::flow::{self, Place};
use crate::keys::Press;
use crate::msg::{Ended, Medium, Msg, Reply};
use crate::screens::done::Done;
use crate::screens::failure::{End, Failure};
use crate::screens::progress::Progress;
use crate::screens::{Go, Outcome, Screen};
use crate::state::{Message, Overlay, Size, State};
use crate::view;

/// What can be done after Ctrl-C; the first is the default.
pub(crate) const LEAVE: [&str; 4] = ["No, stay", "Open a shell", "Restart the machine", "Switch the machine off"];
/// The same during an installation that can still be cancelled.
pub(crate) const CANCEL: [&str; 2] = ["No, go on", "Cancel it"];

/// Why an installation goes on.
const TOO_LATE: &str = "too late to cancel: the disks are being changed, and it goes on to its end";

/// Takes what happened, and says what is to be done.
#[must_use]
pub fn update(state: &mut State, msg: Msg) -> Vec<Cmd> {
    match msg {
        Msg::Key(event) => return Press::of(event).map_or_else(Vec::new, |press| key(state, press)),
        Msg::Resize { columns, rows } => state.size = Size::of(columns, rows),
        Msg::Tick { now } => {
            state.now = now;
            if let Screen::Progress(progress) = &mut state.screen {
                progress.tick(now);
            }
        }
        Msg::Medium(medium) => state.known.medium = medium,
        Msg::Inventory(inventory) => seen(state, inventory),
        Msg::Event(event) => heard(state, event),
        Msg::Arrays(arrays) => match &mut state.screen {
            Screen::Progress(progress) => progress.arrays(arrays),
            Screen::Done(done) => done.arrays(arrays),
            _ => {}
        },
        Msg::Ended(ended) => finished(state, ended),
        Msg::Reply(reply) => replied(state, reply),
    }
    Vec::new()
}

/// The machine was looked at: screens that show it are made anew.
fn seen(state: &mut State, inventory: Result<Box<Inventory>, String>) {
    state.known.inventory = Some(inventory);
    state.message = None;
    let place = state.screen.place();
    match (&mut state.screen, place) {
        (Screen::Summary(summary), _) => summary.look(&state.known),
        (Screen::Disks(_) | Screen::Capacity(_) | Screen::Network(_), Some(place)) => {
            state.screen = Screen::at(place, &state.known);
        }
        _ => {}
    }
}

fn heard(state: &mut State, event: Event) {
    let Screen::Progress(progress) = &mut state.screen else { return };
    progress.hear(event);
    // The question whether to cancel is void once it is too late.
    if !progress.is_harmless() && matches!(state.overlay, Some(Overlay::Cancel(_))) {
        state.overlay = None;
        state.message = Some(Message::Bad(TOO_LATE.to_owned()));
    }
}

/// The installation is over.
fn finished(state: &mut State, ended: Ended) {
    let Screen::Progress(progress) = &state.screen else { return };
    let (plan, run) = (progress.plan.clone(), progress.run().clone());
    state.overlay = None;
    state.trail.clear();
    match ended {
        Ended::Complete => {
            state.known.touched = true;
            state.screen = Screen::Done(Box::new(Done::new(plan, run)));
        }
        Ended::Failed(failed) => {
            let earlier = state.known.touched;
            state.known.touched |= failed.changed;
            state.screen = Screen::Failure(Box::new(Failure::new(plan, run, End::Failed(failed), earlier)));
        }
        Ended::Cancelled => {
            let earlier = state.known.touched;
            state.screen = Screen::Failure(Box::new(Failure::new(plan, run, End::Cancelled, earlier)));
        }
    }
}

fn replied(state: &mut State, reply: Reply) {
    let known = &mut state.known;
    let message = match (reply, &mut state.screen) {
        (Reply::Keyboard(Ok(())), _) => Message::Good("The layout is loaded: try it in the test field.".to_owned()),
        (Reply::RecoveryKey(result), Screen::Encryption(screen)) => screen.drawn(result, known),
        (Reply::SshKeys(result), Screen::Admin(screen)) => screen.found(result, known),
        // The screens of an installation's end go on showing what became of these.
        (Reply::SheetWritten(result), Screen::Done(screen)) => return screen.written(result),
        (Reply::LogsExported(result), Screen::Done(screen)) => return screen.exported(result),
        (Reply::LogsExported(result), Screen::Failure(screen)) => return screen.exported(result),
        (Reply::LogsExported(Ok(place)), _) => Message::Good(format!("The logs are exported: {place}")),
        (Reply::LogsExported(Err(why)), _) => Message::Bad(format!("the logs are not exported: {why}")),
        (Reply::SiteSaved(Ok(place)), _) => Message::Good(format!("Saved: {place}")),
        (Reply::Keyboard(Err(why)) | Reply::SiteSaved(Err(why)) | Reply::Refused(why), _) => Message::Bad(why),
        // Whoever asked has gone on meanwhile.
        (Reply::RecoveryKey(_) | Reply::SshKeys(_) | Reply::SheetWritten(_), _) => return,
    };
    state.message = Some(message);
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
        Press::Ctrl('c') => match &state.screen {
            Screen::Progress(progress) if progress.is_harmless() => state.overlay = Some(Overlay::Cancel(0)),
            Screen::Progress(_) => state.message = Some(Message::Bad(TOO_LATE.to_owned())),
            _ => state.overlay = Some(Overlay::Leave(0)),
        },
        Press::Ctrl('g') => state.overlay = Some(Overlay::Help(0)),
        Press::Char('?') if !state.screen.is_typing() => state.overlay = Some(Overlay::Help(0)),
        _ => {
            let room = view::room(state.size);
            let outcome = state.screen.press(press, &mut state.known, state.theme, room);
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
            (None, Press::Enter | Press::Char(' ')) if at > 0 => {
                if let Screen::Progress(progress) = &mut state.screen {
                    progress.cancel();
                }
                return vec![Cmd::Cancel];
            }
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
    let mut cmds = outcome.cmds;
    match outcome.go {
        Go::Stay => {}
        Go::Next => {
            if let Some(here) = state.screen.place() {
                state.known.answered.insert(here);
                let next = next(state, here);
                go_to(state, next);
            }
        }
        Go::Back => {
            if let Some(before) = state.trail.pop() {
                state.screen = Screen::at(before, &state.known);
            }
        }
        Go::To(place) => {
            state.trail.extend(state.screen.place());
            state.screen = Screen::at(place, &state.known);
        }
        Go::Install(plan) => {
            state.trail.clear();
            state.screen = Screen::Progress(Box::new(Progress::new(plan, state.now)));
        }
        Go::Again => {
            state.known.inventory = None;
            let next = next(state, Place::Hardware);
            state.screen = Screen::at(next, &state.known);
            if !matches!(state.known.medium, Medium::Verifying(_)) {
                state.known.medium = Medium::UNREAD;
                cmds.push(Cmd::VerifyMedium);
            }
            cmds.push(Cmd::Probe);
        }
    }
    cmds
}

/// Goes on to a place. A place that was passed on the way here is gone back to: nobody goes round in circles.
fn go_to(state: &mut State, place: Place) {
    if let Some(here) = state.screen.place() {
        state.trail.push(here);
    }
    if let Some(at) = state.trail.iter().position(|passed| *passed == place) {
        state.trail.truncate(at);
    }
    state.screen = Screen::at(place, &state.known);
}

/// After the report of the hardware come the screens that are open, and then the summary.
fn next(state: &State, here: Place) -> Place {
    match here {
        Place::Welcome => Place::Hardware,
        _ => flow::open(&state.known).into_iter().next().unwrap_or(Place::Summary),
    }
}
