//! How a test fails: an error and all its causes, at the line of the test that made the call.

use std::error::Error;
use std::fmt::Write as _;

/// Turns an error into a failed test.
pub trait OrFail<T> {
    /// The value, or a panic at the caller's line that prints the error and its causes.
    fn or_fail(self) -> T;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("{}", with_causes(&error)),
        }
    }
}

/// The error and each of its causes, one a line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  because: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_printed_once_each() {
        let error = Outer(std::io::Error::other("the inner"));
        assert_eq!(with_causes(&error), "the outer\n  because: the inner");
    }
}
