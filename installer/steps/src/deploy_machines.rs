//! Step `deploy-machines`: the machines that are linked clones of the templates. Their disks share the templates' blocks; what a template
//! cannot have, since thick LVM has no base images, is made for the machine alone.

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::plan::{Guest, GuestVolume, VolumeContent};
use sovereign_system::tools::{lvm, thin};

use crate::context::Context;
use crate::fail::{OrStep, same};
use crate::guests::{self, extent_bytes};
use crate::state::{self, State};

/// See the module.
pub struct DeployMachines;

fn volumes(context: &Context) -> Result<Vec<(&Guest, &GuestVolume)>, StepError> {
    let guests = context.guests()?;
    Ok(guests.guests.iter().flat_map(|guest| guest.volumes.iter().map(move |volume| (guest, volume))).collect())
}

fn create(context: &Context, volume: &GuestVolume) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let (group, name, size) = (volume.group.as_str(), volume.machine.as_str(), extent_bytes(volume.extents));
    // Every machine has a seed of its own.
    let template = volume.template.as_ref().filter(|_| volume.content != VolumeContent::CloudInit);
    match (template, &volume.pool) {
        (Some(template), _) => thin::snapshot(runner, group, template, name),
        (None, Some(pool)) => thin::create(runner, group, pool, name, size),
        (None, None) => lvm::lvcreate_fresh(runner, group, name, volume.extents),
    }
    .or_step_on("cannot make the volume", &format!("{group}/{name}"))
}

impl Step<Context, Destructive> for DeployMachines {
    fn name(&self) -> &'static str {
        "deploy-machines"
    }

    fn describe(&self, context: &Context) -> String {
        let roles = context.plan.guests.iter().flat_map(|guests| &guests.guests);
        let roles: Vec<String> = roles.map(|guest| format!("{} ({})", guest.role, guest.machine)).collect();
        format!("clone the machines {}", roles.join(", "))
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let all = volumes(context)?;
        for (index, (guest, volume)) in all.iter().enumerate() {
            report.progress(crate::wipe::percent(index, all.len()), format!("{} of {}", volume.machine, guest.role));
            create(context, volume)?;
        }
        let all: Vec<String> = all.iter().map(|(_, volume)| format!("{}/{}", volume.group, volume.machine)).collect();
        thin::leave(context.runner.as_ref(), &all).or_step_on("cannot deactivate the volumes", &all.join(", "))?;
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let all = volumes(context)?;
        let there = guests::listed(context, all.iter().map(|(_, volume)| volume.group.as_str()))?;
        for (_, volume) in all {
            let id = format!("{}/{}", volume.group, volume.machine);
            let found = there.get(&id).ok_or_else(|| StepError::new(format!("the volume {id} is not there")))?;
            same("the size", &id, &extent_bytes(volume.extents).get(), &found.size)?;
            same("whether it can be written to", &id, &Some('w'), &found.attributes.chars().nth(1))?;
        }
        Ok(())
    }
}
