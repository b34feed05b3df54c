//! Capacity: what each machine gets here, the reference machine's figures beside it, and figures that are to be others.

use sovereign_model::Bytes;
use sovereign_model::plan::{Guest, NoPlan, Plan};
use sovereign_model::role::{Catalogue, Role};
use sovereign_model::site::Draft;

use crate::flow::{self, Place};
use crate::form::{Act, Form, Row};
use crate::keys::Press;
use crate::page::{Page, fit, line, right, wrapped};
use crate::preview;
use crate::proposal;
use crate::screens::{Go, Outcome, Room};
use crate::state::Known;
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
The table shows what host and machines get of this machine, calculated from its threads, memory and disks, and beside it what they get on the reference machine (12 \
threads, 32 GB, 2 x 512 GB and 4 x 6 TB).

A figure that you type below is taken instead of the calculated one; an empty field is calculated. Sizes are written as 40GB or 40GiB, or as a share such as \
12%. The remark below a field says where the figure comes from.

Volumes that are larger than the SSD pool together can be accepted: they fill up only as data is written, and the machine warns at 85 %.";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Machines,
    Overcommit,
    HostMemory,
    Swap,
    Root,
    Reserve,
    /// A figure of the role with this index.
    Figure(usize, Figure),
}

/// A figure of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Vcpus,
    Memory,
    Ssd,
    Hdd,
}

impl Figure {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Vcpus, "vcpus", "vCPUs"),
        (Self::Memory, "memory", "memory"),
        (Self::Ssd, "ssd", "SSD"),
        (Self::Hdd, "hdd", "HDD"),
    ];

    fn key(self) -> &'static str {
        Self::ALL.iter().find(|(figure, ..)| *figure == self).map_or("", |(_, key, _)| key)
    }

    fn reason(self, guest: &Guest) -> String {
        let (value, reason) = match self {
            Self::Vcpus => (guest.vcpus.value.to_string(), &guest.vcpus.reason),
            Self::Memory => (guest.memory().to_string(), &guest.memory_mib.reason),
            Self::Ssd => (guest.ssd.value.to_string(), &guest.ssd.reason),
            Self::Hdd => (guest.hdd.value.to_string(), &guest.hdd.reason),
        };
        format!("{value}: {reason}")
    }
}

/// Which machines there are to be, in the order of the options.
const MACHINES: [&str; 3] = ["machines", "templates alone", "none"];
/// The last of them.
const NO_MACHINES: usize = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Capacity {
    form: Form<Ask>,
    /// The plan that the answers make; `None` while one of them is wrong.
    plan: Option<Result<Plan, NoPlan>>,
    /// What the site says of the machines, while there are to be none.
    set_aside: Draft,
}

fn roles() -> &'static [Role] {
    Catalogue::shipped().map_or(&[][..], Catalogue::roles)
}

impl Capacity {
    pub fn new(known: &Known) -> Self {
        let mut screen = Self { form: Form::new(rows(known)), plan: None, set_aside: Draft::default() };
        screen.look(known);
        screen
    }

    pub fn press(&mut self, press: Press, known: &mut Known) -> Outcome {
        match self.form.press(press) {
            Act::Changed(ask) => {
                self.write(known);
                if ask == Ask::Machines {
                    self.form.replace(rows(known));
                }
                self.look(known);
            }
            Act::Next => {
                let wrong = self.form.focus_on_error();
                let refused = matches!(&self.plan, Some(Err(refusal)) if refusal.reasons.iter().any(|r| flow::about(r) == Place::Capacity));
                if wrong || refused {
                    return Outcome::bad("these figures make no plan: correct what is marked");
                }
                return Outcome::go(Go::Next);
            }
            Act::Back => return Outcome::go(Go::Back),
            Act::None | Act::Pressed(_) | Act::Unknown => {}
        }
        Outcome::go(Go::Stay)
    }

    pub fn is_typing(&self) -> bool {
        self.form.is_typing()
    }

