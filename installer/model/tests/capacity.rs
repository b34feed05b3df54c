//! The capacity planner: machines as files with the exact table or refusal, and docs/capacity.md. What holds for every machine
//! is in shares.rs.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sovereign_model::bytes::{Bytes, MIB};
use sovereign_model::capacity::{Machine, SMALL_VOLUMES, Wishes, share};
use sovereign_model::inventory::{Class, Cpu, Disk, Firmware, Inventory, Machine as Name, Transport};
use sovereign_model::plan::guests::{Guest, VolumeContent};
use sovereign_model::plan::{Guests, NoPlan, Plan, make};
use sovereign_model::role::Catalogue;
use sovereign_model::site::{self, Provisioning, Site, Size, parse::parse};

const SITE: &str = r#"
[site]
name = "case"
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

/// A machine, as a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    threads: u32,
    /// `MemTotal`, bytes.
    memory: u64,
    /// Each of the two SSDs, bytes.
    ssd: u64,
    #[serde(default)]
    thick_ssd: bool,
    hdd: Option<Hdds>,
    #[serde(default)]
    guests: site::Guests,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hdds {
    disks: u32,
    /// Each, bytes.
    size: u64,
    #[serde(default)]
    thick: bool,
    reserve: Option<Size>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/capacity")
}

fn case(name: &str) -> Case {
    let text = fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cases() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    names
}

fn disk(number: u32, size: u64, rotational: bool) -> Disk {
    Disk {
        kernel_name: format!("disk{number}"),
        model: String::new(),
        serial: Some(format!("serial{number}")),
        wwn: None,
        size: Bytes(size),
        logical_sector: 512,
        physical_sector: 4096,
        transport: if rotational { Transport::Sata } else { Transport::Nvme },
        rotational,
        removable: false,
        read_only: false,
        boot_medium: false,
        in_use: Vec::new(),
        contents: Some(Vec::new()),
        mbr_partitions: None,
        firmware: None,
        class: Class::default(),
        health: None,
        belongs: Vec::new(),
        self_erase: None,
    }
}

impl Case {
    fn site(&self) -> Site {
        let mut site = parse(SITE, "site").unwrap();
        site.guests = Some(self.guests.clone());
        if self.thick_ssd {
            site.storage.ssd.volumes = Provisioning::Thick;
        }
        match (&self.hdd, &mut site.storage.hdd) {
            (Some(hdd), Some(pool)) => {
                pool.disks = Some(hdd.disks);
                pool.reserve = hdd.reserve;
                pool.volumes = if hdd.thick { Provisioning::Thick } else { Provisioning::Thin };
            }
            (_, pool) => *pool = None,
        }
        site
    }

    fn inventory(&self) -> Inventory {
        let hdds = self.hdd.iter().flat_map(|hdd| (2..2 + hdd.disks).map(|n| disk(n, hdd.size, true)));
        Inventory {
            schema: 1,
            machine: Name::default(),
            cpu: Cpu { vendor: String::new(), model: String::new(), threads: self.threads },
            memory: Bytes(self.memory),
            firmware: Firmware::Uefi { secure_boot: None },
            tpm2: false,
            tpm: None,
            ecc: None,
            kernel: "6.12".to_owned(),
            memory_encryption: None,
            nics: Vec::new(),
            disks: (0..2).map(|n| disk(n, self.ssd, false)).chain(hdds).collect(),
        }
    }

    fn plan(&self) -> Result<Plan, NoPlan> {
        make(&self.site(), &self.inventory())
    }
}

fn guests(name: &str) -> Guests {
    case(name).plan().unwrap_or_else(|refusal| panic!("{name}: {refusal}")).guests.unwrap()
}

/// The part of a plan's tree that is about guests, and the warnings.
fn shown(plan: &Plan) -> String {
    let tree = plan.tree();
    let lines = tree.lines().skip_while(|line| !line.starts_with("├─ guests"));
    lines.take_while(|line| !line.starts_with("└─")).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_machine_gets_its_table_or_its_refusal() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("capacity");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in cases() {
            let text = match case(&name).plan() {
                Ok(plan) => shown(&plan),
                Err(NoPlan { reasons, .. }) => {
                    reasons.iter().map(|reason| format!("- {reason}")).collect::<Vec<_>>().join("\n")
                }
            };
            insta::assert_snapshot!(name, text);
        }
    });
}

