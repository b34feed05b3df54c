//! Step `partition`: each disk has the plan's partitions, under GUIDs we chose.

use std::path::PathBuf;
use std::time::Duration;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_system::tools::{table, udev};

use crate::context::Context;
use crate::fail::OrStep;
use crate::verify_disks::still_the_same;
use crate::wipe;

/// How long udev may take to show a new partition.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
pub struct Partition;

impl Step<Context, Destructive> for Partition {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn describe(&self, context: &Context) -> String {
        let count: usize = context.plan.disks.iter().map(|d| d.partitions.len()).sum();
        format!("write a GPT to {} disks, {count} partitions in all", context.plan.disks.len())
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        still_the_same(context)?;
        let mut guids = Vec::new();
        for (index, disk) in context.plan.disks.iter().enumerate() {
            let device = context.disk(index);
            report.progress(wipe::percent(index, context.plan.disks.len()), device.as_str());
            let written = table::write(&device, disk.logical_sector, &table::slots(&disk.partitions))
                .or_step_on("cannot write the partition table", &device)?;
            udev::reread_table(context.runner.as_ref(), &device)
                .or_step_on("the kernel cannot read the new table", &device)?;
            guids.extend(written.into_iter().map(|(number, guid)| ((index, number), guid)));
        }
        context.found.partitions.extend(guids);
        udev::settle(context.runner.as_ref()).or_step("udev did not come to rest")?;
        for ((index, number), guid) in &context.found.partitions {
            let link = PathBuf::from(format!("/dev/disk/by-partuuid/{guid}"));
            if !udev::appears(&link, PATIENCE) {
                let device = context.disk(*index);
                return Err(
                    StepError::new(format!("partition {number} did not appear as {}", link.display())).on(device)
                );
            }
        }
        // Old data reappears at equal offsets.
        for (index, disk) in context.plan.disks.iter().enumerate() {
            for partition in &disk.partitions {
                let device = sovereign_model::inventory::partition_path(&context.disk(index), partition.number);
                wipe::forget_new(&device)?;
            }
        }
        udev::settle(context.runner.as_ref()).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for (index, disk) in context.plan.disks.iter().enumerate() {
            let device = context.disk(index);
            let guids = context.found.partitions.iter().filter(|((i, _), _)| *i == index).map(|((_, n), g)| (*n, *g));
            table::check(&device, disk.logical_sector, &table::slots(&disk.partitions), &guids.collect())
                .or_step_on("the partition table is not what was written", &device)?;
        }
        Ok(())
    }
}
