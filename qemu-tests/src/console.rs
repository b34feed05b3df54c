//! The serial console: recorded, shown on a VT100 screen, and waited on.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regex::Regex;
use thiserror::Error;

use crate::failure::OrFail;
use crate::line::{Cable, Line};
use crate::plain::Plain;
use crate::words::KERNEL_PANIC;

/// Rows of the screen; the smallest console the product supports is 80x24.
const ROWS: u16 = 24;
/// Columns of the screen.
const COLUMNS: u16 = 80;
/// Ctrl-L: paint the terminal anew.
const REPAINT: &str = "\x0c";
/// How long a repaint may take at 9600 bit/s before another one is asked for.
const REPAINT_AFTER: Duration = Duration::from_secs(15);
/// Lines of the plain text that a failed wait prints.
const TAIL_LINES: usize = 40;

/// What is waited for on a console.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// A literal text.
    Text(String),
    /// A regular expression; `^` and `$` match at lines.
    Regex(Regex),
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", text.escape_debug()),
            Self::Regex(regex) => write!(f, "/{regex}/"),
        }
    }
}

impl Pattern {
    /// Whether it is found in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// Start and end of the first match in `text`.
    fn find(&self, text: &str) -> Option<(usize, usize)> {
        match self {
            Self::Text(wanted) => text.find(wanted.as_str()).map(|start| (start, start + wanted.len())),
            Self::Regex(regex) => regex.find(text).map(|found| (found.start(), found.end())),
        }
    }
}

