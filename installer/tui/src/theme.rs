//! How the screens look on a terminal: with line drawing and colours, or in ASCII alone.

use ratatui::style::{Color, Modifier, Style};
pub use sovereign_model::plan::Charset;

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Which characters.
    pub charset: Charset,
    /// Whether it has colours, and shows bold and inverse text. Nothing on a screen is said by colour alone.
    pub colour: bool,
}

/// What a piece of text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Text.
    Plain,
    /// The bar at the top, and buttons that have the focus.
    Bar,
    /// Headings.
    Heading,
    /// Remarks that may be skipped.
    Dim,
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Wrong, or destroyed.
    Bad,
    /// Keys, and what can be changed.
    Accent,
    /// The line that has the focus.
    Focus,
}

impl Theme {
    /// Line drawing and colours.
    pub const FULL: Self = Self { charset: Charset::Unicode, colour: true };
    /// ASCII without colours.
    pub const PLAIN: Self = Self { charset: Charset::Ascii, colour: false };

    /// What the terminal `term`, the value of `TERM`, is known to show. `glyphs`: the console's font has the box drawing characters, where
    /// the terminal is the kernel's own console, `linux`.
    pub fn of_terminal(term: &str, glyphs: bool) -> Self {
        match term {
            "" | "dumb" | "unknown" => Self::PLAIN,
            term if term.starts_with("vt") => Self::PLAIN,
            "linux" if !glyphs => Self { charset: Charset::Ascii, colour: true },
            _ => Self::FULL,
        }
    }

    /// The style of a text.
    pub fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        if !self.colour {
            return style;
        }
        match tone {
            Tone::Plain => style,
            Tone::Bar => style.fg(Color::White).bg(Color::Blue).add_modifier(Modifier::BOLD),
            Tone::Heading => style.add_modifier(Modifier::BOLD),
            // Not the faint attribute: on the kernel's console that is dark grey, which with a font of 512 characters, as Debian loads for
            // UTF-8, is black. This grey is the console's ordinary text, and less than that elsewhere.
            Tone::Dim => style.fg(Color::Gray),
            Tone::Good => style.fg(Color::Green),
            Tone::Warn => style.fg(Color::Yellow),
            Tone::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Accent => style.fg(Color::Cyan),
            Tone::Focus => style.fg(Color::Cyan).add_modifier(Modifier::BOLD),
        }
    }
}

/// The nearest ASCII of a character that screens use; `?` for any other.
pub(crate) fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "─" | "━" | "·" => "-",
        "│" | "┃" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" | "✓" => "+",
        "•" => "*",
        "…" => "~",
        "█" => "#",
        "░" => ".",
        "›" => ">",
        "‹" => "<",
        "✗" => "x",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_of_old_and_consoles_without_glyphs_are_shown_ascii() {
        for term in ["vt100", "vt220", "dumb", ""] {
            assert_eq!(Theme::of_terminal(term, true), Theme::PLAIN, "{term}");
        }
        assert_eq!(Theme::of_terminal("linux", false).charset, Charset::Ascii);
        for term in ["linux", "xterm-256color", "tmux-256color", "screen"] {
            assert_eq!(Theme::of_terminal(term, true), Theme::FULL, "{term}");
        }
    }

    #[test]
    fn without_colours_no_text_has_a_style() {
        for tone in [Tone::Bar, Tone::Bad, Tone::Dim, Tone::Focus] {
            assert_eq!(Theme::PLAIN.style(tone), Style::new());
        }
    }
}
