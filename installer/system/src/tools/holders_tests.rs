//! Tests of [`super`]: stacks drawn as folders, as /sys has them.

use super::*;
use crate::testing::Recorder;

/// A machine: two NVMe disks with one partition each in md127, on it the mapping luks-old, on it the group `old-vg` with a root
/// volume; one disk `sda` with swap on a partition.
fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let make = |path: &str, text: Option<&str>| {
        let path = dir.path().join(path);
        match text {
            Some(text) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            None => fs::create_dir_all(path).unwrap(),
        }
    };
    for disk in ["nvme0n1", "nvme1n1"] {
        make(&format!("devices/{disk}/{disk}p1/partition"), Some("1\n"));
        make(&format!("devices/{disk}/{disk}p1/holders/md127"), None);
    }
    make("devices/md127/md/array_state", Some("clean\n"));
    make("devices/md127/holders/dm-0", None);
    make("devices/dm-0/dm/name", Some("luks-old\n"));
    make("devices/dm-0/dm/uuid", Some("CRYPT-LUKS2-0123-luks-old\n"));
    make("devices/dm-0/holders/dm-1", None);
    make("devices/dm-0/holders/dm-2", None);
    for (name, mapping) in [("dm-1", "old--vg-root"), ("dm-2", "old--vg-home")] {
        make(&format!("devices/{name}/dm/name"), Some(mapping));
        make(&format!("devices/{name}/dm/uuid"), Some("LVM-abcdef\n"));
    }
    make("devices/sda/sda1/partition", Some("1\n"));
    for (name, place) in [
        ("nvme0n1", "nvme0n1"),
        ("nvme0n1p1", "nvme0n1/nvme0n1p1"),
        ("nvme1n1", "nvme1n1"),
        ("nvme1n1p1", "nvme1n1/nvme1n1p1"),
        ("md127", "md127"),
        ("dm-0", "dm-0"),
        ("dm-1", "dm-1"),
        ("dm-2", "dm-2"),
        ("sda", "sda"),
        ("sda1", "sda/sda1"),
    ] {
        fs::create_dir_all(dir.path().join("class")).unwrap();
        std::os::unix::fs::symlink(format!("../devices/{place}"), dir.path().join("class").join(name)).unwrap();
    }
    dir
}

fn graph(dir: &tempfile::TempDir) -> Graph {
    let mounts = "/dev/mapper/old--vg-root /mnt ext4 rw 0 0\n/dev/mapper/old--vg-home /mnt/home ext4 rw 0 0\n";
    let swaps = "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n";
    Graph::read_from(&dir.path().join("class"), mounts, swaps).unwrap()
}

fn disks(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn each_disk_is_bare_or_not_by_itself() {
    let dir = machine();
    assert!(!graph(&dir).is_bare("sda"), "swap is on it");
    let idle = Graph::read_from(&dir.path().join("class"), "", "").unwrap();
    assert!(idle.is_bare("sda"));
    assert!(!idle.is_bare("nvme0n1") && !idle.is_bare("nvme1n1"));
    let mounted = Graph::read_from(&dir.path().join("class"), "/dev/sda1 /mnt vfat rw 0 0\n", "").unwrap();
    assert!(!mounted.is_bare("sda"));
}

#[test]
fn a_stack_is_taken_down_from_the_top() {
    let dir = machine();
    let actions = graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1", "sda"]), &[]).unwrap();
    let runner = Recorder::new();
    for action in &actions {
        carry_out(&runner, action).unwrap();
    }
    assert_eq!(
        runner.lines(),
        [
            "umount /mnt/home",
            "umount /mnt",
            "swapoff /dev/sda1",
            "vgchange --activate n old-vg",
            "cryptsetup close luks-old",
            "mdadm --stop /dev/md127",
        ]
    );
}

#[test]
fn a_guest_s_disk_that_is_shown_as_a_loop_device_is_let_go_of_first() {
    let dir = machine();
    let make = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    make("devices/loop7/loop/backing_file", "/dev/dm-2\n");
    make("devices/loop7/loop7p3/partition", "3\n");
    make("devices/loop7/loop7p3/holders/dm-3", "");
    make("devices/dm-3/dm/name", "guest-root\n");
    make("devices/dm-3/dm/uuid", "LVM-012345\n");
    // Shows a file, as the running system's own layers do: nothing of it is on a disk that is chosen.
    make("devices/loop0/loop/backing_file", "/run/sovereign/medium/sovereign/base.squashfs\n");
    for (name, place) in [("loop0", "loop0"), ("loop7", "loop7"), ("loop7p3", "loop7/loop7p3"), ("dm-3", "dm-3")] {
        std::os::unix::fs::symlink(format!("../devices/{place}"), dir.path().join("class").join(name)).unwrap();
    }
    let actions = graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &[]).unwrap();
    let words = |action: &Action| format!("{action:?}");
    assert_eq!(
        actions.iter().map(words).collect::<Vec<_>>(),
        [
            r#"Unmount("/mnt/home")"#,
            r#"Unmount("/mnt")"#,
            r#"Deactivate("guest")"#,
            r#"Detach("/dev/loop7")"#,
            r#"Deactivate("old-vg")"#,
            r#"Close("luks-old")"#,
            r#"Stop("/dev/md127")"#,
        ]
    );
    let guest = lvm::Physical { device: "/dev/loop7p3".to_owned(), group: "guest".to_owned() };
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &[guest]).is_ok());
}

