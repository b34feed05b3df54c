//! Reading a site file: every error with file, line, column, the line itself and, for a misspelt key, the nearest known one.
//!
//! The text is read into a table that knows where everything stands; the table is walked along the schema made from the types
//! (structure), and then checked value by value ([`super::check`]). Both run to the end, so that a person sees all errors at once.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::site::error::{Collector, Fault, SiteErrors};
use crate::site::schema::{self, Shape, shape};
use crate::site::{Site, Size, check};
use crate::text::is_unseen;

/// As [`parse`], from the bytes of the file.
///
/// # Errors
/// As [`parse`]; only the first byte that is no UTF-8, where there is one.
pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Site, SiteErrors> {
    let good = match std::str::from_utf8(bytes) {
        Ok(text) => return parse(text, file),
        Err(error) => error.valid_up_to(),
    };
    // Up to that byte this is the same text; there it has a replacement character.
    let text = String::from_utf8_lossy(bytes);
    let mut errors = Collector::new(&text);
    let byte = bytes.get(good).copied().unwrap_or_default();
    errors.add(
        &(good..good + char::REPLACEMENT_CHARACTER.len_utf8()),
        format!("the byte {byte:#04x} is not UTF-8, which site files are written in"),
        "save the file as UTF-8 (from Latin-1: `iconv -f latin1 -t utf-8`)",
    );
    Err(errors.finish(file))
}

/// Reads `text`, which is what is in `file` (used in messages only).
///
/// # Errors
/// Every error found; if the text is no TOML, only those about its syntax.
pub fn parse(text: &str, file: &str) -> Result<Site, SiteErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut errors = Collector::new(text);
    if let Some(at) = text.find('\r').filter(|_| !text.contains('\n')) {
        let hint = "save the file with Unix line ends (`tr '\\r' '\\n' < old > new`)";
        errors.add(&(at..at + 1), "the lines end in bare carriage returns, as on old Macintosh computers", hint);
        return Err(errors.finish(file));
    }
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        errors.add_absent("the file is empty", "start from one of the examples in docs/sites/");
        return Err(errors.finish(file));
    }
    let (table, syntax) = DeTable::parse_recoverable(text);
    if let Some(hash) = find(table.get_ref(), &["admin", "root_password_hash"]) {
        errors.hide(hash.span());
    }
    if !syntax.is_empty() {
        let end = text.trim_end().len();
        for error in syntax {
            let span = error.span().unwrap_or(end..end);
            let hint = if span.start >= end {
                "the file may be cut off: compare its end with the original"
            } else {
                "correct the TOML syntax: `key = \"text\"`, `key = 1`, `key = true`, `key = [\"a\", \"b\"]`, `[section]`"
            };
            errors.add(&span, error.message(), hint);
        }
        return Err(errors.finish(file));
    }
    let schema = schema::value();
    Walker { root: schema, errors: &mut errors }.table(table.get_ref(), schema, "", None);
    check::check(table.get_ref(), &mut errors);
    if !errors.is_empty() {
        return Err(errors.finish(file));
    }
    match toml::from_str(text) {
        Ok(site) => Ok(site),
        // The walk knows all that the types demand; should they ever differ, this says so.
        Err(error) => {
            errors.add(
                &error.span().unwrap_or(0..0),
                "this value is not accepted",
                "compare it with docs/site.schema.json",
            );
            Err(errors.finish(file))
        }
    }
}

/// The value at a path of keys.
pub(super) fn find<'a, 'i>(table: &'a DeTable<'i>, path: &[&str]) -> Option<&'a Spanned<DeValue<'i>>> {
    let (last, sections) = path.split_last()?;
    let mut table = table;
    for section in sections {
        table = table.get(*section)?.get_ref().as_table()?;
    }
    table.get(*last)
}

struct Walker<'s, 'c, 't> {
    root: &'s Value,
    errors: &'c mut Collector<'t>,
}

