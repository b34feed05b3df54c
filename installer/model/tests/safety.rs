//! No plan ever touches the boot medium, a mounted disk, a disk that no match names, or one that is not known for certain; and nothing that
//! becomes of a disk after a plan was agreed to is overlooked. For machines and site files of any kind.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::{Index, select};
use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::{Bmc, Class, Content, Disk, Health, Inventory, RaidController, Transport};
use sovereign_model::plan::{Plan, Pool, make};
use sovereign_model::site::{Match, Site, Size, parse::parse};

const SITE: &str = r#"
[site]
name = "random"
fqdn = "host.example.org"
[admin]
email = "admin@example.org"
[network]
mode = "dhcp"
[storage.ssd]
raid = "raid1"
root = "20%"
reserve = "5%"
match = { transport = "nvme" }
[storage.hdd]
raid = "raid10"
match = { rotational = true }
[encryption]
passphrase = "prompt"
"#;

const TRANSPORTS: [Transport; 9] = [
    Transport::Nvme,
    Transport::Sata,
    Transport::Sas,
    Transport::Usb,
    Transport::Virtio,
    Transport::Mmc,
    Transport::Network,
    Transport::Scsi,
    Transport::Other,
];
const SIZES: [u64; 4] = [256_000_000_000, 512_110_190_592, 6_001_175_126_016, 6_001_175_126_528];
const MODELS: [&str; 3] = ["SAMSUNG MZVL2512HCJQ", "ST6000NM0115", ""];

/// What there is of a machine beside its disks.
fn machine() -> Inventory {
    serde_json::from_str(include_str!("plans/no-hdd/inventory.json")).unwrap()
}

/// Mostly one's own, sometimes one that others have too, sometimes none.
fn id(own: String, shared: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        8 => Just(Some(own)),
        1 => select(shared).prop_map(|id| Some(id.to_owned())),
        1 => Just(None),
    ]
}

fn class() -> impl Strategy<Value = Class> {
    let namespace = |drive: u8| Class::NvmeNamespace { number: 1, of: 2, subsystem: format!("drive {drive}") };
    prop_oneof![
        16 => Just(Class::Ordinary),
        5 => (0u8..3).prop_map(namespace),
        1 => Just(Class::Emmc { boot_areas: 2, rpmb: true }),
        1 => Just(Class::SdCard),
        1 => Just(Class::MultipathPath { paths: 2, others: vec!["sdz".to_owned()] }),
        1 => Just(Class::VirtualMedium { bmc: Bmc::Dell }),
        1 => Just(Class::HardwareRaid { controller: RaidController::MegaRaid, model: String::new() }),
    ]
}

fn health() -> impl Strategy<Value = Option<Health>> {
    let good = Health { passed: Some(true), wear_percent: Some(3), media_errors: Some(0), ..Health::default() };
    let bad = (0u8..6, 1u64..1_000_000).prop_map(|(what, number)| {
        let mut health = Health { passed: Some(true), ..Health::default() };
        match what {
            0 => health.passed = Some(false),
            1 => health.critical_warning = Some(u8::try_from(number % 255).unwrap() + 1),
            2 => health.media_errors = Some(number),
            3 => health.pending_sectors = Some(number),
            4 => health.uncorrectable_sectors = Some(number),
            _ => health.wear_percent = Some(u8::try_from(number % 256).unwrap()),
        }
        health
    });
    prop_oneof![6 => Just(None), 6 => Just(Some(good)), 1 => bad.prop_map(Some)]
}

fn contents() -> impl Strategy<Value = Option<Vec<Content>>> {
    let labels = ["SOVEREIGN_INSTALLER", "SOVEREIGN", "SOVEREIGN2", "root"];
    let content = (prop::option::of(1u32..4), select(labels.to_vec())).prop_map(|(partition, label)| Content {
        partition,
        kind: "vfat".to_owned(),
        offset: Bytes(0x52),
        uuid: None,
        label: Some(label.to_owned()),
    });
    prop_oneof![10 => Just(Some(Vec::new())), 2 => content.prop_map(|c| Some(vec![c])), 1 => Just(None)]
}

