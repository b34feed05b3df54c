//! What an installed system stands on, started from the bottom: arrays, containers, volume groups, file systems. Partitions are known by
//! their names in the partition table, so nothing has to be readable before the passphrase is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use sovereign_model::Passphrase;
use sovereign_model::exit::ExitCode;
use sovereign_model::installed::PLAN;
use sovereign_model::plan::{PartitionRole, Plan};
use sovereign_system::input;
use sovereign_system::runner::{RunError, Runner};
use sovereign_system::tools::blkid::{self, Named};
use sovereign_system::tools::cryptsetup::{self, Open};
use sovereign_system::tools::{lvm, mdadm, mount, table, udev};

use super::person::Person;
use crate::failure::{Failure, OrFail};

/// Folders of the running system that programs in the mounted one need.
const KERNEL_FOLDERS: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];
/// What blkid calls a member of an md array.
const MEMBER: &str = "linux_raid_member";
/// How often a passphrase may be typed.
const ATTEMPTS: u32 = 3;
/// What cryptsetup ends with where a key opens no slot (cryptsetup(8), "RETURN CODES").
const NO_KEY: i32 = 2;
/// Most bytes of a key file.
const MAX_KEY: u64 = 64 << 10;

/// The arrays of an installed system, with the partitions they are made of.
const BOOT: (&str, PartitionRole) = ("boot", PartitionRole::BootMember);
const SSD: (&str, PartitionRole) = ("ssd", PartitionRole::SsdMember);
const HDD: (&str, PartitionRole) = ("hdd", PartitionRole::HddMember);

/// Where things are looked up, so that tests have their own.
pub struct Places {
    /// /dev.
    pub dev: PathBuf,
    /// Where the system is mounted.
    pub target: PathBuf,
}

/// An installed system that is being started.
pub struct Stack<'a> {
    /// Starts programs.
    pub runner: &'a dyn Runner,
    /// Where things are.
    pub places: &'a Places,
    /// Whether arrays that miss members are started without asking.
    pub degraded: bool,
    /// Who is asked.
    pub person: &'a mut dyn Person,
}

/// Whether a partition is one that an installation makes.
pub fn is_ours(partition: &Named) -> bool {
    let roles = [PartitionRole::Esp, BOOT.1, SSD.1, HDD.1];
    roles.iter().any(|role| has_role(partition, *role))
}

fn has_role(partition: &Named, role: PartitionRole) -> bool {
    partition.name.as_deref() == Some(table::Kind::Host(role).name())
}

