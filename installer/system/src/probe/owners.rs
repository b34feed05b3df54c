//! What contents belong to: signatures, types and names of partitions, and what mdadm, pvs and an EFI system partition of ours tell.

mod lvm;
mod md;
mod ours;

use sovereign_model::inventory::{Content, Disk, Owner};

use super::ProbeError;
use super::captures::Captures;
use super::lsblk::Node;

/// Type of a BIOS boot partition.
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
/// Type of an EFI system partition.
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// Types of partitions that Windows makes for itself: reserved, recovery, and those of dynamic disks and storage spaces.
const WINDOWS: [&str; 5] = [
    "e3c9e316-0b5c-4db8-817d-f92df00215ae",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac",
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3",
    "af9b60a0-1431-4f62-bc68-3311714a69ad",
    "e75caf8f-f680-4cee-afa3-b001e56efc2d",
];
/// Types of partitions of VMware ESXi: VMFS, reserved, and core dumps.
const VMWARE: [&str; 3] = [
    "aa31e02a-400f-11db-9590-000c2911d1b8",
    "9198effc-31c0-11db-8f78-000c2911d1b8",
    "9d275380-40ad-11db-bf97-000c2911d1b8",
];
/// Types of partitions of Ceph's earlier tools: data, journal, block, its database, and the same encrypted.
const CEPH: [&str; 5] = [
    "4fbd7e29-9d25-41b8-afd0-062c0ceff05d",
    "45b0969e-9b03-4f30-b4c6-b4b80ceff106",
    "cafecafe-9b03-4f30-b4c6-b4b80ceff106",
    "30cd0809-c2b2-499c-8879-2d6b78529876",
    "4fbd7e29-9d25-41b8-afd0-5ec00ceff05d",
];
/// The volume group and the ZFS pool that Proxmox VE's installer makes.
const PROXMOX_GROUP: &str = "pve";
const PROXMOX_POOL: &str = "rpool";

/// What each of `disks`, of which `nodes` are lsblk's, belongs to. Nothing where its contents are not known.
///
/// # Errors
/// What pvs printed is not in its format.
pub(super) fn owners(captures: &Captures, nodes: &[&Node], disks: &[Disk]) -> Result<Vec<Vec<Owner>>, ProbeError> {
    let arrays = md::parse(captures.get(super::capture::MDADM).unwrap_or_default());
    let groups = lvm::parse(captures.get(super::capture::PVS).unwrap_or_default())?;
    let sites = ours::Sites::of(captures.get(super::capture::EARLIER).unwrap_or_default(), nodes, disks);
    let of = |(disk, node): (&Disk, &&Node)| {
        let looked = Looked { disk, node, arrays: &arrays, groups: &groups, sites: &sites };
        looked.owners()
    };
    Ok(disks.iter().zip(nodes).map(of).collect())
}

/// A disk that is looked at.
struct Looked<'a> {
    disk: &'a Disk,
    node: &'a Node,
    arrays: &'a [md::Member],
    groups: &'a [lvm::Volume],
    sites: &'a ours::Sites,
}

