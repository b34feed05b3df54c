//! What is on the installation medium: the manifest written by `sovereign-image` and checked before anything is wiped.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bytes::Bytes;

/// ISO 9660 volume identifier of the installation medium.
pub const VOLUME_ID: &str = "SOVEREIGN_INSTALLER";
/// Label of the file system that carries the answers (`site.toml`, key files).
pub const ANSWER_LABEL: &str = "SOVEREIGN";
/// Path of the manifest on the medium, relative to its root.
pub const MANIFEST_PATH: &str = "sovereign/manifest.json";
/// Path of an embedded site file on the medium, relative to its root.
pub const EMBEDDED_SITE_PATH: &str = "sovereign/site.toml";
/// Path of the SHA-256 of the embedded site file, which the manifest cannot have: 64 lower-case hexadecimal digits and a line feed.
pub const EMBEDDED_SITE_SUM_PATH: &str = "sovereign/site.toml.sha256";
/// Path of the packages' file system on the medium.
pub const BASE_PATH: &str = "sovereign/base.squashfs";
/// Path of the target overlay's file system on the medium.
pub const TARGET_PATH: &str = "sovereign/target.squashfs";
/// Path of the live overlay's file system on the medium.
pub const LIVE_PATH: &str = "sovereign/live.squashfs";

/// Path of the guests' base file system on the medium: Debian's packages, kernel and initramfs in its /boot, GRUB for BIOS and UEFI.
pub const GUEST_PATH: &str = "sovereign/guest.squashfs";
/// Path of the workloads' images on the medium, if it has any: for each an OCI image layout in the folder `ROLE/NAME`.
pub const WORKLOADS_PATH: &str = "sovereign/workloads.squashfs";
/// Path of the kernel on the medium: where GRUB reads it, and where the machine's copy comes from. It is nowhere else on the medium.
pub const KERNEL_PATH: &str = "boot/vmlinuz";

/// Path of what a role adds to the guests' base, to be unpacked over it.
pub fn guest_role_path(role: &str) -> String {
    format!("sovereign/guest-{role}.squashfs")
}

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
    /// What is there for guests; none in an edition without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests: Option<Guests>,
    /// Every file on the medium but this one and an embedded site file, sorted by path.
    pub files: Vec<MediumFile>,
}

/// The guests' file systems on a medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guests {
    /// Release of the guests' kernel, as `uname -r` prints it there.
    pub kernel: String,
    /// Bytes that the unpacked base ([`GUEST_PATH`]) needs.
    pub unpacked: Bytes,
    /// What roles add to it ([`guest_role_path`]), sorted by name.
    pub roles: Vec<GuestRole>,
    /// The workloads whose images are in [`WORKLOADS_PATH`], sorted by role and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<MediumWorkload>,
}

/// A workload whose image is on the medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediumWorkload {
    /// The role that runs it.
    pub role: String,
    /// The workload's name.
    pub name: String,
    /// Full reference of the image, with its tag.
    pub image: String,
    /// Digest of the image's manifest: `sha256:` and 64 lower-case hexadecimal digits.
    pub digest: String,
}

/// What one role adds to the guests' base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestRole {
    /// The role's name.
    pub name: String,
    /// Bytes that its layer needs beyond the base, at most: files that replace one of the base are counted in full.
    pub unpacked: Bytes,
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

/// Why an embedded site file must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddedSiteError {
    /// Nothing says what it should be.
    #[error("{EMBEDDED_SITE_PATH} has no hash beside it ({EMBEDDED_SITE_SUM_PATH}): {AGAIN}")]
    NoSum,
    /// The file is gone.
    #[error("{EMBEDDED_SITE_PATH} is missing, though its hash is there: {AGAIN}")]
    NoSite,
    /// It is not what was embedded.
    #[error("{EMBEDDED_SITE_PATH} is damaged or was altered: it has SHA-256 {found}, embedded was {wanted}; {AGAIN}")]
    Altered {
        /// SHA-256 of the file.
        found: String,
        /// What is written beside it.
        wanted: String,
    },
}

const AGAIN: &str = "embed the site file again with `sovereign-image embed`";

/// What [`EMBEDDED_SITE_SUM_PATH`] holds for a site file.
pub fn embedded_site_sum(site: &[u8]) -> String {
    let digits = Sha256::digest(site).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{digits}\n")
}

/// Whether a medium has an embedded site file, given the contents of [`EMBEDDED_SITE_PATH`] and [`EMBEDDED_SITE_SUM_PATH`].
///
/// # Errors
/// Only one of the two is there, or they do not belong together.
pub fn check_embedded_site(site: Option<&[u8]>, sum: Option<&[u8]>) -> Result<bool, EmbeddedSiteError> {
    match (site, sum) {
        (None, None) => Ok(false),
        (Some(_), None) => Err(EmbeddedSiteError::NoSum),
        (None, Some(_)) => Err(EmbeddedSiteError::NoSite),
        (Some(site), Some(wanted)) => {
            let found = embedded_site_sum(site);
            if found.as_bytes() == wanted {
                return Ok(true);
            }
            let wanted = String::from_utf8_lossy(wanted).trim_end().chars().take(64).collect();
            Err(EmbeddedSiteError::Altered { found: found.trim_end().to_owned(), wanted })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_guests_is_one_of_an_image_without_guests() {
        let text = r#"{"schema": 1, "version": "1", "edition": "e", "edition_label": "l", "build_id": "b", "epoch": 0,
            "suite": "trixie", "kernel": "6", "unpacked": 1, "files": []}"#;
        let old: Manifest = serde_json::from_str(text).unwrap();
        assert_eq!(old.guests, None);
        assert!(!serde_json::to_string(&old).unwrap().contains("guests"));
        let roles = vec![GuestRole { name: "edge".to_owned(), unpacked: Bytes(2) }];
        let guests = Guests { kernel: "6-cloud".to_owned(), unpacked: Bytes(3), roles, workloads: Vec::new() };
        let mut new = Manifest { guests: Some(guests), ..old };
        let text = serde_json::to_string(&new).unwrap();
        assert!(!text.contains("workloads"));
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), new);
        let [role, name, image, digest] = ["edge", "traefik", "r.example/traefik:1", "sha256:00"].map(str::to_owned);
        new.guests.as_mut().unwrap().workloads.push(MediumWorkload { role, name, image, digest });
        assert_eq!(serde_json::from_str::<Manifest>(&serde_json::to_string(&new).unwrap()).unwrap(), new);
    }

    #[test]
    fn an_embedded_site_file_and_its_hash_belong_together() {
        // FIPS 180-4, the example of one block.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
        assert_eq!(embedded_site_sum(b"abc"), sum);
        assert_eq!(check_embedded_site(None, None), Ok(false));
        assert_eq!(check_embedded_site(Some(b"abc"), Some(sum.as_bytes())), Ok(true));
        assert_eq!(check_embedded_site(Some(b"abc"), None), Err(EmbeddedSiteError::NoSum));
        assert_eq!(check_embedded_site(None, Some(sum.as_bytes())), Err(EmbeddedSiteError::NoSite));
        let altered = check_embedded_site(Some(b"abd"), Some(sum.as_bytes())).unwrap_err();
        assert!(matches!(&altered, EmbeddedSiteError::Altered { wanted, .. } if *wanted == sum.trim_end()));
        assert!(altered.to_string().contains("sovereign/site.toml is damaged"), "{altered}");
        assert!(check_embedded_site(Some(b"abc"), Some(&sum.as_bytes()[..64])).is_err());
    }
}