#[test]
fn the_reference_machine_gets_the_table_of_the_design() {
    let plan = guests("reference");
    let gb = |n: u64| n * 1_000_000_000;
    let row = |guest: &Guest| {
        let mib = |bytes: u64| bytes / MIB;
        assert_eq!(guest.memory().0, guest.memory_mib.value * MIB);
        (guest.role.to_string(), guest.vcpus.value, guest.cpu_weight.value, mib(guest.memory().0))
    };
    let rows: Vec<_> = plan.guests.iter().map(row).collect();
    // 2, 12 and 16 GB in whole MiB, rounded down.
    let expected = [("edge", 2, 256, gb(2) / MIB), ("core", 8, 2048, gb(12) / MIB), ("storage", 6, 1024, gb(16) / MIB)];
    assert_eq!(rows, expected.map(|(role, vcpus, weight, mib)| (role.to_owned(), vcpus, weight, mib)));
    let extent = 4 * MIB;
    let disks: Vec<_> =
        plan.guests.iter().map(|guest| (guest.ssd.value.0 / extent, guest.hdd.value.0 / extent)).collect();
    let rounded_up = |bytes: u64| bytes.div_ceil(extent);
    assert_eq!(
        disks,
        [
            (rounded_up(gb(20)), 0),
            (rounded_up(gb(350)), rounded_up(gb(2000))),
            (rounded_up(gb(80)), rounded_up(gb(10_000)))
        ]
    );
    assert_eq!((plan.host.memory.0, plan.host.ssd.0, plan.host.reserve.0), (gb(2), 9537 * extent, 5246 * extent));
    assert_eq!((plan.ssd.ratio().as_str(), plan.ssd.is_overcommitted(), plan.ssd.extents), ("1.0073", true, 106_508));
    let hdd = plan.hdd.unwrap();
    assert_eq!((hdd.used * extent, hdd.is_overcommitted()), (12_000_004_407_296, false));
}

#[test]
fn every_machine_of_32_gib_has_the_memory_of_the_reference() {
    let reference: Vec<_> = guests("reference").guests.iter().map(|guest| guest.memory_mib.value).collect();
    for memory in [32_600_000_000, 33_000_000_000, 33_456_123_904, 33_700_000_000, 34_359_738_368] {
        let plan = Case { memory, ..case("reference") }.plan().unwrap();
        let machines: Vec<_> = plan.guests.unwrap().guests.iter().map(|guest| guest.memory_mib.value).collect();
        assert_eq!(machines, reference, "{memory}");
    }
}

#[test]
fn the_memory_of_a_plan_adds_up_to_no_more_than_the_machine_has() {
    for name in cases() {
        let case = case(&name);
        let Ok(plan) = case.plan() else { continue };
        let guests = plan.guests.unwrap();
        let machines: u64 = guests.guests.iter().map(|guest| guest.memory().0).sum();
        assert!(machines + guests.qemu_mib * MIB <= plan.host.guests.0, "{name}");
        assert!(plan.host.memory.0 + plan.host.guests.0 <= case.memory, "{name}");
        assert_eq!(guests.host.memory, plan.host.memory);
    }
}

#[test]
fn without_hdds_the_data_volume_is_a_part_of_the_same_ssd_figure() {
    let (with, without) = (guests("reference"), guests("reference-single-pool"));
    for (with, without) in with.guests.iter().zip(&without.guests) {
        assert_eq!((with.ssd.value, without.hdd.value), (without.ssd.value, Bytes::ZERO));
        let on_ssd = without.volumes.iter().filter(|volume| {
            assert_eq!(volume.group, "pve");
            matches!(volume.content, VolumeContent::Root { .. } | VolumeContent::Data { .. })
        });
        assert_eq!(on_ssd.map(|volume| volume.extents * 4 * MIB).sum::<u64>(), without.ssd.value.0);
        assert_eq!(with.volumes.len(), without.volumes.len());
    }
    let data = &without.guests[2].volumes[3];
    assert_eq!((data.extents, data.template.as_deref()), (19_074 * 60 / 100, Some("base-9003-disk-2")));
}

#[test]
fn thick_bulk_volumes_have_no_template_and_never_take_the_reserve() {
    let plan = guests("reference-thick-bulk");
    let data: Vec<_> =
        plan.guests.iter().flat_map(|guest| &guest.volumes).filter(|volume| volume.group == "bulk").collect();
    assert_eq!(data.len(), 2);
    assert!(data.iter().all(|volume| volume.template.is_none() && volume.pool.is_none()));
    assert_eq!(plan.hdd.unwrap().extents, 2_861_513);
    let kept = guests("reference-thick-bulk-reserve").hdd.unwrap();
    assert_eq!(kept.extents, 2_861_513 - 1_000_000_000_000_u64.div_ceil(4 * MIB));
    assert!(kept.used <= kept.extents);
}

