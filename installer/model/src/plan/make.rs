//! Making a plan: disks, network interface, warnings. The arithmetic of each pool is in [`super::pool`].

use std::collections::BTreeMap;

use crate::bytes::Bytes;
use crate::inventory::{Class, Content, Disk, Firmware, Inventory, Nic};
use crate::layout;
use crate::memory_encryption;
use crate::plan::erase;
use crate::plan::health;
use crate::plan::identity::{Known, named, named_all};
use crate::plan::pool::{self, Built};
use crate::plan::refusal::{NoPlan, Reason};
use crate::plan::select::{self, Verdict};
use crate::plan::{Argon2idCost, Plan, Pool};
use crate::plan::{guests, node, redundancy};
use crate::site::{EraseMode, Match, Network, Site};

/// The plan for `site` on the machine `inventory`: the same for the same disks, whatever order or kernel names they have.
///
/// # Errors
/// [`NoPlan`] with every reason found and a verdict on every disk, where there is no plan or more than one, or where it is not
/// known what the plan would destroy.
pub fn make(site: &Site, inventory: &Inventory) -> Result<Plan, NoPlan> {
    plan(site, inventory, Unread::Refuse)
}

/// As [`make`], for looking at only: that disks could not be read, as by anybody but root, is a warning. The hash is that of
/// [`make`] where both make a plan.
///
/// # Errors
/// As [`make`].
pub fn preview(site: &Site, inventory: &Inventory) -> Result<Plan, NoPlan> {
    plan(site, inventory, Unread::Warn)
}

/// The warning of a site that asks for no guests.
const NO_GUESTS: &str = "no [guests]: this machine gets neither templates nor virtual machines";

/// What becomes of a plan that touches what could not be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    Refuse,
    Warn,
}

