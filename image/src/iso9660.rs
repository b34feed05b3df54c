//! Reads ISO 9660 images with Rock Ridge names: enough to list and read the files of our own medium, streaming, without
//! mounting it. ECMA-119 for the file system, IEEE P1282 (RRIP) for the names.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use sovereign_model::exit::ExitCode;

use crate::{file, hash};

/// Bytes of a sector.
pub const SECTOR: u64 = 2048;
/// The same, for lengths in memory.
const SECTOR_LENGTH: usize = 2048;
/// The first volume descriptor is in sector 16 (ECMA-119, 6.2.1).
const PRIMARY_DESCRIPTOR: u64 = 16 * SECTOR;
/// Directories deeper than this are not ours; the limit ends loops in a damaged image.
const DEEPEST: usize = 8;
/// A directory larger than this is not ours.
const LARGEST_FOLDER: u64 = 1 << 20;

/// The longest file that is read into memory: package lists have some megabytes.
const LARGEST_CONTENT: u64 = 64 << 20;
/// More files and folders than this are not ours; the limit ends what a damaged or hostile image makes of a few
/// folders.
const MOST_ENTRIES: usize = 100_000;

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IsoReadError {
    /// There is no such file, or it must not be read.
    #[error("cannot open {path}")]
    Open {
        /// What was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder, a pipe or the like.
    #[error("{path} is neither a file nor a block device: give an image or a stick")]
    Kind {
        /// What was given.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is not an ISO 9660 image")]
    NotIso {
        /// The image.
        path: PathBuf,
    },
    /// The end is missing.
    #[error(
        "{path} is cut short by {} bytes: it says it has {wanted}, but there are {found}; copy or download it again",
        wanted - found
    )]
    Truncated {
        /// The image.
        path: PathBuf,
        /// Bytes by the volume descriptor.
        wanted: u64,
        /// Bytes there.
        found: u64,
    },
    /// A file is far longer than any of its kind.
    #[error(
        "{path} is damaged: its file {file} has {size} bytes, and should be small; copy or download the image again"
    )]
    TooLarge {
        /// The image.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// Its length in bytes.
        size: u64,
    },
    /// A directory makes no sense.
    #[error("{path} is damaged: the directory at byte {offset} cannot be read; copy or download the image again")]
    Damaged {
        /// The image.
        path: PathBuf,
        /// Where the directory begins.
        offset: u64,
    },
}

impl IsoReadError {
    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Open { .. } | Self::Kind { .. } => ExitCode::BadInput,
            Self::Read { .. }
            | Self::NotIso { .. }
            | Self::Truncated { .. }
            | Self::TooLarge { .. }
            | Self::Damaged { .. } => ExitCode::BadMedium,
        }
    }
}

/// A file in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path without a leading slash.
    pub path: String,
    /// Where its content begins, bytes from the start of the image.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// An open image.
#[derive(Debug)]
pub struct Iso {
    file: File,
    path: PathBuf,
    /// A file, not a device: it ends where the image does.
    pub is_file: bool,
    /// Volume identifier.
    pub volume_id: String,
    /// Length in bytes of the file.
    pub file_bytes: u64,
    /// Length in bytes by the volume descriptor.
    pub volume_bytes: u64,
    /// Every file, sorted by path.
    pub entries: Vec<Entry>,
}

impl Iso {
    /// Opens an image and reads its directories. An image shorter than it says is an error.
    pub fn open(path: &Path) -> Result<Self, IsoReadError> {
        let iso = Self::open_short(path)?;
        if iso.file_bytes < iso.volume_bytes { Err(iso.truncated()) } else { Ok(iso) }
    }

