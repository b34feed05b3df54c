//! The guests' volumes on an installed machine: those of templates are there and sealed, those of machines are there.

use std::fs;
use std::path::Path;

use sovereign_model::installed::WAITING_GUESTS;
use sovereign_model::plan::{Guest, GuestVolume, Guests, VolumeContent};

use crate::findings::{Finding, State};

/// A volume as `lvs` lists it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// Volume group.
    pub group: &'a str,
    /// Name.
    pub name: &'a str,
    /// `lv_attr` (lvs(8)): the second letter is the permission.
    pub attributes: &'a str,
}

/// What this machine knows of its guests beside the plan, which is what they were when it was installed.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// `/`, or a folder of a test.
    pub root: &'a Path,
    /// The node's name in Proxmox VE.
    pub node: &'a str,
    /// Every volume of the machine.
    pub rows: &'a [Row<'a>],
}

/// One finding a role.
pub(super) fn look(guests: &Guests, known: &Known<'_>) -> Vec<Finding> {
    guests.guests.iter().map(|guest| known.finding(guest, guests.deploy)).collect()
}

/// The volumes of a template or a machine.
#[derive(Debug, Default)]
struct Seen {
    there: usize,
    missing: Vec<String>,
    /// Sealed by the installer, and open to writing now.
    unsealed: Vec<String>,
}

impl Known<'_> {
    fn finding(&self, guest: &Guest, deploy: bool) -> Finding {
        let sealed = |volume: &GuestVolume| volume.content != VolumeContent::CloudInit;
        let of_template = guest.volumes.iter().filter_map(|v| Some((v, v.template.as_deref()?, sealed(v))));
        let mut all = vec![(format!("template {}", guest.template), self.see(guest.template, of_template))];
        if deploy {
            let of_machine = guest.volumes.iter().map(|v| (v, v.machine.as_str(), false));
            all.push((format!("machine {}", guest.machine), self.see(guest.machine, of_machine)));
        }
        let each = |pick: fn(&Seen) -> &Vec<String>| -> Vec<&str> {
            all.iter().flat_map(|(_, seen)| pick(seen)).map(String::as_str).collect()
        };
        let (missing, unsealed) = (each(|seen| &seen.missing), each(|seen| &seen.unsealed));
        let mut detail = Vec::new();
        if !missing.is_empty() {
            detail.push(format!("without {}", missing.join(", ")));
        }
        if !unsealed.is_empty() {
            let names = unsealed.join(" ");
            detail.push(format!("machines share what can be written to: lvchange --permission r {names}"));
        }
        let state = match (missing.is_empty(), unsealed.is_empty()) {
            (true, true) => State::Ok,
            (true, false) => State::Degraded,
            (false, _) => State::Missing,
        };
        if state == State::Ok {
            detail.extend(all.iter().map(|(who, seen)| match seen.there {
                0 => format!("{who} was removed"),
                n => format!("{who}: {n} volumes"),
            }));
        }
        Finding { what: format!("guest {}", guest.role), state, detail: detail.join("; ") }
    }

    fn see<'v>(&self, id: u32, volumes: impl Iterator<Item = (&'v GuestVolume, &'v str, bool)>) -> Seen {
        let configuration = self.configuration(id);
        let mut seen = Seen::default();
        for (volume, name, sealed) in volumes {
            let id = format!("{}/{name}", volume.group);
            let row = self.rows.iter().find(|row| row.group == volume.group && row.name == name);
            match row {
                // A guest that was removed or moved since is no fault.
                None if configuration.as_deref().is_some_and(|text| !names(text, name)) => {}
                None => seen.missing.push(id),
                Some(row) => {
                    seen.there += 1;
                    if sealed && row.attributes.chars().nth(1) != Some('r') {
                        seen.unsealed.push(id);
                    }
                }
            }
        }
        seen
    }

    /// The configuration by which Proxmox VE knows a guest of this node, empty where it knows none of this number; `None` where nobody
    /// can be asked: the machine is no node, or its cluster file system is away.
    fn configuration(&self, id: u32) -> Option<String> {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let under = |path: &str| self.root.join(path.trim_start_matches('/'));
        // A guest that waits for the node to join its cluster.
        read(&under(WAITING_GUESTS).join(format!("{id}.conf"))).or_else(|| {
            let node = under("/etc/pve/nodes").join(self.node).join("qemu-server");
            under("/etc/pve/.version").exists().then(|| read(&node.join(format!("{id}.conf"))).unwrap_or_default())
        })
    }
}

/// Whether a configuration names a volume, on whatever storage: `STORAGE:VOLUME`, up to a comma or the end of the line.
fn names(configuration: &str, volume: &str) -> bool {
    let words = configuration.split([',', ' ', '\n']);
    words.filter_map(|word| word.split_once(':')).any(|(_, name)| name.trim() == volume)
}

#[cfg(test)]
mod tests {
    use sovereign_model::plan::Plan;

    use super::super::first_boot::tests::plan;
    use super::*;

