//! LVM 2.03: thin volumes and their snapshots, as Proxmox VE's `lvmthin` storage makes them; and the volume group inside of a guest's disk.

use sovereign_model::Bytes;

use crate::runner::{Cmd, RunError, Runner};

/// Makes a thin volume of `size`, active.
///
/// # Errors
/// [`RunError`].
pub fn create(runner: &dyn Runner, group: &str, pool: &str, name: &str, size: Bytes) -> Result<(), RunError> {
    let (size, pool) = (kib(size), format!("{group}/{pool}"));
    let args = [
        "--yes",
        "--type",
        "thin",
        "--wipesignatures",
        "n",
        "--virtualsize",
        &size,
        "--name",
        name,
        "--thinpool",
        &pool,
    ];
    runner.run(&Cmd::new("lvcreate", args)).map(drop)
}

/// Makes a snapshot, writable and active, which shares its origin's blocks.
///
/// # Errors
/// [`RunError`].
pub fn snapshot(runner: &dyn Runner, group: &str, origin: &str, name: &str) -> Result<(), RunError> {
    let origin = format!("{group}/{origin}");
    let args = ["--yes", "--snapshot", "--setactivationskip", "n", "--permission", "rw", "--name", name, &origin];
    runner.run(&Cmd::new("lvcreate", args)).map(drop)
}

/// Lengthens a volume to `size` in all. One that is that long already stays as it is.
///
/// # Errors
/// [`RunError`].
pub fn extend(runner: &dyn Runner, group: &str, name: &str, size: Bytes) -> Result<(), RunError> {
    let (size, volume) = (kib(size), format!("{group}/{name}"));
    runner.run(&Cmd::new("lvextend", ["--size", &size, &volume])).map(drop)
}

/// Makes volumes (`group/name`) base images: inactive, read-only, and passed over by activation, as Proxmox VE leaves a template's disks.
///
/// # Errors
/// [`RunError`]: most often one is in use.
pub fn seal(runner: &dyn Runner, volumes: &[String]) -> Result<(), RunError> {
    change(runner, &["--activate", "n"], volumes)?;
    change(runner, &["--permission", "r", "--setactivationskip", "y", "--setautoactivation", "n"], volumes)
}

/// Leaves volumes (`group/name`) inactive, also at boot: who uses one activates it.
///
/// # Errors
/// As [`seal`].
pub fn leave(runner: &dyn Runner, volumes: &[String]) -> Result<(), RunError> {
    change(runner, &["--activate", "n"], volumes)?;
    change(runner, &["--setautoactivation", "n"], volumes)
}

/// One call for all of them: each costs a second on a slow machine.
fn change(runner: &dyn Runner, options: &[&str], volumes: &[String]) -> Result<(), RunError> {
    if volumes.is_empty() {
        return Ok(());
    }
    let args = options.iter().map(|option| (*option).to_owned()).chain(volumes.iter().cloned());
    runner.run(&Cmd::new("lvchange", args)).map(drop)
}

/// Removes a volume.
///
/// # Errors
/// [`RunError`]: most often it is in use.
pub fn remove(runner: &dyn Runner, group: &str, name: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("lvremove", ["--yes", &format!("{group}/{name}")])).map(drop)
}

/// Bytes of its pool that an active volume has mapped, those it shares with its snapshots included.
///
/// # Errors
/// [`RunError`]; also where it is no thin volume.
pub fn mapped(runner: &dyn Runner, group: &str, name: &str) -> Result<Bytes, RunError> {
    // Device-mapper names double the hyphens of each part.
    let device = format!("{}-{}", group.replace('-', "--"), name.replace('-', "--"));
    let cmd = Cmd::new("dmsetup", ["status", &device]);
    let status = runner.run(&cmd)?.stdout;
    // Documentation/admin-guide/device-mapper/thin-provisioning.rst: <start> <length> thin <mapped sectors> <highest mapped sector>
    let mut words = status.split_whitespace().skip_while(|word| *word != "thin");
    let sectors = words.nth(1).and_then(|word| word.parse::<u64>().ok());
    let unexpected = || RunError::Unexpected { line: cmd.line(), reason: format!("it says {:?}", status.trim()) };
    sectors.and_then(|sectors| sectors.checked_mul(512)).map(Bytes).ok_or_else(unexpected)
}

fn kib(size: Bytes) -> String {
    format!("{}k", size.get() / 1024)
}

/// Shows `size` bytes of `volume` from `start` on as the mapping `name`, with the volume's own sectors: no copy of a page is kept, and what is
/// written goes down in pieces as large as it came. Both are whole sectors.
///
/// # Errors
/// [`RunError`].
pub fn map_part(runner: &dyn Runner, name: &str, volume: &str, start: Bytes, size: Bytes) -> Result<(), RunError> {
    // Documentation/admin-guide/device-mapper/linear.rst, in sectors of 512 bytes.
    let table = format!("0 {} linear {volume} {}", size.get() / 512, start.get() / 512);
    runner.run(&Cmd::new("dmsetup", ["create", name, "--table", &table])).map(drop)
}

/// Takes a mapping away again.
///
/// # Errors
/// [`RunError`]: most often it is in use.
pub fn unmap(runner: &dyn Runner, name: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("dmsetup", ["remove", "--retry", name])).map(drop)
}

/// The physical volume inside of a guest's disk while it is shown. Nothing else is looked at, so that two guests whose
/// groups have one name and one UUID are never seen together, and the host's groups not at all.
#[derive(Debug, Clone, Copy)]
pub struct Inside<'a> {
    /// The partition, such as `/dev/mapper/sovereign-guest`.
    pub device: &'a str,
    /// Name of the guest's volume group.
    pub group: &'a str,
}

