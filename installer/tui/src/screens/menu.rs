//! Things to do, beside each other below a text that can be scrolled.

use ratatui::text::Line;

use crate::form::button_line;
use crate::keys::Press;
use crate::page::{At, Page};
use crate::screens::Room;
use crate::theme::Theme;
use crate::update::scrolled;
use crate::view::body_rows;

/// See the module.
#[derive(Debug)]
pub(crate) struct Menu<D> {
    deeds: Vec<(D, &'static str)>,
    at: usize,
    /// The first line of the text that is seen.
    first: usize,
}

impl<D: Copy> Menu<D> {
    /// The first of them has the focus: it must do no harm.
    pub fn new(deeds: Vec<(D, &'static str)>) -> Self {
        Self { deeds, at: 0, first: 0 }
    }

    /// Moves or scrolls, or says which one is to be done. `page` is what [`Menu::show`] was given.
    pub fn press(&mut self, press: Press, page: &Page, room: Room) -> Option<D> {
        let count = self.deeds.len().max(1);
        match press {
            Press::Tab | Press::Right | Press::Ctrl('n') | Press::Char('l') => self.at = (self.at + 1) % count,
            Press::BackTab | Press::Left | Press::Ctrl('p') | Press::Char('h') => {
                self.at = (self.at + count - 1) % count;
            }
            Press::Enter => return self.deeds.get(self.at).map(|(deed, _)| *deed),
            _ => {
                let rows = body_rows(page, room);
                if let Some(by) = press.scroll(rows) {
                    self.first = scrolled(self.first, by, page.body.len().saturating_sub(rows));
                }
            }
        }
        None
    }

    /// Puts the buttons below the page's text, as many in a row as there is room for.
    pub fn show(&self, page: &mut Page, theme: Theme, room: Room) {
        page.at = At::Top(self.first);
        page.keys = vec![("Enter", "do it"), ("Tab h l", "move"), ("j k Space", "scroll"), ("?", "help")];
        let names: Vec<String> = self.deeds.iter().map(|(_, name)| (*name).to_owned()).collect();
        page.foot.push(Line::default());
        let mut from = 0;
        while from < names.len() {
            let fits = |to: &usize| button_line(theme, &names[from..*to], None).width() <= room.width;
            let to = (from + 1..=names.len()).take_while(fits).last().unwrap_or(from + 1);
            let focus = self.at.checked_sub(from).filter(|at| from + at < to);
            page.foot.push(button_line(theme, &names[from..to], focus));
            from = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { width: 40, rows: 24 };

    #[test]
    fn buttons_that_have_no_room_beside_the_others_stand_below_them() {
        let mut menu = Menu::new(vec![(1, "Recovery sheet"), (2, "Log"), (3, "Restart"), (4, "Shell")]);
        let lines = |menu: &Menu<i32>| {
            let mut page = Page::default();
            menu.show(&mut page, Theme::PLAIN, ROOM);
            page.foot.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(lines(&menu), ["", "  [> Recovery sheet <]  [  Log  ]", "  [  Restart  ]  [  Shell  ]"]);
        assert_eq!(menu.press(Press::BackTab, &Page::default(), ROOM), None);
        assert_eq!(lines(&menu)[2], "  [  Restart  ]  [> Shell <]");
        assert_eq!(menu.press(Press::Enter, &Page::default(), ROOM), Some(4));
        assert_eq!(menu.press(Press::Char('l'), &Page::default(), ROOM), None);
        assert_eq!(menu.press(Press::Enter, &Page::default(), ROOM), Some(1));
    }
}
