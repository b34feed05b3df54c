//! Memory encryption: what a machine or a folder of captures says of it, put together for the rule in the model. One file a subject; only
//! [`take`] and [`folder`] read anything.

mod cpuid;
mod cpus;
mod flags;
mod folder;
mod log;
mod msr;
mod take;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sovereign_model::memory_encryption::readings::{Cpu, Flags};
use sovereign_model::memory_encryption::{MemoryEncryption, Readings, decide};

use super::ProbeError;
use super::capture::{CPUINFO, KERNEL};
use super::captures::Captures;
use crate::runner::Runner;

pub(super) use take::take;

/// What `cpuid -r` printed of all CPUs.
const CPUID: &str = "cpuid.txt";
/// A file for each CPU, `N.txt`: a line a register.
const MSR: &str = "msr/";
/// Which CPUs are on line: `0-3,8`.
const ONLINE: &str = "sys/devices/system/cpu/online";
/// A folder for each PCI device; those of AMD's security processors have a file [`TSME`].
const PCI: &str = "sys/bus/pci/devices/";
/// `1` where the firmware encrypts all memory (Documentation/ABI/testing/sysfs-driver-ccp in Linux).
const TSME: &str = "/tsme_status";
/// The kernel's log, or the lines of it that matter here.
const DMESG: &str = "dmesg.txt";

/// What the machine with this root directory says now, and the captures it was read from.
pub fn of_machine(runner: &dyn Runner, root: &Path) -> (Captures, MemoryEncryption) {
    let mut captures = Captures::default();
    take(runner, root, &mut captures);
    let found = decide(&readings(&captures));
    (captures, found)
}

/// What a folder of captures says, and the captures: the files of this module below `dir`, and no others.
///
/// # Errors
/// [`ProbeError::NoReadings`] where none of them says anything; [`ProbeError::Read`] and [`ProbeError::Input`].
pub fn of_folder(dir: &Path) -> Result<(Captures, MemoryEncryption), ProbeError> {
    let captures = folder::load(dir)?;
    let found = decide(&readings(&captures));
    Ok((captures, found))
}

/// What captures of a whole machine say; `None` where they were taken by a probe that did not look.
pub(super) fn parse(captures: &Captures) -> Option<MemoryEncryption> {
    let looked = |path: &str| [CPUID, ONLINE, DMESG].contains(&path) || path.starts_with(MSR) || is_tsme(path);
    captures.iter().any(|(path, _)| looked(path)).then(|| decide(&readings(captures)))
}

fn is_tsme(path: &str) -> bool {
    let device = path.strip_prefix(PCI).and_then(|rest| rest.strip_suffix(TSME));
    device.is_some_and(|device| !device.is_empty() && !device.contains('/'))
}

/// The number of a CPU's file of registers.
fn msr_number(path: &str) -> Option<u32> {
    let number = path.strip_prefix(MSR)?.strip_suffix(".txt")?;
    number.parse().ok().filter(|parsed: &u32| parsed.to_string() == number)
}

fn readings(captures: &Captures) -> Readings {
    let text = |name: &str| captures.get(name).unwrap_or_default();
    let mut notes = Vec::new();
    let dump = cpuid::parse(text(CPUID));
    let msrs: BTreeMap<u32, _> =
        captures.iter().filter_map(|(path, text)| Some((msr_number(path)?, msr::parse(text)))).collect();
    let processors = flags::parse(text(CPUINFO));
    let known: BTreeSet<u32> = dump.keys().chain(msrs.keys()).chain(processors.keys()).copied().collect();
    let online = cpus::parse(text(ONLINE)).unwrap_or_else(|| {
        notes.push(format!("/{ONLINE} is missing or not understood: every CPU that anything is known of is counted"));
        known.clone()
    });
    let off = cpus::list(known.difference(&online));
    if !off.is_empty() {
        notes.push(format!("/{ONLINE}: these CPUs are not on line, and not counted: {off}"));
    }
    let cpu = |number: &u32| {
        let mut cpu = dump.get(number).map(cpuid::Leaves::cpu).unwrap_or_default();
        cpu.kernel = processors.get(number).and_then(Option::<Flags>::clone);
        cpu.msrs = msrs.get(number).cloned().unwrap_or_default();
        (*number, cpu)
    };
    let release = log::release(text(KERNEL));
    let log = log::parse(text(DMESG), release, &mut notes);
    let cpus: BTreeMap<u32, Cpu> = online.iter().map(cpu).collect();
    Readings {
        cpus,
        offline: known.difference(&online).map(cpu).collect(),
        tsme: captures.iter().filter(|(path, _)| is_tsme(path)).map(|(path, text)| tsme(path, text)).collect(),
        kernel: release.and_then(log::version),
        log,
        notes,
    }
}

fn tsme(path: &str, text: &str) -> (String, Option<bool>) {
    let value = match text.trim() {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    };
    (format!("/{path}"), value)
}

/// A number as `0x` and one to `digits` hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u64> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let good = (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
