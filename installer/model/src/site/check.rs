//! The values of a site file, one by one and together, each error at its place. What is of the wrong type is skipped here: the
//! walk along the schema has said so.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::bytes::Bytes;
use crate::layout;
use crate::site::error::{Collector, Fault};
use crate::site::parse::find;
use crate::site::syntax;
use crate::site::{Redundancy, Size};

mod guests;
mod health;
mod memory_encryption;
mod node;
mod secrets;
mod workloads;

/// Baud rates that the kernel's `console=` and GRUB's `serial` both take.
const BAUD_RATES: [u32; 6] = [9600, 19_200, 38_400, 57_600, 115_200, 230_400];

/// Adds every error in the values of `table`.
pub(super) fn check(table: &DeTable<'_>, errors: &mut Collector<'_>) {
    let mut checker = Checker { table, errors };
    checker.identity();
    checker.network();
    checker.internal_network();
    checker.storage();
    checker.health();
    checker.encryption();
    checker.memory_encryption();
    checker.console();
    checker.host();
    checker.updates();
    checker.cluster();
    checker.guests();
    checker.workloads();
    checker.secret_files();
}

struct Checker<'a, 'i, 'c, 't> {
    table: &'a DeTable<'i>,
    errors: &'c mut Collector<'t>,
}

