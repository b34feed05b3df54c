//! Shows a database to a person or a program, without what is secret in it.

use std::fmt::Write as _;

use serde::Serialize;

use super::mask::{HIDDEN, masked};
use super::read::{Database, Placed, Row, Value, escaped};
use super::{TYPE_DIRECTORY, TYPE_FILE, paths};

/// A database as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The version counter.
    pub version: Option<i64>,
    /// What is wrong with the table or the file.
    pub damage: Vec<String>,
    /// Every entry but the version counter, sorted by path; those that have none come last.
    pub entries: Vec<Listed>,
}

/// An entry as shown. A number that is none is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its path; only its name where no way leads to it from the root.
    pub path: String,
    /// Whether a way leads to it from the root.
    pub reachable: bool,
    /// Its number.
    pub inode: Option<i64>,
    /// Its directory's number.
    pub parent: Option<i64>,
    /// Version of its last change.
    pub version: Option<i64>,
    /// Who changed it.
    pub writer: Option<i64>,
    /// 4 for a directory, 8 for a file.
    #[serde(rename = "type")]
    pub kind: Option<i64>,
    /// Length of its data, bytes.
    pub size: usize,
    /// When it was changed, seconds since 1970.
    pub mtime: Option<i64>,
    /// What is in it.
    pub content: Content,
}

/// The contents of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "text")]
pub enum Content {
    /// A directory, or no data.
    Empty,
    /// Text.
    Text(String),
    /// No text.
    Binary,
    /// Private keys, tokens, passwords, and what cannot be said to be none.
    Secret,
}

/// What is shown of a database. Nothing below any `priv`, no private key and no value that is named like a secret is in it.
pub fn listing(database: &Database) -> Listing {
    let mut entries: Vec<Listed> = database
        .places()
        .into_iter()
        .filter(|(row, _)| row.inode() != Some(0))
        .map(|(row, place)| listed(row, &place))
        .collect();
    entries.sort_by(|a, b| (!a.reachable, &a.path, a.inode).cmp(&(!b.reachable, &b.path, b.inode)));
    let damage = database.table.iter().chain(&database.damage).cloned().collect();
    Listing { version: database.version(), damage, entries }
}

fn listed(row: &Row, place: &Placed) -> Listed {
    let path = match place {
        Placed::At(path) => Some(path),
        Placed::Lost => None,
    };
    Listed {
        path: path.map_or_else(|| row.shown_name(), |path| escaped(path)),
        reachable: path.is_some(),
        inode: row.inode(),
        parent: row.parent.integer(),
        version: row.version.integer(),
        writer: row.writer.integer(),
        kind: row.kind.integer(),
        size: row.data.bytes().len(),
        mtime: row.mtime.integer(),
        content: content(path.map(String::as_str), &row.data),
    }
}

fn content(path: Option<&str>, data: &Value) -> Content {
    let bytes = data.bytes();
    if bytes.is_empty() {
        return Content::Empty;
    }
    // Where an entry would be is unknown: it may have been below `priv`.
    if path.is_none_or(paths::is_secret) {
        return Content::Secret;
    }
    let printable = |text: &&str| !text.chars().any(|c| c.is_control() && !['\n', '\t', '\r'].contains(&c));
    match std::str::from_utf8(bytes).ok().filter(printable) {
        None => Content::Binary,
        Some(text) if text.contains("PRIVATE KEY") => Content::Secret,
        Some(text) => Content::Text(masked(path.unwrap_or_default(), text)),
    }
}

/// A listing to be read by a person.
pub fn dump(database: &Database) -> String {
    let listing = listing(database);
    let mut text = format!("version {}\n", number(listing.version));
    for damage in &listing.damage {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "! {damage}");
    }
    for entry in &listing.entries {
        let kind = match entry.kind {
            Some(TYPE_DIRECTORY) => "directory".to_owned(),
            Some(TYPE_FILE) => "file".to_owned(),
            other => format!("type {}", number(other)),
        };
        let lost = if entry.reachable { "" } else { "(unreachable) " };
        let _ = writeln!(
            text,
            "\n{lost}{}{}\n  inode {}, version {}, {kind}, {} bytes, {}",
            entry.path,
            if entry.kind == Some(TYPE_DIRECTORY) { "/" } else { "" },
            number(entry.inode),
            number(entry.version),
            entry.size,
            time(entry.mtime),
        );
        match &entry.content {
            Content::Empty => {}
            Content::Secret => {
                let _ = writeln!(text, "  | {HIDDEN}");
            }
            Content::Binary => {
                let _ = writeln!(text, "  | (binary, {:#x} bytes)", entry.size);
            }
            Content::Text(lines) => {
                for line in lines.lines() {
                    let _ = writeln!(text, "  | {}", line.replace('\r', "\\r"));
                }
            }
        }
    }
    text
}

fn number(value: Option<i64>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

/// Seconds since 1970 as `2026-01-02 03:04:05 UTC`.
fn time(seconds: Option<i64>) -> String {
    let Some(seconds) = seconds.and_then(|seconds| u32::try_from(seconds).ok()) else {
        return format!("mtime {}", number(seconds));
    };
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut left = days;
    let mut year = 1970;
    // 32 bits of seconds end in 2106: every fourth year but 2100 is a leap year.
    let leap = |year: u32| year.is_multiple_of(4) && year != 2100;
    while left >= 365 + u32::from(leap(year)) {
        left -= 365 + u32::from(leap(year));
        year += 1;
    }
    let february = 28 + u32::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // `date -u -d @N`
        assert_eq!(time(Some(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(time(Some(951_782_400)), "2000-02-29 00:00:00 UTC");
        assert_eq!(time(Some(1_767_225_599)), "2025-12-31 23:59:59 UTC");
        assert_eq!(time(Some(4_107_542_400)), "2100-03-01 00:00:00 UTC");
        assert_eq!(time(Some(4_294_967_295)), "2106-02-07 06:28:15 UTC");
        assert_eq!((time(Some(-1)).as_str(), time(None).as_str()), ("mtime -1", "mtime ?"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = |text: &str| Value::Blob(text.as_bytes().to_vec());
        for path in [Some("priv/token.cfg"), Some("nodes/n/priv/x"), Some("pve-www.key"), None] {
            assert_eq!(content(path, &text("x")), Content::Secret);
        }
        assert_eq!(content(Some("x"), &text("-----BEGIN PRIVATE KEY-----\n")), Content::Secret);
        assert_eq!(content(Some("x"), &text("\u{1b}[2J")), Content::Binary);
        assert_eq!(content(Some("x"), &Value::Blob(vec![0xff])), Content::Binary);
        assert_eq!(
            content(Some("nodes/n/qemu-server/100.conf"), &text("name: a\ncipassword: $5$x\n[snap]\n cipassword: y")),
            Content::Text("name: a\ncipassword: (not shown)\n[snap]\n cipassword: (not shown)".to_owned())
        );
    }
}
