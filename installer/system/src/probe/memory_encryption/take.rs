//! Taking the captures of memory encryption from a machine: CPUID by Debian's `cpuid`, registers from the kernel's devices, the security
//! processors' files and the kernel's log. Nothing here writes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use sovereign_model::memory_encryption::readings::MSRS;

use super::{CPUID, CPUINFO, DMESG, KERNEL, MSR, ONLINE, PCI, TSME, cpus, flags, log, msr};
use crate::probe::capture::chain;
use crate::probe::captures::Captures;
use crate::runner::{Cmd, Runner};

/// How long one program may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a file or of what a program prints: a dump of 512 CPUs has 3 MiB.
const MAX_BYTES: usize = 16 << 20;

/// Takes them from the machine whose root directory is `root`. Never fails: what cannot be had is left out, with a remark.
pub(in crate::probe) fn take(runner: &dyn Runner, root: &Path, captures: &mut Captures) {
    // The registers' devices and the security processors' files. What is built in, or cannot be loaded, shows in what can be read.
    let _ = runner.status(&Cmd::new("modprobe", ["--quiet", "--all", "msr", "ccp"]).timeout(TIMEOUT), &mut |_| {});
    for name in [CPUINFO, KERNEL, ONLINE] {
        file(root, name, captures);
    }
    for device in fs::read_dir(root.join(PCI)).into_iter().flatten().flatten() {
        file(root, &format!("{PCI}{}{TSME}", device.file_name().to_string_lossy()), captures);
    }
    if let Some(text) = printed(runner, &Cmd::new("cpuid", ["-r"]).timeout(TIMEOUT), captures) {
        captures.insert(CPUID, text);
    }
    registers(root, captures);
    if let Some(text) = printed(runner, &Cmd::new("dmesg", ["--color=never"]).timeout(TIMEOUT), captures) {
        // The whole log is large, and tells more than this.
        captures.insert(
            DMESG,
            text.lines().filter(|line| log::matters(line)).fold(String::new(), |kept, line| kept + line + "\n"),
        );
    }
}

/// A file that need not be there.
fn file(root: &Path, name: &str, captures: &mut Captures) {
    let read = |file: File| {
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64).read_to_end(&mut bytes).map(|_| bytes)
    };
    if let Ok(bytes) = File::open(root.join(name)).and_then(read) {
        captures.insert(name, String::from_utf8_lossy(&bytes));
    }
}

/// All that a program prints: more than the runner keeps. `None` for nothing, with a remark where it fails.
fn printed(runner: &dyn Runner, cmd: &Cmd, captures: &mut Captures) -> Option<String> {
    let mut text = String::new();
    let output = runner.status(cmd, &mut |piece| {
        if text.len() + piece.len() <= MAX_BYTES {
            text.push_str(piece);
        }
    });
    match output {
        Ok(output) if output.code == 0 => Some(text).filter(|text| !text.trim().is_empty()),
        Ok(output) => {
            let stderr = output.stderr.trim();
            captures.remark(&format!("`{}` ended with exit code {}: {stderr}", cmd.line(), output.code));
            None
        }
        Err(error) => {
            captures.remark(&chain(&error));
            None
        }
    }
}

/// Each register of each CPU that is on line: eight bytes at the offset that is its number (msr(4)). One that the processor does not have
/// cannot be read.
fn registers(root: &Path, captures: &mut Captures) {
    let text = |name| captures.get(name).unwrap_or_default();
    let online = cpus::parse(text(ONLINE)).unwrap_or_else(|| flags::parse(text(CPUINFO)).into_keys().collect());
    let mut refused = None;
    for number in online {
        let path = root.join(format!("dev/cpu/{number}/msr"));
        match File::open(&path) {
            Ok(device) => {
                let read = |register: u32| {
                    let mut bytes = [0; 8];
                    device
                        .read_exact_at(&mut bytes, register.into())
                        .ok()
                        .map(|()| (register, u64::from_le_bytes(bytes)))
                };
                let registers: BTreeMap<u32, u64> = MSRS.into_iter().filter_map(read).collect();
                captures.insert(format!("{MSR}{number}.txt"), msr::text(&registers));
            }
            Err(error) => {
                refused
                    .get_or_insert_with(|| format!("the registers of CPU {number} (/dev/cpu/{number}/msr): {error}"));
            }
        }
    }
    if let Some(first) = refused {
        captures.remark(&format!("cannot read {first}; whether the memory is encrypted may stay unknown"));
    }
}
