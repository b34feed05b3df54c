//! `sovereign-image verify`: is every byte of a medium what the builder wrote?

use std::io::Read;
use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{
    EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH, MANIFEST_PATH, Manifest, MediumFile, check_embedded_site,
};

use crate::boot;
use crate::hash;
use crate::inspect::{self, InspectError};
use crate::iso::{CATALOGUE_PATH, ELTORITO_PATH};
use crate::iso9660::{Entry, Iso, IsoReadError};
use crate::progress::{Progress, Task};
use crate::seal::{SEAL_PATH, Seal, SealError};

/// Why a medium must not be used.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read, or is none of ours.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Something on it is not what was built.
    #[error(
        "{path} is damaged or was altered; do not install from it, copy or download it again:\n  {}",
        .problems.join("\n  ")
    )]
    Damaged {
        /// The image.
        path: String,
        /// Every difference found.
        problems: Vec<String>,
    },
}

impl VerifyError {
    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Inspect(error) => error.exit_code(),
            Self::Damaged { .. } => ExitCode::BadMedium,
        }
    }
}

impl From<IsoReadError> for VerifyError {
    fn from(error: IsoReadError) -> Self {
        Self::Inspect(error.into())
    }
}

/// What was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the medium says about itself.
    pub manifest: Manifest,
    /// Length of the image in bytes; a stick has more.
    pub bytes: u64,
    /// Whether a site file is embedded, with the hash it was embedded with.
    pub site: bool,
}

