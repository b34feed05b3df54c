//! What a screen shows, as lines: the frame around it is drawn in one place, [`crate::view`].

use ratatui::text::{Line, Span};

use crate::theme::{Theme, Tone};

/// A key and what it does, for the last line of the screen.
pub(crate) type Hint = (&'static str, &'static str);

/// A screen's contents.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Its name, in the bar at the top.
    pub title: String,
    /// Lines that stay at the top.
    pub head: Vec<Line<'static>>,
    /// Lines that are scrolled.
    pub body: Vec<Line<'static>>,
    /// Lines that stay at the bottom.
    pub foot: Vec<Line<'static>>,
    /// Which line of the body must be seen.
    pub at: At,
    /// Where the cursor stands: line of the body, and column.
    pub cursor: Option<(usize, u16)>,
    /// Keys.
    pub keys: Vec<Hint>,
    /// Whether the body takes the columns at the edges too.
    pub edges: bool,
}

/// Which part of the body is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// The part that begins with this line.
    Top(usize),
    /// The part with this line in it.
    Line(usize),
}

impl Default for At {
    fn default() -> Self {
        Self::Top(0)
    }
}

impl Page {
    /// The first line of the body that is seen where `rows` lines are.
    pub fn first(&self, rows: usize) -> usize {
        let last = self.body.len().saturating_sub(rows);
        match self.at {
            At::Top(line) => line.min(last),
            At::Line(line) => line.saturating_sub(rows / 2).min(last),
        }
    }
}

/// A line of one tone.
pub(crate) fn line(theme: Theme, tone: Tone, text: impl Into<String>) -> Line<'static> {
    Line::styled(text.into(), theme.style(tone))
}

/// A line of pieces.
pub(crate) fn spans<const N: usize>(theme: Theme, pieces: [(Tone, String); N]) -> Line<'static> {
    pieces.into_iter().map(|(tone, text)| Span::styled(text, theme.style(tone))).collect()
}

/// Lines of at most `width` columns, broken between words, all but the first indented by `indent`. A word that is longer is broken.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let lead = paragraph.chars().take_while(|c| *c == ' ').count().min(width / 2);
        let blank = " ".repeat(lead + if lines.is_empty() { 0 } else { indent });
        let mut current = blank;
        let mut fresh = true;
        for word in paragraph.split_whitespace() {
            let mut word: Vec<char> = word.chars().collect();
            while !word.is_empty() {
                let room = width.saturating_sub(current.chars().count() + usize::from(!fresh));
                if word.len() <= room {
                    if !fresh {
                        current.push(' ');
                    }
                    current.extend(word.drain(..));
                    fresh = false;
                } else if fresh {
                    let fits = word.drain(..room.clamp(1, word.len())).collect::<String>();
                    current.push_str(&fits);
                    fresh = false;
                } else {
                    lines.push(std::mem::replace(&mut current, " ".repeat(lead + indent)));
                    fresh = true;
                }
            }
        }
        lines.push(current);
    }
    lines
}

/// The same as lines of a tone.
pub(crate) fn wrapped(theme: Theme, tone: Tone, text: &str, width: usize, indent: usize) -> Vec<Line<'static>> {
    wrap(text, width, indent).into_iter().map(|text| line(theme, tone, text)).collect()
}

/// A text in exactly `width` columns: filled up with blanks, or cut with an ellipsis.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{head}…")
}

/// The same at the right.
pub(crate) fn right(text: &str, width: usize) -> String {
    if text.chars().count() <= width { format!("{text:>width$}") } else { fit(text, width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7, 2), ["one two", "  three"]);
        assert_eq!(wrap("abcdefghij kl", 4, 0), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("a\n\n  b", 10, 0), ["a", "", "  b"]);
        assert_eq!(wrap("word", 0, 0).concat(), "word");
    }

    #[test]
    fn cells_have_their_width() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(right("12", 4), "  12");
        assert_eq!(fit("", 0), "");
    }

    #[test]
    fn the_line_with_the_focus_is_seen() {
        let lines = |n: usize| (0..n).map(|i| Line::raw(i.to_string())).collect();
        let page = |at| Page { body: lines(20), at, ..Page::default() };
        assert_eq!(page(At::Line(0)).first(10), 0);
        assert_eq!(page(At::Line(12)).first(10), 7);
        assert_eq!(page(At::Line(19)).first(10), 10);
        assert_eq!(page(At::Top(99)).first(10), 10);
        assert_eq!(page(At::Top(3)).first(30), 0);
    }
}