prop_compose! {
    fn disk(number: usize)(
        serial in id(format!("serial{number}"), &["twin", "twin2"]),
        wwn in prop_oneof![1 => Just(None), 1 => id(format!("eui.{number}"), &["eui.twin", "eui.twin2"])],
        size in prop_oneof![10 => select(SIZES.to_vec()), 1 => Just(0)],
        model in select(MODELS.to_vec()),
        // Mostly one of two kinds, so that pools come together.
        transport in prop_oneof![4 => Just(Transport::Nvme), 4 => Just(Transport::Sata), 1 => select(TRANSPORTS.to_vec())],
        rotational in prop::bool::weighted(0.4),
        logical_sector in prop_oneof![30 => Just(512), 1 => Just(4096), 1 => Just(520)],
        unfit in prop_oneof![20 => Just(0), 1 => 1..5],
        (class, health, contents) in (class(), health(), contents()),
    ) -> Disk {
        Disk {
            kernel_name: format!("disk{number}"),
            model: model.to_owned(),
            serial,
            wwn,
            size: Bytes(size),
            logical_sector,
            physical_sector: 4096,
            transport,
            rotational,
            removable: unfit == 1,
            read_only: unfit == 2,
            boot_medium: unfit == 3,
            in_use: if unfit == 4 { vec!["/srv".to_owned()] } else { Vec::new() },
            contents,
            class,
            health,
            ..machine().disks[0].clone()
        }
    }
}

fn disks() -> impl Strategy<Value = Vec<Disk>> {
    (2usize..14).prop_flat_map(|count| (0..count).map(disk).collect::<Vec<_>>())
}

/// Some keys of a match; each list names disks that are there, and now and then one that is not.
fn matching() -> impl Strategy<Value = (Match, [Vec<Index>; 2], bool)> {
    let size = || prop::option::weighted(0.15, select(SIZES.to_vec()).prop_map(|s| Size::Absolute(Bytes(s))));
    let model = prop::option::weighted(0.2, select(vec!["samsung*", "ST*", "*", "?"]).prop_map(str::to_owned));
    let transport = prop::option::weighted(0.5, select(TRANSPORTS[..4].to_vec()));
    let keys = (transport, prop::option::weighted(0.5, any::<bool>()), size(), size(), model);
    let lists = prop_oneof![
        6 => Just([Vec::new(), Vec::new()]),
        1 => prop::collection::vec(any::<Index>(), 1..5).prop_map(|serials| [serials, Vec::new()]),
        1 => prop::collection::vec(any::<Index>(), 1..5).prop_map(|wwns| [Vec::new(), wwns]),
    ];
    (keys, lists, prop::bool::weighted(0.05)).prop_map(|((transport, rotational, min, max, model), lists, absent)| {
        let keys = Match { transport, rotational, min_size: min, max_size: max, model, ..Match::default() };
        (keys, lists, absent)
    })
}

type RandomMatch = (Match, [Vec<Index>; 2], bool);

