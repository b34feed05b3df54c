//! Step `verify-disks`: the machine is still the one the plan was made for, and nothing keeps us from writing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sovereign_engine::{Harmless, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::plan::Plan;
use sovereign_system::tools::{holders, lvm};

use crate::context::{Context, ROOT, array_path};
use crate::fail::OrStep;
use crate::tear_down::staying;

/// Block devices by kernel name.
pub const SYS_BLOCK: &str = "/sys/class/block";
const MOVED: &str = "Look for a loose cable or a failing disk, then start over: the new plan will show what is there.";

/// See the module.
pub struct VerifyDisks;

impl Step<Context, Harmless> for VerifyDisks {
    fn name(&self) -> &'static str {
        "verify-disks"
    }

    fn describe(&self, context: &Context) -> String {
        format!("look at the machine again and compare its {} disks with the plan", context.plan.disks.len())
    }

    fn run(&self, context: &mut Context, _: &Harmless, report: &Report<'_>) -> Result<(), StepError> {
        let sys = Path::new(SYS_BLOCK);
        let before = sequences(sys);
        // The same disks, perhaps under other kernel names.
        context.plan = look_again(context)?;
        context.found.sequences = same_as_before(sys, &before, context)?;
        let root = root_size(context)?;
        check_room(root, context.manifest.unpacked)?;
        let names: Vec<String> = context.plan.disks.iter().map(|d| d.kernel_name.clone()).collect();
        let groups = lvm::physical_volumes(context.runner.as_ref()).or_step("cannot list the physical volumes")?;
        let graph = holders::Graph::read().or_step("cannot read what stands on the disks")?;
        let actions = graph.teardown(&names, &groups).map_err(|stays| staying(&stays))?;
        unused(&actions)?;
        graph.free(&names_needed(context), &names, &groups).map_err(|taken| {
            StepError::new(taken.to_string())
                .next("Rename it, or detach the disks it is on, and start over. No disk was changed.")
        })?;
        for action in &actions {
            report.log(format!("will be taken down: {action:?}"));
        }
        for (index, name) in names.iter().enumerate() {
            let device = context.disk(index);
            let read_only = fs::read_to_string(format!("/sys/class/block/{name}/ro"))
                .or_step_on("cannot ask whether the disk is read-only", &device)?;
            if read_only.trim() != "0" {
                return Err(StepError::new("the disk refuses writes")
                    .on(device)
                    .next("Look for a write-protect switch or a disk that has failed into read-only mode."));
            }
        }
        unheld(names.iter().filter(|name| graph.is_bare(name)), &|device| {
            // O_EXCL on a block device: EBUSY where anything holds it.
            let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::open(device, flags, Mode::empty()).map(drop)
        })
    }

    fn check(&self, _: &mut Context) -> Result<(), StepError> {
        Ok(())
    }
}

/// Nothing on the disks is mounted or swapped to, however deep below: somebody at a shell uses it.
fn unused(actions: &[holders::Action]) -> Result<(), StepError> {
    let used: Vec<&str> = actions.iter().filter_map(holders::Action::in_use).collect();
    if used.is_empty() {
        return Ok(());
    }
    Err(StepError::new(format!("something on the disks is in use: {}", used.join(", "))).next(
        "Look at it with `findmnt` and `swapon`, end that with `umount` or `swapoff`, and start over. No disk was changed.",
    ))
}

/// The plan of this moment, which must be the one that was agreed to.
fn look_again(context: &Context) -> Result<Plan, StepError> {
    let again = "Start over: the new plan will show what is there now. No disk was changed.";
    let (plan, hash) = (context.reprobe)()
        .map_err(|reason| StepError::new(format!("the machine can no longer be planned: {reason}")).next(again))?;
    if hash == context.plan_hash {
        return Ok(plan);
    }
    let mut text = format!(
        "the machine has changed since the plan was made: the plan's hash was {} and is now {hash}",
        context.plan_hash
    );
    for difference in context.plan.differences(&plan) {
        text.push_str("\n  ");
        text.push_str(&difference);
    }
    Err(StepError::new(text).next(again))
}

/// The sequence number of each planned disk, which must have been the same before the machine was looked at: a kernel name may pass to
/// another disk meanwhile.
fn same_as_before(sys: &Path, before: &BTreeMap<String, String>, context: &Context) -> Result<Vec<String>, StepError> {
    let disks = context.plan.disks.iter().enumerate();
    disks
        .map(|(index, disk)| {
            let now = sequence(sys, &disk.kernel_name)?;
            if before.get(&disk.kernel_name) == Some(&now) {
                return Ok(now);
            }
            Err(StepError::new("another disk took this name while the machine was looked at")
                .on(context.disk(index))
                .next(MOVED))
        })
        .collect()
}

