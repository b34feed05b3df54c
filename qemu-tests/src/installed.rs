//! Installed machines that tests share: each is installed once for an ISO and a site file; every test works on overlays.

use std::path::{Path, PathBuf};

use crate::boot;
use crate::disk::Disk;
use crate::failure::OrFail;
use crate::host::{self, HostError};
use crate::machine::{Firmware, Machine};
use crate::medium::{AnswerMedium, Iso, IsoAs};
use crate::templates::SITE as GUEST_SITE;
use crate::timing::Lab;
use crate::words::PASSPHRASE;

/// Site file of the reference machines.
pub const SITE: &str = "reference";

/// A machine that was installed from the ISO under test and has never been started since.
#[derive(Debug)]
pub struct Installed {
    /// `target/e2e/shared/<ISO>/<kind>`: artifacts of the install, and its disks.
    pub folder: PathBuf,
    firmware: Firmware,
    memory_mib: u32,
    disks: Vec<Disk>,
}

impl Installed {
    /// The reference machine with UEFI firmware.
    #[track_caller]
    pub fn uefi_reference() -> Self {
        Self::get(&Wanted { kind: "uefi-reference", ..Wanted::REFERENCE })
    }

    /// The reference machine with BIOS firmware.
    #[track_caller]
    pub fn bios_reference() -> Self {
        // One machine has its answers on a stick, the other on a CD.
        Self::get(&Wanted {
            kind: "bios-reference",
            firmware: Firmware::Bios,
            answers: answers_on_cd,
            ..Wanted::REFERENCE
        })
    }

    /// A node of the fixture edition with UEFI firmware and Linux bridges, installed without a network card.
    #[track_caller]
    pub fn uefi_node() -> Self {
        Self::get(&Wanted { kind: "uefi-node", site: "node-linux", ..Wanted::NODE })
    }

    /// A node of the fixture edition with BIOS firmware and Open vSwitch, installed without a network card.
    #[track_caller]
    pub fn bios_node() -> Self {
        Self::get(&Wanted { kind: "bios-node", site: "node-ovs", firmware: Firmware::Bios, ..Wanted::NODE })
    }

    /// A node of the fixture edition with UEFI firmware and all guests: three templates, and a machine cloned from each.
    #[track_caller]
    pub fn guest_node() -> Self {
        Self::get(&Wanted { kind: "guest-node", site: GUEST_SITE, network: true, memory_mib: 4096, ..Wanted::NODE })
    }

    #[track_caller]
    fn get(wanted: &Wanted) -> Self {
        let Wanted { kind, firmware, site: name, memory_mib, .. } = *wanted;
        let iso = (wanted.iso)().or_fail();
        let folder = iso.shared.join(kind);
        // One test installs, the others wait for it.
        let _lock = host::lock(&iso.shared.join(format!("{kind}.lock"))).or_fail();
        let site = host::site(name);
        let stamp = folder.join("complete");
        let site_hash = host::sha256(&site).or_fail();
        if std::fs::read_to_string(&stamp).is_ok_and(|text| text == site_hash) {
            return Self { folder, firmware, memory_mib, disks: reference_disks() };
        }
        // Where it failed once it fails again, after as long a wait; the next run of the tests tries once more.
        let failed = iso.shared.join(format!("{kind}.failed"));
        let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_default();
        assert!(
            run.is_empty() || std::fs::read_to_string(&failed).ok().as_deref() != Some(&run),
            "installing {kind} failed in another test of this run: see {}",
            folder.display()
        );
        std::fs::write(&failed, &run).map_err(|source| HostError::file("write", &failed, source)).or_fail();
        let lab = Lab::in_folder(&format!("install {kind}"), folder.clone()).or_fail();
        let mut machine = Machine::new(&lab, firmware).memory_mib(memory_mib).reference_disks();
        if wanted.network {
            machine = machine.network();
        }
        machine.iso_image(&iso.path).iso(IsoAs::Cdrom).answer(&(wanted.answers)(&lab, name));
        boot::install(&mut machine, "install");
        keep_disks(&machine, &folder.join("disks")).or_fail();
        std::fs::remove_file(&failed).map_err(|source| HostError::file("remove", &failed, source)).or_fail();
        std::fs::write(&stamp, site_hash).map_err(|source| HostError::file("write", &stamp, source)).or_fail();
        Self { folder, firmware, memory_mib, disks: reference_disks() }
    }

