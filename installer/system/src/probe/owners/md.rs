//! Members of md arrays: `mdadm --examine`.

use std::collections::BTreeSet;

use sovereign_model::inventory::{Content, Owner};

/// What one member says of its array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// Its node.
    pub device: String,
    pub uuid: Option<String>,
    pub name: Option<String>,
    pub level: Option<String>,
    pub devices: Option<u32>,
    /// Its place in the array; none for a spare.
    pub slot: Option<u32>,
}

/// A block a member, which starts with its node and a colon at the start of a line.
pub(super) fn parse(text: &str) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for line in text.lines() {
        if let Some(device) = line.strip_suffix(':').filter(|device| device.starts_with('/')) {
            members.push(Member { device: device.to_owned(), ..Member::default() });
        }
        let Some(member) = members.last_mut() else { continue };
        // Metadata 0.90 has the member's own line in a table: `this  NUMBER MAJOR MINOR SLOT STATE`.
        if let Some(row) = line.trim().strip_prefix("this ") {
            let fields: Vec<&str> = row.split_ascii_whitespace().collect();
            member.slot = fields.get(3).filter(|_| fields.contains(&"active")).and_then(|slot| slot.parse().ok());
        }
        let Some((name, value)) = line.split_once(" : ").map(|(name, value)| (name.trim(), value.trim())) else {
            continue;
        };
        match name {
            "Array UUID" | "UUID" => member.uuid = value.split_ascii_whitespace().next().map(str::to_owned),
            // `nas:data  (local to host nas)`
            "Name" => member.name = value.split("  ").next().map(str::to_owned),
            "Raid Level" => member.level = Some(value.to_owned()),
            "Raid Devices" => member.devices = value.parse().ok(),
            "Device Role" => member.slot = value.strip_prefix("Active device ").and_then(|slot| slot.parse().ok()),
            _ => {}
        }
    }
    members
}

/// The array of the member on `device`, by what all members in the machine say; by the signature alone where mdadm said nothing.
pub(super) fn owner(members: &[Member], device: &str, content: &Content) -> Owner {
    let Some(member) = members.iter().find(|member| member.device == device) else {
        let name = content.label.clone().unwrap_or_default();
        return Owner::Md { level: None, name, uuid: content.uuid.clone(), devices: None, missing: Vec::new() };
    };
    let same = members.iter().filter(|other| other.uuid.is_some() && other.uuid == member.uuid);
    let present: BTreeSet<u32> = same.chain([member]).filter_map(|other| other.slot).collect();
    // A damaged superblock may say any number: no array has more members than this (MD_SB_DISKS is 27, metadata 1 has 384).
    let slots = 0..member.devices.unwrap_or_default().min(MAX_DEVICES);
    Owner::Md {
        level: member.level.clone(),
        name: member.name.clone().or_else(|| content.label.clone()).unwrap_or_default(),
        uuid: content.uuid.clone().or_else(|| member.uuid.clone()),
        devices: member.devices,
        missing: slots.filter(|slot| !present.contains(slot)).collect(),
    }
}

/// Most members of an array whose empty slots are listed.
const MAX_DEVICES: u32 = 384;
