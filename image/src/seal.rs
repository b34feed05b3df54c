//! The seal: the length of the image and hashes of all that the manifest cannot know, because it lies outside the file system or is made
//! when the image is written. It is a file of fixed length, filled in after everything else, so that nothing else changes by it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sovereign_model::medium::{EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH, MANIFEST_PATH, Manifest};

use crate::iso::{CATALOGUE_PATH, ELTORITO_PATH};
use crate::iso9660::{Iso, IsoReadError, SECTOR};

/// Where the seal is on the medium.
pub const SEAL_PATH: &str = "sovereign/seal.json";
/// Its length in bytes, filled up with line feeds: one sector.
const SEAL_BYTES: usize = 2048;
/// Format of the seal.
const SCHEMA: u32 = 1;
/// Boot code of a master boot record ends here (UEFI 2.10, table 5.1).
const BOOT_CODE_BYTES: u64 = 440;
/// The first volume descriptor; what is before it belongs to no file system (ECMA-119, 6.2.1).
const SYSTEM_AREA_BYTES: u64 = 16 * SECTOR;
/// Volume descriptors of our media: primary, boot record, terminator.
const DESCRIPTORS_BYTES: u64 = 3 * SECTOR;
/// The backup of the partition table: 128 entries of 128 bytes and the header (UEFI 2.10, 5.3.1).
const BACKUP_BYTES: u64 = 33 * 512;

/// Why an image has no seal that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It was made by something else, or its seal was removed.
    #[error("{SEAL_PATH} is missing: length and boot records cannot be checked")]
    Missing,
    /// It is not as the builder writes it.
    #[error("{SEAL_PATH} was altered")]
    Altered,
    /// The image cannot be read.
    #[error(transparent)]
    Read(#[from] IsoReadError),
    /// The image cannot be written to.
    #[error("cannot seal {path}")]
    Write {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Piece {
    BootCode,
    PartitionTables,
    VolumeDescriptors,
    BootCatalogue,
    BiosImage,
    Manifest,
    BackupPartitionTable,
    Rest,
}

impl Piece {
    fn altered(self) -> String {
        let what = match self {
            Self::BootCode => "the boot code of the master boot record",
            Self::PartitionTables => "the partition table at the beginning",
            Self::VolumeDescriptors => "a volume descriptor",
            Self::BootCatalogue => CATALOGUE_PATH,
            Self::BiosImage => ELTORITO_PATH,
            Self::Manifest => MANIFEST_PATH,
            Self::BackupPartitionTable => "the partition table at the end",
            Self::Rest => "something between the files (folders, names, padding)",
        };
        format!("{what} was altered")
    }
}

/// Length and hashes of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    schema: u32,
    /// Length in bytes; a stick has more.
    pub image_bytes: u64,
    /// SHA-256 of each piece, lower-case hexadecimal.
    sha256: BTreeMap<Piece, String>,
}

impl Seal {
    /// The file as it goes into the file system: one empty sector, into which [`seal`] writes when the image is complete. What it hashes
    /// must have its final place by then.
    pub fn unsealed() -> String {
        "\n".repeat(SEAL_BYTES)
    }

    /// The seal of an image.
    pub fn read(iso: &Iso) -> Result<Self, SealError> {
        let entry = iso.find(SEAL_PATH).ok_or(SealError::Missing)?;
        if entry.size != SEAL_BYTES as u64 {
            return Err(SealError::Altered);
        }
        let text = iso.content(entry)?;
        let seal: Self = serde_json::from_slice(&text).map_err(|_| SealError::Altered)?;
        if seal.schema == SCHEMA && seal.render().as_deref() == Some(&text) {
            Ok(seal)
        } else {
            Err(SealError::Altered)
        }
    }

    /// What is not as it was sealed. `esp` is where the EFI system partition is, bytes; it has a hash elsewhere. The image must be as
    /// long as the seal says.
    pub fn problems(
        &self,
        iso: &Iso,
        manifest: &Manifest,
        esp: Option<Range<u64>>,
    ) -> Result<Vec<String>, IsoReadError> {
        let found = hashes(iso, manifest, esp, self.image_bytes)?;
        let pieces = found.keys().filter(|piece| found.get(piece) != self.sha256.get(piece));
        Ok(pieces.map(|piece| piece.altered()).collect())
    }

    fn render(&self) -> Option<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).ok().filter(|text| text.len() < SEAL_BYTES)?;
        text.resize(SEAL_BYTES, b'\n');
        Some(text)
    }
}

