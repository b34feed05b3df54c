//! Step `mount-target`: root, /boot and the ESPs in their places; the journal goes there too from now on.

use std::fs;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::installed::INCOMPLETE;
use sovereign_model::plan::PartitionRole;
use sovereign_system::tools::mount;

use crate::context::{Context, esp_mount, exists};
use crate::fail::OrStep;
use crate::files;
use crate::state::{self, State};

/// Shown before the login prompt while the target is unfinished.
pub const ISSUE: &str = "/etc/issue.d/00-incomplete.issue";

/// See the module.
pub struct MountTarget;

impl Step<Context, Destructive> for MountTarget {
    fn name(&self) -> &'static str {
        "mount-target"
    }

    fn describe(&self, context: &Context) -> String {
        format!("mount the new file systems below {}", context.target.display())
    }

    fn run(&self, context: &mut Context, _: &Destructive, _: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        let mut mounts = vec![("/", context.root_device()?), ("/boot", context.boot_device()?)];
        let esps = context.partitions(PartitionRole::Esp).into_iter().enumerate();
        mounts.extend(esps.map(|(index, device)| (esp_mount(index), device)));
        for (point, device) in &mounts {
            let folder = context.on_target(point);
            files::folder(&folder, 0o755)?;
            let options = if point.starts_with("/boot/") { "umask=0077" } else { "noatime" };
            mount::mount(runner, device, &folder, options).or_step_on(&format!("cannot mount {point}"), device)?;
        }
        let text = format!(
            "The installation {} of this machine is not finished. Boot the installation medium to install again.\n",
            context.install_id
        );
        files::write(&context.on_target(INCOMPLETE), text.as_bytes(), files::PUBLIC)?;
        files::write(&context.on_target(ISSUE), format!("\n*** {text}\n").as_bytes(), files::PUBLIC)?;
        files::folder(&context.on_target("/var/log/sovereign"), 0o750)?;
        context.journal.add(&context.journal_on_target()).or_step("cannot keep the journal on the target")?;
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for point in ["/", "/boot", esp_mount(0)] {
            let folder = context.on_target(point);
            let canonical = fs::canonicalize(&folder).or_step(&format!("cannot read {}", folder.display()))?;
            if !mount::is_mounted(&canonical).or_step("cannot read the list of mounts")? {
                return Err(StepError::new(format!("nothing is mounted on {}", folder.display())));
            }
        }
        Ok(())
    }

    fn undo(&self, context: &mut Context) -> Result<(), StepError> {
        unmount_all(context)
    }
}

/// Unmounts the target with everything below it.
///
/// # Errors
/// umount's: something still uses it.
pub fn unmount_all(context: &Context) -> Result<(), StepError> {
    context.journal.remove(&context.journal_on_target());
    let Some(target) = exists(&context.target).then(|| fs::canonicalize(&context.target)).and_then(Result::ok) else {
        return Ok(());
    };
    if mount::is_mounted(&target).or_step("cannot read the list of mounts")? {
        mount::unmount_tree(context.runner.as_ref(), &target)
            .or_step(&format!("cannot unmount {}", target.display()))?;
    }
    Ok(())
}
