//! What the machine remembers of its installation: the plan and the site file, neither with a secret.

use sovereign_engine::StepError;

use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PRIVATE};

/// Writes both.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let mut plan = serde_json::to_vec_pretty(&context.plan).or_step("cannot write the plan as JSON")?;
    plan.push(b'\n');
    files::write(&context.on_target("/etc/sovereign/plan.json"), &plan, PRIVATE)?;
    let site = context.plan.site.to_toml().or_step("cannot write the site as TOML")?;
    files::write(&context.on_target("/etc/sovereign/site.toml"), site.as_bytes(), PRIVATE)
}
