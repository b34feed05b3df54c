//! The console's bytes as plain text: escape sequences removed, every line end one `\n`.

/// Where the filter stands inside an escape sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte such as `(`: one more byte belongs to it.
    EscapeIntermediate,
    /// Control sequence, up to its final byte 0x40-0x7e.
    Csi,
    /// Operating system command or another string, up to BEL or ESC `\`.
    String,
    /// ESC seen inside a string.
    StringEscape,
}

/// Removes escape sequences (ECMA-48) from a stream, however it is cut into pieces.
#[derive(Debug, Default)]
pub struct Plain {
    state: State,
    /// A carriage return was seen and not yet written.
    pending_return: bool,
    /// Bytes of a UTF-8 character that is not complete yet.
    partial: Vec<u8>,
}

impl Plain {
    /// Appends what `bytes` add to the plain text.
    pub fn feed(&mut self, bytes: &[u8], out: &mut String) {
        for &byte in bytes {
            self.byte(byte);
        }
        let valid = match std::str::from_utf8(&self.partial) {
            // An incomplete character at the end waits for its rest; anything else is replaced.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let rest = self.partial.split_off(valid);
        out.push_str(&String::from_utf8_lossy(&self.partial));
        self.partial = rest;
    }

    fn byte(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Text, 0x1b) => State::Escape,
            (State::Text, _) => {
                self.text(byte);
                State::Text
            }
            (State::Escape, b'[') => State::Csi,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
            (State::Escape, 0x20..=0x2f) => State::EscapeIntermediate,
            (State::Csi, 0x40..=0x7e)
            | (State::Escape | State::EscapeIntermediate, _)
            | (State::String, 0x07)
            | (State::StringEscape, b'\\') => State::Text,
            (State::Csi, _) => State::Csi,
            (State::String, 0x1b) => State::StringEscape,
            (State::String | State::StringEscape, _) => State::String,
        };
    }

    fn text(&mut self, byte: u8) {
        match byte {
            b'\r' => self.pending_return = true,
            b'\n' => {
                self.pending_return = false;
                self.partial.push(b'\n');
            }
            b'\t' | 0x20..=0x7e | 0x80..=0xff => {
                if std::mem::take(&mut self.pending_return) {
                    self.partial.push(b'\n');
                }
                self.partial.push(byte);
            }
            // Bells, backspaces and the like carry no text.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pieces: &[&[u8]]) -> String {
        let mut filter = Plain::default();
        let mut out = String::new();
        for piece in pieces {
            filter.feed(piece, &mut out);
        }
        out
    }

    #[test]
    fn colours_titles_and_charsets_vanish() {
        assert_eq!(plain(&[b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07a\x1b(Bb\x1b]8;;u\x1b\\c"]), "red abc");
    }

    #[test]
    fn a_sequence_cut_in_two_vanishes_too() {
        assert_eq!(plain(&[b"a\x1b", b"[3", b"1mb\xc3", b"\xa9"]), "abé");
    }

    #[test]
    fn carriage_returns_end_lines_once() {
        assert_eq!(plain(&[b"a\r\r\nb\r", b"c\r\n"]), "a\nb\nc\n");
    }

    #[test]
    fn broken_utf8_does_not_stall_the_stream() {
        assert_eq!(plain(&[b"a\xffb", b"c"]), "a\u{fffd}bc");
    }
}
