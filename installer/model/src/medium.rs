//! What is on the installation medium: the manifest written by `sovereign-image` and checked before anything is wiped.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// ISO 9660 volume identifier of the installation medium.
pub const VOLUME_ID: &str = "SOVEREIGN_INSTALLER";
/// Label of the file system that carries the answers (`site.toml`, key files).
pub const ANSWER_LABEL: &str = "SOVEREIGN";
/// Path of the manifest on the medium, relative to its root.
pub const MANIFEST_PATH: &str = "sovereign/manifest.json";
/// Path of an embedded site file on the medium, relative to its root.
pub const EMBEDDED_SITE_PATH: &str = "sovereign/site.toml";
/// Path of the packages' file system on the medium.
pub const BASE_PATH: &str = "sovereign/base.squashfs";
/// Path of the target overlay's file system on the medium.
pub const TARGET_PATH: &str = "sovereign/target.squashfs";
/// Path of the live overlay's file system on the medium.
pub const LIVE_PATH: &str = "sovereign/live.squashfs";

/// What the medium says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file; 1.
    pub schema: u32,
    /// Product version.
    pub version: String,
    /// Edition name, such as `rehearsal`.
    pub edition: String,
    /// What the edition calls itself on screens, such as `rehearsal, no Proxmox VE`.
    pub edition_label: String,
    /// Identifies this build; the same for two builds of the same inputs. Form of a UUID.
    pub build_id: String,
    /// `SOURCE_DATE_EPOCH` of the build, seconds.
    pub epoch: u64,
    /// Debian suite the packages come from.
    pub suite: String,
    /// Kernel release, as `uname -r` prints it; the same for the live system and the target.
    pub kernel: String,
    /// Bytes that the unpacked target needs.
    pub unpacked: Bytes,
    /// Every file on the medium but this one and an embedded site file, sorted by path.
    pub files: Vec<MediumFile>,
}

/// A file on the medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediumFile {
    /// Path relative to the medium's root, without a leading slash.
    pub path: String,
    /// Length in bytes.
    pub size: Bytes,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}