impl<'a> Checker<'a, '_, '_, '_> {
    fn text(&self, path: &[&str]) -> Option<(&'a str, Range<usize>)> {
        let value = find(self.table, path)?;
        Some((value.get_ref().as_str()?, value.span()))
    }

    /// A list's texts, each with its place.
    fn texts(&self, path: &[&str]) -> Vec<(&'a str, Range<usize>)> {
        let values = find(self.table, path).and_then(|value| value.get_ref().as_array());
        values.into_iter().flatten().filter_map(|value| Some((value.get_ref().as_str()?, value.span()))).collect()
    }

    fn number(&self, path: &[&str]) -> Option<(u32, Range<usize>)> {
        let value = find(self.table, path)?;
        let number = value.get_ref().as_integer()?;
        Some((u32::from_str_radix(number.as_str(), number.radix()).ok()?, value.span()))
    }

    fn size(&self, path: &[&str]) -> Option<(Size, Range<usize>)> {
        let (text, span) = self.text(path)?;
        Some((text.parse().ok()?, span))
    }

    fn wrong(&mut self, span: &Range<usize>, path: &[&str], what: &str) {
        self.fault(Fault::Wrong, &path.join("."), span, path, what);
    }

    /// The value at `path` asks for a key that is not there.
    fn lacks(&mut self, span: &Range<usize>, path: &[&str], missing: &str, what: &str) {
        self.fault(Fault::Missing, missing, span, path, what);
    }

    fn fault(&mut self, fault: Fault, about: &str, span: &Range<usize>, path: &[&str], what: &str) {
        // The part after the colon says what to do.
        let (what, hint) = what.split_once(": ").unwrap_or((what, "correct the value"));
        self.errors.about(fault, about).add(span, format!("`{}` {what}", path.join(".")), hint);
    }

    fn syntax<T>(&mut self, path: &[&str], check: impl Fn(&str) -> Result<T, &'static str>) -> Option<T> {
        let (text, span) = self.text(path)?;
        check(text).map_err(|what| self.wrong(&span, path, what)).ok()
    }

    fn identity(&mut self) {
        self.syntax(&["site", "name"], syntax::name);
        self.syntax(&["site", "fqdn"], syntax::fqdn);
        self.syntax(&["site", "timezone"], syntax::timezone);
        self.syntax(&["site", "keyboard"], syntax::keyboard);
        self.syntax(&["site", "locale"], syntax::locale);
        self.syntax(&["admin", "email"], syntax::email);
        self.syntax(&["admin", "root_password_hash"], syntax::crypt_hash);
        for (key, span) in self.texts(&["admin", "ssh_keys"]) {
            if let Err(what) = syntax::ssh_key(key) {
                self.wrong(&span, &["admin", "ssh_keys"], what);
            }
        }
    }

    fn network(&mut self) {
        self.syntax(&["network", "mac"], syntax::mac);
        self.syntax(&["network", "interface"], syntax::interface);
        let cidr = self.syntax(&["network", "address"], syntax::cidr);
        if let (Some(_), Some((_, span))) = (self.text(&["network", "mac"]), self.text(&["network", "interface"])) {
            self.wrong(
                &span,
                &["network", "interface"],
                "and network.mac are both given: keep one of them, best the MAC address",
            );
        }
        let path = ["network", "gateway"];
        if let Some((gateway, span)) = self.text(&path) {
            match (gateway.parse::<IpAddr>(), cidr) {
                (Err(_), _) => {
                    self.wrong(&span, &path, "is no IP address: write it as \"192.0.2.1\", without prefix length");
                }
                (Ok(gateway), Some(cidr)) => {
                    if let Err(what) = cidr.gateway(gateway, "network.address") {
                        self.wrong(&span, &path, &what);
                    }
                }
                (Ok(_), None) => {}
            }
        }
        for (server, span) in self.texts(&["network", "dns"]) {
            if let Err(what) = name_server(server) {
                self.wrong(&span, &["network", "dns"], what);
            }
        }
        match self.text(&["network", "mode"]) {
            Some(("static", span)) if find(self.table, &["network", "address"]).is_none() => {
                self.lacks(
                    &span,
                    &["network", "mode"],
                    "network.address",
                    "is \"static\", but there is no address: add network.address, such as \"192.0.2.10/24\"",
                );
            }
            Some(("dhcp", _)) => {
                for key in ["address", "gateway", "dns"] {
                    let path = ["network", key];
                    let given = find(self.table, &path);
                    let given = given.filter(|v| v.get_ref().as_array().is_none_or(|list| !list.is_empty()));
                    if let Some(value) = given {
                        let what = "is for mode = \"static\" only: remove it, or change the mode";
                        self.wrong(&value.span(), &path, what);
                    }
                }
            }
            _ => {}
        }
    }

    fn storage(&mut self) {
        let mut seen = BTreeMap::new();
        for pool in ["ssd", "hdd"] {
            let wanted = self.disks(pool);
            self.matching(pool, wanted, &mut seen);
            for key in ["root", "reserve"] {
                let path = ["storage", pool, key];
                match self.size(&path) {
                    Some((Size::Share(10_000), span)) => {
                        self.wrong(&span, &path, "leaves nothing for guests: write less than 100%");
                    }
                    Some((size, span)) if key == "root" && size.of(Bytes::gib(1 << 20)) < Bytes::gib(1) => {
                        self.wrong(&span, &path, "is below 1 GiB: the host does not fit; 40GB is the default");
                    }
                    _ => {}
                }
            }
        }
    }

    /// How many disks a pool wants; an error where its RAID cannot be made of so many.
    fn disks(&mut self, pool: &'static str) -> u32 {
        let redundancy = match self.text(&["storage", pool, "raid"]) {
            Some(("hardware", _)) => Redundancy::Hardware,
            Some(("none", _)) => Redundancy::None,
            _ => Redundancy::Array,
        };
        let path = ["storage", pool, "disks"];
        let Some((count, span)) = self.number(&path) else {
            return if pool == "ssd" { redundancy.ssd_disks() } else { redundancy.hdd_disks() };
        };
        let wrong = match redundancy {
            Redundancy::Array if pool == "ssd" => (count != 2).then_some(
                "must be 2: the bootable pool is a mirror of two disks, each with its own ESP; one disk alone is raid = \"none\", one \
                 volume of a RAID controller raid = \"hardware\"",
            ),
            Redundancy::Array => (count < 2 || !count.is_multiple_of(2) || count > 64).then_some(
                "must be an even number from 2 to 64: RAID 10 keeps its data on pairs of disks; one disk alone is raid = \"none\", one \
                 volume of a RAID controller raid = \"hardware\"",
            ),
            Redundancy::Hardware => (count != 1).then_some(
                "must be 1 with raid = \"hardware\": the controller shows its disks as one volume; write 1, or remove the line",
            ),
            Redundancy::None => (count != 1).then_some(
                "must be 1 with raid = \"none\": what has no copy lies on one disk; write 1, or remove the line",
            ),
        };
        if let Some(what) = wrong {
            self.wrong(&span, &path, what);
        }
        count
    }

    /// `seen` has the serials and WWNs named so far, and by which pool.
    fn matching(&mut self, pool: &'static str, wanted: u32, seen: &mut BTreeMap<String, &'static str>) {
        let path = ["storage", pool, "match"];
        let Some(value) = find(self.table, &path) else { return };
        let DeValue::Table(table) = value.get_ref() else { return };
        let empty_lists = table.values().all(|value| value.get_ref().as_array().is_some_and(|list| list.is_empty()));
        if empty_lists {
            let what = "is empty, so it would fit every disk: give at least one of transport, rotational, min_size, max_size, \
                        model, serials, wwns";
            self.wrong(&value.span(), &path, what);
        }
        for key in ["serials", "wwns"] {
            let path = ["storage", pool, "match", key];
            let names = self.texts(&path);
            for (name, span) in &names {
                if name.trim().is_empty() || *name != name.trim() {
                    self.wrong(span, &path, "has an entry that is empty or begins or ends with a blank: copy it from `sovereign-installer probe`");
                    continue;
                }
                let id = if key == "wwns" { name.to_ascii_lowercase() } else { (*name).to_owned() };
                match seen.insert(format!("{key} {id}"), pool) {
                    Some(before) if before == pool => self.wrong(span, &path, "names the same disk twice: remove one"),
                    Some(_) => {
                        self.wrong(span, &path, "names a disk of the other pool too: a disk belongs to one pool");
                    }
                    None => {}
                }
            }
            if let Some(list) = find(self.table, &path).filter(|_| !names.is_empty() && names.len() != wanted as usize)
            {
                let what =
                    format!("names {} disks, and the pool has {wanted}: name each of them, or none", names.len());
                self.wrong(&list.span(), &path, &what);
            }
        }
        let limits = ["min_size", "max_size"].map(|key| {
            let path = ["storage", pool, "match", key];
            let (size, span) = self.size(&path)?;
            match size {
                Size::Absolute(bytes) => Some((bytes, span)),
                Size::Share(_) => {
                    self.wrong(
                        &span,
                        &path,
                        "is a share, and there is nothing to take it from: write a size, such as \"500GB\"",
                    );
                    None
                }
            }
        });
        if let [Some((min, _)), Some((max, span))] = &limits
            && min > max
        {
            self.wrong(
                span,
                &["storage", pool, "match", "max_size"],
                "is below min_size, so no disk fits: correct one of them",
            );
        }
        let path = ["storage", pool, "match", "model"];
        if let Some((_, span)) = self.text(&path).filter(|(model, _)| model.trim().is_empty()) {
            self.wrong(&span, &path, "is empty: write a pattern such as \"SAMSUNG*\", or remove it");
        }
    }

    fn encryption(&mut self) {
        let path = ["encryption", "file"];
        self.syntax(&path, syntax::file_name);
        match (self.text(&["encryption", "passphrase"]), find(self.table, &path)) {
            (Some(("file", span)), None) => {
                let what =
                    "is \"file\", but no file is named: add encryption.file, the name of a file on the answer medium";
                self.lacks(&span, &["encryption", "passphrase"], "encryption.file", what);
            }
            (Some(("prompt", _)), Some(file)) => {
                let what = "is for passphrase = \"file\" only: remove it, or change encryption.passphrase";
                self.wrong(&file.span(), &path, what);
            }
            _ => {}
        }
        let path = ["encryption", "argon2id", "memory"];
        match self.size(&path) {
            Some((Size::Absolute(memory), span))
                if !(layout::ARGON2ID_MIN_MEMORY..=layout::ARGON2ID_MAX_MEMORY).contains(&memory) =>
            {
                self.wrong(&span, &path, "is out of range: write 64MiB to 4GiB, or a share of the RAM such as \"25%\"");
            }
            _ => {}
        }
        let path = ["encryption", "argon2id", "time_ms"];
        if let Some((_, span)) = self.number(&path).filter(|(ms, _)| !(100..=60_000).contains(ms)) {
            self.wrong(&span, &path, "is out of range: write 100 to 60000 milliseconds; 2000 is the default");
        }
        let path = ["encryption", "argon2id", "parallel"];
        if let Some((_, span)) = self.number(&path).filter(|(n, _)| !(1..=layout::ARGON2ID_MAX_PARALLEL).contains(n)) {
            self.wrong(&span, &path, "is out of range: write 1 to 4");
        }
    }

    fn console(&mut self) {
        self.syntax(&["console", "serial"], syntax::serial_port);
        let path = ["console", "baud"];
        if let Some((_, span)) = self.number(&path).filter(|(baud, _)| !BAUD_RATES.contains(baud)) {
            self.wrong(&span, &path, "is no usual rate: write 9600, 19200, 38400, 57600, 115200 or 230400");
        }
    }
}

/// Address of a name server: one machine's.
fn name_server(server: &str) -> Result<(), &'static str> {
    match server.parse::<IpAddr>() {
        Err(_) => Err("has an entry that is no IP address: write it as \"192.0.2.1\""),
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
            Err("has an entry that is no machine's address: write that of a name server, such as \"192.0.2.1\"")
        }
        Ok(_) => Ok(()),
    }
}
