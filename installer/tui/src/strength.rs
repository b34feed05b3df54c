//! How many guesses a passphrase takes, on the low side: what it holds is taken for words, years and runs wherever it can be.
//!
//! A library that knows dictionaries would copy the passphrase about in memory that nobody overwrites, and would still take words of other languages for
//! random letters. Here every run of letters counts as a word, whatever the language.

/// A word somebody chose, of one that a wordlist of some 8,000 has: 13 bits (Diceware's 7776 words: 12.9).
const WORD_BITS: f64 = 13.0;
/// Letters of a word that are worth that; each further one adds [`LETTER_MORE`].
const WORD_LETTERS: usize = 8;
/// Bits a letter of running text (C. Shannon, Prediction and Entropy of Printed English, 1951: 0.6 to 1.3; words run together are less predictable).
const LETTER_MORE: f64 = 1.5;
/// Bits of one letter, digit or sign drawn at random.
const LETTER: f64 = 4.7;
const DIGIT: f64 = 3.3;
const SIGN: f64 = 5.0;
/// A run such as `1234`, `aaaa` or `qwerty`: which one, and how long.
const RUN_BITS: f64 = 6.0;
/// A year of the last or this century.
const YEAR_BITS: f64 = 7.0;
/// What everybody tries first: this many bits in all.
const KNOWN_BITS: f64 = 8.0;
/// Words that everybody tries first.
const KNOWN: [&str; 16] = [
    "password",
    "passwort",
    "passphrase",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "secret",
    "geheim",
    "changeme",
    "master",
    "sovereign",
    "proxmox",
    "iloveyou",
    "dragon",
    "monkey",
];
/// Neighbours on keyboards, and the alphabet.
const ROWS: [&str; 6] =
    ["abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl", "01234567890", "azertyuiop"];

/// What a passphrase is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rating {
    /// Guessed by whoever has a few machines and days.
    Weak,
    /// Holds off whoever has a few machines for years.
    Fair,
    /// Beyond anybody's means.
    Strong,
}

impl Rating {
    /// At a guess in two seconds on one machine (argon2id) a thousand machines make 2^9 a second, 2^34 in a year.
    pub fn of(bits: u32) -> Self {
        match bits {
            0..44 => Self::Weak,
            44..64 => Self::Fair,
            _ => Self::Strong,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Weak => "WEAK, add words",
            Self::Fair => "fair, add a word",
            Self::Strong => "strong",
        }
    }
}

/// Bits of a passphrase: the binary logarithm of the guesses it takes, estimated on the low side.
pub(crate) fn bits(text: &str) -> u32 {
    let mut seen: Vec<&str> = Vec::new();
    let mut sum = 0.0;
    for piece in pieces(text) {
        // A piece that comes again is a matter of how often.
        if seen.iter().any(|before| before.eq_ignore_ascii_case(piece)) {
            sum += 1.0;
            continue;
        }
        sum += piece_bits(piece);
        seen.push(piece);
    }
    // No sum of pieces comes near the limit, and none is negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bits = sum as u32;
    bits
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Sign,
}

fn kind(c: char) -> Kind {
    if c.is_alphabetic() {
        Kind::Letter
    } else if c.is_ascii_digit() {
        Kind::Digit
    } else {
        Kind::Sign
    }
}

/// Runs of letters, of digits, and of signs.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|before| before != kind(c)) {
            pieces.push(&text[start..at]);
            start = at;
        }
        before = Some(kind(c));
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

fn piece_bits(piece: &str) -> f64 {
    let count = piece.chars().count();
    let length = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let first = piece.chars().next().map_or(Kind::Sign, kind);
    let each = match first {
        Kind::Letter => LETTER,
        Kind::Digit => DIGIT,
        Kind::Sign => SIGN,
    };
    let all = match first {
        // Between words the separator is one choice, if it is not a blank.
        Kind::Sign if piece == " " => 0.5,
        Kind::Letter => {
            let more = f64::from(u32::try_from(count.saturating_sub(WORD_LETTERS)).unwrap_or(u32::MAX));
            (LETTER * length).min(WORD_BITS + LETTER_MORE * more) + capitals(piece)
        }
        Kind::Digit if count == 4 && (piece.starts_with("19") || piece.starts_with("20")) => YEAR_BITS,
        Kind::Digit | Kind::Sign => each * length,
    };
    if is_known(piece) {
        return KNOWN_BITS.min(all);
    }
    if is_run(piece) { RUN_BITS.min(all) } else { all }
}

/// One bit for a capital at the head or for capitals throughout, one for each other one.
fn capitals(piece: &str) -> f64 {
    let count = piece.chars().filter(|c| c.is_uppercase()).count();
    if count == 0 {
        return 0.0;
    }
    if count == 1 && piece.starts_with(char::is_uppercase) || count == piece.chars().count() {
        return 1.0;
    }
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)).min(8.0) * 1.5
}

fn is_known(piece: &str) -> bool {
    KNOWN.iter().any(|word| word.eq_ignore_ascii_case(piece))
}

/// One character over and over, or neighbours in a row.
fn is_run(piece: &str) -> bool {
    let mut chars = piece.chars();
    let Some(first) = chars.next() else { return false };
    if piece.len() < 3 {
        return false;
    }
    let all_same = chars.all(|c| c == first);
    // Without a copy: each row is gone through for the piece, forwards and backwards.
    let in_row = |row: &str, backwards: bool| {
        let row: Vec<char> = if backwards { row.chars().rev().collect() } else { row.chars().collect() };
        row.windows(piece.chars().count())
            .any(|window| window.iter().copied().eq(piece.chars().map(|c| c.to_ascii_lowercase())))
    };
    all_same || ROWS.iter().any(|row| in_row(row, false) || in_row(row, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_tries_first_is_weak_whatever_is_hung_on_it() {
        for text in [
            "password",
            "Passwort1",
            "12345678",
            "qwertyuiop",
            "aaaaaaaaaaaaaaaa",
            "admin2024!",
            "Sovereign1",
            "secretsecretsecret secret",
        ] {
            assert_eq!(Rating::of(bits(text)), Rating::Weak, "{text}: {}", bits(text));
        }
    }

    #[test]
    fn words_drawn_at_random_are_worth_what_a_word_list_says() {
        assert_eq!(bits("correct horse battery staple"), 54);
        assert_eq!(Rating::of(bits("correct horse battery staple")), Rating::Fair);
        assert_eq!(Rating::of(bits("correct horse battery staple orbit")), Rating::Strong);
        assert_eq!(Rating::of(bits("xK9#qL2!vB7&mT")), Rating::Strong);
    }

    #[test]
    fn the_same_word_again_adds_next_to_nothing() {
        assert!(bits("horse horse horse horse") < 20);
    }

    #[test]
    fn more_is_never_less() {
        let text = "Correct horse 1984, battery; staple qwerty 12345";
        let mut before = 0;
        for end in 1..=text.len() {
            // A word that turns out to be one that everybody knows may take back a few bits.
            let now = bits(&text[..end]);
            assert!(now + 20 >= before, "{}: {now} after {before}", &text[..end]);
            before = now;
        }
        assert_eq!(bits(""), 0);
    }
}
