//! /etc/default/grub.d/sovereign.cfg: consoles and the menu.

use sovereign_engine::StepError;

use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Writes it.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let text = settings(context.serial.as_ref());
    files::write(&context.on_target("/etc/default/grub.d/sovereign.cfg"), text.as_bytes(), PUBLIC)
}

/// The settings; `serial` is a port such as `ttyS0` and its speed. The unlock prompt appears on the last console.
fn settings(serial: Option<&(String, u32)>) -> String {
    let mut text = String::from(
        "# Written by the installer. After a change: update-grub\nGRUB_DISTRIBUTOR=\"Sovereign Appliance\"\nGRUB_TIMEOUT=3\nGRUB_RECORDFAIL_TIMEOUT=3\n\
         GRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX_DEFAULT=\"\"\n",
    );
    match serial {
        Some((port, baud)) => {
            let unit = port.trim_start_matches("ttyS");
            text += &format!(
                "GRUB_CMDLINE_LINUX=\"console=tty0 console={port},{baud}n8\"\nGRUB_TERMINAL=\"console serial\"\n\
                 GRUB_SERIAL_COMMAND=\"serial --unit={unit} --speed={baud}\"\n"
            );
        }
        None => text += "GRUB_CMDLINE_LINUX=\"console=tty0\"\nGRUB_TERMINAL=\"console\"\n",
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_console_comes_last() {
        let text = settings(Some(&("ttyS1".to_owned(), 57_600)));
        assert!(text.contains("\"console=tty0 console=ttyS1,57600n8\""));
        assert!(text.contains("serial --unit=1 --speed=57600"));
        assert!(!settings(None).contains("serial"));
    }
}
