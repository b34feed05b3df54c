//! What a step is, how it reports, and how it fails.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sovereign_model::event::{Amount, Event};

/// Where events go. Called from the thread that runs the steps.
pub type Sink = Arc<dyn Fn(&Event) + Send + Sync>;

/// The part of an installation a step belongs to: [`Harmless`] or [`Destructive`].
pub trait Phase: sealed::Sealed {}

/// Permit of the steps before the point of no return: they read.
#[derive(Debug)]
pub struct Harmless(pub(crate) ());

/// Permit of the steps after the point of no return: they write. Only the engine makes one.
#[derive(Debug)]
pub struct Destructive(pub(crate) ());

impl Phase for Harmless {}
impl Phase for Destructive {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Harmless {}
    impl Sealed for super::Destructive {}
}

/// One verb and one noun, done to a machine that `C` describes.
pub trait Step<C, P: Phase>: Send {
    /// Stable name, lower case with hyphens, such as `create-arrays`.
    fn name(&self) -> &'static str;

    /// What it will do, in words.
    fn describe(&self, context: &C) -> String;

    /// Does it.
    ///
    /// # Errors
    /// Says what was attempted, on which device, why it failed and what to do next.
    fn run(&self, context: &mut C, permit: &P, report: &Report<'_>) -> Result<(), StepError>;

    /// Reads the machine back and compares with what was wanted.
    ///
    /// # Errors
    /// Says what was expected and what was found.
    fn check(&self, context: &mut C) -> Result<(), StepError>;

    /// Lets go of what it opened (mounts, mappings, arrays), after it or a later step failed. It must cope with a `run`
    /// that stopped half-way. What was written stays written.
    ///
    /// # Errors
    /// Reported and otherwise ignored: the remaining steps are undone all the same.
    fn undo(&self, _context: &mut C) -> Result<(), StepError> {
        Ok(())
    }
}

/// How a running step says how far it is.
pub struct Report<'a> {
    pub(crate) index: usize,
    pub(crate) sink: &'a Sink,
    pub(crate) cancel: Option<&'a AtomicBool>,
}

impl Report<'_> {
    /// `percent` of `note` is done.
    pub fn progress(&self, percent: u8, note: impl Into<String>) {
        let (index, percent, note) = (self.index, percent.min(100), note.into());
        (self.sink)(&Event::Progress { index, percent, note, amount: None });
    }

    /// So many bytes of `note` are done.
    pub fn amount(&self, amount: Amount, note: impl Into<String>) {
        let (index, percent, note) = (self.index, amount.percent(), note.into());
        (self.sink)(&Event::Progress { index, percent, note, amount: Some(amount) });
    }

    /// A container was made.
    pub fn encrypted(&self, container: &str, uuid: &str) {
        (self.sink)(&Event::Encrypted { container: container.to_owned(), uuid: uuid.to_owned() });
    }

    /// A line for the log.
    pub fn log(&self, line: impl Into<String>) {
        (self.sink)(&Event::Log { line: line.into() });
    }

    /// Whether somebody cancelled and cancelling is still possible: a long harmless step stops with
    /// [`StepError::cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|c| c.load(Ordering::Relaxed))
    }
}

/// Why a step did not do what it was there for. `Display` names what was attempted and on which device;
/// [`StepError::render`] adds the causes (command, exit code, output) and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}{}", device.as_ref().map(|d| format!(" (device {d})")).unwrap_or_default())]
pub struct StepError {
    /// What was attempted, as a sentence without its full stop: `cannot create the array boot`.
    pub attempted: String,
    /// The device it was attempted on.
    pub device: Option<String>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
    /// What to do next, as a sentence.
    pub next: Option<String>,
    /// Which kind of end it is.
    pub kind: Kind,
}

/// How a step ended that did not do what it was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What it attempted failed.
    Failed,
    /// Nothing failed: somebody cancelled.
    Cancelled,
    /// It panicked: a mistake in the program, which says nothing about the machine.
    Panicked,
}

impl StepError {
    /// An error without a cause of its own: the finding itself is the error.
    pub fn new(attempted: impl Into<String>) -> Self {
        Self { attempted: attempted.into(), device: None, source: None, next: None, kind: Kind::Failed }
    }

    /// Somebody cancelled and the step stopped.
    pub fn cancelled() -> Self {
        Self { kind: Kind::Cancelled, ..Self::new("cancelled") }
    }

    /// With its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With the device it happened on.
    #[must_use]
    pub fn on(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Everything a person needs, on several lines.
    pub fn render(&self) -> String {
        let mut out = self.to_string();
        let mut cause: Option<&dyn Error> = self.source();
        while let Some(error) = cause {
            // Writing to a String cannot fail.
            let _ = write!(out, "\n  because {error}");
            cause = error.source();
        }
        if let Some(next) = &self.next {
            let _ = write!(out, "\n  What to do: {next}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_renders_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("`mdadm --stop` ended with exit code 1")]
        struct Outer(#[source] std::io::Error);
        let error = StepError::new("cannot stop the array boot")
            .on("/dev/md/boot")
            .because(Outer(std::io::Error::other("busy")))
            .next("Reboot and try again.");
        assert_eq!(
            error.render(),
            "cannot stop the array boot (device /dev/md/boot)\n  because `mdadm --stop` ended with exit code 1\n  \
             because busy\n  What to do: Reboot and try again."
        );
    }
}
