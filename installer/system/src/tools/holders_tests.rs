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

/// A physical volume; the group's UUID is its name, where a test says nothing else.
fn pv(device: &str, group: &str) -> lvm::Physical {
    lvm::Physical { device: device.to_owned(), group: group.to_owned(), group_id: group.to_owned() }
}

/// Adds a device to a machine: where it is below `devices`, and the files in its folder.
fn add(dir: &tempfile::TempDir, place: &str, files: &[(&str, &str)]) {
    let folder = dir.path().join("devices").join(place);
    fs::create_dir_all(&folder).unwrap();
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let name = place.rsplit('/').next().unwrap();
    let class = dir.path().join("class");
    fs::create_dir_all(&class).unwrap();
    std::os::unix::fs::symlink(format!("../devices/{place}"), class.join(name)).unwrap();
}

fn idle(dir: &tempfile::TempDir) -> Graph {
    Graph::read_from(&dir.path().join("class"), "", "").unwrap()
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
            "swapoff /dev/sda1",
            "umount /mnt/home",
            "umount /mnt",
            "dmsetup remove --retry old--vg-root",
            "dmsetup remove --retry old--vg-home",
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
            r#"Remove("old--vg-root")"#,
            r#"Remove("guest-root")"#,
            r#"Detach("/dev/loop7")"#,
            r#"Remove("old--vg-home")"#,
            r#"Close("luks-old")"#,
            r#"Stop("/dev/md127")"#,
        ]
    );
    let guest = pv("/dev/loop7p3", "guest");
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &[guest]).is_ok());
}

#[test]
fn an_array_on_a_disk_that_was_not_selected_is_left_alone() {
    let dir = machine();
    let error = graph(&dir).teardown(&disks(&["nvme0n1"]), &[]).unwrap_err();
    // What is at the top is found first.
    let what = "the volume group old-vg".to_owned();
    assert_eq!(error, Stays::Spans { what, others: vec!["nvme1n1".to_owned()] });
    assert!(error.to_string().contains("also uses nvme1n1"), "{error}");
    assert_eq!(graph(&dir).teardown(&disks(&["sda"]), &[]).unwrap(), [Action::SwapOff("/dev/sda1".to_owned())]);
}

#[test]
fn a_group_on_a_disk_that_was_not_selected_is_left_alone() {
    let dir = machine();
    let pv = |device: &str| pv(device, "old-vg");
    let groups = [pv("/dev/mapper/luks-old"), pv("/dev/sda1")];
    let error = graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &groups).unwrap_err();
    assert_eq!(
        error,
        Stays::Spans { what: "the volume group old-vg".to_owned(), others: vec!["/dev/sda1".to_owned()] }
    );
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
    let pv = |device: &str| pv(device, "old-vg");
    // lvm 2.03.31, `pvs` where a disk was taken out
    let groups = [pv("/dev/mapper/luks-old"), pv("[unknown]")];
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &groups).is_ok());
}

#[test]
fn a_name_that_stays_on_another_disk_is_taken() {
    let dir = machine();
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

#[test]
fn two_groups_of_one_name_are_two() {
    let dir = machine();
    let of = |device: &str, id: &str| lvm::Physical { group_id: id.to_owned(), ..pv(device, "pve") };
    let groups = [of("/dev/mapper/luks-old", "one"), of("/dev/sda1", "two")];
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &groups).is_ok());
    let names = Names { groups: vec!["pve".to_owned()], ..Names::default() };
    let all = disks(&["nvme0n1", "nvme1n1", "sda"]);
    assert_eq!(graph(&dir).free(&names, &all, &groups), Ok(()));
    // The one that would stay has the name that the new one is to get.
    let taken = graph(&dir).free(&names, &disks(&["nvme0n1", "nvme1n1"]), &groups).unwrap_err();
    assert_eq!(taken.on, ["/dev/sda1"]);
    let groups = [of("/dev/mapper/luks-old", "one"), of("/dev/sda1", "one")];
    assert!(graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1"]), &groups).is_err());
}

#[test]
fn an_array_in_a_container_goes_before_it() {
    for (version, container, member) in [("external:/md127/0", "md127", "md126"), ("external:-md9/0", "md9", "md10")] {
        let dir = tempfile::tempdir().unwrap();
        for disk in ["sda", "sdb"] {
            add(&dir, disk, &[(&format!("holders/{container}"), ""), (&format!("holders/{member}"), "")]);
        }
        // Kernel 6.12, IMSM: the container has no personality and is `inactive`.
        add(&dir, container, &[("md/array_state", "inactive\n"), ("md/metadata_version", "external:imsm\n")]);
        add(&dir, member, &[("md/array_state", "clean\n"), ("md/metadata_version", version)]);
        let stop = |name: &str| Action::Stop(format!("/dev/{name}"));
        let actions = idle(&dir).teardown(&disks(&["sda", "sdb"]), &[]).unwrap();
        assert_eq!(actions, [stop(member), stop(container)]);
        // A spare that is only in the container spans it too.
        add(&dir, "sdc", &[(&format!("holders/{container}"), "")]);
        let error = idle(&dir).teardown(&disks(&["sda", "sdb"]), &[]).unwrap_err();
        assert!(error.to_string().contains("also uses sdc"), "{error}");
    }
}

