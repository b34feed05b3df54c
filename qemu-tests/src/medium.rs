//! Media: the ISO under test and answer media.

use std::path::{Path, PathBuf};

use crate::failure::OrFail;
use crate::host::{self, HostError};
use crate::timing::Lab;
use crate::words::ANSWER_LABEL;

/// Size of a FAT answer medium, in bytes: 32 MiB holds a site file, keys, and the logs of a failed install.
const FAT_BYTES: u64 = 32 * 1024 * 1024;

/// Label by which cloud-init knows its drive (cloud-init's documentation, "NoCloud").
const SEED_LABEL: &str = "cidata";

/// How the ISO is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IsoAs {
    /// Not at all.
    #[default]
    Absent,
    /// In a CD drive (SATA).
    Cdrom,
    /// As a USB disk, writable; writes go to a copy.
    UsbDisk,
}

/// A medium labelled `SOVEREIGN` with a site file and what else a test puts there.
#[derive(Debug, Clone)]
pub struct AnswerMedium {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

/// File system of an answer medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// FAT on a writable USB stick without a partition table.
    Fat,
    /// ISO 9660 in a CD drive.
    Iso9660,
}

impl AnswerMedium {
    /// A FAT stick with these files (name and contents).
    #[track_caller]
    pub fn fat(lab: &Lab, name: &str, files: &[(&str, &[u8])]) -> Self {
        Self::make_fat(lab, name, files).or_fail()
    }

    /// A CD with these files (name and contents).
    #[track_caller]
    pub fn iso9660(lab: &Lab, name: &str, files: &[(&str, &[u8])]) -> Self {
        Self::make_iso(lab, name, ANSWER_LABEL, files).or_fail()
    }

    /// The drive that tells a guest's cloud-init who it is (NoCloud), as Proxmox VE makes it.
    #[track_caller]
    pub fn seed(lab: &Lab, name: &str, files: &[(&str, &[u8])]) -> Self {
        Self::make_iso(lab, name, SEED_LABEL, files).or_fail()
    }

    fn make_fat(lab: &Lab, name: &str, files: &[(&str, &[u8])]) -> Result<Self, HostError> {
        let path = lab.work().join(format!("{name}.fat"));
        std::fs::File::create(&path)
            .and_then(|file| file.set_len(FAT_BYTES))
            .map_err(|source| HostError::file("create", &path, source))?;
        let image = path.to_string_lossy().into_owned();
        host::run("/sbin/mkfs.vfat", &["-n", ANSWER_LABEL, &image])?;
        let folder = write_folder(lab, name, files)?;
        for (file, _) in files {
            let source = folder.join(file).to_string_lossy().into_owned();
            host::run("mcopy", &["-i", &image, &source, &format!("::/{file}")])?;
        }
        Ok(Self { path, kind: Kind::Fat })
    }

    fn make_iso(lab: &Lab, name: &str, label: &str, files: &[(&str, &[u8])]) -> Result<Self, HostError> {
        let path = lab.work().join(format!("{name}.iso"));
        let folder = write_folder(lab, name, files)?;
        let (image, folder) = (path.to_string_lossy(), folder.to_string_lossy());
        host::run("xorriso", &["-as", "mkisofs", "-quiet", "-r", "-V", label, "-o", &image, &folder])?;
        Ok(Self { path, kind: Kind::Iso9660 })
    }

    /// Names of all files on a FAT stick, with their folders, as the machine left them.
    #[track_caller]
    pub fn files(&self) -> Vec<String> {
        let image = self.path.to_string_lossy();
        let listing = host::run("mdir", &["-i", &*image, "-/", "-b", "::"]).or_fail();
        String::from_utf8_lossy(&listing).lines().map(|line| line.trim_start_matches("::/").to_owned()).collect()
    }

