//! Stand-ins: numbered in the order of what they stand for, so that whatever is sorted by name stays sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sovereign_model::medium::{ANSWER_LABEL, VOLUME_ID};

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Serial,
    Wwn,
    Uuid,
    /// Of a file system, volume group, pool or array.
    Label,
    Mac,
    Host,
    Site,
    /// An NVM subsystem.
    Subsystem,
    /// A folder that something is mounted at.
    Folder,
}

/// Labels that say what a disk is, not whose: the plan and the report go by them.
const WELL_KNOWN: [&str; 11] = [
    VOLUME_ID,
    ANSWER_LABEL,
    "rpool",
    "bpool",
    "pve",
    "System Reserved",
    "System-reserviert",
    "boot",
    "ssd",
    "hdd",
    "root",
];
/// A volume group of Ceph is called so, and its UUID.
const CEPH: &str = "ceph-";
/// Shorter names are no names of one machine, and would be found within words that are none.
const SWEPT_LENGTH: usize = 4;

/// Names and what stands for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    seen: BTreeSet<(Kind, String)>,
    stand_ins: BTreeMap<(Kind, String), String>,
}

impl Names {
    /// The stand-in for `name`; nothing stands for nothing. Before [`Names::number`] it is noted only.
    pub fn of(&mut self, kind: Kind, name: &str) -> String {
        let name = name.trim();
        if name.is_empty() || (kind == Kind::Label && WELL_KNOWN.contains(&name)) {
            return name.to_owned();
        }
        let name = if matches!(kind, Kind::Wwn | Kind::Mac) { name.to_lowercase() } else { name.to_owned() };
        let key = (kind, name);
        if let Some(stand_in) = self.stand_ins.get(&key) {
            return stand_in.clone();
        }
        self.seen.insert(key);
        String::new()
    }

    /// The stand-in for a label: each half of `HOST:NAME` has its own.
    pub fn label(&mut self, label: &str) -> String {
        if let Some((host, name)) = label.split_once(':') {
            return format!("{}:{}", self.of(Kind::Host, host), self.label(name));
        }
        match label.strip_prefix(CEPH) {
            Some(rest) => format!("{CEPH}{}", self.of(Kind::Uuid, rest)),
            None => self.of(Kind::Label, label),
        }
    }

    /// A mount point, each of its folders but those of every system replaced.
    pub fn mount_point(&mut self, point: &str) -> String {
        const FOLDERS: [&str; 23] = [
            "",
            "[SWAP]",
            "boot",
            "efi",
            "run",
            "sovereign",
            "medium",
            "answers",
            "target",
            "guest",
            "base",
            "live",
            "copy",
            "rw",
            "mnt",
            "media",
            "srv",
            "var",
            "lib",
            "home",
            "usr",
            "tmp",
            "etc",
        ];
        let folder = |folder: &str| {
            if FOLDERS.contains(&folder) { folder.to_owned() } else { self.of(Kind::Folder, folder) }
        };
        point.split('/').map(folder).collect::<Vec<_>>().join("/")
    }

    /// Gives each name that was noted its stand-in.
    pub fn number(&mut self) {
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        for key in std::mem::take(&mut self.seen) {
            let count = counts.entry(key.0).or_default();
            *count += 1;
            let stand_in = stand_in(key.0, &key.1, *count);
            self.stand_ins.insert(key, stand_in);
        }
    }

    /// Free text, such as a tool's complaint, with each name in it replaced, the longest first, in whatever case it is.
    pub fn swept(&self, text: &str) -> String {
        let mut names: Vec<(&str, &str)> =
            self.stand_ins.iter().map(|((_, name), stand_in)| (name.as_str(), stand_in.as_str())).collect();
        names.retain(|(name, _)| name.len() >= SWEPT_LENGTH);
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.to_owned(), |text, (name, stand_in)| replaced(&text, name, stand_in))
    }
}