/// The sequence numbers of all disks there are, by kernel name.
fn sequences(sys: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(sys).into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| sequence(sys, &name).ok().map(|number| (name, number))).collect()
}

/// Opens each of these disks for itself alone: what is known to stand on one is taken down later, and what holds another is not known.
fn unheld<'n>(
    names: impl Iterator<Item = &'n String>,
    open: &dyn Fn(&str) -> rustix::io::Result<()>,
) -> Result<(), StepError> {
    for name in names {
        let device = format!("/dev/{name}");
        open(&device)
            .or_step_on("the disk is in use", &device)
            .map_err(|e| e.next("Find out by what (lsblk), or reboot into the medium."))?;
    }
    Ok(())
}

/// The kernel counts the disks that appear and never uses a number twice (Documentation/ABI/stable/sysfs-block, diskseq).
fn sequence(sys: &Path, name: &str) -> Result<String, StepError> {
    let path = sys.join(name).join("diskseq");
    let text = fs::read_to_string(&path).or_step_on("the disk is gone", name).map_err(|e| e.next(MOVED))?;
    Ok(text.trim().to_owned())
}

/// Whether each planned disk is still the one that was verified: a kernel name passes to another disk where one goes and one comes.
///
/// # Errors
/// A disk went away, or another has its name.
pub fn still_the_same(context: &Context) -> Result<(), StepError> {
    compare(Path::new(SYS_BLOCK), context)
}

fn compare(sys: &Path, context: &Context) -> Result<(), StepError> {
    for (index, disk) in context.plan.disks.iter().enumerate() {
        if context.found.sequences.get(index) != Some(&sequence(sys, &disk.kernel_name)?) {
            return Err(StepError::new("another disk has this name than the one that was verified")
                .on(context.disk(index))
                .next(MOVED));
        }
    }
    Ok(())
}

/// The names the plan gives to what it makes; an array's only where an array has it now.
fn names_needed(context: &Context) -> holders::Names {
    let plan = &context.plan;
    let running = |name: &str| {
        let device = array_path(name);
        let node = fs::canonicalize(&device).ok()?;
        Some((device, node.file_name()?.to_string_lossy().into_owned()))
    };
    holders::Names {
        groups: plan.volume_groups.iter().map(|g| g.name.clone()).collect(),
        mappings: plan.containers.iter().map(|c| c.name.clone()).collect(),
        arrays: plan.arrays.iter().filter_map(|a| running(&a.name)).collect(),
    }
}

/// Length of the root volume.
fn root_size(context: &Context) -> Result<Bytes, StepError> {
    let group = context.root_group()?;
    let extents: u64 = group.volumes.iter().filter(|v| v.name == ROOT).map(|v| v.extents).sum();
    Ok(Bytes(extents * group.extent.get()))
}

