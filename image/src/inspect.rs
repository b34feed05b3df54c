//! `sovereign-image inspect`: what is on a medium.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use sovereign_model::Bytes;
use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{EMBEDDED_SITE_PATH, MANIFEST_PATH, Manifest, MediumWorkload, VOLUME_ID};

use crate::boot::{self, BootReport};
use crate::epoch;
use crate::iso9660::{Iso, IsoReadError};
use crate::seal::{Seal, SealError};

/// Why a medium cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] IsoReadError),
    /// It is another medium.
    #[error("{path} is not an installation medium of ours: its volume is `{found}`, not `{VOLUME_ID}`")]
    OtherVolume {
        /// The image.
        path: String,
        /// Its volume identifier.
        found: String,
    },
    /// It does not say what it is.
    #[error("{path} has no {MANIFEST_PATH}: it is damaged, or was made by something else")]
    NoManifest {
        /// The image.
        path: String,
    },
    /// It can be described, and must not be used.
    #[error(
        "{path} has the problems that the report lists; do not install from it, copy or download it again. \
         `sovereign-image verify` compares everything on it"
    )]
    Problems {
        /// The image.
        path: String,
    },
    /// What it says cannot be read.
    #[error("{MANIFEST_PATH} in {path} cannot be read")]
    Manifest {
        /// The image.
        path: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

impl InspectError {
    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Read(error) => error.exit_code(),
            Self::OtherVolume { .. } | Self::NoManifest { .. } | Self::Problems { .. } | Self::Manifest { .. } => {
                ExitCode::BadMedium
            }
        }
    }
}

/// What is on a medium.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The image.
    pub path: String,
    /// Its length in bytes.
    pub size: Bytes,
    /// What the medium says about itself.
    pub manifest: Manifest,
    /// Whether a site file is embedded.
    pub embedded_site: bool,
    /// What firmware finds.
    pub boot: BootReport,
    /// What is wrong with its length and its boot records; empty if the medium can be used.
    pub problems: Vec<String>,
}

impl Report {
    /// An error where the report lists problems.
    pub fn judge(&self) -> Result<(), InspectError> {
        if self.problems.is_empty() { Ok(()) } else { Err(InspectError::Problems { path: self.path.clone() }) }
    }
}

/// Opens one of our media and reads its manifest.
pub fn open(path: &Path) -> Result<(Iso, Manifest), InspectError> {
    read(path, Iso::open(path)?)
}

/// Reads the manifest of one of our media.
fn read(path: &Path, iso: Iso) -> Result<(Iso, Manifest), InspectError> {
    let name = || path.display().to_string();
    if iso.volume_id != VOLUME_ID {
        return Err(InspectError::OtherVolume { path: name(), found: iso.volume_id });
    }
    let entry = iso.find(MANIFEST_PATH).ok_or_else(|| InspectError::NoManifest { path: name() })?;
    if entry.offset.saturating_add(entry.size) > iso.file_bytes {
        return Err(iso.truncated().into());
    }
    let manifest = serde_json::from_slice(&iso.content(entry)?)
        .map_err(|source| InspectError::Manifest { path: name(), source })?;
    Ok((iso, manifest))
}

/// Describes a medium, a damaged one too if it says what it is; nothing is compared but its length and what firmware
/// needs.
pub fn inspect(path: &Path) -> Result<Report, InspectError> {
    let (iso, manifest) = read(path, Iso::open_short(path)?)?;
    let mut problems = length(&iso)?;
    let mut boot = boot::examine(path, &iso)?;
    problems.append(&mut boot.problems);
    Ok(Report {
        path: path.display().to_string(),
        size: Bytes(iso.file_bytes),
        manifest,
        embedded_site: iso.find(EMBEDDED_SITE_PATH).is_some(),
        boot,
        problems,
    })
}

