//! Disks: all of them, and which pool each is for. A choice by hand names disks by their serial numbers, never by their kernel names.

use sovereign_model::Bytes;
use sovereign_model::inventory::{Class, Disk};
use sovereign_model::plan::{self, Pool, Rejection, transport_name};
use sovereign_model::site::{Draft, HealthPolicy, Match};

use crate::flow::{self, Place};
use crate::form::button_line;
use crate::keys::Press;
use crate::page::{At, Page, fit, line, right, spans, wrapped};
use crate::screens::{Go, Outcome, Room};
use crate::state::Known;
use crate::theme::{Theme, Tone};
use crate::{preview, proposal};

pub(crate) const HELP: &str = "\
Two pools are built: SSD, a mirror of two flash disks that the machine boots from, and HDD, striped mirrors of an even number of disks for bulk data. A \
machine without an HDD pool is valid. A pool can also be one volume of a RAID controller; one disk alone is for laboratories, and only a site file can ask for it.

s puts the disk under the cursor into the SSD pool, h into the HDD pool, o takes it out; Space goes round.

Below each disk stands what is on it: all of that is destroyed on disks that are chosen, and on no others. A disk that cannot be chosen says why. The disk that \
carries this installer never can.

What you choose is written down by serial number, so another order of cables or another boot changes nothing.";

/// A disk, and what it is for.
#[derive(Debug)]
struct Entry {
    disk: Disk,
    /// Why it can be in no pool at all.
    unfit: Option<String>,
    /// Why the site file's match leaves it out.
    left_out: Option<String>,
    pool: Option<Pool>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Disks {
    entries: Vec<Entry>,
    /// Index of the entry under the cursor; beyond the entries: Continue, Back.
    focus: usize,
    /// Whether the pools are as the site file's match says, and not chosen here.
    by_match: bool,
    /// What speaks against the choice.
    against: Vec<String>,
}

impl Disks {
    pub fn new(known: &Known) -> Self {
        let disks = known.machine().map_or(&[][..], |machine| &machine.disks);
        let disks: Vec<Disk> = disks.iter().map(Disk::normalised).collect();
        let matches = [(Pool::Ssd, known.matching("ssd")), (Pool::Hdd, known.matching("hdd"))];
        let by_match = matches.iter().any(|(_, matching)| matching.is_some());
        let pools: Vec<(Pool, &Match)> =
            matches.iter().filter_map(|(pool, matching)| Some((*pool, matching.as_ref()?))).collect();
        let policy = known.health_policy();
        let chosen = proposal::pools(&disks, &policy);
        let mut entries: Vec<Entry> = plan::judge(&disks, &pools, &policy)
            .into_iter()
            .map(|verdict| {
                let unfit = unfit(&verdict.disk, &disks, &policy);
                let fits = |pool| if by_match { verdict.fits(pool) } else { chosen.of(&verdict.disk) == Some(pool) };
                let pool = [Pool::Ssd, Pool::Hdd].into_iter().find(|pool| unfit.is_none() && fits(*pool));
                let left_out = verdict.pools.iter().filter_map(|(_, rejection)| rejection.as_ref()).next_back();
                let left_out = left_out.filter(|_| pool.is_none()).map(Rejection::to_string);
                Entry { unfit: unfit.map(|why| why.to_string()), left_out, pool, disk: verdict.disk }
            })
            .collect();
        // Those that can be chosen first, flash before what spins, large before small; equal ones by serial.
        entries.sort_by_key(|e| (e.unfit.is_some(), e.disk.rotational, std::cmp::Reverse(e.disk.size)));
        let mut screen = Self { entries, focus: 0, by_match, against: Vec::new() };
        screen.judge(known);
        screen
    }

    fn of_pool(&self, pool: Pool) -> Vec<&Disk> {
        self.entries.iter().filter(|entry| entry.pool == Some(pool)).map(|entry| &entry.disk).collect()
    }

