//! Welcome: what this medium installs, whether it is intact, and what is known already.

use sovereign_model::event::Amount;

use crate::flow::{self, Place};
use crate::keys::Press;
use crate::msg::Medium;
use crate::page::{Page, line, spans, wrapped};
use crate::screens::reader::Reader;
use crate::screens::{Go, Outcome, Room};
use crate::state::Known;
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
This installs the Sovereign Appliance: one machine with mirrored, encrypted disks that runs three virtual machines, edge, core and storage.

Nothing is written to any disk before the last screen, the summary, where you type a word to agree. Up to there you can go back with `p` and look around \
freely.

The medium is read to its end and compared with what was built, while you go on. A medium that is damaged installs nothing: write it anew, or attach it \
again.

A site file (site.toml) on a file system labelled SOVEREIGN answers the questions beforehand. Where it leaves something open, you are asked for that alone.";

/// See the module.
#[derive(Debug)]
pub(crate) struct Welcome {
    reader: Reader,
    /// Whether it was said that parts of the site file are left out.
    warned: bool,
}

impl Welcome {
    pub fn new() -> Self {
        Self { reader: Reader::new(false), warned: false }
    }

    pub fn press(&mut self, press: Press, known: &Known, theme: Theme, room: Room) -> Outcome {
        let outcome = self.reader.press(press, room, |reader| page(reader, known, theme, room));
        if outcome.go == Go::Next && !known.left_out.is_empty() && !self.warned {
            self.warned = true;
            return Outcome::bad("what is left out takes its default: correct the file, or press again");
        }
        outcome
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        page(&self.reader, known, theme, room)
    }
}

fn page(reader: &Reader, known: &Known, theme: Theme, room: Room) -> Page {
    let mut page = Page { title: Place::Welcome.title().to_owned(), keys: reader.hints(), ..Page::default() };
    let row = |name: &str, tone, text: String| spans(theme, [(Tone::Plain, format!("  {name:<10}")), (tone, text)]);
    page.body.push(line(theme, Tone::Heading, "Welcome to the Sovereign Appliance"));
    page.body.push(line(theme, Tone::Plain, ""));
    page.body.push(row("Edition", Tone::Accent, known.edition.clone()));
    page.body.push(row("Version", Tone::Accent, known.version.clone()));
    let (tone, text) = medium(&known.medium);
    let mut texts = crate::page::wrap(&text, room.width.saturating_sub(12), 0).into_iter();
    page.body.push(row("Medium", tone, texts.next().unwrap_or_default()));
    page.body.extend(texts.map(|text| row("", tone, text)));
    page.body.push(row("Site file", Tone::Accent, known.site_file.clone().unwrap_or_else(|| "none".to_owned())));
    page.body.push(line(theme, Tone::Plain, ""));
    page.body.extend(wrapped(theme, Tone::Plain, &what_comes(known), room.width, 0));
    if !known.left_out.is_empty() {
        page.body.push(line(theme, Tone::Plain, ""));
        page.body.push(line(theme, Tone::Warn, "Left out of the site file:"));
        for text in &known.left_out {
            page.body.extend(wrapped(theme, Tone::Warn, &format!("  - {text}"), room.width, 2));
        }
    }
    reader.show(&mut page, theme);
    page
}

fn what_comes(known: &Known) -> String {
    if known.site_file.is_none() {
        return "The next screens show this machine and ask what is to be installed on it. Nothing is written to any disk before you have seen the \
                whole plan and typed a word to agree."
            .to_owned();
    }
    let open: Vec<&str> = flow::open(known).into_iter().map(Place::title).collect();
    if open.is_empty() {
        "The site file says all that is needed: after the hardware comes the summary. Nothing is written to any disk before you have typed a word \
         to agree."
            .to_owned()
    } else {
        format!(
            "The site file leaves something open, and you are asked for that alone: {}. Nothing is written to any disk before you have typed a word \
             to agree.",
            open.join(", ")
        )
    }
}

/// How the medium is, in words.
pub(crate) fn medium(medium: &Medium) -> (Tone, String) {
    match medium {
        Medium::Verifying(Amount { total, .. }) if total.get() == 0 => (Tone::Plain, "is being read".to_owned()),
        Medium::Verifying(amount) => {
            (Tone::Plain, format!("is being verified: {} % of {}", amount.percent(), amount.total))
        }
        Medium::Verified => (Tone::Good, "verified: every file is as it was built".to_owned()),
        Medium::Damaged(what) => (Tone::Bad, format!("! DAMAGED: {what}")),
    }
}
