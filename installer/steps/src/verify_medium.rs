//! Step `verify-medium`: every byte that will be unpacked is what the builder wrote, and the kernel is the target's.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use sovereign_engine::{Harmless, Report, Step, StepError};
use sovereign_model::medium::{BASE_PATH, KERNEL_PATH, LIVE_PATH, MANIFEST_PATH, Manifest, MediumFile, TARGET_PATH};

use crate::context::Context;
use crate::fail::OrStep;
use crate::wipe::percent;

const DAMAGED: &str =
    "The medium is damaged or incomplete. Write or attach it again and start over; no disk was changed.";

/// See the module.
pub struct VerifyMedium;

/// Reads the manifest of the medium mounted at `medium`.
///
/// # Errors
/// It is missing or not valid.
pub fn read_manifest(medium: &Path) -> Result<Manifest, StepError> {
    let path = medium.join(MANIFEST_PATH);
    let what = format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(&path).or_step(&what).map_err(|e| e.next(DAMAGED))?;
    serde_json::from_str(&text).or_step(&what).map_err(|e| e.next(DAMAGED))
}

/// Compares one file of the medium mounted at `medium` with what the manifest says. `go_on` is called with the bytes of each piece
/// that was read, and stops the check by saying no.
///
/// # Errors
/// It cannot be read, is altered or truncated; or the check was stopped ([`StepError::cancelled`]).
pub fn verify_file(medium: &Path, file: &MediumFile, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), StepError> {
    let path = medium.join(&file.path);
    let what = format!("cannot read {}", path.display());
    let sum = hash(&path, go_on).or_step(&what).map_err(|e| e.next(DAMAGED))?;
    let Some((length, sum)) = sum else { return Err(StepError::cancelled()) };
    if length == file.size.get() && sum == file.sha256 {
        return Ok(());
    }
    Err(StepError::new(format!(
        "{} is altered or truncated: {length} bytes with SHA-256 {sum} instead of {} bytes with {}",
        file.path,
        file.size.get(),
        file.sha256
    ))
    .next(DAMAGED))
}

impl Step<Context, Harmless> for VerifyMedium {
    fn name(&self) -> &'static str {
        "verify-medium"
    }

    fn describe(&self, context: &Context) -> String {
        format!("check the file systems of the medium against its manifest (build {})", context.manifest.build_id)
    }

    fn run(&self, context: &mut Context, _: &Harmless, report: &Report<'_>) -> Result<(), StepError> {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        if kernel != context.manifest.kernel {
            // A newer kernel writes md superblocks that an older one refuses to assemble.
            return Err(StepError::new(format!(
                "the running kernel {kernel} is not the one that will be installed, {}",
                context.manifest.kernel
            ))
            .next("Boot the medium itself: arrays made by another kernel may not start on the installed system."));
        }
        let files = wanted(&context.manifest)?;
        let total: u64 = files.iter().map(|f| f.size.get()).sum();
        let mut done = 0;
        for file in files {
            let note = format!("checking {}", file.path);
            verify_file(&context.medium, file, &mut |bytes| {
                done += bytes;
                report.progress(percent(done, total), note.as_str());
                !report.is_cancelled()
            })?;
        }
        Ok(())
    }

    fn check(&self, _: &mut Context) -> Result<(), StepError> {
        Ok(())
    }
}

/// What is put on the disks: the file systems and the kernel.
fn wanted(manifest: &Manifest) -> Result<Vec<&MediumFile>, StepError> {
    [BASE_PATH, TARGET_PATH, LIVE_PATH, KERNEL_PATH]
        .iter()
        .map(|path| {
            manifest
                .files
                .iter()
                .find(|f| f.path == *path)
                .ok_or_else(|| StepError::new(format!("the manifest does not list {path}")).next(DAMAGED))
        })
        .collect()
}

/// Length and SHA-256 of a file; `None` where `go_on`, called with the bytes of each piece, says no.
fn hash(path: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> std::io::Result<Option<(u64, String)>> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
        if !go_on(read as u64) {
            return Ok(None);
        }
    }
    let sum = hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(Some((length, sum)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_model::Bytes;

    #[test]
    fn a_file_is_hashed_and_a_cancel_stops_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        // FIPS 180-4, the example of one block.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash(file.path(), &mut |_| true).unwrap(), Some((3, sum.to_owned())));
        assert_eq!(hash(file.path(), &mut |_| false).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_not_what_the_manifest_says_is_called_altered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let mut file = MediumFile { path: "f".into(), size: Bytes(3), sha256 };
        verify_file(dir.path(), &file, &mut |_| true).unwrap();
        std::fs::write(dir.path().join("f"), "abd").unwrap();
        let error = verify_file(dir.path(), &file, &mut |_| true).unwrap_err();
        assert!(error.render().contains("altered or truncated"), "{}", error.render());
        file.path = "g".into();
        assert!(verify_file(dir.path(), &file, &mut |_| true).unwrap_err().render().contains("cannot read"));
    }

    #[test]
    fn a_medium_without_manifest_is_called_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_manifest(dir.path()).unwrap_err();
        assert!(error.render().contains("The medium is damaged"), "{}", error.render());
    }
}
