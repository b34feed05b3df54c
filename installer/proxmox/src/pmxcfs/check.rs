//! Judges a database by the rules by which pmxcfs loads it, and by what a node cannot do without.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::names;

use super::read::{Database, Placed, Row, Value, escaped};
use super::rule::{Problem, Rule};
use super::{FILE_MAX, NAME_MAX, TOTAL_MAX, TYPE_DIRECTORY, TYPE_FILE, VERSION_NAME, VIRTUAL_NAMES};
use super::{content, guests, paths};

/// Everything that is wrong, errors first.
pub fn check(database: &Database) -> Vec<Problem> {
    let mut checker = Checker { database, places: database.places(), problems: Vec::new() };
    checker.file();
    if database.table.is_empty() || !database.rows.is_empty() {
        checker.version();
        for index in 0..checker.places.len() {
            checker.row(index);
        }
        checker.directories();
        checker.guests();
        checker.node();
        let found = guests::check(&checker.places);
        checker.problems.extend(found);
    }
    let mut problems = checker.problems;
    problems.sort_by_key(|problem| problem.severity);
    problems
}

struct Checker<'a> {
    database: &'a Database,
    places: Vec<(&'a Row, Placed)>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn add(&mut self, rule: Rule, inode: Option<i64>, path: Option<String>, what: impl Into<String>) {
        let (severity, remedy) = (rule.severity(), rule.remedy());
        self.problems.push(Problem { severity, rule, inode, path, what: what.into(), remedy });
    }

    /// A problem of a row.
    fn at(&mut self, rule: Rule, index: usize, what: impl Into<String>) {
        let Some((row, place)) = self.places.get(index) else { return };
        let path = match place {
            Placed::At(path) => escaped(path),
            Placed::Lost => row.shown_name(),
        };
        self.add(rule, row.inode(), Some(path).filter(|path| !path.is_empty()), what);
    }

    fn file(&mut self) {
        for what in &self.database.table {
            self.add(Rule::Table, None, None, what.clone());
        }
        for what in &self.database.form {
            self.add(Rule::TableForm, None, None, what.clone());
        }
        for what in &self.database.damage {
            self.add(Rule::Damage, None, None, what.clone());
        }
    }

    fn version(&mut self) {
        let Some(row) = self.database.rows.iter().find(|row| row.inode() == Some(0)) else {
            return self.add(Rule::NoVersion, None, None, "there is no version counter (inode 0)");
        };
        // Loading looks at the name, the lowest byte of the type and the data of a directory, then keeps version, writer and mtime.
        let mut wrong = Vec::new();
        let mut ignored = Vec::new();
        if row.seen_name() != VERSION_NAME.as_bytes() {
            wrong.push(format!("the row is named `{}`", row.shown_name()));
        } else if row.name.bytes().len() != VERSION_NAME.len() {
            ignored.push("its name goes on behind a NUL".to_owned());
        }
        let has_data = size(&row.data) > 0;
        if row.is_directory() && has_data {
            wrong.push("its type is 4 and it has data".to_owned());
        } else if row.is_file() && has_data {
            ignored.push("it has data".to_owned());
        }
        match row.kind.integer() {
            // A member of a cluster that took the others' changes writes its root with the root's own type.
            Some(TYPE_FILE | TYPE_DIRECTORY) => {}
            Some(kind) if row.is_file() || row.is_directory() => {
                ignored.push(format!("its type is {kind}, of which pmxcfs sees the lowest byte"));
            }
            _ => wrong.push("its type is neither 8 nor 4".to_owned()),
        }
        if row.parent.integer().is_some_and(|parent| parent != 0) {
            ignored.push("it has a parent".to_owned());
        }
        let lowest = row.version.integer().filter(|version| *version > 0);
        if !wrong.is_empty() {
            self.add(Rule::VersionRow, Some(0), None, wrong.join(", "));
        }
        if !ignored.is_empty() {
            self.add(Rule::VersionRowForm, Some(0), None, ignored.join(", "));
        }
        let Some(version) = lowest else {
            return self.add(Rule::NoVersion, Some(0), None, "the version counter is not a number above 0");
        };
        for index in 0..self.places.len() {
            let Some((row, _)) = self.places.get(index) else { continue };
            let inode = row.inode().unwrap_or_default();
            let own = row.version.integer();
            if inode > version {
                self.at(Rule::VersionBelowInode, index, format!("the version counter is {version}, below this inode"));
            } else if inode > 0
                && let Some(own) = own.filter(|own| *own > version || *own < inode)
            {
                self.at(Rule::EntryVersion, index, format!("it has version {own}, the counter is {version}"));
            }
        }
    }

    /// What is wrong with a row by itself.
    fn row(&mut self, index: usize) {
        let Some((row, place)) = self.places.get(index) else { return };
        let (row, place) = (*row, place.clone());
        let numbers = [
            ("inode", &row.inode),
            ("parent", &row.parent),
            ("version", &row.version),
            ("writer", &row.writer),
            ("mtime", &row.mtime),
            ("type", &row.kind),
        ];
        for (column, value) in numbers {
            match value {
                Value::Integer(number) if ["writer", "mtime"].contains(&column) && u32::try_from(*number).is_err() => {
                    self.at(Rule::Range, index, format!("its {column} is {number}"));
                }
                Value::Integer(_) => {}
                other => self.at(Rule::ColumnType, index, format!("its {column} is of type {}", other.type_name())),
            }
        }
        if row.inode() == Some(0) {
            return;
        }
        self.name(index, row, &place);
        let size = size(&row.data);
        if let Some(kind) = row.kind.integer().filter(|kind| ![TYPE_DIRECTORY, TYPE_FILE].contains(kind)) {
            let seen = if row.is_directory() || row.is_file() { ", of which pmxcfs sees the lowest byte" } else { "" };
            self.at(Rule::UnknownType, index, format!("its type is {kind}{seen}"));
        }
        if row.is_directory() && size > 0 {
            self.at(Rule::DirectoryData, index, "it is a directory and has data");
        } else if row.is_file() && size > FILE_MAX {
            self.at(Rule::TooLarge, index, format!("it has {size} bytes, more than {FILE_MAX}"));
        } else if row.is_file() && !matches!(row.data, Value::Null | Value::Blob(_)) {
            self.at(Rule::DataType, index, format!("its data are of type {}", row.data.type_name()));
        }
    }

    fn name(&mut self, index: usize, row: &Row, place: &Placed) {
        let name = row.name.bytes();
        match &row.name {
            Value::Integer(_) | Value::Real(_) => {
                return self.at(Rule::ColumnType, index, format!("its name is of type {}", row.name.type_name()));
            }
            _ if name.is_empty() => return self.at(Rule::NoName, index, "it has no name"),
            _ if name.contains(&b'/') => self.at(Rule::BadName, index, "its name has a slash in it"),
            _ if name.contains(&0) => {
                self.at(Rule::BadName, index, "its name has a NUL in it, where pmxcfs cuts it off");
            }
            _ if name == b"." || name == b".." => {
                self.at(Rule::BadName, index, "its name is that of a directory itself");
            }
            Value::Blob(_) => self.at(Rule::NameForm, index, "its name is of type blob"),
            _ if name.len() > NAME_MAX => self.at(Rule::NameForm, index, format!("its name has {} bytes", name.len())),
            _ if std::str::from_utf8(name).is_err() => self.at(Rule::NameForm, index, "its name is not UTF-8"),
            Value::Null | Value::Text(_) => {}
        }
        if row.seen_name() == VERSION_NAME.as_bytes() {
            self.at(Rule::VirtualName, index, "it has the name of the version counter");
        } else if let Placed::At(path) = place
            && VIRTUAL_NAMES.contains(&path.as_str())
        {
            self.at(Rule::VirtualName, index, "pmxcfs makes an entry of that name itself");
        }
    }

    /// Names and parents.
    fn directories(&mut self) {
        let mut by_inode: HashMap<i64, (usize, &Row)> = HashMap::new();
        let mut found = Vec::new();
        for (index, (row, _)) in self.places.iter().enumerate() {
            match row.inode() {
                Some(inode) if inode < 0 => found.push((Rule::Inode, index, "its inode is negative".to_owned())),
                Some(inode) if by_inode.contains_key(&inode) => {
                    found.push((Rule::Inode, index, "its inode is there twice".to_owned()));
                }
                Some(inode) => {
                    by_inode.insert(inode, (index, row));
                }
                None => {}
            }
        }
        let mut names = HashSet::new();
        let mut known = HashMap::new();
        for (index, (row, place)) in self.places.iter().enumerate().filter(|(_, (row, _))| row.inode() != Some(0)) {
            if !row.seen_name().is_empty() && !names.insert((row.parent.integer(), row.seen_name())) {
                found.push((Rule::DuplicateName, index, "its directory has another entry of that name".to_owned()));
            }
            if matches!(place, Placed::At(_)) {
                continue;
            }
            let Some(parent) = row.parent.integer() else { continue };
            match by_inode.get(&parent) {
                None => {
                    found.push((Rule::MissingParent, index, format!("its directory, inode {parent}, is not there")));
                }
                Some((_, parent)) if !parent.is_directory() => {
                    let what = format!("`{}`, which it should lie in, is no directory", parent.shown_name());
                    found.push((Rule::ParentIsFile, index, what));
                }
                Some(_) if in_circle(row, &by_inode, &mut known) => {
                    found.push((Rule::Unreachable, index, "no way leads from the root to it".to_owned()));
                }
                // What it hangs from is reported.
                Some(_) => {}
            }
        }
        for (rule, index, what) in found {
            self.at(rule, index, what);
        }
    }

    fn guests(&mut self) {
        let mut guests: BTreeMap<u32, String> = BTreeMap::new();
        let mut found = Vec::new();
        for (index, (row, place)) in self.places.iter().enumerate() {
            let Placed::At(path) = place else { continue };
            if !row.is_file() || row.inode() == Some(0) {
                continue;
            }
            if paths::is_guest_directory(path) {
                found.push((Rule::GuestDirectory, index, "it is a file".to_owned()));
            }
            let (directory, name) = paths::split(path);
            if !paths::is_guest_directory(directory) {
                continue;
            }
            let Some(vmid) = paths::vmid(name) else {
                found.push((Rule::GuestName, index, "its name is not that of a guest".to_owned()));
                continue;
            };
            if !(names::VMID_MIN..=names::VMID_MAX).contains(&vmid) {
                let what = format!("{vmid} is not between {} and {}", names::VMID_MIN, names::VMID_MAX);
                found.push((Rule::GuestName, index, what));
            }
            if let Some(other) = guests.get(&vmid) {
                found.push((Rule::DuplicateVmid, index, format!("VMID {vmid} is that of {other} too")));
            } else {
                guests.insert(vmid, path.clone());
            }
        }
        for (rule, index, what) in found {
            self.at(rule, index, what);
        }
    }

    /// What a node cannot do without.
    fn node(&mut self) {
        let at = |(row, place): &(&Row, Placed)| match place {
            Placed::At(path) if row.inode() != Some(0) => Some((path.clone(), row.is_directory())),
            _ => None,
        };
        let all: BTreeMap<String, bool> = self.places.iter().filter_map(at).collect();
        let is_directory = |path: &str| all.get(path) == Some(&true);
        let total: u64 = self.database.rows.iter().map(|row| row.data.bytes().len() as u64).sum();
        if total > TOTAL_MAX {
            self.add(Rule::TotalSize, None, None, format!("all files together have {total} bytes"));
        }
        if !is_directory("priv") {
            self.add(Rule::NoPriv, None, Some("priv".to_owned()), "there is no such directory");
        }
        let nodes: Vec<&String> = all.keys().filter(|path| is_directory(path) && paths::node(path).is_some()).collect();
        if nodes.is_empty() {
            self.add(Rule::NoNode, None, Some("nodes".to_owned()), "there is no node");
        }
        for node in nodes {
            if !paths::node(node).is_some_and(names::is_node) {
                self.add(Rule::NodeName, None, Some(escaped(node)), "its name is not that of a node");
                continue;
            }
            for name in ["lxc", "priv", "qemu-server"] {
                let path = format!("{node}/{name}");
                if !all.contains_key(&path) {
                    self.add(Rule::NodeDirectory, None, Some(path), "there is no such directory");
                }
            }
        }
        let storage = self.places.iter().position(|(row, place)| {
            *place == Placed::At("storage.cfg".to_owned()) && row.is_file() && row.inode() != Some(0)
        });
        match storage.and_then(|index| self.places.get(index).map(|(row, _)| (index, row.data.bytes()))) {
            None => self.add(Rule::NoStorage, None, Some("storage.cfg".to_owned()), "there is no such file"),
            Some((index, bytes)) => {
                for what in content::storage(&String::from_utf8_lossy(bytes)) {
                    self.at(Rule::Storage, index, what);
                }
            }
        }
    }
}

/// How many bytes pmxcfs sees; of a number's text only that there are some.
fn size(data: &Value) -> usize {
    match data {
        Value::Null => 0,
        Value::Text(bytes) | Value::Blob(bytes) => bytes.len(),
        Value::Integer(_) | Value::Real(_) => 1,
    }
}

/// Whether the way up from an entry comes back to itself. `known` keeps the answers for all entries on the way.
fn in_circle(row: &Row, by_inode: &HashMap<i64, (usize, &Row)>, known: &mut HashMap<i64, bool>) -> bool {
    let mut way = HashSet::new();
    let mut at = row;
    let circle = loop {
        let Some(inode) = at.inode() else { break false };
        if let Some(circle) = known.get(&inode) {
            break *circle;
        }
        if !way.insert(inode) {
            break true;
        }
        match at.parent.integer().filter(|parent| *parent != 0).and_then(|parent| by_inode.get(&parent)) {
            Some((_, parent)) if parent.is_directory() => at = parent,
            // Too deep for any path, or below what is reported.
            _ => break false,
        }
    };
    known.extend(way.into_iter().map(|inode| (inode, circle)));
    circle
}
