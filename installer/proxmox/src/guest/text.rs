//! How text that is more than a word gets into a configuration file, `%XX` for what would be misread, and into a message.

/// Most characters of a value that are shown.
const SHOWN_MAX: usize = 80;

/// A description as the comments at the head of the file, one a line. Empty for none.
pub(super) fn encode_description(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    // Control characters, `%`, `:` and what is not ASCII.
    let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'%' && b != b':';
    text.split('\n').map(|line| format!("#{}\n", encode(line, plain))).collect()
}

/// A text as RFC 3986 encodes it in a URL.
pub(super) fn encode_url(text: &str) -> String {
    encode(text, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A value short enough for a line, without control characters.
pub(super) fn shorten(value: &str) -> String {
    let text: String = value.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if value.chars().nth(SHOWN_MAX).is_some() { format!("{text}...") } else { text }
}

/// The text again. A `%` without two hexadecimal digits stays, and bytes that are no UTF-8 become U+FFFD.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_description_is_comments() {
        assert_eq!(encode_description(""), "");
        assert_eq!(encode_description("# edge: 100 %\n\nGrüße\t!"), "## edge%3A 100 %25\n#\n#Gr%C3%BC%C3%9Fe%09!\n");
    }

    #[test]
    fn keys_are_as_qm_stores_them() {
        let key = "ssh-ed25519 AAAAC3Nz+/a== a@b\n";
        assert_eq!(encode_url(key), "ssh-ed25519%20AAAAC3Nz%2B%2Fa%3D%3D%20a%40b%0A");
    }

    #[test]
    fn a_value_fits_on_a_line() {
        assert_eq!(shorten("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(shorten(&"x".repeat(81)), format!("{}...", "x".repeat(80)));
    }

    #[test]
    fn what_is_no_code_stays() {
        assert_eq!(decode("100%, %zz%2"), "100%, %zz%2");
        assert_eq!(decode("%41%c3%bc%ff"), "Aü\u{fffd}");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "(?s).{0,40}") {
            prop_assert_eq!(&decode(&encode_url(&text)), &text);
            let lines: Vec<String> = encode_description(&text).lines().map(|line| decode(&line[1..])).collect();
            prop_assert_eq!(lines.join("\n"), text);
        }

        #[test]
        fn no_text_panics(text in "[%a-fü0-9]{0,20}|(?s).{0,20}") {
            let _ = decode(&text);
        }
    }
}