    /// The same for an image that may be shorter than it says, if its directories are there: files may lie beyond its
    /// end.
    pub fn open_short(path: &Path) -> Result<Self, IsoReadError> {
        let read = |source| IsoReadError::Read { path: path.into(), source };
        let mut file = file::open(path).map_err(|source| IsoReadError::Open { path: path.into(), source })?;
        let kind = file.metadata().map_err(read)?.file_type();
        let is_file = kind.is_file();
        if !is_file && !kind.is_block_device() {
            return Err(IsoReadError::Kind { path: path.into() });
        }
        // Block devices have no length but an end.
        let file_bytes = file.seek(SeekFrom::End(0)).map_err(read)?;
        let not_iso = || IsoReadError::NotIso { path: path.into() };
        let mut descriptor = vec![0; SECTOR_LENGTH];
        file.seek(SeekFrom::Start(PRIMARY_DESCRIPTOR)).map_err(read)?;
        match file.read_exact(&mut descriptor) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(not_iso()),
            other => other.map_err(read)?,
        }
        // Type 1 (primary), standard identifier (ECMA-119, 8.4).
        if descriptor[0] != 1 || &descriptor[1..6] != b"CD001" {
            return Err(not_iso());
        }
        let volume_bytes = u64::from(le32(&descriptor, 80)) * SECTOR;
        let volume_id = String::from_utf8_lossy(&descriptor[40..72]).trim_end().to_owned();
        let mut iso =
            Self { file, path: path.into(), is_file, volume_id, file_bytes, volume_bytes, entries: Vec::new() };
        // The root directory's record is part of the descriptor (8.4.18).
        let root = &descriptor[156..190];
        let (extent, size) = (u64::from(le32(root, 2)) * SECTOR, u64::from(le32(root, 10)));
        let found = iso.folder("", extent, size, 0);
        found.map_err(|error| if file_bytes < volume_bytes { iso.truncated() } else { error })?;
        iso.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(iso)
    }

    /// The error of an image that is shorter than it says.
    pub fn truncated(&self) -> IsoReadError {
        IsoReadError::Truncated { path: self.path.clone(), wanted: self.volume_bytes, found: self.file_bytes }
    }

    /// The file of this path.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Reads a piece of the image.
    pub fn piece(&self, offset: u64, size: u64) -> Result<impl Read + '_, IsoReadError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset)).map_err(|source| IsoReadError::Read { path: self.path.clone(), source })?;
        Ok(file.take(size))
    }

    /// The whole content of a small file; a large one is an error.
    pub fn content(&self, entry: &Entry) -> Result<Vec<u8>, IsoReadError> {
        if entry.size > LARGEST_CONTENT {
            let (path, file) = (self.path.clone(), entry.path.clone());
            return Err(IsoReadError::TooLarge { path, file, size: entry.size });
        }
        let mut content = Vec::new();
        self.piece(entry.offset, entry.size)?
            .read_to_end(&mut content)
            .map_err(|source| IsoReadError::Read { path: self.path.clone(), source })?;
        Ok(content)
    }

    /// SHA-256 of some ranges, one after the other.
    pub fn hash(&self, ranges: &[Range<u64>]) -> Result<String, IsoReadError> {
        hash::ranges(&self.file, ranges).map_err(|source| IsoReadError::Read { path: self.path.clone(), source })
    }

    fn folder(&mut self, prefix: &str, offset: u64, size: u64, depth: usize) -> Result<(), IsoReadError> {
        let damaged = || IsoReadError::Damaged { path: self.path.clone(), offset };
        let end = self.file_bytes.max(self.volume_bytes);
        if depth > DEEPEST || size > LARGEST_FOLDER || offset.saturating_add(size) > self.file_bytes {
            return Err(damaged());
        }
        let data = self.content(&Entry { path: String::new(), offset, size })?;
        let mut folders = Vec::new();
        for record in records(&data).ok_or_else(damaged)? {
            if self.entries.len() + folders.len() >= MOST_ENTRIES {
                return Err(damaged());
            }
            let path = if prefix.is_empty() { record.name } else { format!("{prefix}/{}", record.name) };
            if record.offset.saturating_add(record.size) > end {
                return Err(damaged());
            }
            if record.folder {
                folders.push((path, record.offset, record.size));
            } else {
                self.entries.push(Entry { path, offset: record.offset, size: record.size });
            }
        }
        for (path, offset, size) in folders {
            self.folder(&path, offset, size, depth + 1)?;
        }
        Ok(())
    }
}

struct Record {
    name: String,
    offset: u64,
    size: u64,
    folder: bool,
}

/// The records of a directory but for `.` and `..`; `None` if they make no sense.
fn records(data: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let length = usize::from(data[at]);
        if length == 0 {
            // Records do not cross sectors: the rest of this one is empty (ECMA-119, 6.8.1.1).
            at = (at + 1).next_multiple_of(SECTOR_LENGTH);
            continue;
        }
        let record = data.get(at..at + length)?;
        at += length;
        let name_length = usize::from(*record.get(32)?);
        let name = record.get(33..33 + name_length)?;
        if name == [0] || name == [1] {
            continue;
        }
        // The system use area begins at an even offset.
        let system_use = record.get((33 + name_length).next_multiple_of(2)..).unwrap_or_default();
        records.push(Record {
            name: rock_ridge_name(system_use).unwrap_or_else(|| plain_name(name)),
            offset: u64::from(le32(record, 2)) * SECTOR,
            size: u64::from(le32(record, 10)),
            folder: record[25] & 2 != 0,
        });
    }
    Some(records)
}