impl Walker<'_, '_, '_> {
    /// Compares a table with its schema. `path` is its dotted name; `at` is where it stands, `None` for the whole file.
    fn table(&mut self, table: &DeTable<'_>, schema: &Value, path: &str, at: Option<&Range<usize>>) {
        let Some(Shape::Table(properties, required)) = shape(schema, self.root) else { return };
        let place = if path.is_empty() { "at the top level".to_owned() } else { format!("in [{path}]") };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Some(below) = properties.get(name) {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                self.value(value, below, &path);
            } else {
                let message = format!("unknown key `{}` {place}", printable(name));
                let hint = self.suggestion(name, properties.keys().map(String::as_str));
                let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                self.errors.about(Fault::Unknown, full).add(&key.span(), message, hint);
            }
        }
        for name in required.iter().filter_map(Value::as_str).filter(|name| !table.contains_key(*name)) {
            let section = matches!(properties.get(name).and_then(|s| shape(s, self.root)), Some(Shape::Table(..)));
            let description = properties.get(name).and_then(|s| s["description"].as_str()).unwrap_or_default();
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let message = if section {
                format!("section [{full}] is missing")
            } else {
                format!("key `{name}` is missing {place}")
            };
            self.errors.about(Fault::Missing, full);
            match at {
                Some(at) => self.errors.add(at, message, format!("add it: {}", uncapital(description))),
                None => self.errors.add_absent(
                    message,
                    format!("add it: {} If it was there, the file was cut off", uncapital(description)),
                ),
            }
        }
    }

    /// Compares a value with its schema.
    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Value, path: &str) {
        let span = value.span();
        let Some(shape) = shape(schema, self.root) else { return };
        match (shape, value.get_ref()) {
            (Shape::Table(..), DeValue::Table(table)) => self.table(table, schema, path, Some(&span)),
            (Shape::Map(below), DeValue::Table(table)) => {
                for (key, value) in table {
                    self.value(value, below, &format!("{path}.{}", printable(key.get_ref())));
                }
            }
            (Shape::List(items), DeValue::Array(values)) => {
                for value in values {
                    self.value(value, items, path);
                }
            }
            (Shape::Choice(choices), DeValue::String(text)) => {
                let words: Vec<&str> = choices.iter().filter_map(|choice| choice["const"].as_str()).collect();
                if !words.contains(&text.as_ref()) {
                    let all = format!("allowed: {}", words.join(", "));
                    let hint = nearest(text, words.iter().copied())
                        .map_or_else(|| all.clone(), |w| format!("did you mean \"{w}\"? {all}"));
                    let message = format!("`{path}` has a value that is not known");
                    self.errors.about(Fault::Wrong, path).add(&span, message, hint);
                }
            }
            (Shape::Size, DeValue::String(text)) => {
                if let Err(error) = text.parse::<Size>() {
                    let message = format!("`{path}` is not a size");
                    self.errors.about(Fault::Wrong, path).add(&span, message, printable(&error.to_string()));
                }
            }
            (Shape::Integer, DeValue::Integer(number)) => {
                if u32::from_str_radix(number.as_str(), number.radix()).is_err() {
                    let hint = "write a whole number from 0 to 4294967295";
                    self.errors.about(Fault::Wrong, path).add(&span, format!("`{path}` is out of range"), hint);
                }
            }
            (Shape::Text, DeValue::String(_)) | (Shape::Boolean, DeValue::Boolean(_)) => {}
            (expected, found) => {
                let expected = match expected {
                    Shape::Table(..) => format!("a section: write [{path}] on a line of its own and its keys below it"),
                    Shape::Map(below) if matches!(self::shape(below, self.root), Some(Shape::Text)) => {
                        format!("a section: write [{path}] on a line of its own and NAME = \"text\" below it")
                    }
                    Shape::Map(_) => {
                        format!("sections: write [{path}.NAME] on a line of its own and its keys below it")
                    }
                    Shape::List(_) => "a list: write [\"one\", \"two\"]".to_owned(),
                    Shape::Choice(choices) => {
                        let words: Vec<_> = choices.iter().filter_map(|c| c["const"].as_str()).collect();
                        format!("a text: write one of \"{}\"", words.join("\", \""))
                    }
                    Shape::Size => "a text: write a size with its unit in quotes, such as \"40GB\"".to_owned(),
                    Shape::Text => "a text: write it in quotes".to_owned(),
                    Shape::Integer => "a whole number, without quotes".to_owned(),
                    Shape::Boolean => "true or false, without quotes".to_owned(),
                };
                let message = format!("`{path}` is of the wrong type: {}", type_name(found));
                self.errors.about(Fault::Wrong, path).add(&span, message, format!("it must be {expected}"));
            }
        }
    }

    /// What an unknown key was probably meant to be.
    fn suggestion<'k>(&self, name: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
        if let Some(near) = nearest(name, known.clone()) {
            return format!("did you mean `{near}`?");
        }
        let mut homes = Vec::new();
        schema::homes(name, self.root, self.root, "", &mut homes);
        if !homes.is_empty() {
            let homes: Vec<_> = homes
                .iter()
                .map(|home| if home.is_empty() { "the top level".to_owned() } else { format!("[{home}]") })
                .collect();
            return format!("it belongs to {}", homes.join(" or "));
        }
        format!("known here: {}", known.collect::<Vec<_>>().join(", "))
    }
}

/// Longer words, in bytes, are no slip of a known one.
const LONGEST_WORD: usize = 100;

/// The known word with the fewest edits, if those are few enough for a slip.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let limit = (word.chars().count() / 3).clamp(1, 4);
    let lower = word.to_lowercase();
    known
        .map(|k| (strsim::damerau_levenshtein(&lower, k), k))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .map(|(_, k)| k)
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// A text from the file within a message: control characters could drive the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { '?' } else { c }).take(80).collect()
}

fn uncapital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
