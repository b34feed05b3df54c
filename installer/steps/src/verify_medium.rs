//! Step `verify-medium`: every byte that will be unpacked is what the builder wrote, and the kernel is the target's.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use sovereign_engine::{Harmless, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::event::Amount;
use sovereign_model::medium::{
    self, BASE_PATH, GUEST_PATH, KERNEL_PATH, LIVE_PATH, MANIFEST_PATH, Manifest, MediumFile, TARGET_PATH,
    WORKLOADS_PATH, guest_role_path,
};
use sovereign_model::plan::{Guests, VolumeContent};

use crate::context::Context;
use crate::create_guest_base::{base_size, images_size};
use crate::fail::OrStep;
use crate::guests::{extent_bytes, workloads};

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
        if let Some(guests) = &context.plan.guests {
            guests_fit(guests, context.manifest.guests.as_ref(), images_size(&context.manifest))?;
            if let Some(note) = workloads::check(context)? {
                report.log(note);
            }
        }
        let files = wanted(&context.manifest, context.plan.guests.is_some())?;
        let total = Bytes(files.iter().map(|f| f.size.get()).sum());
        let mut done = Bytes::ZERO;
        for file in files {
            let note = format!("checking {}", file.path);
            verify_file(&context.medium, file, &mut |bytes| {
                done = Bytes(done.0.saturating_add(bytes));
                report.amount(Amount { done, total }, note.as_str());
                !report.is_cancelled()
            })?;
        }
        Ok(())
    }

    fn check(&self, _: &mut Context) -> Result<(), StepError> {
        Ok(())
    }
}

/// What is put on the disks: the file systems and the kernel, and those of guests where there are to be some.
fn wanted(manifest: &Manifest, guests: bool) -> Result<Vec<&MediumFile>, StepError> {
    let mut paths = vec![BASE_PATH.to_owned(), TARGET_PATH.to_owned(), LIVE_PATH.to_owned(), KERNEL_PATH.to_owned()];
    if let Some(on_medium) = manifest.guests.as_ref().filter(|_| guests) {
        paths.push(GUEST_PATH.to_owned());
        paths.extend(on_medium.roles.iter().map(|role| guest_role_path(&role.name)));
        if !on_medium.workloads.is_empty() {
            paths.push(WORKLOADS_PATH.to_owned());
        }
    }
    let listed = |path: &String| manifest.files.iter().find(|f| f.path == *path);
    paths
        .iter()
        .map(|path| {
            listed(path).ok_or_else(|| StepError::new(format!("the manifest does not list {path}")).next(DAMAGED))
        })
        .collect()
}

/// The medium has every role of the plan, and each system fits its volume; images of workloads take `images` on the medium.
fn guests_fit(planned: &Guests, on_medium: Option<&medium::Guests>, images: Bytes) -> Result<(), StepError> {
    const UNCHANGED: &str = "No disk was changed.";
    let Some(on_medium) = on_medium else {
        return Err(StepError::new("this medium has no guests' file systems, and the site file asks for guests").next(
            format!("Remove [guests] from the site file, or use a medium of an edition with guests. {UNCHANGED}"),
        ));
    };
    let needed = base_size(on_medium, images);
    for guest in &planned.guests {
        let role = &guest.role;
        if !on_medium.roles.iter().any(|known| known.name == role.as_str()) {
            return Err(StepError::new(format!("this medium has no file system of the role `{role}`"))
                .next(format!("Use the medium that this installer belongs to. {UNCHANGED}")));
        }
        let root = guest.volumes.iter().find(|volume| matches!(volume.content, VolumeContent::Root { .. }));
        let there = root.map_or(Bytes::ZERO, |volume| extent_bytes(volume.extents));
        if there < needed {
            let short = needed.saturating_sub(there);
            return Err(StepError::new(format!(
                "the system of the guest `{role}` has {there}, and the guests' base takes {needed} ({} bytes): {} bytes are missing",
                needed.exact(),
                short.exact()
            ))
            .next(format!("Raise guests.roles.{role}.ssd in the site file, or do not pin it. {UNCHANGED}")));
        }
    }
    Ok(())
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
    use crate::testing::context;

    #[test]
    fn guests_that_the_medium_cannot_make_are_refused_before_anything_is_erased() {
        let target = tempfile::tempdir().unwrap();
        let planned = context("reference", target.path()).0.plan.guests.unwrap();
        let fit = |on_medium: Option<&medium::Guests>| guests_fit(&planned, on_medium, Bytes::mib(50));
        let refused = |on_medium: Option<&medium::Guests>| fit(on_medium).unwrap_err().render();
        assert!(refused(None).contains("has no guests' file systems"));
        let role = |name: &str| medium::GuestRole { name: name.to_owned(), unpacked: Bytes::mib(100) };
        let roles = vec![role("core"), role("edge")];
        let mut on_medium =
            medium::Guests { kernel: "6".to_owned(), unpacked: Bytes::gib(1), roles, workloads: Vec::new() };
        assert!(refused(Some(&on_medium)).contains("no file system of the role `storage`"));
        on_medium.roles.push(role("storage"));
        fit(Some(&on_medium)).unwrap();
        // The smallest system is that of `edge`: 20,002,635,776 bytes.
        on_medium.unpacked = Bytes(20_002_635_776);
        let text = refused(Some(&on_medium));
        assert!(text.contains("`edge` has 20.0 GB") && text.contains("bytes are missing"), "{text}");
    }

    #[test]
    fn the_images_of_workloads_are_checked_where_there_are_some_and_guests_to_run_them() {
        let target = tempfile::tempdir().unwrap();
        let mut manifest = context("reference", target.path()).0.manifest;
        let [role, name, image, digest] = ["edge", "traefik", "r.example/traefik:1", "sha256:00"].map(str::to_owned);
        let workloads = vec![medium::MediumWorkload { role, name, image, digest }];
        let kernel = "6".to_owned();
        manifest.guests = Some(medium::Guests { kernel, unpacked: Bytes(1), roles: Vec::new(), workloads });
        let file = |path: &str| MediumFile { path: path.to_owned(), size: Bytes(1), sha256: String::new() };
        manifest.files = [BASE_PATH, TARGET_PATH, LIVE_PATH, KERNEL_PATH, GUEST_PATH].map(file).to_vec();
        assert_eq!(wanted(&manifest, false).unwrap().len(), 4);
        let error = wanted(&manifest, true).unwrap_err().render();
        assert!(error.contains("does not list sovereign/workloads.squashfs"), "{error}");
        manifest.files.push(file(WORKLOADS_PATH));
        assert_eq!(wanted(&manifest, true).unwrap().last().unwrap().path, WORKLOADS_PATH);
        manifest.guests.as_mut().unwrap().workloads.clear();
        assert_eq!(wanted(&manifest, true).unwrap().len(), 5);
    }

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
