//! Summary: the plan as a tree and as a picture, what will be destroyed, and the consent.

use ratatui::text::Line;
use sovereign_model::plan::{Charset, NoPlan, Plan};

use crate::cmd::{Cmd, Consent, Install, Source, word_of};
use crate::field::TextField;
use crate::flow::{self, Place};
use crate::form::button_line;
use crate::keys::Press;
use crate::msg::Medium;
use crate::page::{At, Page, line, wrapped};
use crate::screens::{Go, Outcome, Room};
use crate::state::Known;
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
Everything that will be done, to the byte. Lines marked ! are disks that are erased, and what is on them.

t changes between the tree and the picture of the layers. e goes to a screen to change something. w writes the answers into a file, site.toml, without secrets: with it the \
same installation can be made again without questions.

i goes on to the last question. There the word to type is part of the serial number of the first disk: look for it above. Nothing is written before.";

/// What is shown.
#[derive(Debug)]
enum Part {
    /// The plan as a tree, from this line on.
    Tree(usize),
    /// As a picture.
    Picture(usize),
    /// Which screen to go to.
    Change(usize),
    /// The last question.
    Consent { word: TextField, focus: Focus },
}

/// What has the focus in the last question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Word,
    No,
    Yes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Summary {
    part: Part,
    plan: Option<Result<Plan, NoPlan>>,
}

impl Summary {
    pub fn new(known: &Known) -> Self {
        Self { part: Part::Tree(0), plan: known.plan() }
    }

    /// Another look at the machine: the plan may be another one, and what was typed about the old one is void.
    pub fn look(&mut self, known: &Known) {
        *self = Self::new(known);
    }

    pub fn press(&mut self, press: Press, known: &mut Known, theme: Theme, room: Room) -> Outcome {
        match &mut self.part {
            Part::Consent { .. } => self.press_consent(press, known),
            Part::Change(at) => {
                let count = Place::CHANGING.len();
                match press {
                    Press::Tab | Press::Down | Press::Char('j') | Press::Ctrl('n') => *at = (*at + 1) % count,
                    Press::BackTab | Press::Up | Press::Char('k') | Press::Ctrl('p') => *at = (*at + count - 1) % count,
                    Press::Enter | Press::Char(' ') => return Outcome::go(Go::To(Place::CHANGING[*at])),
                    Press::Char(c @ '1'..='6') => {
                        let at = usize::try_from(u32::from(c) - u32::from('1')).unwrap_or(0);
                        return Outcome::go(Go::To(Place::CHANGING[at]));
                    }
                    _ => self.part = Part::Tree(0),
                }
                Outcome::go(Go::Stay)
            }
            Part::Tree(_) | Part::Picture(_) => self.press_plan(press, known, theme, room),
        }
    }

    fn press_plan(&mut self, press: Press, known: &mut Known, theme: Theme, room: Room) -> Outcome {
        match press {
            Press::Char('t') | Press::Tab => {
                self.part = if matches!(self.part, Part::Tree(_)) { Part::Picture(0) } else { Part::Tree(0) };
            }
            Press::Char('e') => self.part = Part::Change(0),
            Press::Char('w') => return Self::save(known),
            Press::Char('i' | 'n') | Press::Enter => return self.ask(known),
            Press::Char('p' | 'b') | Press::Esc => return Outcome::go(Go::Back),
            _ if press.scroll(1).is_some() => {
                let page = self.page(known, theme, room);
                let rows = crate::view::body_rows(&page, room);
                let by = press.scroll(rows).unwrap_or_default();
                if let Part::Tree(first) | Part::Picture(first) = &mut self.part {
                    *first = crate::update::scrolled(*first, by, page.body.len().saturating_sub(rows));
                }
            }
            _ => {}
        }
        Outcome::go(Go::Stay)
    }

