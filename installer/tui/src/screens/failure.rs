//! Failure: what failed, where and why, what was changed, and what can be done; and the end of an installation that was cancelled.

use sovereign_model::plan::Plan;

use crate::cmd::Cmd;
use crate::keys::Press;
use crate::log::LogView;
use crate::msg::Failed;
use crate::page::{Page, line, wrapped};
use crate::run::{Run, StepState};
use crate::screens::{Go, Menu, Outcome, Room, exported};
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
An installation is made anew from its first step, also where it had come far: what is on the disks then is torn down first. Nothing of it is kept, so nothing of it can be wrong.

\"Start over\" looks at the machine again. What you answered is still there; the passphrase is asked for again, and so is the word of the plan. Nothing is written before.

Export the logs before you restart or switch off: they are in memory alone.";

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Export,
    Log,
    Shell,
    Again,
    Restart,
    SwitchOff,
}

/// How the installation ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Somebody cancelled before the first write.
    Cancelled,
    /// It failed.
    Failed(Failed),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Failure {
    plan: Box<Plan>,
    run: Run,
    end: End,
    /// Whether an earlier attempt has written to the disks.
    earlier: bool,
    menu: Menu<Deed>,
    log: Option<LogView>,
    logs: Option<Result<String, String>>,
}

impl Failure {
    pub fn new(plan: Box<Plan>, run: Run, end: End, earlier: bool) -> Self {
        let menu = Menu::new(vec![
            (Deed::Export, "Export the logs"),
            (Deed::Log, "Log"),
            (Deed::Shell, "Shell"),
            (Deed::Again, "Start over"),
            (Deed::Restart, "Restart"),
            (Deed::SwitchOff, "Switch off"),
        ]);
        Self { plan, run, end, earlier, menu, log: None, logs: None }
    }

    /// The logs were exported, or not.
    pub fn exported(&mut self, result: Result<String, String>) {
        self.logs = Some(result);
    }

    pub fn press(&mut self, press: Press, theme: Theme, room: Room) -> Outcome {
        if let Some(log) = &mut self.log {
            if !log.press(press, &self.run.log, room) {
                self.log = None;
            }
            return Outcome::go(Go::Stay);
        }
        let page = self.page(theme, room);
        match self.menu.press(press, &page, room) {
            Some(Deed::Export) => Outcome::cmd(Cmd::ExportLogs),
            Some(Deed::Log) => {
                self.log = Some(LogView::default());
                Outcome::go(Go::Stay)
            }
            Some(Deed::Shell) => Outcome::cmd(Cmd::Shell),
            Some(Deed::Again) => Outcome::go(Go::Again),
            Some(Deed::Restart) => Outcome::cmd(Cmd::Reboot),
            Some(Deed::SwitchOff) => Outcome::cmd(Cmd::PowerOff),
            None => Outcome::go(Go::Stay),
        }
    }

    pub fn page(&self, theme: Theme, room: Room) -> Page {
        let title = match self.end {
            End::Cancelled => "Cancelled",
            End::Failed(_) => "Failed",
        };
        let mut page = Page { title: title.to_owned(), ..Page::default() };
        if let Some(log) = self.log {
            page.keys = vec![("j k Space", "scroll"), ("G", "end"), ("any other key", "closes the log")];
            log.show(&self.run.log, &mut page, theme, room);
            return page;
        }
        let width = room.width;
        let mut section = |name: &str, tone: Tone, text: &str| {
            page.body.push(line(theme, Tone::Heading, name));
            for text in text.lines() {
                page.body.extend(verbatim(text, theme, tone, width));
            }
        };
        match &self.end {
            End::Cancelled => {
                let tone = if self.earlier { Tone::Warn } else { Tone::Good };
                section("The installation was cancelled", tone, &format!("  {}", self.changes(false)));
                section("What to do", Tone::Plain, &format!("  {AGAIN}"));
            }
            End::Failed(failed) => {
                let error = self.run.failed().map_or(failed.error.as_str(), |(_, error)| error);
                let (what, todo) = split(error);
                let title = if self.run.steps.is_empty() {
                    "! The installation did not start"
                } else {
                    "! The installation failed"
                };
                section(title, Tone::Bad, &indented(&what));
                section("Where", Tone::Plain, &format!("  {}", self.place()));
                let tone = if failed.changed || self.earlier { Tone::Warn } else { Tone::Good };
                section("What was changed", tone, &format!("  {}", self.changes(failed.changed)));
                let todo = todo.map(|todo| format!("  {todo}\n")).unwrap_or_default();
                section("What to do", Tone::Plain, &format!("{todo}  {AGAIN}"));
            }
        }
        if let Some(result) = &self.logs {
            let (tone, text) = exported(result);
            page.foot.extend(wrapped(theme, tone, &text, width, 2));
        }
        self.menu.show(&mut page, theme, room);
        page
    }

    fn place(&self) -> String {
        match self.run.failed() {
            Some((step, _)) => {
                format!("In step {} of {}, {}: {}.", self.run.done() + 1, self.run.count, step.name, step.describe)
            }
            None if self.run.steps.is_empty() => "Before the first step.".to_owned(),
            None => format!("Beside the steps, after {} of {}.", self.run.done(), self.run.count),
        }
    }

    fn changes(&self, changed: bool) -> String {
        if !changed && self.earlier {
            return "Nothing by this attempt. An earlier one has written to the disks: what was on them is gone, and they hold an unfinished installation.".to_owned();
        }
        if !changed {
            return "Nothing: no disk was written to.".to_owned();
        }
        let names: Vec<String> = self
            .plan
            .disks
            .iter()
            .map(|disk| {
                let id = disk.id.serial.as_ref().or(disk.id.wwn.as_ref()).map_or("no serial", String::as_str);
                format!("{} ({id})", disk.kernel_name)
            })
            .collect();
        let done = self.run.steps.iter().filter(|step| matches!(step.state, StepState::Done { .. }));
        let done: Vec<&str> = done.map(|step| step.name.as_str()).collect();
        format!(
            "The disks of the plan, {}: what was on them is gone, and they hold an unfinished installation that does not start. Done were {}.",
            names.join(", "),
            done.join(", ")
        )
    }
}

/// What is always possible.
const AGAIN: &str = "Start over: the machine is looked at again, and the installation begins with its first step; nothing of this one is kept.";

/// A line with its blanks: a row of a table is cut at the edge, anything else is broken.
fn verbatim(text: &str, theme: Theme, tone: Tone, width: usize) -> Vec<ratatui::text::Line<'static>> {
    let is_row = text.trim_start().contains("  ");
    if is_row && text.chars().count() > width {
        return vec![line(theme, tone, crate::page::fit(text, width))];
    }
    if is_row { vec![line(theme, tone, text)] } else { wrapped(theme, tone, text, width, 2) }
}

fn indented(text: &str) -> String {
    text.lines().map(|text| if text.is_empty() { "\n".to_owned() } else { format!("  {text}\n") }).collect()
}

/// What failed and why, and what to do about it, where the error says that.
fn split(error: &str) -> (String, Option<String>) {
    const TODO: &str = "What to do: ";
    let todo = error.lines().find_map(|line| line.trim_start().strip_prefix(TODO)).map(str::to_owned);
    let what: Vec<&str> = error.lines().filter(|line| !line.trim_start().starts_with(TODO)).collect();
    (what.join("\n"), todo)
}
