//! Judges a virtual machine's configuration file: what Proxmox would leave out, refuse at a start, or do otherwise than it says.
//!
//! Snapshots and pending changes are not judged. A setting of a later Proxmox VE is one that we do not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::pmxcfs::Severity;

use super::check_drives::Drives;
use super::format::{Kind, Properties, is_digits};
use super::lines::{Lines, Reason, Setting};
use super::numbers::CPU_UNITS_MAX;
use super::schema::{self, Rule};
use super::schema_lists::NET;
use super::text::shorten;
use super::volume::Naming;
use crate::names;

/// What is known about the node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The number of the guest whose file it is.
    pub id: u32,
    /// How many CPUs the node has.
    pub host_cpus: Option<u32>,
    /// The storages that the node can use; none where that is not known.
    pub storages: Option<&'a BTreeMap<String, StorageInfo>>,
    /// The numbers of all guests.
    pub guests: Option<&'a BTreeSet<u32>>,
}

/// A storage, as far as a virtual machine's volumes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageInfo {
    /// How it names volumes.
    pub naming: Naming,
    /// Whether it holds disks of virtual machines.
    pub images: bool,
    /// Whether it holds images of installation media.
    pub iso: bool,
    /// Who can use it.
    pub reach: Reach,
}

/// Who can use a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Not the node.
    Elsewhere,
    /// The node, which has volumes of its own there.
    Node,
    /// The whole cluster: all nodes see the same volumes.
    Cluster,
}

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its line, from 1; none where something is missing.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What happens, and what to do.
    pub remedy: &'static str,
}

/// `line 3: cores: 0 is below 1: Proxmox ...`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place_and_what(), self.remedy)
    }
}

impl Finding {
    /// Where and what, without the remedy.
    pub fn place_and_what(&self) -> String {
        self.line.map_or_else(|| self.what.clone(), |line| format!("line {line}: {}", self.what))
    }
}

const LOST: &str = "Proxmox leaves the line out, and at the next change the file is written without it; correct it";
const UNSEEN: &str = "Proxmox takes it unseen, and it fails or has no effect later; correct it";
const NO_START: &str = "the machine does not start; correct it";

/// Everything that is wrong with a file, in the order of its lines.
pub fn check(lines: &Lines, context: &Context<'_>) -> Vec<Finding> {
    let mut judge = Judge { lines, lists: BTreeMap::new(), findings: Vec::new() };
    for skipped in &lines.skipped {
        let remedy = match skipped.reason {
            Reason::UnknownSection(_) => "Proxmox leaves all of it out, and forgets it at the next change; delete it",
            Reason::SectionTwice(_) => "Proxmox forgets it at the next change; name or delete one of the two",
            Reason::NoSetting(_) | Reason::Delete => LOST,
        };
        judge.error(Some(skipped.line), skipped.reason.to_string(), remedy);
    }
    for setting in &lines.settings {
        judge.setting(setting);
    }
    judge.twice();
    judge.cpus(context);
    judge.memory();
    judge.firmware_and_console();
    judge.boot();
    judge.network();
    Drives::new(&mut judge, context).check();
    let mut findings = judge.findings;
    findings.sort_by_key(|finding| (finding.line.is_none(), finding.line, finding.severity));
    findings
}

/// The MAC addresses of a machine's cards, in capitals, with their lines; none of a template, which never runs.
pub fn mac_addresses(lines: &Lines) -> Vec<(usize, String)> {
    if lines.get("template").is_some_and(|template| super::format::is_on(&template.value)) {
        return Vec::new();
    }
    let is_card = |key: &str| key.strip_prefix("net").is_some_and(is_digits);
    let cards = lines.settings.iter().filter(|setting| is_card(&setting.key));
    let counting = cards.filter(|setting| lines.get(&setting.key).is_some_and(|last| last.line == setting.line));
    let mac =
        |setting: &Setting| Some((setting.line, NET.read(&setting.value).ok()?.get("macaddr")?.to_ascii_uppercase()));
    counting.filter_map(mac).collect()
}