/// The packages fit on the root volume, with as much again for the file system itself, logs and updates.
fn check_room(root: Bytes, unpacked: Bytes) -> Result<(), StepError> {
    let needed = Bytes(unpacked.get().saturating_mul(2));
    if root >= needed {
        return Ok(());
    }
    Err(StepError::new(format!(
        "the root volume of {root} is too small: unpacked, the system takes {unpacked}, and needs {needed} to be kept up to date; {} \
         bytes are missing",
        needed.saturating_sub(root).exact()
    ))
    .next("Raise storage.ssd.root in the site file. No disk was changed."))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sovereign_model::inventory::{Content, Health, Inventory, Transport};
    use sovereign_model::plan::make;
    use sovereign_system::testing::Recorder;

    use super::*;

    /// What becomes of a machine.
    type Change = fn(&mut Inventory);

    #[test]
    fn a_root_volume_that_cannot_hold_the_system_is_refused_by_the_missing_bytes() {
        assert!(check_room(Bytes(40_000_000_000), Bytes(800_000_000)).is_ok());
        let error = check_room(Bytes(1_500_000_000), Bytes(800_000_000)).unwrap_err().render();
        assert!(error.contains("100,000,000 bytes are missing") && error.contains("storage.ssd.root"), "{error}");
    }

    #[test]
    fn what_somebody_has_mounted_is_named() {
        let idle = [holders::Action::Remove("old-root".to_owned()), holders::Action::Stop("/dev/md127".to_owned())];
        unused(&idle).unwrap();
        let used = [holders::Action::SwapOff("/dev/sda1".to_owned()), holders::Action::Unmount("/mnt".to_owned())];
        let error = unused(&used).unwrap_err().render();
        assert!(error.contains("in use: /dev/sda1, /mnt") && error.contains("umount"), "{error}");
    }

    #[test]
    fn a_disk_that_something_unknown_holds_is_named() {
        let names = ["sda".to_owned(), "sdb".to_owned()];
        unheld(names.iter(), &|_| Ok(())).unwrap();
        let held = |device: &str| if device == "/dev/sdb" { Err(rustix::io::Errno::BUSY) } else { Ok(()) };
        let error = unheld(names.iter(), &held).unwrap_err().render();
        assert!(error.contains("the disk is in use (device /dev/sdb)"), "{error}");
    }

    fn signature() -> Content {
        Content { partition: None, kind: "gpt".to_owned(), offset: Bytes(512), uuid: None, label: None }
    }

    /// The machine of the case `no-hdd` after `change`, as the last look before the first write sees it.
    fn seen_again(change: Change) -> (Context, Arc<Recorder>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans/no-hdd");
        let (mut context, recorder) = crate::testing::context("no-hdd", &folder);
        let mut inventory: Inventory =
            serde_json::from_str(&fs::read_to_string(folder.join("inventory.json")).unwrap()).unwrap();
        change(&mut inventory);
        let site = context.plan.site.clone();
        context.reprobe = Box::new(move || {
            let plan = make(&site, &inventory).map_err(|refusal| refusal.to_string())?;
            let hash = plan.hash();
            Ok((plan, hash))
        });
        (context, recorder)
    }

    #[test]
    fn a_disk_that_is_another_than_agreed_stops_the_installation_before_any_program_runs() {
        let cases: [(Change, &str); 7] = [
            (|i| i.disks[1].serial = Some("SWAPPED".to_owned()), "the disk with serial SWAPPED is new among the disks"),
            (|i| i.disks[1].wwn = Some("eui.1".to_owned()), "is not among the disks any more"),
            (
                |i| i.disks[1].size = Bytes(i.disks[1].size.get() + 512),
                "had 512,110,190,592 bytes and has 512,110,191,104",
            ),
            (
                |i| i.disks[1].contents.iter_mut().for_each(|c| c.push(signature())),
                "was found: nothing; and is now: whole disk: gpt",
            ),
            (|i| i.disks[1].transport = Transport::Sata, "only 1 disk fits"),
            (|i| drop(i.disks.remove(1)), "only 1 disk fits"),
            (|i| i.disks[1].health = Some(Health { passed: Some(false), ..Health::default() }), "is failing"),
        ];
        for (change, said) in cases {
            let (context, recorder) = seen_again(change);
            let error = look_again(&context).unwrap_err().render();
            assert!(error.contains(said) && error.contains("No disk was changed."), "{said}: {error}");
            assert_eq!(recorder.lines(), [""; 0]);
        }
        let (context, _) = seen_again(|i| i.disks.iter_mut().for_each(|disk| disk.kernel_name.push('0')));
        assert_eq!(
            look_again(&context).unwrap().disks[0].kernel_name,
            format!("{}0", context.plan.disks[0].kernel_name)
        );
    }

    #[test]
    fn a_name_that_passes_to_another_disk_during_the_last_look_is_noticed() {
        let sys = tempfile::tempdir().unwrap();
        let context = crate::testing::context("no-hdd", sys.path()).0;
        let set = |index: usize, number: &str| {
            let folder = sys.path().join(&context.plan.disks[index].kernel_name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("diskseq"), number).unwrap();
        };
        set(0, "3\n");
        set(1, "4\n");
        let before = sequences(sys.path());
        assert_eq!(same_as_before(sys.path(), &before, &context).unwrap(), ["3", "4"]);
        set(1, "5\n");
        let error = same_as_before(sys.path(), &before, &context).unwrap_err().render();
        assert!(error.contains("another disk took this name") && error.contains(&context.disk(1)), "{error}");
        assert!(same_as_before(sys.path(), &BTreeMap::new(), &context).is_err(), "a disk that appeared meanwhile");
    }

    #[test]
    fn a_disk_that_went_or_was_replaced_is_noticed() {
        let sys = tempfile::tempdir().unwrap();
        let mut context = crate::testing::context("no-hdd", sys.path()).0;
        let names: Vec<String> = context.plan.disks.iter().map(|d| d.kernel_name.clone()).collect();
        let set = |name: &str, number: &str| {
            fs::create_dir_all(sys.path().join(name)).unwrap();
            fs::write(sys.path().join(name).join("diskseq"), number).unwrap();
        };
        set(&names[0], "3\n");
        set(&names[1], "4\n");
        context.found.sequences = vec!["3".to_owned(), "4".to_owned()];
        compare(sys.path(), &context).unwrap();
        set(&names[1], "9\n");
        let error = compare(sys.path(), &context).unwrap_err().render();
        assert!(error.contains(&format!("/dev/{}", names[1])) && error.contains("another disk"), "{error}");
        fs::remove_dir_all(sys.path().join(&names[1])).unwrap();
        assert!(compare(sys.path(), &context).unwrap_err().render().contains("the disk is gone"));
    }
}
