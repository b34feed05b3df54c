//! The screens, one file each. A screen takes keys and says what it shows; where to go is decided in [`crate::update`].

use sovereign_model::inventory::Disk;
use sovereign_model::plan::transport_name;

use crate::cmd::Cmd;
use crate::flow::Place;
use crate::form::{Act, Form};
use crate::keys::Press;
use crate::page::{Page, fit, right};
use crate::state::{Known, Message};
use crate::theme::Theme;

pub(crate) mod hardware;
pub(crate) mod welcome;

/// The screen that is shown, with what was typed there.
#[derive(Debug)]
pub(crate) enum Screen {
    Welcome(welcome::Welcome),
    Hardware(hardware::Hardware),
}

/// Where to go after a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// Nowhere.
    Stay,
    /// To the next screen that has something to ask.
    Next,
    /// To the screen before.
    Back,
}

/// What a key on a screen led to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub go: Go,
    pub cmds: Vec<Cmd>,
    pub message: Option<Message>,
}

impl Outcome {
    pub fn go(go: Go) -> Self {
        Self { go, cmds: Vec::new(), message: None }
    }

    pub fn cmd(cmd: Cmd) -> Self {
        Self { go: Go::Stay, cmds: vec![cmd], message: None }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self { go: Go::Stay, cmds: Vec::new(), message: Some(Message::Bad(text.into())) }
    }
}

/// Room of a screen within its frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub width: usize,
    pub rows: usize,
}

impl Screen {
    /// The screen at a place, as it is when one comes to it.
    pub fn at(place: Place, _: &Known) -> Self {
        match place {
            Place::Welcome => Self::Welcome(welcome::Welcome::new()),
            _ => Self::Hardware(hardware::Hardware::new()),
        }
    }

    /// Where it is among the screens before an installation; `None` for those of an installation.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Welcome(_) => Some(Place::Welcome),
            Self::Hardware(_) => Some(Place::Hardware),
        }
    }

    pub fn press(&mut self, press: Press, known: &mut Known, room: Room) -> Outcome {
        match self {
            Self::Welcome(screen) => screen.press(press),
            Self::Hardware(screen) => screen.press(press, known, room),
        }
    }

    /// Whether letters are text now.
    pub fn is_typing(&self) -> bool {
        match self {
            Self::Welcome(_) | Self::Hardware(_) => false,
        }
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        match self {
            Self::Welcome(screen) => screen.page(known, theme, room),
            Self::Hardware(screen) => screen.page(known, theme, room),
        }
    }

    /// What the screen is about, in words.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Welcome(_) => welcome::HELP,
            Self::Hardware(_) => hardware::HELP,
        }
    }
}

/// What a form's key means where the form has nothing but the buttons below it.
pub(crate) fn leave<I: Copy + PartialEq>(form: &mut Form<I>, press: Press) -> Outcome {
    Outcome::go(match form.press(press) {
        Act::Next => Go::Next,
        Act::Back => Go::Back,
        _ => Go::Stay,
    })
}

/// A disk in one line of `width` columns: `sda      6.00 TB  sata  hdd  ZAD0AAA1          ST6000NM0115-1YZ110`.
pub(crate) fn disk_text(disk: &Disk, width: usize) -> String {
    let id = disk.serial.as_ref().or(disk.wwn.as_ref()).map_or("no serial", String::as_str);
    let model = if disk.model.is_empty() { "unknown model" } else { &disk.model };
    let text = format!(
        "{} {} {} {} {} {model}",
        fit(&disk.kernel_name, 9),
        right(&disk.size.to_string(), 7),
        fit(transport_name(disk.transport), 7),
        if disk.rotational { "spins" } else { "flash" },
        fit(id, 20),
    );
    fit(&text, width).trim_end().to_owned()
}