pub(super) struct Judge<'a> {
    pub(super) lines: &'a Lines,
    /// The lists that are right, of settings that count: line and properties.
    lists: BTreeMap<&'a str, (usize, Properties<'a>)>,
    findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    pub(super) fn error(&mut self, line: Option<usize>, what: impl Into<String>, remedy: &'static str) {
        self.findings.push(Finding { severity: Severity::Error, line, what: what.into(), remedy });
    }

    pub(super) fn warn(&mut self, line: Option<usize>, what: impl Into<String>, remedy: &'static str) {
        self.findings.push(Finding { severity: Severity::Warning, line, what: what.into(), remedy });
    }

    /// The value of a setting that counts.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.lines.get(key).map(|setting| setting.value.as_str())
    }

    /// The line of a setting that counts.
    fn line(&self, key: &str) -> Option<usize> {
        self.lines.get(key).map(|setting| setting.line)
    }

    /// A number that counts; Proxmox takes none, and 0 in many places, for what it does by default.
    fn number(&self, key: &str) -> Option<u64> {
        self.get(key).filter(|value| is_digits(value)).map(|value| value.parse().unwrap_or(u64::MAX))
    }

    fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(super::format::is_on)
    }

    pub(super) fn is_template(&self) -> bool {
        self.is_set("template")
    }

    fn list(&self, key: &str) -> Option<&(usize, Properties<'a>)> {
        self.lists.get(key)
    }

    /// The lists of numbered settings, such as `net` and `ide`, with their keys and lines.
    pub(super) fn numbered(&self, name: &'a str) -> impl Iterator<Item = (&'a str, usize, Properties<'a>)> {
        let lists = self.lists.iter().filter(move |(key, _)| key.strip_prefix(name).is_some_and(is_digits));
        lists.map(|(key, (line, list))| (*key, *line, list.clone()))
    }

    /// What is wrong with a value by itself.
    fn setting(&mut self, setting: &'a Setting) {
        let Setting { line, key, value } = setting;
        let line = Some(*line);
        let Some(known) = schema::find(key) else {
            return self.error(line, format!("Proxmox VE 9.2 knows no setting `{key}`"), LOST);
        };
        if value.contains('\r') {
            return self.error(line, format!("`{key}` has a carriage return in it"), LOST);
        }
        let shown = || format!("`{key}: {}`", shorten(value));
        match known.rule {
            Rule::Any => {}
            Rule::Checked(kind) => {
                if let Some(what) = kind.wrong(value) {
                    self.error(line, format!("{} {what}", shown()), LOST);
                }
            }
            Rule::Limits(kind) => {
                // The parser takes digits, and for a number a point between.
                let parts = if matches!(kind, Kind::Whole(..)) { 1 } else { 2 };
                let digits = value.splitn(parts, '.').all(is_digits);
                match kind.wrong(value) {
                    Some(what) => self.error(line, format!("{} {what}", shown()), if digits { UNSEEN } else { LOST }),
                    None if !digits => self.error(line, format!("{} is no plain number", shown()), LOST),
                    None => {}
                }
            }
            Rule::Unchecked(kind) => {
                let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                if let Some(what) = kind.wrong(bare) {
                    self.error(line, format!("{} {what}", shown()), UNSEEN);
                }
            }
            Rule::List(format) | Rule::Drive(format) => match format.read(value) {
                Ok(list) => {
                    let key = if key == "cdrom" { "ide2" } else { key.as_str() };
                    self.lists.insert(key, (setting.line, list));
                }
                Err(wrong) => {
                    for what in wrong {
                        self.error(line, format!("`{key}`: {what}"), LOST);
                    }
                }
            },
        }
    }

    /// Settings that are there more than once: all but the last are lost.
    fn twice(&mut self) {
        let mut later = BTreeMap::new();
        for setting in self.lines.settings.iter().rev() {
            let key = if setting.key == "cdrom" { "ide2" } else { setting.key.as_str() };
            match later.get(key) {
                Some(line) => self.error(
                    Some(setting.line),
                    format!("`{key}` is in line {line} again, and that one counts"),
                    "Proxmox forgets this line without a word; delete one of the two",
                ),
                None => {
                    later.insert(key, setting.line);
                }
            }
        }
    }

    fn cpus(&mut self, context: &Context<'_>) {
        // As Proxmox counts: 0 is 1, and the old `smp` stands for `sockets`.
        let positive = |number: Option<u64>| number.filter(|number| *number > 0);
        let sockets = positive(self.number("sockets")).or(positive(self.number("smp"))).unwrap_or(1);
        let cores = positive(self.number("cores")).unwrap_or(1);
        let all = sockets.saturating_mul(cores);
        let line = self.line("cores").or(self.line("sockets"));
        if let Some(host) = context.host_cpus.filter(|host| all > u64::from(*host)) {
            let what = format!("{sockets} sockets of {cores} cores are {all} CPUs, but the node has {host}");
            self.error(line, what, NO_START);
        }
        if let Some(plugged) = self.number("vcpus").filter(|plugged| *plugged > all) {
            let what = format!("`vcpus: {plugged}` is more than the {all} CPUs of the sockets and cores");
            self.error(self.line("vcpus"), what, NO_START);
        }
        let most = u64::from(CPU_UNITS_MAX);
        if self.number("cpuunits").is_some_and(|units| units > most && units <= 262_144) {
            let what = format!("`cpuunits` is above {most}");
            self.warn(self.line("cpuunits"), what, "with cgroup v2 Proxmox takes 10000 instead; write 1 to 10000");
        }
        if let Some((line, model)) =
            self.list("cpu").and_then(|(line, list)| list.get("cputype").map(|model| (*line, model)))
            && !is_cpu_model(model)
        {
            let what = format!("we do not know the model `{}` of CPUs", shorten(model));
            self.warn(Some(line), what, "where QEMU does not either, Proxmox leaves the line out; see `qm showcmd`");
        }
    }

    fn memory(&mut self) {
        let total = self.list("memory").and_then(|(_, list)| list.get("current")).and_then(|mib| mib.parse().ok());
        let total: u64 = total.unwrap_or(512);
        if let Some(target) = self.number("balloon").filter(|target| *target > total) {
            let what = format!("`balloon: {target}` is more than the memory, {total} MiB");
            self.warn(
                self.line("balloon"),
                what,
                "the machine cannot have more than its memory; write less, or 0 for none",
            );
        }
        if self.get("hugepages").is_some() && !self.is_set("numa") {
            let remedy = "the machine does not start; set `numa: 1`, or leave `hugepages` out";
            self.error(self.line("hugepages"), "`hugepages` needs `numa: 1`", remedy);
        }
    }

    fn firmware_and_console(&mut self) {
        // With SEV-SNP and TDX there are no variables to keep.
        let sealed = self.get("intel-tdx").is_some()
            || self.list("amd-sev").is_some_and(|(_, list)| list.get("type") == Some("snp"));
        if self.get("bios") == Some("ovmf") && self.get("efidisk0").is_none() && !sealed {
            let remedy =
                "UEFI's settings are lost at each stop, with what the guest wrote of how to boot it; add the disk";
            self.warn(self.line("bios"), "`bios: ovmf` has no `efidisk0`", remedy);
        }
        let vga = self.list("vga").and_then(|(line, list)| list.get("type").map(|kind| (*line, kind)));
        if let Some((line, port)) = vga.filter(|(_, kind)| kind.starts_with("serial"))
            && self.get(port).is_none()
        {
            let what = format!("`vga: {port}` needs `{port}: socket`");
            self.warn(Some(line), what, "the machine has no console that anybody sees; add the port");
        }
        if self.get("scsihw") != Some("virtio-scsi-single") {
            let threads: Vec<_> = self
                .numbered("scsi")
                .filter(|(_, _, list)| list.is_set("iothread"))
                .map(|(key, line, _)| (key, line))
                .collect();
            for (key, line) in threads {
                let what = format!("`iothread` of `{key}` needs `scsihw: virtio-scsi-single`");
                self.warn(Some(line), what, "Proxmox ignores it, and the disk is slower; set the controller");
            }
        }
    }

    fn boot(&mut self) {
        let Some((line, order)) = self.list("boot").map(|(line, list)| (*line, list.get("order"))) else { return };
        for device in order.into_iter().flat_map(schema::words) {
            let there = self.get(device).is_some() || (device == "ide2" && self.get("cdrom").is_some());
            if !there {
                let what = format!("the boot order names `{device}`, which is not there");
                self.warn(Some(line), what, "Proxmox passes over it; take it out or add the device");
            }
        }
    }

    fn network(&mut self) {
        let mut macs: BTreeMap<String, &str> = BTreeMap::new();
        for (key, line, list) in self.numbered("net").collect::<Vec<_>>() {
            match list.get("macaddr") {
                None => self.warn(
                    Some(line),
                    format!("`{key}` has no MAC address"),
                    "it has another one at each start, and leases and rules by address fail; write one",
                ),
                Some(mac) => {
                    if let Some(other) = macs.insert(mac.to_ascii_lowercase(), key) {
                        let what = format!("`{key}` has the MAC address of `{other}`");
                        self.warn(Some(line), what, "one of the two cards is not reached; give each its own");
                    }
                }
            }
            if let Some(bridge) = list.get("bridge").filter(|bridge| bridge.len() > names::INTERFACE_MAX) {
                let what = format!("`{key}`: no bridge can be called `{}`", shorten(bridge));
                self.error(
                    Some(line),
                    what,
                    "names have at most 15 characters, and the machine does not start; correct it",
                );
            }
        }
        for (key, line, list) in self.numbered("ipconfig").collect::<Vec<_>>() {
            for (router, address) in [("gw", "ip"), ("gw6", "ip6")] {
                let fixed = list.get(address).is_some_and(|address| address.contains('/'));
                if list.get(router).is_some() && !fixed {
                    let what = format!("`{key}` has `{router}` without a fixed `{address}`");
                    self.error(Some(line), what, "Proxmox ignores the whole line; give an address, or no router");
                }
            }
        }
    }
}