/// A regular expression as a pattern, with `^` and `$` at lines.
#[track_caller]
pub fn re(expression: &str) -> Pattern {
    match Regex::new(&format!("(?m){expression}")) {
        Ok(regex) => Pattern::Regex(regex),
        Err(error) => panic!("not a regular expression: {error}"),
    }
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// It did not come in time.
    #[error("{label}: no {wanted} within {timeout:?}\n{shown}")]
    Timeout {
        /// Which machine.
        label: String,
        /// The patterns.
        wanted: String,
        /// How long was waited.
        timeout: Duration,
        /// Last screen and last lines.
        shown: String,
    },
    /// The machine went off first.
    #[error("{label}: the machine went off before {wanted} came\n{shown}")]
    Closed {
        /// Which machine.
        label: String,
        /// The patterns.
        wanted: String,
        /// Last screen and last lines.
        shown: String,
    },
    /// Something came after which it cannot come any more.
    #[error("{label}: {fatal} came instead of {wanted}\n{shown}")]
    Fatal {
        /// Which machine.
        label: String,
        /// What came.
        fatal: String,
        /// The patterns.
        wanted: String,
        /// Last screen and last lines.
        shown: String,
    },
    /// The socket failed.
    #[error("{label}: cannot use the serial console")]
    Io {
        /// Which machine.
        label: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// A match on the console.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which of the patterns it was, from 0.
    pub which: usize,
    /// The matching text.
    pub text: String,
    /// The plain text between the last match and this one.
    pub before: String,
}

struct State {
    parser: vt100::Parser,
    filter: Plain,
    plain: String,
    /// Where the next wait starts to look.
    cursor: usize,
    closed: bool,
    fatal: Vec<Pattern>,
}

/// One serial line of one run of a machine.
pub struct Console {
    label: String,
    stream: UnixStream,
    state: Arc<(Mutex<State>, Condvar)>,
    cable: Option<Cable>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Console {
    /// Connects to QEMU's socket, by a line of this quality where one is given; everything received is also written to `<log>.serial.log` as it came, and to
    /// `<log>.lines.log` as plain lines with seconds since now.
    pub fn connect(label: &str, socket: &Path, log: &Path, line: Option<Line>) -> Result<Self, ConsoleError> {
        let io = |source| ConsoleError::Io { label: label.to_owned(), source };
        let (stream, cable) = match line {
            None => (UnixStream::connect(socket).map_err(io)?, None),
            Some(line) => Cable::lay(socket, line).map(|(stream, cable)| (stream, Some(cable))).map_err(io)?,
        };
        Self::over(label, stream, cable, log)
    }

    /// Takes the stream of a line, or of something else that a terminal sits at, in the same way.
    pub fn over(label: &str, stream: UnixStream, cable: Option<Cable>, log: &Path) -> Result<Self, ConsoleError> {
        let io = |source| ConsoleError::Io { label: label.to_owned(), source };
        let reader = stream.try_clone().map_err(io)?;
        let raw = File::create(log.with_extension("serial.log")).map_err(io)?;
        let lines = File::create(log.with_extension("lines.log")).map_err(io)?;
        let state = State {
            parser: vt100::Parser::new(ROWS, COLUMNS, 0),
            filter: Plain::default(),
            plain: String::new(),
            cursor: 0,
            closed: false,
            fatal: vec![KERNEL_PANIC.into()],
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let sink = Arc::clone(&state);
        std::thread::spawn(move || receive(reader, raw, lines, &sink));
        Ok(Self { label: label.to_owned(), stream, state, cable })
    }

    /// From now on, `pattern` ends every wait that does not look for it.
    pub fn fatal(&self, pattern: impl Into<Pattern>) {
        self.state().fatal.push(pattern.into());
    }

    /// Waits for `pattern` in what came since the last match.
    #[track_caller]
    pub fn wait_for(&self, pattern: impl Into<Pattern>, timeout: Duration) -> Found {
        self.try_wait_any(&[pattern.into()], timeout).or_fail()
    }

    /// Waits for the first of several patterns.
    #[track_caller]
    pub fn wait_any(&self, patterns: &[Pattern], timeout: Duration) -> Found {
        self.try_wait_any(patterns, timeout).or_fail()
    }

    /// Waits for the first of several patterns.
    pub fn try_wait_any(&self, patterns: &[Pattern], timeout: Duration) -> Result<Found, ConsoleError> {
        let wanted = || patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            let new = &state.plain[state.cursor..];
            let found =
                patterns.iter().enumerate().filter_map(|(n, pattern)| pattern.find(new).map(|at| (at, n))).min();
            if let Some(((start, end), which)) = found {
                let found = Found { which, text: new[start..end].to_owned(), before: new[..start].to_owned() };
                state.cursor += end;
                return Ok(found);
            }
            let (label, shown) = (self.label.clone(), || shown(&state));
            if let Some(fatal) = state.fatal.iter().find(|fatal| fatal.find(new).is_some()) {
                return Err(ConsoleError::Fatal { label, fatal: fatal.to_string(), wanted: wanted(), shown: shown() });
            }
            if state.closed {
                return Err(ConsoleError::Closed { label, wanted: wanted(), shown: shown() });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ConsoleError::Timeout { label, wanted: wanted(), timeout, shown: shown() });
            }
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the screen shows `pattern`: for menus, which draw by cursor movement.
    #[track_caller]
    pub fn wait_for_screen(&self, pattern: impl Into<Pattern>, timeout: Duration) -> String {
        let pattern = pattern.into();
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            let screen = state.parser.screen().contents();
            if pattern.find(&screen).is_some() {
                return screen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !state.closed,
                "{}: the screen did not show {pattern} within {timeout:?}\n{}",
                self.label,
                shown(&state)
            );
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the machine closes the line (it went off); what had not been matched counts as matched.
    pub fn wait_closed(&self, timeout: Duration) -> Result<(), ConsoleError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        while !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            let found = state.fatal.iter().find(|fatal| fatal.find(&state.plain[state.cursor..]).is_some());
            let (label, wanted) = (self.label.clone(), "the end of the run".to_owned());
            if let Some(fatal) = found {
                return Err(ConsoleError::Fatal { label, fatal: fatal.to_string(), wanted, shown: shown(&state) });
            }
            if left.is_zero() {
                return Err(ConsoleError::Timeout { label, wanted, timeout, shown: shown(&state) });
            }
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Waits until the screen shows `pattern`, and has it painted anew from time to time: on a bad line something is missing at first.
    #[track_caller]
    pub fn wait_for_repainted(&self, pattern: impl Into<Pattern>, timeout: Duration) -> String {
        let pattern = pattern.into();
        let deadline = Instant::now() + timeout;
        loop {
            let step = deadline.saturating_duration_since(Instant::now()).min(REPAINT_AFTER);
            if let Some(screen) = self.shows(&pattern, step) {
                return screen;
            }
            assert!(
                Instant::now() < deadline,
                "{}: the screen did not show {pattern} within {timeout:?}\n{}",
                self.label,
                self.shown()
            );
            self.send(REPAINT);
        }
    }

    /// Whether the screen shows `pattern` within this time, and then what it shows.
    pub fn shows(&self, pattern: &Pattern, timeout: Duration) -> Option<String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            let screen = state.parser.screen().contents();
            if pattern.is_in(&screen) {
                return Some(screen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return None;
            }
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the screen shows something else than `before` within this time.
    pub fn changes_from(&self, before: &str, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        while state.parser.screen().contents() == before {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                return false;
            }
            state = self.state.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The terminal at this end has another size from now on.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.state().parser.screen_mut().set_size(rows, columns);
    }

    /// The line to the machine, where the test has one of its own.
    #[track_caller]
    pub fn cable(&self) -> &Cable {
        self.cable
            .as_ref()
            .unwrap_or_else(|| panic!("{}: the console is connected without a line of its own", self.label))
    }

    /// The whole plain text so far.
    pub fn text(&self) -> String {
        self.state().plain.clone()
    }

    /// The screen as 24 lines of text.
    pub fn screen(&self) -> String {
        self.state().parser.screen().contents()
    }

    /// Last screen and last lines, for a failure's report.
    pub fn shown(&self) -> String {
        shown(&self.state())
    }

    /// Sends these characters.
    #[track_caller]
    pub fn send(&self, text: &str) {
        self.try_send(text).or_fail();
    }

    /// Sends a line.
    #[track_caller]
    pub fn send_line(&self, text: &str) {
        self.send(&format!("{text}\r"));
    }

    /// Sends a line with a pause after each character, as a person does: prompts drawn by early boot code lose fast input.
    #[track_caller]
    pub fn type_slowly(&self, text: &str) {
        for character in text.chars().chain(['\r']) {
            self.send(character.encode_utf8(&mut [0; 4]));
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub(crate) fn try_send(&self, text: &str) -> Result<(), ConsoleError> {
        (&self.stream)
            .write_all(text.as_bytes())
            .map_err(|source| ConsoleError::Io { label: self.label.clone(), source })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(state: &State) -> String {
    let lines: Vec<&str> = state.plain.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!(
        "----- last screen -----\n{}\n----- last {} lines -----\n{}\n-----",
        state.parser.screen().contents().trim_end(),
        tail.len(),
        tail.join("\n")
    )
}

/// Records and shows what the machine sends until the socket closes.
fn receive(mut stream: UnixStream, mut raw: File, mut lines: File, state: &(Mutex<State>, Condvar)) {
    let started = Instant::now();
    let mut buffer = [0; 4096];
    let mut logged = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let bytes = &buffer[..count];
        // A log that cannot be written must not end the run; what matters is kept in memory.
        let _ = raw.write_all(bytes);
        let mut now = state.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = &mut *now;
        now.parser.process(bytes);
        now.filter.feed(bytes, &mut now.plain);
        while let Some(end) = now.plain[logged..].find('\n') {
            let _ = writeln!(lines, "[{:7.1}] {}", started.elapsed().as_secs_f64(), &now.plain[logged..logged + end]);
            logged += end + 1;
        }
        state.1.notify_all();
    }
    let mut now = state.0.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = writeln!(lines, "[{:7.1}] {}", started.elapsed().as_secs_f64(), &now.plain[logged..]);
    now.closed = true;
    state.1.notify_all();
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A console whose other end is in the test's hand.
    fn pair() -> (Console, UnixStream, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let console = Console::connect("test", &socket, &folder.path().join("run"), None).unwrap();
        (console, listener.accept().unwrap().0, folder)
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_wait_starts_after_the_last_match_and_misses_nothing_before_it() {
        let (console, mut guest, _folder) = pair();
        guest.write_all(b"one two\r\none three\r\n").unwrap();
        console.wait_for("one", SOON);
        let found = console.wait_for(re("^one (three|four)$"), SOON);
        assert_eq!((found.text.as_str(), found.before.as_str()), ("one three", " two\n"));
    }

    #[test]
    fn a_timeout_prints_the_last_lines() {
        let (console, mut guest, _folder) = pair();
        guest.write_all(b"the prompt").unwrap();
        console.wait_for("the", SOON);
        let error = console.try_wait_any(&["other".into()], Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("no \"other\" within 50ms") && error.contains("the prompt"), "{error}");
    }

    #[test]
    fn a_panic_and_the_end_of_the_line_end_a_wait_at_once() {
        let (console, mut guest, _folder) = pair();
        guest.write_all(b"Kernel panic - not syncing: x").unwrap();
        let error = console.try_wait_any(&["login".into()], SOON).unwrap_err();
        assert!(matches!(error, ConsoleError::Fatal { .. }), "{error}");
        let (console, guest, _folder) = pair();
        drop(guest);
        let error = console.try_wait_any(&["login".into()], SOON).unwrap_err();
        assert!(matches!(error, ConsoleError::Closed { .. }), "{error}");
    }

    #[test]
    fn logs_hold_raw_bytes_and_timed_lines() {
        let (console, mut guest, folder) = pair();
        guest.write_all(b"\x1b[1mbold\x1b[0m\r\nrest").unwrap();
        drop(guest);
        console.wait_closed(SOON).unwrap();
        assert_eq!(std::fs::read(folder.path().join("run.serial.log")).unwrap(), b"\x1b[1mbold\x1b[0m\r\nrest");
        let lines = std::fs::read_to_string(folder.path().join("run.lines.log")).unwrap();
        assert_eq!(lines, "[    0.0] bold\n[    0.0] rest\n");
    }

    #[test]
    fn a_menu_is_found_on_the_screen() {
        let (console, mut guest, _folder) = pair();
        guest.write_all(b"\x1b[2J\x1b[3;5HInst\x1b[3;9Hall").unwrap();
        assert!(console.wait_for_screen("Install", SOON).contains("    Install"));
    }
}
