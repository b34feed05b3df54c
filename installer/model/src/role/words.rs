//! Words of a role file, each with the form it must have: they become names of hosts, packages, units, and lines of files.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest label of a DNS name (RFC 1035, 2.3.4), bytes.
const LABEL_MAX: usize = 63;
/// The longest free text, characters.
const TEXT_MAX: usize = 300;

/// A text that is only made from what `$good` accepts.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $good:path, $form:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                if $good(&text) { Ok(Self(text)) } else { Err(format!("`{}` is not possible here: write {}", text.escape_debug(), $form)) }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

word!(
    /// A name that is a label of a DNS name too: no `_`, no capitals.
    Name,
    is_label,
    "1 to 63 of a-z, 0-9 and inner hyphens, a letter first"
);
word!(
    /// A Debian package (Debian Policy, 5.6.1).
    Package,
    is_package,
    "a package's name, two or more of a-z, 0-9, `+`, `-` and `.`"
);
word!(
    /// A systemd unit with its type.
    Unit,
    is_unit,
    "a unit with its type, such as \"nftables.service\""
);
word!(
    /// A tag in Proxmox VE.
    Tag,
    is_tag,
    "a tag in lower case, of a-z, 0-9, `-`, `+`, `.` and `_`"
);
word!(
    /// Where a volume is mounted.
    Mount,
    is_mount,
    "an absolute path such as \"/srv\", of a-z, 0-9, `-` and `/`"
);
word!(
    /// One line for people.
    Text,
    is_text,
    "one line of 1 to 300 characters, without blanks at its ends"
);

fn is_label(name: &str) -> bool {
    (1..=LABEL_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

fn is_unit(name: &str) -> bool {
    let kinds = [".service", ".socket", ".timer", ".target", ".mount", ".path"];
    let stem = kinds.iter().find_map(|kind| name.strip_suffix(kind));
    stem.is_some_and(|stem| {
        !stem.is_empty()
            && !stem.starts_with('-')
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.@\\".contains(&b))
    })
}

fn is_tag(tag: &str) -> bool {
    tag.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-+._".contains(&b))
}

fn is_mount(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
    parts.is_some_and(|mut parts| {
        parts.all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
    })
}

fn is_text(text: &str) -> bool {
    (1..=TEXT_MAX).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A form, what has it, and what has not.
    type Case = (fn(&str) -> bool, &'static [&'static str], &'static [&'static str]);

    #[test]
    fn each_kind_of_word_has_its_form() {
        let cases: [Case; 6] = [
            (is_label, &["edge", "a", "a-1"], &["", "1a", "a_b", "A", "-a", "a-", "a.b", "\u{e4}"]),
            (is_package, &["podman", "g++", "libc6"], &["", "a", "Podman", "a b", "-a", "a_b"]),
            (
                is_unit,
                &["nftables.service", "postgresql@17-main.service"],
                &["nftables", ".service", "a b.service", "a/b.service"],
            ),
            (is_tag, &["edge", "v1.0"], &["", "Edge", "a;b", "-a"]),
            (is_mount, &["/srv", "/srv/data"], &["", "/", "srv", "/srv/", "/../etc", "/a b"]),
            (is_text, &["a", "two words"], &["", " a", "a ", "two\nlines"]),
        ];
        for (is_good, good, bad) in cases {
            assert!(good.iter().all(|word| is_good(word)), "{good:?}");
            for word in bad {
                assert!(!is_good(word), "{word:?}");
            }
        }
    }
}
