//! Step `unpack`: the packages, then our files over them, and the kernel, which is on the medium once and outside of both.

use std::fs;

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::event::Amount;
use sovereign_model::medium::{BASE_PATH, KERNEL_PATH, TARGET_PATH};
use sovereign_system::tools::squashfs;

use crate::context::{Context, exists};
use crate::fail::OrStep;
use crate::files;
use crate::state::{self, State};

/// See the module.
pub struct Unpack;

impl Step<Context, Destructive> for Unpack {
    fn name(&self) -> &'static str {
        "unpack"
    }

    fn describe(&self, context: &Context) -> String {
        format!("unpack {} of {}", context.manifest.unpacked, context.manifest.edition_label)
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let total = context.manifest.unpacked;
        for layer in [BASE_PATH, TARGET_PATH] {
            let image = context.on_medium(layer);
            squashfs::unpack(context.runner.as_ref(), &image, &context.target, &mut |percent| {
                // Nearly all of it is in the base; what we add to it is counted by its own share alone.
                if layer == BASE_PATH {
                    report
                        .amount(Amount { done: Bytes(total.0.saturating_mul(u64::from(percent)) / 100), total }, layer);
                } else {
                    report.progress(percent, layer);
                }
            })
            .or_step(&format!("cannot unpack {}", image.display()))
            .map_err(|e| {
                e.next("Read errors of the medium are in the kernel's log (dmesg). Attach it again or write a new one.")
            })?;
        }
        let kernel = fs::read(context.on_medium(KERNEL_PATH)).or_step("cannot read the kernel of the medium")?;
        let path = format!("/boot/vmlinuz-{}", context.manifest.kernel);
        files::write(&context.on_target(&path), &kernel, files::PUBLIC)?;
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let kernel = &context.manifest.kernel;
        for path in [format!("/boot/vmlinuz-{kernel}"), format!("/boot/initrd.img-{kernel}"), "/sbin/init".to_owned()] {
            let on_target = context.on_target(&path);
            if on_target.symlink_metadata().is_err() {
                return Err(StepError::new(format!("{} is missing after unpacking", on_target.display())));
            }
        }
        // Links such as /sbin -> usr/sbin lead on inside the target.
        let modules = context.on_target(&format!("/usr/lib/modules/{kernel}"));
        if !exists(&modules) {
            return Err(StepError::new(format!("{} is missing after unpacking", modules.display())));
        }
        Ok(())
    }
}
