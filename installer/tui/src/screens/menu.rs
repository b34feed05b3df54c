//! Things to do, one below the other.

use ratatui::text::Line;

use crate::form::button_line;
use crate::keys::Press;
use crate::theme::Theme;

/// See the module.
#[derive(Debug)]
pub(crate) struct Menu<D> {
    deeds: Vec<(D, &'static str)>,
    at: usize,
}

impl<D: Copy> Menu<D> {
    pub fn new(deeds: Vec<(D, &'static str)>) -> Self {
        Self { deeds, at: 0 }
    }

    /// Moves, or says which one is to be done.
    pub fn press(&mut self, press: Press) -> Option<D> {
        let count = self.deeds.len().max(1);
        match press {
            Press::Tab | Press::Down | Press::Ctrl('n') | Press::Char('j') => self.at = (self.at + 1) % count,
            Press::BackTab | Press::Up | Press::Ctrl('p') | Press::Char('k') => self.at = (self.at + count - 1) % count,
            Press::Enter | Press::Char(' ') => return self.deeds.get(self.at).map(|(deed, _)| *deed),
            _ => {}
        }
        None
    }

    /// Adds a line for each.
    pub fn show(&self, lines: &mut Vec<Line<'static>>, theme: Theme) {
        for (index, (_, name)) in self.deeds.iter().enumerate() {
            lines.push(button_line(theme, &[(*name).to_owned()], (index == self.at).then_some(0)));
        }
    }
}