#[test]
fn bcache_lets_go_of_the_disk_that_is_shown_and_then_of_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    add(&dir, "sda", &[("holders/bcache0", ""), ("bcache/stop", "")]);
    add(&dir, "nvme0n1", &[("holders/bcache0", ""), ("bcache/set/stop", "")]);
    add(&dir, "bcache0", &[("bcache/stop", ""), ("holders/dm-0", "")]);
    add(&dir, "dm-0", &[("dm/name", "luks-x"), ("dm/uuid", "CRYPT-LUKS2-1-luks-x")]);
    let both = disks(&["sda", "nvme0n1"]);
    let close = Action::Close("luks-x".to_owned());
    let let_go = |folder: &str| Action::LetGo(folder.to_owned());
    assert_eq!(idle(&dir).teardown(&both, &[]).unwrap(), [close, let_go("bcache0/bcache")]);
    // Once nothing shows them, what is still registered.
    for place in ["devices/bcache0", "devices/dm-0", "class/bcache0", "class/dm-0"] {
        let path = dir.path().join(place);
        if path.is_symlink() { fs::remove_file(path).unwrap() } else { fs::remove_dir_all(path).unwrap() }
    }
    for disk in ["sda", "nvme0n1"] {
        fs::remove_file(dir.path().join(format!("devices/{disk}/holders/bcache0"))).unwrap();
    }
    assert_eq!(idle(&dir).teardown(&both, &[]).unwrap(), [let_go("sda/bcache"), let_go("nvme0n1/bcache/set")]);
    assert!(!idle(&dir).is_bare("sda"));
}

#[test]
fn bcache_that_does_not_let_go_is_said_to() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("bcache");
    let refused = let_go(&folder, Duration::ZERO).unwrap_err();
    assert!(matches!(refused, TakeDownError::Refused { .. }), "{refused}");
    fs::create_dir(&folder).unwrap();
    let lingers = let_go(&folder, Duration::from_millis(60)).unwrap_err().to_string();
    assert!(lingers.contains("is still there"), "{lingers}");
    assert_eq!(fs::read_to_string(folder.join("stop")).unwrap(), "1");
}

#[test]
fn what_nobody_can_take_down_is_named_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    add(&dir, "sda", &[]);
    add(&dir, "sda/sda1", &[("partition", "1"), ("holders/drbd0", "")]);
    add(&dir, "drbd0", &[]);
    let error = idle(&dir).teardown(&disks(&["sda"]), &[]).unwrap_err();
    assert_eq!(error, Stays::Unknown { what: "drbd0".to_owned(), on: vec!["sda".to_owned()] });
    assert_eq!(error.to_string(), "drbd0 stands on sda, and nothing here knows how to take it down");
}

#[test]
fn a_swap_file_is_given_up_before_what_it_lies_on() {
    let dir = machine();
    let mounts = "/dev/mapper/old--vg-root /mnt ext4 rw 0 0\n/dev/mapper/old--vg-home /mnt/home ext4 rw 0 0\n";
    let swaps = "Filename Type Size Used Priority\n/mnt/home/swap file 1 0 -2\n/elsewhere/swap file 1 0 -3\n";
    let graph = Graph::read_from(&dir.path().join("class"), mounts, swaps).unwrap();
    let actions = graph.teardown(&disks(&["nvme0n1", "nvme1n1"]), &[]).unwrap();
    let used: Vec<&str> = actions.iter().filter_map(Action::in_use).collect();
    assert_eq!(used, ["/mnt/home/swap", "/mnt/home", "/mnt"]);
    assert!(matches!(&actions[0], Action::SwapOff(file) if file == "/mnt/home/swap"));
}

#[test]
fn a_tool_that_fails_is_named_whatever_was_to_be_taken_down() {
    let dir = machine();
    let actions = graph(&dir).teardown(&disks(&["nvme0n1", "nvme1n1", "sda"]), &[]).unwrap();
    assert_eq!(actions.len(), 7);
    for action in &actions {
        let runner = Recorder::new();
        carry_out(&runner, action).unwrap();
        let line = runner.lines().remove(0);
        let busy = Recorder::new().fails(&line, 1, "Device or resource busy");
        let error = carry_out(&busy, action).unwrap_err().to_string();
        assert!(error.contains(&line) && error.contains("busy"), "{error}");
    }
}

mod random {
    use super::*;
    use proptest::prelude::*;

    /// Disks of a random machine.
    const DISKS: usize = 5;

    /// A device above the disks: what kind it is, and which of those before it it stands on.
    fn device() -> impl Strategy<Value = (usize, Vec<prop::sample::Index>)> {
        (0..7usize, prop::collection::vec(any::<prop::sample::Index>(), 1..4))
    }

