//! Pools without md: whether their one disk is there, and who keeps its data.

use std::fs;
use std::path::Path;

use sovereign_model::plan::{Base, Container, Plan, pool_name};
use sovereign_model::site::Redundancy;

use crate::findings::{Finding, State};

/// A finding for each pool that is one disk, on the machine whose root folder is `root`.
pub(super) fn look(plan: &Plan, root: &Path) -> Vec<Finding> {
    let bare = plan.containers.iter().filter(|container| matches!(container.base, Base::Partition(_)));
    bare.filter_map(|container| {
        let pool = plan.pool_of(container)?;
        let kept = match plan.redundancy(pool)? {
            Redundancy::None => "one disk, UNSAFE: there is no other copy",
            Redundancy::Hardware | Redundancy::Array => {
                "one volume of a RAID controller, which alone knows how its disks are"
            }
        };
        let what = format!("pool {}", pool_name(pool));
        Some(if is_there(container, root) {
            Finding { what, state: State::Ok, detail: kept.to_owned() }
        } else {
            Finding { what, state: State::Missing, detail: format!("its disk is not there ({kept})") }
        })
    })
    .collect()
}

/// Whether udev shows the device that crypttab opens the container on. The mapping stays when the disk below it goes.
fn is_there(container: &Container, root: &Path) -> bool {
    let crypttab = fs::read_to_string(root.join("etc/crypttab")).unwrap_or_default();
    let source = crypttab.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(&container.name)).then(|| words.next()?.strip_prefix("UUID=")).flatten()
    });
    source.is_some_and(|uuid| root.join("dev/disk/by-uuid").join(uuid).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::first_boot::tests::{planned, write};

    #[test]
    fn the_disk_of_a_pool_without_md_is_there_or_missed_and_what_is_unsafe_is_said() {
        let plan = planned("no-raid-ssd-raid10-hdd");
        let root = tempfile::tempdir().unwrap();
        let look = || look(&plan, root.path());
        write(root.path(), "/etc/crypttab", "# luks-ssd\nluks-ssd UUID=aa none luks\nluks-hdd UUID=bb /k luks\n");
        write(root.path(), "/dev/disk/by-uuid/bb", "");
        let missing = look();
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!((missing[0].what.as_str(), missing[0].state), ("pool ssd", State::Missing));
        write(root.path(), "/dev/disk/by-uuid/aa", "");
        let found = look();
        assert_eq!((found[0].state, found[0].detail.as_str()), (State::Ok, "one disk, UNSAFE: there is no other copy"));
        assert!(crate::findings::describe(&plan, &found).contains("\n  UNSAFE, for laboratories only: the ssd pool"));
    }

    #[test]
    fn a_volume_of_a_controller_is_not_called_unsafe_and_an_array_is_no_such_pool() {
        let plan = planned("hardware-ssd-none-hdd");
        let found = look(&plan, Path::new("/nowhere"));
        let what: Vec<_> = found.iter().map(|f| (f.what.as_str(), f.detail.contains("UNSAFE"))).collect();
        assert_eq!(what, [("pool ssd", false), ("pool hdd", true)]);
        assert!(super::look(&planned("reference"), Path::new("/nowhere")).is_empty());
    }
}
