//! The parts of the medium that firmware reads: hybrid MBR, GPT, EFI system partition, El Torito.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

use crate::hash;
use crate::iso::{BOOT_PATH, BootImages, ELTORITO_PATH, MBR_CODE_BYTES, eltorito_hash, mbr_hash};
use crate::iso9660::{Entry, Iso, IsoReadError};
use crate::seal::Seal;

/// Bytes of a logical block of both partition tables; a hybrid image is made for disks of 512-byte blocks.
const BLOCK: u64 = 512;
/// MBR type of a protective entry (UEFI 2.10, 5.2.3).
const PROTECTIVE: u8 = 0xee;
/// Sector and offset of the El Torito boot record's catalogue address (El Torito 1.0, figure 7).
const BOOT_RECORD: u64 = 17 * crate::iso9660::SECTOR;

/// The longest list of partitions that is read, bytes; ours has 16 KiB (128 entries of 128 bytes, UEFI 2.10, 5.3.1).
const LARGEST_TABLE: u64 = 1 << 20;

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
    /// What is wrong; empty if the medium can boot. `inspect` lists it with what else is wrong.
    #[serde(skip)]
    pub problems: Vec<String>,
}

impl BootReport {
    /// Where the EFI system partition is, bytes.
    pub fn esp(&self) -> Option<Range<u64>> {
        let kind = gpt::partition_types::EFI.guid.to_string();
        let entry = self.gpt.iter().find(|entry| entry.kind == kind)?;
        Some(entry.offset..entry.offset.saturating_add(entry.size))
    }
}

/// Reads and checks what firmware reads. `Err` only where the image cannot be read at all.
pub fn examine(path: &Path, iso: &Iso) -> Result<BootReport, IsoReadError> {
    let read = |source| IsoReadError::Read { path: path.into(), source };
    // A stick is longer than the image on it.
    let image_bytes = Seal::read(iso).map_or(iso.file_bytes, |seal| seal.image_bytes);
    let mut report =
        BootReport { mbr: Vec::new(), disk_guid: None, gpt: Vec::new(), el_torito: false, problems: Vec::new() };
    mbr(path, image_bytes, &mut report).map_err(read)?;
    gpt(path, iso.is_file, &mut report);
    report.el_torito = el_torito(path).map_err(read)?;
    if !report.el_torito {
        report.problems.push("no El Torito record: it does not boot from a CD".to_owned());
    }
    images(iso, &mut report)?;
    Ok(report)
}

fn mbr(path: &Path, image_bytes: u64, report: &mut BootReport) -> io::Result<()> {
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
    // xorriso marks an entry of type 0 as active, for firmware that wants one.
    for (number, entry) in table.iter().filter(|(_, entry)| entry.is_used() || entry.is_active()) {
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
    // The protective entry covers all blocks but the first.
    let wanted = u32::try_from((image_bytes / BLOCK).saturating_sub(1)).unwrap_or(u32::MAX);
    match report.mbr.iter().find(|entry| entry.kind == PROTECTIVE) {
        None => report
            .problems
            .push("the master boot record has no protective entry: programs will not see the GPT".to_owned()),
        Some(entry) if (entry.first_lba, entry.blocks) != (1, wanted) => report.problems.push(format!(
            "the protective entry of the master boot record covers {} blocks from block {}, not {wanted} from block 1",
            entry.blocks, entry.first_lba
        )),
        Some(_) => (),
    }
    if !report.mbr.iter().any(|entry| entry.active) {
        report
            .problems
            .push("the master boot record has no active entry: some BIOSes will not boot it as a disk".to_owned());
    }
    Ok(())
}

/// Does a GPT header, the one at the beginning or the one at the end, promise more entries than anybody reads into
/// memory?
fn has_huge_table(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut header = [0; 92];
    for at in [BLOCK, end.saturating_sub(BLOCK)] {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut header)?;
        // Number and length of the entries (UEFI 2.10, table 5.5).
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if header.starts_with(b"EFI PART") && u64::from(number(80)) * u64::from(number(84)) > LARGEST_TABLE {
            return Ok(true);
        }
    }
    Ok(false)
}