/// The name in NM entries (RRIP 4.1.4): signature, length, version, flags, text.
fn rock_ridge_name(mut area: &[u8]) -> Option<String> {
    let mut name = Vec::new();
    while area.len() >= 5 {
        let length = usize::from(area[2]);
        let entry = area.get(..length).filter(|entry| entry.len() >= 4)?;
        if &entry[..2] == b"NM" {
            name.extend_from_slice(entry.get(5..)?);
        }
        area = &area[length..];
    }
    (!name.is_empty()).then(|| String::from_utf8_lossy(&name).into_owned())
}

/// `GRUB.CFG;1` is `grub.cfg`.
fn plain_name(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name).to_lowercase();
    text.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn le32(data: &[u8], at: usize) -> u32 {
    data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::FileExt;

    fn image(dir: &Path) -> PathBuf {
        let tree = dir.join("tree");
        fs::create_dir_all(tree.join("Boot/a folder with a long name")).unwrap();
        fs::write(tree.join("Boot/a folder with a long name/A File.with.dots"), "hello").unwrap();
        for i in 0..60 {
            // More than one sector of records.
            fs::write(tree.join(format!("file-number-{i:03}-with-a-name-longer-than-eight")), vec![b'x'; i]).unwrap();
        }
        let iso = dir.join("x.iso");
        crate::tool::Call::new(crate::tool::Tool::Xorriso)
            .args(["-as", "mkisofs", "-quiet", "-V", "SOVEREIGN_INSTALLER", "-r", "-o"])
            .arg(&iso)
            .arg(&tree)
            .run()
            .unwrap();
        iso
    }

    #[test]
    fn files_of_an_image_by_xorriso() {
        let dir = tempfile::tempdir().unwrap();
        let iso = Iso::open(&image(dir.path())).unwrap();
        assert_eq!(iso.volume_id, "SOVEREIGN_INSTALLER");
        assert_eq!(iso.entries.len(), 61);
        let entry = iso.find("Boot/a folder with a long name/A File.with.dots").unwrap();
        assert_eq!(iso.content(entry).unwrap(), b"hello");
        assert_eq!(iso.find("file-number-059-with-a-name-longer-than-eight").unwrap().size, 59);
    }

    #[test]
    fn a_file_that_an_altered_image_makes_huge_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let name = "file-number-059-with-a-name-longer-than-eight";
        let bytes = fs::read(&path).unwrap();
        let at = bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        // Its record: the name in Rock Ridge's entry follows the length, which stands twice, in both byte orders
        // (ECMA-119, 9.1.4).
        let length = [59, 0, 0, 0, 0, 0, 0, 59];
        let at = bytes[..at].windows(8).rposition(|window| window == length).unwrap() as u64;
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&0xf000_0000_u32.to_le_bytes(), at).unwrap();
        file.set_len(5 << 30).unwrap();
        let iso = Iso::open(&path).unwrap();
        let error = iso.content(iso.find(name).unwrap()).unwrap_err();
        assert!(matches!(&error, IsoReadError::TooLarge { file, size: 0xf000_0000, .. } if file == name), "{error}");
    }

    #[test]
    fn a_short_image_says_by_how_much() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let whole = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(100_000).unwrap();
        let error = Iso::open(&path).unwrap_err();
        assert!(matches!(error, IsoReadError::Truncated { found: 100_000, wanted, .. } if wanted <= whole), "{error}");
    }

    #[test]
    fn something_else_is_not_an_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for content in [vec![], vec![0; 100_000]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(Iso::open(&path), Err(IsoReadError::NotIso { .. })));
        }
    }

    #[test]
    fn damaged_directories_end_in_an_error_not_in_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let whole = fs::read(&path).unwrap();
        let root = u64::from(le32(&whole, 16 * 2048 + 158)) * SECTOR;
        let file = File::options().write(true).open(&path).unwrap();
        let mut refused = 0;
        for step in 0..400 {
            let at = root + step * 7 % 4096;
            let byte = whole[usize::try_from(at).unwrap()];
            // In place: a file written anew goes through the disk each time.
            file.write_all_at(&[!byte], at).unwrap();
            refused += usize::from(Iso::open(&path).is_err());
            file.write_all_at(&[byte], at).unwrap();
        }
        assert!(refused > 0);
    }
}
