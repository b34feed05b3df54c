//! Giving arrays back the members that returned: a disk that was away and is there again. A member that left its array while its disk
//! stayed was taken out, by somebody (`mdadm --remove`) or by the kernel for its errors: it is left alone until somebody adds it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sovereign_model::exit::ExitCode;
use sovereign_model::plan::Array;
use sovereign_system::runner::{Cmd, Runner};

use crate::failure::{Failure, OrFail};

/// Where things are kept and looked up.
pub struct Places {
    /// /sys/class/block.
    pub sys: PathBuf,
    /// Links from the names of arrays to their devices, /dev/md.
    pub arrays: PathBuf,
    /// Which members were seen in their arrays since the boot: lines `ARRAY PARTITION DISKSEQ`. The kernel counts the disks that appear and
    /// never uses a number twice before the next boot (Documentation/ABI/stable/sysfs-block), so a disk that was away has another one.
    pub seen: PathBuf,
    /// Members that were taken out, by the UUID of the device in their superblock, a line each. It outlasts reboots: a disk that was taken
    /// out is not given back by the next boot either.
    pub taken_out: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            sys: "/sys/class/block".into(),
            arrays: "/dev/md".into(),
            seen: "/run/sovereign/members".into(),
            taken_out: "/var/lib/sovereign/taken-out".into(),
        }
    }
}

/// What is remembered from one look to the next.
struct Memory {
    seen: BTreeSet<String>,
    taken_out: BTreeSet<String>,
}

/// Adds to degraded arrays those partitions that carry their superblock, are not part of them, and were away. A blank or foreign disk is
/// never touched. Returns what is to be said.
///
/// # Errors
/// mdadm's or lsblk's.
pub fn rejoin(runner: &dyn Runner, places: &Places, arrays: &[Array]) -> Result<Vec<String>, Failure> {
    let mut memory = Memory { seen: lines(&places.seen), taken_out: lines(&places.taken_out) };
    let mut said = Vec::new();
    let result = arrays.iter().try_for_each(|array| rejoin_one(runner, places, array, &mut memory, &mut said));
    for (path, now) in [(&places.seen, &memory.seen), (&places.taken_out, &memory.taken_out)] {
        if let Err(error) = keep(path, now) {
            said.push(format!("cannot write {}: {error}; a disk that was taken out may be given back", path.display()));
        }
    }
    result.map(|()| said)
}

fn rejoin_one(
    runner: &dyn Runner,
    places: &Places,
    array: &Array,
    memory: &mut Memory,
    said: &mut Vec<String>,
) -> Result<(), Failure> {
    let Some(kernel_name) = kernel_name(&places.arrays, &array.name) else { return Ok(()) };
    let md = places.sys.join(&kernel_name).join("md");
    let record = |partition: &str| Some(format!("{} {partition} {}", array.name, sequence(&places.sys, partition)?));
    let members = members(&md);
    memory.seen.extend(members.iter().filter_map(|member| record(member)));
    if !memory.taken_out.is_empty() {
        for member in members.iter().filter(|member| !is_faulty(&md, member)) {
            if let Some(uuid) = examined(runner, &format!("/dev/{member}"))?.1 {
                memory.taken_out.remove(&uuid);
            }
        }
    }
    if fs::read_to_string(md.join("degraded")).is_ok_and(|n| n.trim() == "0") {
        return Ok(());
    }
    let device = format!("/dev/{kernel_name}");
    let detail = exported(runner, ["--detail", "--export", &device])?;
    let Some(own) = value(&detail, "MD_UUID") else { return Ok(()) };
    let listed = runner
        .run(&Cmd::new("lsblk", ["--noheadings", "--raw", "--paths", "--output", "NAME,TYPE,FSTYPE"]))
        .or_fail(ExitCode::Internal)?;
    for partition in md_partitions(&listed.stdout) {
        let name = partition.trim_start_matches("/dev/");
        if members.contains(name) {
            continue;
        }
        let (of, Some(uuid)) = examined(runner, partition)? else { continue };
        if of.as_deref() != Some(own.as_str()) {
            continue;
        }
        let stayed = record(name).is_some_and(|record| memory.seen.contains(&record));
        if stayed && memory.taken_out.insert(uuid.clone()) {
            said.push(format!(
                "array {}: {partition} was taken out of it while its disk stayed, and is left alone; to give it back: \
                 mdadm --manage /dev/md/{} --add {partition}",
                array.name, array.name
            ));
        }
        if memory.taken_out.contains(&uuid) {
            continue;
        }
        // With the bitmap only what changed is copied; without, everything.
        let re_add = Cmd::new("mdadm", ["--manage", &device, "--re-add", partition]);
        if runner.run(&re_add).is_err() {
            runner.run(&Cmd::new("mdadm", ["--manage", &device, "--add", partition])).or_fail(ExitCode::Internal)?;
        }
        said.push(format!("array {}: {partition} is back and is being brought up to date", array.name));
    }
    Ok(())
}