    fn save(known: &Known) -> Outcome {
        match known.draft.without_secrets().site().map(|site| site.to_toml()) {
            Ok(Ok(toml)) => Outcome::cmd(Cmd::SaveSite { toml: format!("{SAVED}{toml}") }),
            Ok(Err(error)) => Outcome::bad(error.to_string()),
            Err(_) => Outcome::bad("something is missing or wrong: change it with e first"),
        }
    }

    /// On to the last question, if there is a plan to agree to.
    fn ask(&mut self, known: &Known) -> Outcome {
        if let Medium::Damaged(_) = known.medium {
            return Outcome::bad("the medium is damaged, so nothing can be installed from it");
        }
        if known.wants_passphrase() {
            return Outcome::go(Go::To(Place::Encryption));
        }
        if !matches!(self.plan, Some(Ok(_))) {
            return Outcome::bad("there is no plan to agree to: change what is said above with e");
        }
        self.part = Part::Consent { word: TextField::default(), focus: Focus::Word };
        Outcome::go(Go::Stay)
    }

    fn press_consent(&mut self, press: Press, known: &mut Known) -> Outcome {
        let (Part::Consent { word: typed, focus }, Some(Ok(plan))) = (&mut self.part, &self.plan) else {
            return Outcome::go(Go::Stay);
        };
        let consent = Consent::typed(&typed.value(), plan);
        let forward = match press {
            Press::Tab | Press::Down | Press::Ctrl('n') => Some(true),
            Press::BackTab | Press::Up | Press::Ctrl('p') => Some(false),
            Press::Right | Press::Char('l' | 'j') if *focus != Focus::Word => Some(true),
            Press::Left | Press::Char('h' | 'k') if *focus != Focus::Word => Some(false),
            _ => None,
        };
        if let Some(forward) = forward {
            *focus = match (*focus, forward) {
                (Focus::Word, true) | (Focus::Yes, false) => Focus::No,
                (Focus::No, true) | (Focus::Word, false) => Focus::Yes,
                (Focus::Yes, true) | (Focus::No, false) => Focus::Word,
            };
            return Outcome::go(Go::Stay);
        }
        match (press, *focus, consent) {
            (Press::Esc, ..) | (Press::Enter | Press::Char(' '), Focus::No, _) => {
                self.part = Part::Tree(0);
                Outcome::go(Go::Stay)
            }
            (Press::Enter, Focus::Word, Some(_)) => {
                *focus = Focus::No;
                Outcome::go(Go::Stay)
            }
            (Press::Enter | Press::Char(' '), Focus::Yes, Some(consent)) => install(plan, consent, known),
            (Press::Enter, _, None) | (Press::Char(' '), Focus::Yes, None) => {
                *focus = Focus::Word;
                Outcome::bad("that is not the word: nothing was written")
            }
            (press, Focus::Word, _) => {
                typed.press(press);
                Outcome::go(Go::Stay)
            }
            _ => Outcome::go(Go::Stay),
        }
    }

    pub fn is_typing(&self) -> bool {
        matches!(self.part, Part::Consent { focus: Focus::Word, .. })
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        let mut page = Page { title: Place::Summary.title().to_owned(), ..Page::default() };
        match (&self.part, &self.plan) {
            (Part::Change(at), _) => change(*at, known, theme, room, &mut page),
            (Part::Consent { word, focus }, Some(Ok(plan))) => consent(plan, word, *focus, theme, room, &mut page),
            (Part::Tree(first), Some(Ok(plan))) => {
                page.at = At::Top(*first);
                page.body = marked(&plan.tree_in(theme.charset), theme, room);
                plan_foot(plan, "picture", theme, room, &mut page);
            }
            (Part::Picture(first), Some(Ok(plan))) => {
                page.at = At::Top(*first);
                // The picture is as wide as the smallest terminal.
                page.edges = room.width < PICTURE_COLUMNS;
                page.body =
                    plan.topology_in(theme.charset).lines().map(|text| line(theme, Tone::Plain, text)).collect();
                plan_foot(plan, "tree", theme, room, &mut page);
            }
            (Part::Tree(first) | Part::Picture(first), Some(Err(refusal))) => {
                page.at = At::Top(*first);
                refused(refusal, theme, room, &mut page);
            }
            (_, None) | (Part::Consent { .. }, Some(Err(_))) => unfinished(known, theme, room, &mut page),
        }
        page
    }
}