fn named((keys, lists, absent): RandomMatch, disks: &[Disk]) -> Match {
    let pick = |list: &[Index], id: fn(&Disk) -> Option<String>| {
        let mut ids: Vec<String> = list.iter().filter_map(|index| id(index.get(disks))).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    let mut serials = pick(&lists[0], |disk| disk.serial.clone());
    if absent {
        serials.push("not attached".to_owned());
    }
    // As people write them.
    let wwns = pick(&lists[1], |disk| disk.wwn.clone()).into_iter().map(|wwn| wwn.to_uppercase()).collect();
    Match { serials, wwns, ..keys }
}

prop_compose! {
    fn sites(disks: Vec<Disk>)(
        ssd in matching(),
        hdd in prop::option::of(matching()),
        max_wear_percent in 1u32..101,
        allow in prop::collection::vec(any::<Index>(), 0..3),
        // Asks for those that must not be written as well, so that a planner which took them would have a plan.
        greedy in prop::bool::weighted(0.3),
    ) -> (Site, Vec<Disk>) {
        let mut site = parse(SITE, "site").unwrap();
        site.storage.health.max_wear_percent = max_wear_percent;
        site.storage.health.allow = allow.iter().filter_map(|index| index.get(&disks).serial.clone()).collect();
        // Of a list each disk is asked for, as `check` wants it; else as many as there are.
        let count = |site: &Site, pool: Pool, matching: &Match| {
            let named = matching.serials.len().max(matching.wwns.len());
            if named > 0 {
                return u32::try_from(named).unwrap();
            }
            let fit = disks.iter().filter(|disk| is_matched(disk, pool, matching));
            u32::try_from(fit.filter(|disk| greedy || forbidden(disk, &disks, site).is_none()).count()).unwrap()
        };
        site.storage.ssd.matching = named(ssd, &disks);
        site.storage.ssd.disks = Some(count(&site, Pool::Ssd, &site.storage.ssd.matching));
        match (hdd.map(|hdd| named(hdd, &disks)), site.storage.hdd.as_mut()) {
            (Some(matching), Some(pool)) => pool.matching = matching,
            _ => site.storage.hdd = None,
        }
        let wanted = site.storage.hdd.as_ref().map(|pool| count(&site, Pool::Hdd, &pool.matching));
        match (wanted, site.storage.hdd.as_mut()) {
            (Some(wanted), Some(pool)) if wanted > 0 && wanted.is_multiple_of(2) => pool.disks = Some(wanted),
            _ => site.storage.hdd = None,
        }
        (site, disks.clone())
    }
}

fn machines() -> impl Strategy<Value = (Site, Inventory)> {
    disks().prop_flat_map(sites).prop_map(|(site, disks)| (site, Inventory { disks, nics: Vec::new(), ..machine() }))
}

/// The rules once more, as the site file's documentation has them.
fn is_matched(disk: &Disk, pool: Pool, matching: &Match) -> bool {
    let model = |pattern: &str| match pattern {
        "*" => true,
        "?" => disk.model.chars().count() == 1,
        "samsung*" => disk.model.starts_with("SAMSUNG"),
        "ST*" => disk.model.starts_with("ST"),
        other => panic!("{other}"),
    };
    let absolute = |size: Size| match size {
        Size::Absolute(bytes) => bytes,
        Size::Share(_) => panic!("no match has a share"),
    };
    let named = !matching.serials.is_empty() || !matching.wwns.is_empty();
    let asked = matching.transport.is_some() || named;
    matching.transport.is_none_or(|wanted| disk.transport == wanted)
        && matching.rotational.is_none_or(|wanted| disk.rotational == wanted)
        && matching.min_size.is_none_or(|min| disk.size >= absolute(min))
        && matching.max_size.is_none_or(|max| disk.size <= absolute(max))
        && matching.model.as_deref().is_none_or(model)
        && (matching.serials.is_empty() || disk.serial.as_ref().is_some_and(|own| matching.serials.contains(own)))
        && (matching.wwns.is_empty()
            || disk.wwn.as_ref().is_some_and(|own| matching.wwns.contains(&own.to_uppercase())))
        && (asked || ![Transport::Usb, Transport::Mmc].contains(&disk.transport))
        && (pool == Pool::Hdd || !disk.rotational || matching.rotational.is_some() || named)
}

fn is_failing(disk: &Disk, site: &Site) -> bool {
    let policy = &site.storage.health;
    let some = |number: Option<u64>| number.unwrap_or_default() > 0;
    disk.health.as_ref().is_some_and(|health| {
        health.passed == Some(false)
            || health.critical_warning.unwrap_or_default() != 0
            || some(health.media_errors)
            || some(health.pending_sectors)
            || some(health.uncorrectable_sectors)
            || u32::from(health.wear_percent.unwrap_or_default()) > policy.max_wear_percent
    })
}

/// Why a disk must not be written whatever the match says.
fn forbidden(disk: &Disk, disks: &[Disk], site: &Site) -> Option<&'static str> {
    let others = || disks.iter().filter(|other| other.kernel_name != disk.kernel_name);
    let labels = || disk.contents.iter().flatten().filter_map(|content| content.label.as_deref());
    let allowed = disk.serial.as_ref().is_some_and(|serial| site.storage.health.allow.contains(serial));
    let no = [
        (disk.boot_medium || labels().any(|l| ["SOVEREIGN_INSTALLER", "SOVEREIGN"].contains(&l)), "a medium"),
        (!disk.in_use.is_empty(), "in use"),
        (disk.read_only, "read-only"),
        (disk.removable, "removable"),
        (disk.size == Bytes::ZERO, "no size"),
        (disk.contents.is_none(), "unread"),
        (disk.logical_sector == 520, "odd sectors"),
        (disk.serial.is_none() && disk.wwn.is_none(), "no identity"),
        (matches!(disk.class, Class::VirtualMedium { .. }), "a file in a BMC"),
        (matches!(disk.class, Class::MultipathPath { .. }), "a path"),
        (disk.wwn.is_some() && others().any(|other| other.wwn == disk.wwn), "a WWN of several"),
        (
            disk.serial.is_some()
                && others().any(|other| {
                    (&other.serial, other.size) == (&disk.serial, disk.size)
                        && (other.wwn.is_none() || disk.wwn.is_none())
                }),
            "a serial of several",
        ),
        (is_failing(disk, site) && !allowed, "failing"),
    ];
    no.into_iter().find(|(is, _)| *is).map(|(_, why)| why)
}

