//! Step `finalise`: the log goes along, the marks of an unfinished installation go away.

use std::fs;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::installed::INCOMPLETE;

use crate::context::Context;
use crate::create_arrays::full_speed;
use crate::fail::OrStep;
use crate::files;
use crate::mount_target::ISSUE;
use crate::state::{self, State};

/// Copy of the log on the target.
const LOG: &str = "/var/log/sovereign/install.log";

/// See the module.
pub struct Finalise;

/// Copies the log as it is now to the target.
///
/// # Errors
/// It cannot be read or written.
pub fn keep_log(context: &Context) -> Result<(), StepError> {
    let Some(log) = &context.log else { return Ok(()) };
    let bytes = fs::read(log).or_step(&format!("cannot read {}", log.display()))?;
    files::write(&context.on_target(LOG), &bytes, 0o640)
}

impl Step<Context, Destructive> for Finalise {
    fn name(&self) -> &'static str {
        "finalise"
    }

    fn describe(&self, _: &Context) -> String {
        "keep the log on the machine and call the installation complete".to_owned()
    }

    fn run(&self, context: &mut Context, _: &Destructive, _: &Report<'_>) -> Result<(), StepError> {
        keep_log(context)?;
        for path in [INCOMPLETE, ISSUE] {
            let path = context.on_target(path);
            fs::remove_file(&path).or_step(&format!("cannot remove {}", path.display()))?;
        }
        full_speed(context)?;
        // Everything is on the disks before the first word of completeness is.
        rustix::fs::sync();
        state::mark(context, State::Complete, self.name())?;
        rustix::fs::sync();
        Ok(())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for path in [INCOMPLETE, ISSUE] {
            if context.on_target(path).exists() {
                return Err(StepError::new(format!("{path} is still there")));
            }
        }
        Ok(())
    }
}
