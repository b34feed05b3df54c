//! Plans as files: a folder for each case with a site file and an inventory, and the exact tree or refusal as a snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::Inventory;
use sovereign_model::plan::{Charset, NoPlan, Plan, make, preview};
use sovereign_model::site::{Site, parse::parse};

/// What is changed, and how.
type Change<T> = (&'static str, fn(&mut T));

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn load(case: &str) -> (Site, Inventory) {
    let read = |name| {
        let path = folder().join(case).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let text = read("site.toml");
    let site = parse(&text, case).unwrap_or_else(|errors| panic!("{case}: {errors}"));
    (site, serde_json::from_str(&read("inventory.json")).unwrap_or_else(|error| panic!("{case}: {error}")))
}

fn plan(case: &str) -> Result<Plan, NoPlan> {
    let (site, inventory) = load(case);
    make(&site, &inventory)
}

#[test]
fn each_case_gets_its_plan_or_its_refusal() {
    let mut cases: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    cases.sort();
    assert!(cases.len() >= 20);
    for case in cases {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(format!("plans/{case}"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| match plan(&case) {
            Ok(plan) => insta::assert_snapshot!("plan", format!("{}\n{}", plan.tree(), plan.topology())),
            Err(refusal) => insta::assert_snapshot!("refusal", refusal.to_string()),
        });
    }
}

#[test]
fn the_reference_machine_comes_out_to_the_byte() {
    let plan = plan("reference").unwrap();
    let last = |disk: usize| plan.disks[disk].partitions.last().unwrap().size;
    let array = |name: &str| plan.arrays.iter().find(|array| array.name == name).unwrap();

    assert_eq!(last(0), Bytes(509_960_257_536));
    assert_eq!(array("ssd").size, Bytes(509_824_991_232));
    assert_eq!(array("ssd").data_offset, Bytes(264_192 * 512));
    assert_eq!(plan.containers[0].size, Bytes(509_808_214_016));
    let pve = &plan.volume_groups[0];
    assert_eq!((pve.extents, pve.volumes[0].extents, pve.free_extents), (121_547, 9_537, 5_246));
    let pool = pve.pool.as_ref().unwrap();
    assert_eq!((pool.extents, pool.metadata_extents, pool.chunk), (106_508, 128, Bytes(131_072)));
    assert_eq!(pool.extents * pve.extent.0, 446_726_930_432);

    assert_eq!(last(2), Bytes(6_001_173_463_040));
    assert_eq!(array("hdd").size, Bytes(12_002_076_393_472));
    assert_eq!(plan.containers[1].size, Bytes(12_002_059_616_256));
    let bulk = &plan.volume_groups[1];
    let pool = bulk.pool.as_ref().unwrap();
    assert_eq!((bulk.extents, pool.extents, pool.metadata_extents), (2_861_513, 2_861_513 - 2 * 128, 128));
    assert_eq!((bulk.free_extents, pool.chunk), (0, Bytes::mib(1)));
    // 2 TB + 10 TB fit, with 977,272,832 bytes to spare.
    assert_eq!(pool.extents * bulk.extent.0 - 12_000_004_407_296, 977_272_832);
}

#[test]
fn the_reference_has_the_same_numbers_by_default() {
    let (mut site, inventory) = load("reference");
    let asked = make(&site, &inventory).unwrap();
    site.storage.ssd.reserve = None;
    assert_eq!(make(&site, &inventory).unwrap().volume_groups, asked.volume_groups);
}

#[test]
fn the_examples_of_the_documentation_are_planned() {
    for (example, case) in [
        ("reference", "reference"),
        ("no-hdd", "small-no-hdd"),
        ("laboratory", "laboratory"),
        ("single-disk", "single-disk"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/sites/{example}.toml"));
        let site = parse(&fs::read_to_string(path).unwrap(), example).unwrap_or_else(|errors| panic!("{errors}"));
        let (copy, inventory) = load(case);
        assert_eq!(site, copy, "tests/plans/{case}/site.toml is not docs/sites/{example}.toml any more");
        make(&site, &inventory).unwrap_or_else(|refusal| panic!("{example}: {refusal}"));
    }
}

#[test]
fn pictures_fit_80_columns_and_ascii_is_ascii() {
    for case in ["reference", "no-hdd", "laboratory", "unequal-sizes", "hardware-ssd-none-hdd"] {
        let plan = plan(case).unwrap();
        for charset in [Charset::Unicode, Charset::Ascii] {
            let picture = plan.topology_in(charset);
            assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
            assert!(charset == Charset::Unicode || (picture.is_ascii() && plan.tree_in(charset).is_ascii()));
        }
        assert_eq!(plan.tree().lines().count(), plan.tree_in(Charset::Ascii).lines().count());
    }
}

#[test]
fn names_from_devices_cannot_drive_a_terminal() {
    let (site, mut inventory) = load("no-hdd");
    inventory.disks[0].model = "\u{1b}[2J\u{e4}\u{9b}\u{202e}\u{2066}".to_owned();
    inventory.disks[0].serial = Some("A\n\u{e4}".to_owned());
    let plan = make(&site, &inventory).unwrap();
    for text in [plan.tree(), plan.topology()] {
        let driven = |c| c != '\n' && sovereign_model::text::is_unseen(c);
        assert!(!text.chars().any(driven), "{text:?}");
    }
    assert!(plan.tree_in(Charset::Ascii).is_ascii() && plan.topology_in(Charset::Ascii).is_ascii());
}

#[test]
fn what_cannot_be_read_is_refused_for_an_installation_and_a_warning_for_a_look() {
    for case in ["unread-disk", "unread-other"] {
        let (site, inventory) = load(case);
        assert!(make(&site, &inventory).is_err());
        let seen = preview(&site, &inventory).unwrap();
        assert!(seen.warnings.iter().any(|warning| warning.starts_with("an installation refuses this: ")));
        assert_eq!(seen.tree().contains("could not be read (not root?)"), case == "unread-disk", "{}", seen.tree());
        assert_eq!(seen.tree().matches("nothing was found on it").count(), 1);
    }
    let (site, inventory) = load("reference");
    assert_eq!(preview(&site, &inventory), make(&site, &inventory));
}

#[test]
fn a_plan_survives_json_without_its_secret() {
    let plan = plan("reference").unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains("$y$"));
    let mut expected = plan;
    expected.site.admin.root_password_hash = None;
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), expected);
}

#[test]
fn a_container_says_in_json_what_it_stands_on_and_nothing_else() {
    let plan = plan("no-raid-ssd-raid10-hdd").unwrap();
    let value = serde_json::to_value(&plan).unwrap();
    assert_eq!(value["containers"][0]["partition"], serde_json::json!({"disk": 0, "partition": 4}));
    assert_eq!(value["containers"][1]["array"], "hdd");
    assert_eq!(serde_json::from_value::<Plan>(value.clone()).unwrap(), plan);
    let changed = |key: &str, to: serde_json::Value| {
        let mut value = value.clone();
        value["containers"][1][key] = to;
        serde_json::from_value::<Plan>(value)
    };
    assert!(changed("colour", "blue".into()).is_err());
    assert!(changed("partition", serde_json::json!({"disk": 0, "partition": 4})).is_err(), "it stands on two things");
}

#[test]
fn the_hash_covers_what_a_person_agrees_to_and_nothing_that_may_move() {
    let (site, inventory) = load("reference");
    let hash = |site: &Site, inventory: &Inventory| make(site, inventory).unwrap().hash();
    let agreed = hash(&site, &inventory);
    assert_eq!(agreed.len(), 64);

    let machine = |change: fn(&mut Inventory)| {
        let mut inventory = inventory.clone();
        change(&mut inventory);
        hash(&site, &inventory)
    };
    let same: [Change<Inventory>; 4] = [
        ("kernel names", |i| i.disks.iter_mut().enumerate().for_each(|(n, disk)| disk.kernel_name = format!("sd{n}"))),
        ("order", |i| i.disks.reverse()),
        ("cable", |i| i.nics[0].link = None),
        ("some pages of memory", |i| i.memory = Bytes(i.memory.0 - 4096)),
    ];
    for (what, change) in same {
        assert_eq!(machine(change), agreed, "{what}");
    }
    let different: [Change<Inventory>; 7] = [
        ("serial", |i| i.disks[0].serial = Some("another".to_owned())),
        ("wwn", |i| i.disks[0].wwn = None),
        ("size", |i| i.disks[0].size = Bytes(i.disks[0].size.0 + 512)),
        ("signature", |i| i.disks.last_mut().unwrap().contents = Some(Vec::new())),
        ("model", |i| i.disks[0].model.push('x')),
        ("firmware", |i| i.firmware = sovereign_model::inventory::Firmware::Bios),
        ("threads of a guess", |i| i.cpu.threads = 2),
    ];
    let wider = {
        let mut site = site.clone();
        site.encryption.argon2id.parallel = None;
        // Two threads are too few for guests.
        site.guests = None;
        site
    };
    for (what, change) in different {
        let mut inventory = inventory.clone();
        let before = hash(&wider, &inventory);
        change(&mut inventory);
        assert_ne!(hash(&wider, &inventory), before, "{what}");
    }

    let wish = |change: fn(&mut Site)| {
        let mut site = site.clone();
        change(&mut site);
        hash(&site, &inventory)
    };
    let wishes: [Change<Site>; 6] = [
        ("no guests", |s| s.guests = None),
        ("templates alone", |s| s.guests.as_mut().unwrap().deploy = false),
        ("an address of a machine", |s| {
            let roles = &mut s.guests.as_mut().unwrap().roles;
            roles.get_mut("core").unwrap().internal_address = Some("10.10.0.99/24".to_owned());
        }),
        ("name", |s| s.site.fqdn = "other.example.org".to_owned()),
        ("reserve", |s| s.storage.ssd.reserve = Some("23GB".parse().unwrap())),
        ("password", |s| s.admin.root_password_hash = None),
    ];
    for (what, change) in wishes {
        assert_ne!(wish(change), agreed, "{what}");
    }
}

#[test]
fn the_host_keeps_its_share_of_the_memory_and_half_of_it_on_a_small_machine() {
    let (site, mut inventory) = load("reference");
    let share = |inventory: &Inventory| make(&site, inventory).unwrap().host;
    let reference = share(&inventory);
    assert_eq!(reference.memory, Bytes(2_000_000_000));
    let left = inventory.memory.0 - reference.memory.0 - reference.guests.0;
    assert!(left < 2 * (16 << 20), "{left} bytes are nobody's");
    inventory.memory = Bytes::gib(2);
    let without_guests = Site { guests: None, ..site.clone() };
    let small = make(&without_guests, &inventory).unwrap();
    assert_eq!((small.host.memory, small.host.guests), (Bytes::gib(1), Bytes::gib(1)));
    assert!(small.warnings.iter().any(|warning| warning.contains("host.memory")), "{:?}", small.warnings);
}

#[test]
fn a_swap_volume_is_taken_from_the_pool_and_not_from_the_reserve() {
    let groups = |case: &str| plan(case).unwrap().volume_groups;
    let (without, with) = (&groups("reference")[0], &groups("swap-and-three-nics")[0]);
    assert_eq!(with.volumes.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["root", "swap"]);
    assert_eq!(with.volumes[1].extents, 1024, "4 GiB");
    assert_eq!(with.free_extents, without.free_extents);
    let pool = |group: &sovereign_model::plan::VolumeGroup| group.pool.as_ref().unwrap().extents;
    assert_eq!(pool(with) + 1024, pool(without));
}

#[test]
fn the_kernels_names_of_interfaces_are_not_in_the_hash_and_their_addresses_are() {
    let (site, inventory) = load("swap-and-three-nics");
    let hash = |change: &dyn Fn(&mut Inventory)| {
        let mut inventory = inventory.clone();
        change(&mut inventory);
        make(&site, &inventory).unwrap().hash()
    };
    let same = hash(&|_| ());
    assert_eq!(hash(&|i| i.nics[1].name = "eth7".to_owned()), same);
    assert_eq!(hash(&|i| i.nics.reverse()), same);
    assert_ne!(hash(&|i| i.nics[1].mac = "52:54:00:ff:ff:ff".to_owned()), same);
}
