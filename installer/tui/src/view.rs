//! Drawing: the frame around every screen, what lies over it, and what a terminal that is too small is shown.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use sovereign_model::plan::Charset;
use sovereign_model::text::is_unseen;

use crate::flow::Place;
use crate::form::button_line;
use crate::page::{Hint, Page, fit, line, wrapped};
use crate::screens::{Room, Screen};
use crate::state::{MIN_COLUMNS, MIN_ROWS, Message, Overlay, Size, State};
use crate::theme::{Theme, Tone, ascii};
use crate::update::{CANCEL, LEAVE};

/// Rows that are no screen's: the bar, a blank one, the message and the keys.
const FRAME_ROWS: u16 = 4;
/// Columns left blank on each side.
const MARGIN: u16 = 1;

/// Draws the state. The area must be [`State::size`]; a terminal that says 0x0 needs a viewport of that size.
pub fn view(state: &State, frame: &mut Frame) {
    let area = frame.area();
    if Size::of(area.width, area.height).is_enough() {
        draw(state, frame);
    } else {
        too_small(frame, state.theme);
    }
    plain(frame.buffer_mut(), state.theme.charset);
}

/// What a screen has of a terminal of this size.
pub(crate) fn room(size: Size) -> Room {
    Room {
        width: usize::from(size.columns.saturating_sub(2 * MARGIN)),
        rows: usize::from(size.rows.saturating_sub(FRAME_ROWS)),
    }
}

/// Rows of the body, which can be scrolled.
pub(crate) fn body_rows(page: &Page, room: Room) -> usize {
    room.rows.saturating_sub(page.head.len() + page.foot.len())
}

fn draw(state: &State, frame: &mut Frame) {
    let area = frame.area();
    let (theme, room) = (state.theme, room(Size { columns: area.width, rows: area.height }));
    let page = state.screen.page(&state.known, theme, room);
    let row = |y: u16| Rect { x: area.x, y: area.y + y, width: area.width, height: 1 };
    frame.render_widget(bar(state, &page, usize::from(area.width)), row(0));
    let rows = body_rows(&page, room);
    let first = page.first(rows);
    let last = (first + rows).min(page.body.len());
    let lines = page.head.iter().chain(&page.body[first..last]).chain(&page.foot);
    let blank = (first + rows).saturating_sub(page.body.len());
    let foot_from = page.head.len() + (last - first);
    for (index, line) in lines.enumerate() {
        // What stays at the bottom stands there below a short body too.
        let index = if index < foot_from { index } else { index + blank };
        let Ok(y) = u16::try_from(index) else { break };
        let in_body = (page.head.len()..foot_from).contains(&index);
        let margin = if page.edges && in_body { 0 } else { MARGIN };
        let inner = Rect { x: area.x + margin, width: area.width - 2 * margin, ..row(2 + y) };
        frame.render_widget(line, inner);
    }
    frame.render_widget(remark(state, &page, first, rows, room.width), row(area.height - 2));
    frame.render_widget(key_bar(theme, &page.keys, usize::from(area.width)), row(area.height - 1));
    if let Some(overlay) = &state.overlay {
        lay_over(state, overlay, frame);
    } else if let Some((line, column)) = page.cursor.filter(|(line, _)| (first..last).contains(line))
        && let Ok(y) = u16::try_from(2 + page.head.len() + line - first)
    {
        frame.set_cursor_position((area.x + MARGIN + column, area.y + y));
    }
}

/// The bar at the top: product and edition at the left, the screen and how far it is at the right.
fn bar(state: &State, page: &Page, width: usize) -> Line<'static> {
    let place = state.screen.place().map(|place| {
        let at = Place::ALL.iter().position(|p| *p == place).map_or(0, |at| at + 1);
        format!("  {at}/{}", Place::ALL.len())
    });
    let right = format!("{}{} ", page.title, place.unwrap_or_default());
    let left = format!(" Sovereign Appliance {} · {}", state.known.version, state.known.edition);
    let left = fit(&left, width.saturating_sub(right.chars().count() + 1));
    line(state.theme, Tone::Bar, format!("{left} {right}"))
}

/// The line above the keys: what the last key led to, or which part of the screen is seen.
fn remark(state: &State, page: &Page, first: usize, rows: usize, width: usize) -> Line<'static> {
    let theme = state.theme;
    match &state.message {
        Some(Message::Good(text)) => line(theme, Tone::Good, format!(" {}", fit(text, width))),
        Some(Message::Bad(text)) => line(theme, Tone::Bad, format!(" ! {}", fit(text, width.saturating_sub(2)))),
        None if page.body.len() > rows => {
            let text = format!("lines {}-{} of {} ", first + 1, first + rows, page.body.len());
            line(theme, Tone::Dim, format!("{text:>width$} ", width = width + 1))
        }
        None => Line::default(),
    }
}

fn key_bar(theme: Theme, keys: &[Hint], width: usize) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (key, what) in keys {
        used += key.chars().count() + what.chars().count() + 4;
        if used > width + 3 {
            break;
        }
        spans.push(Span::styled((*key).to_owned(), theme.style(Tone::Accent)));
        spans.push(Span::raw(format!(" {what}   ")));
    }
    Line::from(spans)
}

