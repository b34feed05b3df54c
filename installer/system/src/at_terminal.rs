//! Programs that a person talks to: they have this process's own terminal, and no [`crate::runner::Runner`] reads what they say.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::runner::{Cmd, RunError};

/// Runs a program at this one's terminal until it ends, however it ends.
///
/// # Errors
/// [`RunError::Start`].
pub fn run(cmd: &Cmd) -> Result<(), RunError> {
    let started = Command::new(&cmd.program).args(&cmd.args).status();
    started.map(drop).map_err(|source| RunError::Start { line: cmd.line(), source })
}

/// Puts a program in this one's place. Where it returns, that did not work.
pub fn replace_by(cmd: &Cmd) -> RunError {
    let source = Command::new(&cmd.program).args(&cmd.args).exec();
    RunError::Start { line: cmd.line(), source }
}
