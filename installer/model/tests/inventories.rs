//! Inventories that lie: whatever is in the file, no disk becomes a mirror of itself, and nothing takes for ever.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::{Content, Disk, Health, Inventory};
use sovereign_model::plan::{Reason, Rejection, make};
use sovereign_model::site::{Site, parse::parse};

/// What is said of it, and what is changed.
type Change = (&'static str, fn(&mut Inventory));

/// A machine with two NVMe, 0 and 1, and a site that wants both.
fn two_disks() -> (Site, Inventory) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/no-hdd");
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    (parse(&read("site.toml"), "no-hdd").unwrap(), serde_json::from_str(&read("inventory.json")).unwrap())
}

/// Why the machine is refused after `change`, and what the table says.
fn refused(change: impl Fn(&mut Inventory)) -> (Vec<Reason>, String) {
    let (site, mut inventory) = two_disks();
    assert!(make(&site, &inventory).is_ok());
    change(&mut inventory);
    let refusal = make(&site, &inventory).unwrap_err();
    (refusal.reasons.clone(), refusal.to_string())
}

#[test]
fn a_disk_that_is_listed_twice_is_no_mirror() {
    let (reasons, text) = refused(|i| i.disks[1] = i.disks[0].clone());
    assert!(matches!(&reasons[0], Reason::Impossible(what) if what.contains("nvme0n1 more than once")), "{text}");
    assert_eq!(text.matches("another disk has the same kernel name, nvme0n1").count(), 2, "{text}");
    // The same disk under another name.
    let (_, text) = refused(|i| i.disks[1] = Disk { kernel_name: "nvme1n1".to_owned(), ..i.disks[0].clone() });
    assert!(
        text.contains("has the same identity as nvme1n1, WWN") && text.contains("identity as nvme0n1, WWN"),
        "{text}"
    );
    // The same name with another identity.
    let (reasons, text) = refused(|i| i.disks[1].kernel_name = i.disks[0].kernel_name.clone());
    assert!(matches!(&reasons[0], Reason::Impossible(what) if what.contains("nvme0n1 more than once")), "{text}");
    assert!(text.contains("another disk has the same kernel name, nvme0n1"), "{text}");
}

#[test]
fn wwns_that_differ_in_case_are_one_and_blank_identities_are_none() {
    let set = |serials: [&'static str; 2], wwns: [&'static str; 2]| {
        move |i: &mut Inventory| {
            for ((disk, serial), wwn) in i.disks.iter_mut().zip(serials).zip(wwns) {
                (disk.serial, disk.wwn) = (Some(serial.to_owned()), Some(wwn.to_owned()));
            }
        }
    };
    let (_, text) = refused(set(["A", "B"], ["eui.00aB", " EUI.00Ab"]));
    assert_eq!(text.matches(", WWN eui.00ab: it is one disk by several paths").count(), 2, "{text}");
    let (_, text) = refused(set(["", "  "], ["", "\t"]));
    assert_eq!(text.matches(&Rejection::NoIdentity.to_string()).count(), 2, "{text}");
    let (site, mut inventory) = two_disks();
    set(["", " "], ["eui.1", "eui.2"])(&mut inventory);
    assert_eq!(make(&site, &inventory).unwrap().disks[0].id.serial, None);
}

#[test]
fn names_that_make_no_path_below_dev_are_refused() {
    for name in ["", ".", "..", "../sda", "a/b", "sd a", "sda\n", "cciss/c0d0"] {
        let (_, text) = refused(|i| i.disks[1].kernel_name = name.to_owned());
        assert!(text.contains(&Rejection::Name.to_string()), "{name:?}: {text}");
    }
}

#[test]
fn a_machine_without_memory_or_processors_or_with_an_endless_disk_is_none() {
    let huge = |disk: &mut Disk| disk.size = Bytes(u64::MAX - 511);
    let cases: [Change; 2] =
        [("memory is 0 bytes", |i| i.memory = Bytes::ZERO), ("0 processor threads", |i| i.cpu.threads = 0)];
    for (what, change) in cases {
        let (reasons, text) = refused(change);
        assert!(matches!(&reasons[..], [Reason::Impossible(said)] if said.contains(what)), "{text}");
    }
    let (reasons, text) = refused(|i| i.disks.iter_mut().for_each(huge));
    assert!(
        matches!(&reasons[0], Reason::Impossible(said) if said.contains("18,446,744,073,709,551,104 bytes")),
        "{text}"
    );
}