/// Is it as long as it was made? A stick is longer than the image on it.
fn length(iso: &Iso) -> Result<Vec<String>, IsoReadError> {
    let mut problems = Vec::new();
    let wanted = match Seal::read(iso) {
        Ok(seal) => seal.image_bytes,
        Err(SealError::Read(error)) => return Err(error),
        Err(error) => {
            problems.push(error.to_string());
            iso.volume_bytes
        }
    };
    if iso.file_bytes < wanted {
        problems.push(format!("cut short by {} bytes: it was made with {wanted}", wanted - iso.file_bytes));
    } else if iso.is_file && problems.is_empty() && iso.file_bytes > wanted {
        problems.push(format!("longer by {} bytes: it was made with {wanted}", iso.file_bytes - wanted));
    }
    Ok(problems)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let manifest = &self.manifest;
        let mut text = String::new();
        let mut row = |name: &str, value: &str| writeln!(text, "{name:<14}{value}");
        row("image", &self.path)?;
        row("size", &format!("{} ({} bytes)", self.size, self.size.exact()))?;
        row("version", &manifest.version)?;
        row("edition", &format!("{} ({})", manifest.edition, manifest.edition_label))?;
        row("build", &manifest.build_id)?;
        row("date", &epoch::iso8601(manifest.epoch))?;
        row("packages of", &manifest.suite)?;
        row("kernel", &manifest.kernel)?;
        row("unpacked", &manifest.unpacked.to_string())?;
        if let Some(guests) = &manifest.guests {
            row("guests", &format!("kernel {}, unpacked {}", guests.kernel, guests.unpacked))?;
            for role in &guests.roles {
                row("", &format!("{}: {} more", role.name, role.unpacked))?;
            }
            for (at, workload) in guests.workloads.iter().enumerate() {
                let MediumWorkload { role, name, image, digest } = workload;
                row(if at == 0 { "workloads" } else { "" }, &format!("{role}/{name}: {image} {digest}"))?;
            }
        }
        row("site file", if self.embedded_site { "embedded" } else { "none" })?;
        writeln!(text, "\nfiles")?;
        for file in &manifest.files {
            writeln!(text, "  {:>13}  {}", file.size.exact(), file.path)?;
        }
        writeln!(text, "\nmaster boot record (hybrid)")?;
        for entry in &self.boot.mbr {
            let active = if entry.active { ", active" } else { "" };
            writeln!(
                text,
                "  {}: type 0x{:02x}, from block {}, {} blocks{active}",
                entry.number, entry.kind, entry.first_lba, entry.blocks
            )?;
        }
        writeln!(text, "\nGPT {}", self.boot.disk_guid.as_deref().unwrap_or("none"))?;
        for entry in &self.boot.gpt {
            writeln!(
                text,
                "  {}: {:<16} {:>13} bytes at {}",
                entry.number,
                entry.name,
                Bytes(entry.size).exact(),
                entry.offset
            )?;
        }
        if self.problems.is_empty() {
            writeln!(text, "\nboots by BIOS and UEFI, as a CD and as a disk")?;
        } else {
            writeln!(text, "\nproblems")?;
            for problem in &self.problems {
                writeln!(text, "  {problem}")?;
            }
        }
        f.write_str(text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use std::fs;

    #[test]
    fn a_medium_of_another_length_or_altered_is_described_and_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture::image(dir.path());
        let whole = inspect(&path).unwrap();
        assert_eq!(whole.problems, [""; 0]);
        whole.judge().unwrap();

        let length = whole.size.get();
        let file = fs::File::options().write(true).open(&path).unwrap();
        // The last ends among the files, after the manifest.
        let iso = Iso::open(&path).unwrap();
        let files_end = iso.find("sovereign/target.squashfs").unwrap().offset + 100;
        let cuts = [1, 512, 300_000, length - files_end].map(|cut| (length - cut, format!("cut short by {cut} bytes")));
        for (bytes, wanted) in cuts.into_iter().chain([(length + 512, "longer by 512 bytes".to_owned())]) {
            file.set_len(bytes).unwrap();
            let report = inspect(&path).unwrap();
            assert!(report.problems[0].starts_with(&wanted), "{wanted}: {:?}", report.problems);
            assert!(report.to_string().contains(&format!("problems\n  {wanted}")), "{report}");
            assert_eq!(report.judge().unwrap_err().exit_code(), ExitCode::BadMedium);
        }
        // Without its manifest and its seal only the file system says how long it should be.
        file.set_len(1_000_000).unwrap();
        let error = inspect(&path).unwrap_err();
        assert!(error.to_string().contains(&format!("cut short by {} bytes", iso.volume_bytes - 1_000_000)), "{error}");
    }

    #[test]
    fn a_medium_with_another_boot_record_or_seal_is_described_and_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = fixture::image(dir.path());
        let seal = Iso::open(&path).unwrap().find(crate::seal::SEAL_PATH).unwrap().offset;
        for (offset, wanted) in
            [(100, "boot code of the master boot record was altered"), (seal + 30, "seal.json was altered")]
        {
            fixture::flip(&path, offset);
            let report = inspect(&path).unwrap();
            assert!(report.problems.iter().any(|problem| problem.contains(wanted)), "{:?}", report.problems);
            assert!(report.judge().is_err());
            fixture::flip(&path, offset);
        }
    }
}