    /// A machine with these disks as they were after the install; what it writes stays with the test.
    #[track_caller]
    pub fn machine(&self, lab: &Lab) -> Machine {
        let folder = self.folder.join("disks");
        let mut machine = Machine::new(lab, self.firmware).memory_mib(self.memory_mib).network();
        for disk in &self.disks {
            machine = machine.disk_over(disk.clone(), &folder.join(format!("{}.qcow2", disk.serial())), "qcow2");
        }
        if self.firmware != Firmware::Bios {
            machine.set_vars(&folder.join("firmware-variables.fd")).or_fail();
        }
        machine
    }

    /// Image files of the disks as they were after the install, and the firmware's variables.
    pub fn images(&self) -> Vec<PathBuf> {
        let folder = self.folder.join("disks");
        let mut images: Vec<PathBuf> =
            self.disks.iter().map(|disk| folder.join(format!("{}.qcow2", disk.serial()))).collect();
        if self.firmware != Firmware::Bios {
            images.push(folder.join("firmware-variables.fd"));
        }
        images
    }
}

/// How a machine that tests share is installed.
struct Wanted {
    kind: &'static str,
    firmware: Firmware,
    iso: fn() -> Result<Iso, HostError>,
    site: &'static str,
    answers: fn(&Lab, &str) -> AnswerMedium,
    /// Whether there is a network card while it is installed.
    network: bool,
    memory_mib: u32,
}

impl Wanted {
    const REFERENCE: Self = Self {
        kind: "",
        firmware: Firmware::Uefi,
        iso: Iso::find,
        site: SITE,
        answers,
        network: true,
        memory_mib: 2048,
    };
    const NODE: Self = Self { iso: Iso::find_fixture, network: false, ..Self::REFERENCE };
}

/// An answer medium (FAT) with a site file of the tests and the passphrase.
#[track_caller]
pub fn answers(lab: &Lab, site: &str) -> AnswerMedium {
    AnswerMedium::fat(lab, &format!("answers-{site}"), &[("site.toml", &read_site(site)), PASSPHRASE_FILE])
}

/// The same as an ISO 9660 file system in a CD drive.
#[track_caller]
pub fn answers_on_cd(lab: &Lab, site: &str) -> AnswerMedium {
    AnswerMedium::iso9660(lab, &format!("answers-{site}"), &[("site.toml", &read_site(site)), PASSPHRASE_FILE])
}

/// An answer medium with the passphrase alone: the site file is in the ISO.
#[track_caller]
pub fn passphrase_only(lab: &Lab) -> AnswerMedium {
    AnswerMedium::fat(lab, "passphrase", &[PASSPHRASE_FILE])
}

/// A copy of the ISO under test with a site file of the tests embedded, as `sovereign-image embed` makes it.
#[track_caller]
pub fn embedded(lab: &Lab, site: &str) -> PathBuf {
    let copy = lab.work().join("embedded.iso");
    let iso = host::iso().or_fail();
    let args =
        [iso.as_os_str(), "--site".as_ref(), host::site(site).as_os_str(), "--output".as_ref(), copy.as_os_str()]
            .map(std::ffi::OsStr::to_owned);
    host::run(&host::image_builder().to_string_lossy(), &[&["embed".into()], &args[..]].concat()).or_fail();
    copy
}

/// The key file that the site files of the tests name.
const PASSPHRASE_FILE: (&str, &[u8]) = ("passphrase", PASSPHRASE.as_bytes());

#[track_caller]
fn read_site(site: &str) -> Vec<u8> {
    let path = host::site(site);
    std::fs::read(&path).map_err(|source| HostError::file("read", &path, source)).or_fail()
}

fn reference_disks() -> Vec<Disk> {
    (1..=2).map(Disk::reference_nvme).chain((1..=4).map(Disk::reference_hdd)).collect()
}

/// Moves disks and variables out of the working folder, which is removed.
fn keep_disks(machine: &Machine, folder: &Path) -> Result<(), HostError> {
    std::fs::create_dir_all(folder).map_err(|source| HostError::file("create the folder", folder, source))?;
    let files = machine.images().into_iter().chain(machine.vars().map(Path::to_owned));
    for file in files {
        let to = folder.join(file.file_name().unwrap_or_default());
        std::fs::rename(&file, &to).map_err(|source| HostError::file("keep", &file, source))?;
    }
    Ok(())
}
