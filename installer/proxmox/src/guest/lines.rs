//! The lines of a virtual machine's configuration file, told apart as Proxmox's parser does.

use std::collections::BTreeSet;
use std::fmt;

use super::text::decode;

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// What its comments say, white space at the end left out.
    pub description: String,
    /// The settings that hold now, in order; one may be there twice.
    pub settings: Vec<Setting>,
    /// What Proxmox leaves out with no more than a warning in the log.
    pub skipped: Vec<Skipped>,
}

/// A `key: value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its line, from 1.
    pub line: usize,
    /// The key.
    pub key: String,
    /// The value, without white space around it; a space for an empty one, as Proxmox has it.
    pub value: String,
}

/// A line that Proxmox leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its line, from 1.
    pub line: usize,
    /// Why.
    pub reason: Reason,
}

/// Why a line has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No `key: value`.
    NoSetting(String),
    /// A section that Proxmox does not know; all that follows goes with it.
    UnknownSection(String),
    /// A section that an earlier one has the name of: the earlier one is lost.
    SectionTwice(String),
    /// `delete` outside of the pending changes.
    Delete,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its first word alone: a password may follow.
            Self::NoSetting(text) => {
                let word: String = text.trim_start().chars().take_while(|c| !c.is_whitespace() && *c != ':').collect();
                write!(f, "a line that begins with `{}` is no setting", word.escape_debug())
            }
            Self::UnknownSection(name) => write!(f, "Proxmox knows no section `[{}]`", name.escape_debug()),
            Self::SectionTwice(name) => write!(f, "the section `[{name}]` is there twice, and the first one is lost"),
            Self::Delete => f.write_str("`delete` has a meaning in the section `[PENDING]` alone"),
        }
    }
}

impl Lines {
    /// The setting that counts: the last one of its name.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rfind(|setting| setting.key == key)
    }

    /// Reads a file. Nothing is refused: whatever has no effect is in [`Lines::skipped`]. The settings of snapshots, pending changes
    /// and the like are left out: they do not hold now.
    pub fn read(text: &str) -> Self {
        let mut file = Self::default();
        let mut sections = BTreeSet::new();
        let mut at_top = true;
        for (line, text) in (1..).zip(text.split('\n')) {
            let mut skip = |reason| file.skipped.push(Skipped { line, reason });
            let trimmed = text.trim_end_matches(is_space);
            if trimmed.is_empty() {
                continue;
            }
            if let Some(name) = section(trimmed) {
                at_top = false;
                let folded = name.to_ascii_lowercase();
                if !is_known_section(&folded) {
                    skip(Reason::UnknownSection(name.to_owned()));
                } else if !sections.insert(if folded == "pending" { folded } else { name.to_owned() }) {
                    skip(Reason::SectionTwice(name.to_owned()));
                }
            } else if !at_top {
                // Judged when it holds.
            } else if let Some(comment) = text.strip_prefix('#') {
                file.description.push_str(&decode(comment));
                file.description.push('\n');
            } else {
                match setting(text) {
                    Some(("description", value)) => file.description.push_str(&decode(value)),
                    Some(("delete", _)) => skip(Reason::Delete),
                    // What is being done to a snapshot; Proxmox drops it here.
                    Some(("snapstate", _)) => {}
                    Some((key, value)) => {
                        file.settings.push(Setting { line, key: key.to_owned(), value: value.to_owned() });
                    }
                    None => skip(Reason::NoSetting(trimmed.to_owned())),
                }
            }
        }
        file.description.truncate(file.description.trim_end().len());
        file
    }
}

/// White space as Perl sees it in bytes.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

/// What stands between brackets at the start and the end.
fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']').filter(|name| !name.contains(']'))
}

/// `[PENDING]`, `[special:...]` or a snapshot; in lower case.
fn is_known_section(name: &str) -> bool {
    let letter = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let snapshot = letter
        && name.len() >= 2
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    snapshot || name == "special:cloudinit" || name == "special:fleecing"
}

/// A key of letters, `_` and `-` with digits at its end, and a value.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b"_-".contains(&b));
    if !letters || !name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) || value.is_empty() {
        return None;
    }
    let trimmed = value.trim_matches(is_space);
    Some((key, if trimmed.is_empty() { " " } else { trimmed }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_comments_and_sections() {
        let text = "#edge%3A a\n#\n#b  \ncores: 2\r\nboot: \nargs: -x  'y: z' \ndescription: c\n\n[PENDING]\ncores: 3\n\
                    [snap-1]\ncores: x\n[special:cloudinit]\nname: y\n";
        let file = Lines::read(text);
        assert_eq!((file.description.as_str(), file.skipped.as_slice()), ("edge: a\n\nb  \nc", &[][..]));
        let found: Vec<_> = file.settings.iter().map(|s| (s.line, s.key.as_str(), s.value.as_str())).collect();
        assert_eq!(found, [(4, "cores", "2"), (5, "boot", " "), (6, "args", "-x  'y: z'")]);
    }

    #[test]
    fn the_last_one_counts() {
        let file = Lines::read("cores: 2\ncores: 3\n");
        assert_eq!(file.get("cores").map(|s| (s.line, s.value.as_str())), Some((2, "3")));
        assert_eq!(file.get("memory"), None);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let text = " cores: 2\nCores: 2\ncores:\nno setting\ncores 2\ndelete: x\n[a]\nx\n[ok]\ncores: 1\n[ok]\n[pending]\n[PENDING]\n";
        let file = Lines::read(text);
        assert_eq!(file.settings, []);
        let lines: Vec<String> = file.skipped.iter().map(|s| format!("{}: {}", s.line, s.reason)).collect();
        assert_eq!(
            lines,
            [
                "1: a line that begins with `cores` is no setting",
                "2: a line that begins with `Cores` is no setting",
                "3: a line that begins with `cores` is no setting",
                "4: a line that begins with `no` is no setting",
                "5: a line that begins with `cores` is no setting",
                "6: `delete` has a meaning in the section `[PENDING]` alone",
                "7: Proxmox knows no section `[a]`",
                "11: the section `[ok]` is there twice, and the first one is lost",
                "13: the section `[PENDING]` is there twice, and the first one is lost",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]# a-c:\\n\\r0-9]{0,60}|(?s).{0,60}") {
            let _ = Lines::read(&text);
        }
    }
}
