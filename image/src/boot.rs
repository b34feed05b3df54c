//! The parts of the medium that firmware reads: hybrid MBR, GPT, EFI system partition, El Torito.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;

use crate::hash;
use crate::iso::{BOOT_PATH, BootImages, ELTORITO_PATH, eltorito_hash};
use crate::iso9660::{Iso, IsoReadError};

/// Bytes of a logical block of both partition tables; a hybrid image is made for disks of 512-byte blocks.
const BLOCK: u64 = 512;
/// MBR type of a protective entry (UEFI 2.10, 5.2.3).
const PROTECTIVE: u8 = 0xee;
/// Sector and offset of the El Torito boot record's catalogue address (El Torito 1.0, figure 7).
const BOOT_RECORD: u64 = 17 * crate::iso9660::SECTOR;

/// An MBR partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MbrPartition {
    /// 1 to 4.
    pub number: usize,
    /// Type byte.
    pub kind: u8,
    /// Carries the active flag.
    pub active: bool,
    /// First block of 512 bytes.
    pub first_lba: u32,
    /// Length in blocks of 512 bytes.
    pub blocks: u32,
}

/// A GPT partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GptPartition {
    /// Number of the entry.
    pub number: u32,
    /// Name in the table.
    pub name: String,
    /// Type GUID.
    pub kind: String,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// What firmware finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootReport {
    /// Partitions of the MBR.
    pub mbr: Vec<MbrPartition>,
    /// GUID of the disk in the GPT.
    pub disk_guid: Option<String>,
    /// Partitions of the GPT.
    pub gpt: Vec<GptPartition>,
    /// Whether the image has an El Torito record.
    pub el_torito: bool,
    /// What is wrong; empty if the medium can boot.
    pub problems: Vec<String>,
}

/// Reads and checks what firmware reads. `Err` only where the image cannot be read at all.
pub fn examine(path: &Path, iso: &Iso) -> Result<BootReport, IsoReadError> {
    let read = |source| IsoReadError::Read { path: path.into(), source };
    let mut report =
        BootReport { mbr: Vec::new(), disk_guid: None, gpt: Vec::new(), el_torito: false, problems: Vec::new() };
    mbr(path, &mut report).map_err(read)?;
    gpt(path, &mut report);
    report.el_torito = el_torito(path).map_err(read)?;
    if !report.el_torito {
        report.problems.push("no El Torito record: it does not boot from a CD".to_owned());
    }
    images(iso, &mut report)?;
    Ok(report)
}

fn mbr(path: &Path, report: &mut BootReport) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut code = [0; 440];
    file.read_exact(&mut code)?;
    file.seek(SeekFrom::Start(0))?;
    let block = u32::try_from(BLOCK).unwrap_or(u32::MAX);
    let table = match mbrman::MBR::read_from(&mut file, block) {
        Ok(table) => table,
        Err(error) => {
            report.problems.push(format!("no master boot record: {error}"));
            return Ok(());
        }
    };
    for (number, entry) in table.iter().filter(|(_, entry)| entry.is_used()) {
        report.mbr.push(MbrPartition {
            number,
            kind: entry.sys,
            active: entry.is_active(),
            first_lba: entry.starting_lba,
            blocks: entry.sectors,
        });
    }
    if code.iter().all(|byte| *byte == 0) {
        report.problems.push("the master boot record has no boot code: it does not boot as a disk by BIOS".to_owned());
    }
    if !report.mbr.iter().any(|entry| entry.kind == PROTECTIVE) {
        report
            .problems
            .push("the master boot record has no protective entry: programs will not see the GPT".to_owned());
    }
    Ok(())
}

fn gpt(path: &Path, report: &mut BootReport) {
    let table = match gpt::GptConfig::new().writable(false).open(path) {
        Ok(table) => table,
        Err(error) => {
            report.problems.push(format!("no valid GPT: {error}"));
            return;
        }
    };
    report.disk_guid = Some(table.guid().to_string());
    for (number, entry) in table.partitions() {
        report.gpt.push(GptPartition {
            number: *number,
            name: entry.name.clone(),
            kind: entry.part_type_guid.guid.to_string(),
            offset: entry.first_lba * BLOCK,
            size: (entry.last_lba + 1).saturating_sub(entry.first_lba) * BLOCK,
        });
    }
}

fn el_torito(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(BOOT_RECORD))?;
    let mut record = [0; 64];
    file.read_exact(&mut record)?;
    Ok(record[0] == 0 && &record[1..6] == b"CD001" && record[7..].starts_with(b"EL TORITO SPECIFICATION"))
}

/// Compares the boot images with what the builder wrote down about them.
fn images(iso: &Iso, report: &mut BootReport) -> Result<(), IsoReadError> {
    let mut problem = |text: String| report.problems.push(text);
    let Some(entry) = iso.find(BOOT_PATH) else {
        problem(format!("{BOOT_PATH} is missing: the boot images cannot be checked"));
        return Ok(());
    };
    let wanted: BootImages = match serde_json::from_slice(&iso.content(entry)?) {
        Ok(wanted) => wanted,
        Err(error) => {
            problem(format!("{BOOT_PATH} cannot be read: {error}"));
            return Ok(());
        }
    };
    match iso.find(ELTORITO_PATH) {
        None => problem(format!("{ELTORITO_PATH} is missing: it does not boot by BIOS")),
        Some(entry) if eltorito_hash(iso.content(entry)?) != wanted.eltorito_sha256 => {
            problem(format!("{ELTORITO_PATH} was altered"));
        }
        Some(_) => (),
    }
    let esp = gpt::partition_types::EFI.guid.to_string();
    match report.gpt.iter().find(|entry| entry.kind == esp) {
        None => problem("no EFI system partition: it does not boot by UEFI".to_owned()),
        Some(entry) => {
            let piece = iso.piece(entry.offset, wanted.esp_bytes)?;
            let found = hash::reader(piece).map(|(hash, _)| hash).unwrap_or_default();
            if found != wanted.esp_sha256 {
                problem("the EFI system partition was altered".to_owned());
            }
        }
    }
    Ok(())
}
