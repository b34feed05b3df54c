//! Reading a workload file: the first error, with file, line and column.

use super::{Raw, Workload};
use crate::role::{Name, RoleError, parse};

impl Workload {
    /// Reads `text`, the file of the workload `name` of `role`, which is what is in `file` (used in messages only).
    ///
    /// # Errors
    /// The first thing that is wrong: syntax, an unknown or missing key, a value out of its form.
    pub fn parse(text: &str, file: &str, role: Name, name: Name) -> Result<Self, RoleError> {
        let Raw { title, image, why, units } = parse::read(text, file)?;
        Ok(Self { role, name, title, image, why, units })
    }
}
