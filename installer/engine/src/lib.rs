//! Steps in order: described, run, checked, journalled, and undone where undoing means something. Knows no disks.
//!
//! The point of no return is a type. A step says by its [`Phase`] whether it may change disks; an [`Engine`] takes the
//! two kinds in two lists, and the [`Destructive`] permit that a destructive step needs to run is made in one place:
//! after every harmless step succeeded and the journal holds the fact.

mod caught;
pub mod engine;
pub mod journal;
pub mod step;

pub use engine::{Engine, Failure, Options, Outcome};
pub use journal::{Journal, JournalError, Record};
pub use step::{Destructive, Harmless, Kind, Phase, Report, Sink, Step, StepError};