fn chosen<'d>(plan: &Plan, disks: &'d [Disk], pool: Pool) -> Vec<&'d Disk> {
    let planned = plan.disks.iter().filter(|planned| planned.pool == pool);
    planned.map(|planned| disks.iter().find(|disk| disk.kernel_name == planned.kernel_name).unwrap()).collect()
}

fn check(plan: &Plan, site: &Site, disks: &[Disk]) -> Result<(), TestCaseError> {
    let mut names: Vec<&str> = plan.disks.iter().map(|disk| disk.kernel_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    prop_assert_eq!(names.len(), plan.disks.len(), "a disk is in the plan twice");
    let hdd = site.storage.hdd.as_ref().map(|pool| (Pool::Hdd, &pool.matching, pool.count()));
    for (pool, matching, wanted) in
        [(Pool::Ssd, &site.storage.ssd.matching, site.storage.ssd.count())].into_iter().chain(hdd)
    {
        let chosen = chosen(plan, disks, pool);
        prop_assert_eq!(chosen.len(), wanted as usize);
        let mut drives = Vec::new();
        for disk in &chosen {
            prop_assert_eq!(forbidden(disk, disks, site), None);
            prop_assert!(is_matched(disk, pool, matching));
            if let Class::NvmeNamespace { subsystem, .. } = &disk.class {
                drives.push(subsystem);
            }
            // One serial number may begin another.
            let names =
                |warning: &str, serial: &str| warning.split(|c: char| !c.is_alphanumeric()).any(|w| w == serial);
            let warned = plan.warnings.iter().any(|warning| {
                warning.contains("is failing") && disk.serial.as_ref().is_some_and(|serial| names(warning, serial))
            });
            prop_assert_eq!(warned, is_failing(disk, site));
        }
        let all = drives.len();
        drives.sort();
        drives.dedup();
        prop_assert_eq!(drives.len(), all, "two namespaces of one drive");
        for serial in &matching.serials {
            prop_assert_eq!(chosen.iter().filter(|disk| disk.serial.as_ref() == Some(serial)).count(), 1);
        }
        for wwn in &matching.wwns {
            let has = |disk: &&&Disk| disk.wwn.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(wwn));
            prop_assert_eq!(chosen.iter().filter(has).count(), 1);
        }
    }
    Ok(())
}

