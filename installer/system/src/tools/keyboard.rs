//! The keyboard of the screen console (Debian's console-setup 1.23x, kbd 2.7), and the file that says which it is.

use std::fs;
use std::path::Path;

use crate::runner::{Cmd, RunError, Runner};

/// Where Debian keeps the console's keyboard.
pub const CONFIG: &str = "/etc/default/keyboard";
/// The compiled keymap while it is being loaded; a RAM disk in the live system.
const KEYMAP: &str = "/run/sovereign/keyboard.kmap.gz";
/// The virtual console in front; a keymap is that of all virtual consoles.
const SCREEN: &str = "/dev/tty0";
/// The layout the kernel starts with: nothing has to be loaded for it.
pub const BUILT_IN: &str = "us";

/// Why the console does not have the wanted keyboard.
#[derive(Debug, thiserror::Error)]
pub enum KeyboardError {
    /// A program refused: there is no such layout, or no screen console.
    #[error(
        "cannot load the keyboard layout {layout}, so a passphrase typed here might not be the one that opens the disks"
    )]
    Program {
        /// The layout.
        layout: String,
        /// The cause.
        #[source]
        source: RunError,
    },
    /// The layout cannot be written down for `setupcon`.
    #[error("cannot write {CONFIG}")]
    Write(#[source] std::io::Error),
}

/// keyboard(5) for an XKB layout.
pub fn config(layout: &str) -> String {
    format!("XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{layout}\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n")
}

/// Gives the screen console of this system an XKB layout.
///
/// # Errors
/// [`KeyboardError`]; the console's keyboard is what it was then.
pub fn load(runner: &dyn Runner, layout: &str) -> Result<(), KeyboardError> {
    if layout == BUILT_IN {
        return Ok(());
    }
    fs::write(CONFIG, config(layout)).map_err(KeyboardError::Write)?;
    compile_and_load(runner).map_err(|source| KeyboardError::Program { layout: layout.to_owned(), source })
}

/// `setupcon --keyboard-only` would do both, but it ends with 0 whatever happens, and takes an older keymap it has kept where the clock
/// is wrong.
fn compile_and_load(runner: &dyn Runner) -> Result<(), RunError> {
    runner.run(&Cmd::new("setupcon", ["--save-keyboard", KEYMAP]))?;
    runner.run(&Cmd::new("loadkeys", ["--console", SCREEN, KEYMAP])).map(drop)
}

/// Whether what is typed at `terminal` comes in over a serial line: then the keyboard at its other end decides what arrives.
pub fn is_serial(terminal: &str) -> bool {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let stdin = fs::read_link("/proc/self/fd/0").unwrap_or_default();
    is_serial_in(terminal, &active, &stdin)
}

/// `active` lists the kernel's consoles, that of /dev/console last; /dev/tty is the terminal that `stdin` is.
fn is_serial_in(terminal: &str, active: &str, stdin: &Path) -> bool {
    let console = || active.split_whitespace().next_back().unwrap_or_default().to_owned();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = match terminal {
        "/dev/console" => console(),
        "/dev/tty" if stdin == Path::new("/dev/console") => console(),
        "/dev/tty" => name(stdin),
        other => name(Path::new(other)),
    };
    name.starts_with("ttyS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn a_layout_is_compiled_then_loaded_and_a_failure_of_either_is_an_error() {
        let runner = Recorder::new();
        compile_and_load(&runner).unwrap();
        assert_eq!(
            runner.lines(),
            [
                "setupcon --save-keyboard /run/sovereign/keyboard.kmap.gz",
                "loadkeys --console /dev/tty0 /run/sovereign/keyboard.kmap.gz"
            ]
        );
        let unknown = Recorder::new().fails("setupcon", 1, "ckbcomp: Can not find file \"symbols/dee\"");
        assert!(compile_and_load(&unknown).is_err());
        assert_eq!(unknown.lines().len(), 1);
        assert!(compile_and_load(&Recorder::new().fails("loadkeys", 1, "Couldn't get a file descriptor")).is_err());
    }

    #[test]
    fn the_kernels_own_layout_needs_no_program() {
        let runner = Recorder::new();
        load(&runner, "us").unwrap();
        assert!(runner.lines().is_empty());
    }

    #[test]
    fn a_serial_line_brings_its_own_keyboard() {
        for (terminal, active, stdin, serial) in [
            ("/dev/console", "tty0", "/dev/null", false),
            ("/dev/console", "tty0 ttyS0\n", "/dev/null", true),
            ("/dev/console", "ttyS0 tty0\n", "/dev/null", false),
            ("/dev/tty", "tty0", "/dev/ttyS1", true),
            ("/dev/tty", "ttyS0", "/dev/tty1", false),
            ("/dev/tty", "tty0 ttyS0", "/dev/console", true),
            ("/dev/tty", "tty0 ttyS0", "/dev/pts/0", false),
        ] {
            assert_eq!(is_serial_in(terminal, active, Path::new(stdin)), serial, "{terminal} {active} {stdin}");
        }
    }
}