#[test]
fn a_pool_that_is_too_small_names_only_keys_that_make_it_larger() {
    let said = |case: &str, spinning: bool, change: fn(&mut Site)| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(case);
        let read = |name| fs::read_to_string(folder.join(name)).unwrap();
        let mut site = parse(&read("site.toml"), case).unwrap();
        site.storage.ssd.matching.min_size = None;
        site.storage.hdd.as_mut().unwrap().matching.min_size = None;
        change(&mut site);
        let mut inventory: Inventory = serde_json::from_str(&read("inventory.json")).unwrap();
        let small = inventory.disks.iter_mut().filter(|disk| disk.rotational == spinning);
        small.for_each(|disk| disk.size = Bytes(if spinning { 10_000_000 } else { 16_000_000_000 }));
        let text = make(&site, &inventory).unwrap_err().reasons[0].to_string();
        text.rsplit_once("bytes short; ").map(|(_, hint)| hint.to_owned()).unwrap_or(text)
    };
    assert_eq!(said("reference", true, |_| ()), "use larger disks");
    let reserve: fn(&mut Site) = |site| site.storage.hdd.as_mut().unwrap().reserve = Some("40GB".parse().unwrap());
    assert_eq!(said("reference", true, reserve), "lower storage.hdd.reserve, or use larger disks");
    let all = "lower storage.ssd.root or host.swap or storage.ssd.reserve, or use larger disks";
    assert_eq!(said("swap-and-three-nics", false, |_| ()), all);
}

/// A signature at `offset`.
fn content(partition: Option<u32>, kind: &str, uuid: &str, offset: u64) -> Content {
    Content { partition, kind: kind.to_owned(), offset: Bytes(offset), uuid: Some(uuid.to_owned()), label: None }
}

#[test]
fn what_is_destroyed_is_said_once_and_in_one_order() {
    let (site, mut inventory) = two_disks();
    let fat = [0x52, 0, 0x1fe].map(|offset| content(Some(1), "vfat", "AB-CD", offset));
    let gpt = [0x200, 512_110_190_080].map(|offset| content(None, "gpt", "g", offset));
    let mut contents = [&fat[..], &gpt[..]].concat();
    inventory.disks[0].contents = Some(contents.clone());
    let plan = make(&site, &inventory).unwrap();
    assert_eq!(plan.disks[0].destroys, ["whole disk: gpt g", "partition 1: vfat AB-CD"]);
    contents.reverse();
    inventory.disks[0].contents = Some(contents);
    assert_eq!(make(&site, &inventory).unwrap().hash(), plan.hash());
}

#[test]
fn a_cache_of_a_disk_that_is_not_chosen_is_refused() {
    let (site, mut inventory) = two_disks();
    let mut other = inventory.disks[0].clone();
    (other.kernel_name, other.serial, other.wwn) = ("sda".to_owned(), Some("HDD".to_owned()), None);
    (other.transport, other.rotational) = (sovereign_model::inventory::Transport::Sata, true);
    other.contents = Some(vec![content(None, "bcache", "backing", 4096)]);
    inventory.disks.push(other);
    assert!(make(&site, &inventory).is_ok());
    inventory.disks[0].contents = Some(vec![content(Some(1), "bcache", "cache", 4096)]);
    let refusal = make(&site, &inventory).unwrap_err();
    assert!(matches!(&refusal.reasons[..], [Reason::Spans { other, .. }] if other.contains("serial HDD")), "{refusal}");
}

#[test]
fn health_is_recalled_of_the_same_disk_alone() {
    let (_, mut earlier) = two_disks();
    let health = |hours| Some(Health { power_on_hours: Some(hours), ..Health::default() });
    earlier.disks.iter_mut().zip(1..).for_each(|(disk, hours)| disk.health = health(hours));
    let mut now = earlier.clone();
    now.disks.iter_mut().for_each(|disk| disk.health = None);
    now.disks.reverse();
    now.disks[0].kernel_name = "sdz".to_owned();
    // A disk that has answered is not told what it said before, and another one of the same model is another one.
    let mut other = now.disks[0].clone();
    other.serial = Some("other".to_owned());
    now.disks[1].health = health(9);
    now.disks.push(other);
    now.recall_health(&earlier);
    let recalled: Vec<_> = now.disks.iter().map(|disk| disk.health.clone()).collect();
    assert_eq!(recalled, [health(2), health(9), None]);
    // Two that cannot be told apart.
    earlier.disks[1] = earlier.disks[0].clone();
    now.disks = vec![Disk { health: None, ..earlier.disks[0].clone() }];
    now.recall_health(&earlier);
    assert_eq!(now.disks[0].health, None);
}
