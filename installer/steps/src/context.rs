//! What the steps of one installation share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sovereign_engine::{Journal, StepError};
use sovereign_model::Passphrase;
use sovereign_model::installed;
use sovereign_model::inventory::partition_path;
use sovereign_model::medium::Manifest;
use sovereign_model::plan::{Array, Base, Container, Guests, Member, PartitionRole, Plan, VolumeGroup};
use sovereign_system::runner::Runner;
use sovereign_system::tools::wipe::Area;

/// Looks at the machine again and returns the plan made from what is there now, and its hash.
pub type Reprobe = Box<dyn Fn() -> Result<(Plan, String), String> + Send>;

/// What an installation starts from.
pub struct Context {
    /// What to do. Its site has everything that is configured.
    pub plan: Plan,
    /// The plan's SHA-256, lower-case hexadecimal.
    pub plan_hash: String,
    /// Identifies this installation; a UUID.
    pub install_id: String,
    /// Opens both containers.
    pub passphrase: Passphrase,
    /// Opens both containers too, from a key slot of its own that costs as much a guess: for the recovery sheet.
    pub recovery: Option<Passphrase>,
    /// Secrets that the first boot uses: where each lies on the target, and what it holds.
    pub secrets: Vec<(&'static str, Passphrase)>,
    /// Starts programs. Wrap it in [`crate::logged::Logged`] to see each in the log.
    pub runner: Arc<dyn Runner>,
    /// Probes the machine again and plans, right before the first write.
    pub reprobe: Reprobe,
    /// Root folder of the running system, `/`: it has the same packages as the target.
    pub live: PathBuf,
    /// Where the medium is mounted, `/run/sovereign/medium`.
    pub medium: PathBuf,
    /// What is on the medium.
    pub manifest: Manifest,
    /// Where the target is mounted, `/target`.
    pub target: PathBuf,
    /// Where a guest's file systems are mounted while they are made, `/guest`.
    pub guest: PathBuf,
    /// The journal of this run; the target gets a copy once it is mounted.
    pub journal: Journal,
    /// The log of this run, copied to the target at the end; `None` where there is none.
    pub log: Option<PathBuf>,
    /// Serial console of the target (`ttyS0`) and its speed, where it has one: the site's, or the one the installer runs on.
    pub serial: Option<(String, u32)>,
    /// Seconds since 1970 at the start.
    pub started: u64,
    /// What earlier steps found out.
    pub found: Found,
}

/// What steps find out for later ones.
#[derive(Debug, Default)]
pub struct Found {
    /// The kernel's sequence number of each planned disk when it was last known to be the planned one.
    pub sequences: Vec<String>,
    /// Where partitions were on each planned disk before it was erased.
    pub cleared: Vec<Vec<Area>>,
    /// Partition GUIDs by (index of the disk, partition number).
    pub partitions: BTreeMap<(usize, u32), uuid::Uuid>,
    /// Array UUIDs, as mdadm writes them, by name.
    pub arrays: BTreeMap<String, String>,
    /// LUKS UUIDs by container.
    pub containers: BTreeMap<String, String>,
    /// Keys of key files by container, until they are on the encrypted root.
    pub keys: BTreeMap<String, Passphrase>,
    /// File system UUIDs by mount point.
    pub filesystems: BTreeMap<String, String>,
    /// The kernel's resync speed limit before it was lowered, KiB/s for each device.
    pub sync_speed: Option<String>,
    /// Offset in the target's initramfs at which this machine's own archive starts, bytes.
    pub initramfs_own: Option<u64>,
}

impl Context {
    /// The device node of a planned disk.
    pub fn disk(&self, index: usize) -> String {
        self.plan.disks.get(index).map(|d| format!("/dev/{}", d.kernel_name)).unwrap_or_default()
    }

    /// The device node of a partition.
    pub fn partition(&self, member: &Member) -> String {
        partition_path(&self.disk(member.disk), member.partition)
    }

    /// The device nodes of every partition with this role, in the order of the plan's disks.
    pub fn partitions(&self, role: PartitionRole) -> Vec<String> {
        self.plan
            .disks
            .iter()
            .enumerate()
            .flat_map(|(i, d)| {
                d.partitions
                    .iter()
                    .filter(move |p| p.role == role)
                    .map(move |p| Member { disk: i, partition: p.number })
            })
            .map(|m| self.partition(&m))
            .collect()
    }

    /// The device node that a container stands on.
    pub fn base(&self, container: &Container) -> String {
        match &container.base {
            Base::Array(name) => array_path(name),
            Base::Partition(member) => self.partition(member),
        }
    }

