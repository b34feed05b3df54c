//! /etc/default/grub.d/sovereign.cfg: consoles, the menu, and the kernel's switch for memory encryption.

use sovereign_engine::StepError;

use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Writes it.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let encrypt = context.plan.memory_encryption.as_ref().is_some_and(|planned| planned.kernel_switch);
    let text = settings(context.serial.as_ref(), encrypt);
    files::write(&context.on_target("/etc/default/grub.d/sovereign.cfg"), text.as_bytes(), PUBLIC)
}

/// AMD's SME is off until the kernel is told to use it (Documentation/arch/x86/amd-memory-encryption.rst in Linux).
const ENCRYPT: &str = "mem_encrypt=on ";

/// The settings; `serial` is a port such as `ttyS0` and its speed. The unlock prompt appears on the last console. `encrypt` is for machines
/// whose kernel has to be told.
fn settings(serial: Option<&(String, u32)>, encrypt: bool) -> String {
    let encrypt = if encrypt { ENCRYPT } else { "" };
    let mut text = String::from(
        "# Written by the installer. After a change: update-grub\nGRUB_DISTRIBUTOR=\"Sovereign Appliance\"\nGRUB_TIMEOUT=3\nGRUB_RECORDFAIL_TIMEOUT=3\n\
         GRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX_DEFAULT=\"\"\n",
    );
    match serial {
        Some((port, baud)) => {
            let unit = port.trim_start_matches("ttyS");
            text += &format!(
                "GRUB_CMDLINE_LINUX=\"{encrypt}console=tty0 console={port},{baud}n8\"\nGRUB_TERMINAL=\"console serial\"\n\
                 GRUB_SERIAL_COMMAND=\"serial --unit={unit} --speed={baud}\"\n"
            );
        }
        None => text += &format!("GRUB_CMDLINE_LINUX=\"{encrypt}console=tty0\"\nGRUB_TERMINAL=\"console\"\n"),
    }
    text
}

#[cfg(test)]
mod tests {
    use sovereign_model::memory_encryption::{Planned, State};

    use super::*;

    #[test]
    fn the_serial_console_comes_last() {
        let text = settings(Some(&("ttyS1".to_owned(), 57_600)), false);
        assert!(text.contains("\"console=tty0 console=ttyS1,57600n8\""));
        assert!(text.contains("serial --unit=1 --speed=57600"));
        assert!(!settings(None, false).contains("serial"));
    }

    #[test]
    fn the_kernel_is_told_to_encrypt_where_the_plan_says_so_and_nowhere_else() {
        let serial = ("ttyS0".to_owned(), 115_200);
        for serial in [None, Some(&serial)] {
            assert!(settings(serial, true).contains("GRUB_CMDLINE_LINUX=\"mem_encrypt=on console=tty0"));
            assert!(!settings(serial, false).contains("mem_encrypt"));
        }
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = crate::testing::context("reference", target.path());
        for (state, kernel_switch) in [(State::KernelOff, true), (State::ActiveTransparent, false)] {
            context.plan.memory_encryption = Some(Planned { state, kernel_switch, attested: None });
            write(&context).unwrap();
            let path = target.path().join("etc/default/grub.d/sovereign.cfg");
            assert_eq!(std::fs::read_to_string(path).unwrap().contains("mem_encrypt=on"), kernel_switch);
        }
    }
}
