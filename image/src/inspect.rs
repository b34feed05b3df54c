//! `sovereign-image inspect`: what is on a medium.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use sovereign_model::Bytes;
use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{EMBEDDED_SITE_PATH, MANIFEST_PATH, Manifest, VOLUME_ID};

use crate::boot::{self, BootReport};
use crate::epoch;
use crate::iso9660::{Iso, IsoReadError};

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
            Self::OtherVolume { .. } | Self::NoManifest { .. } | Self::Manifest { .. } => ExitCode::BadMedium,
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
}

/// Opens one of our media and reads its manifest.
pub fn open(path: &Path) -> Result<(Iso, Manifest), InspectError> {
    let iso = Iso::open(path)?;
    let name = || path.display().to_string();
    if iso.volume_id != VOLUME_ID {
        return Err(InspectError::OtherVolume { path: name(), found: iso.volume_id });
    }
    let entry = iso.find(MANIFEST_PATH).ok_or_else(|| InspectError::NoManifest { path: name() })?;
    let manifest = serde_json::from_slice(&iso.content(entry)?)
        .map_err(|source| InspectError::Manifest { path: name(), source })?;
    Ok((iso, manifest))
}

/// Describes a medium; nothing is compared but what firmware needs.
pub fn inspect(path: &Path) -> Result<Report, InspectError> {
    let (iso, manifest) = open(path)?;
    let boot = boot::examine(path, &iso)?;
    Ok(Report {
        path: path.display().to_string(),
        size: Bytes(iso.file_bytes),
        manifest,
        embedded_site: iso.find(EMBEDDED_SITE_PATH).is_some(),
        boot,
    })
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
        if self.boot.problems.is_empty() {
            writeln!(text, "\nboots by BIOS and UEFI, as a CD and as a disk")?;
        } else {
            writeln!(text, "\nproblems")?;
            for problem in &self.boot.problems {
                writeln!(text, "  {problem}")?;
            }
        }
        f.write_str(text.trim_end())
    }
}
