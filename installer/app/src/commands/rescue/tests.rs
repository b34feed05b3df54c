//! What `rescue` starts, whole command lines, for machines that are whole, degraded, open already, and not what they should be.

use std::fs;

use sovereign_model::Passphrase;
use sovereign_model::exit::ExitCode;
use sovereign_system::testing::Recorder;

use super::person::Person;
use super::stack::{Places, Stack};
use crate::failure::Failure;

/// lsblk of util-linux 2.41, shortened: two SSDs, two of the four HDDs.
const DISKS: &str = r#"{"blockdevices": [
    {"path":"/dev/nvme0n1","pkname":null,"partlabel":null,"fstype":null},
    {"path":"/dev/nvme0n1p2","pkname":"nvme0n1","partlabel":"sovereign-esp","fstype":"vfat"},
    {"path":"/dev/nvme0n1p3","pkname":"nvme0n1","partlabel":"sovereign-boot","fstype":"linux_raid_member"},
    {"path":"/dev/nvme0n1p4","pkname":"nvme0n1","partlabel":"sovereign-ssd","fstype":"linux_raid_member"},
    {"path":"/dev/nvme1n1p3","pkname":"nvme1n1","partlabel":"sovereign-boot","fstype":"linux_raid_member"},
    {"path":"/dev/nvme1n1p4","pkname":"nvme1n1","partlabel":"sovereign-ssd","fstype":"linux_raid_member"},
    {"path":"/dev/sda1","pkname":"sda","partlabel":"sovereign-hdd","fstype":"linux_raid_member"},
    {"path":"/dev/sdb1","pkname":"sdb","partlabel":"sovereign-hdd","fstype":"linux_raid_member"}]}"#;
const GROUPS: &str = r#"{"report":[{"pv":[{"pv_name":"/dev/mapper/luks-ssd","vg_name":"pve","vg_uuid":"uuid-pve"},
    {"pv_name":"/dev/mapper/luks-hdd","vg_name":"bulk","vg_uuid":"uuid-bulk"},
    {"pv_name":"/dev/sdz","vg_name":"foreign","vg_uuid":"uuid-foreign"}]}]}"#;
const FSTAB: &str = "# Written by the installer.\n/dev/mapper/pve-root / ext4 noatime,errors=remount-ro 0 1\n\
    UUID=F00D-2 /boot/efi2 vfat umask=0077,nofail,x-systemd.device-timeout=30 0 0\n\
    UUID=b007 /boot ext4 noatime,nofail 0 2\n/dev/mapper/pve-swap none swap sw,nofail 0 0\ntmpfs /tmp tmpfs defaults 0 0\n";

struct Scripted {
    agrees: bool,
    passphrases: Vec<&'static str>,
    told: Vec<String>,
}

impl Person for Scripted {
    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        self.told.push(text.to_owned());
        Ok(())
    }

    fn agrees(&mut self, question: &str) -> Result<bool, Failure> {
        self.told.push(question.to_owned());
        Ok(self.agrees)
    }

    fn passphrase(&mut self, _: &str) -> Result<Passphrase, Failure> {
        let typed = (!self.passphrases.is_empty()).then(|| self.passphrases.remove(0));
        typed
            .map(|typed| Passphrase::from_key(typed.as_bytes().to_vec()))
            .ok_or_else(|| Failure::new(ExitCode::BadInput, "nobody is there"))
    }
}

