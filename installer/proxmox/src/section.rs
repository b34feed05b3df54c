//! The format of storage.cfg and its kin: sections of a header `type: id` and indented `key value` lines, a blank line after each.
//!
//! Proxmox's reader forgives much: what it cannot place it skips with a warning in the log. This one says all of it.

use std::fmt;

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Line of its header, from 1.
    pub line: usize,
    /// What stands before the colon, such as `lvmthin`.
    pub kind: String,
    /// What stands after it.
    pub id: String,
    /// Its lines, in order.
    pub entries: Vec<Entry>,
}

impl Section {
    /// The value of a key; the first one, as Proxmox keeps.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}

/// A `key value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its line, from 1.
    pub line: usize,
    /// The key.
    pub key: String,
    /// The value, without space around it; empty for a key alone.
    pub value: String,
}

/// What Proxmox would skip without a word to whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where, from 1.
    pub line: usize,
    /// Why.
    pub reason: Reason,
}

/// Why a line has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A header inside a section that no blank line has ended: all that follows goes to the section above.
    SwallowedHeader {
        /// The header.
        header: String,
        /// The section that swallows it.
        into: String,
    },
    /// A line in a section that is not indented.
    NotIndented(String),
    /// A line outside a section that is no header.
    NoHeader(String),
    /// A key that the section has already.
    DuplicateKey(String),
    /// An id that an earlier section has: that one is lost.
    DuplicateId(String),
    /// A line of spaces alone ends no section.
    SpacesOnly,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.reason {
            Reason::SwallowedHeader { header, into } => {
                write!(f, "the header `{header}` is swallowed by `{into}`, which no blank line has ended")
            }
            Reason::NotIndented(line) => write!(f, "`{line}` is not indented and has no effect"),
            Reason::NoHeader(line) => write!(f, "`{line}` belongs to no section and has no effect"),
            Reason::DuplicateKey(key) => write!(f, "`{key}` is there twice; the first one counts"),
            Reason::DuplicateId(id) => write!(f, "`{id}` is there twice; the first one is lost"),
            Reason::SpacesOnly => f.write_str("only spaces: that does not end a section"),
        }
    }
}

/// Reads sections, and what of the text has no effect. An id that comes twice is there twice.
pub fn parse(text: &str) -> (Vec<Section>, Vec<Skipped>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut skipped = Vec::new();
    let mut open = false;
    for (line, text) in (1..).zip(text.split('\n')) {
        let mut skip = |reason| skipped.push(Skipped { line, reason });
        if text.trim_start().starts_with('#') {
            continue;
        }
        if text.is_empty() {
            open = false;
        } else if let (true, Some(section)) = (open, sections.last_mut()) {
            match (text.starts_with(char::is_whitespace), text.trim()) {
                (true, "") => skip(Reason::SpacesOnly),
                (true, rest) => {
                    let (key, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                    if section.get(key).is_some() {
                        skip(Reason::DuplicateKey(key.to_owned()));
                    } else {
                        section.entries.push(Entry { line, key: key.to_owned(), value: value.trim().to_owned() });
                    }
                }
                (false, rest) if header(text).is_some() => {
                    let into = format!("{}: {}", section.kind, section.id);
                    skip(Reason::SwallowedHeader { header: rest.to_owned(), into });
                }
                (false, rest) => skip(Reason::NotIndented(rest.to_owned())),
            }
        } else if let Some((kind, id)) = header(text) {
            if sections.iter().any(|section| section.id == id) {
                skip(Reason::DuplicateId(id.to_owned()));
            }
            sections.push(Section { line, kind: kind.to_owned(), id: id.to_owned(), entries: Vec::new() });
            open = true;
        } else if !text.trim().is_empty() {
            skip(Reason::NoHeader(text.trim().to_owned()));
        }
    }
    (sections, skipped)
}

/// `type: id`, both without spaces.
fn header(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_end();
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    // The last colon before a space splits, as in a greedy pattern; without any space, the last one that leaves an id.
    let (kind, id) = match first.strip_suffix(':') {
        Some(kind) => (kind, text.get(first.len()..)?.trim()),
        None => text.rsplit_once(':')?,
    };
    let word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    (word(kind) && word(id)).then_some((kind, id))
}

/// Writes a section with the blank line that ends it.
pub fn write(kind: &str, id: &str, entries: &[(&str, &str)]) -> String {
    let mut text = format!("{kind}: {id}\n");
    for (key, value) in entries {
        text.push_str(&format!("\t{key} {value}\n"));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_as_proxmox_writes_them() {
        let (sections, skipped) = parse(
            "dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n\tdisable\n\n# note\nlvm:bulk\n\tvgname bulk\n",
        );
        assert_eq!(skipped, []);
        let ids: Vec<_> = sections.iter().map(|s| (s.line, s.kind.as_str(), s.id.as_str())).collect();
        assert_eq!(ids, [(1, "dir", "local"), (7, "lvm", "bulk")]);
        assert_eq!(sections[0].get("content"), Some("iso,backup"));
        assert_eq!(sections[0].get("disable"), Some(""));
        assert_eq!(sections[1].get("path"), None);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let text = "dir: local\n\tpath /a\n\tpath /b\nlvm: bulk\nstray\n \n\tvgname x\n\nstray\ndir: local\n";
        let (sections, skipped) = parse(text);
        assert_eq!(sections.len(), 2);
        // The swallowed section's own lines go to the one above.
        assert_eq!(sections[0].get("vgname"), Some("x"));
        let lines: Vec<String> = skipped.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "line 3: `path` is there twice; the first one counts",
                "line 4: the header `lvm: bulk` is swallowed by `dir: local`, which no blank line has ended",
                "line 5: `stray` is not indented and has no effect",
                "line 6: only spaces: that does not end a section",
                "line 9: `stray` belongs to no section and has no effect",
                "line 10: `local` is there twice; the first one is lost",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ \t\na-c:#]{0,60}|(?s).{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read(
            kind in "[a-z]{1,8}",
            id in "[a-z][a-z0-9._-]{0,8}[a-z0-9]",
            entries in prop::collection::btree_map("[a-z][a-z-]{0,8}", "[!-~]([ -~]{0,12}[!-~])?", 0..6),
        ) {
            let pairs: Vec<(&str, &str)> = entries.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let text = write(&kind, &id, &pairs);
            let (sections, skipped) = parse(&text);
            prop_assert_eq!(skipped, []);
            prop_assert_eq!(sections.len(), 1);
            prop_assert_eq!((&sections[0].kind, &sections[0].id), (&kind, &id));
            let found: Vec<(&str, &str)> =
                sections[0].entries.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
            prop_assert_eq!(found, pairs);
        }
    }
}
