//! A site that is not complete yet: what a site file says and what a person has answered so far, and what is still missing or wrong.
//!
//! A draft becomes a [`Site`] through the same reader as a file, so nothing is accepted on a screen that a file would be refused for.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::site::error::{About, Fault, SiteError, SiteErrors};
use crate::site::{Site, parse};

/// What the draft is called in the messages of [`Draft::site`].
const NAME: &str = "the answers";

/// Some of the keys of a site file. Paths are dotted: `network.address`, `guests.roles.core.vcpus`.
#[derive(Clone, Default, PartialEq)]
pub struct Draft {
    table: Table,
}

/// A key that keeps the draft from being a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, and what is the matter.
    pub about: About,
    /// In words.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The password hash is not shown.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Draft").field(&self.without_secrets().table).finish()
    }
}

impl Draft {
    /// Takes over what is in a site file, complete or not, right or wrong: [`Draft::problems`] says what is the matter with it.
    ///
    /// # Errors
    /// The text is no TOML at all; `file` is what it is called then.
    pub fn read(text: &str, file: &str) -> Result<Self, SiteErrors> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Ok(table) = text.parse::<Table>() {
            return Ok(Self { table });
        }
        match parse::parse(text, file) {
            Err(errors) => Err(errors),
            // Both are the same parser.
            Ok(_) => Ok(Self::default()),
        }
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The value at `path`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut keys = path.split('.');
        let first = self.table.get(keys.next()?)?;
        keys.try_fold(first, |value, key| value.as_table()?.get(key))
    }

    /// The text at `path`; `None` where there is none, or something that is no text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// What is switched on or off at `path`.
    pub fn switch(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// The texts of the list at `path`, without whatever in it is no text.
    pub fn texts(&self, path: &str) -> Vec<&str> {
        self.get(path).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The names of the sections below `path`.
    pub fn sections(&self, path: &str) -> Vec<&str> {
        let table = self.get(path).and_then(Value::as_table);
        table.into_iter().flatten().filter(|(_, value)| value.is_table()).map(|(key, _)| key.as_str()).collect()
    }

    /// The section at `path` as what it stands for; `None` where it is not there, or not right.
    pub fn section<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.get(path)?.clone().try_into().ok()
    }

    /// Puts a value at `path`, with the sections it is in. What stands there as a plain value gives way to a section.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut table = &mut self.table;
        let (sections, key) = path.rsplit_once('.').map_or((None, path), |(sections, key)| (Some(sections), key));
        for section in sections.into_iter().flat_map(|sections| sections.split('.')) {
            let below = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if !below.is_table() {
                *below = Value::Table(Table::new());
            }
            let Value::Table(next) = below else { return };
            table = next;
        }
        table.insert(key.to_owned(), value.into());
    }

    /// As [`Draft::set`], or [`Draft::remove`] where the text is empty.
    pub fn set_text(&mut self, path: &str, text: &str) {
        if text.is_empty() { self.remove(path) } else { self.set(path, text) }
    }

    /// Takes away the key or section at `path`. Sections that it was in stay, empty or not: an empty `[guests]` says something.
    pub fn remove(&mut self, path: &str) {
        let (sections, key) = path.rsplit_once('.').map_or((None, path), |(sections, key)| (Some(sections), key));
        let mut table = &mut self.table;
        for section in sections.into_iter().flat_map(|sections| sections.split('.')) {
            let Some(Value::Table(below)) = table.get_mut(section) else { return };
            table = below;
        }
        table.remove(key);
    }

    /// Everything that keeps it from being a site.
    pub fn problems(&self) -> Vec<Problem> {
        let Err(errors) = self.site() else { return Vec::new() };
        errors.errors().iter().filter_map(problem).collect()
    }

    /// The site, checked as a file is.
    ///
    /// # Errors
    /// What is missing or wrong, at its place in [`Draft::to_toml`].
    pub fn site(&self) -> Result<Site, SiteErrors> {
        // The reader calls an empty text cut off; here it is a draft that nothing has been said to yet.
        let text = if self.table.is_empty() { "site = {}\n".to_owned() } else { self.to_toml() };
        parse::parse(&text, NAME)
    }

    /// The keys as TOML, with the password hash.
    fn to_toml(&self) -> String {
        // A table of TOML values is TOML.
        toml::to_string(&self.table).unwrap_or_default()
    }

    /// The same without what must not be written down: the password hash.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut draft = self.clone();
        draft.remove("admin.root_password_hash");
        draft
    }
}

