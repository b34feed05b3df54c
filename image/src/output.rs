//! Standard output and standard error. That nobody reads them any more ends nothing half-way.

use std::io::{self, Write};

/// Standard output cannot be written, because of a full disk for example.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutputError(#[source] io::Error);

/// Prints lines on standard output. Whoever reads it may have seen enough (`| head`): that is a command that is done.
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// One line on standard error. What cannot be told there is not told: a stick is written to its end all the same.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
