//! The host's share of the memory: virtual machines run in a slice with a limit, the host's own services in one that is protected.

use sovereign_engine::StepError;
use sovereign_model::Bytes;
use sovereign_model::installed::GUESTS_SLICE;
use sovereign_model::plan::HostShare;

use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Writes the limits and the swap policy.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let share = &context.plan.host;
    for (slice, text) in [(GUESTS_SLICE, guests(share)), ("system.slice", host(share))] {
        let path = format!("/etc/systemd/system/{slice}.d/sovereign.conf");
        files::write(&context.on_target(&path), text.as_bytes(), PUBLIC)?;
    }
    let text = format!("# Written by the installer from the plan.\nvm.swappiness = {}\n", share.swappiness);
    files::write(&context.on_target("/etc/sysctl.d/50-sovereign.conf"), text.as_bytes(), PUBLIC)
}

/// Proxmox VE puts every virtual machine into a scope of this slice: one too many is ended by the kernel before the host is short.
/// Containers are elsewhere (`/lxc`), and nothing limits them together.
fn guests(share: &HostShare) -> String {
    format!(
        "# Written by the installer: all virtual machines together leave {} of the memory to the host.\n[Slice]\nMemoryMax={}\n",
        share.memory,
        share.guests.get()
    )
}

/// Half of the share is never reclaimed from the services, the whole only when nothing else is left; the kernel and people's sessions
/// live on the rest.
fn host(share: &HostShare) -> String {
    format!(
        "# Written by the installer: the host's services keep their memory when guests are short of it.\n[Slice]\nMemoryMin={}\n\
         MemoryLow={}\n",
        Bytes(share.memory.get() / 2).align_down(4096).get(),
        share.memory.align_down(4096).get()
    )
}