#[test]
fn an_array_on_a_disk_that_was_not_selected_is_left_alone() {
    let dir = machine();
    let error = graph(&dir).teardown(&disks(&["nvme0n1"]), &[]).unwrap_err();
    assert_eq!(error.others, ["nvme1n1"]);
    assert!(error.to_string().contains("also uses nvme1n1"), "{error}");
    assert_eq!(graph(&dir).teardown(&disks(&["sda"]), &[]).unwrap(), [Action::SwapOff("/dev/sda1".to_owned())]);
}

#[test]
fn a_group_on_a_disk_that_was_not_selected_is_left_alone() {
    let dir = machine();
    let pv = |device: &str| lvm::Physical { device: device.to_owned(), group: "old-vg".to_owned() };
    let groups = [pv("/dev/mapper/luks-old"), pv("/dev/sda1")];
    let error = graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &groups).unwrap_err();
    assert_eq!(error, Spans { what: "the volume group old-vg".to_owned(), others: vec!["/dev/sda1".to_owned()] });
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1", "sda"]), &groups).is_ok());
}

#[test]
fn group_names_lose_their_doubled_hyphens() {
    assert_eq!(group_of("pve-root"), "pve");
    assert_eq!(group_of("a--b-c--d"), "a-b");
    assert_eq!(group_of("lonely"), "lonely");
}

#[test]
fn a_group_that_has_lost_a_member_is_taken_down_all_the_same() {
    let dir = machine();
    let pv = |device: &str| lvm::Physical { device: device.to_owned(), group: "old-vg".to_owned() };
    // lvm 2.03.31, `pvs` where a disk was taken out
    let groups = [pv("/dev/mapper/luks-old"), pv("[unknown]")];
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &groups).is_ok());
}

#[test]
fn a_name_that_stays_on_another_disk_is_taken() {
    let dir = machine();
    let pv = |device: &str, group: &str| lvm::Physical { device: device.to_owned(), group: group.to_owned() };
    let groups = [pv("/dev/mapper/luks-old", "old-vg"), pv("/dev/sda1", "pve"), pv("[unknown]", "bulk")];
    let all = || Names {
        groups: vec!["old-vg".to_owned(), "bulk".to_owned()],
        mappings: vec!["luks-old".to_owned()],
        arrays: vec![("/dev/md/ssd".to_owned(), "md127".to_owned())],
    };
    // On the selected disks everything goes, whatever its name.
    assert_eq!(graph(&dir).free(&all(), &disks(&["nvme0n1", "nvme1n1"]), &groups), Ok(()));
    let taken = |names: Names| graph(&dir).free(&names, &disks(&["sdb"]), &groups).unwrap_err().to_string();
    let end = "which is not to be installed on";
    assert_eq!(
        taken(Names { groups: vec!["pve".to_owned()], ..Names::default() }),
        format!("a volume group pve exists already, on /dev/sda1, {end}")
    );
    assert_eq!(
        taken(Names { mappings: all().mappings, ..Names::default() }),
        format!("a mapping luks-old exists already, on nvme0n1, nvme1n1, {end}")
    );
    assert_eq!(
        taken(Names { arrays: all().arrays, ..Names::default() }),
        format!("an array /dev/md/ssd exists already, on nvme0n1, nvme1n1, {end}")
    );
}
