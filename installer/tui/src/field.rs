//! Fields that text is typed into, and those that secrets are.

use std::fmt;

use sovereign_model::Passphrase;
use zeroize::Zeroizing;

use crate::keys::Press;

/// Most characters of a field. An SSH key of 4096 bits has some 750.
const LONGEST: usize = 2000;

/// A line of text that is being typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TextField {
    text: Vec<char>,
    /// Where the next character goes.
    at: usize,
}

impl TextField {
    pub fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        Self { at: text.len(), text }
    }

    /// What was typed, without blanks around it.
    pub fn value(&self) -> String {
        self.text.iter().collect::<String>().trim().to_owned()
    }

    /// Takes a key; whether it was one for a text.
    pub fn press(&mut self, press: Press) -> bool {
        match press {
            Press::Char(c) if !c.is_control() => {
                if self.text.len() < LONGEST {
                    self.text.insert(self.at, c);
                    self.at += 1;
                }
            }
            Press::Backspace => {
                if self.at > 0 {
                    self.at -= 1;
                    self.text.remove(self.at);
                }
            }
            Press::Delete => {
                if self.at < self.text.len() {
                    self.text.remove(self.at);
                }
            }
            Press::Left => self.at = self.at.saturating_sub(1),
            Press::Right => self.at = (self.at + 1).min(self.text.len()),
            Press::Home | Press::Ctrl('a') => self.at = 0,
            Press::End | Press::Ctrl('e') => self.at = self.text.len(),
            Press::Ctrl('u') => {
                self.text.clear();
                self.at = 0;
            }
            _ => return false,
        }
        true
    }

    /// What of the text is shown in `width` columns, and the cursor's column in it.
    pub fn window(&self, width: usize) -> (String, usize) {
        let first = (self.at + 1).saturating_sub(width);
        (self.text.iter().skip(first).take(width).collect(), self.at - first)
    }
}

/// A secret that is being typed: only at its end, and overwritten when it is cleared or dropped.
pub(crate) struct SecretField {
    text: Zeroizing<String>,
}

impl SecretField {
    pub fn new() -> Self {
        // It never grows beyond this: a string that moves leaves a copy of itself behind.
        Self { text: Zeroizing::new(String::with_capacity(4 * (Passphrase::MAX_LEN + 1))) }
    }

    pub fn value(&self) -> &str {
        &self.text
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Takes a key; whether it was one for a text.
    pub fn press(&mut self, press: Press) -> bool {
        match press {
            Press::Char(c) if !c.is_control() => {
                if self.text.chars().count() <= Passphrase::MAX_LEN {
                    self.text.push(c);
                }
            }
            Press::Backspace => {
                self.text.pop();
            }
            Press::Ctrl('u') => self.clear(),
            _ => return false,
        }
        true
    }

    /// What is shown in `width` columns, and the cursor's column: a star for each character, or the end of the text itself.
    pub fn window(&self, width: usize, revealed: bool) -> (String, usize) {
        let count = self.text.chars().count();
        let first = (count + 1).saturating_sub(width);
        let shown = self.text.chars().skip(first).map(|c| if revealed { c } else { '*' }).collect();
        (shown, count - first)
    }
}

impl fmt::Debug for SecretField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretField(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[Press]) -> TextField {
        let mut field = TextField::new("abc");
        for key in keys {
            assert!(field.press(*key));
        }
        field
    }

    #[test]
    fn text_is_edited_where_the_cursor_is() {
        let field = typed(&[Press::Left, Press::Char('x'), Press::Home, Press::Delete, Press::Right, Press::Backspace]);
        assert_eq!(field.value(), "xc");
        assert_eq!(typed(&[Press::Ctrl('u'), Press::Char(' '), Press::Char('ä')]).value(), "ä");
        assert!(!TextField::new("").press(Press::Tab));
    }

    #[test]
    fn of_a_long_text_the_part_with_the_cursor_is_shown() {
        let mut field = TextField::new("0123456789");
        assert_eq!(field.window(5), ("6789".to_owned(), 4));
        field.press(Press::Home);
        assert_eq!(field.window(5), ("01234".to_owned(), 0));
    }

    #[test]
    fn a_secret_is_stars_until_it_is_asked_for_and_is_never_debugged() {
        let mut field = SecretField::new();
        for c in "odd horse".chars() {
            field.press(Press::Char(c));
        }
        assert_eq!(field.window(40, false).0, "*********");
        assert_eq!(field.window(6, true), ("horse".to_owned(), 5));
        assert!(!format!("{field:?}").contains("horse"));
        field.press(Press::Ctrl('u'));
        assert_eq!(field.value(), "");
    }

    #[test]
    fn a_secret_never_moves_in_memory() {
        let mut field = SecretField::new();
        let place = field.text.as_ptr();
        for _ in 0..3000 {
            field.press(Press::Char('ß'));
        }
        assert_eq!(field.text.as_ptr(), place);
    }
}
