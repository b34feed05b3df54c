//! Judges the drives of a virtual machine: where their volumes are, whose they are, and whether they are there twice.

use std::collections::BTreeMap;

use super::check::{Context, Judge, Reach, StorageInfo};
use super::format::Properties;
use super::lines::Lines;
use super::text::shorten;
use super::volume::{self, Held, Naming};

/// Buses and states that hold a guest's volumes; `unused` volumes are not attached.
const BUSES: [&str; 6] = ["efidisk", "ide", "sata", "scsi", "tpmstate", "virtio"];

const NO_START: &str = "the machine does not start; correct it";

/// Limits of speed that exclude each other.
const EXCLUDING: [(&str, &str); 7] = [
    ("bps", "mbps"),
    ("bps_rd", "mbps_rd"),
    ("bps_wr", "mbps_wr"),
    ("mbps", "mbps_rd"),
    ("mbps", "mbps_wr"),
    ("iops", "iops_rd"),
    ("iops", "iops_wr"),
];

/// A volume that a guest's file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The line.
    pub line: usize,
    /// The setting.
    pub key: String,
    /// The storage.
    pub storage: String,
    /// The volume's name on it.
    pub name: String,
    /// Whether the machine uses it: not an `unused` one.
    pub attached: bool,
}

/// The volumes that a file names in drives that hold now, media for installing among them, in the order of its lines.
pub fn volumes(lines: &Lines) -> Vec<Used> {
    let is_drive = |key: &str| {
        let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
        BUSES.contains(&name) || name == "unused" || name == "cdrom"
    };
    let counts = |key: &str, line: usize| lines.get(key).is_some_and(|last| last.line == line);
    lines
        .settings
        .iter()
        .filter(|setting| is_drive(&setting.key) && counts(&setting.key, setting.line))
        .filter_map(|setting| {
            let source = setting.value.split(',').find_map(|part| match part.split_once('=') {
                None => Some(part),
                Some(("file" | "volume", source)) => Some(source),
                Some(_) => None,
            })?;
            let (storage, name) = volume::split(source)?;
            Some(Used {
                line: setting.line,
                key: setting.key.clone(),
                storage: storage.to_owned(),
                name: name.to_owned(),
                attached: !setting.key.starts_with("unused"),
            })
        })
        .collect()
}

pub(super) struct Drives<'j, 'a> {
    judge: &'j mut Judge<'a>,
    context: &'j Context<'j>,
    /// Whose volume it is already.
    seen: BTreeMap<(&'a str, &'a str), &'a str>,
}

impl<'j, 'a> Drives<'j, 'a> {
    pub(super) fn new(judge: &'j mut Judge<'a>, context: &'j Context<'j>) -> Self {
        Self { judge, context, seen: BTreeMap::new() }
    }

    pub(super) fn check(mut self) {
        let mut all: Vec<_> = BUSES.into_iter().flat_map(|bus| self.judge.numbered(bus)).collect();
        all.sort_by_key(|(_, line, _)| *line);
        for (key, line, list) in all {
            self.options(key, line, &list);
            if let Some(source) = list.get("file") {
                self.source(key, line, source, &list);
            }
        }
    }

    /// What excludes each other.
    fn options(&mut self, key: &str, line: usize, list: &Properties<'_>) {
        if list.get("media") == Some("cdrom") {
            let wrong = ["snapshot", "format"].into_iter().find(|option| list.keys().any(|there| there == *option));
            if let Some(option) = wrong {
                self.judge.error(Some(line), format!("`{key}` is a CD-ROM and has `{option}`"), NO_START);
            }
            if key.starts_with("virtio") {
                self.judge.error(Some(line), format!("`{key}` cannot be a CD-ROM"), "use ide, sata or scsi for it");
            }
        }
        for (one, other) in EXCLUDING {
            if list.get(one).is_some() && list.get(other).is_some() {
                let what = format!("`{key}` has `{one}` and `{other}`");
                self.judge.error(Some(line), what, "Proxmox ignores the drive; keep one of the two");
            }
        }
    }