fn plan(site: &Site, inventory: &Inventory, unread: Unread) -> Result<Plan, NoPlan> {
    let mut pools: Vec<(Pool, &Match, u32)> = vec![(Pool::Ssd, &site.storage.ssd.matching, site.storage.ssd.count())];
    if let Some(hdd) = &site.storage.hdd {
        pools.push((Pool::Hdd, &hdd.matching, hdd.count()));
    }
    let policy = &site.storage.health;
    let matches: Vec<_> = pools.iter().map(|(pool, matching, _)| (*pool, *matching)).collect();
    let disks: Vec<Disk> = inventory.disks.iter().map(Disk::normalised).collect();
    let verdicts = select::judge(&disks, &matches, policy);
    let mut reasons = impossible(inventory, &disks);
    reasons.extend(choice_reasons(&pools, &verdicts, &disks));
    reasons.extend(health::ambiguous(policy, &disks));
    let nic = choose_nic(&site.network, &inventory.nics).unwrap_or_else(|reason| {
        reasons.push(reason);
        None
    });
    if !reasons.is_empty() {
        return Err(NoPlan { reasons, disks: verdicts });
    }

    let chosen =
        |pool| verdicts.iter().map(|v| (&v.disk, v.fits(pool))).filter(|(_, fits)| *fits).map(|(d, _)| d).collect();
    let ssd_disks: Vec<&Disk> = chosen(Pool::Ssd);
    let hdd_disks: Vec<&Disk> = chosen(Pool::Hdd);
    reasons.extend(sector_reasons(Pool::Ssd, &ssd_disks));
    reasons.extend(sector_reasons(Pool::Hdd, &hdd_disks));
    let disks_of = |pool| match pool {
        Pool::Ssd => ssd_disks.as_slice(),
        Pool::Hdd => hdd_disks.as_slice(),
    };
    reasons.extend(redundancy::reasons(site, disks_of));
    reasons.extend(one_drive_reasons(Pool::Ssd, &ssd_disks));
    reasons.extend(one_drive_reasons(Pool::Hdd, &hdd_disks));
    let chosen_disks: Vec<&Disk> = ssd_disks.iter().chain(&hdd_disks).copied().collect();
    reasons.extend(spanning_reasons(&chosen_disks, &verdicts));
    if site.erase.mode == EraseMode::Secure {
        let others = others(&chosen_disks, &verdicts);
        reasons.extend(chosen_disks.iter().filter_map(|disk| erase::refusal(disk, &others)));
    }
    let mut unknown = unread_reasons(&chosen_disks, &verdicts);
    let memory = memory_encryption::plan(inventory.memory_encryption.as_ref(), &site.memory_encryption);
    let (memory_encryption, about_memory) = memory.unwrap_or_else(|refused| {
        // Whoever may not read the registers may look at the plan all the same.
        let list = if refused.is_unknown() { &mut unknown } else { &mut reasons };
        list.push(Reason::NotEncrypted(refused));
        (None, None)
    });
    if unread == Unread::Refuse {
        reasons.append(&mut unknown);
    }
    if inventory.firmware == Firmware::Bios {
        let four_k = ssd_disks.iter().filter(|disk| disk.logical_sector == 4096);
        reasons.extend(four_k.map(|disk| Reason::BiosFourK(named(disk))));
    }
    if !reasons.is_empty() {
        return Err(NoPlan { reasons, disks: verdicts });
    }

    let built_ssd = pool::ssd(site, &ssd_disks);
    let built_hdd = site.storage.hdd.as_ref().map(|hdd| pool::hdd(hdd, &hdd_disks, ssd_disks.len()));
    let (ssd, hdd) = match (built_ssd, built_hdd.transpose()) {
        (Ok(ssd), Ok(hdd)) => (ssd, hdd),
        (ssd, hdd) => {
            let reasons = [ssd.err(), hdd.err()].into_iter().flatten().collect();
            return Err(NoPlan { reasons, disks: verdicts });
        }
    };

    let (host, half) = node::share(site, inventory);
    let bulk = site.storage.hdd.as_ref().zip(hdd.as_ref());
    let bulk = bulk.map(|(site, built)| (&built.volume_group, pool::hdd_reserve(site, built.volume_group.extents)));
    let guests = match guests::plan(site, inventory.cpu.threads, &host, &ssd.volume_group, bulk) {
        Ok(guests) => guests,
        Err(reasons) => return Err(NoPlan { reasons, disks: verdicts }),
    };
    let (guests, about_guests) = guests.unzip();
    let mut plan = Plan {
        schema: 1,
        host,
        guests,
        nics: node::pin(nic.as_ref(), &inventory.nics, &site.network),
        firmware: inventory.firmware,
        memory_encryption,
        argon2id: argon2id(site, inventory),
        warnings: warnings(site, nic.as_ref(), &ssd, hdd.as_ref()),
        site: site.clone(),
        nic,
        disks: Vec::new(),
        arrays: Vec::new(),
        containers: Vec::new(),
        volume_groups: Vec::new(),
    };
    let about_copies: Vec<_> = plan.danger().into_iter().chain(redundancy::warnings(site, disks_of)).collect();
    plan.warnings.splice(0..0, about_copies);
    plan.warnings.extend(health::warnings(policy, &chosen_disks, &disks));
    plan.warnings.extend(half);
    plan.warnings.extend(about_memory);
    plan.warnings.extend(about_guests.unwrap_or_else(|| vec![NO_GUESTS.to_owned()]));
    plan.warnings.extend(unknown.iter().map(|reason| format!("an installation refuses this: {reason}")));
    for built in [Some(ssd), hdd].into_iter().flatten() {
        plan.disks.extend(built.disks);
        plan.arrays.extend(built.arrays);
        plan.containers.push(built.container);
        plan.volume_groups.push(built.volume_group);
    }
    if site.erase.mode == EraseMode::Secure {
        for planned in &mut plan.disks {
            let disk = chosen_disks.iter().find(|disk| disk.kernel_name == planned.kernel_name);
            planned.self_erase = disk.and_then(|disk| disk.self_erase.clone());
        }
    }
    Ok(plan)
}

