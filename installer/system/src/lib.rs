//! The only crate that starts programs or reads the machine: one [`runner::Runner`], one file a tool, and the probe that turns
//! captures into an inventory.

pub mod at_terminal;
pub mod input;
pub mod probe;
pub mod runner;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tools;
