//! A form: rows with a label and something to answer, one of which has the focus, and two buttons below them.

use ratatui::text::{Line, Span};

use crate::field::{SecretField, TextField};
use crate::keys::Press;
use crate::page::{At, Page, fit, line, wrapped};
use crate::theme::{Theme, Tone};

/// Columns of the labels.
const LABEL: usize = 22;
/// Most columns of a field.
const FIELD: usize = 64;

/// Something to answer.
#[derive(Debug)]
pub(crate) enum Control {
    /// A line of text.
    Text(TextField),
    /// A secret.
    Secret(SecretField),
    /// One of some things.
    Choice {
        /// Their names.
        options: Vec<String>,
        /// Which one.
        at: usize,
    },
    /// Something to do.
    Button,
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row<I> {
    /// Which one it is.
    pub id: I,
    /// What is asked.
    pub label: String,
    /// The answer.
    pub control: Control,
    /// A remark below it.
    pub note: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl<I> Row<I> {
    pub fn text(id: I, label: &str, text: Option<&str>, note: &str) -> Self {
        Self::new(id, label, Control::Text(TextField::new(text.unwrap_or_default())), note)
    }

    pub fn secret(id: I, label: &str, note: &str) -> Self {
        Self::new(id, label, Control::Secret(SecretField::new()), note)
    }

    pub fn choice(id: I, label: &str, options: Vec<String>, at: usize, note: &str) -> Self {
        let at = at.min(options.len().saturating_sub(1));
        Self::new(id, label, Control::Choice { options, at }, note)
    }

    pub fn button(id: I, label: &str, note: &str) -> Self {
        Self::new(id, label, Control::Button, note)
    }

    fn new(id: I, label: &str, control: Control, note: &str) -> Self {
        Self { id, label: label.to_owned(), control, note: note.to_owned(), error: None }
    }
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act<I> {
    /// At most the focus moved.
    None,
    /// The answer of this row changed.
    Changed(I),
    /// This button was pressed.
    Pressed(I),
    /// On to the next screen.
    Next,
    /// Back to the one before.
    Back,
    /// The form does not know the key.
    Unknown,
}

/// A form. After its rows come the buttons that leave the screen.
#[derive(Debug)]
pub(crate) struct Form<I> {
    pub rows: Vec<Row<I>>,
    focus: usize,
}

impl<I: Copy + PartialEq> Form<I> {
    pub fn new(rows: Vec<Row<I>>) -> Self {
        Self { rows, focus: 0 }
    }

    /// Other rows in place of those there are; the focus stays on the row it was on, where that is still there.
    pub fn replace(&mut self, rows: Vec<Row<I>>) {
        let id = self.rows.get(self.focus).map(|row| row.id);
        self.focus = match id {
            Some(id) => rows.iter().position(|row| row.id == id).unwrap_or(0),
            None => rows.len() + self.focus - self.rows.len(),
        };
        self.rows = rows;
    }

    /// The row that has the focus; `None` on the buttons below the rows.
    pub fn focused(&self) -> Option<&Row<I>> {
        self.rows.get(self.focus)
    }

    pub fn focus_on(&mut self, id: I) {
        self.focus = self.rows.iter().position(|row| row.id == id).unwrap_or(self.focus);
    }

    /// Moves the focus to the first row with an error; whether there is one.
    pub fn focus_on_error(&mut self) -> bool {
        let found = self.rows.iter().position(|row| row.error.is_some());
        self.focus = found.unwrap_or(self.focus);
        found.is_some()
    }

    /// Whether letters are text now.
    pub fn is_typing(&self) -> bool {
        self.focused().is_some_and(|row| matches!(row.control, Control::Text(_) | Control::Secret(_)))
    }

    pub fn row(&self, id: I) -> Option<&Row<I>> {
        self.rows.iter().find(|row| row.id == id)
    }

    pub fn row_mut(&mut self, id: I) -> Option<&mut Row<I>> {
        self.rows.iter_mut().find(|row| row.id == id)
    }

    /// What was typed into a row; empty where there is no such row.
    pub fn value(&self, id: I) -> String {
        match self.row(id).map(|row| &row.control) {
            Some(Control::Text(field)) => field.value(),
            _ => String::new(),
        }
    }

    /// Which option of a row is chosen; the first where there is no such row.
    pub fn chosen(&self, id: I) -> usize {
        match self.row(id).map(|row| &row.control) {
            Some(Control::Choice { at, .. }) => *at,
            _ => 0,
        }
    }

    /// What was typed into a secret row.
    pub fn secret(&self, id: I) -> &str {
        match self.row(id).map(|row| &row.control) {
            Some(Control::Secret(field)) => field.value(),
            _ => "",
        }
    }

    fn places(&self) -> usize {
        self.rows.len() + 2
    }

    fn step(&mut self, forward: bool) {
        let places = self.places();
        self.focus = (self.focus + if forward { 1 } else { places - 1 }) % places;
    }

    pub fn press(&mut self, press: Press) -> Act<I> {
        match press {
            Press::Tab | Press::Down | Press::Ctrl('n') => self.step(true),
            Press::BackTab | Press::Up | Press::Ctrl('p') => self.step(false),
            Press::Esc => return Act::Back,
            _ => return self.press_on(press),
        }
        Act::None
    }

    /// A key for what has the focus.
    fn press_on(&mut self, press: Press) -> Act<I> {
        let continues = self.focus == self.rows.len();
        let Some(row) = self.rows.get_mut(self.focus) else {
            return match press {
                Press::Enter | Press::Char(' ') if continues => Act::Next,
                Press::Enter | Press::Char(' ') => Act::Back,
                // The buttons stand beside each other.
                Press::Left | Press::Right | Press::Char('h' | 'l') => {
                    self.focus = if continues { self.focus + 1 } else { self.rows.len() };
                    Act::None
                }
                _ => self.letter(press),
            };
        };
        let id = row.id;
        let changed = match &mut row.control {
            Control::Text(field) => field.press(press),
            Control::Secret(field) => field.press(press),
            Control::Choice { options, at } => {
                let count = options.len().max(1);
                match press {
                    Press::Right | Press::Char('l' | ' ') => *at = (*at + 1) % count,
                    Press::Left | Press::Char('h') => *at = (*at + count - 1) % count,
                    _ => return if press == Press::Enter { self.enter() } else { self.letter(press) },
                }
                true
            }
            Control::Button => match press {
                Press::Enter | Press::Char(' ') => return Act::Pressed(id),
                _ => return self.letter(press),
            },
        };
        if changed {
            return Act::Changed(id);
        }
        if press == Press::Enter { self.enter() } else { Act::Unknown }
    }

    fn enter(&mut self) -> Act<I> {
        self.step(true);
        Act::None
    }

    /// Letters where none are typed.
    fn letter(&mut self, press: Press) -> Act<I> {
        match press {
            Press::Char('j') => self.step(true),
            Press::Char('k') => self.step(false),
            Press::Char('n') => return Act::Next,
            Press::Char('p' | 'b') => return Act::Back,
            _ => return Act::Unknown,
        }
        Act::None
    }

    /// Puts the rows onto a page, below what is there.
    pub fn show(&self, page: &mut Page, theme: Theme, width: usize, revealed: bool) {
        for (index, row) in self.rows.iter().enumerate() {
            let focus = index == self.focus;
            if focus {
                page.at = At::Line(page.body.len());
            }
            let (lines, cursor) = show_row(row, focus, theme, width, revealed);
            if let Some((below, column)) = cursor {
                page.cursor = Some((page.body.len() + below, column));
            }
            page.body.extend(lines);
            let indent = LABEL + 2;
            let room = width.saturating_sub(indent);
            let (tone, text) = match &row.error {
                Some(error) => (Tone::Bad, format!("! {error}")),
                None => (Tone::Dim, row.note.clone()),
            };
            for text in crate::page::wrap(&text, room, 0) {
                page.body.push(line(theme, tone, format!("{}{text}", " ".repeat(indent))));
            }
        }
        page.body.push(Line::default());
        let buttons = ["Continue", "Back"].map(str::to_owned);
        if self.focus >= self.rows.len() {
            page.at = At::Line(page.body.len());
        }
        page.body.push(button_line(theme, &buttons, self.focus.checked_sub(self.rows.len())));
    }

    /// The keys that are of use now.
    pub fn hints(&self) -> Vec<crate::page::Hint> {
        match self.focused().map(|row| &row.control) {
            Some(Control::Text(_) | Control::Secret(_)) => {
                vec![("Tab", "next"), ("Ctrl-P", "previous"), ("Ctrl-U", "clear"), ("Ctrl-G", "help")]
            }
            Some(Control::Choice { .. }) => {
                vec![("Space h l", "change"), ("Tab j k", "move"), ("n", "continue"), ("p", "back"), ("?", "help")]
            }
            Some(Control::Button) | None => {
                vec![("Enter", "press"), ("Tab j k", "move"), ("n", "continue"), ("p", "back"), ("?", "help")]
            }
        }
    }
}

fn show_row<I>(
    row: &Row<I>,
    focus: bool,
    theme: Theme,
    width: usize,
    revealed: bool,
) -> (Vec<Line<'static>>, Option<(usize, u16)>) {
    let mark = if focus { "> " } else { "  " };
    let tone = if focus { Tone::Focus } else { Tone::Plain };
    let label = Span::styled(format!("{mark}{}", fit(&row.label, LABEL)), theme.style(tone));
    let room = width.saturating_sub(LABEL + 2);
    let field = |(text, column): (String, usize), room: usize| {
        let text = format!("[{text:_<room$}]");
        let column = u16::try_from(LABEL + 3 + column).ok();
        let cursor = column.filter(|_| focus).map(|column| (0, column));
        (vec![Line::from(vec![label.clone(), Span::styled(text, theme.style(tone))])], cursor)
    };
    let columns = room.saturating_sub(2).min(FIELD);
    match &row.control {
        Control::Text(text) => field(text.window(columns), columns),
        Control::Secret(secret) => field(secret.window(columns, revealed), columns),
        Control::Button => {
            let text = button(&row.label, focus);
            let style = theme.style(if focus { Tone::Bar } else { Tone::Accent });
            let blank = Span::raw(format!("{mark}{}", " ".repeat(LABEL)));
            (vec![Line::from(vec![blank, Span::styled(text, style)])], None)
        }
        Control::Choice { options, at } => (show_choice(&label, options, *at, theme, room), None),
    }
}

/// The options beside each other where there is room, or below each other.
fn show_choice(label: &Span<'static>, options: &[String], at: usize, theme: Theme, room: usize) -> Vec<Line<'static>> {
    let option = |(index, name): (usize, &String)| {
        let chosen = index == at;
        let text = format!("({}) {name}", if chosen { "*" } else { " " });
        Span::styled(text, theme.style(if chosen { Tone::Accent } else { Tone::Plain }))
    };
    let spans: Vec<Span<'static>> = options.iter().enumerate().map(option).collect();
    let beside: usize = spans.iter().map(|span| span.width() + 3).sum();
    if beside <= room + 3 {
        let mut line = vec![label.clone()];
        for (index, span) in spans.into_iter().enumerate() {
            line.extend((index > 0).then(|| Span::raw("   ")));
            line.push(span);
        }
        return vec![Line::from(line)];
    }
    let below = Span::raw(" ".repeat(LABEL + 2));
    let lead = |index| if index == 0 { label.clone() } else { below.clone() };
    spans.into_iter().enumerate().map(|(index, span)| Line::from(vec![lead(index), span])).collect()
}

fn button(name: &str, focus: bool) -> String {
    if focus { format!("[> {name} <]") } else { format!("[  {name}  ]") }
}

/// Buttons beside each other; `focus` is the one that has it.
pub(crate) fn button_line(theme: Theme, names: &[String], focus: Option<usize>) -> Line<'static> {
    let mut line = vec![Span::raw("  ")];
    for (index, name) in names.iter().enumerate() {
        line.extend((index > 0).then(|| Span::raw("  ")));
        let focus = focus == Some(index);
        line.push(Span::styled(button(name, focus), theme.style(if focus { Tone::Bar } else { Tone::Accent })));
    }
    Line::from(line)
}

/// A heading above rows.
pub(crate) fn introduce(page: &mut Page, theme: Theme, width: usize, text: &str) {
    page.body.extend(wrapped(theme, Tone::Plain, text, width, 0));
    page.body.push(Line::default());
}
