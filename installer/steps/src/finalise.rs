//! Step `finalise`: the log goes along, the marks of an unfinished installation go away.

use std::fs;
use std::io::ErrorKind;

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
/// Name of the file of events, which lies beside the log where there is one.
pub const EVENTS: &str = "events.jsonl";

/// See the module.
pub struct Finalise;

/// Copies the log, and the events beside it, as they are now to the target.
///
/// # Errors
/// It cannot be read or written.
pub fn keep_log(context: &Context) -> Result<(), StepError> {
    let Some(log) = &context.log else { return Ok(()) };
    let bytes = fs::read(log).or_step(&format!("cannot read {}", log.display()))?;
    let copy = context.on_target(LOG);
    files::write(&copy, &bytes, 0o640)?;
    let events = log.with_file_name(EVENTS);
    match fs::read(&events) {
        Ok(bytes) => files::write(&copy.with_file_name(EVENTS), &bytes, 0o640),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).or_step(&format!("cannot read {}", events.display())),
    }
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