    /// A file of a FAT stick.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let image = self.path.to_string_lossy();
        let bytes = host::run("mtype", &["-i", &*image, &format!("::/{name}")]).or_fail();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn write_folder(lab: &Lab, name: &str, files: &[(&str, &[u8])]) -> Result<PathBuf, HostError> {
    let folder = lab.work().join(format!("{name}.d"));
    std::fs::create_dir_all(&folder).map_err(|source| HostError::file("create the folder", &folder, source))?;
    for (file, contents) in files {
        let path = folder.join(file);
        std::fs::write(&path, contents).map_err(|source| HostError::file("write", &path, source))?;
    }
    Ok(folder)
}

/// What a machine needs to start the ISO's kernel without its boot loader.
#[derive(Debug, Clone)]
pub struct LiveKernel {
    /// The ISO's kernel.
    pub kernel: PathBuf,
    /// The ISO's initramfs.
    pub initrd: PathBuf,
    /// Name of the file under /.disk/id: the medium's identity on the kernel command line.
    pub build_id: String,
}

/// The ISO under test and the folder that is shared by all tests of this very ISO.
#[derive(Debug, Clone)]
pub struct Iso {
    /// The file.
    pub path: PathBuf,
    /// `target/e2e/shared/<first 16 digits of its SHA-256>`.
    pub shared: PathBuf,
}

impl Iso {
    /// Finds the ISO, see [`host::iso`].
    pub fn find() -> Result<Self, HostError> {
        Self::of(&host::iso()?)
    }

    /// Finds the ISO of the fixture edition, see [`host::fixture_iso`].
    pub fn find_fixture() -> Result<Self, HostError> {
        Self::of(&host::fixture_iso()?)
    }

    /// The image at `path`.
    pub fn of(path: &Path) -> Result<Self, HostError> {
        let path = path.canonicalize().map_err(|source| HostError::file("resolve", path, source))?;
        let hash = host::sha256(&path)?;
        let key: String = hash.chars().take(16).collect();
        Ok(Self { path, shared: host::artifacts_dir().join("shared").join(key) })
    }

    /// Copies kernel, initramfs and identity out of the ISO, once for all tests.
    pub fn live_kernel(&self) -> Result<LiveKernel, HostError> {
        let folder = self.shared.join("live");
        let _lock = host::lock(&self.shared.join("live.lock"))?;
        if !folder.join("complete").exists() {
            self.extract(&folder)?;
            let stamp = folder.join("complete");
            std::fs::write(&stamp, "").map_err(|source| HostError::file("write", &stamp, source))?;
        }
        let ids = folder.join("id");
        let mut entries = std::fs::read_dir(&ids).map_err(|source| HostError::file("list", &ids, source))?;
        let build_id =
            entries.next().and_then(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(LiveKernel {
            kernel: folder.join("vmlinuz"),
            initrd: folder.join("initrd.img"),
            build_id: build_id
                .ok_or_else(|| HostError::file("find the identity in", &ids, std::io::ErrorKind::NotFound.into()))?,
        })
    }

    fn extract(&self, folder: &Path) -> Result<(), HostError> {
        std::fs::create_dir_all(folder).map_err(|source| HostError::file("create the folder", folder, source))?;
        let mut args =
            vec!["-osirrox".to_owned(), "on".to_owned(), "-indev".to_owned(), self.path.to_string_lossy().into_owned()];
        for (from, to) in [("/boot/vmlinuz", "vmlinuz"), ("/boot/initrd.img", "initrd.img"), ("/.disk/id", "id")] {
            args.extend(["-extract".to_owned(), from.to_owned(), folder.join(to).to_string_lossy().into_owned()]);
        }
        host::run("xorriso", &args).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fat_medium_carries_its_label_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::in_folder("fat", folder.path().join("fat")).unwrap();
        let medium = AnswerMedium::fat(&lab, "answers", &[("site.toml", b"[site]\n"), ("passphrase", b"secret")]);
        assert_eq!(medium.read("site.toml"), "[site]\n");
        assert_eq!(medium.files().len(), 2);
        let label = host::run("mlabel", &["-s", "-i", &*medium.path.to_string_lossy(), "::"]).unwrap();
        assert!(String::from_utf8_lossy(&label).contains(ANSWER_LABEL));
    }

    #[test]
    fn an_iso_medium_carries_its_label() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::in_folder("iso", folder.path().join("iso")).unwrap();
        let medium = AnswerMedium::iso9660(&lab, "answers", &[("site.toml", b"[site]\n")]);
        let image = std::fs::read(&medium.path).unwrap();
        // Volume id of the primary volume descriptor: sector 16, bytes 40 to 72 (ECMA-119).
        assert_eq!(String::from_utf8_lossy(&image[32_808..32_840]).trim_end(), ANSWER_LABEL);
    }
}
