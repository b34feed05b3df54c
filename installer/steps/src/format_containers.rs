//! Step `format-containers`: LUKS2 on each whole array, opened.

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_system::tools::{cryptsetup, luks, udev, wipe};
use uuid::Uuid;

use crate::context::{Context, array_path, mapper_path};
use crate::fail::{OrStep, same};

/// See the module.
pub struct FormatContainers;

impl Step<Context, Destructive> for FormatContainers {
    fn name(&self) -> &'static str {
        "format-containers"
    }

    fn describe(&self, context: &Context) -> String {
        let names: Vec<_> = context.plan.containers.iter().map(|c| format!("{} on {}", c.name, c.array)).collect();
        format!("encrypt {} (LUKS2, aes-xts-plain64, argon2id)", names.join(" and "))
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        let mut measured = None;
        for (index, container) in context.plan.containers.iter().enumerate() {
            let device = array_path(&container.array);
            report.progress(crate::wipe::percent(index, context.plan.containers.len()), device.as_str());
            let uuid = Uuid::new_v4();
            let format = luks::Format {
                device: &device,
                label: &container.name,
                uuid: &uuid,
                sector: container.sector,
                offset: container.offset,
                cost: context.plan.argon2id,
                measured,
            };
            luks::format(&format, &context.passphrase).or_step_on("cannot encrypt the array", &device)?;
            let open = cryptsetup::Open {
                device: &device,
                name: &container.name,
                discard: container.discard,
                no_workqueue: container.no_workqueue,
            };
            cryptsetup::open(runner, &open, &context.passphrase)
                .or_step_on("cannot open the new container", &device)?;
            let header = cryptsetup::dump(runner, &device).or_step_on("cannot read the header", &device)?;
            measured = header.slots.first().and_then(|s| s.argon2);
            context.found.containers.insert(container.name.clone(), uuid.to_string());
        }
        udev::settle(runner).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        for container in &context.plan.containers {
            let device = array_path(&container.array);
            let header = cryptsetup::dump(runner, &device).or_step_on("cannot read the header", &device)?;
            same("the cipher", &device, &"aes-xts-plain64", &header.cipher.as_str())?;
            same("the encryption sector", &device, &container.sector, &header.sector)?;
            same("the data offset", &device, &container.offset.get(), &header.offset)?;
            let slots: Vec<_> = header.slots.iter().map(|s| (s.kdf.as_str(), s.key_size)).collect();
            same("the list of key slots", &device, &vec![("argon2id", 64)], &slots)?;
            same("the discard flag", &device, &container.discard, &header.flags.iter().any(|f| f == "allow-discards"))?;
            let mapping = mapper_path(&container.name);
            let size = wipe::size(&mapping).or_step_on("cannot measure the mapping", &mapping)?;
            same("the size", &mapping, &container.size, &size)?;
        }
        Ok(())
    }

    fn undo(&self, context: &mut Context) -> Result<(), StepError> {
        close_all(context)
    }
}

/// Closes every container of the plan that is open.
///
/// # Errors
/// cryptsetup's.
pub fn close_all(context: &Context) -> Result<(), StepError> {
    for container in context.plan.containers.iter().rev().filter(|c| luks::is_open(&c.name)) {
        cryptsetup::close(context.runner.as_ref(), &container.name)
            .or_step_on("cannot close the container", &mapper_path(&container.name))?;
    }
    Ok(())
}