impl Stack<'_> {
    /// Starts everything and mounts it. Nothing is written but what arrays, thin pools and journals of file systems write when they are started.
    ///
    /// # Errors
    /// There is no installed system, or more than one, or the first thing without which there is no root file system does not start. What
    /// was started stays.
    pub fn mount(&mut self) -> Result<(), Failure> {
        let target = self.places.target.clone();
        fs::create_dir_all(&target).or_fail(ExitCode::Internal)?;
        let point = fs::canonicalize(&target).or_fail(ExitCode::Internal)?;
        if mount::is_mounted(&point).or_fail(ExitCode::Internal)? {
            let said = format!("something is mounted at {} already: unmount that first", target.display());
            return Err(Failure::new(ExitCode::BadInput, said));
        }
        // Names and contents of partitions come from udev, and this may be typed as soon as there is a shell.
        udev::settle(self.runner).or_fail(ExitCode::Internal)?;
        let partitions = blkid::partitions(self.runner).or_fail(ExitCode::Internal)?;
        let Some(ssd) = self.device(&partitions, SSD)? else {
            return Err(Failure::new(
                ExitCode::BadInput,
                format!(
                    "no disk of this machine has a partition named {}: there is no installed system here, or its disks are not attached",
                    table::Kind::Host(SSD.1).name()
                ),
            ));
        };
        self.device(&partitions, BOOT)?;
        let hdd = self.device(&partitions, HDD)?;
        let typed = self.unlock(&ssd)?;
        let group = self.activate("luks-ssd")?.ok_or_else(|| {
            Failure::new(
                ExitCode::Internal,
                format!("the container on {ssd} has no volume group: the installation was not finished"),
            )
        })?;
        let root = format!("/dev/{group}/root");
        mount::mount(self.runner, &root, &target, "noatime").or_fail(ExitCode::Internal)?;
        mount::keep_to_itself(self.runner, &target).or_fail(ExitCode::Internal)?;
        if let Some(hdd) = hdd {
            self.bulk(&hdd, typed.as_ref())?;
        }
        self.rest()
    }

    /// The device that the container or file system of this role is on: its array, started, or a partition where there is no array.
    fn device(&mut self, partitions: &[Named], (name, role): (&str, PartitionRole)) -> Result<Option<String>, Failure> {
        let array = format!("/dev/md/{name}");
        if self.places.dev.join("md").join(name).exists() {
            return Ok(Some(array));
        }
        let own: Vec<&Named> = partitions.iter().filter(|p| has_role(p, role)).collect();
        let members: Vec<&Named> = own.iter().copied().filter(|p| p.kind.as_deref() == Some(MEMBER)).collect();
        match (&members[..], &own[..]) {
            ([], []) => Ok(None),
            ([], [one]) => Ok(Some(one.device.clone())),
            ([], _) => Err(two_systems(name, &own.iter().map(|p| p.device.clone()).collect::<Vec<_>>())),
            _ => {
                self.assemble(name, &members)?;
                Ok(Some(array))
            }
        }
    }

    fn assemble(&mut self, name: &str, partitions: &[&Named]) -> Result<(), Failure> {
        let mut arrays: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
        for partition in partitions {
            if let Some(of) = mdadm::superblock(self.runner, &partition.device).or_fail(ExitCode::Internal)? {
                arrays.entry(of.uuid).or_insert((of.devices, Vec::new())).1.push(partition.device.clone());
            }
        }
        if arrays.len() > 1 {
            return Err(two_systems(name, &arrays.into_values().flat_map(|(_, members)| members).collect::<Vec<_>>()));
        }
        let (wanted, members) = arrays.into_values().next().unwrap_or_default();
        let is_degraded = members.len() < wanted;
        if is_degraded {
            let said =
                format!("array {name}: {} of its {wanted} members are here: {}", members.len(), members.join(", "));
            self.person.tell(&said)?;
            let question =
                "Start it all the same? What is changed now, the missing ones will have to be given when they return.";
            if !self.degraded && !self.person.agrees(question)? {
                let said = format!("the array {name} was not started; attach the missing disks and start again");
                return Err(Failure::new(ExitCode::Cancelled, said));
            }
        }
        mdadm::assemble(self.runner, name, &members, is_degraded).or_fail(ExitCode::Internal)?;
        udev::settle(self.runner).or_fail(ExitCode::Internal)?;
        self.person.tell(&format!("array {name}: started from {}", members.join(", ")))
    }

    /// Opens the container of the root file system; returns the passphrase, if one had to be typed.
    fn unlock(&mut self, device: &str) -> Result<Option<Passphrase>, Failure> {
        const NAME: &str = "luks-ssd";
        if self.is_open(NAME) {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            let typed = self.person.passphrase("Passphrase of the disks: ")?;
            if self.open(device, NAME, &typed)? {
                self.person.tell(&format!("container {NAME}: open"))?;
                return Ok(Some(typed));
            }
            self.person.tell("That passphrase does not open it.")?;
        }
        Err(Failure::new(
            ExitCode::BadInput,
            format!(
                "{device} was not opened in {ATTEMPTS} attempts; mind the keyboard layout (--keyboard). Headers are kept in \
                 /etc/sovereign/luks-headers of the system and, if you made one, in your own backup"
            ),
        ))
    }

    fn is_open(&self, name: &str) -> bool {
        self.places.dev.join("mapper").join(name).exists()
    }

    /// Opens a container; `false` where the key is not one of its own. The flags that are stored in its header are used.
    fn open(&self, device: &str, name: &str, key: &Passphrase) -> Result<bool, Failure> {
        match cryptsetup::open(self.runner, &Open { device, name, discard: false, no_workqueue: false }, key) {
            Ok(()) => Ok(true),
            Err(RunError::Failed { code: NO_KEY, .. }) => Ok(false),
            Err(error) => Err(Failure::from_error(ExitCode::Internal, &error)),
        }
    }

    /// Activates the volume group on an open container, and returns its name; `None` where there is none.
    fn activate(&mut self, mapping: &str) -> Result<Option<String>, Failure> {
        let device = format!("/dev/mapper/{mapping}");
        let volumes = lvm::physical_volumes(self.runner).or_fail(ExitCode::Internal)?;
        let Some(group) = volumes.into_iter().find(|v| v.device == device && !v.group.is_empty()).map(|v| v.group)
        else {
            return Ok(None);
        };
        lvm::activate(self.runner, &group).or_fail(ExitCode::Internal)?;
        udev::settle(self.runner).or_fail(ExitCode::Internal)?;
        self.person.tell(&format!("volume group {group}: active"))?;
        Ok(Some(group))
    }

    /// The bulk container: by the passphrase, or else by the key file on the root file system. The system can be rescued without it.
    fn bulk(&mut self, device: &str, typed: Option<&Passphrase>) -> Result<(), Failure> {
        const NAME: &str = "luks-hdd";
        let is_open = self.is_open(NAME)
            || typed.is_some_and(|typed| matches!(self.open(device, NAME, typed), Ok(true)))
            || self.key_file(NAME).is_some_and(|key| matches!(self.open(device, NAME, &key), Ok(true)));
        if !is_open {
            return self.person.tell(&format!(
                "container {NAME}: neither the passphrase nor the key file opens it; going on without. \
                 By hand: cryptsetup open {device} {NAME}"
            ));
        }
        self.person.tell(&format!("container {NAME}: open"))?;
        if let Err(failure) = self.activate(NAME) {
            self.person.tell(&format!("the volumes in {NAME} are not active; going on without.\n{failure}"))?;
        }
        Ok(())
    }

    /// The key file that the mounted system opens a container with.
    fn key_file(&self, container: &str) -> Option<Passphrase> {
        let on_target = |path: &str| self.places.target.join(path.trim_start_matches('/'));
        let plan: Plan = serde_json::from_str(&fs::read_to_string(on_target(PLAN)).ok()?).ok()?;
        let file = plan.containers.into_iter().find(|c| c.name == container)?.key_file?;
        input::read(&on_target(&file), MAX_KEY).ok().map(Passphrase::from_key)
    }

    /// What the system itself mounts below its root, as far as the disks are there, and the kernel's folders.
    fn rest(&mut self) -> Result<(), Failure> {
        let fstab = fs::read_to_string(self.places.target.join("etc/fstab")).unwrap_or_default();
        for (source, point, options) in below_root(&fstab) {
            let folder = self.places.target.join(point.trim_start_matches('/'));
            if let Err(error) = mount::mount(self.runner, source, &folder, options) {
                let failure = Failure::from_error(ExitCode::Internal, &error);
                self.person.tell(&format!("{point} is not mounted; going on without.\n{failure}"))?;
            }
        }
        for folder in KERNEL_FOLDERS {
            let point = self.places.target.join(folder.trim_start_matches('/'));
            mount::bind_tree(self.runner, folder, &point).or_fail(ExitCode::Internal)?;
        }
        Ok(())
    }
}

fn two_systems(name: &str, devices: &[String]) -> Failure {
    Failure::new(
        ExitCode::NoPlan,
        format!(
            "the disks of more than one installed system are attached: {} do not make one `{name}`.\n\
             Detach the disks of all but one and start again.",
            devices.join(", ")
        ),
    )
}

/// The file systems on disks that an fstab has below `/`, parents first, as (source, mount point, options that mount(8) knows).
fn below_root(fstab: &str) -> Vec<(&str, &str, &str)> {
    let lines = fstab.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut mounts: Vec<(&str, &str, &str)> = lines
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (source, point, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            let is_on_disk = source.starts_with("/dev/") || source.starts_with("UUID=") || source.starts_with("LABEL=");
            let is_wanted = is_on_disk && point.len() > 1 && point.starts_with('/') && kind != "swap";
            // Of the options only those that say who may look: the rest is about how the system starts.
            let options = options.split(',').find(|option| option.starts_with("umask=")).unwrap_or("noatime");
            is_wanted.then_some((source, point, options))
        })
        .collect();
    mounts.sort_by_key(|(_, point, _)| point.matches('/').count());
    mounts
}
