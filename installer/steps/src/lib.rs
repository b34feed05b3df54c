//! The steps of an installation, one file a step: what the engine runs.
//!
//! ```text
//! let mut context = Context { plan, .., runner: Arc::new(Logged::new(Arc::new(Host), sink.clone())), .. };
//! let engine = sovereign_steps::engine(&context.plan);
//! let outcome = engine.run(&mut context, &options)?;
//! ```

mod bios;
pub mod bootloader;
pub mod configure;
pub mod context;
pub mod cpio;
pub mod create_arrays;
pub mod create_guest_base;
pub mod create_templates;
pub mod create_volumes;
pub mod deploy_machines;
pub mod erase;
pub mod fail;
pub mod files;
pub mod finalise;
pub mod format_containers;
pub mod guests;
pub mod initramfs;
pub mod logged;
pub mod make_filesystems;
pub mod mount_target;
pub mod partition;
pub mod release;
pub mod state;
pub mod tear_down;
#[cfg(test)]
mod testing;
pub mod unpack;
pub mod verify_disks;
pub mod verify_medium;
pub mod verify_site;
pub mod wipe;

pub use context::{Context, Found, Reprobe};
pub use state::{EarlierInstall, earlier_install};

use sovereign_engine::{Destructive, Engine, Step};
use sovereign_model::plan::Plan;

/// The steps that carry out `plan`.
pub fn engine(plan: &Plan) -> Engine<Context> {
    let mut destructive: Vec<Box<dyn Step<Context, Destructive>>> =
        vec![Box::new(tear_down::TearDown), Box::new(wipe::Wipe)];
    if plan.disks.iter().any(|disk| disk.self_erase.is_some()) {
        destructive.push(Box::new(erase::Erase));
    }
    destructive.push(Box::new(partition::Partition));
    if !plan.arrays.is_empty() {
        destructive.push(Box::new(create_arrays::CreateArrays));
    }
    let rest: [Box<dyn Step<Context, Destructive>>; 8] = [
        Box::new(format_containers::FormatContainers),
        Box::new(create_volumes::CreateVolumes),
        Box::new(make_filesystems::MakeFilesystems),
        Box::new(mount_target::MountTarget),
        Box::new(unpack::Unpack),
        Box::new(configure::Configure),
        Box::new(initramfs::Initramfs),
        Box::new(bootloader::Bootloader),
    ];
    destructive.extend(rest);
    if let Some(guests) = &plan.guests {
        destructive.push(Box::new(create_guest_base::CreateGuestBase));
        destructive.push(Box::new(create_templates::CreateTemplates));
        if guests.deploy {
            destructive.push(Box::new(deploy_machines::DeployMachines));
        }
    }
    destructive.push(Box::new(finalise::Finalise));
    destructive.push(Box::new(release::Release));
    Engine::new(
        vec![
            Box::new(verify_site::VerifySite),
            Box::new(verify_medium::VerifyMedium),
            Box::new(verify_disks::VerifyDisks),
        ],
        destructive,
    )
}
