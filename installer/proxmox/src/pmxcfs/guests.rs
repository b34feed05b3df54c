//! Judges the virtual machines in a database: each by itself, and whether they get into each other's way.

use std::collections::{BTreeMap, BTreeSet};

use crate::guest::lines::Lines;
use crate::guest::volume::{self, Held, Naming};
use crate::guest::{Context, Reach, StorageInfo, Used, check as check_guest, mac_addresses, volumes};

use super::read::{Placed, Row};
use super::rule::{Problem, Rule, Severity};
use super::{FILE_MAX, content, paths};

/// Where pmxcfs keeps the configurations of virtual machines; containers have another format.
const DIRECTORY: &str = "qemu-server";

/// A virtual machine.
struct Guest<'a> {
    id: u32,
    node: &'a str,
    path: &'a str,
    inode: Option<i64>,
    lines: Lines,
}

/// A volume, as the nodes that can reach it see it: none for all of them, the storage, and its name there.
type Place = (Option<String>, String, String);

/// What is wrong with virtual machines.
pub(super) fn check(places: &[(&Row, Placed)]) -> Vec<Problem> {
    let storage_cfg = files(places).find(|(_, path)| *path == "storage.cfg");
    let storage_cfg = storage_cfg.map(|(row, _)| String::from_utf8_lossy(row.data.bytes()).into_owned());
    let mut problems = Vec::new();
    let (mut guests, mut ids) = (Vec::new(), BTreeSet::new());
    for (row, path) in files(places) {
        let Some((node, directory, id)) = guest(path) else { continue };
        ids.insert(id);
        // A file that is too large is reported, and never loaded.
        if directory != DIRECTORY || row.data.bytes().len() > FILE_MAX {
            continue;
        }
        let lines = Lines::read(&String::from_utf8_lossy(row.data.bytes()));
        guests.push(Guest { id, node, path, inode: row.inode(), lines });
    }
    let mut cluster = Cluster { storages: BTreeMap::new(), used: BTreeMap::new() };
    for guest in &guests {
        if let Some(text) = &storage_cfg {
            cluster.storages.entry(guest.node).or_insert_with(|| content::storages(text, guest.node));
        }
        let storages = cluster.storages.get(guest.node);
        let context = Context { id: guest.id, host_cpus: None, storages, guests: Some(&ids) };
        problems.extend(check_guest(&guest.lines, &context).into_iter().map(|finding| {
            let rule = if finding.severity == Severity::Error { Rule::Guest } else { Rule::GuestEffect };
            let what = finding.place_and_what();
            Problem { severity: finding.severity, rule, remedy: finding.remedy, ..guest.problem(rule, what) }
        }));
    }
    for guest in &guests {
        cluster.volumes(guest, &mut problems);
    }
    for guest in &guests {
        cluster.bases(guest, &mut problems);
    }
    macs(&guests, &mut problems);
    problems
}

/// The files that pmxcfs shows.
fn files<'a>(places: &'a [(&'a Row, Placed)]) -> impl Iterator<Item = (&'a Row, &'a str)> {
    places.iter().filter_map(|(row, place)| match place {
        Placed::At(path) if row.is_file() && row.inode() != Some(0) => Some((*row, path.as_str())),
        _ => None,
    })
}

/// Node, directory and number of a guest's configuration.
fn guest(path: &str) -> Option<(&str, &str, u32)> {
    let (parent, name) = paths::split(path);
    if !paths::is_guest_directory(parent) {
        return None;
    }
    let (home, directory) = paths::split(parent);
    Some((paths::node(home)?, directory, paths::vmid(name)?))
}

impl Guest<'_> {
    fn problem(&self, rule: Rule, what: String) -> Problem {
        let (severity, remedy) = (rule.severity(), rule.remedy());
        Problem { severity, rule, inode: self.inode, path: Some(self.path.to_owned()), what, remedy }
    }
}

/// What the guests have in common.
struct Cluster<'a> {
    /// By node.
    storages: BTreeMap<&'a str, BTreeMap<String, StorageInfo>>,
    /// The volumes of guests, with the path of the first one that names it.
    used: BTreeMap<Place, &'a str>,
}

impl<'a> Cluster<'a> {
    fn info(&self, guest: &Guest<'_>, storage: &str) -> Option<StorageInfo> {
        self.storages.get(guest.node).and_then(|storages| storages.get(storage)).copied()
    }

    fn place(&self, guest: &Guest<'_>, storage: &str, name: &str) -> Place {
        let shared = self.info(guest, storage).is_some_and(|info| info.reach == Reach::Cluster);
        ((!shared).then(|| guest.node.to_owned()), storage.to_owned(), name.to_owned())
    }

    fn parse<'v>(&self, guest: &Guest<'_>, used: &'v Used) -> Option<volume::Volume<'v>> {
        let naming = self.info(guest, &used.storage).map_or(Naming::Other, |info| info.naming);
        volume::parse(naming, &used.name).filter(|volume| volume.content == Held::Images)
    }

    /// Each volume is one guest's.
    fn volumes(&mut self, guest: &Guest<'a>, problems: &mut Vec<Problem>) {
        for used in volumes(&guest.lines) {
            let Some(volume) = self.parse(guest, &used) else { continue };
            let place = self.place(guest, &used.storage, volume.own);
            match self.used.get(&place) {
                // Twice in one guest is that guest's own fault; what is not attached is not written to.
                Some(other) if *other != guest.path && used.attached => {
                    let what =
                        format!("line {}: `{}:{}` is a volume of {other} too", used.line, used.storage, used.name);
                    problems.push(guest.problem(Rule::SharedVolume, what));
                }
                Some(_) => {}
                None => {
                    self.used.insert(place, guest.path);
                }
            }
        }
    }

    /// What a volume is a clone of belongs to a guest.
    fn bases(&self, guest: &Guest<'_>, problems: &mut Vec<Problem>) {
        for used in volumes(&guest.lines) {
            let Some(base) = self.parse(guest, &used).and_then(|volume| volume.base) else { continue };
            if !self.used.contains_key(&self.place(guest, &used.storage, base)) {
                let what = format!(
                    "line {}: `{}:{}` is a clone of `{base}`, which no guest has",
                    used.line, used.storage, used.name
                );
                problems.push(guest.problem(Rule::MissingBase, what));
            }
        }
    }
}

/// Each MAC address is one card's. Templates never run.
fn macs(guests: &[Guest<'_>], problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for guest in guests {
        for (line, mac) in mac_addresses(&guest.lines) {
            match seen.get(&mac) {
                Some(other) if *other != guest.path => {
                    let what = format!("line {line}: the MAC address {mac} is one of {other} too");
                    problems.push(guest.problem(Rule::SharedMac, what));
                }
                Some(_) => {}
                None => {
                    seen.insert(mac, guest.path);
                }
            }
        }
    }
}