/// The md device behind the link NAME in `arrays`, such as `md127`.
pub fn kernel_name(arrays: &Path, name: &str) -> Option<String> {
    let target = fs::canonicalize(arrays.join(name)).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

/// Kernel names of an array's members: its folder has a folder `dev-NAME` for each.
fn members(md: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(md).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|e| Some(e.file_name().to_string_lossy().strip_prefix("dev-")?.to_owned())).collect()
}

fn is_faulty(md: &Path, member: &str) -> bool {
    fs::read_to_string(md.join(format!("dev-{member}/state"))).is_ok_and(|state| state.contains("faulty"))
}

/// The sequence number of the disk that a partition is on.
fn sequence(sys: &Path, partition: &str) -> Option<String> {
    let folder = fs::canonicalize(sys.join(partition)).ok()?;
    Some(fs::read_to_string(folder.parent()?.join("diskseq")).ok()?.trim().to_owned())
}

fn md_partitions(listed: &str) -> Vec<&str> {
    listed
        .lines()
        .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [name, "part", "linux_raid_member"] => Some(name),
            _ => None,
        })
        .collect()
}

/// UUID of the array and of the device that a superblock names.
fn examined(runner: &dyn Runner, device: &str) -> Result<(Option<String>, Option<String>), Failure> {
    let text = exported(runner, ["--examine", "--export", device])?;
    Ok((value(&text, "MD_UUID"), value(&text, "MD_DEV_UUID")))
}

fn exported(runner: &dyn Runner, args: [&str; 3]) -> Result<String, Failure> {
    Ok(runner.status(&Cmd::new("mdadm", args), &mut |_| {}).or_fail(ExitCode::Internal)?.stdout)
}

