//! Failure: what failed, where and why, what was changed, and what can be done.

use sovereign_model::plan::Plan;

use crate::cmd::Cmd;
use crate::keys::Press;
use crate::msg::Failed;
use crate::page::{At, Page, fit, line, wrapped};
use crate::run::Run;
use crate::screens::{Go, Menu, Outcome, Room};
use crate::theme::{Theme, Tone};

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
}

impl Failure {
    pub fn new(plan: Box<Plan>, run: Run, failed: Failed) -> Self {
        let menu = Menu::new(vec![
            (Deed::Again, "Look at the machine and try again"),
            (Deed::Export, "Export the logs"),
            (Deed::Shell, "Open a shell"),
            (Deed::Restart, "Restart the machine"),
            (Deed::SwitchOff, "Switch the machine off"),
        ]);
        Self { plan, run, failed, menu, log: false }
    }

    pub fn press(&mut self, press: Press) -> Outcome {
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
        let keys = vec![("Enter", "do it"), ("j k Tab", "move"), ("l", "log"), ("?", "help")];
        let mut page = Page { title: "Failed".to_owned(), keys, ..Page::default() };
        if self.log {
            page.keys = vec![("any key", "closes the log")];
            let tail = self.run.log.iter().skip(self.run.log.len().saturating_sub(room.rows));
            page.body.extend(tail.map(|text| line(theme, Tone::Plain, fit(text, room.width).trim_end())));
            return page;
        }
        let width = room.width;
        let error = self.run.failed().map_or(self.failed.error.as_str(), |(_, error)| error);
        let where_ = self.run.failed().map(|(step, _)| {
            let at = self.run.done() + 1;
            format!("in step {at} of {}, {}: {}", self.run.count, step.name, step.describe)
        });
        page.body.push(line(theme, Tone::Bad, "! The installation failed."));
        let mut section = |name: &str, tone: Tone, text: &str| {
            page.body.push(line(theme, Tone::Heading, name));
            page.body.extend(wrapped(theme, tone, text, width.saturating_sub(2), 2).into_iter().map(indented));
        };
        let (what, todo) = split(error);
        section("What", Tone::Plain, &what);
        if let Some(text) = where_ {
            section("Where", Tone::Plain, &text);
        }
        section("What was changed", if self.failed.changed { Tone::Warn } else { Tone::Good }, &self.changed());
        section("What to do", Tone::Plain, todo.as_deref().unwrap_or("Export the logs, and try again."));
        page.body.push(line(theme, Tone::Plain, ""));
        let menu_at = page.body.len();
        self.menu.show(&mut page, theme);
        page.at = At::Line(menu_at + self.menu.at() + room.rows / 2);
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

fn indented(line: ratatui::text::Line<'static>) -> ratatui::text::Line<'static> {
    let mut line = line;
    line.spans.insert(0, ratatui::text::Span::raw("  "));
    line
}

/// What failed and why, and what to do about it, where the error says that.
fn split(error: &str) -> (String, Option<String>) {
    const TODO: &str = "What to do: ";
    let todo = error.lines().find_map(|line| line.trim_start().strip_prefix(TODO)).map(str::to_owned);
    let what: Vec<&str> = error.lines().filter(|line| !line.trim_start().starts_with(TODO)).collect();
    (what.join("\n"), todo)
}
