//! The screens at this process's terminal: one loop that takes what happens, draws, and has the rest done beside it. What the screens show and
//! where a key leads is decided in `sovereign-tui`; what their commands do, in [`work`].

mod consoles;
mod links;
mod terminal;
mod work;

pub use consoles::{ENDED, Screens};

use std::collections::BTreeMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event as Input};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{MANIFEST_PATH, Manifest};
use sovereign_model::plan::{Charset, PlanHash};
use sovereign_model::site::Draft;
use sovereign_system::input;
use sovereign_tui::{Cmd, Ended, Msg, SiteFile, Size, Start, State, Theme, update};

use crate::answers::AnswerMedium;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::render::Plain;
use crate::session::Voice;

use terminal::Screen;
use work::Worker;

/// Says that somebody has pressed a key: from then on no answer file takes the place of a person.
pub const ATTENDED: &str = "/run/sovereign/attended";
/// Most bytes of a site file.
const MAX_SITE: u64 = 4 << 20;
/// How often time goes by on the screens.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked whether the terminal is lent to another program.
const KEY_WAIT: Duration = Duration::from_millis(200);

/// What the screens are started with.
pub struct Setup {
    /// The mounted medium.
    pub medium: PathBuf,
    /// The site file, complete or not.
    pub site: Option<PathBuf>,
    /// Folder of the files that the site file names; `None`: they are on answer media.
    pub keys: Option<PathBuf>,
    /// Answer media.
    pub media: Vec<AnswerMedium>,
    /// ASCII without colours, whatever the terminal shows.
    pub ascii: bool,
    /// Hash of the plan that was approved elsewhere: this one is carried out, or none.
    pub approved: Option<PlanHash>,
    /// Name of the last step to run.
    pub stop_after: Option<String>,
}

