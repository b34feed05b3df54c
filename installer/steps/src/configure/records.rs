//! What the machine remembers of its installation: the plan, the site file and what was on the medium, none with a secret, and which
//! edition it is, and what is unsafe about it, for whoever logs in.

use sovereign_engine::StepError;
use sovereign_model::installed;
use sovereign_model::plan::Plan;

use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PRIVATE, PUBLIC};

/// Shown above the login prompt of every console.
const ISSUE: &str = "/etc/issue.d/10-sovereign-edition.issue";
/// Shown after a login, by SSH too.
const MOTD: &str = "/etc/motd.d/10-sovereign-edition";
/// The same two, of a machine that loses everything with one disk.
const DANGER: [&str; 2] = ["/etc/issue.d/20-sovereign-unsafe.issue", "/etc/motd.d/20-sovereign-unsafe"];

/// Writes them.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let (plan, site) = plan_and_site(&context.plan)?;
    files::write(&context.on_target(installed::PLAN), &plan, PRIVATE)?;
    let mut manifest = serde_json::to_vec_pretty(&context.manifest).or_step("cannot write the manifest as JSON")?;
    manifest.push(b'\n');
    files::write(&context.on_target(installed::MANIFEST), &manifest, PUBLIC)?;
    files::write(&context.on_target("/etc/sovereign/site.toml"), site.as_bytes(), PRIVATE)?;
    let edition = format!("Sovereign Appliance {}: {}\n", context.manifest.version, context.manifest.edition_label);
    files::write(&context.on_target(MOTD), edition.as_bytes(), PUBLIC)?;
    files::write(&context.on_target(ISSUE), edition.as_bytes(), PUBLIC)?;
    if let Some(danger) = context.plan.danger() {
        for path in DANGER {
            files::write(&context.on_target(path), format!("*** {danger}\n").as_bytes(), PUBLIC)?;
        }
    }
    Ok(())
}

/// The plan as JSON and the site as TOML.
///
/// # Errors
/// The serialisers'.
pub(super) fn plan_and_site(plan: &Plan) -> Result<(Vec<u8>, String), StepError> {
    let mut json = serde_json::to_vec_pretty(plan).or_step("cannot write the plan as JSON")?;
    json.push(b'\n');
    Ok((json, plan.site.to_toml().or_step("cannot write the site as TOML")?))
}