    /// Group, name and attributes of every volume, as lvm 2.03.31 lists them after the installation.
    fn volumes() -> Vec<(&'static str, String, &'static str)> {
        let mut all = Vec::new();
        for (template, machine, data) in [(9001, 101, false), (9002, 102, true), (9003, 103, true)] {
            for disk in 0..=1 {
                all.push(("pve", format!("base-{template}-disk-{disk}"), "Vri---tz-k"));
                all.push(("pve", format!("vm-{machine}-disk-{disk}"), "Vwi---tz--"));
            }
            for id in [template, machine] {
                all.push(("pve", format!("vm-{id}-cloudinit"), "Vwi-a-tz--"));
            }
            if data {
                all.push(("bulk", format!("base-{template}-disk-2"), "Vri---tz-k"));
                all.push(("bulk", format!("vm-{machine}-disk-2"), "Vwi-aotz--"));
            }
        }
        all
    }

    fn lines(root: &Path, plan: &Plan, volumes: &[(&str, String, &str)]) -> Vec<String> {
        let rows: Vec<Row<'_>> =
            volumes.iter().map(|(group, name, attributes)| Row { group, name, attributes }).collect();
        let known = Known { root, node: "host", rows: &rows };
        let findings = look(plan.guests.as_ref().unwrap(), &known);
        findings.into_iter().map(|f| format!("{:?} {}: {}", f.state, f.what, f.detail)).collect()
    }

    fn configure(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn guests_as_they_were_installed_are_as_planned() {
        let root = tempfile::tempdir().unwrap();
        let mut plan = plan();
        assert_eq!(
            lines(root.path(), &plan, &volumes()),
            [
                "Ok guest edge: template 9001: 3 volumes; machine 101: 3 volumes",
                "Ok guest core: template 9002: 4 volumes; machine 102: 4 volumes",
                "Ok guest storage: template 9003: 4 volumes; machine 103: 4 volumes",
            ]
        );
        plan.guests.as_mut().unwrap().deploy = false;
        let templates: Vec<_> = volumes().into_iter().filter(|(_, name, _)| name.contains("-900")).collect();
        assert_eq!(lines(root.path(), &plan, &templates)[0], "Ok guest edge: template 9001: 3 volumes");
    }

    #[test]
    fn a_volume_that_is_missing_or_no_longer_sealed_is_named() {
        let root = tempfile::tempdir().unwrap();
        let mut some = volumes();
        some.retain(|(group, name, _)| *group != "bulk" && name != "vm-101-cloudinit");
        for (_, _, attributes) in some.iter_mut().filter(|(_, name, _)| name == "base-9003-disk-0") {
            *attributes = "Vwi---tz-k";
        }
        let found = lines(root.path(), &plan(), &some);
        assert_eq!(found[0], "Missing guest edge: without pve/vm-101-cloudinit");
        assert_eq!(found[1], "Missing guest core: without bulk/base-9002-disk-2, bulk/vm-102-disk-2");
        assert!(found[2].ends_with("lvchange --permission r pve/base-9003-disk-0"), "{}", found[2]);
        some = volumes();
        for (_, _, attributes) in some.iter_mut().filter(|(_, name, _)| name == "base-9003-disk-0") {
            *attributes = "Vwi---tz-k";
        }
        assert!(lines(root.path(), &plan(), &some)[2].starts_with("Degraded guest storage: "));
    }

    #[test]
    fn what_proxmox_no_longer_has_is_not_missed() {
        let root = tempfile::tempdir().unwrap();
        let some: Vec<_> = volumes().into_iter().filter(|(_, name, _)| !name.contains("-101-")).collect();
        let missing = "Missing guest edge: without pve/vm-101-disk-0, pve/vm-101-disk-1, pve/vm-101-cloudinit";
        assert_eq!(lines(root.path(), &plan(), &some)[0], missing, "nobody can be asked");

        configure(root.path(), "etc/pve/.version", "{}");
        assert_eq!(
            lines(root.path(), &plan(), &some)[0],
            "Ok guest edge: template 9001: 3 volumes; machine 101 was removed"
        );

        // Its data was moved to another storage, where it has another name; the others are still its own.
        let moved = "efidisk0: local-lvm:vm-101-disk-1,efitype=4m\nide2: local-lvm:vm-101-cloudinit,media=cdrom\n\
                     scsi0: nas:101/vm-101-disk-0.qcow2,size=20G\n";
        configure(root.path(), "etc/pve/nodes/host/qemu-server/101.conf", moved);
        let found = lines(root.path(), &plan(), &some);
        assert_eq!(found[0], "Missing guest edge: without pve/vm-101-disk-1, pve/vm-101-cloudinit");

        configure(root.path(), "var/lib/sovereign/waiting-guests/101.conf", "scsi0: local-lvm:vm-101-disk-0\n");
        assert_eq!(lines(root.path(), &plan(), &some)[0], "Missing guest edge: without pve/vm-101-disk-0");
    }
}
