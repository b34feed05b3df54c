//! Lines to every console at once. A console that hangs (a serial line nobody drains, a BMC that went away) holds up nothing.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use sovereign_model::text::seen;

use crate::job::DEFAULT_BAUD;

/// Consoles looked for, in this order.
const NAMES: [&str; 3] = ["tty1", "ttyS0", "ttyS1"];
/// Lines a console may lag behind before it loses some.
const BACKLOG: usize = 4096;
/// What Ctrl-C sends.
const ETX: u8 = 3;

/// How long [`Consoles::drain`] waits at most: some 50 KiB at 9600 bit/s.
const DRAIN: Duration = Duration::from_secs(60);
/// How long [`Consoles::drain`] waits for a console that takes nothing. The kernel's own buffer, 4 KiB, can keep a line at
/// 9600 bit/s waiting for most of this.
const STALLED: Duration = Duration::from_secs(5);

/// A console that is written to by a thread of its own.
struct Output {
    lines: SyncSender<String>,
    /// Lines sent and not yet written.
    waiting: Arc<AtomicUsize>,
}

/// Every console there is, or standard output alone.
pub struct Consoles {
    outputs: Vec<Output>,
    inputs: Vec<File>,
    stdout: bool,
}

impl Consoles {
    /// Standard output only.
    pub fn stdout() -> Self {
        Self { outputs: Vec::new(), inputs: Vec::new(), stdout: true }
    }

    /// No console at all: what is said is for the log alone.
    pub const fn none() -> Self {
        Self { outputs: Vec::new(), inputs: Vec::new(), stdout: false }
    }

    /// Whether a serial line is among the consoles of this machine: what is at its other end is not known.
    pub fn has_serial_line() -> bool {
        let serial = std::fs::read_to_string("/proc/tty/driver/serial").unwrap_or_default();
        NAMES.iter().any(|name| name.starts_with("ttyS") && exists(name, &serial))
    }

    /// All consoles of this machine; standard output where there is none at all.
    pub fn all() -> Self {
        let serial = std::fs::read_to_string("/proc/tty/driver/serial").unwrap_or_default();
        let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let mut consoles = Self { outputs: Vec::new(), inputs: Vec::new(), stdout: false };
        for name in NAMES.iter().filter(|name| exists(name, &serial)) {
            consoles.open(&format!("/dev/{name}"), &cmdline);
        }
        consoles.stdout = consoles.outputs.is_empty();
        consoles
    }

    /// `cmdline` is the kernel's: it says the speed of the serial lines it has.
    fn open(&mut self, path: &str, cmdline: &str) {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NOCTTY.union(rustix::fs::OFlags::NONBLOCK).bits());
        let Ok(flags) = nonblocking else { return };
        let Ok(output) = OpenOptions::new().write(true).custom_flags(flags).open(path) else { return };
        // Writing must block in its own thread, opening must not.
        if rustix::fs::fcntl_setfl(&output, rustix::fs::OFlags::empty()).is_err() {
            return;
        }
        // Of a line that the kernel was not told of it takes the slowest there is; firmware and boot menu use another.
        if let Some(name) = path.strip_prefix("/dev/").filter(|name| name.starts_with("ttyS"))
            && !is_kernels(name, cmdline)
            && let Ok(mut modes) = tcgetattr(&output)
            && modes.set_speed(DEFAULT_BAUD).is_ok()
        {
            // A line that does not take it is a line as it was.
            let _ = tcsetattr(&output, OptionalActions::Now, &modes);
        }
        self.outputs.push(writer(output));
        if let Ok(input) = OpenOptions::new().read(true).custom_flags(flags).open(path) {
            // Without this a Ctrl-C is taken by the line discipline, which has nobody to signal, and keys echo into the text.
            if let Ok(mut modes) = tcgetattr(&input) {
                modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
                modes.special_codes[SpecialCodeIndex::VMIN] = 0;
                modes.special_codes[SpecialCodeIndex::VTIME] = 0;
                if tcsetattr(&input, OptionalActions::Now, &modes).is_ok() {
                    self.inputs.push(input);
                }
            }
        }
    }

    /// Prints lines, each followed by a line ending.
    pub fn print(&self, text: &str) {
        for line in seen(text).lines() {
            if self.stdout {
                // An installation goes on where nobody reads what it says.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            for output in &self.outputs {
                // A full backlog means that nobody reads there: lose the line rather than the installation.
                output.waiting.fetch_add(1, Ordering::AcqRel);
                if output.lines.try_send(format!("{line}\r\n")).is_err() {
                    output.waiting.fetch_sub(1, Ordering::AcqRel);
                }
            }
        }
    }

    /// Whether somebody pressed Ctrl-C on one of the consoles since the last call.
    pub fn interrupted(&mut self) -> bool {
        let mut pressed = false;
        for input in &mut self.inputs {
            let mut buffer = [0; 256];
            if let Ok(n) = input.read(&mut buffer) {
                pressed |= buffer[..n].contains(&ETX);
            }
        }
        pressed
    }

    /// Waits until every line has reached its console: before a question is asked there, and before the machine goes down.
    /// Consoles that take nothing for [`STALLED`] are not waited for, nor any for longer than [`DRAIN`].
    pub fn drain(&self) {
        let (start, mut progress) = (Instant::now(), Instant::now());
        let waiting = || self.outputs.iter().map(|o| o.waiting.load(Ordering::Acquire)).sum::<usize>();
        let mut before = waiting();
        while before > 0 && progress.elapsed() < STALLED && start.elapsed() < DRAIN {
            thread::sleep(Duration::from_millis(10));
            let now = waiting();
            if now < before {
                progress = Instant::now();
            }
            before = now;
        }
    }
}