/// What is on a disk, in words, in a fixed order and each once: a file system may have several magic numbers. It goes into the
/// plan's hash.
pub(super) fn destroys(disk: &Disk) -> Vec<String> {
    let Some(contents) = &disk.contents else {
        return vec!["what is on it, which could not be read (not root?)".to_owned()];
    };
    let mut contents: Vec<&Content> = contents.iter().collect();
    contents.sort_by_key(|c| (c.partition, c.offset, &c.kind, &c.uuid, &c.label));
    let mut lines = Vec::new();
    for content in contents {
        let place = content.partition.map_or_else(|| "whole disk".to_owned(), |n| format!("partition {n}"));
        let label = content.label.as_ref().map(|label| format!(" \"{label}\"")).unwrap_or_default();
        let uuid = content.uuid.as_ref().map(|uuid| format!(" {uuid}")).unwrap_or_default();
        let mbr = disk.mbr().filter(|_| content.is_mbr()).map(|mbr| format!(" ({mbr})")).unwrap_or_default();
        let line = format!("{place}: {}{label}{uuid}{mbr}", content.kind);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// More than any disk has: sums of disks below this do not reach 2^64.
const DISK_MAX: Bytes = Bytes(1 << 56);

/// What no machine is like.
fn impossible(inventory: &Inventory, disks: &[Disk]) -> Vec<Reason> {
    let mut all = Vec::new();
    if inventory.memory == Bytes::ZERO {
        all.push("its memory is 0 bytes".to_owned());
    }
    if inventory.cpu.threads == 0 {
        all.push("it has 0 processor threads".to_owned());
    }
    let known = Known::of(disks);
    all.extend(known.repeated_names().into_iter().map(|name| format!("it lists the disk {name} more than once")));
    let huge = disks.iter().filter(|disk| disk.size > DISK_MAX);
    all.extend(huge.map(|disk| format!("the disk {} has {} bytes", disk.kernel_name, disk.size.exact())));
    all.into_iter().map(Reason::Impossible).collect()
}

/// What speaks against the choice of disks.
fn choice_reasons(pools: &[(Pool, &Match, u32)], verdicts: &[Verdict], disks: &[Disk]) -> Vec<Reason> {
    if disks.is_empty() {
        return vec![Reason::NoDisks];
    }
    let mut reasons = Vec::new();
    for (pool, matching, wanted) in pools {
        let (pool, wanted) = (*pool, *wanted);
        let found = verdicts.iter().filter(|verdict| verdict.fits(pool)).count();
        let absent = select::absent(matching, disks);
        for (id, disks) in select::ambiguous(pool, matching, disks) {
            reasons.push(Reason::NamesSeveral { pool, id, disks: named_all(&disks) });
        }
        if found < wanted as usize || !absent.is_empty() {
            reasons.push(Reason::TooFew { pool, wanted, found, absent });
        } else if found > wanted as usize {
            reasons.push(Reason::Ambiguous { pool, wanted, found });
        }
    }
    let both = verdicts.iter().filter(|verdict| verdict.fits(Pool::Ssd) && verdict.fits(Pool::Hdd));
    reasons.extend(both.map(|verdict| Reason::Both(named(&verdict.disk))));
    reasons
}

fn sector_reasons(pool: Pool, disks: &[&Disk]) -> Option<Reason> {
    let first = disks.first()?.logical_sector;
    disks.iter().any(|disk| disk.logical_sector != first).then(|| Reason::MixedSectors {
        pool,
        disks: disks.iter().map(|d| format!("{}: {}", named(d), d.logical_sector)).collect::<Vec<_>>().join(", "),
    })
}

/// Namespaces of one NVMe drive in a pool.
fn one_drive_reasons(pool: Pool, disks: &[&Disk]) -> Vec<Reason> {
    let mut drives: BTreeMap<&str, Vec<&Disk>> = BTreeMap::new();
    for disk in disks {
        if let Class::NvmeNamespace { subsystem, .. } = &disk.class {
            drives.entry(subsystem).or_default().push(disk);
        }
    }
    let shared = drives.into_values().filter(|namespaces| namespaces.len() > 1);
    shared.map(|namespaces| Reason::OneDrive { pool, disks: named_all(&namespaces) }).collect()
}

/// A cache of bcache or what it caches; libblkid has one kind for both, and for each device a UUID of its own.
const BCACHE: &str = "bcache";

/// Whether something of this kind lies on several disks: all of its disks must be chosen, or none. Software RAID (md, and what
/// the firmware of mainboards and controllers makes, `isw_raid_member` and its like in libblkid), file systems of several
/// devices, and bcache.
fn spans(kind: &str) -> bool {
    kind.ends_with("_raid_member") || ["btrfs", "bcachefs", BCACHE, "zfs_member"].contains(&kind)
}

/// Whether two signatures may belong to one thing. Most have one UUID on each of its disks; without one, the kind must do.
fn may_be_one(a: &Content, b: &Content) -> bool {
    a.kind == b.kind && (a.kind == BCACHE || a.uuid.is_none() || b.uuid.is_none() || a.uuid == b.uuid)
}

fn others<'v>(chosen: &[&Disk], verdicts: &'v [Verdict]) -> Vec<&'v Disk> {
    verdicts.iter().map(|verdict| &verdict.disk).filter(|disk| !chosen.contains(disk)).collect()
}

