//! The probe: raw captures of a machine ([`capture`], the only part here that runs programs and reads files), pure parsers (one file
//! a subject), and the inventory they make. With a saved folder of captures the same inventory comes out anywhere.

mod capture;
mod captures;
mod class;
mod cpu;
mod disks;
mod ecc;
mod firmware;
mod health;
mod lsblk;
mod mbr;
mod memory;
pub mod memory_encryption;
mod nics;
mod owners;
mod redact;
pub mod report;
mod self_erase;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sovereign_model::inventory::{Inventory, Machine, Tpm};

pub use capture::{Depth, capture};
pub use captures::Captures;
pub use redact::redact;

use crate::input::{self, InputError};
use crate::runner::Runner;

/// Format of [`Inventory`] that this program writes and reads.
pub const SCHEMA: u32 = 1;
/// Name of the inventory in a folder of captures.
pub const INVENTORY_FILE: &str = "inventory.json";

/// Most bytes of an inventory: a disk takes some 500.
const MAX_INVENTORY: u64 = 256 << 20;

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A file is none that can be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}; choose a folder that exists or can be made, with room in it", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A capture is not in the format its tool prints.
    #[error(
        "cannot understand the capture `{capture}`: {reason}; take the captures again with `sovereign-installer probe --save DIR`"
    )]
    Parse {
        /// Path of the capture inside its folder.
        capture: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A capture nothing can be said without is not there.
    #[error("the capture `{capture}` is missing; take the captures again with `sovereign-installer probe --save DIR`")]
    Missing {
        /// Path of the capture inside its folder.
        capture: &'static str,
    },
    /// An inventory file that does not parse.
    #[error("{} is not an inventory: {reason}; make one with `sovereign-installer probe --json`", path.display())]
    NotAnInventory {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder with neither captures nor an inventory in it.
    #[error("{} holds no captures and no {INVENTORY_FILE}; make some with `sovereign-installer probe --save DIR`", path.display())]
    NotCaptures {
        /// Which folder.
        path: PathBuf,
    },
    /// A folder with nothing of memory encryption in it.
    #[error(
        "{} holds nothing that tells of memory encryption (cpuid.txt, msr/N.txt, sys/bus/pci/devices/*/tsme_status, proc/cpuinfo, dmesg.txt); \
         make captures with `sovereign-installer probe --save DIR`", path.display()
    )]
    NoReadings {
        /// Which folder.
        path: PathBuf,
    },
    /// A capture's name that would be written outside its folder.
    #[error("refusing to write the capture `{capture}`: its path leaves the folder")]
    Path {
        /// The path.
        capture: String,
    },
}

/// Captures of the machine this runs on, and the inventory made from them.
///
/// # Errors
/// [`ProbeError::Parse`] and [`ProbeError::Missing`]. A tool that is missing or a disk that cannot be read is no error: see
/// [`Captures::remarks`].
pub fn probe(runner: &dyn Runner, depth: Depth) -> Result<(Captures, Inventory), ProbeError> {
    let captures = capture(runner, Path::new("/"), depth);
    let inventory = inventory(&captures)?;
    Ok((captures, inventory))
}

/// The inventory that captures amount to. Pure: the same captures give the same inventory, on any machine.
///
/// # Errors
/// [`ProbeError::Parse`] and [`ProbeError::Missing`].
pub fn inventory(captures: &Captures) -> Result<Inventory, ProbeError> {
    let text = |name: &str| captures.get(name).unwrap_or_default();
    let dmi = |name: &str| text(&format!("sys/class/dmi/id/{name}")).trim().to_owned();
    Ok(Inventory {
        schema: SCHEMA,
        machine: Machine { vendor: dmi("sys_vendor"), product: dmi("product_name"), bios: bios(&dmi) },
        cpu: cpu::parse(text(capture::CPUINFO)),
        memory: memory::parse(
            capture::MEMINFO,
            captures.get(capture::MEMINFO).ok_or(ProbeError::Missing { capture: capture::MEMINFO })?,
        )?,
        firmware: firmware::parse(captures),
        tpm2: text(capture::TPM_VERSION).trim() == "2",
        tpm: captures.get(capture::TPM_VERSION).map(|version| Tpm { version: version.trim().parse().ok() }),
        ecc: ecc::parse(text(capture::DMI_MEMORY), &class::attributes(captures)),
        // Linux version 6.12.1 (...)
        kernel: text(capture::KERNEL).split_whitespace().nth(2).unwrap_or_default().to_owned(),
        memory_encryption: memory_encryption::parse(captures),
        nics: nics::parse(captures),
        disks: disks::parse(captures)?,
    })
}

/// Maker, version and date of the firmware in one line.
fn bios(dmi: &dyn Fn(&str) -> String) -> String {
    let parts = ["bios_vendor", "bios_version", "bios_date"].map(dmi);
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The inventory in `path`: an inventory file, or a folder of captures (preferred over an inventory file in it, which was made
/// from them). Of a file there are no captures.
///
/// # Errors
/// All of [`ProbeError`] but writing.
pub fn load(path: &Path) -> Result<(Captures, Inventory), ProbeError> {
    if !path.is_dir() {
        return Ok((Captures::default(), read_inventory(path)?));
    }
    let captures = Captures::load(path)?;
    let file = path.join(INVENTORY_FILE);
    if captures.get(capture::MEMINFO).is_none() && captures.get(capture::LSBLK).is_none() {
        if file.exists() {
            return Ok((captures, read_inventory(&file)?));
        }
        return Err(ProbeError::NotCaptures { path: path.to_owned() });
    }
    let inventory = inventory(&captures)?;
    // The machine itself may be without lsblk, and a remark says so. A folder without its list of disks is not whole.
    if captures.get(capture::LSBLK).is_none() && captures.remarks().all(|remark| !remark.contains("`lsblk --json")) {
        return Err(ProbeError::Missing { capture: capture::LSBLK });
    }
    Ok((captures, inventory))
}

/// The inventory of [`load`] alone.
///
/// # Errors
/// As [`load`].
pub fn load_inventory(path: &Path) -> Result<Inventory, ProbeError> {
    load(path).map(|(_, inventory)| inventory)
}

fn read_inventory(path: &Path) -> Result<Inventory, ProbeError> {
    let bytes = input::read(path, MAX_INVENTORY)?;
    let not = |reason: String| ProbeError::NotAnInventory { path: path.to_owned(), reason };
    let inventory: Inventory = serde_json::from_slice(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes))
        .map_err(|error| not(error.to_string()))?;
    if inventory.schema == SCHEMA {
        Ok(inventory)
    } else {
        Err(not(format!("its schema is {}, this program knows {SCHEMA} only", inventory.schema)))
    }
}
