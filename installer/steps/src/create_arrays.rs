//! Step `create-arrays`: RAID 1 and RAID 10, their first synchronisation held back until the end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::plan::RaidLevel;
use sovereign_system::tools::{mdadm, udev, wipe};

use crate::context::{Context, array_path, exists};
use crate::fail::{OrStep, same};
use crate::state::arrays_reversed;
use crate::wipe::forget_new;

/// The kernel's limit for background synchronisation, KiB/s for each device (Documentation/admin-guide/md.rst).
const SPEED_LIMIT: &str = "/proc/sys/dev/raid/speed_limit_max";
/// While installing: the disks are ours. The kernel's own floor is 1000 too.
const SLOW: &str = "1000";

/// See the module.
pub struct CreateArrays;

/// Lets the arrays synchronise at their own speed again.
///
/// # Errors
/// /proc refuses.
pub fn full_speed(context: &mut Context) -> Result<(), StepError> {
    match context.found.sync_speed.take() {
        Some(speed) => fs::write(SPEED_LIMIT, speed).or_step(&format!("cannot write {SPEED_LIMIT}")),
        None => Ok(()),
    }
}

impl Step<Context, Destructive> for CreateArrays {
    fn name(&self) -> &'static str {
        "create-arrays"
    }

    fn describe(&self, context: &Context) -> String {
        let arrays: Vec<String> = context
            .plan
            .arrays
            .iter()
            .map(|a| {
                let level = match a.level {
                    RaidLevel::Raid1 => "RAID 1",
                    RaidLevel::Raid10 { .. } => "RAID 10",
                };
                format!("{} ({level}, {} disks, {})", a.name, a.members.len(), a.size)
            })
            .collect();
        format!("create the arrays {}", arrays.join(", "))
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        // The file is there once the driver is loaded, which the first array does where nothing else did.
        for (index, array) in context.plan.arrays.iter().enumerate() {
            slow_down(&mut context.found.sync_speed)?;
            let device = array_path(&array.name);
            report.progress(crate::wipe::percent(index, context.plan.arrays.len()), device.as_str());
            let members: Vec<String> = array.members.iter().map(|m| context.partition(m)).collect();
            let create = mdadm::Create {
                name: &array.name,
                homehost: host_name(&context.plan.site.site.fqdn),
                level: array.level,
                members: &members,
            };
            let runner = context.runner.as_ref();
            mdadm::create(runner, &create).or_step_on("cannot create the array", &device)?;
            slow_down(&mut context.found.sync_speed)?;
            udev::settle(runner).or_step("udev did not come to rest")?;
            forget_new(&device)?;
            let detail = mdadm::detail(runner, &device).or_step_on("cannot read the new array", &device)?;
            context.found.arrays.insert(array.name.clone(), detail.uuid);
        }
        Ok(())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        for array in &context.plan.arrays {
            let device = array_path(&array.name);
            let detail = mdadm::detail(runner, &device).or_step_on("cannot read the array", &device)?;
            let level = match array.level {
                RaidLevel::Raid1 => "raid1",
                RaidLevel::Raid10 { .. } => "raid10",
            };
            same("the level", &device, &level, &detail.level.as_str())?;
            same("the superblock's version", &device, &"1.2", &detail.metadata.as_str())?;
            let wanted: BTreeSet<String> = array.members.iter().map(|m| context.partition(m)).collect();
            same("the list of members", &device, &wanted, &detail.members.into_iter().collect())?;
            let size = wipe::size(&device).or_step_on("cannot measure the array", &device)?;
            same("the size", &device, &array.size, &size)?;
            let node = fs::canonicalize(&device).or_step_on("cannot find the array", &device)?;
            for member in &wanted {
                let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let offset = mdadm::data_offset(Path::new("/sys"), &name(&node), &name(Path::new(member)))
                    .or_step_on("cannot read the member", member)?;
                same("the data offset", member, &array.data_offset, &offset)?;
            }
        }
        Ok(())
    }

    fn undo(&self, context: &mut Context) -> Result<(), StepError> {
        full_speed(context)?;
        stop_all(context)
    }
}

/// Stops every array of the plan that runs.
///
/// # Errors
/// mdadm's.
pub fn stop_all(context: &Context) -> Result<(), StepError> {
    for device in arrays_reversed(context).iter().filter(|d| exists(d)) {
        mdadm::stop(context.runner.as_ref(), device).or_step_on("cannot stop the array", device)?;
    }
    Ok(())
}

fn slow_down(saved: &mut Option<String>) -> Result<(), StepError> {
    if saved.is_some() || !exists(SPEED_LIMIT) {
        return Ok(());
    }
    let now = fs::read_to_string(SPEED_LIMIT).or_step(&format!("cannot read {SPEED_LIMIT}"))?;
    *saved = Some(now);
    fs::write(SPEED_LIMIT, SLOW).or_step(&format!("cannot write {SPEED_LIMIT}"))
}

/// The first label of a domain name.
pub fn host_name(fqdn: &str) -> &str {
    fqdn.split('.').next().unwrap_or(fqdn)
}