/// Whether the kernel writes to this serial line itself, and so has set its speed.
fn is_kernels(name: &str, cmdline: &str) -> bool {
    let consoles = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("console="));
    consoles.map(|console| console.split(',').next()).any(|console| console == Some(name))
}

/// Whether a console is really there: the kernel makes nodes for serial ports that do not exist.
fn exists(name: &str, serial: &str) -> bool {
    match name.strip_prefix("ttyS") {
        None => std::path::Path::new("/dev").join(name).exists(),
        Some(number) => serial
            .lines()
            .any(|line| line.split_once(':').is_some_and(|(n, rest)| n == number && !rest.contains("uart:unknown"))),
    }
}

fn writer(mut console: File) -> Output {
    let (sender, lines) = sync_channel::<String>(BACKLOG);
    let waiting = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&waiting);
    thread::spawn(move || {
        for line in lines {
            // A console that fails is a console nobody sees; the others go on.
            let failed = console.write_all(line.as_bytes()).is_err();
            written.fetch_sub(1, Ordering::AcqRel);
            if failed {
                return;
            }
        }
    });
    Output { lines: sender, waiting }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian 13, kernel 6.12, `cat /proc/tty/driver/serial` in a machine with one port.
    const SERIAL: &str = "serinfo:1.0 driver revision:\n0: uart:16550A port:000003F8 irq:4 tx:14 rx:0 RTS|CTS|DTR|DSR|CD\n1: uart:unknown port:000002F8 irq:3\n";

    #[test]
    fn draining_waits_for_a_slow_console_to_the_end() {
        let (mut reader, pipe) = std::io::pipe().unwrap();
        let consoles = Consoles {
            outputs: vec![writer(File::from(std::os::fd::OwnedFd::from(pipe)))],
            inputs: Vec::new(),
            stdout: false,
        };
        // More than a pipe holds, 64 KiB: the last lines can only be there once the reader has taken the first ones.
        let line = "x".repeat(78);
        for _ in 0..2000 {
            consoles.print(&line);
        }
        consoles.print("the end");
        let slow = thread::spawn(move || {
            let (mut text, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
            while !text.ends_with(b"the end\r\n") {
                thread::sleep(Duration::from_millis(150));
                let n = reader.read(&mut piece).unwrap();
                text.extend_from_slice(&piece[..n]);
            }
        });
        consoles.drain();
        assert_eq!(consoles.outputs[0].waiting.load(Ordering::Acquire), 0);
        slow.join().unwrap();
    }

    #[test]
    fn a_line_that_the_kernel_has_keeps_its_speed() {
        assert!(is_kernels("ttyS0", "quiet console=tty0 console=ttyS0,9600n8"));
        assert!(is_kernels("ttyS1", "console=ttyS1"));
        assert!(!is_kernels("ttyS0", "console=tty0 console=ttyS01 sovereign.mode=install"));
    }

    #[test]
    fn only_ports_with_a_chip_count() {
        assert!(exists("ttyS0", SERIAL));
        assert!(!exists("ttyS1", SERIAL));
        assert!(!exists("ttyS2", SERIAL));
    }
}
