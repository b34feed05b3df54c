//! What holds for every plan, whatever the machine and the site file.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sovereign_model::bytes::{Bytes, MIB};
use sovereign_model::inventory::{Class, Cpu, Disk, Firmware, Inventory, Machine, Nic, Transport};
use sovereign_model::layout;
use sovereign_model::plan::{Base, Member, Plan, Pool, RaidLevel, make};
use sovereign_model::site::{HddRaid, Provisioning, Redundancy, Site, Size, SsdRaid, parse::parse};

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
match = { transport = "nvme" }
[storage.hdd]
raid = "raid10"
match = { rotational = true }
[encryption]
passphrase = "prompt"
"#;

prop_compose! {
    fn disk(number: usize)(
        kind in 0..2,
        size in prop_oneof![8 => 70_000_000_000u64..20_000_000_000_000, 1 => 0u64..4_000_000_000],
        four_k in prop::bool::weighted(0.03),
        // Mostly none of the things that forbid a disk.
        unfit in prop_oneof![12 => Just(0), 1 => 1..9],
        foreign in prop::bool::weighted(0.1),
    ) -> Disk {
        let spins = kind == 1;
        Disk {
            kernel_name: format!("disk{number}"),
            model: "model".to_owned(),
            serial: (unfit != 5).then(|| if unfit == 6 { "same".to_owned() } else { format!("serial{number}") }),
            wwn: None,
            size: Bytes(size),
            logical_sector: if unfit == 8 { 520 } else if four_k { 4096 } else { 512 },
            physical_sector: 4096,
            transport: if foreign { Transport::Usb } else if spins { Transport::Sata } else { Transport::Nvme },
            rotational: spins,
            removable: unfit == 1,
            read_only: unfit == 2,
            boot_medium: unfit == 3,
            in_use: if unfit == 4 { vec!["/".to_owned()] } else { Vec::new() },
            contents: (unfit != 7).then(Vec::new),
            mbr_partitions: None,
            firmware: None,
            class: Class::default(),
            health: None,
            belongs: Vec::new(),
            self_erase: None,
        }
    }
}

fn disks() -> impl Strategy<Value = Vec<Disk>> {
    (2usize..12).prop_flat_map(|count| (0..count).map(disk).collect::<Vec<_>>())
}

/// A site that asks for as many disks as may be written, so that many cases have a plan; or, `greedy`, for those that must not be
/// written as well, so that a planner which took them would have a plan.
fn site(
    disks: &[Disk],
    root: Size,
    reserve: Option<Size>,
    [thick, with_hdd, greedy, one_ssd, one_hdd]: [bool; 5],
) -> Site {
    let mut site = parse(SITE, "site").unwrap();
    let fit = |disk: &&Disk, spins| disk.rotational == spins && (greedy || forbidden(disk).is_none());
    let count = |spins| disks.iter().filter(|disk| fit(disk, spins)).count();
    let ssds = disks.iter().filter(|d| fit(d, false) && d.transport == Transport::Nvme).count();
    site.storage.ssd.disks = Some(u32::try_from(ssds).unwrap());
    site.storage.ssd.root = root;
    site.storage.ssd.reserve = reserve;
    if thick {
        site.storage.ssd.volumes = Provisioning::Thick;
    }
    if with_hdd && count(true).is_multiple_of(2) && count(true) > 0 {
        let hdd = site.storage.hdd.as_mut().unwrap();
        hdd.disks = Some(u32::try_from(count(true)).unwrap());
    } else {
        site.storage.hdd = None;
    }
    // Pools of one disk, which is named.
    let first = |spins| {
        let first = disks.iter().find(|disk| fit(disk, spins) && (spins || disk.transport == Transport::Nvme));
        first.and_then(|disk| disk.serial.clone())
    };
    if let Some(serial) = first(false).filter(|_| one_ssd) {
        site.storage.ssd.raid = if thick { SsdRaid::Hardware } else { SsdRaid::None };
        site.storage.ssd.disks = Some(1);
        site.storage.ssd.matching.serials = vec![serial];
    }
    if let Some((hdd, serial)) = site.storage.hdd.as_mut().zip(first(true)).filter(|_| one_hdd) {
        hdd.raid = if thick { HddRaid::None } else { HddRaid::Hardware };
        hdd.disks = Some(1);
        hdd.matching.serials = vec![serial];
    }
    site
}

fn forbidden(disk: &Disk) -> Option<&'static str> {
    let no = [
        (disk.boot_medium, "boot medium"),
        (!disk.in_use.is_empty(), "in use"),
        (disk.read_only, "read-only"),
        (disk.removable, "removable"),
        (disk.serial.is_none() && disk.wwn.is_none(), "no identity"),
        (disk.size == Bytes::ZERO, "no size"),
        (disk.contents.is_none(), "unread"),
        (disk.logical_sector == 520, "odd sectors"),
    ];
    no.into_iter().find(|(is, _)| *is).map(|(_, why)| why)
}

fn inventory(disks: Vec<Disk>) -> Inventory {
    Inventory {
        schema: 1,
        machine: Machine::default(),
        cpu: Cpu { vendor: String::new(), model: String::new(), threads: 12 },
        memory: Bytes::gib(32),
        firmware: Firmware::Uefi { secure_boot: None },
        tpm2: false,
        tpm: None,
        ecc: None,
        kernel: "6.12".to_owned(),
        memory_encryption: None,
        nics: vec![Nic {
            name: "eth0".to_owned(),
            mac: "52:54:00:00:00:01".to_owned(),
            driver: String::new(),
            link: None,
            speed_mbps: None,
        }],
        disks,
    }
}