    /// The machine as a folder, and of each device the ones that it stands on directly.
    fn build(devices: &[(usize, Vec<prop::sample::Index>)]) -> (tempfile::TempDir, BTreeMap<String, BTreeSet<String>>) {
        let dir = tempfile::tempdir().unwrap();
        let mut names: Vec<String> = (0..DISKS).map(|n| format!("sd{n}")).collect();
        let mut below: BTreeMap<String, BTreeSet<String>> =
            names.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
        for name in &names {
            add(&dir, name, &[]);
        }
        for (number, (kind, stands_on)) in devices.iter().enumerate() {
            let on: BTreeSet<String> = stands_on.iter().map(|index| index.get(&names).clone()).collect();
            let name = match kind {
                0 => format!("md{number}"),
                1..=4 => format!("dm-{number}"),
                5 => format!("bcache{number}"),
                _ => format!("loop{number}"),
            };
            let (mapper, backing) = (format!("mapper-{number}"), format!("/dev/{}", on.first().unwrap()));
            let files: &[(&str, &str)] = match kind {
                0 => &[("md/array_state", "clean")],
                1 | 2 => &[("dm/name", &mapper), ("dm/uuid", "LVM-0123")],
                3 => &[("dm/name", &mapper), ("dm/uuid", "CRYPT-LUKS2-0-x")],
                4 => &[("dm/name", &mapper), ("dm/uuid", "part1-x")],
                5 => &[("bcache/stop", "")],
                _ => &[("loop/backing_file", &backing)],
            };
            add(&dir, &name, files);
            let holds: Vec<&String> = if *kind == 6 { on.iter().take(1).collect() } else { on.iter().collect() };
            for base in &holds {
                let folder = dir.path().join("devices").join(base).join("holders");
                fs::create_dir_all(&folder).unwrap();
                if *kind != 6 {
                    fs::write(folder.join(&name), "").unwrap();
                }
            }
            below.insert(name.clone(), holds.into_iter().cloned().collect());
            names.push(name);
        }
        (dir, below)
    }

    /// The disks below a device.
    fn bases(name: &str, below: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
        match &below[name] {
            on if on.is_empty() => BTreeSet::from([name.to_owned()]),
            on => on.iter().flat_map(|name| bases(name, below)).collect(),
        }
    }

    /// The device that an action takes down.
    fn device_of(action: &Action) -> String {
        match action {
            Action::Close(mapping) | Action::Remove(mapping) => mapping.replace("mapper-", "dm-"),
            Action::Detach(device) | Action::Stop(device) => device.trim_start_matches("/dev/").to_owned(),
            Action::LetGo(folder) => folder.trim_end_matches("/bcache").to_owned(),
            Action::Unmount(_) | Action::SwapOff(_) => panic!("nothing is mounted: {action:?}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn nothing_on_another_disk_is_touched_and_what_is_above_goes_first(
            devices in prop::collection::vec(device(), 0..12),
            selected in prop::collection::vec(any::<bool>(), DISKS),
        ) {
            let (dir, below) = build(&devices);
            let chosen: Vec<String> = (0..DISKS).filter(|n| selected[*n]).map(|n| format!("sd{n}")).collect();
            let touched: Vec<&String> = below
                .keys()
                .filter(|name| !below[*name].is_empty() && bases(name, &below).iter().any(|base| chosen.contains(base)))
                .collect();
            let spans = touched.iter().any(|name| !bases(name, &below).iter().all(|base| chosen.contains(base)));
            match idle(&dir).teardown(&chosen, &[]) {
                Err(Stays::Spans { others, .. }) => {
                    prop_assert!(spans);
                    prop_assert!(!others.is_empty() && others.iter().all(|other| !chosen.contains(other)));
                }
                Err(stays) => prop_assert!(false, "{}", stays),
                Ok(actions) => {
                    prop_assert!(!spans);
                    let order: Vec<String> = actions.iter().map(device_of).collect();
                    // Each once, and nothing else.
                    let wanted: BTreeSet<&String> = touched.into_iter().collect();
                    prop_assert_eq!(order.iter().collect::<BTreeSet<_>>(), wanted);
                    prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), order.len());
                    for (at, name) in order.iter().enumerate() {
                        prop_assert!(order[..at].iter().all(|before| !below[name].contains(before)), "{:?}", order);
                    }
                }
            }
        }
    }
}

/// bcachefs names all its devices in /proc/mounts: each of them is in use.
#[test]
fn a_file_system_of_several_devices_is_mounted_on_each() {
    let dir = machine();
    let mounts = "/dev/sdz1:/dev/sda1 /data bcachefs rw 0 0\n";
    let graph = Graph::read_from(&dir.path().join("class"), mounts, "").unwrap();
    let actions = graph.teardown(&["sda".to_owned()], &[]).unwrap();
    assert!(actions.iter().any(|action| action.in_use().is_some_and(|used| used.contains("/data"))), "{actions:?}");
}
