//! A text to read, with the buttons that leave the screen below it.

use crate::form::button_line;
use crate::keys::Press;
use crate::page::{At, Hint, Page};
use crate::screens::{Go, Outcome, Room};
use crate::theme::Theme;
use crate::update::scrolled;
use crate::view::body_rows;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reader {
    first: usize,
    /// Names of the buttons: one that goes on, and one that goes back where there is a screen before.
    buttons: Vec<String>,
    focus: usize,
}

impl Reader {
    pub fn new(back: bool) -> Self {
        let buttons = if back { &["Continue", "Back"][..] } else { &["Continue"][..] };
        Self { first: 0, buttons: buttons.iter().map(|name| (*name).to_owned()).collect(), focus: 0 }
    }

    /// Takes a key. `page` makes what is shown, for keys that scroll.
    pub fn press(&mut self, press: Press, room: Room, page: impl FnOnce(&Self) -> Page) -> Outcome {
        let count = self.buttons.len();
        match press {
            Press::Tab | Press::Right | Press::Ctrl('n') | Press::Char('l') => self.focus = (self.focus + 1) % count,
            Press::BackTab | Press::Left | Press::Ctrl('p') | Press::Char('h') => {
                self.focus = (self.focus + count - 1) % count;
            }
            Press::Enter if self.focus == 0 => return Outcome::go(Go::Next),
            Press::Char('n') => return Outcome::go(Go::Next),
            Press::Enter | Press::Char('p' | 'b') | Press::Esc => return Outcome::go(Go::Back),
            _ if press.scroll(1).is_some() => {
                let page = page(self);
                let rows = body_rows(&page, room);
                let by = press.scroll(rows).unwrap_or_default();
                self.first = scrolled(self.first, by, page.body.len().saturating_sub(rows));
            }
            _ => {}
        }
        Outcome::go(Go::Stay)
    }

    /// Puts the buttons below the page's text.
    pub fn show(&self, page: &mut Page, theme: Theme) {
        page.at = At::Top(self.first);
        page.foot.push(button_line(theme, &self.buttons, Some(self.focus)));
    }

    pub fn hints(&self) -> Vec<Hint> {
        let back: &[Hint] = if self.buttons.len() > 1 { &[("p", "back")] } else { &[] };
        [&[("Enter", "press"), ("j k", "scroll"), ("n", "continue")], back, &[("?", "help")]].concat()
    }
}
