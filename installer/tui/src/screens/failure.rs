//! Failure: what failed, where and why, what was changed, and what can be done.

use sovereign_model::plan::Plan;

use crate::cmd::Cmd;
use crate::keys::Press;
use crate::msg::Failed;
use crate::page::{At, Page, fit, line, spans};
use crate::run::Run;
use crate::screens::{Go, Menu, Outcome, Room};
use crate::theme::{Theme, Tone};
use crate::update::scrolled;
use crate::view::body_rows;

pub(crate) const HELP: &str = "\
An installation is made anew from its start, also where it had come far: what is on the disks then is torn down first. Nothing of it is kept, so nothing of it can be wrong. The \
passphrase is asked for again; everything else you answered is still there.

Try again after what is said under \"What to do\". Export the logs before you switch the machine off: they are in memory alone.

l shows the end of the log.";

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Again,
    Export,
    Shell,
    Restart,
    SwitchOff,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Failure {
    plan: Box<Plan>,
    run: Run,
    failed: Failed,
    menu: Menu<Deed>,
    log: bool,
    /// First line that is seen.
    first: usize,
}

/// Columns of the labels.
const LABEL: usize = 9;

impl Failure {
    pub fn new(plan: Box<Plan>, run: Run, failed: Failed) -> Self {
        let menu = Menu::new(vec![
            (Deed::Again, "Look at the machine and try again"),
            (Deed::Export, "Export the logs"),
            (Deed::Shell, "Open a shell"),
            (Deed::Restart, "Restart the machine"),
            (Deed::SwitchOff, "Switch the machine off"),
        ]);
        Self { plan, run, failed, menu, log: false, first: 0 }
    }

    pub fn press(&mut self, press: Press, theme: Theme, room: Room) -> Outcome {
        // The letters move among what can be done.
        if let Press::PageUp | Press::PageDown | Press::Ctrl('b' | 'f' | 'u' | 'd') = press {
            let page = self.page(theme, room);
            let rows = body_rows(&page, room);
            let last = page.body.len().saturating_sub(rows);
            self.first = press.scroll(rows).map_or(self.first, |by| scrolled(self.first, by, last));
            return Outcome::go(Go::Stay);
        }
        if press == Press::Char('l') || self.log {
            self.log = !self.log;
            return Outcome::go(Go::Stay);
        }
        match self.menu.press(press) {
            Some(Deed::Again) => Outcome::go(Go::Again),
            Some(Deed::Export) => Outcome::cmd(Cmd::ExportLogs),
            Some(Deed::Shell) => Outcome::cmd(Cmd::Shell),
            Some(Deed::Restart) => Outcome::cmd(Cmd::Reboot),
            Some(Deed::SwitchOff) => Outcome::cmd(Cmd::PowerOff),
            None => Outcome::go(Go::Stay),
        }
    }

    pub fn page(&self, theme: Theme, room: Room) -> Page {
        let keys =
            vec![("Enter", "do it"), ("j k Tab", "move"), ("Ctrl-F Ctrl-B", "scroll"), ("l", "log"), ("?", "help")];
        let mut page = Page { title: "Failed".to_owned(), keys, ..Page::default() };
        if self.log {
            page.keys = vec![("any key", "closes the log")];
            let tail = self.run.log.iter().skip(self.run.log.len().saturating_sub(room.rows));
            page.body.extend(tail.map(|text| line(theme, Tone::Plain, fit(text, room.width).trim_end())));
            return page;
        }
        let error = self.run.failed().map_or(self.failed.error.as_str(), |(_, error)| error);
        page.body.push(line(theme, Tone::Bad, "! The installation failed."));
        page.body.push(line(theme, Tone::Plain, ""));
        let (what, todo) = split(error);
        let changed = if self.failed.changed { Tone::Warn } else { Tone::Good };
        let mut sections = vec![("What", Tone::Plain, what)];
        if let Some((step, _)) = self.run.failed() {
            let at = self.run.done() + 1;
            let text = format!("step {at} of {}, {}: {}", self.run.count, step.name, step.describe);
            sections.push(("Where", Tone::Plain, text));
        }
        sections.push(("Changed", changed, self.changed()));
        sections.push(("To do", Tone::Accent, todo.unwrap_or_else(|| "Export the logs, and try again.".to_owned())));
        for (name, tone, text) in sections {
            for (index, text) in crate::page::wrap(&text, room.width.saturating_sub(LABEL), 0).into_iter().enumerate() {
                let label = if index == 0 { name } else { "" };
                page.body.push(spans(theme, [(Tone::Heading, fit(label, LABEL)), (tone, text)]));
            }
        }
        page.at = At::Top(self.first);
        page.foot.push(line(theme, Tone::Plain, ""));
        self.menu.show(&mut page.foot, theme);
        page
    }

    fn changed(&self) -> String {
        if !self.failed.changed {
            return "Nothing: no disk was written to.".to_owned();
        }
        let names: Vec<String> = self
            .plan
            .disks
            .iter()
            .map(|disk| {
                let id = disk.id.serial.as_ref().or(disk.id.wwn.as_ref()).map_or("", String::as_str);
                format!("{} ({id})", disk.kernel_name)
            })
            .collect();
        format!(
            "The disks of the plan hold an unfinished installation, and what was on them is gone: {}. The machine does not start from them.",
            names.join(", ")
        )
    }
}

/// What failed and why, and what to do about it, where the error says that.
fn split(error: &str) -> (String, Option<String>) {
    const TODO: &str = "What to do: ";
    let todo = error.lines().find_map(|line| line.trim_start().strip_prefix(TODO)).map(str::to_owned);
    let what: Vec<&str> = error.lines().filter(|line| !line.trim_start().starts_with(TODO)).collect();
    (what.join("\n"), todo)
}