fn person(agrees: bool, passphrases: &[&'static str]) -> Scripted {
    Scripted { agrees, passphrases: passphrases.to_vec(), told: Vec::new() }
}

fn member(uuid: &str, devices: usize) -> String {
    format!("MD_LEVEL=raid1\nMD_DEVICES={devices}\nMD_UUID={uuid}\n")
}

/// A machine with both SSDs, and of the HDDs as many as `hdds` says there should be.
fn machine(hdds: usize) -> Recorder {
    Recorder::new()
        .prints("lsblk", DISKS)
        .prints("pvs", GROUPS)
        .prints("mdadm --examine --export /dev/sd", &member("dd", hdds))
        .prints("mdadm --examine --export /dev/nvme0n1p3", &member("bb", 2))
        .prints("mdadm --examine --export /dev/nvme1n1p3", &member("bb", 2))
        .prints("mdadm --examine --export /dev/nvme", &member("aa", 2))
}

fn places(folder: &tempfile::TempDir) -> Places {
    let places = Places { dev: folder.path().join("dev"), target: folder.path().join("target") };
    fs::create_dir_all(places.target.join("etc")).unwrap();
    fs::write(places.target.join("etc/fstab"), FSTAB).unwrap();
    places
}

/// The commands without those that only look, with `/target` for the folder of this test.
fn done(runner: &Recorder, places: &Places) -> Vec<String> {
    let looks = ["lsblk", "pvs", "mdadm --examine", "udevadm settle"];
    let target = places.target.to_string_lossy().into_owned();
    let lines = runner.lines().into_iter().filter(|line| !looks.iter().any(|look| line.starts_with(look)));
    lines.map(|line| line.replace(&target, "/target")).collect()
}

#[test]
fn a_whole_machine_is_started_from_the_bottom_and_mounted_from_the_top() {
    let folder = tempfile::tempdir().unwrap();
    let (runner, places, mut who) = (machine(2), places(&folder), person(false, &["correct horse"]));
    Stack { runner: &runner, places: &places, degraded: false, person: &mut who }.mount().unwrap();
    assert_eq!(
        done(&runner, &places),
        [
            "mdadm --assemble /dev/md/ssd /dev/nvme0n1p4 /dev/nvme1n1p4",
            "mdadm --assemble /dev/md/boot /dev/nvme0n1p3 /dev/nvme1n1p3",
            "mdadm --assemble /dev/md/hdd /dev/sda1 /dev/sdb1",
            "cryptsetup open --type luks2 --key-file=- /dev/md/ssd luks-ssd",
            "vgchange --activate y pve",
            "mount -o noatime /dev/pve/root /target",
            "mount --make-private /target",
            "cryptsetup open --type luks2 --key-file=- /dev/md/hdd luks-hdd",
            "vgchange --activate y bulk",
            "mount -o noatime UUID=b007 /target/boot",
            "mount -o umask=0077 UUID=F00D-2 /target/boot/efi2",
            "mount --rbind --make-rslave /dev /target/dev",
            "mount --rbind --make-rslave /proc /target/proc",
            "mount --rbind --make-rslave /sys /target/sys",
            "mount --rbind --make-rslave /run /target/run",
        ]
    );
    assert_eq!(runner.input_of("cryptsetup open --type luks2 --key-file=- /dev/md/ssd").unwrap(), b"correct horse");
}

#[test]
fn an_array_that_misses_members_is_started_by_those_who_say_so_only() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(&folder);
    for (option, agrees) in [(true, false), (false, true)] {
        let (runner, mut who) = (machine(4), person(agrees, &["correct horse"]));
        Stack { runner: &runner, places: &places, degraded: option, person: &mut who }.mount().unwrap();
        assert!(done(&runner, &places).contains(&"mdadm --assemble /dev/md/hdd --run /dev/sda1 /dev/sdb1".to_owned()));
        assert!(who.told.contains(&"array hdd: 2 of its 4 members are here: /dev/sda1, /dev/sdb1".to_owned()));
        assert_eq!(who.told.iter().any(|told| told.starts_with("Start it all the same?")), !option);
    }
    let (runner, mut who) = (machine(4), person(false, &["correct horse"]));
    let failure = Stack { runner: &runner, places: &places, degraded: false, person: &mut who }.mount().unwrap_err();
    assert_eq!(failure.code, ExitCode::Cancelled);
    assert!(!runner.lines().iter().any(|line| line.contains("/dev/md/hdd") || line.starts_with("cryptsetup")));
}

