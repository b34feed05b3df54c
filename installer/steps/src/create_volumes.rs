//! Step `create-volumes`: volume groups, the thick root, thin pools; the reserve stays unallocated.

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::plan::VolumeGroup;
use sovereign_system::runner::Runner;
use sovereign_system::tools::{lvm, udev};

use crate::context::{Context, ROOT, mapper_path};
use crate::fail::{OrStep, same};
use crate::wipe::forget_new;

/// Profile of the pool beside the root volume: it never grows by itself, so the reserve stays what it is for.
const FIXED: &str = "sovereign-fixed";
/// Profile of other pools: they grow by 5 % when 80 % full, where their group has something left.
const GROWING: &str = "sovereign-growing";

/// See the module.
pub struct CreateVolumes;

fn profile(group: &VolumeGroup) -> &'static str {
    if group.volumes.iter().any(|v| v.name == ROOT) { FIXED } else { GROWING }
}

fn create(runner: &dyn Runner, group: &VolumeGroup) -> Result<(), StepError> {
    let device = mapper_path(&group.container);
    forget_new(&device)?;
    lvm::pvcreate(runner, &device).or_step_on("cannot make the container a physical volume", &device)?;
    lvm::vgcreate(runner, &group.name, group.extent, &device)
        .or_step_on(&format!("cannot make the volume group {}", group.name), &device)?;
    for volume in &group.volumes {
        lvm::lvcreate(runner, &group.name, &volume.name, volume.extents)
            .or_step_on(&format!("cannot make the volume {}/{}", group.name, volume.name), &device)?;
    }
    if let Some(pool) = &group.pool {
        let wanted = lvm::Pool {
            group: &group.name,
            name: &pool.name,
            extents: pool.extents,
            chunk: pool.chunk,
            metadata: Bytes(pool.metadata_extents * group.extent.get()),
            profile: profile(group),
        };
        lvm::create_pool(runner, &wanted)
            .or_step_on(&format!("cannot make the thin pool {}/{}", group.name, pool.name), &device)?;
    }
    Ok(())
}

impl Step<Context, Destructive> for CreateVolumes {
    fn name(&self) -> &'static str {
        "create-volumes"
    }

    fn describe(&self, context: &Context) -> String {
        let groups: Vec<String> = context
            .plan
            .volume_groups
            .iter()
            .map(|g| {
                let pool = if g.pool.is_some() { ", a thin pool" } else { "" };
                let volumes: String = g
                    .volumes
                    .iter()
                    .map(|v| format!(", {} of {}", v.name, Bytes(v.extents * g.extent.get())))
                    .collect();
                format!(
                    "{} on {}{volumes}{pool}, {} unallocated",
                    g.name,
                    g.container,
                    Bytes(g.free_extents * g.extent.get())
                )
            })
            .collect();
        format!("create the volume groups {}", groups.join("; "))
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        for (index, group) in context.plan.volume_groups.iter().enumerate() {
            report.progress(crate::wipe::percent(index, context.plan.volume_groups.len()), group.name.as_str());
            create(context.runner.as_ref(), group)?;
        }
        udev::settle(context.runner.as_ref()).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        for group in &context.plan.volume_groups {
            let name = &group.name;
            let found = lvm::group(runner, name).or_step_on("cannot read the volume group", name)?;
            same("the number of extents", name, &group.extents, &found.extents)?;
            same("the number of free extents", name, &group.free_extents, &found.free)?;
            let volumes = lvm::volumes(runner, name).or_step_on("cannot list the volumes", name)?;
            let size = |name: &str| volumes.iter().find(|v| v.name == name).map(|v| v.size);
            for volume in &group.volumes {
                same("the size", &volume.name, &Some(volume.extents * group.extent.get()), &size(&volume.name))?;
            }
            let Some(pool) = &group.pool else { continue };
            let found = volumes.iter().find(|v| v.name == pool.name);
            let found =
                found.ok_or_else(|| StepError::new(format!("the thin pool {name}/{} is not there", pool.name)))?;
            let metadata = Some(pool.metadata_extents * group.extent.get());
            same("the pool's size", name, &(pool.extents * group.extent.get()), &found.size)?;
            same("the pool's chunk", name, &pool.chunk.get(), &found.chunk)?;
            same("what the full pool does", name, &"error", &found.when_full.as_str())?;
            same("the metadata's size", name, &metadata, &size(&format!("[{}_tmeta]", pool.name)))?;
            same("the metadata spare's size", name, &metadata, &size("[lvol0_pmspare]"))?;
        }
        Ok(())
    }

    fn undo(&self, context: &mut Context) -> Result<(), StepError> {
        deactivate_all(context)
    }
}

/// Deactivates every volume group of the plan that is there.
///
/// # Errors
/// LVM's.
pub fn deactivate_all(context: &Context) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let there = lvm::physical_volumes(runner).or_step("cannot list the physical volumes")?;
    for group in context.plan.volume_groups.iter().rev().filter(|g| there.iter().any(|p| p.group == g.name)) {
        lvm::deactivate(runner, &group.name).or_step_on("cannot deactivate the volume group", &group.name)?;
    }
    Ok(())
}