/// Models of CPUs without version and mitigation, those of QEMU 10 and Proxmox's own.
const CPU_MODELS: [&str; 55] = [
    "486",
    "Broadwell",
    "Cascadelake-Server",
    "ClearwaterForest",
    "Conroe",
    "Cooperlake",
    "DiamondRapids",
    "EPYC",
    "EPYC-Genoa",
    "EPYC-Milan",
    "EPYC-Rome",
    "EPYC-Turin",
    "GraniteRapids",
    "Haswell",
    "Icelake-Client",
    "Icelake-Server",
    "IvyBridge",
    "KnightsMill",
    "Nehalem",
    "Opteron_G1",
    "Opteron_G2",
    "Opteron_G3",
    "Opteron_G4",
    "Opteron_G5",
    "Penryn",
    "SandyBridge",
    "SapphireRapids",
    "SierraForest",
    "Skylake-Client",
    "Skylake-Server",
    "Westmere",
    "a64fx",
    "athlon",
    "core2duo",
    "coreduo",
    "cortex-a35",
    "cortex-a53",
    "cortex-a55",
    "cortex-a57",
    "cortex-a710",
    "cortex-a72",
    "cortex-a76",
    "host",
    "kvm32",
    "kvm64",
    "max",
    "neoverse-n1",
    "neoverse-n2",
    "neoverse-v1",
    "pentium",
    "pentium2",
    "pentium3",
    "phenom",
    "qemu32",
    "qemu64",
];

fn is_cpu_model(model: &str) -> bool {
    let mut base = model;
    if let Some((start, version)) = base.rsplit_once("-v")
        && is_digits(version)
    {
        base = start;
    }
    for suffix in ["-IBRS", "-IBPB", "-noTSX"] {
        base = base.strip_suffix(suffix).unwrap_or(base);
    }
    let generic = ["x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4"].contains(&model);
    generic || model.starts_with("custom-") || CPU_MODELS.binary_search(&base).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_cpus() {
        assert!(CPU_MODELS.is_sorted());
        for model in
            ["host", "x86-64-v2-AES", "EPYC-Rome-v4", "Haswell-noTSX-IBRS", "Broadwell-noTSX", "custom-mine", "486"]
        {
            assert!(is_cpu_model(model), "{model}");
        }
        for model in ["", "x86-64", "x86-64-v5", "epyc", "Haswell-v", "-v2"] {
            assert!(!is_cpu_model(model), "{model}");
        }
    }
}