/// Columns of the picture.
const PICTURE_COLUMNS: usize = 80;

/// Head of a site file that is saved.
const SAVED: &str = "# Written by the installer from what was answered on its screens. It holds no secret: the passphrase is asked for again.\n\n";

/// Takes the secrets out of what is known and starts.
fn install(plan: &Plan, consent: Consent, known: &mut Known) -> Outcome {
    let recovery = known.recovery.as_ref().map(|key| sovereign_model::Passphrase::from_key(key.as_bytes().to_vec()));
    let install = Install { site: plan.site.clone(), passphrase: known.passphrase.take(), recovery, consent };
    Outcome { go: Go::Install(Box::new(plan.clone())), cmds: vec![Cmd::Install(Box::new(install))], message: None }
}

const KEYS: [crate::page::Hint; 7] = [
    ("i", "install"),
    ("t", ""),
    ("j k", "scroll"),
    ("e", "change"),
    ("w", "save site.toml"),
    ("p", "back"),
    ("?", "help"),
];

fn plan_foot(plan: &Plan, other: &'static str, theme: Theme, room: Room, page: &mut Page) {
    page.keys = KEYS.map(|(key, what)| (key, if key == "t" { other } else { what })).to_vec();
    page.foot.push(Line::default());
    let count = plan.disks.len();
    let warnings = match plan.warnings.len() {
        0 => String::new(),
        1 => " 1 warning is at the end of the tree.".to_owned(),
        n => format!(" {n} warnings are at the end of the tree."),
    };
    let names = names(plan);
    let text = format!("! {count} disks will be erased: {names}. Nothing is written before you type a word.{warnings}");
    page.foot.extend(wrapped(theme, Tone::Bad, &text, room.width, 2));
}