/// Writes the seal of a finished image into it. `esp` is as in [`Seal::problems`].
pub fn seal(path: &Path, iso: &Iso, manifest: &Manifest, esp: Option<Range<u64>>) -> Result<(), SealError> {
    let entry = iso.find(SEAL_PATH).filter(|entry| entry.size == SEAL_BYTES as u64).ok_or(SealError::Missing)?;
    let image_bytes = iso.file_bytes;
    let seal = Seal { schema: SCHEMA, image_bytes, sha256: hashes(iso, manifest, esp, image_bytes)? };
    let write = || {
        let text = seal.render().ok_or_else(|| io::Error::other("the seal is longer than its place"))?;
        let file = File::options().write(true).open(path)?;
        file.write_all_at(&text, entry.offset)?;
        file.sync_all()
    };
    write().map_err(|source| SealError::Write { path: path.into(), source })
}

fn hashes(
    iso: &Iso,
    manifest: &Manifest,
    esp: Option<Range<u64>>,
    image_bytes: u64,
) -> Result<BTreeMap<Piece, String>, IsoReadError> {
    let mut found = BTreeMap::new();
    let extent = |path: &str| iso.find(path).map(|entry| entry.offset..entry.offset + entry.size);
    // What has a hash elsewhere, or cannot have one.
    let mut known: Vec<Range<u64>> = manifest.files.iter().filter_map(|file| extent(&file.path)).collect();
    known.extend([SEAL_PATH, EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH].into_iter().filter_map(extent));
    known.extend(esp);
    let backup = image_bytes.saturating_sub(BACKUP_BYTES)..image_bytes;
    for (piece, range) in [
        (Piece::BootCode, Some(0..BOOT_CODE_BYTES)),
        (Piece::PartitionTables, Some(BOOT_CODE_BYTES..SYSTEM_AREA_BYTES)),
        (Piece::VolumeDescriptors, Some(SYSTEM_AREA_BYTES..SYSTEM_AREA_BYTES + DESCRIPTORS_BYTES)),
        (Piece::BootCatalogue, extent(CATALOGUE_PATH)),
        (Piece::BiosImage, extent(ELTORITO_PATH)),
        (Piece::Manifest, extent(MANIFEST_PATH)),
        (Piece::BackupPartitionTable, Some(backup)),
    ] {
        // A file that is missing is named as that.
        if let Some(range) = range {
            found.insert(piece, iso.hash(std::slice::from_ref(&range))?);
            known.push(range);
        }
    }
    found.insert(Piece::Rest, iso.hash(&gaps(known, image_bytes))?);
    Ok(found)
}

/// What lies between `known` in 0..`end`.
fn gaps(mut known: Vec<Range<u64>>, end: u64) -> Vec<Range<u64>> {
    known.sort_by_key(|range| range.start);
    known.push(end..end);
    let mut at = 0;
    let mut gaps = Vec::new();
    for range in known {
        if range.start > at {
            gaps.push(at..range.start.min(end));
        }
        at = at.max(range.end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_left() {
        assert_eq!(gaps(vec![5..7, 0..2, 6..8, 9..9], 12), [2..5, 8..9, 9..12]);
        assert!(gaps(vec![0..5, 5..12], 12).is_empty());
        assert_eq!(gaps(vec![3..4, 1..2], 3), [0..1, 2..3]);
    }
}
