//! In what a plan differs from the one that was agreed to, for whoever must find out why. The hash decides; this only explains.

use crate::plan::{DiskId, Plan, PlannedDisk, transport_name};

impl Plan {
    /// What is otherwise in the plan `now` than in this one, a sentence each, the disks first. Kernel names and what else is not in the hash
    /// are left out; where the hashes differ, there is at least one sentence.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut all = disks(&self.disks, &now.disks);
        let mac = |plan: &Self| plan.nic.as_ref().map(|nic| nic.mac.clone());
        let nics = |plan: &Self| plan.nics.iter().map(|nic| (nic.name.clone(), nic.mac.clone())).collect::<Vec<_>>();
        let layers = |plan: &Self| (plan.arrays.clone(), plan.containers.clone(), plan.volume_groups.clone());
        for (differs, what) in [
            (self.firmware != now.firmware, "the firmware or its Secure Boot"),
            (mac(self) != mac(now) || nics(self) != nics(now), "the network interfaces"),
            (self.host != now.host, "the memory"),
            (self.argon2id != now.argon2id, "the cost of a guess at the passphrase"),
            (layers(self) != layers(now), "the sizes of arrays, containers or volumes"),
            (self.guests != now.guests, "what guests get"),
            (self.memory_encryption != now.memory_encryption, "what is known of the memory's encryption"),
            (self.site != now.site, "the site file"),
        ] {
            if differs {
                all.push(format!("{what} changed"));
            }
        }
        let news = |of: &Self, to: &Self, words: &str| -> Vec<String> {
            of.warnings.iter().filter(|w| !to.warnings.contains(w)).map(|w| format!("{words}: {w}")).collect()
        };
        all.extend(news(now, self, "new warning"));
        all.extend(news(self, now, "no more a warning"));
        if all.is_empty() && self.hash() != now.hash() {
            all.push("the order of its parts changed".to_owned());
        }
        all
    }
}

fn disks(then: &[PlannedDisk], now: &[PlannedDisk]) -> Vec<String> {
    let mut all = Vec::new();
    // Each disk once: first those that are the same in all that a disk is known by, then those of another size.
    let mut left: Vec<&PlannedDisk> = now.iter().collect();
    let mut take = |is: &dyn Fn(&PlannedDisk) -> bool| left.iter().position(|disk| is(disk)).map(|at| left.remove(at));
    let same: Vec<_> = then.iter().map(|disk| take(&|other| other.id == disk.id)).collect();
    for (disk, same) in then.iter().zip(same) {
        let name = name(&disk.id);
        let Some(other) = same.or_else(|| take(&|other| is_resized(&disk.id, &other.id))) else {
            all.push(format!("{name} is not among the disks any more"));
            continue;
        };
        if disk.id.size != other.id.size {
            all.push(format!("{name} had {} bytes and has {}", disk.id.size.exact(), other.id.size.exact()));
        }
        if disk.destroys != other.destroys {
            let words = |found: &[String]| if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
            all.push(format!("on {name} was found: {}; and is now: {}", words(&disk.destroys), words(&other.destroys)));
        }
        let details = |disk: &PlannedDisk| {
            format!(
                "model {}, {}, sectors of {} bytes",
                disk.model,
                transport_name(disk.transport),
                disk.logical_sector
            )
        };
        if details(disk) != details(other) {
            all.push(format!("{name} was {} and is {}", details(disk), details(other)));
        }
        if disk.pool != other.pool {
            all.push(format!("{name} is for another pool"));
        }
        if disk.raid_volume != other.raid_volume {
            all.push(format!("{name} is another kind of volume of a RAID controller"));
        }
        if disk.self_erase != other.self_erase {
            all.push(format!("{name} erases itself in another way"));
        }
        if disk.partitions != other.partitions {
            all.push(format!("{name} gets other partitions"));
        }
    }
    all.extend(left.into_iter().map(|disk| format!("{} is new among the disks", name(&disk.id))));
    all
}

fn is_resized(then: &DiskId, now: &DiskId) -> bool {
    (&then.serial, &then.wwn) == (&now.serial, &now.wwn)
}

fn name(id: &DiskId) -> String {
    match (&id.serial, &id.wwn) {
        (Some(serial), _) => format!("the disk with serial {serial}"),
        (None, Some(wwn)) => format!("the disk with WWN {wwn}"),
        (None, None) => format!("a disk of {}", id.size),
    }
}