fn lay_over(state: &State, overlay: &Overlay, frame: &mut Frame) {
    let theme = state.theme;
    let width = usize::from(frame.area().width.min(76)).saturating_sub(4);
    match overlay {
        Overlay::Help(first) => {
            let lines = help(state, width);
            let rows = lines.len().min(usize::from(frame.area().height.saturating_sub(6)));
            let first = (*first).min(lines.len() - rows);
            let more = lines.len() > rows;
            let title = if more { "Help: j k scroll, any other key closes" } else { "Help: any key closes" };
            boxed(frame, theme, title, &lines[first..first + rows]);
        }
        Overlay::Leave(at) => {
            let mut lines = wrapped(theme, Tone::Plain, leaving(state), width, 0);
            lines.push(Line::default());
            lines.extend((0..LEAVE.len()).map(|i| button_line(theme, &[LEAVE[i].to_owned()], (i == *at).then_some(0))));
            boxed(frame, theme, "Ctrl-C: j k or Tab, then Enter", &lines);
        }
        Overlay::Cancel(at) => {
            let text = if state.known.touched {
                "Cancel the installation? This attempt has written nothing yet; an earlier one has, and the disks hold an unfinished installation."
            } else {
                "Cancel the installation? Nothing was written to any disk yet."
            };
            let mut lines = wrapped(theme, Tone::Plain, text, width, 0);
            lines.push(Line::default());
            lines.push(button_line(theme, &CANCEL.map(str::to_owned), Some(*at)));
            boxed(frame, theme, "Ctrl-C: Tab, then Enter", &lines);
        }
    }
}

/// What is left behind by whoever leaves now.
fn leaving(state: &State) -> &'static str {
    match &state.screen {
        Screen::Done(_) => "Leave the installer? The machine is installed.",
        _ if state.known.touched => "Leave the installer? The disks hold an unfinished installation.",
        _ => "Leave the installer? Nothing was written to any disk.",
    }
}

/// The help's lines.
pub(crate) fn help(state: &State, width: usize) -> Vec<Line<'static>> {
    const KEYS: &str = "\
Everywhere:
  Tab, Ctrl-N or arrows go on, Ctrl-P back; where no text is typed j and k do too
  Enter or Space presses a button, n goes on to the next screen, p back
  Ctrl-G helps, also where ? is text; Ctrl-L draws the screen anew
  Ctrl-C asks what to do; it never breaks off what is running";
    let mut lines = Vec::new();
    for text in [state.screen.help(), "", KEYS] {
        if text.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(wrapped(state.theme, Tone::Plain, text, width, 0));
    }
    lines
}

/// A box in the middle.
fn boxed(frame: &mut Frame, theme: Theme, title: &str, lines: &[Line<'static>]) {
    let area = frame.area();
    let inner = usize::from(area.width.min(76)).saturating_sub(4);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = area.width.min(76);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let rule = |left: &str, text: &str, right: &str| {
        let text = if text.is_empty() { String::new() } else { format!(" {text} ") };
        let fill = "─".repeat((inner + 1).saturating_sub(text.chars().count()));
        line(theme, Tone::Accent, format!("{left}─{text}{fill}{right}"))
    };
    let mut all = vec![rule("┌", title, "┐")];
    for text in lines {
        let edge = |text: &str| Span::styled(text.to_owned(), theme.style(Tone::Accent));
        let mut spans = vec![edge("│ ")];
        let blank = " ".repeat(inner.saturating_sub(text.width()));
        spans.extend(text.spans.iter().map(|span| Span::styled(span.content.clone(), text.style.patch(span.style))));
        spans.extend([Span::raw(blank), edge(" │")]);
        all.push(Line::from(spans));
    }
    all.push(rule("└", "", "┘"));
    // A blank column on each side keeps it apart from what is below.
    let around = Rect { x: place.x.saturating_sub(1), width: (width + 2).min(area.width), ..place };
    frame.render_widget(Clear, around);
    frame.render_widget(Paragraph::new(all), place);
}

fn too_small(frame: &mut Frame, theme: Theme) {
    let area = frame.area();
    let text = format!(
        "This terminal has {}x{} characters; the installer needs {MIN_COLUMNS}x{MIN_ROWS}. Enlarge it: nothing is lost, and what is running goes on.",
        area.width, area.height
    );
    let lines = wrapped(theme, Tone::Plain, &text, usize::from(area.width), 0);
    frame.render_widget(Paragraph::new(lines), area);
}

/// Replaces what must not reach the terminal: characters that drive it or turn a line around, and in ASCII everything else.
fn plain(buffer: &mut Buffer, charset: Charset) {
    for cell in &mut buffer.content {
        if cell.symbol().contains(is_unseen) {
            cell.set_symbol("?");
        }
        if charset == Charset::Ascii && !cell.symbol().is_ascii() {
            let nearest = ascii(cell.symbol());
            cell.set_symbol(nearest);
        }
    }
}
