//! Step `tear-down`: nothing of the running system stands on the disks any more.

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_system::tools::{holders, lvm, udev};

use crate::context::Context;
use crate::fail::OrStep;
use crate::verify_disks::still_the_same;

/// Taking down one thing can reveal another (an array udev starts again): this often it is looked again.
const ROUNDS: usize = 5;

/// See the module.
pub struct TearDown;

fn standing(context: &Context) -> Result<Vec<holders::Action>, StepError> {
    let names: Vec<String> = context.plan.disks.iter().map(|d| d.kernel_name.clone()).collect();
    let groups = lvm::physical_volumes(context.runner.as_ref()).or_step("cannot list the physical volumes")?;
    let graph = holders::Graph::read().or_step("cannot read what stands on the disks")?;
    graph.teardown(&names, &groups).map_err(|stays| staying(&stays))
}

/// What to do about something that cannot be taken down.
pub fn staying(stays: &holders::Stays) -> StepError {
    let next = match stays {
        holders::Stays::Spans { what, others } => format!(
            "Take {} out of {what}, or detach the disks it is on, or choose other disks in the site file; then start over. Nothing on \
             them was changed.",
            others.join(", ")
        ),
        holders::Stays::Unknown { what, .. } => {
            format!(
                "Stop {what} by its own tools, or reboot the medium, which starts nothing of the kind; then start over."
            )
        }
    };
    StepError::new(stays.to_string()).next(next)
}

impl Step<Context, Destructive> for TearDown {
    fn name(&self) -> &'static str {
        "tear-down"
    }

    fn describe(&self, _: &Context) -> String {
        "unmount, close and stop whatever stands on the disks".to_owned()
    }

    fn run(&self, context: &mut Context, _: &Destructive, _: &Report<'_>) -> Result<(), StepError> {
        still_the_same(context)?;
        let runner = context.runner.as_ref();
        for _ in 0..ROUNDS {
            let actions = standing(context)?;
            if actions.is_empty() {
                break;
            }
            for action in &actions {
                holders::carry_out(runner, action)
                    .or_step(&format!("cannot take down {action:?}"))
                    .map_err(|e| e.next("Reboot the medium: a fresh start holds nothing."))?;
            }
            udev::settle(runner).or_step("udev did not come to rest")?;
        }
        Ok(())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let left = standing(context)?;
        if left.is_empty() {
            return Ok(());
        }
        Err(StepError::new(format!("the disks are still held: {left:?}"))
            .next("Reboot the medium: a fresh start holds nothing."))
    }
}