#[test]
fn a_wrong_passphrase_may_be_typed_twice_and_what_is_running_is_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(&folder);
    let wrong = machine(2).fails("cryptsetup open", 2, "No key available with this passphrase.");
    let mut who = person(false, &["one", "two", "three", "four"]);
    let failure = Stack { runner: &wrong, places: &places, degraded: false, person: &mut who }.mount().unwrap_err();
    assert_eq!(failure.code, ExitCode::BadInput);
    assert_eq!(who.passphrases, ["four"]);
    assert!(!wrong.lines().iter().any(|line| line.starts_with("mount")));

    for path in ["md/ssd", "md/boot", "md/hdd", "mapper/luks-ssd", "mapper/luks-hdd"] {
        let path = places.dev.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let (runner, mut who) = (machine(2), person(false, &[]));
    Stack { runner: &runner, places: &places, degraded: false, person: &mut who }.mount().unwrap();
    let started = done(&runner, &places);
    assert_eq!(started[..2], ["vgchange --activate y pve", "mount -o noatime /dev/pve/root /target"]);
}

#[test]
fn a_bulk_container_that_does_not_open_keeps_nobody_from_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(&folder);
    let runner = machine(2).fails("cryptsetup open --type luks2 --key-file=- /dev/md/hdd", 2, "No key available");
    let mut who = person(false, &["correct horse"]);
    Stack { runner: &runner, places: &places, degraded: false, person: &mut who }.mount().unwrap();
    assert!(who.told.iter().any(|told| told.starts_with("container luks-hdd: neither")), "{:?}", who.told);
    assert!(done(&runner, &places).contains(&"mount --rbind --make-rslave /run /target/run".to_owned()));
    assert!(!runner.lines().contains(&"vgchange --activate y bulk".to_owned()));
}

#[test]
fn the_disks_of_two_systems_are_refused_by_name_and_so_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(&folder);
    let two = Recorder::new()
        .prints("lsblk", DISKS)
        .prints("mdadm --examine --export /dev/nvme0n1p4", &member("aa", 2))
        .prints("mdadm --examine --export /dev/nvme1n1p4", &member("cc", 2));
    let mut who = person(true, &["correct horse"]);
    let failure = Stack { runner: &two, places: &places, degraded: true, person: &mut who }.mount().unwrap_err();
    assert_eq!(failure.code, ExitCode::NoPlan);
    let said = failure.to_string();
    assert!(said.contains("/dev/nvme0n1p4") && said.contains("/dev/nvme1n1p4"), "{said}");
    assert!(!two.lines().iter().any(|line| line.starts_with("mdadm --assemble")));

    let none = Recorder::new()
        .prints("lsblk", r#"{"blockdevices": [{"path":"/dev/sda1","partlabel":"other","fstype":"ext4"}]}"#);
    let failure = Stack { runner: &none, places: &places, degraded: true, person: &mut who }.mount().unwrap_err();
    assert_eq!(failure.code, ExitCode::BadInput);
    assert!(failure.to_string().contains("no disk of this machine has a partition named sovereign-ssd"));
}

#[test]
fn a_pool_without_an_array_is_its_partition() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(&folder);
    let disks = r#"{"blockdevices": [{"path":"/dev/sda4","pkname":"sda","partlabel":"sovereign-ssd","fstype":"crypto_LUKS"},
        {"path":"/dev/sda3","pkname":"sda","partlabel":"sovereign-boot","fstype":"ext4"}]}"#;
    let runner = Recorder::new().prints("lsblk", disks).prints("pvs", GROUPS);
    let mut who = person(false, &["correct horse"]);
    Stack { runner: &runner, places: &places, degraded: false, person: &mut who }.mount().unwrap();
    assert_eq!(done(&runner, &places)[0], "cryptsetup open --type luks2 --key-file=- /dev/sda4 luks-ssd");
}