fn value(exported: &str, key: &str) -> Option<String> {
    exported.lines().find_map(|l| Some(l.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
}

fn lines(path: &Path) -> BTreeSet<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn keep(path: &Path, now: &BTreeSet<String>) -> io::Result<()> {
    if *now == lines(path) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, now.iter().map(|line| format!("{line}\n")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_model::Bytes;
    use sovereign_model::plan::RaidLevel;
    use sovereign_system::testing::Recorder;

    /// A degraded array `ssd` (md127) of sdb1; sda1 carries its superblock too.
    struct Machine {
        dir: tempfile::TempDir,
        places: Places,
    }

    impl Machine {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            let places =
                Places { sys: at("sys"), arrays: at("md"), seen: at("run/members"), taken_out: at("var/taken-out") };
            fs::create_dir_all(&places.sys).unwrap();
            fs::create_dir_all(&places.arrays).unwrap();
            fs::create_dir_all(at("dev/md127")).unwrap();
            std::os::unix::fs::symlink(at("dev/md127"), places.arrays.join("ssd")).unwrap();
            let machine = Self { dir, places };
            for (disk, number) in [("sda", "3"), ("sdb", "4")] {
                let folder = machine.dir.path().join("devices").join(disk);
                let partition = format!("{disk}1");
                fs::create_dir_all(folder.join(&partition)).unwrap();
                std::os::unix::fs::symlink(folder.join(&partition), machine.places.sys.join(&partition)).unwrap();
                machine.plug(disk, number);
            }
            machine.set("sdb1", true);
            machine.degraded("1");
            machine
        }

        /// The disk appears, as the kernel's number `number`.
        fn plug(&self, disk: &str, number: &str) {
            fs::write(self.dir.path().join("devices").join(disk).join("diskseq"), format!("{number}\n")).unwrap();
        }

        fn degraded(&self, count: &str) {
            fs::write(self.places.sys.join("md127/md/degraded"), count).unwrap();
        }

        /// Whether a partition is a member.
        fn set(&self, member: &str, is: bool) {
            let folder = self.places.sys.join("md127/md").join(format!("dev-{member}"));
            if is { fs::create_dir_all(folder).unwrap() } else { fs::remove_dir(folder).unwrap() }
        }

        /// What is said, and whether sda1 was added.
        fn look(&self) -> (String, bool) {
            // mdadm 4.4, `--examine --export` and `--detail --export`, shortened; util-linux 2.41.
            let runner = Recorder::new()
                .prints("mdadm --detail", "MD_LEVEL=raid1\nMD_UUID=0a:0b\n")
                .prints("mdadm --examine --export /dev/sda1", "MD_UUID=0a:0b\nMD_DEV_UUID=da\n")
                .prints("mdadm --examine --export /dev/sdb1", "MD_UUID=0a:0b\nMD_DEV_UUID=db\n")
                .prints("mdadm --examine --export /dev/sdc1", "MD_UUID=ff:ff\nMD_DEV_UUID=dc\n")
                .prints("lsblk", "/dev/sda1 part linux_raid_member\n/dev/sdb1 part linux_raid_member\n/dev/sdc1 part linux_raid_member\n");
            let ssd = Array {
                name: "ssd".to_owned(),
                level: RaidLevel::Raid1,
                members: Vec::new(),
                data_offset: Bytes::ZERO,
                size: Bytes::ZERO,
            };
            let said = rejoin(&runner, &self.places, &[ssd]).unwrap().join("\n");
            let added = runner.lines().iter().any(|line| line == "mdadm --manage /dev/md127 --re-add /dev/sda1");
            assert!(!runner.lines().iter().any(|line| line.contains("add /dev/sdc1")), "a foreign disk");
            (said, added)
        }

        /// Switches off and on: what is in /run goes.
        fn reboot(&self) {
            fs::remove_file(&self.places.seen).unwrap();
        }
    }

    #[test]
    fn a_disk_that_was_away_at_boot_is_taken_back_at_the_next() {
        let machine = Machine::new();
        let (said, added) = machine.look();
        assert!(added && said.contains("/dev/sda1 is back"), "{said}");
    }

    #[test]
    fn a_disk_that_was_pulled_and_plugged_in_again_is_taken_back() {
        let machine = Machine::new();
        machine.set("sda1", true);
        machine.degraded("0");
        assert!(!machine.look().1);
        machine.set("sda1", false);
        machine.degraded("1");
        machine.plug("sda", "9");
        assert!(machine.look().1);
    }

    #[test]
    fn a_member_that_was_taken_out_while_its_disk_stayed_is_left_alone_until_somebody_adds_it() {
        let machine = Machine::new();
        machine.set("sda1", true);
        machine.degraded("0");
        machine.look();
        machine.set("sda1", false);
        machine.degraded("1");
        let (said, added) = machine.look();
        assert!(!added && said.contains("--add /dev/sda1"), "{said}");
        assert_eq!(machine.look(), (String::new(), false), "said once");
        machine.reboot();
        machine.plug("sda", "1");
        assert_eq!(machine.look(), (String::new(), false));
        // Somebody adds it; later the disk is pulled and comes back.
        machine.set("sda1", true);
        machine.look();
        machine.set("sda1", false);
        machine.plug("sda", "12");
        assert!(machine.look().1);
    }

    #[test]
    fn only_partitions_with_a_superblock_are_candidates() {
        // util-linux 2.41, lsblk --noheadings --raw --paths --output NAME,TYPE,FSTYPE
        let listed = "/dev/sda disk \n/dev/sda1 part linux_raid_member\n/dev/sdb disk linux_raid_member\n/dev/md127 raid1 crypto_LUKS\n/dev/sdc1 part vfat\n";
        assert_eq!(md_partitions(listed), ["/dev/sda1"]);
    }
}