    pub fn press(&mut self, press: Press, known: &mut Known) -> Outcome {
        let places = self.entries.len() + 2;
        let on_disk = self.focus < self.entries.len();
        match press {
            Press::Tab | Press::Down | Press::Ctrl('n') | Press::Char('j') => self.focus = (self.focus + 1) % places,
            Press::BackTab | Press::Up | Press::Ctrl('p') | Press::Char('k') => {
                self.focus = (self.focus + places - 1) % places;
            }
            Press::Left | Press::Right | Press::Char('l') if !on_disk => self.focus = 2 * places - 3 - self.focus,
            Press::Char('s') => return self.put(Some(Pool::Ssd), known),
            Press::Char('h') => return self.put(Some(Pool::Hdd), known),
            Press::Char('o') => return self.put(None, known),
            Press::Char(' ') if on_disk => {
                let next = match self.entries[self.focus].pool {
                    None => Some(Pool::Ssd),
                    Some(Pool::Ssd) => Some(Pool::Hdd),
                    Some(Pool::Hdd) => None,
                };
                return self.put(next, known);
            }
            Press::Enter if on_disk => self.focus += 1,
            Press::Enter | Press::Char(' ') if self.focus == self.entries.len() => return self.leave(known),
            Press::Char('n') => return self.leave(known),
            Press::Enter | Press::Char(' ' | 'p' | 'b') | Press::Esc => return Outcome::go(Go::Back),
            _ => {}
        }
        Outcome::go(Go::Stay)
    }

    /// Puts the disk under the cursor into a pool, or takes it out.
    fn put(&mut self, pool: Option<Pool>, known: &mut Known) -> Outcome {
        let Some(entry) = self.entries.get_mut(self.focus) else { return Outcome::go(Go::Stay) };
        if let Some(why) = entry.unfit.as_ref().filter(|_| pool.is_some()) {
            return Outcome::bad(format!("{} cannot be chosen: {why}", entry.disk.kernel_name));
        }
        if entry.pool != pool {
            entry.pool = pool;
            self.by_match = false;
            self.entries.iter_mut().for_each(|entry| entry.left_out = None);
            self.write(&mut known.draft);
            self.judge(known);
        }
        Outcome::go(Go::Stay)
    }

    fn leave(&mut self, known: &mut Known) -> Outcome {
        if !self.by_match {
            self.write(&mut known.draft);
        }
        self.judge(known);
        if self.against.is_empty() {
            return Outcome::go(Go::Next);
        }
        Outcome::bad("these disks make no plan: see above")
    }

    /// Writes the choice into the site: the disks of each pool by name.
    fn write(&self, draft: &mut Draft) {
        for (pool, name, array) in [(Pool::Ssd, "ssd", "raid1"), (Pool::Hdd, "hdd", "raid10")] {
            let disks = self.of_pool(pool);
            let alone = draft.text(&format!("storage.{name}.raid")) == Some("none");
            let raid = match Redundancy::of(&disks, alone) {
                Redundancy::Array => array,
                Redundancy::Hardware => "hardware",
                Redundancy::None => "none",
            };
            let section = format!("storage.{name}");
            if disks.is_empty() {
                draft.remove(&section);
                continue;
            }
            let (key, names) = names(&disks);
            draft.set(&format!("{section}.raid"), raid);
            draft.set(&format!("{section}.disks"), i64::try_from(disks.len()).unwrap_or(i64::MAX));
            draft.remove(&format!("{section}.match"));
            draft.set(&format!("{section}.match.{key}"), names);
        }
    }