impl Inside<'_> {
    fn run(&self, runner: &dyn Runner, program: &str, args: &[&str]) -> Result<(), RunError> {
        let device = self.device;
        let filter = format!(
            r#"devices {{ scan_lvs=0 global_filter=["a|^{device}$|","r|.*|"] filter=["a|^{device}$|","r|.*|"] }}"#
        );
        let args = ["--config", filter.as_str()].into_iter().chain(args.iter().copied());
        runner.run(&Cmd::new(program, args)).map(drop)
    }

    /// Makes the group, on this physical volume alone.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn create_group(&self, runner: &dyn Runner) -> Result<(), RunError> {
        self.run(runner, "pvcreate", &["--force", "--force", "--yes", self.device])?;
        self.run(runner, "vgcreate", &[self.group, self.device])
    }

    /// Makes a volume of all that is free.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn create_volume(&self, runner: &dyn Runner, name: &str) -> Result<(), RunError> {
        let args =
            ["--yes", "--wipesignatures", "y", "--zero", "y", "--extents", "100%FREE", "--name", name, self.group];
        self.run(runner, "lvcreate", &args)
    }

    /// Activates the group's volumes.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn activate(&self, runner: &dyn Runner) -> Result<(), RunError> {
        self.run(runner, "vgchange", &["--activate", "y", self.group])
    }

    /// Deactivates the group's volumes.
    ///
    /// # Errors
    /// [`RunError`]: most often one is mounted.
    pub fn deactivate(&self, runner: &dyn Runner) -> Result<(), RunError> {
        self.run(runner, "vgchange", &["--activate", "n", self.group])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        create(&runner, "pve", "data", "guest-base", Bytes::gib(4)).unwrap();
        snapshot(&runner, "pve", "guest-base", "base-9001-disk-0").unwrap();
        extend(&runner, "pve", "base-9001-disk-0", Bytes(20_002_635_776)).unwrap();
        seal(&runner, &["pve/base-9001-disk-0".to_owned(), "bulk/base-9003-disk-2".to_owned()]).unwrap();
        leave(&runner, &["pve/vm-9001-cloudinit".to_owned()]).unwrap();
        leave(&runner, &[]).unwrap();
        remove(&runner, "pve", "guest-base").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "lvcreate --yes --type thin --wipesignatures n --virtualsize 4194304k --name guest-base --thinpool pve/data",
                "lvcreate --yes --snapshot --setactivationskip n --permission rw --name base-9001-disk-0 pve/guest-base",
                "lvextend --size 19533824k pve/base-9001-disk-0",
                "lvchange --activate n pve/base-9001-disk-0 bulk/base-9003-disk-2",
                "lvchange --permission r --setactivationskip y --setautoactivation n pve/base-9001-disk-0 bulk/base-9003-disk-2",
                "lvchange --activate n pve/vm-9001-cloudinit",
                "lvchange --setautoactivation n pve/vm-9001-cloudinit",
                "lvremove --yes pve/guest-base",
            ]
        );
    }

    #[test]
    fn a_part_of_a_volume_is_a_mapping_of_its_own() {
        let runner = Recorder::new();
        map_part(&runner, "sovereign-guest", "/dev/pve/guest-base", Bytes::mib(130), Bytes::mib(3000)).unwrap();
        unmap(&runner, "sovereign-guest").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "dmsetup create sovereign-guest --table '0 6144000 linear /dev/pve/guest-base 266240'",
                "dmsetup remove --retry sovereign-guest",
            ]
        );
    }

    #[test]
    fn what_a_volume_has_mapped_is_read_from_the_kernel() {
        // dmsetup 1.02.205
        let runner = Recorder::new().prints("dmsetup status", "0 8388608 thin 1804544 8388607\n");
        assert_eq!(mapped(&runner, "pve", "guest-base").unwrap(), Bytes(1_804_544 * 512));
        assert_eq!(runner.lines(), ["dmsetup status pve-guest--base"]);
        for text in ["", "0 8388608 linear", "0 8388608 thin Fail"] {
            let runner = Recorder::new().prints("dmsetup status", text);
            assert!(matches!(mapped(&runner, "pve", "root"), Err(RunError::Unexpected { .. })), "{text}");
        }
    }

    #[test]
    fn commands_for_the_inside_of_a_guest_see_its_partition_alone() {
        let runner = Recorder::new();
        let inside = Inside { device: "/dev/mapper/sovereign-guest", group: "guest" };
        inside.create_group(&runner).unwrap();
        inside.create_volume(&runner, "root").unwrap();
        inside.activate(&runner).unwrap();
        inside.deactivate(&runner).unwrap();
        let filter = r#"'devices { scan_lvs=0 global_filter=["a|^/dev/mapper/sovereign-guest$|","r|.*|"] filter=["a|^/dev/mapper/sovereign-guest$|","r|.*|"] }'"#;
        assert_eq!(
            runner.lines(),
            [
                format!("pvcreate --config {filter} --force --force --yes /dev/mapper/sovereign-guest"),
                format!("vgcreate --config {filter} guest /dev/mapper/sovereign-guest"),
                format!(
                    "lvcreate --config {filter} --yes --wipesignatures y --zero y --extents 100%FREE --name root guest"
                ),
                format!("vgchange --config {filter} --activate y guest"),
                format!("vgchange --config {filter} --activate n guest"),
            ]
        );
    }
}
