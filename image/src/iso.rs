//! Puts the medium together: GRUB for BIOS and UEFI, the manifest, and one hybrid ISO image.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use sovereign_model::Bytes;
use sovereign_model::medium::{MANIFEST_PATH, Manifest, MediumFile, VOLUME_ID};

use crate::boot;
use crate::epoch;
use crate::file::{At, FileError};
use crate::hash;
use crate::inspect::{self, InspectError};
use crate::iso9660::IsoReadError;
use crate::menu::Menu;
use crate::seal::{self, SEAL_PATH, Seal, SealError};
use crate::tool::{Call, Tool, ToolError};

/// GRUB's image for BIOS; firmware reads it as El Torito image, the hybrid MBR as a list of sectors.
pub const ELTORITO_PATH: &str = "boot/grub/i386-pc/eltorito.img";
/// El Torito's catalogue, written by xorriso.
pub const CATALOGUE_PATH: &str = "boot/grub/boot.cat";
/// What the boot images must be, for `verify`; they are not in the manifest because xorriso writes addresses into them.
pub const BOOT_PATH: &str = "sovereign/boot.json";
/// Where the software bill of materials is.
pub const SBOM_PATH: &str = "sovereign/sbom.cdx.json";
/// What the source of the packages beyond Debian's says about itself; only in an edition that has one.
pub const SOURCE_PATH: &str = "sovereign/source.json";
/// Bytes of the El Torito image that hold addresses: the boot information table (xorriso, `-boot-info-table`) and
/// GRUB's own address of itself (`--grub2-boot-info`).
pub const ELTORITO_PATCHED: [std::ops::Range<usize>; 2] = [8..64, 2548..2556];
/// Bytes of boot code in a master boot record (UEFI 2.10, table 5.1).
pub const MBR_CODE_BYTES: usize = 440;
/// Bytes of it that hold the address of GRUB's image (`--grub2-mbr`).
const MBR_PATCHED: std::ops::Range<usize> = 432..440;
/// Size of the EFI system partition. FAT16 needs 4085 clusters of 1 KiB; the loaders take 5 MiB.
const ESP_KIB: u64 = 8 * 1024;
/// What GRUB's BIOS image can do; all of it inside the image, so that the medium carries no modules.
const GRUB_MODULES: [&str; 24] = [
    "biosdisk",
    "iso9660",
    "part_gpt",
    "part_msdos",
    "fat",
    "search",
    "search_fs_file",
    "configfile",
    "normal",
    "linux",
    "chain",
    "boot",
    "echo",
    "test",
    "regexp",
    "serial",
    "terminal",
    "minicmd",
    "reboot",
    "halt",
    "ls",
    "cat",
    "sleep",
    "true",
];

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// A file cannot be read or written.
    #[error("cannot put the medium together")]
    File(#[from] FileError),
    /// A program failed.
    #[error("cannot put the medium together")]
    Tool(#[from] ToolError),
    /// JSON cannot be written.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// What was written is no medium.
    #[error("the image that was written cannot be read")]
    Inspect(#[from] InspectError),
    /// It cannot be sealed.
    #[error("cannot finish the image")]
    Seal(#[from] SealError),
}

impl From<IsoReadError> for IsoError {
    fn from(error: IsoReadError) -> Self {
        Self::Inspect(error.into())
    }
}

/// Hashes of what lies outside the file system or is changed when the image is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootImages {
    /// SHA-256 of the EFI system partition.
    pub esp_sha256: String,
    /// Its length in bytes.
    pub esp_bytes: u64,
    /// SHA-256 of the boot code of the hybrid MBR with [`MBR_PATCHED`] set to zero.
    pub mbr_sha256: String,
    /// SHA-256 of the El Torito image with the ranges of [`ELTORITO_PATCHED`] set to zero.
    pub eltorito_sha256: String,
}

/// SHA-256 of an El Torito image but for the addresses in it.
pub fn eltorito_hash(image: Vec<u8>) -> String {
    masked_hash(image, &ELTORITO_PATCHED)
}

/// SHA-256 of the boot code at the beginning of an image or of a boot record, but for the address in it.
pub fn mbr_hash(mut record: Vec<u8>) -> String {
    record.truncate(MBR_CODE_BYTES);
    masked_hash(record, &[MBR_PATCHED])
}

fn masked_hash(mut image: Vec<u8>, masks: &[std::ops::Range<usize>]) -> String {
    for range in masks {
        let end = range.end.min(image.len());
        image[range.start.min(end)..end].fill(0);
    }
    hash::bytes(&image)
}

/// A folder that becomes the file system of the medium.
pub struct Stage<'a> {
    /// The folder; empty at first.
    pub root: &'a Path,
    /// A folder for what does not become part of the file system.
    pub scratch: &'a Path,
    /// Date of everything, seconds since 1970.
    pub epoch: u64,
}

impl Stage<'_> {
    fn path(&self, path: &str) -> Result<PathBuf, IsoError> {
        let full = self.root.join(path);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder).at(folder)?;
        }
        Ok(full)
    }

    /// Adds a file of this content.
    pub fn text(&self, path: &str, text: &str) -> Result<(), IsoError> {
        let full = self.path(path)?;
        Ok(fs::write(&full, text).at(&full)?)
    }

    /// Adds a file that is there already; it is not copied if a link will do.
    pub fn file(&self, path: &str, from: &Path) -> Result<(), IsoError> {
        let full = self.path(path)?;
        let from = fs::canonicalize(from).at(from)?;
        Ok(fs::hard_link(&from, &full).or_else(|_| fs::copy(&from, &full).map(drop)).at(&full)?)
    }

    /// Makes the boot images from the target's own GRUB and shim; gives the EFI system partition and the boot code of
    /// the hybrid MBR.
    pub fn boot_images(&self, tree: &Path, menu: &Menu<'_>) -> Result<(PathBuf, PathBuf), IsoError> {
        self.text("boot/grub/grub.cfg", &menu.render())?;
        let modules = tree.join("usr/lib/grub/i386-pc");
        let early = self.scratch.join("early.cfg");
        fs::write(&early, menu.early()).at(&early)?;
        let eltorito = self.path(ELTORITO_PATH)?;
        Call::inside(tree)
            .arg(tree.join("usr/bin/grub-mkimage"))
            .arg("--directory")
            .arg(&modules)
            .args(["--format", "i386-pc-eltorito", "--prefix", "/boot/grub", "--config"])
            .arg(&early)
            .arg("--output")
            .arg(&eltorito)
            .args(GRUB_MODULES)
            .run()?;
        let (esp, mbr) = (self.esp(tree, menu)?, modules.join("boot_hybrid.img"));
        self.record(&esp, &mbr)?;
        Ok((esp, mbr))
    }

    /// Writes down what the boot images are.
    pub fn record(&self, esp: &Path, mbr: &Path) -> Result<(), IsoError> {
        let eltorito = self.path(ELTORITO_PATH)?;
        let (esp_sha256, esp_bytes) = hash::file(esp).at(esp)?;
        let images = BootImages {
            esp_sha256,
            esp_bytes,
            mbr_sha256: mbr_hash(fs::read(mbr).at(mbr)?),
            eltorito_sha256: eltorito_hash(fs::read(&eltorito).at(&eltorito)?),
        };
        self.text(BOOT_PATH, &serde_json::to_string_pretty(&images)?)
    }

    /// The EFI system partition: shim and GRUB as Debian signed them, and a configuration that finds the medium.
    fn esp(&self, tree: &Path, menu: &Menu<'_>) -> Result<PathBuf, IsoError> {
        let image = self.scratch.join("esp.img");
        let config = self.scratch.join("esp.cfg");
        fs::write(&config, menu.early_and_menu()).at(&config)?;
        let epoch = self.epoch.to_string();
        // The serial number only has to be the same each time; the label must not be that of an answer medium.
        Call::new(Tool::MkfsFat)
            .args(["-C", "-F", "16", "-s", "2", "--invariant", "-i", "50564e31", "-n", "INSTALL-EFI"])
            .arg(&image)
            .arg(ESP_KIB.to_string())
            .run()?;
        let fat = |tool| Call::new(tool).env("SOURCE_DATE_EPOCH", &epoch).arg("-i").arg(&image);
        fat(Tool::Mmd).args(["::/EFI", "::/EFI/BOOT", "::/boot", "::/boot/grub"]).run()?;
        for (from, to) in [
            (tree.join("usr/lib/shim/shimx64.efi.signed"), "::/EFI/BOOT/BOOTX64.EFI"),
            (tree.join("usr/lib/shim/mmx64.efi.signed"), "::/EFI/BOOT/mmx64.efi"),
            (tree.join("usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"), "::/EFI/BOOT/grubx64.efi"),
            (config, "::/boot/grub/grub.cfg"),
        ] {
            fat(Tool::Mcopy).arg(&from).arg(to).run()?;
        }
        Ok(image)
    }

    /// Every file that is on the medium so far, with its hash, sorted by path.
    pub fn files(&self) -> Result<Vec<MediumFile>, IsoError> {
        let mut files = Vec::new();
        for relative in hash::walk(self.root).at(self.root)? {
            let path = self.root.join(&relative);
            let name = relative.to_string_lossy().into_owned();
            if path.is_dir() || name == ELTORITO_PATH {
                continue;
            }
            let (sha256, size) = hash::file(&path).at(&path)?;
            files.push(MediumFile { path: name, size: Bytes(size), sha256 });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Writes the manifest, then the image, and seals it. What a build that was stopped left under `partial` is
    /// replaced; the image gets its name when it is whole, and an earlier one is there until then.
    pub fn write(
        &self,
        manifest: &Manifest,
        esp: &Path,
        mbr: &Path,
        partial: &Path,
        image: &Path,
    ) -> Result<(), IsoError> {
        self.text(MANIFEST_PATH, &serde_json::to_string_pretty(manifest)?)?;
        self.text(SEAL_PATH, &Seal::unsealed())?;
        remove_if_there(partial).at(partial)?;
        let date = epoch::compact(self.epoch);
        Call::new(Tool::Xorriso)
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .args(["-as", "mkisofs", "-quiet", "-o"])
            .arg(partial)
            .args(["-V", VOLUME_ID, "-iso-level", "3", "-r", "-sysid", "", "-preparer", "sovereign-image"])
            .arg(format!("--modification-date={date}"))
            .args(["--set_all_file_dates", &date, "--gpt_disk_guid", &manifest.build_id])
            .arg("--grub2-mbr")
            .arg(mbr)
            .args(["-c", CATALOGUE_PATH, "-b", ELTORITO_PATH, "-no-emul-boot", "-boot-load-size", "4"])
            .args(["-boot-info-table", "--grub2-boot-info"])
            // The type of an EFI system partition.
            .args(["-append_partition", "2", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"])
            .arg(esp)
            .args(["-appended_part_as_gpt", "-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::"])
            .args(["-no-emul-boot", "--mbr-force-bootable"])
            .arg(self.root)
            .run()?;
        seal(partial)?;
        Ok(fs::rename(partial, image).at(image)?)
    }
}

/// Seals a finished image.
pub fn seal(path: &Path) -> Result<(), IsoError> {
    let (iso, manifest) = inspect::open(path)?;
    let esp = boot::examine(path, &iso)?.esp();
    Ok(seal::seal(path, &iso, &manifest, esp)?)
}

/// Removes a file; that there is none is fine.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_do_not_change_the_hash_of_a_boot_image_but_code_does() {
        let plain = vec![7; 4096];
        let mut patched = plain.clone();
        patched[10] = 1;
        patched[2550] = 1;
        assert_eq!(eltorito_hash(plain.clone()), eltorito_hash(patched));
        let mut altered = plain.clone();
        altered[2556] = 1;
        assert_ne!(eltorito_hash(plain), eltorito_hash(altered));
        assert_eq!(eltorito_hash(vec![1; 20]), eltorito_hash([vec![1; 8], vec![2; 12]].concat()));
    }
}
