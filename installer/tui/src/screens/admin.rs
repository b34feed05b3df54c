//! Site and administrator: what the machine is called, where its mail goes, and who may log in.

use crate::cmd::Cmd;
use crate::flow::Place;
use crate::form::{Act, Form, Row};
use crate::keys::Press;
use crate::page::Page;
use crate::screens::{Go, Outcome, Room};
use crate::state::{Known, Message};
use crate::theme::Theme;

pub(crate) const HELP: &str = "\
The full name of the host is the name with its domain that others reach it by: host.example.org. Its first part becomes the name of the node, and cannot be changed easily \
later.

The mail address gets what the machine has to say: a disk that failed, updates that wait.

An SSH key is the one line of a .pub file. Nobody types one: put the file onto a USB stick and let the installer look for it, or paste the line over a serial line or \
SSH. Without a key nobody can log in over the network; the machine itself is then reached at its console only if root has a password, which a site file can give.";

/// Most keys that are shown.
const MOST_KEYS: usize = 16;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Name,
    Fqdn,
    Timezone,
    Email,
    Key(usize),
    FromUsb,
}

/// The rows that are a key of the site file each.
const TEXTS: [(Ask, &str); 4] =
    [(Ask::Name, "site.name"), (Ask::Fqdn, "site.fqdn"), (Ask::Timezone, "site.timezone"), (Ask::Email, "admin.email")];

/// See the module.
#[derive(Debug)]
pub(crate) struct Admin {
    form: Form<Ask>,
}

impl Admin {
    pub fn new(known: &Known) -> Self {
        Self { form: Form::new(rows(known)) }
    }

    pub fn press(&mut self, press: Press, known: &mut Known) -> Outcome {
        match self.form.press(press) {
            Act::Changed(_) => {
                self.write(known);
                self.look(known, false);
            }
            Act::Pressed(_) => {
                self.write(known);
                return Outcome::cmd(Cmd::ReadSshKeys);
            }
            Act::Next => {
                self.write(known);
                self.look(known, true);
                if self.form.focus_on_error() {
                    return Outcome::bad("something here is missing or wrong: see what is marked");
                }
                return Outcome::go(Go::Next);
            }
            Act::Back => {
                self.write(known);
                return Outcome::go(Go::Back);
            }
            Act::None => {
                // A key that was finished makes room for another one.
                if self.keys().len() == self.form.rows.iter().filter(|row| matches!(row.id, Ask::Key(_))).count() {
                    self.write(known);
                    self.form.replace(rows(known));
                }
            }
            Act::Unknown => {}
        }
        Outcome::go(Go::Stay)
    }

    /// Keys were looked for on USB sticks.
    pub fn found(&mut self, result: Result<Vec<String>, String>, known: &mut Known) -> Message {
        let found = match result {
            Err(why) => return Message::Bad(why),
            Ok(found) if found.is_empty() => {
                return Message::Bad("no public key was found: put the .pub file into the root of a stick".to_owned());
            }
            Ok(found) => found,
        };
        let mut keys: Vec<String> = self.keys();
        let before = keys.len();
        keys.extend(found.into_iter().filter(|key| !self.keys().contains(key)));
        keys.truncate(MOST_KEYS);
        let new = keys.len() - before;
        known.draft.set("admin.ssh_keys", keys);
        self.form.replace(rows(known));
        self.look(known, false);
        match new {
            0 => Message::Good("All keys found are there already.".to_owned()),
            1 => Message::Good("One key was found.".to_owned()),
            n => Message::Good(format!("{n} keys were found.")),
        }
    }

    fn keys(&self) -> Vec<String> {
        let keys = self.form.rows.iter().filter(|row| matches!(row.id, Ask::Key(_)));
        keys.map(|row| self.form.value(row.id)).filter(|key| !key.is_empty()).collect()
    }

    fn write(&self, known: &mut Known) {
        for (ask, path) in TEXTS {
            known.draft.set_text(path, &self.form.value(ask));
        }
        known.draft.set("admin.ssh_keys", self.keys());
    }

    /// Puts what is wrong beside the rows; `all`: also where nothing was said before.
    fn look(&mut self, known: &Known, all: bool) {
        let problems = known.problems();
        for row in &mut self.form.rows {
            let path = TEXTS.iter().find(|(ask, _)| *ask == row.id).map_or("", |(_, path)| path);
            let section = path.split('.').next().unwrap_or_default();
            let problem = problems.iter().find(|problem| problem.about.path == path || problem.about.path == section);
            row.error = problem.filter(|_| all || row.error.is_some()).map(|problem| {
                if problem.is_missing() {
                    "is needed".to_owned()
                } else {
                    format!("{}: {}", problem.message, problem.hint)
                }
            });
        }
        // Of the keys the first one that is wrong is marked: the list is one key of the site file.
        let wrong = problems
            .iter()
            .find(|problem| problem.about.path == "admin.ssh_keys")
            .map(|p| format!("{}: {}", p.message, p.hint));
        let keys = self.form.rows.iter_mut().filter(|row| matches!(row.id, Ask::Key(_)));
        for row in keys {
            row.error = None;
        }
        if let Some(wrong) = wrong.filter(|_| all)
            && let Some(row) = self.form.rows.iter_mut().find(|row| matches!(row.id, Ask::Key(_)))
        {
            row.error = Some(wrong);
        }
    }

    pub fn is_typing(&self) -> bool {
        self.form.is_typing()
    }

    pub fn page(&self, theme: Theme, room: Room) -> Page {
        let mut page = Page { title: Place::Admin.title().to_owned(), keys: self.form.hints(), ..Page::default() };
        self.form.show(&mut page, theme, room.width, false);
        page
    }
}

fn rows(known: &Known) -> Vec<Row<Ask>> {
    let draft = &known.draft;
    let text = |ask, label, path, note| Row::text(ask, label, draft.text(path), note);
    let mut rows = vec![
        text(Ask::Name, "Name of the site", "site.name", "what people call it: berlin-1"),
        text(Ask::Fqdn, "Full name of the host", "site.fqdn", "with its domain: host.example.org"),
        Row::text(
            Ask::Timezone,
            "Time zone",
            Some(draft.text("site.timezone").unwrap_or("Etc/UTC")),
            "such as Europe/Berlin",
        ),
        text(Ask::Email, "Mail goes to", "admin.email", ""),
    ];
    let keys = draft.texts("admin.ssh_keys");
    for (index, key) in keys.iter().enumerate().take(MOST_KEYS) {
        rows.push(Row::text(Ask::Key(index), &format!("SSH key {}", index + 1), Some(key), ""));
    }
    let note = if keys.is_empty() { "the line of a .pub file; none: nobody logs in over SSH" } else { "" };
    rows.push(Row::text(Ask::Key(keys.len()), &format!("SSH key {}", keys.len() + 1), None, note));
    rows.push(Row::button(Ask::FromUsb, "Look for keys on USB sticks", ""));
    rows
}