    fn source(&mut self, key: &'a str, line: usize, source: &'a str, list: &Properties<'_>) {
        // `none`, `cdrom` and the path of a device belong to no storage.
        let Some((storage, name)) = volume::split(source) else { return };
        let number = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if number || name == "cloudinit" {
            let what = format!("`{key}` is to make a new volume, `{}`", shorten(source));
            let remedy = "that is for the command line of qm alone; make the volume and write its name";
            return self.judge.error(Some(line), what, remedy);
        }
        let info = match self.context.storages.map(|storages| storages.get(storage)) {
            None => None,
            Some(Some(info)) => Some(*info),
            Some(None) => {
                let what = format!("`{key}` is on the storage `{storage}`, which storage.cfg does not have");
                return self.judge.error(
                    Some(line),
                    what,
                    "the machine does not start; add the storage or move the disk",
                );
            }
        };
        if info.is_some_and(|info| info.reach == Reach::Elsewhere) {
            let what = format!("`{key}` is on the storage `{storage}`, which the node may not use");
            self.judge.error(Some(line), what, "the machine does not start; enable the storage for the node");
        }
        let naming = info.map_or(Naming::Other, |info| info.naming);
        let Some(volume) = volume::parse(naming, name) else {
            let what = format!("`{key}`: `{}` is no name of a volume on `{storage}`", shorten(name));
            let remedy = "the machine does not start; write a name of that storage's, such as `vm-101-disk-0`";
            return self.judge.error(Some(line), what, remedy);
        };
        self.content(key, line, storage, volume.content, info);
        if volume.content == Held::Images {
            self.owner(key, line, name, volume.owner);
        }
        let is_cdrom = list.get("media") == Some("cdrom");
        if volume::is_cloud_init(source) {
            if !is_cdrom {
                let what = format!("`{key}` holds cloud-init's data and is no CD-ROM");
                self.judge.warn(Some(line), what, "cloud-init does not look for it there; add `media=cdrom`");
            }
        } else if volume.content == Held::Images && !is_cdrom {
            self.base(key, line, name, volume.is_base, info);
        }
        if volume.content != Held::Iso
            && let Some(other) = self.seen.insert((storage, volume.own), key)
        {
            let what = format!("`{key}` is the volume of `{other}`");
            self.judge.error(Some(line), what, "two disks that write to one volume destroy it; give each its own");
        }
    }

    fn content(&mut self, key: &str, line: usize, storage: &str, held: Held, info: Option<StorageInfo>) {
        let Some(info) = info else { return };
        let missing = match held {
            Held::Images if !info.images => "images",
            Held::Iso if !info.iso => "iso",
            _ => return,
        };
        let what = format!("`{key}` is on the storage `{storage}`, which does not hold {missing}");
        self.judge.error(Some(line), what, "the machine does not start; add it to the storage's `content`");
    }

    fn owner(&mut self, key: &str, line: usize, name: &str, owner: Option<u32>) {
        let Some(owner) = owner.filter(|owner| *owner != self.context.id) else { return };
        let what = format!("`{key}`: `{}` is a volume of guest {owner}", shorten(name));
        let remedy = if self.context.guests.is_some_and(|guests| guests.contains(&owner)) {
            "Proxmox offers it to that guest as unused, where it may be deleted; `qm disk move --target-vmid` renames it"
        } else {
            "whoever gets that number next gets the volume; rename it after this guest"
        };
        self.judge.warn(Some(line), what, remedy);
    }

    fn base(&mut self, key: &str, line: usize, name: &str, is_base: bool, info: Option<StorageInfo>) {
        let shown = shorten(name);
        let template = self.judge.is_template();
        if is_base && !template {
            let what = format!("`{key}`: `{shown}` is a template's volume, which is read-only");
            self.judge.error(Some(line), what, "the machine does not start; clone it, or set `template: 1`");
        } else if !is_base && template && info.is_none_or(|info| info.naming.has_bases()) {
            let what = format!("the guest is a template, but `{key}`, `{shown}`, is no base volume");
            let remedy = "linked clones fail; run `qm template`, which names it `base-...` and makes it read-only";
            self.judge.error(Some(line), what, remedy);
        }
    }
}
