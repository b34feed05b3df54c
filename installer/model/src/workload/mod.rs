//! Workloads of roles, as data: `overlays/guest/ROLE/workloads/NAME/workload.toml` and the templates in `files/` beside it. One more
//! workload is one more folder, and its name in the role's file.

use serde::Deserialize;

use crate::role::{Name, Text, Unit};

pub mod parse;
mod reference;

pub use reference::Reference;

/// A program that a role runs from an OCI image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The role that runs it.
    pub role: Name,
    /// Its name: the folder, and what the role's file calls it.
    pub name: Name,
    /// A few words.
    pub title: Text,
    /// The image it is made from.
    pub image: Reference,
    /// Why this program.
    pub why: Text,
    /// Systemd units that must be active once the machine is up and the image is there.
    pub units: Vec<Unit>,
}

/// What is written in `workload.toml`; role and name are those of its folders. Unknown keys are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    title: Text,
    image: Reference,
    why: Text,
    units: Vec<Unit>,
}
