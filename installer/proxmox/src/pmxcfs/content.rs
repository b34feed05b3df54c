//! What the files in a database say, as Proxmox reads them.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::storage::{LOCAL, LOCAL_PATH};
use crate::guest::volume::Naming;
use crate::guest::{Reach, StorageInfo, is_on};
use crate::names;
use crate::section::{self, Section};

/// Types of storages that Proxmox VE 9 brings along.
const KINDS: [&str; 13] = [
    "btrfs",
    "cephfs",
    "cifs",
    "dir",
    "esxi",
    "iscsi",
    "iscsidirect",
    "lvm",
    "lvmthin",
    "nfs",
    "pbs",
    "rbd",
    "zfspool",
];

/// One type more, for remote ZFS.
const ZFS_OVER_ISCSI: &str = "zfs";

/// What may be kept on a storage; `import` on some types alone.
const CONTENT: [&str; 8] = ["backup", "images", "import", "iso", "none", "rootdir", "snippets", "vztmpl"];

/// What LVM holds.
const BLOCK_CONTENT: [&str; 2] = ["images", "rootdir"];

/// Keys that all three of the types below have.
const COMMON_KEYS: [&str; 4] = ["bwlimit", "content", "disable", "nodes"];

/// Type, keys it must have, further ones it may have.
const KEYS: [(&str, &[&str], &[&str]); 3] = [
    (
        "dir",
        &["path"],
        &[
            "content-dirs",
            "create-base-path",
            "create-subdirs",
            "format",
            "is_mountpoint",
            "max-protected-backups",
            "mkdir",
            "preallocation",
            "prune-backups",
            "shared",
            "snapshot-as-volume-chain",
        ],
    ),
    (
        "lvm",
        &["vgname"],
        &[
            "base",
            "saferemove",
            "saferemove-stepsize",
            "saferemove_throughput",
            "shared",
            "snapshot-as-volume-chain",
            "tagged_only",
        ],
    ),
    ("lvmthin", &["thinpool", "vgname"], &[]),
];

/// What of a storage.cfg is not read as it was meant.
pub(super) fn storage(text: &str) -> Vec<String> {
    let (sections, skipped) = section::parse(text);
    let mut found: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    for section in &sections {
        judge(section, &mut found);
    }
    let local = sections.iter().rfind(|section| section.id == LOCAL);
    if !local.is_some_and(|local| kind(local) == "dir" && local.get("path") == Some(LOCAL_PATH)) {
        found.push(format!("`local` is not a `dir` at {LOCAL_PATH}: Proxmox puts a default in its place"));
    }
    found
}

/// The storages that a node can use, for judging its virtual machines. Of two of one id Proxmox keeps the last.
pub(super) fn storages(text: &str, node: &str) -> BTreeMap<String, StorageInfo> {
    let (sections, _) = section::parse(text);
    // One of an unknown type is reported; with a plugin it is there all the same.
    let mut storages: BTreeMap<String, StorageInfo> =
        sections.iter().map(|section| (section.id.clone(), info(section, node))).collect();
    // Where it is missing, Proxmox puts this one in.
    let local = StorageInfo { naming: Naming::Files, images: true, iso: true, reach: Reach::Node };
    storages.entry(LOCAL.to_owned()).or_insert(local);
    storages
}

fn info(section: &Section, node: &str) -> StorageInfo {
    let kind = kind(section);
    // A list with an unknown word is dropped as a whole; without a list, each type holds images but those that never do.
    let listed = section.get("content").filter(|list| words(list).all(|word| CONTENT.contains(&word)));
    let holds = |word: &str| match listed {
        Some(list) => words(list).any(|found| found == word),
        None => word == "images" && !["cephfs", "esxi", "pbs"].contains(&kind.as_str()),
    };
    let on = |key: &str| section.get(key).is_some_and(|value| value.is_empty() || is_on(value));
    let of_cluster = ["nfs", "cifs", "cephfs", "rbd", "iscsi", "iscsidirect", "zfs", "pbs", "esxi"];
    StorageInfo {
        naming: Naming::of(&kind),
        images: holds("images"),
        iso: holds("iso"),
        reach: match section.get("nodes") {
            _ if on("disable") => Reach::Elsewhere,
            Some(nodes) if words(nodes).all(|found| found != node) => Reach::Elsewhere,
            _ if of_cluster.contains(&kind.as_str()) || on("shared") => Reach::Cluster,
            _ => Reach::Node,
        },
    }
}

/// Proxmox takes the type in any case.
fn kind(section: &Section) -> String {
    section.kind.to_ascii_lowercase()
}

fn judge(section: &Section, found: &mut Vec<String>) {
    let kind = kind(section);
    let at = format!("line {}: `{}`", section.line, section.id);
    if !names::is_storage(&section.id) {
        found.push(format!("{at} is no storage id, the section is skipped"));
    }
    if !KINDS.contains(&kind.as_str()) && kind != ZFS_OVER_ISCSI {
        found.push(format!("{at} is of an unknown type `{kind}`, the section is skipped"));
        return;
    }
    if let Some(words) = section.entries.iter().find(|entry| entry.key == "content") {
        content(&kind, &words.value, &format!("line {}: `{}`", words.line, section.id), found);
    }
    let Some((_, required, optional)) = KEYS.iter().find(|(known, _, _)| *known == kind) else {
        return;
    };
    for key in *required {
        match section.get(key) {
            None | Some("") => found.push(format!("{at} has no `{key}`")),
            Some(value) if ["vgname", "thinpool"].contains(key) && !names::is_volume(value) => {
                found.push(format!("{at}: `{value}` is no {key}"));
            }
            Some(value) if *key == "path" && !value.starts_with('/') => {
                found.push(format!("{at}: `{value}` is no absolute path"));
            }
            Some(_) => {}
        }
    }
    for entry in &section.entries {
        let key = entry.key.as_str();
        if !required.contains(&key) && !optional.contains(&key) && !COMMON_KEYS.contains(&key) {
            found.push(format!("line {}: a {kind} has no `{key}`, the line is dropped", entry.line));
        }
    }
}

fn content(kind: &str, value: &str, at: &str, found: &mut Vec<String>) {
    let words: BTreeSet<&str> = words(value).collect();
    if words.is_empty() {
        found.push(format!("{at} has an empty `content`, the line is dropped"));
    }
    for word in &words {
        if !CONTENT.contains(word) {
            found.push(format!("{at}: unknown content `{word}`, the whole line is dropped"));
        } else if kind.starts_with("lvm") && !BLOCK_CONTENT.contains(word) {
            found.push(format!("{at}: a {kind} holds no {word}"));
        }
    }
    if words.len() > 1 && words.contains("none") {
        found.push(format!("{at}: `none` is there with other content, the whole line is dropped"));
    }
}

/// Proxmox's lists: commas, semicolons and space separate.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(|c: char| c == ',' || c == ';' || c == '\0' || c.is_whitespace()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxmox_writes_is_right() {
        let text = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup,import\n\n\
                    lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n\n";
        assert_eq!(storage(text), [""; 0]);
    }

    #[test]
    fn what_it_would_skip_is_said() {
        let text = "dir: local\n\tpath /srv\n\tcontent iso,isos\nlvm: bulk\n\tvgname bulk\n\nlvm: 1x\n\tcontent iso\n\tpath /x\n\n\
                    tape: t1\n\tpath /x\n\ndir: d1\n\tpath x\n\tcontent none,iso\n";
        insta::assert_snapshot!(storage(text).join("\n"));
    }
}