fn problem(error: &SiteError) -> Option<Problem> {
    let about = error.about.clone()?;
    Some(Problem { about, message: error.message.clone(), hint: error.hint.clone() })
}

impl Problem {
    /// Whether it is about this key, or one in this section.
    pub fn is_in(&self, path: &str) -> bool {
        self.about.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Whether the key is needed and not there.
    pub fn is_missing(&self) -> bool {
        self.about.fault == Fault::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = include_str!("../../tests/plans/reference/site.toml");

    fn paths(draft: &Draft) -> Vec<String> {
        draft.problems().into_iter().map(|p| format!("{:?} {}", p.about.fault, p.about.path)).collect()
    }

    #[test]
    fn a_complete_file_is_the_same_site_as_ever() {
        let draft = Draft::read(REFERENCE, "site.toml").unwrap();
        assert_eq!(draft.site(), parse::parse(REFERENCE, "site.toml"));
        assert_eq!(draft.problems(), []);
    }

    #[test]
    fn of_an_incomplete_file_the_rest_is_missing() {
        let text = "[site]\nname = \"berlin-1\"\n[network]\nmode = \"static\"\n[guests]\ndeploy = true\n";
        let draft = Draft::read(text, "site.toml").unwrap();
        assert_eq!(
            paths(&draft),
            [
                "Missing guests.roles.edge.internal_address",
                "Missing guests.roles.core.internal_address",
                "Missing guests.roles.storage.internal_address",
                "Missing network.address",
                "Missing site.fqdn",
                "Missing admin",
                "Missing storage",
                "Missing encryption",
            ]
        );
    }

    #[test]
    fn a_draft_of_nothing_misses_every_section() {
        let paths = paths(&Draft::default());
        for section in ["site.name", "admin", "network", "storage", "encryption"] {
            assert!(paths.contains(&format!("Missing {section}")), "{section}: {paths:?}");
        }
    }

    #[test]
    fn what_is_wrong_stays_and_is_named() {
        let text = REFERENCE
            .replace("admin@example.org\"", "nobody\"")
            .replace("timezone", "timezoen")
            .replace("gateway = \"192.0.2.1\"\ndns", "gateway = \"198.51.100.1\"\ndns");
        let mut draft = Draft::read(&text, "site.toml").unwrap();
        assert_eq!(paths(&draft), ["Wrong admin.email", "Wrong network.gateway", "Unknown site.timezoen"]);
        assert_eq!(draft.text("admin.email"), Some("nobody"));
        draft.set("admin.email", "root@localhost");
        draft.set("network.gateway", "192.0.2.1");
        draft.remove("site.timezoen");
        assert_eq!(draft.site().unwrap().admin.email, "root@localhost");
    }

    #[test]
    fn answers_make_the_sections_they_are_in() {
        let mut draft = Draft::default();
        draft.set("guests.roles.core.vcpus", 4);
        draft.set("network", "no section");
        draft.set("network.mode", "dhcp");
        draft.set_text("network.mac", "52:54:00:12:34:56");
        draft.set_text("network.mac", "");
        draft.remove("nothing.there");
        assert_eq!(draft.get("guests.roles.core.vcpus").and_then(Value::as_integer), Some(4));
        assert_eq!(draft.text("network.mode"), Some("dhcp"));
        assert_eq!(draft.get("network.mac"), None);
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_its_errors() {
        let errors = Draft::read("[site\nname = 1", "site.toml").unwrap_err();
        assert!(errors.to_string().starts_with("site.toml:1:"), "{errors}");
    }

    #[test]
    fn the_password_hash_is_not_shown() {
        let draft = Draft::read(REFERENCE, "site.toml").unwrap();
        assert!(draft.site().unwrap().admin.root_password_hash.is_some());
        assert!(!format!("{draft:?}").contains("$y$"));
        assert_eq!(draft.without_secrets().site().unwrap().admin.root_password_hash, None);
    }
}
