//! Done: what comes next, how the machine is unlocked and reached, and the recovery sheet.

use sovereign_model::plan::Plan;
use sovereign_model::site::NetworkMode;
use zeroize::Zeroizing;

use crate::cmd::Cmd;
use crate::keys::Press;
use crate::log::LogView;
use crate::msg::ArraySync;
use crate::page::{At, Page, line, wrapped};
use crate::recovery::{self, Shown};
use crate::run::{Run, clock};
use crate::screens::progress::array_lines;
use crate::screens::{Go, Menu, Outcome, Room, exported};
use crate::state::Known;
use crate::theme::{Theme, Tone};
use crate::update::scrolled;
use crate::view::body_rows;

pub(crate) const HELP: &str = "\
The machine is installed. Take the installation medium out, or the machine may start it again, and restart.

The recovery sheet says which machine and which disks these are, how they are unlocked and how they are rescued. Where a recovery key was made, it is on the sheet: shown only \
when you press v there, and only now. Write it down or have the sheet written onto the answer medium, and take that to the safe. Whoever has the key and the disks has the data.

A copy of the log is on the installed machine, in /var/log/sovereign.";

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Sheet,
    WriteSheet,
    Restart,
    SwitchOff,
    Export,
    Log,
    Shell,
}

/// What is shown.
#[derive(Debug, Clone, Copy)]
enum Part {
    Next,
    Sheet { first: usize, revealed: bool },
    Log(LogView),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Done {
    plan: Box<Plan>,
    run: Run,
    menu: Menu<Deed>,
    part: Part,
    /// Whether the key was seen or written, or somebody goes without: a key that nobody has is none.
    kept: bool,
    sheet: Option<Result<String, String>>,
    logs: Option<Result<String, String>>,
}

impl Done {
    pub fn new(plan: Box<Plan>, run: Run) -> Self {
        let menu = Menu::new(vec![
            (Deed::Sheet, "Recovery sheet"),
            (Deed::WriteSheet, "Write the sheet"),
            (Deed::Restart, "Restart"),
            (Deed::SwitchOff, "Switch off"),
            (Deed::Export, "Export the logs"),
            (Deed::Log, "Log"),
            (Deed::Shell, "Shell"),
        ]);
        Self { plan, run, menu, part: Part::Next, kept: false, sheet: None, logs: None }
    }

    pub fn arrays(&mut self, arrays: Vec<ArraySync>) {
        self.run.arrays = arrays;
    }

    /// The sheet was written, or not.
    pub fn written(&mut self, result: Result<String, String>) {
        self.kept |= result.is_ok();
        self.sheet = Some(result);
    }

    /// The logs were exported, or not.
    pub fn exported(&mut self, result: Result<String, String>) {
        self.logs = Some(result);
    }

    fn text(&self, known: &Known, reveal: bool) -> Zeroizing<String> {
        let key = match &known.recovery {
            None => Shown::None,
            Some(_) if !reveal => Shown::Hidden,
            Some(key) => Shown::Key(key),
        };
        recovery::sheet(&self.plan, &self.run, known, key)
    }

    fn write(&self, known: &Known) -> Outcome {
        Outcome::cmd(Cmd::WriteRecoverySheet { text: self.text(known, true) })
    }

    pub fn press(&mut self, press: Press, known: &Known, theme: Theme, room: Room) -> Outcome {
        let page = self.page(known, theme, room);
        match &mut self.part {
            Part::Next => {
                let deed = self.menu.press(press, &page, room);
                return deed.map_or_else(|| Outcome::go(Go::Stay), |deed| self.carry_out(deed, known));
            }
            Part::Log(log) => {
                if !log.press(press, &self.run.log, room) {
                    self.part = Part::Next;
                }
            }
            Part::Sheet { first, revealed } => match press {
                Press::Char('v') if known.recovery.is_some() => {
                    *revealed = !*revealed;
                    *first = if *revealed { page.body.len() } else { 0 };
                    self.kept = true;
                }
                Press::Char('w') => return self.write(known),
                press => {
                    let rows = body_rows(&page, room);
                    match press.scroll(rows) {
                        Some(by) => {
                            let last = page.body.len().saturating_sub(rows);
                            *first = scrolled((*first).min(last), by, last);
                        }
                        None => self.part = Part::Next,
                    }
                }
            },
        }
        Outcome::go(Go::Stay)
    }

