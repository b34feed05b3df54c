//! Secrets in memory: never printed, never serialised, overwritten when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A passphrase or key, as bytes. `Debug` and `Display` never show it; the memory is overwritten on drop.
///
/// Deliberately neither `Clone` nor `Serialize`: a secret has one owner, and travels only through a pipe or a library call.
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// Why a passphrase is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// Nothing was given.
    #[error("the passphrase is empty")]
    Empty,
    /// Below [`Passphrase::MIN_LEN`].
    #[error("the passphrase has {0} bytes; at least {min} are required", min = Passphrase::MIN_LEN)]
    Short(usize),
    /// Above [`Passphrase::MAX_LEN`].
    #[error("the passphrase has {0} bytes; at most {max} can be typed at the unlock prompt", max = Passphrase::MAX_LEN)]
    Long(usize),
    /// A character that cannot be typed at a console in early boot.
    #[error(
        "the passphrase has a control or non-ASCII character at byte {0}: the unlock prompt may not be able to type it"
    )]
    Untypable(usize),
}

impl Passphrase {
    /// Fewest bytes accepted.
    pub const MIN_LEN: usize = 8;
    /// Most bytes accepted: cryptsetup's interactive limit (`--key-file -` aside) is 512 bytes.
    pub const MAX_LEN: usize = 512;

    /// Takes what a person typed, or a file of one line; one line ending at the end is dropped, a further line is refused.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn from_line(bytes: Vec<u8>) -> Result<Self, PassphraseError> {
        let mut bytes = Zeroizing::new(bytes);
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if let Some(at) = bytes.iter().position(|b| !(0x20..0x7f).contains(b)) {
            return Err(PassphraseError::Untypable(at));
        }
        match bytes.len() {
            n if n < Self::MIN_LEN => Err(PassphraseError::Short(n)),
            n if n > Self::MAX_LEN => Err(PassphraseError::Long(n)),
            _ => Ok(Self(bytes)),
        }
    }

    /// A key of raw bytes, as from the kernel's random generator; any byte may occur.
    pub fn from_key(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself. Hand it only to a pipe or a library call.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_loses_its_ending_and_nothing_else() {
        let p = Passphrase::from_line(b"  odd horse \r\n".to_vec()).unwrap();
        assert_eq!(p.expose(), b"  odd horse ");
        assert_eq!(format!("{p:?}"), "Passphrase(***)");
    }

    #[test]
    fn what_cannot_be_typed_is_refused() {
        assert_eq!(Passphrase::from_line(b"\n".to_vec()).unwrap_err(), PassphraseError::Empty);
        assert_eq!(Passphrase::from_line(b"short".to_vec()).unwrap_err(), PassphraseError::Short(5));
        assert_eq!(Passphrase::from_line("pässphrase".into()).unwrap_err(), PassphraseError::Untypable(1));
        assert_eq!(Passphrase::from_line(b"two\nlines of it".to_vec()).unwrap_err(), PassphraseError::Untypable(3));
    }
}
