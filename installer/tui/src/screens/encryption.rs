//! Encryption: the passphrase, on the keyboard it will be typed on, and a recovery key.

use sovereign_model::Passphrase;
use sovereign_model::secret::PassphraseError;
use zeroize::Zeroizing;

use crate::cmd::Cmd;
use crate::flow::Place;
use crate::form::{Act, Form, Row, introduce};
use crate::keys::Press;
use crate::page::Page;
use crate::recovery;
use crate::screens::{Go, Outcome, Room};
use crate::state::{Known, Message};
use crate::strength::{self, Rating};
use crate::theme::Theme;

pub(crate) const HELP: &str = "\
Everything but the boot files is encrypted with LUKS2. The passphrase is asked for at each start of the machine, at its screen and its serial console. There is no \
way in without it: write it down, and keep it elsewhere.

At the start the keyboard has the layout that is chosen here. Load it and type the characters of your passphrase into the test field: a y where you pressed z tells you that \
it is another one. On a serial console the layout is that of your own terminal.

The strength is an estimate on the low side: letters are taken for words, years and runs for what they are. Four words drawn at random are good, five are better.

A recovery key is a second passphrase of 32 letters, made by the machine, which look the same on every Latin keyboard. It is shown once, at the end, on a sheet for the safe.

Ctrl-R shows what is typed, and hides it again.";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Source,
    Layout,
    Load,
    Try,
    First,
    Second,
    Recovery,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Encryption {
    form: Form<Ask>,
    /// The file on the answer medium that the site names.
    file: Option<String>,
    revealed: bool,
}

impl Encryption {
    pub fn new(known: &Known) -> Self {
        let file = known.draft.text("encryption.file").map(str::to_owned);
        let from_file = known.draft.text("encryption.passphrase") == Some("file");
        let mut screen = Self { form: Form::new(Vec::new()), file, revealed: false };
        screen.form = Form::new(screen.rows(known, from_file));
        screen.look(known);
        screen
    }

    fn rows(&self, known: &Known, from_file: bool) -> Vec<Row<Ask>> {
        let mut rows = Vec::new();
        if let Some(file) = &self.file {
            let options = vec!["typed here".to_owned(), format!("file {file} on the answer medium")];
            rows.push(Row::choice(Ask::Source, "Passphrase", options, usize::from(from_file), ""));
        }
        if !from_file {
            let layout = known.draft.text("site.keyboard").unwrap_or("us");
            rows.push(Row::text(Ask::Layout, "Keyboard layout", Some(layout), "short name: us, de, fr, gb ..."));
            rows.push(Row::button(Ask::Load, "Load it now", ""));
            rows.push(Row::text(Ask::Try, "Test field", None, "type the odd characters of your passphrase: - / @ y z"));
            let set = if known.passphrase.is_some() { "one is set; typing here replaces it" } else { "" };
            rows.push(Row::secret(Ask::First, "Passphrase", set));
            rows.push(Row::secret(Ask::Second, "The same again", ""));
        }
        let options = vec!["none".to_owned(), "make one".to_owned()];
        let note = "a second passphrase for the safe; shown at the end, and written down if you want";
        rows.push(Row::choice(Ask::Recovery, "Recovery key", options, usize::from(known.recovery.is_some()), note));
        rows
    }

    pub fn press(&mut self, press: Press, known: &mut Known) -> Outcome {
        if press == Press::Ctrl('r') {
            self.revealed = !self.revealed;
            return Outcome::go(Go::Stay);
        }
        match self.form.press(press) {
            Act::Changed(Ask::Source) => {
                let from_file = self.form.chosen(Ask::Source) == 1;
                self.take_from(from_file, known);
                known.passphrase = None;
                let rows = self.rows(known, from_file);
                self.form.replace(rows);
                self.look(known);
            }
            Act::Changed(Ask::Recovery) => return self.recovery(known),
            Act::Changed(ask) => {
                if ask == Ask::Layout {
                    known.draft.set_text("site.keyboard", &self.form.value(Ask::Layout));
                }
                self.look(known);
            }
            Act::Pressed(_) => {
                self.look(known);
                if let Some(error) = self.form.row(Ask::Layout).and_then(|row| row.error.clone()) {
                    return Outcome::bad(error);
                }
                return Outcome::cmd(Cmd::LoadKeyboard { layout: self.form.value(Ask::Layout) });
            }
            Act::Next => return self.leave(known),
            Act::Back => return Outcome::go(Go::Back),
            Act::None | Act::Unknown => {}
        }
        Outcome::go(Go::Stay)
    }

    /// Writes down where the passphrase comes from. A file is named only where it is used.
    fn take_from(&self, from_file: bool, known: &mut Known) {
        if let Some(file) = self.file.as_ref().filter(|_| from_file) {
            known.draft.set("encryption.passphrase", "file");
            known.draft.set("encryption.file", file.as_str());
        } else {
            known.draft.set("encryption.passphrase", "prompt");
            known.draft.remove("encryption.file");
        }
    }