    fn carry_out(&mut self, deed: Deed, known: &Known) -> Outcome {
        match deed {
            Deed::Restart | Deed::SwitchOff if known.recovery.is_some() && !self.kept => {
                // Said once; whoever presses again means it.
                self.kept = true;
                return Outcome::bad("nobody has seen the recovery key yet: show or write the sheet, or press again");
            }
            Deed::Restart => return Outcome::cmd(Cmd::Reboot),
            Deed::SwitchOff => return Outcome::cmd(Cmd::PowerOff),
            Deed::Sheet => self.part = Part::Sheet { first: 0, revealed: false },
            Deed::WriteSheet => return self.write(known),
            Deed::Export => return Outcome::cmd(Cmd::ExportLogs),
            Deed::Log => self.part = Part::Log(LogView::default()),
            Deed::Shell => return Outcome::cmd(Cmd::Shell),
        }
        Outcome::go(Go::Stay)
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        let mut page = Page { title: "Done".to_owned(), ..Page::default() };
        match self.part {
            Part::Next => self.next(known, theme, room, &mut page),
            Part::Log(log) => {
                page.keys = vec![("j k Space", "scroll"), ("G", "end"), ("any other key", "closes the log")];
                log.show(&self.run.log, &mut page, theme, room);
            }
            Part::Sheet { first, revealed } => {
                page.keys = vec![("j k Space", "scroll"), ("w", "write it"), ("any other key", "closes it")];
                if known.recovery.is_some() {
                    page.keys.insert(1, ("v", if revealed { "hide the key" } else { "show the key" }));
                }
                page.at = At::Top(first);
                page.body = self.text(known, revealed).lines().map(|text| line(theme, Tone::Plain, text)).collect();
                page.foot = results(self.sheet.as_ref(), None, theme, room);
            }
        }
        page
    }

    fn next(&self, known: &Known, theme: Theme, room: Room, page: &mut Page) {
        let text = format!("{} is installed, in {}.", self.plan.site.site.fqdn, clock(self.run.elapsed()));
        page.body.push(line(theme, Tone::Good, text));
        page.body.push(line(theme, Tone::Plain, ""));
        for text in next_steps(&self.plan, known) {
            page.body.extend(wrapped(theme, Tone::Plain, &format!("- {text}"), room.width, 2));
        }
        page.body.push(line(theme, Tone::Plain, ""));
        page.body.extend(array_lines(&self.run.arrays, theme, room.width));
        page.foot.extend(results(self.sheet.as_ref(), self.logs.as_ref(), theme, room));
        self.menu.show(page, theme, room);
    }
}

/// What became of the sheet and of the logs.
fn results(
    sheet: Option<&Result<String, String>>,
    logs: Option<&Result<String, String>>,
    theme: Theme,
    room: Room,
) -> Vec<ratatui::text::Line<'static>> {
    let sheet = sheet.map(|result| match result {
        Ok(place) => (Tone::Good, format!("The recovery sheet is written: {place}")),
        Err(why) => (Tone::Bad, format!("! The recovery sheet is not written: {why}")),
    });
    let texts = sheet.into_iter().chain(logs.map(exported));
    texts.flat_map(|(tone, text)| wrapped(theme, tone, &text, room.width, 2)).collect()
}

/// What a person does next, in its order.
fn next_steps(plan: &Plan, known: &Known) -> Vec<String> {
    let site = &plan.site;
    let mut steps = vec!["Take the installation medium out, and restart.".to_owned()];
    let serial = site.console.serial.as_ref().map(|port| format!(" and on {port}")).unwrap_or_default();
    let key = if known.recovery.is_some() { "the passphrase or the recovery key" } else { "the passphrase" };
    steps.push(format!(
        "To unlock it, type {key} where the machine asks for it, at its screen{serial}: at each start, once. The keyboard's layout is {}.",
        site.site.keyboard
    ));
    if known.recovery.is_some() {
        let first = if known.answer_medium { "" } else { ", once a file system labelled SOVEREIGN is attached" };
        steps.push(format!(
            "Keep the recovery key: have the sheet written onto the answer medium{first}, or copy it by hand."
        ));
    }
    let address = match (site.network.mode, &site.network.address) {
        (NetworkMode::Static, Some(address)) => address.split('/').next().unwrap_or_default().to_owned(),
        _ => site.site.fqdn.clone(),
    };
    if site.admin.ssh_keys.is_empty() {
        steps.push("Nobody can log in over SSH: no key was given.".to_owned());
    } else {
        steps.push(format!("Log in: ssh root@{address}"));
    }
    let is_proxmox = known.edition.starts_with("Proxmox VE");
    if is_proxmox {
        steps.push(format!("Web interface: https://{address}:8006"));
    }
    if let Some(guests) = plan.guests.as_ref().filter(|guests| guests.deploy) {
        let names: Vec<&str> = guests.guests.iter().map(|guest| guest.role.as_str()).collect();
        let names = names.join(", ");
        steps.push(if is_proxmox {
            format!("The machines {names} start by themselves.")
        } else {
            format!("The disks of the machines {names} are made; without Proxmox VE nothing runs them.")
        });
    }
    steps.push("`sovereign-installer status` says on the machine whether everything is as planned.".to_owned());
    steps
}
