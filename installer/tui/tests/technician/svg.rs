//! A screen as a picture for the documentation.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Width and height of a character, in the picture's units.
const CELL: (usize, usize) = (9, 19);
/// Blank around the screen.
const EDGE: usize = 10;
const PAPER: &str = "#16181d";
const INK: &str = "#d5d8de";
const FAINT: &str = "#8b919c";

fn colour(colour: Option<Color>, otherwise: &'static str) -> &'static str {
    match colour {
        Some(Color::Red) => "#ef6b6b",
        Some(Color::Green) => "#7fc97f",
        Some(Color::Yellow) => "#e0b84f",
        Some(Color::Blue) => "#2f5fb3",
        Some(Color::Cyan) => "#62c3d0",
        Some(Color::White) => "#ffffff",
        _ => otherwise,
    }
}

/// The screen as SVG, with its colours.
pub fn svg(buffer: &Buffer) -> String {
    let (columns, rows) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2 * EDGE, rows * CELL.1 + 2 * EDGE);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"15\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{PAPER}\"/>\n"
    );
    for (y, row) in buffer.content.chunks(columns).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a.style() == b.style()) {
            let style = run[0].style();
            let text: String = run.iter().map(Cell::symbol).collect();
            let (left, top) = (EDGE + x * CELL.0, EDGE + y * CELL.1);
            let length = run.len() * CELL.0;
            if style.bg.is_some_and(|bg| bg != Color::Reset) {
                let fill = colour(style.bg, PAPER);
                writeln!(
                    out,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{length}\" height=\"{}\" fill=\"{fill}\"/>",
                    CELL.1
                )
                .unwrap();
            }
            if !text.trim().is_empty() {
                let faint = style.add_modifier.contains(Modifier::DIM);
                let fill = colour(style.fg, if faint { FAINT } else { INK });
                let bold = if style.add_modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
                writeln!(
                    out,
                    "<text x=\"{left}\" y=\"{}\" textLength=\"{length}\" fill=\"{fill}\"{bold}>{text}</text>",
                    top + 14
                )
                .unwrap();
            }
            x += run.len();
        }
    }
    out.push_str("</svg>\n");
    out
}
