//! Variables of a guest's UEFI firmware: a copy of what the firmware's package ships.

use std::fs::{self, OpenOptions};
use std::io::Write;

use sovereign_engine::StepError;

use crate::context::Context;
use crate::fail::OrStep;

/// Variables with the keys of Microsoft and Debian enrolled (`pre-enrolled-keys=1`), in a firmware volume of 4 MiB, as the target has them:
/// Proxmox VE's package, then Debian's.
const VARIABLES: [&str; 2] = ["/usr/share/pve-edk2-firmware/OVMF_VARS_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"];

/// Writes them to the volume `device`. A target without any firmware for guests runs none: its volume stays blank.
///
/// # Errors
/// A Proxmox VE node has none, or the volume cannot be written.
pub fn write_variables(context: &Context, device: &str) -> Result<(), StepError> {
    let Some(path) = VARIABLES.iter().map(|path| context.on_target(path)).find(|path| path.is_file()) else {
        if context.is_proxmox() {
            return Err(StepError::new(format!("the target has no variables of guests' firmware ({})", VARIABLES[0])));
        }
        return Ok(());
    };
    let variables = fs::read(&path).or_step(&format!("cannot read {}", path.display()))?;
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(device)?;
        file.write_all(&variables)?;
        file.sync_all()
    };
    write().or_step_on("cannot write the firmware's variables", device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, proxmox_live};

    #[test]
    fn a_node_copies_what_its_firmware_package_ships_and_cannot_do_without() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = context("reference", target.path());
        let volume = target.path().join("volume");
        fs::write(&volume, [0; 16]).unwrap();
        write_variables(&context, volume.to_str().unwrap()).unwrap();
        assert_eq!(fs::read(&volume).unwrap(), [0; 16]);

        let live = proxmox_live();
        context.live = live.path().to_owned();
        let error = write_variables(&context, volume.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("OVMF_VARS_4M.ms.fd"), "{error}");

        let path = context.on_target(VARIABLES[0]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, [7; 8]).unwrap();
        write_variables(&context, volume.to_str().unwrap()).unwrap();
        assert_eq!(fs::read(&volume).unwrap(), [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
