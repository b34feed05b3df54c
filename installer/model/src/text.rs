//! Text from outside on its way to a person: models, serials, keys and labels must not drive the terminal or turn a line around.

/// Whether a character does something to a terminal or to the order of a line instead of being seen: the control characters of C0
/// and C1, and those that set or override the direction of writing (Unicode Standard Annex 9).
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with a `?` for each such character but line feeds and tabs.
pub fn seen(text: &str) -> String {
    text.chars().map(|c| if !matches!(c, '\n' | '\t') && is_unseen(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_or_turns_a_line_around_is_replaced() {
        assert_eq!(seen("a\u{1b}[2J\u{9b}2J\r\t\0b\nä€"), "a?[2J?2J?\t?b\nä€");
        for c in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{61c}', '\u{200e}', '\u{200f}']) {
            assert_eq!(seen(&format!("a{c}b")), "a?b");
        }
    }
}
