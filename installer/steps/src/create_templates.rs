//! Step `create-templates`: each role's volumes, the system as a snapshot of the guests' base with the role's own files over it. What is
//! finished is read-only and inactive, as Proxmox VE leaves the disks of a template.

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::medium::guest_role_path;
use sovereign_model::plan::{Guest, GuestVolume, VolumeContent};
use sovereign_system::tools::{squashfs, thin};

use crate::context::Context;
use crate::create_guest_base::BASE;
use crate::fail::{OrStep, same};
use crate::guests::{self, Disk, efi, extent_bytes, images, site, workloads};
use crate::state::{self, State};

/// See the module.
pub struct CreateTemplates;

/// The volumes of templates: whose, which, and its name.
fn volumes(context: &Context) -> Result<Vec<(&Guest, &GuestVolume, &str)>, StepError> {
    let guests = context.guests()?;
    let each = guests.guests.iter().flat_map(|guest| guest.volumes.iter().map(move |volume| (guest, volume)));
    Ok(each.filter_map(|(guest, volume)| Some((guest, volume, volume.template.as_deref()?))).collect())
}

/// Makes one volume of a template; `note` gets what takes long.
fn create(
    context: &Context,
    guest: &Guest,
    volume: &GuestVolume,
    name: &str,
    note: &dyn Fn(String),
) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let (group, size) = (volume.group.as_str(), extent_bytes(volume.extents));
    let (id, what) = (format!("{group}/{name}"), "cannot make the volume");
    if let VolumeContent::Root { .. } = volume.content {
        thin::snapshot(runner, group, BASE, name).or_step_on(what, &id)?;
        thin::extend(runner, group, name, size).or_step_on("cannot lengthen the volume", &id)?;
        return fill(context, guest, &format!("/dev/{id}"), volume, note);
    }
    let pool = volume.pool.as_deref().ok_or_else(|| StepError::new(format!("the plan has no pool for {id}")))?;
    thin::create(runner, group, pool, name, size).or_step_on(what, &id)?;
    if volume.content == VolumeContent::Efi {
        efi::write_variables(context, &format!("/dev/{id}"))?;
    }
    Ok(())
}

/// Lays the role's files, what the site says of it, and its workloads, images and files, over the base on its volume.
fn fill(
    context: &Context,
    guest: &Guest,
    device: &str,
    volume: &GuestVolume,
    note: &dyn Fn(String),
) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let disk = Disk::show(context, device, extent_bytes(volume.extents))?;
    guests::inside().activate(runner).or_step_on("cannot activate the guest's volume group", device)?;
    let folder = disk.mount(context)?;
    let layer = guest_role_path(guest.role.as_str());
    squashfs::unpack(runner, &context.on_medium(&layer), &folder, &mut |_| {})
        .or_step(&format!("cannot unpack {layer}"))
        .map_err(|e| e.next("Read errors of the medium are in the kernel's log (dmesg). Write or attach it again."))?;
    site::write(context, guest, &folder)?;
    let present = images::present(context, guest);
    images::load(context, &folder, &present, note)?;
    workloads::configure(context, guest, &folder, &present)?;
    disk.let_go(context)
}

impl Step<Context, Destructive> for CreateTemplates {
    fn name(&self) -> &'static str {
        "create-templates"
    }

    fn describe(&self, context: &Context) -> String {
        let roles = context.plan.guests.iter().flat_map(|guests| &guests.guests);
        let roles: Vec<String> = roles.map(|guest| format!("{} ({})", guest.role, guest.template)).collect();
        format!("make the templates {}", roles.join(", "))
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        let runner = context.runner.as_ref();
        let all = volumes(context)?;
        for (index, (guest, volume, name)) in all.iter().enumerate() {
            let note = |note: String| report.progress(crate::wipe::percent(index, all.len()), note);
            note(format!("{}/{name}", volume.group));
            create(context, guest, volume, name, &note)?;
        }
        let named = |seed: bool| -> Vec<String> {
            let wanted = all.iter().filter(|(_, volume, _)| (volume.content == VolumeContent::CloudInit) == seed);
            wanted.map(|(_, volume, name)| format!("{}/{name}", volume.group)).collect()
        };
        let (sealed, seeds) = (named(false), named(true));
        thin::seal(runner, &sealed).or_step_on("cannot finish the volumes", &sealed.join(", "))?;
        // Proxmox VE writes the seed anew whenever a machine starts.
        thin::leave(runner, &seeds).or_step_on("cannot finish the volumes", &seeds.join(", "))?;
        let (group, _) = context.guests_pool()?;
        // The templates keep what they share of it.
        thin::remove(runner, group, BASE).or_step_on("cannot remove the guests' base volume", BASE)?;
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let all = volumes(context)?;
        let there = guests::listed(context, all.iter().map(|(_, volume, _)| volume.group.as_str()))?;
        for (_, volume, name) in all {
            let id = format!("{}/{name}", volume.group);
            let found = there.get(&id).ok_or_else(|| StepError::new(format!("the volume {id} is not there")))?;
            same("the size", &id, &extent_bytes(volume.extents).get(), &found.size)?;
            let sealed = volume.content != VolumeContent::CloudInit;
            // lvs(8), `lv_attr`: the second letter is the permission, the fifth the state.
            let (permission, state) = (found.attributes.chars().nth(1), found.attributes.chars().nth(4));
            same("whether it is read-only", &id, &sealed, &(permission == Some('r')))?;
            same("whether it is active", &id, &false, &(state == Some('a')))?;
        }
        Ok(())
    }

    fn undo(&self, context: &mut Context) -> Result<(), StepError> {
        guests::let_go_of_all(context)
    }
}
