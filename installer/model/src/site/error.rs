//! Errors of a site file as people read them: file, line, column, the line itself, a caret, and what to do.

use std::fmt;
use std::ops::Range;

use crate::text::is_unseen;

/// Most characters of a source line that are shown.
const SHOWN: usize = 100;
/// Most errors that are shown; a file that is no TOML at all has one in each line.
const MOST: usize = 25;
/// Most errors that are worked out in full; the rest are counted.
const KEPT: usize = 100;
/// A line is shown only up to a word that contains one of these: what follows is, or was meant to be, a secret.
const SENSITIVE: [&str; 6] = ["passw", "passphrase", "hash", "secret", "private key", "pwd"];

/// What is the matter with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is needed, and not there.
    Missing,
    /// Site files have no such key.
    Unknown,
    /// Its value is not accepted, or not beside those of other keys.
    Wrong,
}

/// The key that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What is the matter.
    pub fault: Fault,
    /// The key, or section, with those it is in: `network.address`.
    pub path: String,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteError {
    /// The key it is about; `None` where it is about the file as a whole.
    pub about: Option<About>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The line itself, without secrets; empty where the error is about something that is not there.
    shown: String,
    /// Where in `shown` the carets stand, in characters.
    carets: Range<usize>,
}

/// The errors found in a file, in the order of their places; of very many the first ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteErrors {
    file: String,
    errors: Vec<SiteError>,
    /// How many more there are.
    more: usize,
}

impl SiteErrors {
    /// The first errors, in the order of their places.
    pub fn errors(&self) -> &[SiteError] {
        &self.errors
    }
}

impl fmt::Display for SiteErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in self.errors.iter().take(MOST) {
            writeln!(f, "{}:{}:{}: {}", self.file, error.line, error.column, error.message)?;
            if !error.shown.is_empty() {
                writeln!(f, "{:>5} | {}", error.line, error.shown)?;
                let blank = " ".repeat(error.carets.start);
                writeln!(f, "      | {blank}{}", "^".repeat(error.carets.len().max(1)))?;
            }
            writeln!(f, "      = {}", error.hint)?;
        }
        match self.errors.len() + self.more {
            1 => write!(f, "1 error in {}", self.file),
            n if n > MOST => write!(f, "{n} errors in {}, of which {MOST} are shown", self.file),
            n => write!(f, "{n} errors in {}", self.file),
        }
    }
}

impl std::error::Error for SiteErrors {}

/// An error before its line and column are looked up.
#[derive(PartialEq, Eq)]
struct Raw {
    about: Option<About>,
    span: Range<usize>,
    message: String,
    hint: String,
    /// It is about something that is nowhere in the text.
    absent: bool,
}

/// Gathers errors of one text.
pub(super) struct Collector<'t> {
    text: &'t str,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
    /// What the next error is about.
    about: Option<About>,
    found: Vec<Raw>,
    /// Bytes that are secret, such as the password hash's value.
    secrets: Vec<Range<usize>>,
}

