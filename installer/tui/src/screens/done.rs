//! Done: what comes next, how the machine is unlocked and reached, and the recovery sheet.

use sovereign_model::plan::Plan;
use sovereign_model::site::NetworkMode;
use zeroize::Zeroizing;

use crate::cmd::Cmd;
use crate::keys::Press;
use crate::msg::ArraySync;
use crate::page::{Page, line, wrapped};
use crate::recovery;
use crate::run::{Run, clock};
use crate::screens::progress::array_lines;
use crate::screens::{Go, Menu, Outcome, Room};
use crate::state::{Known, Message};
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
The machine is installed. Take the installation medium out, or the machine may start it again, and restart.

The recovery sheet holds a second passphrase. It is shown only now: write it down or have it written onto the answer medium, and take that to the safe. Whoever has the sheet \
and the disks has the data.

Logs can be exported now; a copy of them is on the installed machine too, in /var/log/sovereign.";

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Restart,
    SwitchOff,
    Sheet,
    WriteSheet,
    Export,
    Shell,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Done {
    plan: Box<Plan>,
    took: String,
    arrays: Vec<ArraySync>,
    menu: Menu<Deed>,
    /// Whether the sheet is shown.
    sheet: bool,
    /// Whether it was, or was written: a key that nobody has seen is none.
    kept: bool,
}

impl Done {
    pub fn new(plan: Box<Plan>, run: &Run, known: &Known) -> Self {
        let mut deeds = Vec::new();
        if known.recovery.is_some() {
            deeds.push((Deed::Sheet, "Show the recovery sheet"));
            if known.answer_medium {
                deeds.push((Deed::WriteSheet, "Write the recovery sheet onto the answer medium"));
            }
        }
        deeds.extend([
            (Deed::Restart, "Restart the machine"),
            (Deed::SwitchOff, "Switch the machine off"),
            (Deed::Export, "Export the logs"),
            (Deed::Shell, "Open a shell"),
        ]);
        let took = clock(run.elapsed());
        Self { plan, took, arrays: run.arrays.clone(), menu: Menu::new(deeds), sheet: false, kept: false }
    }

    pub fn arrays(&mut self, arrays: Vec<ArraySync>) {
        self.arrays = arrays;
    }

    /// The sheet was written, or not.
    pub fn written(&mut self, result: Result<String, String>) -> Message {
        match result {
            Ok(place) => {
                self.kept = true;
                Message::Good(format!("The recovery sheet is written: {place}"))
            }
            Err(why) => Message::Bad(why),
        }
    }

    fn text(&self, known: &Known) -> Option<Zeroizing<String>> {
        known.recovery.as_ref().map(|key| recovery::sheet(&self.plan, key))
    }

    pub fn press(&mut self, press: Press, known: &Known) -> Outcome {
        if self.sheet {
            self.sheet = false;
            return Outcome::go(Go::Stay);
        }
        let lost = known.recovery.is_some() && !self.kept;
        match self.menu.press(press) {
            Some(Deed::Restart | Deed::SwitchOff) if lost => {
                // Said once; whoever presses again means it.
                self.kept = true;
                Outcome::bad("nobody has seen the recovery key yet: show or write the sheet, or press again")
            }
            Some(Deed::Restart) => Outcome::cmd(Cmd::Reboot),
            Some(Deed::SwitchOff) => Outcome::cmd(Cmd::PowerOff),
            Some(Deed::Sheet) => {
                self.sheet = true;
                self.kept = true;
                Outcome::go(Go::Stay)
            }
            Some(Deed::WriteSheet) => {
                let text = self.text(known);
                text.map_or_else(|| Outcome::go(Go::Stay), |text| Outcome::cmd(Cmd::WriteRecoverySheet { text }))
            }
            Some(Deed::Export) => Outcome::cmd(Cmd::ExportLogs),
            Some(Deed::Shell) => Outcome::cmd(Cmd::Shell),
            None => Outcome::go(Go::Stay),
        }
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        let keys = vec![("Enter", "do it"), ("j k Tab", "move"), ("?", "help")];
        let mut page = Page { title: "Done".to_owned(), keys, ..Page::default() };
        if let Some(text) = self.text(known).filter(|_| self.sheet) {
            page.keys = vec![("any key", "hides it")];
            page.body = text.lines().map(|text| line(theme, Tone::Plain, text)).collect();
            return page;
        }
        page.body.push(line(theme, Tone::Good, format!("The machine is installed, in {}.", self.took)));
        page.body.push(line(theme, Tone::Plain, ""));
        for text in next_steps(&self.plan, known) {
            page.body.extend(wrapped(theme, Tone::Plain, &format!("- {text}"), room.width, 2));
        }
        if !self.arrays.is_empty() {
            page.body.push(line(theme, Tone::Plain, ""));
            page.body.extend(array_lines(&self.arrays, theme, room.width));
        }
        page.foot.push(line(theme, Tone::Plain, ""));
        self.menu.show(&mut page.foot, theme);
        page
    }
}

/// What a person does next, in its order.
fn next_steps(plan: &Plan, known: &Known) -> Vec<String> {
    let site = &plan.site;
    let mut steps = vec!["Take the installation medium out, and restart.".to_owned()];
    let serial = site.console.serial.as_ref().map(|port| format!(", also on {port}")).unwrap_or_default();
    steps.push(format!(
        "The machine asks for the passphrase at its screen{serial}. {}",
        if known.recovery.is_some() { "The recovery key works there too." } else { "Nothing else opens it." }
    ));
    let address = match (site.network.mode, &site.network.address) {
        (NetworkMode::Static, Some(address)) => address.split('/').next().unwrap_or_default().to_owned(),
        _ => site.site.fqdn.clone(),
    };
    if site.admin.ssh_keys.is_empty() {
        steps.push("Nobody can log in over SSH: no key was given.".to_owned());
    } else {
        steps.push(format!("Log in: ssh root@{address}"));
    }
    if known.edition.starts_with("Proxmox VE") {
        steps.push(format!("Web interface: https://{address}:8006"));
    }
    if let Some(guests) = plan.guests.as_ref().filter(|guests| guests.deploy) {
        let names: Vec<&str> = guests.guests.iter().map(|guest| guest.role.as_str()).collect();
        steps.push(format!("The machines {} start by themselves.", names.join(", ")));
    }
    steps.push("`sovereign-installer status` says on the machine whether everything is as planned.".to_owned());
    steps
}
