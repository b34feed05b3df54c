//! Step `release`: everything is unmounted, closed and stopped, so that switching off now harms nothing.

use sovereign_engine::{Destructive, Report, Step, StepError};

use crate::context::Context;
use crate::create_arrays::stop_all;
use crate::create_volumes::deactivate_all;
use crate::fail::OrStep;
use crate::format_containers::close_all;
use crate::mount_target::unmount_all;
use sovereign_system::tools::{holders, lvm};

/// See the module.
pub struct Release;

impl Step<Context, Destructive> for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn describe(&self, _: &Context) -> String {
        "unmount the target, close the containers, stop the arrays".to_owned()
    }

    fn run(&self, context: &mut Context, _: &Destructive, _: &Report<'_>) -> Result<(), StepError> {
        unmount_all(context)?;
        deactivate_all(context)?;
        close_all(context)?;
        // An interrupted first synchronisation goes on at the next start.
        stop_all(context)?;
        rustix::fs::sync();
        Ok(())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let names: Vec<String> = context.plan.disks.iter().map(|d| d.kernel_name.clone()).collect();
        let groups = lvm::physical_volumes(context.runner.as_ref()).or_step("cannot list the physical volumes")?;
        let graph = holders::Graph::read().or_step("cannot read what stands on the disks")?;
        let left = graph.teardown(&names, &groups).map_err(|spans| StepError::new(spans.to_string()))?;
        if left.is_empty() {
            return Ok(());
        }
        Err(StepError::new(format!("the disks are still held: {left:?}")))
    }
}
