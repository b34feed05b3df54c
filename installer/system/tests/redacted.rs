//! What `probe --save --redact` leaves of captures: nothing that names the machine, and the same classes and plans.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::mem::discriminant;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use sovereign_model::inventory::{Class, Inventory, Owner};
use sovereign_model::plan::{self, NoPlan, Plan};
use sovereign_model::site::{Site, parse::parse};
use sovereign_system::probe::{self, Captures};

/// Labels that say what a disk is, not whose, and stay; and the host name of some captures, which is this program's name too.
const WELL_KNOWN: [&str; 13] = [
    "sovereign",
    "SOVEREIGN_INSTALLER",
    "SOVEREIGN",
    "rpool",
    "bpool",
    "pve",
    "boot",
    "ssd",
    "hdd",
    "root",
    "System Reserved",
    "data",
    "swap",
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn machines() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(tests().join("captures"))
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn captures(machine: &str) -> Captures {
    Captures::load(&tests().join("captures").join(machine)).unwrap()
}

fn site(machine: &str) -> Option<Site> {
    let text = fs::read_to_string(tests().join("captures-sites").join(format!("{machine}.toml"))).ok()?;
    Some(parse(&text, machine).unwrap())
}

/// Everything that names this machine, in lower case: as it is, without punctuation, and in hexadecimal, as an NVMe disk's name
/// has its serial number.
fn identifiers(captures: &Captures) -> BTreeSet<String> {
    let inventory = probe::inventory(captures).unwrap();
    let mut plain: Vec<String> = Vec::new();
    for disk in &inventory.disks {
        plain.extend(disk.serial.clone());
        plain.extend(disk.wwn.as_deref().map(|wwn| wwn.trim_start_matches("0x").to_owned()));
        for content in disk.contents.iter().flatten() {
            plain.extend(content.uuid.clone());
            plain.extend(content.label.iter().flat_map(|label| label.split(':').map(str::to_owned)));
        }
        for owner in &disk.belongs {
            match owner {
                Owner::Sovereign { site: Some(site) } => plain.push(site.name.clone()),
                Owner::Lvm { group: Some(group), .. } => plain.push(group.clone()),
                _ => {}
            }
        }
        if let Class::NvmeNamespace { subsystem, .. } = &disk.class {
            plain.push(subsystem.clone());
        }
    }
    plain.extend(inventory.nics.iter().map(|nic| nic.mac.clone()));
    let mut all = BTreeSet::new();
    for name in plain.iter().filter(|name| name.len() >= 4 && !WELL_KNOWN.contains(&name.as_str())) {
        let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        all.extend([name.to_lowercase(), bare.to_lowercase(), hex]);
    }
    // A drive of which nothing better is known is called by its kernel name.
    all.retain(|name| !name.starts_with("nvme") || name.len() > 6);
    all
}

fn assert_nothing_remains(original: &Captures, redacted: &Captures) {
    let identifiers = identifiers(original);
    for (path, text) in redacted.iter() {
        let (path, text) = (path.to_lowercase(), text.to_lowercase());
        for name in &identifiers {
            assert!(!text.contains(name) && !path.contains(name), "{name} is left in {path}");
        }
    }
}

/// What is said of the machine, without names.
fn shape(inventory: &Inventory) -> Vec<Value> {
    let class = |class: &Class| match class {
        Class::NvmeNamespace { number, of, .. } => json!([number, of]),
        other => json!(other),
    };
    let disk = |disk: &sovereign_model::inventory::Disk| {
        let owners: Vec<String> = disk.belongs.iter().map(|owner| format!("{:?}", discriminant(owner))).collect();
        let contents: Option<Vec<_>> =
            disk.contents.as_ref().map(|all| all.iter().map(|c| json!([c.partition, c.kind, c.offset])).collect());
        json!([
            disk.kernel_name,
            disk.size,
            disk.transport,
            class(&disk.class),
            disk.health,
            disk.firmware,
            owners,
            contents,
            disk.boot_medium,
            disk.self_erase,
            disk.in_use.len(),
            disk.mbr_partitions,
            disk.logical_sector,
            disk.model
        ])
    };
    let mut all: Vec<Value> = inventory.disks.iter().map(disk).collect();
    all.push(json!([
        inventory.machine,
        inventory.cpu,
        inventory.memory,
        inventory.memory_encryption,
        inventory.ecc,
        inventory.firmware,
        inventory.tpm
    ]));
    all
}

/// A plan or a refusal, without names.
fn planned(plan: &Result<Plan, NoPlan>) -> Value {
    match plan {
        Ok(plan) => {
            let disks: Vec<_> =
                plan.disks.iter().map(|d| json!([d.kernel_name, d.pool, d.partitions, d.destroys.len()])).collect();
            json!([disks, plan.arrays, plan.containers, plan.volume_groups, plan.host, plan.warnings.len()])
        }
        Err(refusal) => {
            let reasons = refusal.reasons.iter().map(|reason| format!("{:?}", discriminant(reason)));
            let verdict = |verdict: &plan::Verdict| {
                let pools = verdict
                    .pools
                    .iter()
                    .map(|(pool, why)| json!([pool, why.as_ref().map(|w| format!("{:?}", discriminant(w)))]));
                json!([verdict.disk.kernel_name, pools.collect::<Vec<_>>()])
            };
            json!([reasons.collect::<Vec<_>>(), refusal.disks.iter().map(verdict).collect::<Vec<_>>()])
        }
    }
}

/// A site that names disks by their serial numbers, by those that stand for them.
fn renamed(site: &Site, before: &Inventory, after: &Inventory) -> Site {
    let mut site = site.clone();
    for serial in &mut site.storage.ssd.matching.serials {
        let index = before.disks.iter().position(|disk| disk.serial.as_ref() == Some(serial));
        if let Some(stand_in) = index.and_then(|index| after.disks[index].serial.clone()) {
            *serial = stand_in;
        }
    }
    site
}

fn check(machine: &str, original: &Captures) {
    let redacted = probe::redact(original);
    assert_nothing_remains(original, &redacted);
    let (before, after) = (probe::inventory(original).unwrap(), probe::inventory(&redacted).unwrap());
    assert_eq!(shape(&before), shape(&after), "{machine}");
    if let Some(site) = site(machine) {
        let renamed = renamed(&site, &before, &after);
        assert_eq!(planned(&plan::make(&site, &before)), planned(&plan::make(&renamed, &after)), "{machine}");
    }
}

#[test]
fn redacted_captures_name_nobody_and_give_the_same_plan() {
    let machines = machines();
    assert!(machines.len() >= 8);
    for machine in machines {
        check(&machine, &captures(&machine));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

    /// With other serial numbers, labels, hosts and addresses in the place of a machine's own.
    #[test]
    fn whatever_a_machine_is_called(machine in any::<Index>(), fresh in prop::collection::vec("[A-Za-z0-9]{9,20}", 40)) {
        let machine = machine.get(&machines()).clone();
        let mut captures = captures(&machine);
        let inventory = probe::inventory(&captures).unwrap();
        let labels = inventory.disks.iter().flat_map(|disk| disk.contents.iter().flatten()).filter_map(|c| c.label.clone());
        let names: BTreeSet<String> = inventory.disks.iter().filter_map(|disk| disk.serial.clone()).chain(labels)
            .flat_map(|name| name.split(':').map(str::to_owned).collect::<Vec<_>>())
            .filter(|name| name.len() >= 6 && !WELL_KNOWN.contains(&name.as_str()))
            .collect();
        let texts: Vec<(String, String)> = captures.iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        for (path, text) in texts {
            let text = names.iter().zip(&fresh).fold(text, |text, (name, fresh)| text.replace(name.as_str(), fresh));
            captures.insert(path, text);
        }
        check(&machine, &captures);
    }
}