#[test]
fn names_of_volumes_are_those_proxmox_gives_and_no_two_are_the_same() {
    for name in ["reference", "reference-single-pool", "reference-thick-bulk"] {
        let plan = guests(name);
        let mut names: Vec<String> = Vec::new();
        for volume in plan.guests.iter().flat_map(|guest| &guest.volumes) {
            names.push(volume.machine.clone());
            names.extend(volume.template.clone());
            let is_base = volume.template.as_ref().is_none_or(|template| template.starts_with("base-"));
            assert_eq!(is_base, volume.content != VolumeContent::CloudInit);
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{name}");
    }
}

/// The catalogue with a fourth role, a copy of storage.
fn four_roles() -> Catalogue {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../overlays/guest");
    let read = |role: &str| fs::read_to_string(guests.join(role).join("role.toml")).unwrap();
    let storage = read("storage");
    let copy = storage.replace("name = \"storage\"", "name = \"backup\"").replace("9003", "9004");
    let copy = copy.replace("machine = 103", "machine = 104").replace("order = 1", "order = 4");
    let texts = [("edge", read("edge")), ("core", read("core")), ("storage", storage), ("backup", copy)];
    // What they run takes nothing of its own.
    let texts = texts.map(|(role, text)| {
        let lines = text.lines().filter(|line| !line.starts_with("workloads = "));
        (role, lines.collect::<Vec<_>>().join("\n"))
    });
    let files = texts.map(|(role, text)| (format!("overlays/guest/{role}/role.toml"), text));
    let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    Catalogue::new(&files).unwrap()
}

#[test]
fn a_fourth_role_gets_its_share_too() {
    let catalogue = four_roles();
    let machine = Machine { threads: 24, memory: Bytes(60_000_000_000), ssd: 200_000, hdd: Some(6_000_000) };
    let roles = BTreeMap::new();
    let shares = share(&catalogue, &machine, &Wishes { ssd_overcommit: Some(false), roles: &roles }).unwrap();
    let names: Vec<_> = shares.roles.iter().map(|share| share.role.name.as_str()).collect();
    assert_eq!(names, ["edge", "core", "storage", "backup"]);
    let [.., storage, backup] = shares.roles.as_slice() else { panic!("{names:?}") };
    assert_eq!((&backup.ssd, &backup.hdd, &backup.memory_mib), (&storage.ssd, &storage.hdd, &storage.memory_mib));
}

#[test]
fn disks_as_they_are_sold_give_every_role_as_much_as_smaller_ones() {
    let ssds =
        [256_060_514_304, 480_103_981_056, 512_110_190_592, 960_197_124_096, 1_920_383_410_176, 7_681_501_126_656];
    let hdds = [None, Some(1_000_204_886_016), Some(6_001_175_126_016), Some(20_000_588_955_648u64)];
    let mut before: Vec<Vec<[u64; 2]>> = vec![Vec::new(); hdds.len()];
    for ssd in ssds {
        let mut beside: Vec<[u64; 2]> = Vec::new();
        for (size, before) in hdds.iter().zip(&mut before) {
            let hdd = size.map(|size| Hdds { disks: 4, size, thick: false, reserve: None });
            let guests = site::Guests { ssd_overcommit: Some(false), ..site::Guests::default() };
            let case = Case { ssd, hdd, guests, ..case("reference") };
            let plan = case.plan().unwrap_or_else(|refusal| panic!("{refusal}")).guests.unwrap();
            let now: Vec<_> = plan.guests.iter().map(|guest| [guest.ssd.value.0, guest.hdd.value.0]).collect();
            for smaller in [&*before, &beside] {
                for (smaller, now) in smaller.iter().zip(&now) {
                    assert!(smaller.iter().zip(now).all(|(smaller, now)| smaller <= now), "{ssd} {size:?}");
                }
            }
            before.clone_from(&now);
            beside = now;
        }
    }
}

#[test]
fn the_rule_of_over_commitment_holds_to_the_extent() {
    let used = |ssd: u64, accepted: Option<bool>| {
        let machine = Machine { threads: 12, memory: Bytes(31_440_502_784), ssd, hdd: None };
        let wishes = Wishes { ssd_overcommit: accepted, roles: &BTreeMap::new() };
        share(Catalogue::shipped().unwrap(), &machine, &wishes).map(|shares| shares.ssd_used).map_err(|no| no.len())
    };
    let reference = 4769 + 83_447 + 19_074 + 3 * SMALL_VOLUMES;
    // 11/10 of 97,542 are 107,296.2: a tenth too much at most; of 97,541 they are less.
    assert_eq!(reference, 107_296);
    for accepted in [None, Some(false), Some(true)] {
        assert_eq!(used(107_296, accepted), Ok(reference));
        assert!(used(97_541, accepted).unwrap() <= 97_541);
    }
    for pool in [107_295, 97_542] {
        assert_eq!((used(pool, Some(true)), used(pool, None)), (Ok(reference), Err(1)));
        assert!(used(pool, Some(false)).unwrap() <= pool);
    }
}

/// The machines of docs/capacity.md, from the smallest to the largest.
const DOCUMENTED: [&str; 11] = [
    "small-no-hdd",
    "small",
    "reference",
    "reference-no-overcommit",
    "reference-single-pool",
    "desk",
    "flash",
    "office",
    "house",
    "campus",
    "largest",
];

/// Replaces what stands between the two markers of a generated block.
fn with_block(text: &str, name: &str, block: &str) -> String {
    let mark = format!("<!-- generated: {name} -->\n");
    let (head, rest) = text.split_once(&mark).unwrap();
    let (_, tail) = rest.split_once("<!-- end -->").unwrap();
    format!("{head}{mark}{block}<!-- end -->{tail}")
}

fn rules() -> String {
    let mut out = String::from("| role | figure | reference | floor | ceiling | why |\n|---|---|---|---|---|---|\n");
    for role in Catalogue::shipped().unwrap().roles() {
        let (name, capacity) = (&role.name, &role.capacity);
        let vcpus = &capacity.vcpus;
        writeln!(out, "| {name} | vCPUs | {} | {} | {} | {} |", vcpus.reference, vcpus.floor, vcpus.ceiling, vcpus.why)
            .unwrap();
        let weight = &capacity.cpu_weight;
        writeln!(out, "| | CPU weight | {} | | | {} |", weight.reference, weight.why).unwrap();
        let amounts = [("RAM", Some(&capacity.memory)), ("SSD", Some(&capacity.ssd)), ("HDD", capacity.hdd.as_ref())];
        for (what, amount) in amounts.into_iter().filter_map(|(what, amount)| Some((what, amount?))) {
            let size = |bytes: Bytes| Size::Absolute(bytes).to_string();
            let [floor, ceiling] = amount
                .growth
                .map_or_else(|| [String::new(), String::new()], |growth| [size(growth.floor), size(growth.ceiling)]);
            writeln!(out, "| | {what} | {} | {floor} | {ceiling} | {} |", size(amount.reference), amount.why).unwrap();
        }
        if let Some(data) = &role.volumes.data {
            writeln!(out, "| | data without HDDs | {} % of the SSD figure | | | |", data.without_hdd.get()).unwrap();
        }
    }
    out
}

fn table() -> String {
    let mut out = String::from("| case | threads | RAM | SSDs | HDDs | edge | core | storage | r |\n");
    out.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for name in DOCUMENTED {
        let (case, plan) = (case(name), guests(name));
        let hdds = case.hdd.map_or_else(|| "-".to_owned(), |hdd| format!("{} x {}", hdd.disks, Bytes(hdd.size)));
        write!(out, "| {name} | {} | {} | 2 x {} | {hdds} |", case.threads, Bytes(case.memory), Bytes(case.ssd))
            .unwrap();
        for guest in &plan.guests {
            let hdd = if guest.hdd.value == Bytes::ZERO { "-".to_owned() } else { guest.hdd.value.to_string() };
            write!(out, " {}, {}, {}, {hdd} |", guest.vcpus.value, guest.memory(), guest.ssd.value).unwrap();
        }
        writeln!(out, " {} |", plan.ssd.ratio()).unwrap();
    }
    out
}

#[test]
fn the_tables_of_the_documentation_are_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/capacity.md");
    let found = fs::read_to_string(&path).unwrap();
    let wanted = with_block(&with_block(&found, "roles", &rules()), "machines", &table());
    if std::env::var_os("SOVEREIGN_UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "{} is stale: SOVEREIGN_UPDATE_DOCS=1 cargo nextest run -p sovereign-model --test capacity",
        path.display()
    );
}
