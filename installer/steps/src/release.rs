//! Step `release`: everything is unmounted, closed and stopped, so that switching off now harms nothing.

use sovereign_engine::{Destructive, Report, Step, StepError};

use crate::context::Context;
use crate::create_arrays::stop_all;
use crate::create_volumes::deactivate_all;
use crate::fail::OrStep;
use crate::finalise::keep_log;
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

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        // Once more, with the end of the step before this one. The installation is complete by now, with or without it.
        if let Err(error) = keep_log(context) {
            report.log(format!("the end of the log stays behind: {}", error.render()));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use sovereign_engine::{Engine, Options};

    #[test]
    fn the_log_on_the_target_has_the_end_of_the_step_before() {
        let target = tempfile::tempdir().unwrap();
        let mut context = crate::testing::context("no-hdd", target.path()).0;
        let log = target.path().join("of-the-live-system");
        fs::write(&log, "step 16/17 finalise: done\n").unwrap();
        fs::write(target.path().join("events.jsonl"), "{}\n").unwrap();
        context.log = Some(log);
        let options = Options {
            plan_hash: context.plan_hash.clone(),
            install_id: context.install_id.clone(),
            cancel: Arc::new(AtomicBool::new(false)),
            stop_after: None,
            journal: context.journal.clone(),
            sink: Arc::new(|_| {}),
        };
        // Whatever this machine's own disks are held by.
        let _ = Engine::new(Vec::new(), vec![Box::new(Release)]).run(&mut context, &options);
        let kept = fs::read_to_string(context.on_target("/var/log/sovereign/install.log")).unwrap();
        assert_eq!(kept, "step 16/17 finalise: done\n");
        let events = fs::read_to_string(context.on_target("/var/log/sovereign/events.jsonl")).unwrap();
        assert_eq!(events, "{}\n");
    }
}