/// What may become of a disk between the plan and the first write.
fn harmed(disk: &mut Disk, what: usize) {
    match what {
        0 => disk.serial = Some("swapped".to_owned()),
        1 => disk.wwn = Some("eui.swapped".to_owned()),
        2 => disk.size = Bytes(disk.size.0 + 4096),
        3 => disk.size = Bytes(disk.size.0 / 2),
        4 => {
            let content = Content {
                partition: Some(1),
                kind: "linux_raid_member".to_owned(),
                offset: Bytes(4096),
                uuid: Some("u".to_owned()),
                label: None,
            };
            disk.contents.iter_mut().for_each(|contents| contents.push(content.clone()));
        }
        5 => disk.contents = None,
        6 => disk.in_use = vec!["/mnt".to_owned()],
        7 => disk.boot_medium = true,
        8 => disk.read_only = true,
        9 => disk.health = Some(Health { passed: Some(false), pending_sectors: Some(1), ..Health::default() }),
        10 => disk.class = Class::MultipathPath { paths: 2, others: Vec::new() },
        11 => disk.logical_sector = 4096 + 512 - disk.logical_sector,
        12 => (disk.serial, disk.wwn) = (None, None),
        _ => disk.model.push('x'),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_plan_touches_a_medium_a_mounted_disk_an_unmatched_disk_or_one_that_is_not_known((site, inventory) in machines()) {
        match make(&site, &inventory) {
            Ok(plan) => check(&plan, &site, &inventory.disks)?,
            Err(refusal) => {
                let text = refusal.to_string();
                prop_assert!(!refusal.reasons.is_empty() && text.contains("nothing was written"));
                prop_assert!(inventory.disks.iter().all(|disk| text.contains(&disk.kernel_name)));
            }
        }
    }

    #[test]
    fn what_becomes_of_a_planned_disk_is_never_overlooked(
        (site, inventory) in machines(), which: Index, what in 0usize..14, (temperature, hours) in (20i32..60, 0u64..50_000),
    ) {
        let Ok(plan) = make(&site, &inventory) else { return Ok(()) };
        let planned = &plan.disks[which.index(plan.disks.len())];
        let at = inventory.disks.iter().position(|disk| disk.kernel_name == planned.kernel_name).unwrap();
        let changed = |change: &dyn Fn(&mut Inventory)| {
            let mut inventory = inventory.clone();
            change(&mut inventory);
            make(&site, &inventory)
        };
        let warmer = changed(&|inventory| {
            inventory.disks.reverse();
            for (number, disk) in inventory.disks.iter_mut().enumerate() {
                disk.kernel_name = format!("sd{number}");
                if let Some(health) = &mut disk.health {
                    (health.temperature_c, health.power_on_hours) = (Some(temperature), Some(hours));
                }
            }
        });
        let warmer = warmer.unwrap();
        prop_assert_eq!(warmer.hash(), plan.hash());
        prop_assert_eq!(plan.differences(&warmer), Vec::<String>::new());
        let before = &inventory.disks[at];
        // A disk that was failing already, and may, is no news.
        let is_news = what != 9 || !is_failing(before, &site);
        let others = [changed(&|i| harmed(&mut i.disks[at], what)), changed(&|i| drop(i.disks.remove(at)))];
        for now in others.into_iter().flatten() {
            prop_assert!(now.hash() != plan.hash() || !is_news, "{} {:?}", what, before);
            prop_assert!(!plan.differences(&now).is_empty() || !is_news);
        }
    }
}

#[test]
fn the_random_machines_do_have_plans_and_many_kinds_of_refusals() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut plans, mut said) = (0, std::collections::BTreeSet::new());
    for _ in 0..1500 {
        let (site, inventory) = machines().new_tree(&mut runner).unwrap().current();
        match make(&site, &inventory) {
            Ok(_) => plans += 1,
            Err(refusal) => {
                let reasons = refusal.reasons.iter().map(|reason| format!("{reason:?}"));
                let kinds = refusal.disks.iter().flat_map(|verdict| &verdict.pools).map(|(_, r)| format!("{r:?}"));
                let word = |text: String| text.split([' ', '(', ')', '{']).next().unwrap_or_default().to_owned();
                said.extend(reasons.map(word));
                said.extend(kinds.filter(|kind| kind != "None").map(|kind| word(kind.replacen("Some(", "", 1))));
            }
        }
    }
    assert!(plans > 200, "only {plans} of 1500 machines have a plan: the properties are tested on too few");
    let wanted = [
        "AllowsSeveral",
        "Both",
        "NamesSeveral",
        "OneDrive",
        "TooFew",
        "Unread",
        "BootMedium",
        "Failing",
        "InUse",
        "Mmc",
        "NoIdentity",
        "NoSize",
        "Path",
        "ReadOnly",
        "Removable",
        "Sector",
        "Twin",
        "Usb",
        "VirtualMedium",
    ];
    for kind in wanted {
        assert!(said.contains(kind), "no machine is refused for {kind}: {said:?}");
    }
}