    /// Finds out what speaks against the choice.
    fn judge(&mut self, known: &Known) {
        let in_storage = |path: &str| Place::asking(path) == Some(Place::Disks);
        let mut draft = known.draft.clone();
        if !self.by_match {
            self.write(&mut draft);
        }
        let problems = draft.problems().into_iter().filter(|p| in_storage(&p.about.path));
        self.against = if self.of_pool(Pool::Ssd).is_empty() {
            vec![
                "the SSD pool needs two flash disks of one size, or one volume of a RAID controller: choose with s"
                    .to_owned(),
            ]
        } else {
            problems.map(|problem| format!("{}: {}", problem.message, problem.hint)).collect()
        };
        if self.against.is_empty()
            && let Some(Err(refusal)) = preview::plan(known, &draft)
        {
            let reasons = refusal.reasons.iter().filter(|reason| flow::about(reason) == Place::Disks);
            self.against = reasons.map(ToString::to_string).collect();
        }
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        let keys = vec![
            ("s", "SSD"),
            ("h", "HDD"),
            ("o", "out"),
            ("j k", "move"),
            ("n", "continue"),
            ("p", "back"),
            ("?", "help"),
        ];
        let mut page = Page { title: Place::Disks.title().to_owned(), keys, ..Page::default() };
        let wide = Columns::of(room.width);
        page.head.push(line(theme, Tone::Heading, wide.head()));
        for (index, entry) in self.entries.iter().enumerate() {
            if index == self.focus {
                page.at = At::Line(page.body.len());
            }
            entry.show(index == self.focus, wide, theme, room.width, &mut page);
        }
        if self.entries.is_empty() {
            page.body.push(line(theme, Tone::Bad, "! This machine shows no disks at all."));
        }
        for why in &self.against {
            page.foot.extend(wrapped(theme, Tone::Bad, &format!("! {why}"), room.width, 2));
        }
        page.foot.truncate(MOST_FOOT);
        let summary = [(Pool::Ssd, "SSD", "RAID 1"), (Pool::Hdd, "HDD", "RAID 10")].map(|(pool, name, raid)| {
            let disks = self.of_pool(pool);
            let said = known.draft.text(&format!("storage.{}.raid", plan::pool_name(pool)));
            let whole = disks.iter().map(|disk| disk.size.get()).min().unwrap_or(0);
            let pairs = u64::try_from(disks.len() / 2).unwrap_or(0);
            match (disks.len(), Redundancy::of(&disks, said == Some("none"))) {
                (0, _) => format!("{name}: none"),
                (_, Redundancy::Hardware) => format!("{name}: RAID volume, {}", Bytes(whole)),
                (_, Redundancy::None) => format!("{name}: 1 disk, NO COPY"),
                (1, Redundancy::Array) => format!("{name}: 1 disk"),
                (n, Redundancy::Array) => format!("{name}: {n} disks, {raid}, {}", Bytes(whole.saturating_mul(pairs))),
            }
        });
        let how = if self.by_match && known.site_file.is_some() { "   (site file)" } else { "" };
        page.foot.push(line(theme, Tone::Accent, format!("{}   {}{how}", summary[0], summary[1])));
        let buttons = ["Continue", "Back"].map(str::to_owned);
        page.foot.push(button_line(theme, &buttons, self.focus.checked_sub(self.entries.len())));
        page
    }
}

/// Most lines of what speaks against the choice: the disks must be seen too.
const MOST_FOOT: usize = 6;

/// Widths of the table's columns.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    serial: usize,
    model: usize,
}

impl Columns {
    /// Of what the other columns take: mark, pool, size, transport and blanks.
    const OTHERS: usize = 2 + 4 + 8 + 8 + 2;

    fn of(width: usize) -> Self {
        let name = 10;
        let rest = width.saturating_sub(Self::OTHERS + name);
        let serial = (rest * 2 / 5).min(24);
        Self { name, serial, model: rest.saturating_sub(serial) }
    }

    fn head(self) -> String {
        format!(
            "  pool {} {} {} {} model",
            fit("disk", self.name),
            right("size", 7),
            fit("by", 7),
            fit("serial", self.serial)
        )
    }
}