    /// The device node that /boot is on: its array, or its partition where the bootable pool is one disk.
    ///
    /// # Errors
    /// The plan has neither: it is not one the planner made.
    pub fn boot_device(&self) -> Result<String, StepError> {
        if self.plan.arrays.iter().any(|array| array.name == BOOT_ARRAY) {
            return Ok(array_path(BOOT_ARRAY));
        }
        let partition = self.partitions(PartitionRole::Boot).into_iter().next();
        partition.ok_or_else(|| StepError::new("the plan has no place for /boot"))
    }

    /// The array of this name.
    ///
    /// # Errors
    /// The plan has none: it is not one the planner made.
    pub fn array(&self, name: &str) -> Result<&Array, StepError> {
        self.plan
            .arrays
            .iter()
            .find(|a| a.name == name)
            .ok_or_else(|| StepError::new(format!("the plan has no array `{name}`")))
    }

    /// The container of this name.
    ///
    /// # Errors
    /// As [`Context::array`].
    pub fn container(&self, name: &str) -> Result<&Container, StepError> {
        self.plan
            .containers
            .iter()
            .find(|c| c.name == name)
            .ok_or_else(|| StepError::new(format!("the plan has no container `{name}`")))
    }

    /// The volume group that holds the root volume, and that volume's name.
    ///
    /// # Errors
    /// As [`Context::array`].
    pub fn root_group(&self) -> Result<&VolumeGroup, StepError> {
        self.plan
            .volume_groups
            .iter()
            .find(|g| g.volumes.iter().any(|v| v.name == ROOT))
            .ok_or_else(|| StepError::new("the plan has no volume group with a root volume"))
    }

    /// The device node of the root volume.
    ///
    /// # Errors
    /// As [`Context::array`].
    pub fn root_device(&self) -> Result<String, StepError> {
        Ok(format!("/dev/{}/{ROOT}", self.root_group()?.name))
    }

    /// The guests of the plan.
    ///
    /// # Errors
    /// It has none: their steps do not belong to this installation.
    pub fn guests(&self) -> Result<&Guests, StepError> {
        self.plan.guests.as_ref().ok_or_else(|| StepError::new("the plan has no guests"))
    }

    /// The volume group and the thin pool that guests' systems are made in.
    ///
    /// # Errors
    /// As [`Context::array`].
    pub fn guests_pool(&self) -> Result<(&str, &str), StepError> {
        let group = self.root_group()?;
        let pool = group.pool.as_ref().ok_or_else(|| {
            StepError::new(format!(
                "the plan has no thin pool in `{}`, and guests' systems are thin volumes",
                group.name
            ))
        })?;
        Ok((&group.name, &pool.name))
    }

    /// A path on the mounted target; `path` is absolute as the target sees it.
    pub fn on_target(&self, path: &str) -> PathBuf {
        self.target.join(path.trim_start_matches('/'))
    }

    /// A path on the medium; `path` is relative to its root.
    pub fn on_medium(&self, path: &str) -> PathBuf {
        self.medium.join(path)
    }

    /// Whether the packages bring Proxmox VE's cluster file system: the target is a Proxmox VE node. The running system is made of the
    /// same packages.
    pub fn is_proxmox(&self) -> bool {
        exists(self.live.join("usr/bin/pmxcfs"))
    }

    /// What was found out under `key`.
    ///
    /// # Errors
    /// The step that finds it out did not run.
    pub fn known<'a>(map: &'a BTreeMap<String, String>, key: &str) -> Result<&'a str, StepError> {
        map.get(key)
            .map(String::as_str)
            .ok_or_else(|| StepError::new(format!("the UUID of `{key}` is not known: an earlier step did not run")))
    }

    /// Where the target keeps its copy of the journal.
    pub fn journal_on_target(&self) -> PathBuf {
        self.on_target(installed::JOURNAL)
    }

    /// The folder of the target's first or second EFI system partition.
    pub fn esp(&self, index: usize) -> PathBuf {
        self.on_target(esp_mount(index))
    }
}

/// Array that /boot is on.
const BOOT_ARRAY: &str = "boot";

/// Name of the swap volume.
pub const SWAP: &str = "swap";

/// Name of the root volume.
pub const ROOT: &str = "root";

/// Where the target mounts the EFI system partition of SSD `index`.
pub fn esp_mount(index: usize) -> &'static str {
    if index == 0 { "/boot/efi" } else { "/boot/efi2" }
}

/// A device of an array, `/dev/md/NAME`.
pub fn array_path(name: &str) -> String {
    format!("/dev/md/{name}")
}

/// A device of a mapping, `/dev/mapper/NAME`.
pub fn mapper_path(name: &str) -> String {
    format!("/dev/mapper/{name}")
}

/// Whether `path` exists, following links.
pub fn exists(path: impl AsRef<Path>) -> bool {
    path.as_ref().exists()
}