/// Shows the screens until the machine is restarted or switched off, or somebody ends the process while nothing is being installed.
///
/// # Errors
/// There is no terminal, or it went away.
pub fn run(setup: Setup) -> Result<ExitCode, Failure> {
    let draft = setup.site.as_ref().map(|path| read_draft(path)).transpose()?;
    let term = std::env::var("TERM").unwrap_or_default();
    let manifest = manifest(&setup.medium);
    let size = size();
    let (mut state, todo) = State::start(Start {
        version: manifest.as_ref().map_or_else(|| env!("CARGO_PKG_VERSION").to_owned(), |m| m.version.clone()),
        edition: manifest
            .as_ref()
            .map_or_else(|| "the medium has no readable manifest".to_owned(), |m| m.edition_label.clone()),
        theme: theme(&term, setup.ascii),
        size,
        site: draft.zip(setup.site.as_ref()).map(|(draft, path)| SiteFile { name: path.display().to_string(), draft }),
        answer_medium: !setup.media.is_empty(),
    });
    let ended = Arc::new(AtomicBool::new(false));
    // A line that is closed and a Ctrl-Z sent from elsewhere end and stop nothing; the screens have the keys themselves.
    for ignored in [SIGHUP, SIGINT, SIGTSTP] {
        signal_hook::flag::register(ignored, Arc::new(AtomicBool::new(false))).or_fail(ExitCode::Internal)?;
    }
    signal_hook::flag::register(SIGTERM, Arc::clone(&ended)).or_fail(ExitCode::Internal)?;

    let (sender, messages) = channel();
    let lent = Arc::new(RwLock::new(()));
    read_keys(sender.clone(), Arc::clone(&lent));
    tick(sender.clone());
    // Its lines go into the log: the terminal is the screens'.
    let voice = Voice::new(Consoles::none());
    let mut worker = Worker::new(setup, voice, sender);
    let screen = Screen::open(&term, Size::of(size.columns, size.rows)).or_fail(ExitCode::Internal)?;
    let mut app = App { screen, lent, ended };
    let shown = panic::catch_unwind(AssertUnwindSafe(|| app.show(&mut state, todo, &mut worker, &messages)));
    drop(app);
    // A mistake on a screen, or a terminal that is gone, must not take an installation with it.
    outlive(&worker, &messages);
    match shown {
        Ok(shown) => shown.or_fail(ExitCode::Internal).map(|()| ExitCode::Done),
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// The loop with what it needs.
struct App {
    screen: Screen,
    /// Held for writing while another program has the terminal.
    lent: Arc<RwLock<()>>,
    ended: Arc<AtomicBool>,
}

impl App {
    /// Takes messages, has commands done and draws, until it is told to end while nothing is being installed.
    fn show(
        &mut self,
        state: &mut State,
        mut todo: Vec<Cmd>,
        worker: &mut Worker,
        messages: &Receiver<Msg>,
    ) -> io::Result<()> {
        self.screen.draw(state)?;
        let mut attended = false;
        loop {
            for cmd in todo.drain(..) {
                match cmd {
                    Cmd::Redraw => self.screen.clear()?,
                    Cmd::Shell => self.shell(worker)?,
                    cmd => worker.carry_out(cmd),
                }
            }
            // The sender of this thread lives as long as the loop: there is always a next message, if only a tick.
            let Ok(first) = messages.recv() else { return Ok(()) };
            // Whatever waits already is one frame: a slow line must not lag behind.
            for msg in std::iter::once(first).chain(messages.try_iter()) {
                if !attended && matches!(msg, Msg::Key(_)) {
                    attended = true;
                    // It matters to the search for answer files alone, which asks once more where this fails.
                    let _ = std::fs::write(ATTENDED, "");
                }
                worker.heed(&msg);
                todo.extend(update(state, msg));
            }
            if self.ended.load(Ordering::Acquire) && !worker.is_installing() {
                return Ok(());
            }
            self.screen.draw(state)?;
        }
    }

    /// A shell: under tmux beside the screens, which go on; else in their place.
    fn shell(&mut self, worker: &Worker) -> io::Result<()> {
        if std::env::var_os("TMUX").is_some() {
            worker.shell_beside();
            return Ok(());
        }
        let lent = self.lent.clone();
        let _keys = lent.write().unwrap_or_else(PoisonError::into_inner);
        let shell = self.screen.lend(work::shell)?;
        worker.tell_refused(shell);
        let Size { columns, rows } = size();
        worker.send(Msg::Resize { columns, rows });
        Ok(())
    }
}

/// Prints what an installation does that goes on without screens.
fn outlive(worker: &Worker, messages: &Receiver<Msg>) {
    if !worker.is_installing() {
        return;
    }
    let consoles = Consoles::stdout();
    let mut plain = Plain::new();
    consoles.print("the screens ended; the installation goes on");
    for msg in messages {
        match msg {
            Msg::Event(event) if plain.is_shown(&event) => consoles.print(&plain.log(&event)),
            Msg::Ended(Ended::Failed(failed)) => {
                return consoles.print(&format!("{}: {}", crate::render::FAILED, failed.error));
            }
            Msg::Ended(_) => return,
            _ => {}
        }
    }
}

/// A site file, as far as it is one.
///
/// # Errors
/// It cannot be read, or is no TOML: exit code 2.
pub fn read_draft(path: &Path) -> Result<Draft, Failure> {
    let bytes = input::read(path, MAX_SITE).or_fail(ExitCode::BadInput)?;
    let name = path.display().to_string();
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::new(ExitCode::BadInput, format!("{name} is not UTF-8 text")))?;
    Draft::read(&text, &name)
        .map_err(|errors| Failure::new(ExitCode::BadInput, format!("the site file is not valid\n{errors}")))
}

fn manifest(medium: &Path) -> Option<Manifest> {
    serde_json::from_str(&std::fs::read_to_string(medium.join(MANIFEST_PATH)).ok()?).ok()
}

fn size() -> Size {
    let (columns, rows) = crossterm::terminal::size().unwrap_or_default();
    Size { columns, rows }
}

/// What the screens may use. Under tmux every console shows the same, and where a serial line is among them nobody knows what is at its other
/// end; colours are no trouble, tmux gives them to those that have them.
fn theme(term: &str, ascii: bool) -> Theme {
    let is_shared = std::env::var_os("TMUX").is_some();
    let utf8 = std::fs::read_to_string("/sys/module/vt/parameters/default_utf8").is_ok_and(|v| v.trim() == "1");
    theme_of(term, ascii, is_shared && Consoles::has_serial_line(), utf8)
}

/// `utf8`: the kernel's console takes UTF-8, and has the glyphs of its built-in font.
fn theme_of(term: &str, ascii: bool, serial_line: bool, utf8: bool) -> Theme {
    if ascii {
        return Theme::PLAIN;
    }
    let theme = Theme::of_terminal(term, utf8);
    if serial_line { Theme { charset: Charset::Ascii, ..theme } } else { theme }
}

/// Sends keys and sizes. While the terminal is lent the keys are another program's.
fn read_keys(sender: Sender<Msg>, lent: Arc<RwLock<()>>) {
    thread::spawn(move || {
        loop {
            let ours = lent.read().unwrap_or_else(PoisonError::into_inner);
            let input = match event::poll(KEY_WAIT) {
                Ok(true) => event::read(),
                Ok(false) => continue,
                Err(error) => Err(error),
            };
            drop(ours);
            let sent = match input {
                Ok(Input::Key(key)) => sender.send(Msg::Key(key)),
                Ok(Input::Resize(columns, rows)) => sender.send(Msg::Resize { columns, rows }),
                Ok(_) => Ok(()),
                // The terminal is gone; drawing notices too.
                Err(_) => return,
            };
            if sent.is_err() {
                return;
            }
        }
    });
}

fn tick(sender: Sender<Msg>) {
    let start = Instant::now();
    thread::spawn(move || {
        while sender.send(Msg::Tick { now: start.elapsed() }).is_ok() {
            thread::sleep(TICK);
        }
    });
}

/// The files that a site takes secrets from, by name.
type KeyFiles = BTreeMap<String, PathBuf>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_line_among_the_consoles_makes_the_screens_ascii_for_all() {
        let shared = theme_of("tmux", false, true, true);
        assert_eq!((shared.charset, shared.colour), (Charset::Ascii, true));
        assert_eq!(theme_of("tmux", false, false, true), Theme::FULL);
        assert_eq!(theme_of("xterm", true, false, true), Theme::PLAIN);
        assert_eq!(theme_of("vt102", false, false, true), Theme::PLAIN);
        assert_eq!(theme_of("linux", false, false, false).charset, Charset::Ascii);
    }

    #[test]
    fn a_site_file_may_be_incomplete_but_not_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.toml");
        std::fs::write(&path, "[site]\nname = \"berlin-1\"\n").unwrap();
        assert_eq!(read_draft(&path).unwrap().text("site.name"), Some("berlin-1"));
        for wrong in [&b"[site\n"[..], b"\xff\xfe"] {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(read_draft(&path).unwrap_err().code, ExitCode::BadInput);
        }
    }
}
