//! How a command ends badly: one message with its whole chain of causes, and the exit code that goes with it.

use std::error::Error;
use std::fmt;

use sovereign_engine::StepError;
use sovereign_model::exit::ExitCode;
use sovereign_model::text::seen;

/// A message for a person, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// Which kind of failure.
    pub code: ExitCode,
    message: String,
}

impl Failure {
    /// A failure with a message of our own.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A failure whose message is an error and, a line each, its causes.
    pub fn from_error(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        Self { code, message: chain(error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names from devices and files are in it.
        f.write_str(&seen(&self.message))
    }
}

/// An error and its causes, a line each, and what to do where one of them knows.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = next_of(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  because: ");
        text.push_str(&error.to_string());
        next = next.or_else(|| next_of(error));
        cause = error.source();
    }
    if let Some(next) = next {
        text.push_str("\n  What to do: ");
        text.push_str(next);
    }
    text
}

fn next_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e str> {
    error.downcast_ref::<StepError>()?.next.as_deref()
}

/// Attaches an exit code to any error.
pub trait OrFail<T> {
    /// The value, or a [`Failure`] with this code.
    fn or_fail(self, code: ExitCode) -> Result<T, Failure>;
}

impl<T, E: Error + 'static> OrFail<T> for Result<T, E> {
    fn or_fail(self, code: ExitCode) -> Result<T, Failure> {
        self.map_err(|error| Failure::from_error(code, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no medium")]
    struct Outer(#[source] StepError);

    #[test]
    fn what_to_do_is_said_wherever_a_steps_error_ends() {
        let error = StepError::new("cannot read the manifest")
            .because(std::io::Error::other("not there"))
            .next("Attach the medium again.");
        let wanted = "cannot read the manifest\n  because: not there\n  What to do: Attach the medium again.";
        assert_eq!(Failure::from_error(ExitCode::BadMedium, &error).to_string(), wanted);
        let failed: Result<(), Failure> = Err(Outer(error)).or_fail(ExitCode::Internal);
        assert!(failed.unwrap_err().to_string().ends_with("What to do: Attach the medium again."));
    }
}