    /// Writes the answers into the site.
    fn write(&mut self, known: &mut Known) {
        let draft = &mut known.draft;
        let chosen = self.form.chosen(Ask::Machines);
        // What was said of the machines is there again when somebody wants them after all.
        if chosen == NO_MACHINES {
            if let Some(guests) = draft.get("guests") {
                self.set_aside.set("guests", guests.clone());
            }
            draft.remove("guests");
        } else if draft.get("guests").is_none() {
            let proposed = proposal::site();
            if let Some(guests) = self.set_aside.get("guests").or_else(|| proposed.get("guests")) {
                draft.set("guests", guests.clone());
            }
            draft.set("guests.deploy", chosen == 0);
            // The rows are not of these figures yet.
            return;
        } else {
            draft.set("guests.deploy", chosen == 0);
        }
        if chosen == NO_MACHINES {
            return;
        }
        if self.form.row(Ask::Overcommit).is_some() {
            draft.set("guests.ssd_overcommit", self.form.chosen(Ask::Overcommit) == 1);
        }
        for (index, role) in roles().iter().enumerate() {
            for (figure, key, _) in Figure::ALL {
                let path = format!("guests.roles.{}.{key}", role.name);
                if self.form.row(Ask::Figure(index, figure)).is_none() {
                    continue;
                }
                let text = self.form.value(Ask::Figure(index, figure));
                match text.parse::<i64>() {
                    Ok(number) if figure == Figure::Vcpus => draft.set(&path, number),
                    _ if text.is_empty() && draft.get(&path).is_none() => {}
                    _ => draft.set_text(&path, &text),
                }
            }
        }
    }

    /// Finds out what the answers lead to, and puts it beside them.
    fn look(&mut self, known: &Known) {
        self.plan = preview::plan(known, &known.draft);
        let guests = match &self.plan {
            Some(Ok(plan)) => plan.guests.as_ref(),
            _ => None,
        };
        let problems = known.problems();
        for row in &mut self.form.rows {
            let path = path(row.id);
            row.error = problems
                .iter()
                .find(|problem| !problem.is_missing() && problem.about.path == path)
                .map(|problem| format!("{}: {}", problem.message, problem.hint));
            if let Ask::Figure(index, figure) = row.id {
                row.note = guests
                    .and_then(|guests| guests.guests.get(index))
                    .map(|guest| figure.reason(guest))
                    .unwrap_or_default();
            }
        }
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        let mut page = Page { title: Place::Capacity.title().to_owned(), keys: self.form.hints(), ..Page::default() };
        page.head = table(self.plan.as_ref(), theme);
        if let Some(Err(refusal)) = &self.plan {
            for reason in refusal.reasons.iter().filter(|reason| flow::about(reason) == Place::Capacity) {
                page.body.extend(wrapped(theme, Tone::Bad, &format!("! {reason}"), room.width, 2));
            }
            let elsewhere = refusal.reasons.iter().all(|reason| flow::about(reason) != Place::Capacity);
            if elsewhere {
                page.body.push(line(theme, Tone::Warn, "The disks make no plan yet, so nothing is calculated."));
            }
        } else if self.plan.is_none() && known.machine().is_some() {
            page.body.push(line(theme, Tone::Warn, "Something is missing or wrong, so nothing is calculated."));
        }
        self.form.show(&mut page, theme, room.width, false);
        page
    }
}

/// Key of the site file that a row is about.
fn path(ask: Ask) -> String {
    match ask {
        Ask::Machines => "guests.deploy".to_owned(),
        Ask::Overcommit => "guests.ssd_overcommit".to_owned(),
        Ask::HostMemory => "host.memory".to_owned(),
        Ask::Swap => "host.swap".to_owned(),
        Ask::Root => "storage.ssd.root".to_owned(),
        Ask::Reserve => "storage.ssd.reserve".to_owned(),
        Ask::Figure(index, figure) => {
            let role = roles().get(index).map(|role| role.name.to_string()).unwrap_or_default();
            format!("guests.roles.{role}.{}", figure.key())
        }
    }
}