impl Looked<'_> {
    fn owners(&self) -> Vec<Owner> {
        let mut owners: Vec<Owner> = Vec::new();
        let mut add = |owner: Owner| {
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        };
        let Some(contents) = &self.disk.contents else { return owners };
        let ours = self.sites.of_disk(self.node, self.disk);
        let is_ours = ours.is_some();
        ours.into_iter().for_each(&mut add);
        self.by_partitions(contents).into_iter().for_each(&mut add);
        for content in contents {
            // Of our own arrays only what is wrong with them is worth a line.
            let owner = self.owner(content);
            owner.into_iter().filter(|owner| !is_ours || is_degraded(owner)).for_each(&mut add);
        }
        owners
    }

    fn types(&self) -> impl Iterator<Item = &str> {
        self.node.partitions().filter_map(|part| part.part_type.as_deref())
    }

    /// What the types of partitions, and what is on the disk as a whole, tell.
    fn by_partitions(&self, contents: &[Content]) -> Vec<Owner> {
        let has = |wanted: &[&str]| self.types().any(|kind| wanted.iter().any(|w| kind.eq_ignore_ascii_case(w)));
        let rpool = contents.iter().any(|c| c.kind == "zfs_member" && c.label.as_deref() == Some(PROXMOX_POOL));
        let pve = contents.iter().any(|c| self.group(c).is_some_and(|g| g.group.as_deref() == Some(PROXMOX_GROUP)));
        let bitlocker = contents.iter().any(|content| content.kind == "BitLocker");
        // Windows of the days of MBR has a small partition of this label.
        let reserved = contents
            .iter()
            .any(|c| c.kind == "ntfs" && matches!(c.label.as_deref(), Some("System Reserved" | "System-reserviert")));
        [
            (pve || (rpool && has(&[BIOS_BOOT]) && has(&[ESP])), Owner::ProxmoxVe),
            (has(&WINDOWS) || bitlocker || reserved, Owner::Windows),
            (has(&VMWARE), Owner::Vmware),
            (has(&CEPH), Owner::CephOsd),
        ]
        .into_iter()
        .filter_map(|(is, owner)| is.then_some(owner))
        .collect()
    }

    /// The node a signature is on.
    fn device(&self, content: &Content) -> String {
        content.partition.map_or_else(
            || self.node.path.clone(),
            |number| {
                let part = self.node.partitions().find(|part| part.partition_number(self.node) == Some(number));
                part.map_or_else(|| self.disk.partition_path(number), |part| part.path.clone())
            },
        )
    }

    fn group(&self, content: &Content) -> Option<&lvm::Volume> {
        let volume = |uuid: &str| self.groups.iter().find(|volume| volume.uuid == uuid);
        (content.kind == "LVM2_member").then_some(content.uuid.as_deref()).flatten().and_then(volume)
    }

    /// What one signature belongs to. A partition table, and the FAT of an EFI system partition, belong to what is beside them.
    fn owner(&self, content: &Content) -> Option<Owner> {
        let label = || content.label.clone();
        let part = self.node.partitions().find(|part| part.partition_number(self.node) == content.partition);
        let is_esp = part.and_then(|part| part.part_type.as_deref()).is_some_and(|kind| kind.eq_ignore_ascii_case(ESP));
        match content.kind.as_str() {
            "gpt" | "dos" | "PMBR" | "atari" | "mac" | "bsd" | "sun" | "sgi" => None,
            "vfat" if is_esp => None,
            "linux_raid_member" => Some(md::owner(self.arrays, &self.device(content), content)),
            "LVM2_member" => {
                let group = self.group(content);
                let name = group.and_then(|group| group.group.clone());
                if name.as_deref().is_some_and(|name| name.starts_with("ceph-")) {
                    return Some(Owner::CephOsd);
                }
                Some(Owner::Lvm { group: name, missing: group.map_or(0, |group| group.missing) })
            }
            "zfs_member" => Some(Owner::Zfs { pool: label() }),
            "ceph_bluestore" => Some(Owner::CephOsd),
            "crypto_LUKS" => Some(Owner::Luks { label: label() }),
            "btrfs" => Some(Owner::Btrfs { label: label() }),
            "bcache" => Some(Owner::Bcache),
            "drbd" | "drbdmanage_control_volume" => Some(Owner::Drbd),
            "stratis" => Some(Owner::Stratis),
            "BitLocker" => Some(Owner::Windows),
            "VMFS" | "VMFS_volume_member" => Some(Owner::Vmware),
            "apfs" | "hfsplus" | "hfs" => Some(Owner::Apple),
            "iso9660" | "udf" => Some(Owner::Image { label: label() }),
            raid if raid.ends_with("_raid_member") => Some(Owner::FirmwareRaid { metadata: raid.to_owned() }),
            format => Some(Owner::FileSystem { format: format.to_owned(), label: label() }),
        }
    }
}

const fn is_degraded(owner: &Owner) -> bool {
    match owner {
        Owner::Md { missing, .. } => !missing.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