    fn recovery(&mut self, known: &mut Known) -> Outcome {
        if self.form.chosen(Ask::Recovery) == 1 {
            return Outcome::cmd(Cmd::DrawRecoveryKey);
        }
        known.recovery = None;
        Outcome::go(Go::Stay)
    }

    /// The kernel's random bytes have come.
    pub fn drawn(&mut self, result: Result<Zeroizing<[u8; 16]>, String>, known: &mut Known) -> Message {
        match result {
            // Whoever asked has thought better of it meanwhile.
            Ok(_) if self.form.chosen(Ask::Recovery) == 0 => Message::Good("No recovery key is made.".to_owned()),
            Ok(bytes) => {
                known.recovery = Some(recovery::key(&bytes));
                Message::Good("A recovery key is made. It will be on the sheet at the end.".to_owned())
            }
            Err(why) => {
                let from_file = self.form.chosen(Ask::Source) == 1 && self.file.is_some();
                let rows = self.rows(known, from_file);
                self.form.replace(rows);
                Message::Bad(why)
            }
        }
    }

    /// What is wrong with what was typed, beside the fields.
    fn look(&mut self, known: &Known) {
        let layout = known.problems().into_iter().find(|p| p.about.path == "site.keyboard");
        if let Some(row) = self.form.row_mut(Ask::Layout) {
            row.error = layout.map(|problem| format!("{}: {}", problem.message, problem.hint));
        }
        let first = self.form.secret(Ask::First);
        let same = first == self.form.secret(Ask::Second);
        let started = !first.is_empty();
        let fault = checked(first).err().filter(|_| started);
        let bits = strength::bits(first);
        let second_started = !self.form.secret(Ask::Second).is_empty();
        if let Some(row) = self.form.row_mut(Ask::First) {
            row.error = fault.map(|fault| fault.to_string());
            if started {
                row.note = strength_text(bits);
            } else if known.passphrase.is_some() {
                "one is set; typing here replaces it".clone_into(&mut row.note);
            } else {
                format!("at least {} characters; a few words with blanks are good", Passphrase::MIN_LEN)
                    .clone_into(&mut row.note);
            }
        }
        if let Some(row) = self.form.row_mut(Ask::Second) {
            row.error = (second_started && !same).then(|| "not the same as above".to_owned());
            row.note = if second_started && same && started { "the same".to_owned() } else { String::new() };
        }
    }

    fn leave(&mut self, known: &mut Known) -> Outcome {
        self.look(known);
        if self.form.chosen(Ask::Recovery) == 1 && known.recovery.is_none() {
            return Outcome::bad("the recovery key is not made yet: a moment");
        }
        let from_file = self.form.row(Ask::First).is_none();
        self.take_from(from_file, known);
        if from_file {
            return Outcome::go(Go::Next);
        }
        if let Some(error) = self.form.row(Ask::Layout).and_then(|row| row.error.clone()) {
            self.form.focus_on(Ask::Layout);
            return Outcome::bad(error);
        }
        let (first, second) = (self.form.secret(Ask::First), self.form.secret(Ask::Second));
        if first.is_empty() && second.is_empty() && known.passphrase.is_some() {
            return Outcome::go(Go::Next);
        }
        if first != second {
            self.form.focus_on(Ask::Second);
            return Outcome::bad("type the same passphrase into both fields");
        }
        match checked(first) {
            Ok(passphrase) => {
                known.passphrase = Some(passphrase);
                Outcome::go(Go::Next)
            }
            Err(fault) => {
                self.form.focus_on(Ask::First);
                Outcome::bad(fault.to_string())
            }
        }
    }

    pub fn is_typing(&self) -> bool {
        self.form.is_typing()
    }

    pub fn page(&self, theme: Theme, room: Room) -> Page {
        let mut keys = self.form.hints();
        keys.insert(keys.len() - 1, ("Ctrl-R", if self.revealed { "hide" } else { "show" }));
        let mut page = Page { title: Place::Encryption.title().to_owned(), keys, ..Page::default() };
        introduce(
            &mut page,
            theme,
            room.width,
            "The pools are encrypted. The passphrase is asked for at each start of the machine.",
        );
        self.form.show(&mut page, theme, room.width, self.revealed);
        page
    }
}

/// The passphrase, as the unlock prompt takes it.
fn checked(text: &str) -> Result<Passphrase, PassphraseError> {
    Passphrase::from_line(text.as_bytes().to_vec())
}

/// `[######....] about 47 bits: fair`
fn strength_text(bits: u32) -> String {
    let full = usize::try_from(bits / 8).unwrap_or(usize::MAX).min(10);
    let bar: String = "█".repeat(full) + &"░".repeat(10 - full);
    format!("[{bar}] about {bits} bits: {}", Rating::of(bits).words())
}
