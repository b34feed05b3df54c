//! How a command ends badly: one message with its whole chain of causes, and the exit code that goes with it.

use std::error::Error;
use std::fmt;

use sovereign_model::exit::ExitCode;

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
    pub fn from_error(code: ExitCode, error: &dyn Error) -> Self {
        Self { code, message: chain(error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error and its causes, a line each.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  because: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Attaches an exit code to any error.
pub trait OrFail<T> {
    /// The value, or a [`Failure`] with this code.
    fn or_fail(self, code: ExitCode) -> Result<T, Failure>;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, code: ExitCode) -> Result<T, Failure> {
        self.map_err(|error| Failure::from_error(code, &error))
    }
}