impl Entry {
    fn show(&self, focus: bool, columns: Columns, theme: Theme, width: usize, page: &mut Page) {
        let disk = &self.disk;
        let tone = match (focus, self.pool, &self.unfit) {
            (true, ..) => Tone::Focus,
            (_, Some(_), _) => Tone::Accent,
            (_, None, Some(_)) => Tone::Dim,
            _ => Tone::Plain,
        };
        let pool = match self.pool {
            Some(Pool::Ssd) => "SSD",
            Some(Pool::Hdd) => "HDD",
            None => "-",
        };
        let serial = disk.serial.as_ref().or(disk.wwn.as_ref()).map_or("-", String::as_str);
        let text = format!(
            "{} {pool:<4} {} {} {} {} {}",
            if focus { ">" } else { " " },
            fit(&disk.kernel_name, columns.name),
            right(&disk.size.to_string(), 7),
            fit(transport_name(disk.transport), 7),
            fit(serial, columns.serial),
            fit(if disk.model.is_empty() { "-" } else { &disk.model }, columns.model),
        );
        page.body.push(line(theme, tone, text.trim_end()));
        let blank = " ".repeat(7);
        let room = width.saturating_sub(blank.len());
        let what = contents(disk);
        let empty = disk.contents.as_ref().is_some_and(Vec::is_empty);
        let (tone, what) = match (self.pool, empty) {
            (Some(_), false) => (Tone::Bad, format!("! will be destroyed: {what}")),
            (_, true) => (Tone::Dim, "empty".to_owned()),
            (None, false) => (Tone::Dim, format!("holds {what}")),
        };
        if let Some((tone, text)) = crate::screens::state_text(disk) {
            page.body
                .push(spans(theme, [(Tone::Plain, blank.clone()), (tone, fit(&text, room).trim_end().to_owned())]));
        }
        let why = self.unfit.as_ref().or(self.left_out.as_ref());
        let why = why.map(|why| format!("not chosen: {why}; ")).unwrap_or_default();
        let room = room.saturating_sub(why.chars().count());
        page.body.push(spans(
            theme,
            [(Tone::Plain, blank), (Tone::Warn, why), (tone, fit(&what, room).trim_end().to_owned())],
        ));
    }
}

/// What is on a disk, in a few words: `Proxmox VE; gpt, ext4 "data"`.
fn contents(disk: &Disk) -> String {
    let Some(contents) = &disk.contents else { return "what could not be read".to_owned() };
    let mut words: Vec<String> = Vec::new();
    for content in contents {
        let label = content.label.as_ref().map(|label| format!(" \"{label}\"")).unwrap_or_default();
        let word = format!("{}{label}", content.kind);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let owners: Vec<String> = disk.belongs.iter().map(ToString::to_string).collect();
    [owners.join(", "), words.join(", ")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Who keeps the second copy of what is on a pool of these disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redundancy {
    Array,
    Hardware,
    None,
}

impl Redundancy {
    /// `alone`: the site file says that one disk will do. Nobody comes to that by taking out a disk here.
    fn of(disks: &[&Disk], alone: bool) -> Self {
        match disks {
            [only] if matches!(only.class, Class::HardwareRaid { .. }) => Self::Hardware,
            [_] if alone => Self::None,
            _ => Self::Array,
        }
    }
}

/// Why no pool can have this disk, even if it is named.
fn unfit(disk: &Disk, all: &[Disk], policy: &HealthPolicy) -> Option<Rejection> {
    let (key, names) = names(&[disk]);
    let matching = match key {
        "serials" => Match { serials: names, ..Match::default() },
        _ => Match { wwns: names, ..Match::default() },
    };
    let verdicts = plan::judge(all, &[(Pool::Hdd, &matching)], policy);
    let verdict = verdicts.into_iter().find(|verdict| verdict.disk == *disk)?;
    verdict.pools.into_iter().next()?.1
}

/// What disks are named by: serials where all have one, WWNs otherwise.
fn names(disks: &[&Disk]) -> (&'static str, Vec<String>) {
    let of = |id: fn(&Disk) -> &Option<String>| disks.iter().map(|disk| id(disk).clone()).collect::<Option<Vec<_>>>();
    match (of(|disk| &disk.serial), of(|disk| &disk.wwn)) {
        (Some(serials), _) => ("serials", serials),
        (None, Some(wwns)) => ("wwns", wwns),
        (None, None) => ("serials", disks.iter().filter_map(|disk| disk.serial.clone()).collect()),
    }
}

impl Known {
    /// The match of a pool as far as it is right, `ssd` or `hdd`; `None` where there is none.
    fn matching(&self, pool: &str) -> Option<Match> {
        let section = format!("storage.{pool}");
        self.draft.get(&section)?;
        self.draft.section::<Match>(&format!("{section}.match"))
    }

    /// Which disks are too bad, as the draft has it so far.
    fn health_policy(&self) -> HealthPolicy {
        self.draft.section("storage.health").unwrap_or_default()
    }
}