impl<'t> Collector<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines, about: None, found: Vec::new(), secrets: Vec::new() }
    }

    /// These bytes are never shown, wherever an error is.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    /// The error that is added next is about this key.
    pub(super) fn about(&mut self, fault: Fault, path: impl Into<String>) -> &mut Self {
        self.about = Some(About { fault, path: path.into() });
        self
    }

    /// An error at these bytes of the text.
    pub(super) fn add(&mut self, span: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let span = floor(self.text, span.start)..floor(self.text, span.end);
        let about = self.about.take();
        self.found.push(Raw { about, span, message: message.into(), hint: hint.into(), absent: false });
    }

    /// An error about something that is nowhere in the text.
    pub(super) fn add_absent(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let span = self.text.len()..self.text.len();
        let about = self.about.take();
        self.found.push(Raw { about, span, message: message.into(), hint: hint.into(), absent: true });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn finish(mut self, file: &str) -> SiteErrors {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|raw| raw.span.start);
        found.dedup();
        let more = found.len().saturating_sub(KEPT);
        found.truncate(KEPT);
        let errors = found.into_iter().map(|raw| self.placed(raw)).collect();
        SiteErrors { file: file.to_owned(), errors, more }
    }

    /// Number of the line, from 0, that a byte is in.
    fn line_of(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    fn placed(&self, raw: Raw) -> SiteError {
        let Raw { about, span: Range { start, end }, message, hint, absent } = raw;
        if absent {
            let line = self.line_of(self.text.trim_end().len()) + 1;
            return SiteError { about, line, column: 1, message, hint, shown: String::new(), carets: 0..0 };
        }
        let line = self.line_of(start);
        let line_start = self.lines[line];
        let line_end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        // The line ending may be two characters.
        let line_end = if self.text[line_start..line_end].ends_with('\r') { line_end - 1 } else { line_end };
        let start_in_line = start.min(line_end);
        let column = self.text[line_start..start].chars().count();
        let width = self.text[start_in_line..end.clamp(start_in_line, line_end)].chars().count();
        let (shown, carets) = self.show(line_start..line_end, column, width);
        SiteError { about, line: line + 1, column: column + 1, message, hint, shown, carets }
    }

    /// The line as it may be shown, and where the carets stand.
    fn show(&self, line: Range<usize>, column: usize, width: usize) -> (String, Range<usize>) {
        let source = &self.text[line.clone()];
        let mut cut = source.len();
        for secret in &self.secrets {
            if secret.start < line.end && secret.end > line.start {
                cut = cut.min(secret.start.saturating_sub(line.start));
            }
        }
        cut = cut.min(sensitive(source, self.text[..line.start].lines().next_back()));
        let mut chars: Vec<char> = source[..floor(source, cut)]
            .chars()
            .map(|c| {
                if c == '\t' {
                    ' '
                } else if is_unseen(c) {
                    '?'
                } else {
                    c
                }
            })
            .collect();
        let hidden = cut < source.len();
        if hidden {
            let kept = chars.iter().collect::<String>().trim_end().chars().count();
            chars.truncate(kept);
            chars.extend(if chars.last() == Some(&'=') || chars.is_empty() { " ..." } else { " = ..." }.chars());
        }
        // A long line is shown around the error.
        let first = if chars.len() > SHOWN { column.saturating_sub(SHOWN / 2).min(chars.len() - SHOWN) } else { 0 };
        let shown: String = chars.iter().skip(first).take(SHOWN).collect();
        let length = shown.trim_end().chars().count();
        let start = (column - first.min(column)).min(length);
        let end = (start + width).min(length).max(start);
        (shown.trim_end().to_owned(), start..end)
    }
}

/// Where a line must be cut so that it shows no secret: after a word that announces one, or before a crypt hash.
/// `before` is the line before it.
fn sensitive(line: &str, before: Option<&str>) -> usize {
    let lower = line.to_ascii_lowercase();
    let word = SENSITIVE
        .iter()
        .filter_map(|mark| lower.find(mark).map(|at| at + mark.len()))
        .map(|end| {
            end + line[end..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(line.len() - end)
        })
        .min();
    // `$6$...`, `$y$...`, whatever key it stands at.
    let hash = line.match_indices('$').find_map(|(at, _)| {
        let rest = &line[at + 1..];
        let id = rest.find('$').filter(|id| (1..=3).contains(id))?;
        rest[..id].bytes().all(|b| b.is_ascii_alphanumeric()).then_some(at)
    });
    // A value on the line below its key is no TOML, but people write it.
    let orphan = before.is_some_and(|before| {
        let before = before.trim_end().to_ascii_lowercase();
        before.ends_with('=') && SENSITIVE.iter().any(|mark| before.contains(mark))
    });
    if orphan { 0 } else { word.unwrap_or(line.len()).min(hash.unwrap_or(line.len())) }
}

/// The nearest boundary of a character at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
