//! The log of an installation: its end is kept, and looked at line by line.

use std::collections::VecDeque;

use ratatui::text::Line;

use crate::keys::Press;
use crate::page::{Page, line, wrapped};
use crate::screens::Room;
use crate::theme::{Theme, Tone};

/// Lines that are kept for looking at; all of them are in the file that the app writes.
const LINES: usize = 2000;
/// Characters of a line. What is longer goes on in the next one, so that each line fits a small screen and all of it can be seen.
const LONGEST: usize = 1000;
/// Lines above the log.
const HEAD: usize = 2;

/// The end of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    lines: VecDeque<String>,
    /// How many lines there were before those that are kept.
    dropped: usize,
}

impl Log {
    pub fn add(&mut self, text: &str) {
        for text in text.lines() {
            let characters: Vec<char> = text.chars().collect();
            self.lines.extend(characters.chunks(LONGEST).map(|piece| piece.iter().collect::<String>()));
        }
        let excess = self.lines.len().saturating_sub(LINES);
        self.lines.drain(..excess);
        self.dropped += excess;
    }

    /// Lines in all.
    fn count(&self) -> usize {
        self.dropped + self.lines.len()
    }

    /// The line with this number, from 0; `None` where it is not kept.
    fn get(&self, number: usize) -> Option<&str> {
        self.lines.get(number.checked_sub(self.dropped)?).map(String::as_str)
    }
}

/// The part of a log that is seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum LogView {
    /// Its end, also when it grows.
    #[default]
    Tail,
    /// From the line with this number on. It stays while the log grows.
    From(usize),
}

impl LogView {
    /// The first line that is seen.
    fn first(self, log: &Log, room: Room) -> usize {
        let tail = tail(log, room);
        match self {
            Self::Tail => tail,
            Self::From(number) => number.clamp(log.dropped.min(tail), tail),
        }
    }

    /// Scrolls; whether it was a key for that.
    pub fn press(&mut self, press: Press, log: &Log, room: Room) -> bool {
        let Some(by) = press.scroll(room.rows.saturating_sub(HEAD)) else { return false };
        let (first, tail) = (self.first(log, room), tail(log, room));
        let to = first.saturating_add_signed(by).max(log.dropped);
        *self = if to >= tail { Self::Tail } else { Self::From(to) };
        true
    }

    /// Puts the part onto an empty page.
    pub fn show(self, log: &Log, page: &mut Page, theme: Theme, room: Room) {
        let rows = room.rows.saturating_sub(HEAD);
        let (first, mut next) = (self.first(log, room), self.first(log, room));
        while let Some(text) = log.get(next) {
            let lines = lines(text, theme, room);
            if page.body.len() + lines.len() > rows {
                break;
            }
            page.body.extend(lines);
            next += 1;
        }
        let what = match self {
            Self::Tail => "its end, as it grows",
            Self::From(_) => "G goes to its end",
        };
        let seen = if log.count() == 0 { "empty".to_owned() } else { format!("lines {}-{next}", first + 1) };
        let text = format!("Log of {} lines: {seen}; {what}", log.count());
        page.head.extend([line(theme, Tone::Heading, text), Line::default()]);
    }
}

/// A line of the log as those of the screen. The blanks at its head tell what belongs to what.
fn lines(text: &str, theme: Theme, room: Room) -> Vec<Line<'static>> {
    let text = text.replace('\t', "    ");
    let lines = wrapped(theme, Tone::Plain, &text, room.width, 2);
    if lines.is_empty() { vec![Line::default()] } else { lines }
}

/// The first line of the end that fits the screen.
fn tail(log: &Log, room: Room) -> usize {
    let rows = room.rows.saturating_sub(HEAD);
    let mut used = 0;
    let mut first = log.count();
    while let Some(text) = first.checked_sub(1).and_then(|before| log.get(before)) {
        used += lines(text, Theme::PLAIN, room).len();
        if used > rows {
            break;
        }
        first -= 1;
    }
    // A line that fills the screen by itself is seen all the same.
    first.min(log.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { width: 20, rows: HEAD + 4 };

    fn seen(view: LogView, log: &Log) -> Vec<String> {
        let mut page = Page::default();
        view.show(log, &mut page, Theme::PLAIN, ROOM);
        page.body.iter().map(ToString::to_string).collect()
    }

    fn log_of(count: usize) -> Log {
        let mut log = Log::default();
        (1..=count).for_each(|number| log.add(&format!("line {number}")));
        log
    }

    #[test]
    fn the_end_is_followed_until_somebody_looks_back() {
        let (mut log, mut view) = (log_of(10), LogView::default());
        assert_eq!(seen(view, &log), ["line 7", "line 8", "line 9", "line 10"]);
        assert!(view.press(Press::Char('k'), &log, ROOM));
        log.add("line 11");
        assert_eq!(seen(view, &log), ["line 6", "line 7", "line 8", "line 9"]);
        view.press(Press::Char('g'), &log, ROOM);
        assert_eq!(seen(view, &log)[0], "line 1");
        view.press(Press::Char('k'), &log, ROOM);
        assert_eq!(seen(view, &log)[0], "line 1");
        view.press(Press::Char('G'), &log, ROOM);
        log.add("line 12");
        assert_eq!(seen(view, &log)[3], "line 12");
        assert!(!view.press(Press::Enter, &log, ROOM));
    }

    #[test]
    fn of_a_long_log_the_end_is_kept_and_what_is_looked_at_stays_as_long_as_it_is_kept() {
        let (mut log, mut view) = (log_of(LINES), LogView::default());
        view.press(Press::Char('g'), &log, ROOM);
        view.press(Press::PageDown, &log, ROOM);
        log.add("line 2001");
        assert_eq!(seen(view, &log)[0], "line 4");
        (2002..2010).for_each(|number| log.add(&format!("line {number}")));
        assert_eq!(seen(view, &log)[0], "line 10");
        assert_eq!(log.lines.len(), LINES);
    }

    #[test]
    fn long_lines_are_broken_and_none_is_lost() {
        let mut log = Log::default();
        log.add(&"word ".repeat(250));
        log.add("");
        log.add("\tone\ntwo");
        let long: String = log.lines.iter().take(2).map(String::as_str).collect();
        assert_eq!(long, "word ".repeat(250));
        assert_eq!(seen(LogView::Tail, &log), ["    one", "two"]);
        assert_eq!(seen(LogView::Tail, &Log::default()), Vec::<String>::new());
    }
}
