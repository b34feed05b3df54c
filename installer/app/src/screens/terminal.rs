//! The terminal that the screens are drawn on: raw while they are shown, and as it was before however they end.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::panic;
use std::sync::Once;
use std::thread::{self, ThreadId};

use crossterm::cursor::Show;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};
use sovereign_tui::{Size, State, view};

/// A frame leaves in one piece: 80x24 with every cell changed are some 4 KiB.
const FRAME: usize = 16 * 1024;

/// The screens' terminal; as it was before when dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    size: Size,
    /// Whether the terminal has a second screen to draw on, so that what was on it comes back.
    alternate: bool,
}

impl Screen {
    /// Takes the terminal. `term` is the value of `TERM`.
    ///
    /// # Errors
    /// Standard output is no terminal that can be made raw.
    pub fn open(term: &str, size: Size) -> io::Result<Self> {
        // A VT100 has one screen, and shows what it does not understand.
        let alternate = !term.starts_with("vt") && term != "dumb";
        restore_on_panic(alternate);
        enable_raw_mode()?;
        if alternate {
            execute!(stdout(), EnterAlternateScreen)?;
        }
        Ok(Self { terminal: terminal(size)?, size, alternate })
    }

    /// Draws the state; where nothing changed nothing is sent.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, state: &State) -> io::Result<()> {
        if self.size != state.size() {
            self.size = state.size();
            self.terminal = terminal(self.size)?;
            self.terminal.clear()?;
        }
        self.terminal.draw(|frame| view(state, frame)).map(drop)
    }

    /// Draws everything anew with the next frame.
    ///
    /// # Errors
    /// As [`Screen::draw`].
    pub fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Gives the terminal to `program` until that ends.
    ///
    /// # Errors
    /// As [`Screen::draw`], or the program's.
    pub fn lend(&mut self, program: impl FnOnce() -> Result<(), String>) -> io::Result<Result<(), String>> {
        restore(self.alternate)?;
        let ended = program();
        enable_raw_mode()?;
        if self.alternate {
            execute!(stdout(), EnterAlternateScreen)?;
        }
        self.terminal.clear()?;
        Ok(ended)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = restore(self.alternate);
    }
}

/// A terminal that draws the size it is told: serial lines say 0x0.
fn terminal(size: Size) -> io::Result<Terminal<CrosstermBackend<BufWriter<Stdout>>>> {
    let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME, stdout()));
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.columns, size.rows));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn restore(alternate: bool) -> io::Result<()> {
    let mut out = stdout();
    if alternate {
        queue!(out, LeaveAlternateScreen)?;
    }
    queue!(out, Show)?;
    out.flush()?;
    disable_raw_mode()
}

/// A panic of the thread that draws is written to a terminal that can be read. Those of other threads are the engine's to handle
/// (docs/adr/0010), and the screens stay.
fn restore_on_panic(alternate: bool) {
    static ONCE: Once = Once::new();
    let drawing: ThreadId = thread::current().id();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() == drawing {
                let _ = restore(alternate);
                before(info);
            }
        }));
    });
}