/// `text` with each `name`, in whatever case of ASCII, replaced.
fn replaced(text: &str, name: &str, stand_in: &str) -> String {
    let (lower, wanted) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut out = String::new();
    let mut rest = 0;
    for (at, _) in lower.match_indices(&wanted) {
        out.push_str(&text[rest..at]);
        out.push_str(stand_in);
        rest = at + wanted.len();
    }
    out.push_str(&text[rest..]);
    out
}

/// What stands for the `number`th name of its kind; of WWNs and UUIDs in the form that the original has.
fn stand_in(kind: Kind, name: &str, number: usize) -> String {
    match kind {
        Kind::Serial => format!("SERIAL{number:04}"),
        Kind::Wwn => match name.split_once('.') {
            Some((form, _)) => format!("{form}.{number:016x}"),
            None => format!("0x5000{number:012x}"),
        },
        Kind::Uuid => shaped(name, number),
        Kind::Label => format!("label{number:03}"),
        Kind::Mac => {
            let number = number.to_be_bytes();
            let mut mac = "02:00".to_owned();
            for byte in &number[number.len() - 4..] {
                // Writing to a String cannot fail.
                let _ = write!(mac, ":{byte:02x}");
            }
            mac
        }
        Kind::Host => format!("host{number:03}"),
        Kind::Site => format!("site{number:03}"),
        Kind::Subsystem => format!("nqn.2014-08.example:{number:04}"),
        Kind::Folder => format!("folder{number:03}"),
    }
}

/// `number` in the form of `name`: its digits at the end, zeros before, and what is neither letter nor digit as it was.
fn shaped(name: &str, mut number: usize) -> String {
    let mut out: Vec<char> = Vec::new();
    for c in name.chars().rev() {
        if c.is_alphanumeric() {
            out.push(char::from_digit(u32::try_from(number % 10).unwrap_or_default(), 10).unwrap_or('0'));
            number /= 10;
        } else {
            out.push(c);
        }
    }
    out.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_have_the_order_and_form_of_what_they_stand_for() {
        let mut names = Names::default();
        let serials = ["ZA2", "ZA10", "B7"];
        for serial in serials {
            names.of(Kind::Serial, serial);
        }
        names.of(Kind::Uuid, "b13f06e4-fe97-c835-e520-5e2be834d0df");
        names.of(Kind::Wwn, "eui.0025385B");
        names.of(Kind::Mac, "AC:1F:6B:00:00:01");
        names.number();
        assert_eq!(serials.map(|serial| names.of(Kind::Serial, serial)), ["SERIAL0003", "SERIAL0002", "SERIAL0001"]);
        assert_eq!(
            names.of(Kind::Uuid, "b13f06e4-fe97-c835-e520-5e2be834d0df"),
            "00000000-0000-0000-0000-000000000001"
        );
        assert_eq!(names.of(Kind::Wwn, "eui.0025385b"), "eui.0000000000000001");
        assert_eq!(names.of(Kind::Mac, "ac:1f:6b:00:00:01"), "02:00:00:00:00:01");
        assert_eq!(names.swept("no za10, AC:1f:6b:00:00:01!"), "no SERIAL0002, 02:00:00:00:00:01!");
    }

    #[test]
    fn each_half_of_a_name_with_a_host_has_its_own_stand_in() {
        let mut names = Names::default();
        for label in ["berlin-1:boot", "berlin-1:data", "data", "pve"] {
            names.label(label);
        }
        names.mount_point("/mnt/customers/boot");
        names.number();
        assert_eq!(names.label("berlin-1:boot"), "host001:boot");
        assert_eq!((names.label("berlin-1:data"), names.label("data")), ("host001:label001".into(), "label001".into()));
        assert_eq!(names.label("pve"), "pve");
        assert_eq!(names.mount_point("/mnt/customers/boot"), "/mnt/folder001/boot");
    }
}
