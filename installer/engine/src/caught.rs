//! A panic in a step is a mistake in the program, but what the step opened has to be let go of and people have to be told all the same: it
//! becomes an error like any other.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::step::{Kind, StepError};

#[cfg(not(panic = "unwind"))]
compile_error!("a panic in a step must reach the engine: the profile needs panic = \"unwind\"");

thread_local! {
    /// Where this thread panicked last: file, line and column.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Does a part of a step. What it was given may be half-changed after a panic, as after an error; only undoing follows, which copes with
/// that.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, StepError>) -> Result<T, StepError> {
    remember_places();
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(error(payload.as_ref())))
}

/// Keeps the place of each panic: what is caught carries the message alone.
fn remember_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PLACE.set(panic.location().map(ToString::to_string));
            before(panic);
        }));
    });
}

fn error(payload: &(dyn Any + Send)) -> StepError {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let place = PLACE.take().map(|place| format!(" at {place}")).unwrap_or_default();
    let error = StepError::new(format!("the installer itself broke off{place}: {text}"))
        .next("This is a mistake in the installer: report it, with the log.");
    StepError { kind: Kind::Panicked, ..error }
}