fn names(plan: &Plan) -> String {
    plan.disks.iter().map(|disk| disk.kernel_name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The tree, its lines broken to the width, what is destroyed in its own tone.
fn marked(tree: &str, theme: Theme, room: Room) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for text in tree.lines() {
        let lead: String = text.chars().take_while(|c| " │├└─|`-".contains(*c)).collect();
        let rest = &text[lead.len()..];
        let tone = if rest.starts_with("! ") { Tone::Bad } else { Tone::Plain };
        // What hangs below goes on below, under the same bars.
        let hang: String = lead
            .chars()
            .map(|c| match c {
                '├' | '│' if theme.charset == Charset::Unicode => '│',
                '|' => '|',
                _ => ' ',
            })
            .collect();
        let width = room.width.saturating_sub(lead.chars().count());
        for (index, piece) in crate::page::wrap(rest, width, 0).into_iter().enumerate() {
            let lead = if index == 0 { lead.clone() } else { hang.clone() };
            lines.push(crate::page::spans(theme, [(Tone::Dim, lead), (tone, piece)]));
        }
    }
    lines
}

fn refused(refusal: &NoPlan, theme: Theme, room: Room, page: &mut Page) {
    page.keys = vec![("e", "change"), ("j k", "scroll"), ("p", "back"), ("?", "help")];
    page.body.push(line(theme, Tone::Bad, "! There is no plan for this machine. Nothing was written."));
    page.body.push(Line::default());
    for reason in &refusal.reasons {
        page.body.extend(wrapped(theme, Tone::Plain, &format!("- {reason}"), room.width, 2));
        let place = flow::about(reason).title();
        page.body.push(line(theme, Tone::Accent, format!("  e changes it: {place}")));
    }
}

fn unfinished(known: &Known, theme: Theme, room: Room, page: &mut Page) {
    page.keys = vec![("e", "change"), ("p", "back"), ("?", "help")];
    let problems = known.problems();
    if problems.is_empty() {
        page.body.push(line(theme, Tone::Plain, "Looking at the machine ..."));
        return;
    }
    page.body.push(line(theme, Tone::Bad, "! Something is missing or wrong. Nothing was written."));
    page.body.push(Line::default());
    for problem in problems {
        let text = format!("- {}: {}", problem.message, problem.hint);
        page.body.extend(wrapped(theme, Tone::Plain, &text, room.width, 2));
        let remedy = match Place::asking(&problem.about.path) {
            Some(place) => format!("  e changes it: {}", place.title()),
            None => "  only the site file can say it: correct the file, and start again".to_owned(),
        };
        page.body.push(line(theme, Tone::Accent, remedy));
    }
}

fn change(at: usize, known: &Known, theme: Theme, room: Room, page: &mut Page) {
    page.keys = vec![("1-6 Enter", "go there"), ("j k", "move"), ("p", "close")];
    page.body.extend(wrapped(theme, Tone::Plain, "What is to be changed?", room.width, 0));
    page.body.push(Line::default());
    let open = flow::open(known);
    for (index, place) in Place::CHANGING.into_iter().enumerate() {
        let focus = index == at;
        let mark = if focus { ">" } else { " " };
        let state = if open.contains(&place) { "  ! open" } else { "" };
        let tone = if focus { Tone::Focus } else { Tone::Plain };
        page.body.push(line(theme, tone, format!("{mark} {} {}{state}", index + 1, place.title())));
    }
}

fn consent(plan: &Plan, typed: &TextField, focus: Focus, theme: Theme, room: Room, page: &mut Page) {
    page.keys = vec![("Tab", "next"), ("Enter", "answer"), ("Ctrl-G", "help")];
    page.body.push(line(theme, Tone::Bad, "! Everything on these disks will be destroyed:"));
    page.body.push(Line::default());
    for disk in &plan.disks {
        let id = disk.id.serial.as_ref().or(disk.id.wwn.as_ref()).map_or("-", String::as_str);
        let holds = match disk.destroys.len() {
            0 => "empty",
            _ => "NOT EMPTY",
        };
        let size = disk.id.size.to_string();
        let text = format!("  ! {:<9} {size:>7}  {id:<16} {holds:<9}  {}", disk.kernel_name, disk.model);
        page.body.push(line(theme, Tone::Bad, crate::page::fit(&text, room.width).trim_end()));
    }
    page.body.push(Line::default());
    let (word, source) = word_of(plan);
    let length = word.chars().count();
    let of = plan.disks.first().map_or("", |disk| disk.kernel_name.as_str());
    let question = match source {
        Source::Serial(serial) => {
            format!("To agree, type the last {length} characters of the serial number of {of}, {serial}:")
        }
        Source::Wwn(wwn) => format!("To agree, type the last {length} characters of the WWN of {of}, {wwn}:"),
        Source::Hash => format!("To agree, type the first {length} characters of the plan's hash, {}:", plan.hash()),
    };
    page.body.extend(wrapped(theme, Tone::Plain, &question, room.width, 0));
    page.body.push(Line::default());
    let (text, column) = typed.window(12);
    let mark = if focus == Focus::Word { ">" } else { " " };
    let tone = if focus == Focus::Word { Tone::Focus } else { Tone::Plain };
    if focus == Focus::Word {
        page.cursor = u16::try_from(3 + column).ok().map(|column| (page.body.len(), column));
    }
    page.at = At::Line(page.body.len() + 2);
    page.body.push(line(theme, tone, format!("{mark} [{text:_<12}]")));
    page.body.push(Line::default());
    let buttons = ["No, go back", "Erase the disks and install"].map(str::to_owned);
    let at = match focus {
        Focus::Word => None,
        Focus::No => Some(0),
        Focus::Yes => Some(1),
    };
    page.body.push(button_line(theme, &buttons, at));
}
