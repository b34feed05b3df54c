//! Step `format-containers`: LUKS2 on each whole array, or on the partition of a pool that is one disk, opened.

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::layout::ARGON2ID_MIN_MEMORY;
use sovereign_model::plan::Argon2idCost;
use sovereign_system::tools::luks::Measured;
use sovereign_system::tools::{cryptsetup, luks, udev, wipe};
use uuid::Uuid;

use crate::configure::keys;
use crate::context::{Context, mapper_path};
use crate::fail::{OrStep, same};

/// See the module.
pub struct FormatContainers;

impl Step<Context, Destructive> for FormatContainers {
    fn name(&self) -> &'static str {
        "format-containers"
    }

    fn describe(&self, context: &Context) -> String {
        let names: Vec<_> =
            context.plan.containers.iter().map(|c| format!("{} on {}", c.name, context.base(c))).collect();
        format!("encrypt {} (LUKS2, aes-xts-plain64, argon2id)", names.join(" and "))
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        let mut measured = None;
        for (index, container) in context.plan.containers.iter().enumerate() {
            let device = context.base(container);
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
            let key = container.key_file.as_ref().map(|_| keys::draw()).transpose()?;
            luks::format(&format, &context.passphrase, context.recovery.as_ref(), key.as_ref())
                .or_step_on("cannot encrypt the device", &device)?;
            context.found.keys.extend(key.map(|key| (container.name.clone(), key)));
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
            if let Some(cost) = measured {
                report.log(format!(
                    "{device}: a guess at the passphrase takes {} passes over {} KiB with {} threads",
                    cost.iterations, cost.memory_kib, cost.parallel
                ));
            }
            let uuid = uuid.to_string();
            report.encrypted(&container.name, &uuid);
            context.found.containers.insert(container.name.clone(), uuid);
        }
        udev::settle(runner).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        for container in &context.plan.containers {
            let device = context.base(container);
            let header = cryptsetup::dump(runner, &device).or_step_on("cannot read the header", &device)?;
            same("the cipher", &device, &"aes-xts-plain64", &header.cipher.as_str())?;
            same("the encryption sector", &device, &container.sector, &header.sector)?;
            same("the data offset", &device, &container.offset.get(), &header.offset)?;
            let slots: Vec<_> = header.slots.iter().map(|s| (s.kdf.as_str(), s.key_size)).collect();
            let key_file = container.key_file.as_ref().map(|_| ("pbkdf2", 64));
            let recovery = context.recovery.as_ref().map(|_| ("argon2id", 64));
            let wanted: Vec<_> = std::iter::once(("argon2id", 64)).chain(key_file).chain(recovery).collect();
            same("the list of key slots", &device, &wanted, &slots)?;
            for slot in header.slots.iter().filter(|slot| slot.kdf == "argon2id") {
                dear(&device, context.plan.argon2id, slot.argon2)?;
            }
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

/// A guess at the passphrase takes enough memory, and no more of anything than was planned: unlocking needs it too. The passes follow
/// from the time; they differ from machine to machine.
fn dear(device: &str, planned: Argon2idCost, found: Option<Measured>) -> Result<(), StepError> {
    let found = found.ok_or_else(|| StepError::new("the key slot does not say what a guess costs").on(device))?;
    let memory = Bytes(u64::from(found.memory_kib) * 1024);
    let good = (ARGON2ID_MIN_MEMORY..=planned.memory).contains(&memory)
        && (1..=planned.parallel).contains(&found.parallel)
        && found.iterations > 0;
    if good {
        return Ok(());
    }
    Err(StepError::new(format!(
        "a guess at the passphrase takes {} passes over {memory} with {} threads; it should take {ARGON2ID_MIN_MEMORY} to {} with at \
         most {} threads",
        found.iterations, found.parallel, planned.memory, planned.parallel
    ))
    .on(device)
    .next("Keep the log: this is a defect of the installer. The disks hold an unfinished installation."))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_that_is_cheap_or_dearer_than_planned_is_an_error() {
        let planned = Argon2idCost { memory: Bytes::gib(1), time_ms: 2000, parallel: 4 };
        let found = |iterations, memory_mib: u32, parallel| {
            dear("/dev/md/ssd", planned, Some(Measured { iterations, memory_kib: memory_mib * 1024, parallel }))
        };
        for good in [found(4, 1024, 4), found(1, 64, 1)] {
            good.unwrap();
        }
        for bad in [found(4, 63, 4), found(4, 1025, 4), found(4, 1024, 5), found(0, 1024, 4), found(4, 1024, 0)] {
            assert!(bad.unwrap_err().render().contains("; it should take "));
        }
        assert!(dear("/dev/md/ssd", planned, None).is_err());
    }
}
