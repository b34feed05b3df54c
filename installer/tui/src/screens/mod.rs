//! The screens, one file each. A screen takes keys and says what it shows; where to go is decided in [`crate::update`].

use sovereign_model::inventory::Disk;
use sovereign_model::plan::{Plan, transport_name};

use crate::cmd::Cmd;
use crate::flow::Place;
use crate::keys::Press;
use crate::page::{Page, fit, right};
use crate::state::{Known, Message};
use crate::theme::{Theme, Tone};

pub(crate) mod admin;
pub(crate) mod capacity;
pub(crate) mod disks;
pub(crate) mod done;
pub(crate) mod encryption;
pub(crate) mod failure;
pub(crate) mod hardware;
mod menu;
pub(crate) mod network;
pub(crate) mod progress;
mod reader;
pub(crate) mod summary;
pub(crate) mod welcome;

pub(crate) use menu::Menu;

/// The screen that is shown, with what was typed there.
#[derive(Debug)]
pub(crate) enum Screen {
    Welcome(welcome::Welcome),
    Hardware(hardware::Hardware),
    Disks(disks::Disks),
    Capacity(Box<capacity::Capacity>),
    Encryption(encryption::Encryption),
    Network(network::Network),
    Admin(admin::Admin),
    Summary(Box<summary::Summary>),
    Progress(Box<progress::Progress>),
    Done(Box<done::Done>),
    Failure(Box<failure::Failure>),
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
    /// To this screen, and back after it.
    To(Place),
    /// This plan is being installed.
    Install(Box<Plan>),
    /// To the start of another attempt.
    Again,
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
    pub fn at(place: Place, known: &Known) -> Self {
        match place {
            Place::Welcome => Self::Welcome(welcome::Welcome::new()),
            Place::Hardware => Self::Hardware(hardware::Hardware::new()),
            Place::Disks => Self::Disks(disks::Disks::new(known)),
            Place::Capacity => Self::Capacity(Box::new(capacity::Capacity::new(known))),
            Place::Encryption => Self::Encryption(encryption::Encryption::new(known)),
            Place::Network => Self::Network(network::Network::new(known)),
            Place::Admin => Self::Admin(admin::Admin::new(known)),
            Place::Summary => Self::Summary(Box::new(summary::Summary::new(known))),
        }
    }

    /// Where it is among the screens before an installation; `None` for those of an installation.
    pub fn place(&self) -> Option<Place> {
        Some(match self {
            Self::Welcome(_) => Place::Welcome,
            Self::Hardware(_) => Place::Hardware,
            Self::Disks(_) => Place::Disks,
            Self::Capacity(_) => Place::Capacity,
            Self::Encryption(_) => Place::Encryption,
            Self::Network(_) => Place::Network,
            Self::Admin(_) => Place::Admin,
            Self::Summary(_) => Place::Summary,
            Self::Progress(_) | Self::Done(_) | Self::Failure(_) => return None,
        })
    }

    pub fn press(&mut self, press: Press, known: &mut Known, theme: Theme, room: Room) -> Outcome {
        match self {
            Self::Welcome(screen) => screen.press(press, known, theme, room),
            Self::Hardware(screen) => screen.press(press, known, theme, room),
            Self::Disks(screen) => screen.press(press, known),
            Self::Capacity(screen) => screen.press(press, known),
            Self::Encryption(screen) => screen.press(press, known),
            Self::Network(screen) => screen.press(press, known),
            Self::Admin(screen) => screen.press(press, known),
            Self::Summary(screen) => screen.press(press, known, theme, room),
            Self::Progress(screen) => screen.press(press, room),
            Self::Done(screen) => screen.press(press, known, theme, room),
            Self::Failure(screen) => screen.press(press, theme, room),
        }
    }

    /// Whether letters are text now.
    pub fn is_typing(&self) -> bool {
        match self {
            Self::Capacity(screen) => screen.is_typing(),
            Self::Encryption(screen) => screen.is_typing(),
            Self::Network(screen) => screen.is_typing(),
            Self::Admin(screen) => screen.is_typing(),
            Self::Summary(screen) => screen.is_typing(),
            _ => false,
        }
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        match self {
            Self::Welcome(screen) => screen.page(known, theme, room),
            Self::Hardware(screen) => screen.page(known, theme, room),
            Self::Disks(screen) => screen.page(known, theme, room),
            Self::Capacity(screen) => screen.page(known, theme, room),
            Self::Encryption(screen) => screen.page(theme, room),
            Self::Network(screen) => screen.page(known, theme, room),
            Self::Admin(screen) => screen.page(theme, room),
            Self::Summary(screen) => screen.page(known, theme, room),
            Self::Progress(screen) => screen.page(theme, room),
            Self::Done(screen) => screen.page(known, theme, room),
            Self::Failure(screen) => screen.page(theme, room),
        }
    }

    /// What the screen is about, in words.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Welcome(_) => welcome::HELP,
            Self::Hardware(_) => hardware::HELP,
            Self::Disks(_) => disks::HELP,
            Self::Capacity(_) => capacity::HELP,
            Self::Encryption(_) => encryption::HELP,
            Self::Network(_) => network::HELP,
            Self::Admin(_) => admin::HELP,
            Self::Summary(_) => summary::HELP,
            Self::Progress(_) => progress::HELP,
            Self::Done(_) => done::HELP,
            Self::Failure(_) => failure::HELP,
        }
    }
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
        fit(id, 18),
    );
    fit(&text, width).trim_end().to_owned()
}

/// What became of exporting the logs.
pub(crate) fn exported(result: &Result<String, String>) -> (Tone, String) {
    match result {
        Ok(place) => (Tone::Good, format!("The logs are exported: {place}")),
        Err(why) => (Tone::Bad, format!("! The logs are not exported: {why}")),
    }
}

/// What a disk says of itself, and what is out of the ordinary about it; `None` where there is nothing to say.
pub(crate) fn state_text(disk: &Disk) -> Option<(Tone, String)> {
    let class = (!disk.class.is_ordinary()).then(|| disk.class.to_string());
    let health = disk.health.as_ref().map(ToString::to_string);
    let failing = disk.health.as_ref().is_some_and(|health| health.passed == Some(false));
    let words: Vec<String> = [class, health].into_iter().flatten().collect();
    (!words.is_empty()).then(|| (if failing { Tone::Bad } else { Tone::Dim }, words.join("; ")))
}