/// Compares all files of a medium with its manifest, its boot images with what was written down about them, and
/// everything else with the seal.
pub fn verify(path: &Path, progress: &Progress) -> Result<Verified, VerifyError> {
    let (iso, manifest) = inspect::open(path)?;
    let mut problems = structure(&iso.entries, &manifest);
    let seal = match Seal::read(&iso) {
        Ok(seal) if iso.file_bytes < seal.image_bytes => {
            return Err(
                IsoReadError::Truncated { path: path.into(), wanted: seal.image_bytes, found: iso.file_bytes }.into()
            );
        }
        Ok(seal) => Some(seal),
        Err(SealError::Read(error)) => return Err(error.into()),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    let total = manifest.files.iter().map(|file| file.size.get()).sum();
    let task = progress.bytes("checking the medium", total);
    for file in &manifest.files {
        if let Some(entry) = iso.find(&file.path).filter(|entry| entry.size == file.size.get()) {
            problems.extend(content(&iso, entry, file, &task)?);
        }
    }
    drop(task);
    let site = embedded_site(&iso)?;
    problems.extend(site.as_ref().err().cloned());
    let boot = boot::examine(path, &iso)?;
    let esp = boot.esp();
    problems.extend(boot.problems);
    let mut bytes = iso.file_bytes;
    if let Some(seal) = seal {
        bytes = seal.image_bytes;
        if iso.is_file && iso.file_bytes > bytes {
            problems.push(format!("{} bytes follow the end of the image", iso.file_bytes - bytes));
        }
        // The boot images have been looked at already, in another way.
        for problem in seal.problems(&iso, &manifest, esp)? {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    if let (true, Ok(site)) = (problems.is_empty(), site) {
        return Ok(Verified { manifest, bytes, site });
    }
    Err(VerifyError::Damaged { path: path.display().to_string(), problems })
}

/// Whether a site file is embedded; `Err` says what is wrong with it.
fn embedded_site(iso: &Iso) -> Result<Result<bool, String>, IsoReadError> {
    let content = |path| iso.find(path).map(|entry| iso.content(entry)).transpose();
    let (site, sum) = (content(EMBEDDED_SITE_PATH)?, content(EMBEDDED_SITE_SUM_PATH)?);
    Ok(check_embedded_site(site.as_deref(), sum.as_deref()).map_err(|error| error.to_string()))
}

/// Missing files, files of another length, and files nobody knows.
fn structure(entries: &[Entry], manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    for file in &manifest.files {
        match entries.iter().find(|entry| entry.path == file.path) {
            None => problems.push(format!("{} is missing", file.path)),
            Some(entry) if entry.size != file.size.get() => {
                problems.push(format!("{} has {} bytes, the manifest says {}", file.path, entry.size, file.size.get()));
            }
            Some(_) => (),
        }
    }
    let known = [MANIFEST_PATH, SEAL_PATH, EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH, ELTORITO_PATH, CATALOGUE_PATH];
    for entry in entries {
        if !known.contains(&entry.path.as_str()) && !manifest.files.iter().any(|file| file.path == entry.path) {
            problems.push(format!("{} is not in the manifest", entry.path));
        }
    }
    problems
}

fn content(iso: &Iso, entry: &Entry, file: &MediumFile, task: &Task<'_>) -> Result<Option<String>, IsoReadError> {
    let reader = Counted { inner: iso.piece(entry.offset, entry.size)?, task };
    Ok(match hash::reader(reader) {
        Ok((found, _)) if found == file.sha256 => None,
        Ok((found, _)) => Some(format!("{} has SHA-256 {found}, the manifest says {}", file.path, file.sha256)),
        Err(error) => Some(format!("{} cannot be read: {error}", file.path)),
    })
}

/// Tells the progress bar what goes through.
struct Counted<'t, R> {
    inner: R,
    task: &'t Task<'t>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.task.add(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use sovereign_model::Bytes;
    use sovereign_model::medium::BASE_PATH;
    use std::fs;

    fn manifest(files: &[(&str, u64)]) -> Manifest {
        Manifest {
            schema: 1,
            version: "1".to_owned(),
            edition: "e".to_owned(),
            edition_label: "l".to_owned(),
            build_id: String::new(),
            epoch: 0,
            suite: "s".to_owned(),
            kernel: "k".to_owned(),
            unpacked: Bytes(0),
            guests: None,
            files: files
                .iter()
                .map(|(path, size)| MediumFile { path: (*path).to_owned(), size: Bytes(*size), sha256: String::new() })
                .collect(),
        }
    }

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.to_owned(), offset: 0, size }
    }

    #[test]
    fn missing_longer_and_foreign_files_are_named() {
        let entries = [entry("b", 3), entry("foreign", 1), entry(MANIFEST_PATH, 9), entry(EMBEDDED_SITE_PATH, 9)];
        assert_eq!(
            structure(&entries, &manifest(&[("a", 1), ("b", 2)])),
            ["a is missing", "b has 3 bytes, the manifest says 2", "foreign is not in the manifest"]
        );
    }

    fn check(path: &Path) -> Result<Verified, String> {
        verify(path, &Progress::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bit_that_changed_anywhere_is_found_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture::image(dir.path());
        let length = fs::metadata(&path).unwrap().len();
        let whole = check(&path).unwrap();
        assert_eq!((whole.bytes, whole.site), (length, false));
        let (iso, _) = inspect::open(&path).unwrap();
        let file = |path: &str| iso.find(path).unwrap().offset;
        let esp = boot::examine(&path, &iso).unwrap().esp().unwrap();
        let cases = [
            ("boot code", 100, "the boot code of the master boot record was altered"),
            ("address in the boot code", 434, "the boot code of the master boot record was altered"),
            ("disk signature", 441, "the partition table at the beginning was altered"),
            ("active flag", 446 + 16, "no master boot record"),
            ("length of the protective entry", 446 + 12, "the protective entry of the master boot record covers"),
            ("primary GPT header", 512 + 56, "one of the two GPT headers is not valid"),
            ("primary GPT entries", 1024 + 300, "the partition table at the beginning was altered"),
            ("system area", 30_000, "the partition table at the beginning was altered"),
            ("application identifier", 32_768 + 600, "a volume descriptor was altered"),
            ("volume identifier", 32_768 + 40, "is not an installation medium of ours"),
            ("signature of the primary volume descriptor", 32_768 + 1, "is not an ISO 9660 image"),
            ("boot record", 17 * 2048 + 8, "no El Torito record"),
            ("catalogue", file(CATALOGUE_PATH) + 34, "boot/grub/boot.cat was altered"),
            ("GRUB for BIOS", file(ELTORITO_PATH) + 20_000, "boot/grub/i386-pc/eltorito.img was altered"),
            ("address in GRUB for BIOS", file(ELTORITO_PATH) + 10, "boot/grub/i386-pc/eltorito.img was altered"),
            ("EFI system partition", esp.start + 99_999, "the EFI system partition was altered"),
            ("kernel", file("boot/vmlinuz") + 50_000, "boot/vmlinuz has SHA-256"),
            ("packages", file(BASE_PATH) + 7_000_000, "sovereign/base.squashfs has SHA-256"),
            ("padding of a file", file("boot/vmlinuz") + 50_002, "something between the files"),
            ("manifest", file(MANIFEST_PATH) + 40, "sovereign/manifest.json"),
            ("name in the manifest", manifest_at(&path, b"a test"), "sovereign/manifest.json was altered"),
            ("seal", file(SEAL_PATH) + 30, "sovereign/seal.json was altered"),
            ("padding of the seal", file(SEAL_PATH) + 2000, "sovereign/seal.json was altered"),
            ("backup GPT entries", length - 33 * 512 + 5000, "the partition table at the end was altered"),
            ("backup GPT header", length - 512 + 24, "one of the two GPT headers is not valid"),
            ("last byte", length - 1, "the partition table at the end was altered"),
        ];
        for (what, offset, wanted) in cases {
            fixture::flip(&path, offset);
            let said = check(&path).expect_err(what);
            assert!(said.contains(wanted), "{what}: {said}");
            fixture::flip(&path, offset);
        }
        assert_eq!(check(&path).unwrap().bytes, length);
    }

    fn manifest_at(path: &Path, text: &[u8]) -> u64 {
        let image = fs::read(path).unwrap();
        image.windows(text.len()).position(|window| window == text).unwrap() as u64
    }

    #[test]
    fn an_image_that_is_short_by_anything_says_so_and_one_that_is_long_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture::image(dir.path());
        let length = fs::metadata(&path).unwrap().len();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(length + 512).unwrap();
        assert!(check(&path).unwrap_err().contains("512 bytes follow the end of the image"));
        for cut in [1, 512, 300_000, 1_000_000, 10_000_000] {
            file.set_len(length - cut).unwrap();
            let said = check(&path).unwrap_err();
            assert!(said.contains("is cut short") && said.contains(&format!("there are {}", length - cut)), "{said}");
        }
    }
}
