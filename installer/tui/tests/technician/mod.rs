//! A technician at the screen, for tests: keys go through the real update, and what is seen is the real view on a terminal in memory.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod run;
pub mod svg;

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use sovereign_model::inventory::Inventory;
use sovereign_model::site::Draft;
use sovereign_tui::{Cmd, Medium, Msg, SiteFile, Size, Start, State, Theme, update, view};

/// The reference machine.
pub const REFERENCE: &str = include_str!("../../../model/tests/plans/reference/inventory.json");
/// Its site file.
pub const REFERENCE_SITE: &str = include_str!("../../../model/tests/plans/reference/site.toml");

/// A public key.
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqXgRLKG73K+sIxs5oj3E2nhu/4FHxOcrmAd4Wv7ki7 technician@example.org";

/// Somebody at a terminal.
pub struct Technician {
    pub state: State,
    /// What the screens have asked for so far.
    pub cmds: Vec<Cmd>,
    theme: Theme,
    now: Duration,
    /// How far a recorded installation was played.
    played: Duration,
}

impl Technician {
    pub fn at(columns: u16, rows: u16, theme: Theme, site: Option<&str>) -> Self {
        let site = site.map(|text| SiteFile {
            name: "site.toml on SOVEREIGN".to_owned(),
            draft: Draft::read(text, "site.toml").unwrap(),
        });
        let start = Start {
            version: "0.1.0".to_owned(),
            edition: "rehearsal, no Proxmox VE".to_owned(),
            theme,
            size: Size { columns, rows },
            site,
            answer_medium: true,
        };
        let (state, cmds) = State::start(start);
        Self { state, cmds, theme, now: Duration::ZERO, played: Duration::ZERO }
    }

    /// On a small terminal in ASCII, as a serial line is, at the reference machine.
    pub fn on_serial(site: Option<&str>) -> Self {
        Self::at(80, 24, Theme::PLAIN, site).sees(REFERENCE)
    }

    /// The probe is done, and the medium verified.
    pub fn sees(mut self, inventory: &str) -> Self {
        self.hears(Msg::Inventory(Ok(Box::new(self::inventory(inventory)))));
        self.hears(Msg::Medium(Medium::Verified));
        self
    }

    pub fn hears(&mut self, msg: Msg) -> &mut Self {
        let cmds = update(&mut self.state, msg);
        self.cmds.extend(cmds);
        self
    }

    /// So many seconds pass.
    pub fn waits(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            let now = self.now;
            self.hears(Msg::Tick { now });
        }
        self
    }

    /// Presses keys: letters as they are, others in angle brackets, such as `<tab>`, `<enter>`, `<c-g>` and `<lt>` for `<`.
    pub fn types(&mut self, keys: &str) -> &mut Self {
        for key in read(keys) {
            self.hears(Msg::Key(key));
        }
        self
    }

    /// What is on the screen.
    pub fn draw(&self) -> Buffer {
        let size = self.state.size();
        let mut terminal = Terminal::new(TestBackend::new(size.columns, size.rows)).unwrap();
        terminal.draw(|frame| view(&self.state, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// The screen as text.
    pub fn screen(&self) -> String {
        let buffer = self.draw();
        let columns = usize::from(buffer.area.width);
        let mut text = String::new();
        for row in buffer.content.chunks(columns) {
            let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// What the terminal is, for names of snapshots: `80x24-ascii`.
    pub fn terminal(&self) -> String {
        let size = self.state.size();
        let kind = if self.theme == Theme::FULL { "colour" } else { "ascii" };
        format!("{}x{}-{kind}", size.columns, size.rows)
    }

    /// The screen as this terminal shows it: with its colours, if it has any.
    pub fn picture(&self) -> String {
        if self.theme.colour { self.coloured_screen() } else { self.screen() }
    }

    /// The screen as text, and below it each run of characters that has a colour or attribute.
    pub fn coloured_screen(&self) -> String {
        let buffer = self.draw();
        let columns = usize::from(buffer.area.width);
        let mut text = self.screen();
        text.push_str("----\n");
        for (y, row) in buffer.content.chunks(columns).enumerate() {
            for run in row.chunk_by(|a, b| a.style() == b.style()) {
                let style = run[0].style();
                let content: String = run.iter().map(ratatui::buffer::Cell::symbol).collect();
                let mut words = Vec::new();
                for (name, colour) in [("", style.fg), ("on ", style.bg)] {
                    words.extend(colour.filter(|c| *c != ratatui::style::Color::Reset).map(|c| format!("{name}{c}")));
                }
                if !style.add_modifier.is_empty() {
                    words.push(format!("{:?}", style.add_modifier).to_lowercase());
                }
                if !words.is_empty() && !content.trim().is_empty() {
                    writeln!(text, "{y:>2} {:<20} {}", words.join(" "), content.trim()).unwrap();
                }
            }
        }
        text
    }
}

fn read(keys: &str) -> Vec<KeyEvent> {
    let mut all = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (key, after) = match named {
            Some((name, after)) => (named_key(name), after),
            None => (KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), &rest[c.len_utf8()..]),
        };
        all.push(key);
        rest = after;
    }
    all
}

fn named_key(name: &str) -> KeyEvent {
    let code = match name {
        "tab" => KeyCode::Tab,
        "s-tab" => KeyCode::BackTab,
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "bs" => KeyCode::Backspace,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "end" => KeyCode::End,
        "home" => KeyCode::Home,
        "pagedown" => KeyCode::PageDown,
        "space" => KeyCode::Char(' '),
        "lt" => KeyCode::Char('<'),
        name => {
            let letter = name.strip_prefix("c-").and_then(|rest| rest.chars().next());
            return KeyEvent::new(KeyCode::Char(letter.expect("a key's name")), KeyModifiers::CONTROL);
        }
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

/// An inventory; the reference machine's is read once.
pub fn inventory(text: &str) -> Inventory {
    static READ: LazyLock<Inventory> = LazyLock::new(|| serde_json::from_str(REFERENCE).unwrap());
    if text == REFERENCE { READ.clone() } else { serde_json::from_str(text).unwrap() }
}
