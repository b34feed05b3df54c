//! Keys as the screens know them. What a bad serial line swallows or splits has another key beside it: letters, Tab, Enter and Ctrl with a
//! letter are one byte each.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Press {
    Char(char),
    Ctrl(char),
    Enter,
    Tab,
    BackTab,
    Esc,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    PageUp,
    PageDown,
}

impl Press {
    /// `None` for keys that no screen knows, and for keys that are let go.
    pub fn of(event: KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        Some(match event.code {
            // What a terminal sends for these keys are control characters: Ctrl-M, Ctrl-J, Ctrl-I and Ctrl-H.
            KeyCode::Char('m' | 'j') if control => Self::Enter,
            KeyCode::Char('i') if control => Self::Tab,
            KeyCode::Char('h') if control => Self::Backspace,
            KeyCode::Char(c) if control => Self::Ctrl(c.to_ascii_lowercase()),
            KeyCode::Char(_) if event.modifiers.contains(KeyModifiers::ALT) => return None,
            KeyCode::Char(c) => Self::Char(c),
            KeyCode::Enter => Self::Enter,
            KeyCode::Tab => Self::Tab,
            KeyCode::BackTab => Self::BackTab,
            KeyCode::Esc => Self::Esc,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            _ => return None,
        })
    }

    /// How far it scrolls a text of which `page` lines are seen; `None` where it does not.
    pub fn scroll(self, page: usize) -> Option<isize> {
        let page = isize::try_from(page.saturating_sub(1).max(1)).unwrap_or(isize::MAX);
        Some(match self {
            Self::Up | Self::Char('k') => -1,
            Self::Down | Self::Char('j') => 1,
            Self::PageUp | Self::Ctrl('b' | 'u') => -page,
            Self::PageDown | Self::Ctrl('f' | 'd') | Self::Char(' ') => page,
            Self::Home | Self::Char('g') => isize::MIN,
            Self::End | Self::Char('G') => isize::MAX,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_the_keys_that_send_them() {
        let control = |c| Press::of(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        assert_eq!(control('j'), Some(Press::Enter));
        assert_eq!(control('h'), Some(Press::Backspace));
        assert_eq!(control('L'), Some(Press::Ctrl('l')));
        let released = KeyEvent::new_with_kind(KeyCode::Char('n'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(Press::of(released), None);
        assert_eq!(Press::of(KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE)), None);
    }
}