fn sizes() -> impl Strategy<Value = (Size, Option<Size>)> {
    let absolute = |most: u64| (1u64 << 30..most).prop_map(|bytes| Size::Absolute(Bytes(bytes)));
    let root = prop_oneof![absolute(60_000_000_000), (1u16..6000).prop_map(Size::Share)];
    let reserve = prop_oneof![
        Just(None),
        absolute(30_000_000_000).prop_map(Some),
        (0u16..3000).prop_map(|h| Some(Size::Share(h)))
    ];
    (root, reserve)
}

fn check(plan: &Plan, disks: &[Disk]) -> Result<(), TestCaseError> {
    for planned in &plan.disks {
        let disk = disks.iter().find(|disk| disk.kernel_name == planned.kernel_name).unwrap();
        prop_assert_eq!(forbidden(disk), None);
        let same = disks.iter().filter(|other| (&other.serial, other.size) == (&disk.serial, disk.size));
        prop_assert_eq!(same.count(), 1);
        prop_assert_eq!(disk.rotational, planned.pool == Pool::Hdd);
        prop_assert!(planned.pool == Pool::Hdd || disk.transport == Transport::Nvme);
        let mut free = MIB;
        for (partition, number) in planned.partitions.iter().zip(1..) {
            prop_assert_eq!(partition.number, number);
            prop_assert!(partition.start.0 >= free && partition.start.0 % MIB == 0 && partition.size.0 % MIB == 0);
            prop_assert!(partition.size > Bytes::ZERO);
            free = partition.start.0 + partition.size.0;
        }
        prop_assert!(free + layout::gpt_backup(disk.logical_sector).0 <= disk.size.0);
    }
    let size = |member: &Member| plan.disks[member.disk].partitions[member.partition as usize - 1].size;
    for array in &plan.arrays {
        let first = size(&array.members[0]);
        prop_assert!(array.members.iter().all(|member| size(member) == first));
        let copies = if matches!(array.level, RaidLevel::Raid1) { array.members.len() as u64 } else { 2 };
        prop_assert!(array.size.0 * copies <= (first.0 - array.data_offset.0) * array.members.len() as u64);
    }
    for (pool, raid) in [(Pool::Ssd, plan.redundancy(Pool::Ssd)), (Pool::Hdd, plan.redundancy(Pool::Hdd))] {
        let arrays = if pool == Pool::Ssd { 2 } else { 1 };
        let found = plan.arrays.iter().filter(|array| plan.disks[array.members[0].disk].pool == pool).count();
        prop_assert_eq!(found, if raid == Some(Redundancy::Array) { arrays } else { 0 });
        let disks = plan.disks.iter().filter(|disk| disk.pool == pool).count();
        prop_assert!(raid.is_none_or(|raid| raid == Redundancy::Array || disks == 1));
    }
    prop_assert_eq!(plan.danger().is_some(), plan.warnings[0].starts_with("UNSAFE"));
    for (container, group) in plan.containers.iter().zip(&plan.volume_groups) {
        let below = match &container.base {
            Base::Array(name) => plan.arrays.iter().find(|array| array.name == *name).unwrap().size,
            Base::Partition(member) => size(member),
        };
        prop_assert_eq!(container.size.0 + container.offset.0, below.0);
        let whole = layout::PE_START.0 + group.extents * group.extent.0;
        prop_assert!(whole <= container.size.0 && container.size.0 < whole + group.extent.0);
        let pool = group.pool.as_ref().map_or(0, |pool| pool.extents + 2 * pool.metadata_extents);
        let thick: u64 = group.volumes.iter().map(|volume| volume.extents).sum();
        prop_assert_eq!(thick + pool + group.free_extents, group.extents);
        if let Some(pool) = &group.pool {
            let data = Bytes(pool.extents * group.extent.0);
            prop_assert!(pool.extents > 0);
            prop_assert!(pool.metadata_extents * group.extent.0 >= layout::thin_metadata_need(data, pool.chunk, 64).0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn plans_touch_only_what_they_may_and_add_up(
        disks in disks(), (root, reserve) in sizes(), flags: [bool; 5],
    ) {
        let site = site(&disks, root, reserve, flags);
        match make(&site, &inventory(disks.clone())) {
            Ok(plan) => check(&plan, &disks)?,
            Err(refusal) => {
                prop_assert!(!refusal.reasons.is_empty());
                prop_assert_eq!(refusal.disks.len(), disks.len());
                let text = refusal.to_string();
                prop_assert!(disks.iter().all(|disk| text.contains(&disk.kernel_name)));
            }
        }
    }

    #[test]
    fn the_order_of_the_disks_and_their_names_do_not_matter(
        (disks, shuffled) in disks().prop_flat_map(|disks| (Just(disks.clone()), Just(disks).prop_shuffle())),
        (root, reserve) in sizes(),
    ) {
        let site = site(&disks, root, reserve, [false, true, false, false, false]);
        let plan = make(&site, &inventory(disks.clone()));
        prop_assert_eq!(&plan, &make(&site, &inventory(shuffled.clone())));
        let renamed = shuffled.into_iter().enumerate();
        let renamed: Vec<_> = renamed.map(|(n, disk)| Disk { kernel_name: format!("sd{n}"), ..disk }).collect();
        if let Ok(plan) = plan {
            prop_assert_eq!(plan.hash(), make(&site, &inventory(renamed)).unwrap().hash());
        }
    }
}

#[test]
fn the_random_machines_do_have_plans() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let with_plan = (0..300).filter(|_| {
        let (disks, (root, reserve)) = (disks(), sizes()).new_tree(&mut runner).unwrap().current();
        make(&site(&disks, root, reserve, [false, true, false, false, false]), &inventory(disks)).is_ok()
    });
    let count = with_plan.count();
    assert!(count > 60, "only {count} of 300 machines have a plan: the properties are tested on too few");
}
