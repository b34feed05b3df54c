//! What the screens know: which one is shown with what was typed there, and what is known of machine, medium and site.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use sovereign_model::Passphrase;
use sovereign_model::inventory::Inventory;
use sovereign_model::site::{Draft, Fault, Problem};
use zeroize::Zeroizing;

use crate::cmd::Cmd;
use crate::flow::Place;
use crate::msg::Medium;
use crate::proposal;
use crate::screens::Screen;
use crate::theme::Theme;

/// Fewest columns the screens work in.
pub const MIN_COLUMNS: u16 = 80;
/// Fewest rows the screens work in.
pub const MIN_ROWS: u16 = 24;

/// Size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// The size that is drawn on a terminal which says it has this one: serial lines say 0x0, and are 80x24.
    pub const fn of(columns: u16, rows: u16) -> Self {
        if columns == 0 || rows == 0 { Self { columns: MIN_COLUMNS, rows: MIN_ROWS } } else { Self { columns, rows } }
    }

    /// Whether the screens fit.
    pub const fn is_enough(self) -> bool {
        self.columns >= MIN_COLUMNS && self.rows >= MIN_ROWS
    }
}

/// What the screens are started with.
#[derive(Debug)]
pub struct Start {
    /// Product version, of the medium's manifest.
    pub version: String,
    /// What the edition calls itself: `rehearsal, no Proxmox VE`.
    pub edition: String,
    /// What the terminal can show.
    pub theme: Theme,
    /// Its size as it says itself.
    pub size: Size,
    /// The site file that was found, complete or not.
    pub site: Option<SiteFile>,
    /// Whether there is an answer medium that can be written.
    pub answer_medium: bool,
}

/// A site file.
#[derive(Debug)]
pub struct SiteFile {
    /// Where it is, for people.
    pub name: String,
    /// What it says.
    pub draft: Draft,
}

/// The state of the screens.
#[derive(Debug)]
pub struct State {
    pub(crate) size: Size,
    pub(crate) theme: Theme,
    /// Since the screens were started.
    pub(crate) now: Duration,
    pub(crate) known: Known,
    pub(crate) screen: Screen,
    /// The screens that led to this one.
    pub(crate) trail: Vec<Place>,
    pub(crate) overlay: Option<Overlay>,
    /// A remark above the keys, until the next key.
    pub(crate) message: Option<Message>,
}

/// A remark on what a key or a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Good(String),
    Bad(String),
}

/// What lies over the screen.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Overlay {
    /// Help for the screen, from this line on.
    Help(usize),
    /// Somebody pressed Ctrl-C before an installation: what is to be done?
    Leave(usize),
    /// ... during an installation that can still be cancelled.
    Cancel(usize),
}

/// What is known.
pub(crate) struct Known {
    pub version: String,
    pub edition: String,
    pub answer_medium: bool,
    /// Where the site file is, if there was one.
    pub site_file: Option<String>,
    /// What of the site file was left out, and why.
    pub left_out: Vec<String>,
    pub medium: Medium,
    /// Whether an installation of before changed disks.
    pub touched: bool,
    /// `None` while the machine is looked at.
    pub inventory: Option<Result<Box<Inventory>, String>>,
    pub draft: Draft,
    /// The draft whose problems were looked for last, and what was found.
    judged: RefCell<Option<(Draft, Vec<Problem>)>>,
    /// The screens a person has answered.
    pub answered: BTreeSet<Place>,
    pub passphrase: Option<Passphrase>,
    /// Text of the recovery key.
    pub recovery: Option<Zeroizing<String>>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("site_file", &self.site_file)
            .field("medium", &self.medium)
            .field("draft", &self.draft)
            .field("answered", &self.answered)
            .field("passphrase", &self.passphrase)
            .field("recovery", &self.recovery.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

impl Known {
    fn new(start: Start) -> Self {
        let (site_file, mut draft) = match start.site {
            Some(SiteFile { name, draft }) => (Some(name), draft),
            None => (None, proposal::site()),
        };
        // What no screen asks for cannot be put right here: it is left out, and said.
        let mut left_out = Vec::new();
        let hopeless = |problem: &Problem| {
            problem.about.fault == Fault::Unknown
                || Place::asking(&problem.about.path).is_none() && problem.about.fault == Fault::Wrong
        };
        for problem in draft.problems().iter().filter(|problem| hopeless(problem)) {
            draft.remove(&problem.about.path);
            left_out.push(format!("{}: {}", problem.message, problem.hint));
        }
        Self {
            version: start.version,
            edition: start.edition,
            answer_medium: start.answer_medium,
            site_file,
            left_out,
            medium: Medium::UNREAD,
            touched: false,
            inventory: None,
            draft,
            judged: RefCell::new(None),
            answered: BTreeSet::new(),
            passphrase: None,
            recovery: None,
        }
    }

    /// The machine, once it was seen.
    pub fn machine(&self) -> Option<&Inventory> {
        self.inventory.as_ref()?.as_ref().ok().map(AsRef::as_ref)
    }

    /// What keeps the draft from being a site. Several screens ask for it at each key, and it rarely changes.
    pub fn problems(&self) -> Vec<Problem> {
        let mut judged = self.judged.borrow_mut();
        match judged.as_ref() {
            Some((draft, problems)) if *draft == self.draft => problems.clone(),
            _ => {
                let problems = self.draft.problems();
                *judged = Some((self.draft.clone(), problems.clone()));
                problems
            }
        }
    }

    /// Whether the passphrase is to be typed, and was not yet.
    pub fn wants_passphrase(&self) -> bool {
        self.draft.text("encryption.passphrase") == Some("prompt") && self.passphrase.is_none()
    }
}

impl State {
    /// The first screen, and what is to be done for it.
    pub fn start(start: Start) -> (Self, Vec<Cmd>) {
        let (size, theme) = (Size::of(start.size.columns, start.size.rows), start.theme);
        let known = Known::new(start);
        let screen = Screen::at(Place::Welcome, &known);
        let state =
            Self { size, theme, now: Duration::ZERO, known, screen, trail: Vec::new(), overlay: None, message: None };
        (state, vec![Cmd::Probe, Cmd::VerifyMedium])
    }

    /// Size of the terminal that is drawn.
    pub fn size(&self) -> Size {
        self.size
    }
}