fn rows(known: &Known) -> Vec<Row<Ask>> {
    let draft = &known.draft;
    let deploy = draft.switch("guests.deploy");
    let machines = match (draft.get("guests"), deploy) {
        (None, _) => NO_MACHINES,
        (Some(_), Some(true)) => 0,
        (Some(_), _) => 1,
    };
    let text = |ask, label: &str, note: &str| Row::text(ask, label, draft.text(&path(ask)), note);
    let options = MACHINES.map(str::to_owned).to_vec();
    let mut rows = vec![Row::choice(Ask::Machines, "Virtual machines", options, machines, "")];
    if machines < NO_MACHINES {
        let accepts = draft.switch("guests.ssd_overcommit");
        let options = vec!["shrink to fit".to_owned(), "accept up to a tenth too much".to_owned()];
        rows.push(Row::choice(Ask::Overcommit, "Volumes on SSD", options, usize::from(accepts == Some(true)), ""));
    }
    rows.push(text(Ask::HostMemory, "Memory of the host", "default 2GB"));
    rows.push(text(Ask::Swap, "Swap of the host", "default none"));
    rows.push(text(Ask::Root, "Root of the host", "default 40GB"));
    rows.push(text(Ask::Reserve, "Reserve on SSD", "stays unallocated; default the larger of 22GB and 4 %"));
    if machines < NO_MACHINES {
        for (index, role) in roles().iter().enumerate() {
            for (figure, key, name) in Figure::ALL {
                if figure == Figure::Hdd && (role.capacity.hdd.is_none() || draft.get("storage.hdd").is_none()) {
                    continue;
                }
                let value = draft.get(&format!("guests.roles.{}.{key}", role.name));
                let value = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                let label = format!("{}: {name}", role.name);
                rows.push(Row::text(Ask::Figure(index, figure), &label, value.as_deref(), ""));
            }
        }
    }
    rows
}

/// Columns of a figure in the table.
const CELL: usize = 8;

/// Host and machines here, and on the reference machine.
fn table(plan: Option<&Result<Plan, NoPlan>>, theme: Theme) -> Vec<ratatui::text::Line<'static>> {
    let cells = |cells: [String; 4]| cells.map(|cell| right(&cell, CELL)).concat();
    let names = || ["vCPUs", "RAM", "SSD", "HDD"].map(str::to_owned);
    let none = || "-".to_owned();
    let or_none = |bytes: Bytes| if bytes == Bytes::ZERO { none() } else { bytes.to_string() };
    let row = |name: &str, here: [String; 4], there: [String; 4]| {
        format!("{}{} |{}", fit(name, 8), cells(here), cells(there))
    };
    let guests = match plan {
        Some(Ok(plan)) => plan.guests.as_ref(),
        _ => None,
    };
    let mut lines = vec![
        line(theme, Tone::Heading, format!("{:<41}{}", "           on this machine", "|  on the reference machine")),
        line(theme, Tone::Heading, row("", names(), names())),
    ];
    let host = match plan {
        Some(Ok(plan)) => {
            let root = plan.volume_groups.first().map(|group| {
                let extents: u64 = group.volumes.iter().map(|volume| volume.extents).sum();
                Bytes(group.extent.0.saturating_mul(extents)).to_string()
            });
            [none(), plan.host.memory.to_string(), root.unwrap_or_else(none), none()]
        }
        _ => [none(), none(), none(), none()],
    };
    let reference = [none(), "2.00 GB".to_owned(), "40.0 GB".to_owned(), none()];
    lines.push(line(theme, Tone::Plain, row("host", host, reference)));
    for (index, role) in roles().iter().enumerate() {
        let here = guests.and_then(|guests| guests.guests.get(index)).map_or_else(
            || [none(), none(), none(), none()],
            |guest| {
                let (memory, ssd, hdd) = (guest.memory(), guest.ssd.value, guest.hdd.value);
                [guest.vcpus.value.to_string(), memory.to_string(), ssd.to_string(), or_none(hdd)]
            },
        );
        let of = &role.capacity;
        let hdd = of.hdd.as_ref().map_or(Bytes::ZERO, |hdd| hdd.reference);
        let there = [
            of.vcpus.reference.to_string(),
            of.memory.reference.to_string(),
            of.ssd.reference.to_string(),
            or_none(hdd),
        ];
        lines.push(line(theme, Tone::Accent, row(role.name.as_str(), here, there)));
    }
    lines.push(ratatui::text::Line::default());
    lines
}
