//! Step `configure`: everything on the target that differs from machine to machine, one file of ours for each topic.

mod fstab;
mod grub_defaults;
mod guests;
mod host_share;
mod identity;
pub mod keys;
mod locale;
mod mail;
mod network;
mod node;
mod records;
mod secrets;
mod storage;
mod time;
mod updates;
mod users;

use std::path::PathBuf;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::plan::Plan;
use sovereign_system::runner::Output;
use sovereign_system::tools::{grub, mount};

use crate::context::Context;
use crate::fail::OrStep;
use crate::files;
use crate::state::{self, State};

pub use guests::qemu;
pub use node::{node_address, storages};
pub use storage::{initramfs_crypttab, mdadm_conf};
pub use time::sources as time_sources;
pub use updates::sources as update_sources;

/// Where programs of the target find the kernel's file systems.
const KERNEL_FOLDERS: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// See the module.
pub struct Configure;

type Part = (&'static str, fn(&Context) -> Result<(), StepError>);

/// The parts, in order: programs of the target run from `identity` on.
const PARTS: [Part; 15] = [
    ("identity", identity::write),
    ("fstab", fstab::write),
    ("storage", storage::write),
    ("network", network::write),
    ("users", users::write),
    ("locale", locale::write),
    ("boot settings", grub_defaults::write),
    ("keys", keys::write),
    ("records", records::write),
    ("the host's share", host_share::write),
    ("time servers", time::write),
    ("mail", mail::write),
    ("sources of updates", updates::write),
    ("Proxmox VE", node::write),
    ("secrets of the first boot", secrets::write),
];

impl Step<Context, Destructive> for Configure {
    fn name(&self) -> &'static str {
        "configure"
    }

    fn describe(&self, context: &Context) -> String {
        format!(
            "configure {}: identity, mounts, encryption, network, accounts, locale, boot, memory, updates",
            context.plan.site.site.fqdn
        )
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        enter(context)?;
        for (index, (note, part)) in PARTS.iter().enumerate() {
            report.progress(crate::wipe::percent(index, PARTS.len()), *note);
            part(context)?;
        }
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        keys::check(context)?;
        locale::check(context)?;
        node::check(context)?;
        secrets::check(context)?;
        users::check(context)
    }
}

/// Makes every text that the parts make of the plan alone, and keeps none: what cannot be made is noticed while no disk was touched. `qemu` is
/// the version of the QEMU on a Proxmox VE node.
///
/// # Errors
/// The part's.
pub fn compute(plan: &Plan, qemu: Option<&str>) -> Result<(), StepError> {
    identity::hosts_file(plan)?;
    network::texts(plan)?;
    records::plan_and_site(plan)?;
    mail::root_alias(&plan.site.admin.email)?;
    if let Some(qemu) = qemu {
        node::tree(plan, &guests::configured(plan, qemu, 0, &|| *uuid::Uuid::new_v4().as_bytes())?)?;
    }
    Ok(())
}

/// Shows the kernel's folders to programs that run in the target.
fn enter(context: &Context) -> Result<(), StepError> {
    for folder in KERNEL_FOLDERS {
        let point: PathBuf = context.on_target(folder);
        files::folder(&point, 0o755)?;
        mount::bind(context.runner.as_ref(), folder, &point)
            .or_step(&format!("cannot show {folder} to the programs of the target"))?;
    }
    Ok(())
}

/// Runs a program of the target in the target.
///
/// # Errors
/// The program's.
pub fn in_target(context: &Context, attempted: &str, args: &[&str]) -> Result<Output, StepError> {
    context.runner.run(&grub::in_target(&context.target, args)).or_step(attempted)
}

#[cfg(test)]
mod tests;
