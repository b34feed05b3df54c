//! From a tool's error to a step's: what was attempted, on which device.

use std::error::Error;

use sovereign_engine::StepError;

/// Turns a tool's error into a step's.
pub trait OrStep<T> {
    /// `attempted` is a sentence without its full stop: `cannot create the array boot`.
    ///
    /// # Errors
    /// The tool's error as the cause of a [`StepError`].
    fn or_step(self, attempted: &str) -> Result<T, StepError>;

    /// As [`OrStep::or_step`], with the device.
    ///
    /// # Errors
    /// As [`OrStep::or_step`].
    fn or_step_on(self, attempted: &str, device: &str) -> Result<T, StepError>;
}

impl<T, E: Error + Send + Sync + 'static> OrStep<T> for Result<T, E> {
    fn or_step(self, attempted: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(attempted).because(error))
    }

    fn or_step_on(self, attempted: &str, device: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(attempted).on(device).because(error))
    }
}

/// A finding of a check: `what` should have been `wanted` and is `found`.
///
/// # Errors
/// Where the two differ.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, device: &str, wanted: &T, found: &T) -> Result<(), StepError> {
    if wanted == found {
        return Ok(());
    }
    Err(StepError::new(format!("{what} is {found:?} and should be {wanted:?}")).on(device).next(
        "Keep the log: this is a defect of the installer or of the disk. The disks hold an unfinished installation.",
    ))
}
