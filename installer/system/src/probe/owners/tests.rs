use super::*;
use crate::probe::capture::{EARLIER, LOOKED_AT, LSBLK, MDADM, PVS, WIPEFS};
use crate::probe::disks;

// mdadm 4.4: `mdadm --examine` of two of the three members of a RAID 5, and of two of the four of a RAID 1 with metadata 0.90.
const RAID5: &str = include_str!("md/raid5.txt");
const OLD: &str = include_str!("md/metadata-0.90.txt");
// LVM 2.03.31: `pvs --readonly --reportformat json` with one physical volume that is not there.
const PARTIAL: &str = include_str!("lvm/partial.json");

/// One disk `sda`: partitions, each a type and a name; signatures, each a device, a type, a UUID and a label.
fn captures(parts: &[(&str, &str)], signatures: &[(&str, &str, &str, &str)]) -> Captures {
    let mut captures = Captures::default();
    let part = |(index, (kind, name)): (usize, &(&str, &str))| {
        let number = index + 1;
        format!(
            r#"{{"kname":"sda{number}","path":"/dev/sda{number}","type":"part","parttype":"{kind}","partlabel":"{name}"}}"#
        )
    };
    let children: Vec<String> = parts.iter().enumerate().map(part).collect();
    let children = children.join(",");
    captures.insert(
        LSBLK,
        format!(
            r#"{{"blockdevices":[{{"kname":"sda","path":"/dev/sda","type":"disk","size":9,"children":[{children}]}}]}}"#
        ),
    );
    captures.insert(LOOKED_AT, "/dev/sda\n/dev/sda1\n/dev/sda2\n/dev/sda3\n/dev/sda4\n");
    let signature = |(device, kind, uuid, label): &(&str, &str, &str, &str)| {
        let label = if label.is_empty() { "null".to_owned() } else { format!("\"{label}\"") };
        format!(r#"{{"device":"{device}","offset":"0x0","type":"{kind}","uuid":"{uuid}","label":{label}}}"#)
    };
    let signatures: Vec<String> = signatures.iter().map(signature).collect();
    captures.insert(WIPEFS, format!(r#"{{"signatures":[{}]}}"#, signatures.join(",")));
    captures
}

fn said(captures: &Captures) -> Vec<String> {
    disks::parse(captures).unwrap()[0].belongs.iter().map(ToString::to_string).collect()
}

#[test]
fn partitions_of_others_are_known_by_their_types() {
    for (parts, signatures, wanted) in [
        (vec![(WINDOWS[0], ""), ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "")], vec![], vec!["Windows"]),
        (vec![(ESP, "EFI")], vec![("sda1", "vfat", "A", "SYSTEM")], vec![]),
        (vec![("", "")], vec![("sda1", "vfat", "A", "STICK")], vec!["vfat STICK"]),
        (vec![(VMWARE[0], "")], vec![], vec!["VMware ESXi"]),
        (vec![(CEPH[0], "ceph data")], vec![("sda1", "xfs", "A", "")], vec!["Ceph OSD", "xfs"]),
        (vec![], vec![("sda", "ceph_bluestore", "A", "")], vec!["Ceph OSD"]),
        (vec![], vec![("sda", "BitLocker", "A", "")], vec!["Windows"]),
        (vec![], vec![("sda", "isw_raid_member", "A", "")], vec!["firmware RAID (isw_raid_member)"]),
        (
            vec![(BIOS_BOOT, ""), (ESP, ""), ("", "")],
            vec![("sda3", "zfs_member", "1", "rpool")],
            vec!["Proxmox VE", "ZFS pool rpool"],
        ),
        (vec![("", "")], vec![("sda1", "zfs_member", "1", "tank")], vec!["ZFS pool tank"]),
        (vec![("", "")], vec![("sda1", "crypto_LUKS", "1", "cold")], vec!["LUKS container cold"]),
        // Both ends of one table, and three magics of one file system, are one owner or none.
        (vec![], vec![("sda", "gpt", "", ""), ("sda", "gpt", "", ""), ("sda", "PMBR", "", "")], vec![]),
        (
            vec![],
            vec![("sda", "iso9660", "1", "debian"), ("sda", "iso9660", "1", "debian")],
            vec!["installation image debian"],
        ),
    ] {
        assert_eq!(said(&captures(&parts, &signatures)), wanted);
    }
}

#[test]
fn members_of_an_array_that_are_not_in_the_machine_are_counted() {
    let uuid = "b13f06e4-fe97-c835-e520-5e2be834d0df";
    let parts = [("", ""), ("", ""), ("", ""), ("", "")];
    let found = [("sda2", "linux_raid_member", uuid, "nas:data"), ("sda4", "linux_raid_member", uuid, "nas:data")];
    let mut captures = captures(&parts, &found);
    assert_eq!(said(&captures), ["md array nas:data"], "without mdadm");
    captures.insert(MDADM, RAID5.replace("/dev/vda", "/dev/sda"));
    assert_eq!(said(&captures), ["md array nas:data, raid5, 3 members, MISSING member 1"]);
}

#[test]
fn the_oldest_metadata_names_its_members_in_a_table() {
    let members = md::parse(OLD);
    let short: Vec<_> = members.iter().map(|m| (m.device.as_str(), m.level.as_deref(), m.devices, m.slot)).collect();
    assert_eq!(short, [("/dev/sda1", Some("raid1"), Some(4), Some(0)), ("/dev/sdc1", Some("raid1"), Some(4), Some(2))]);
    assert_eq!(members[0].uuid, members[1].uuid);
    assert!(members[0].uuid.is_some());
}

#[test]
fn a_group_with_a_volume_that_is_not_there_says_so() {
    let uuid = lvm::parse(PARTIAL).unwrap()[0].uuid.clone();
    let mut captures = captures(&[("", "")], &[("sda1", "LVM2_member", &uuid, "")]);
    assert_eq!(said(&captures), ["LVM volume group"], "without pvs");
    captures.insert(PVS, PARTIAL);
    assert_eq!(said(&captures), ["LVM volume group backup, MISSING 1 physical volumes"]);
    captures.insert(PVS, PARTIAL.replace("backup", "pve"));
    assert_eq!(said(&captures), ["Proxmox VE", "LVM volume group pve, MISSING 1 physical volumes"]);
    captures.insert(PVS, PARTIAL.replace("backup", "ceph-3f9a5c1e"));
    assert_eq!(said(&captures), ["Ceph OSD"]);
    captures.insert(PVS, "{\"report\":");
    let error = disks::parse(&captures).unwrap_err().to_string();
    assert!(error.contains("`pvs.json`"), "{error}");
}

#[test]
fn an_earlier_installation_of_ours_is_known_by_its_partitions_and_says_what_it_is() {
    let parts = [(ESP, "sovereign-esp"), ("", "sovereign-boot")];
    let found = [("sda1", "vfat", "A", "ESP0"), ("sda2", "linux_raid_member", "B", "berlin-1:boot")];
    let mut captures = captures(&parts, &found);
    assert_eq!(said(&captures), ["an earlier installation of ours"]);
    let state = |state: &str| {
        format!(
            r#"/dev/sda1 {{ "install_id": "i", "site": "berlin-1", "started": 1795000000, "state": "{state}", "last_step": "x" }}"#
        )
    };
    captures.insert(EARLIER, state("complete"));
    assert_eq!(said(&captures), ["an earlier installation of ours: berlin-1, 2026-11-18"]);
    captures.insert(EARLIER, state("incomplete"));
    assert_eq!(said(&captures), ["an earlier installation of ours: berlin-1, 2026-11-18, interrupted"]);
    captures.insert(EARLIER, "/dev/sda1 {\n/dev/sda1\n\n");
    assert_eq!(said(&captures), ["an earlier installation of ours"]);
}