fn gpt(path: &Path, is_file: bool, report: &mut BootReport) {
    if has_huge_table(path).unwrap_or(false) {
        report.problems.push(format!("no valid GPT: it has more than {LARGEST_TABLE} bytes of entries"));
        return;
    }
    let table = match gpt::GptConfig::new().writable(false).open(path) {
        Ok(table) => table,
        Err(error) => {
            report.problems.push(format!("no valid GPT: {error}"));
            return;
        }
    };
    // Both headers; on a stick, which is longer than the image, the second is not at the end.
    if is_file && let Err(error) = gpt::GptConfig::new().writable(false).only_valid_headers(true).open(path) {
        report.problems.push(format!("one of the two GPT headers is not valid: {error}"));
    }
    report.disk_guid = Some(table.guid().to_string());
    for (number, entry) in table.partitions() {
        report.gpt.push(GptPartition {
            number: *number,
            name: entry.name.clone(),
            kind: entry.part_type_guid.guid.to_string(),
            offset: entry.first_lba.saturating_mul(BLOCK),
            size: entry.last_lba.saturating_add(1).saturating_sub(entry.first_lba).saturating_mul(BLOCK),
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
    let esp = report.esp();
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
    let code = iso.content(&Entry { path: String::new(), offset: 0, size: MBR_CODE_BYTES as u64 })?;
    if mbr_hash(code) != wanted.mbr_sha256 {
        problem("the boot code of the master boot record was altered".to_owned());
    }
    match iso.find(ELTORITO_PATH) {
        None => problem(format!("{ELTORITO_PATH} is missing: it does not boot by BIOS")),
        Some(entry) if eltorito_hash(iso.content(entry)?) != wanted.eltorito_sha256 => {
            problem(format!("{ELTORITO_PATH} was altered"));
        }
        Some(_) => (),
    }
    match esp {
        None => problem("no EFI system partition: it does not boot by UEFI".to_owned()),
        Some(entry) => {
            let piece = iso.piece(entry.start, wanted.esp_bytes)?;
            let found = hash::reader(piece).map(|(hash, _)| hash).unwrap_or_default();
            if found != wanted.esp_sha256 {
                problem("the EFI system partition was altered".to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use std::os::unix::fs::FileExt;

    #[test]
    fn the_boot_record_must_have_an_active_entry_and_one_that_covers_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture::image(dir.path());
        let examine = || examine(&path, &Iso::open(&path).unwrap()).unwrap();
        let whole = examine();
        assert_eq!(whole.problems, [""; 0]);
        let active = whole.mbr.iter().find(|entry| entry.active).unwrap();
        assert_eq!((active.number, active.kind), (2, 0));
        // Offsets of the second entry's flag and of the first one's type (UEFI 2.10, table 5.2).
        for (offset, byte, wanted) in [(446 + 16, 0, "no active entry"), (446 + 4, 0x83, "no protective entry")] {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let mut before = [0];
            file.read_exact_at(&mut before, offset).unwrap();
            file.write_all_at(&[byte], offset).unwrap();
            let problems = examine().problems;
            assert!(problems.iter().any(|problem| problem.contains(wanted)), "{problems:?}");
            file.write_all_at(&before, offset).unwrap();
        }
    }

    #[test]
    fn a_header_that_promises_billions_of_partitions_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture::image(dir.path());
        let (file, end) = (File::options().read(true).write(true).open(&path).unwrap(), path.metadata().unwrap().len());
        for header in [512, end - 512] {
            let mut before = [0; 4];
            file.read_exact_at(&mut before, header + 80).unwrap();
            file.write_all_at(&u32::MAX.to_le_bytes(), header + 80).unwrap();
            let problems = examine(&path, &Iso::open(&path).unwrap()).unwrap().problems;
            assert!(
                problems.iter().any(|problem| problem.contains("more than 1048576 bytes of entries")),
                "{problems:?}"
            );
            file.write_all_at(&before, header + 80).unwrap();
        }
    }
}