fn spanning_reasons(chosen: &[&Disk], verdicts: &[Verdict]) -> Vec<Reason> {
    let others = others(chosen, verdicts);
    let mut reasons = Vec::new();
    for disk in chosen {
        for content in disk.contents.iter().flatten().filter(|content| spans(&content.kind)) {
            let shares = |other: &&&Disk| other.contents.iter().flatten().any(|c| may_be_one(c, content));
            reasons.extend(others.iter().filter(shares).map(|other| Reason::Spans {
                chosen: named(disk),
                other: named(other),
                kind: content.kind.clone(),
                uuid: content.uuid.clone(),
            }));
        }
    }
    reasons.dedup();
    reasons
}

/// What could not be read and may be harmed.
fn unread_reasons(chosen: &[&Disk], verdicts: &[Verdict]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let unread: Vec<_> = chosen.iter().filter(|disk| disk.contents.is_none()).map(|disk| named(disk)).collect();
    if !unread.is_empty() {
        reasons.push(Reason::Unread(unread.join(", ")));
    }
    // A drive without a medium cannot be read either, and holds no part of anything.
    let others = others(chosen, verdicts);
    let others = others.iter().filter(|disk| disk.contents.is_none() && disk.size > Bytes::ZERO);
    for other in others {
        for disk in chosen {
            let content = disk.contents.iter().flatten().find(|c| spans(&c.kind) || c.kind == "LVM2_member");
            reasons.extend(content.map(|content| Reason::MaySpan {
                chosen: named(disk),
                other: named(other),
                kind: content.kind.clone(),
            }));
        }
    }
    reasons
}

/// The interface named by MAC or name, or the only one; `None` where the machine has none, and the site names none by its name.
fn choose_nic(network: &Network, nics: &[Nic]) -> Result<Option<Nic>, Reason> {
    let there = || {
        let names: Vec<_> = nics.iter().map(|nic| format!("{} {}", nic.name, nic.mac)).collect();
        if names.is_empty() { "no network interface".to_owned() } else { names.join(", ") }
    };
    let named = |key, value: &str, found: Option<&Nic>| match found {
        Some(nic) => Ok(Some(nic.clone())),
        None => Err(Reason::NicAbsent { key, value: value.to_owned(), there: there() }),
    };
    // Of a machine without any, the site's word is taken: its card is named when it comes.
    if nics.is_empty() && network.interface.is_none() {
        return Ok(None);
    }
    if let Some(mac) = &network.mac {
        let wanted = mac.replace('-', ":");
        return named("mac", mac, nics.iter().find(|nic| nic.mac.eq_ignore_ascii_case(&wanted)));
    }
    if let Some(interface) = &network.interface {
        return named("interface", interface, nics.iter().find(|nic| nic.name == *interface));
    }
    match nics {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        _ => Err(Reason::NicAmbiguous(there())),
    }
}

/// facts: memory min(1 GiB, RAM / 4), at least 64 MiB; threads min(4, CPUs). Whole MiB, so that a kernel which reserves a few
/// pages more does not change the plan.
fn argon2id(site: &Site, inventory: &Inventory) -> Argon2idCost {
    let asked = &site.encryption.argon2id;
    let memory = match asked.memory {
        Some(share) => share.of(inventory.memory),
        None => Bytes(inventory.memory.0 / 4).min(layout::ARGON2ID_DEFAULT_MEMORY),
    };
    Argon2idCost {
        memory: memory.clamp(layout::ARGON2ID_MIN_MEMORY, layout::ARGON2ID_MAX_MEMORY).align_down(layout::ALIGNMENT.0),
        time_ms: asked.time_ms,
        parallel: asked.parallel.unwrap_or(inventory.cpu.threads).clamp(1, layout::ARGON2ID_MAX_PARALLEL),
    }
}

fn warnings(site: &Site, nic: Option<&Nic>, ssd: &Built, hdd: Option<&Built>) -> Vec<String> {
    let mut warnings: Vec<String> =
        ssd.notes.iter().chain(hdd.into_iter().flat_map(|hdd| &hdd.notes)).cloned().collect();
    if ssd.container.discard {
        warnings.push(
            "discards pass through the SSD container: whoever holds a disk can see which blocks are in use \
             (encryption.discard = false hides it, at the price of slower SSDs)"
                .to_owned(),
        );
    }
    if hdd.is_none() {
        warnings.push("no [storage.hdd]: this machine gets no bulk pool".to_owned());
    }
    if nic.is_none() {
        warnings.push(
            "no network interface was found: the installed machine is not reachable before it gets one".to_owned(),
        );
    }
    if site.admin.root_password_hash.is_none() && site.admin.ssh_keys.is_empty() {
        warnings.push(
            "neither admin.ssh_keys nor admin.root_password_hash is set: nobody can log in to the installed machine"
                .to_owned(),
        );
    }
    warnings
}
