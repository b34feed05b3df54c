//! Which programs the probe runs, and what it makes of a machine on which some are missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::runner::{Cmd, Output, RunError};
use crate::testing::Recorder;

const LSBLK_LINE: &str = "lsblk --json --bytes --output NAME,KNAME,PATH,TYPE,SIZE,MODEL,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN,ROTA,RM,RO,\
                          HOTPLUG,FSTYPE,LABEL,PARTUUID,PKNAME,MOUNTPOINTS,VENDOR,REV,PARTTYPE,PARTLABEL";
const TREE: &str = r#"{"blockdevices":[
    {"kname":"sda","path":"/dev/sda","type":"disk","size":4096,"children":[
        {"kname":"sda1","path":"/dev/sda1","type":"part"},{"kname":"md0","path":"/dev/md0","type":"raid1"}]},
    {"kname":"sdb","path":"/dev/sdb","type":"disk","size":0},
    {"kname":"sr0","path":"/dev/sr0","type":"rom"}]}"#;

const FOUND: &str = r#"{"signatures":[{"device":"sda1","offset":"0x438","type":"ext4","uuid":"u","label":null}]}"#;

/// A machine on which some programs are not installed and some devices cannot be read.
struct Machine {
    missing: &'static [&'static str],
    unreadable: &'static [&'static str],
    lines: Mutex<Vec<String>>,
}

impl Machine {
    fn new(missing: &'static [&'static str], unreadable: &'static [&'static str]) -> Self {
        Self { missing, unreadable, lines: Mutex::default() }
    }
}

impl Runner for Machine {
    fn status(&self, cmd: &Cmd, _: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
        self.lines.lock().unwrap().push(cmd.line());
        if self.missing.contains(&cmd.program.as_str()) {
            return Err(RunError::Start { line: cmd.line(), source: std::io::ErrorKind::NotFound.into() });
        }
        if cmd.args.iter().any(|arg| self.unreadable.contains(&arg.as_str())) {
            return Ok(Output { code: 1, stderr: "Input/output error".to_owned(), ..Output::default() });
        }
        let stdout = match (cmd.program.as_str(), cmd.args[0].as_str()) {
            ("lsblk", "--json") => TREE,
            ("wipefs", "--no-act") if cmd.args.last().is_some_and(|device| device == "/dev/sda1") => FOUND,
            ("udevadm", "info") => "DEVPATH=/devices/x\nDEVNAME=/dev/sda\nID_SERIAL_SHORT=S1\n",
            (_, "--version") => "version 9\nsecond line\n",
            _ => "",
        };
        Ok(Output { stdout: stdout.to_owned(), ..Output::default() })
    }
}

const MBR_FOUND: &str = r#"{"signatures":[{"device":"sda","offset":"0x1fe","type":"dos","uuid":null,"label":null}]}"#;

/// A machine whose disk has an MBR.
struct WithMbr(Machine);

impl Runner for WithMbr {
    fn status(&self, cmd: &Cmd, on_line: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
        let output = self.0.status(cmd, on_line)?;
        let stdout = match cmd.program.as_str() {
            "wipefs" => MBR_FOUND.to_owned(),
            "od" => include_str!("mbr/three.txt").to_owned(),
            _ => output.stdout,
        };
        Ok(Output { stdout, ..output })
    }
}

#[test]
fn the_partitions_of_an_mbr_are_counted() {
    let (machine, root) = (WithMbr(Machine::new(&[], &[])), root());
    let inventory = inventory(&capture(&machine, root.path(), Depth::Identity)).unwrap();
    let od = "od -An -v --format=x1 --read-bytes=512 /dev/sda";
    assert_eq!(machine.0.lines.lock().unwrap().iter().filter(|line| *line == od).count(), 1);
    assert_eq!(inventory.disks[0].mbr_partitions, Some(3));
    let report = report::describe(&inventory);
    assert!(report.contains("disk     dos (MBR, 3 partitions)\n"), "{report}");
}

fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The root directory of a machine with one interface, UEFI and a TPM.
fn root() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "proc/meminfo", "MemTotal: 1000 kB\n");
    write(root, "proc/version", "Linux version 6.12.1 (builder@host) #1 SMP\n");
    write(root, "proc/cmdline", "quiet luks.passphrase=\"hunter2 and more\" Root_PWD=hunter2 sovereign.mode=install\n");
    write(root, "sys/firmware/efi/fw_platform_size", "64\n");
    write(root, "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", [6, 0, 0, 0, 1]);
    write(root, "sys/class/tpm/tpm0/tpm_version_major", "2\n");
    write(root, "sys/devices/eth0/driver-of/e1000e/module", "");
    write(root, "sys/class/net/eth0/type", "1\n");
    write(root, "sys/class/net/eth0/address", "02:00:00:00:00:01\n");
    write(root, "sys/class/net/eth0/device/vendor", "0x8086\n");
    symlink("../../../../devices/eth0/driver-of/e1000e", root.join("sys/class/net/eth0/device/driver")).unwrap();
    write(root, "sys/class/net/br0/type", "1\n");
    write(root, "sys/class/net/br0/address", "02:00:00:00:00:02\n");
    fs::create_dir_all(root.join("sys/block")).unwrap();
    symlink("../devices/pci0/usb1/block/sda", root.join("sys/block/sda")).unwrap();
    dir
}

#[test]
fn these_programs_are_run_and_no_others() {
    let (machine, root) = (Machine::new(&[], &[]), root());
    capture(&machine, root.path(), Depth::Identity);
    assert_eq!(
        *machine.lines.lock().unwrap(),
        [
            "modprobe --quiet --all msr ccp",
            "cpuid -r",
            "dmesg --color=never",
            "lsblk --version",
            "udevadm --version",
            "udevadm settle --timeout=20",
            LSBLK_LINE,
            "udevadm info --query=property /dev/sda /dev/sdb",
            // sdb has no medium.
            "head --quiet --bytes=4096 /dev/sda /dev/sda1",
            "wipefs --no-act --json --output DEVICE,OFFSET,TYPE,UUID,LABEL /dev/sda /dev/sda1",
            "smartctl --json --nocheck=standby --info --health --attributes --log=error --log=devstat /dev/sda",
        ]
    );
}

const OURS: &str = r#"{"blockdevices":[{"kname":"sda","path":"/dev/sda","type":"disk","size":4096,"children":[
    {"kname":"sda1","path":"/dev/sda1","type":"part","partlabel":"sovereign-esp"},
    {"kname":"sda2","path":"/dev/sda2","type":"part","partlabel":"sovereign-boot"},
    {"kname":"sda3","path":"/dev/sda3","type":"part"}]}]}"#;
const OURS_FOUND: &str = r#"{"signatures":[
    {"device":"sda1","offset":"0x52","type":"vfat","uuid":"A","label":"ESP0"},
    {"device":"sda2","offset":"0x1000","type":"linux_raid_member","uuid":"B","label":"berlin-1:boot"},
    {"device":"sda3","offset":"0x218","type":"LVM2_member","uuid":"C","label":null}]}"#;

#[test]
fn what_contents_belong_to_and_how_disks_are_is_asked_for_and_only_of_what_is_there() {
    let root = root();
    let machine = Recorder::new()
        .prints("lsblk --json", OURS)
        .prints("wipefs", OURS_FOUND)
        .prints(
            "grub-fstest",
            "{\n  \"site\": \"berlin-1\",\n  \"started\": 1795000000,\n  \"state\": \"complete\"\n}\n",
        )
        .fails("smartctl", 4, "")
        .fails("pvs", 5, "Cannot process volume group");
    let captures = capture(&machine, root.path(), Depth::Whole);
    let lines = machine.lines();
    let pvs =
        "pvs --readonly --reportformat json --options pv_name,pv_uuid,vg_name,vg_uuid,pv_count,vg_missing_pv_count";
    assert_eq!(
        lines[lines.len() - 4..],
        [
            "mdadm --examine /dev/sda2",
            pvs,
            "grub-fstest /dev/sda1 cat /sovereign/install.json",
            "smartctl --json --nocheck=standby --info --health --attributes --log=error --log=devstat /dev/sda",
        ]
    );
    assert!(lines.contains(&"dmidecode --type 16".to_owned()));
    let said: Vec<String> = inventory(&captures).unwrap().disks[0].belongs.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["an earlier installation of ours: berlin-1, 2026-11-18"]);
    // A disk that says by its exit code that it is failing has answered.
    assert_eq!(captures.remarks().filter(|remark| remark.contains("smartctl")).count(), 0);
    assert_eq!(captures.remarks().filter(|remark| remark.contains("pvs --readonly")).count(), 1);
}

#[test]
fn values_of_sys_are_kept_of_what_disks_hang_below() {
    let root = root();
    write(root.path(), "sys/block/nvme0n1/nsid", "7\n");
    write(root.path(), "sys/devices/system/edac/mc/mc0/ce_count", "3\n");
    write(root.path(), "sys/bus/pci/devices/pci0/subsystem_vendor", "0x1028\n");
    write(root.path(), "sys/bus/pci/devices/0000:09:00.0/subsystem_vendor", "0x1af4\n");
    symlink("../../drivers/megaraid_sas", root.path().join("sys/bus/pci/devices/pci0/driver")).unwrap();
    let link = root.path().join("sys/bus/pci/drivers/megaraid_sas/module");
    fs::create_dir_all(link).unwrap();
    symlink("../../drivers/megaraid_sas", root.path().join("sys/bus/pci/devices/0000:09:00.0/driver")).unwrap();
    let captures = capture(&Machine::new(&[], &[]), root.path(), Depth::Identity);
    assert_eq!(
        captures.get("sys/attributes.txt"),
        Some(
            "block/nvme0n1/nsid 7\nbus/pci/devices/pci0/subsystem_vendor 0x1028\n\
             bus/pci/devices/pci0/driver megaraid_sas\ndevices/system/edac/mc/mc0/ce_count 3\n"
        )
    );
}

#[test]
fn files_become_an_inventory_that_survives_saving() {
    let root = root();
    let captures = capture(&Machine::new(&[], &[]), root.path(), Depth::Identity);
    let made = inventory(&captures).unwrap();
    assert_eq!(made.firmware, sovereign_model::inventory::Firmware::Uefi { secure_boot: Some(true) });
    assert!(made.tpm2);
    assert_eq!(made.kernel, "6.12.1");
    // The bridge has no device behind it.
    assert_eq!(made.nics.len(), 1);
    assert_eq!(made.nics[0].driver, "e1000e");
    assert_eq!(made.disks[0].serial.as_deref(), Some("S1"));
    assert_eq!(made.disks[0].transport, sovereign_model::inventory::Transport::Usb);
    assert_eq!(captures.get("versions.txt"), Some("lsblk: version 9\nudevadm: version 9\n"));

    let saved = tempfile::tempdir().unwrap();
    captures.save(saved.path()).unwrap();
    fs::write(saved.path().join(INVENTORY_FILE), serde_json::to_string(&made).unwrap()).unwrap();
    assert_eq!(Captures::load(saved.path()).unwrap(), captures);
    assert_eq!(load_inventory(saved.path()).unwrap(), made);
    let file = saved.path().join(INVENTORY_FILE);
    assert_eq!(load_inventory(&file).unwrap(), made);
    // As some editors save it.
    fs::write(&file, format!("\u{feff}{}", serde_json::to_string(&made).unwrap())).unwrap();
    assert_eq!(load_inventory(&file).unwrap(), made);
}

#[test]
fn no_secret_of_the_command_line_is_kept() {
    let root = root();
    let captures = capture(&Machine::new(&[], &[]), root.path(), Depth::Identity);
    assert_eq!(captures.get("proc/cmdline"), Some("quiet luks.passphrase=*** Root_PWD=*** sovereign.mode=install\n"));
    assert!(!captures.iter().any(|(_, text)| text.contains("hunter2")));
}

#[test]
fn missing_tools_and_unreadable_disks_become_remarks() {
    let root = root();
    let captures = capture(&Machine::new(&["udevadm"], &["/dev/sda"]), root.path(), Depth::Identity);
    let disks = inventory(&captures).unwrap().disks;
    assert_eq!((disks.len(), disks[0].serial.as_deref()), (2, None));
    assert_eq!(disks[1].contents, Some(Vec::new()), "without a medium");
    // What is on the partition is known, what else is on the disk is not.
    assert_eq!(disks[0].contents, None);
    // The partition is asked for again when the run for all devices failed.
    assert_eq!((captures.get("looked-at.txt"), captures.get("wipefs.json")), (Some("/dev/sda1\n"), Some(FOUND)));
    let remarks: Vec<&str> = captures.remarks().collect();
    assert_eq!(remarks.len(), 6, "{remarks:#?}");
    assert!(remarks[1].contains("udevadm settle") && remarks[1].contains("installed?"), "{remarks:#?}");
    assert!(
        remarks[4].starts_with("/dev/sda cannot be read") && remarks[4].ends_with("Input/output error"),
        "{remarks:#?}"
    );
    assert!(remarks[5].ends_with("LABEL /dev/sda` ended with exit code 1: Input/output error"), "{remarks:#?}");

    // As for anybody but root.
    let captures = capture(&Machine::new(&["wipefs"], &[]), root.path(), Depth::Identity);
    assert_eq!(inventory(&captures).unwrap().disks[0].contents, None);

    let without = capture(&Machine::new(&["lsblk"], &[]), root.path(), Depth::Identity);
    assert!(inventory(&without).unwrap().disks.is_empty());
    assert!(without.remarks().any(|r| r.contains("cannot start `lsblk --json")));
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let error = load_inventory(dir.path()).unwrap_err();
    assert!(matches!(&error, ProbeError::NotCaptures { path } if path == dir.path()), "{error}");
    assert!(matches!(load_inventory(&dir.path().join("none")), Err(ProbeError::Input(_))));

    let file = dir.path().join("machine.json");
    fs::write(&file, "{\"schema\": 1, \"disk\": []}").unwrap();
    let error = load_inventory(&file).unwrap_err().to_string();
    assert!(error.contains("machine.json is not an inventory: unknown field `disk`"), "{error}");

    let root = root();
    let mut made = inventory(&capture(&Machine::new(&[], &[]), root.path(), Depth::Identity)).unwrap();
    made.schema = 2;
    fs::write(&file, serde_json::to_string(&made).unwrap()).unwrap();
    assert!(load_inventory(&file).unwrap_err().to_string().contains("its schema is 2"));

    write(dir.path(), "lsblk.json", "{}");
    assert!(matches!(load_inventory(dir.path()), Err(ProbeError::Missing { capture: "proc/meminfo" })));
    write(dir.path(), "proc/meminfo", "MemTotal: 1 kB\n");
    let error = load_inventory(dir.path()).unwrap_err().to_string();
    assert!(error.contains("`lsblk.json`") && error.contains("blockdevices"), "{error}");
}

#[test]
fn a_folder_without_its_list_of_disks_is_not_a_machine_without_disks() {
    let root = root();
    let saved = tempfile::tempdir().unwrap();
    capture(&Machine::new(&[], &[]), root.path(), Depth::Identity).save(saved.path()).unwrap();
    let lsblk = saved.path().join("lsblk.json");
    let missing = || matches!(load_inventory(saved.path()), Err(ProbeError::Missing { capture: "lsblk.json" }));
    assert!(!missing());
    fs::remove_file(&lsblk).unwrap();
    assert!(missing());
    fs::create_dir(&lsblk).unwrap();
    assert!(missing());
    fs::remove_dir(&lsblk).unwrap();
    fs::File::create(&lsblk).unwrap().set_len((16 << 20) + 1).unwrap();
    let error = load_inventory(saved.path()).unwrap_err();
    assert!(matches!(error, ProbeError::Input(_)) && error.to_string().contains("lsblk.json is larger"), "{error}");

    // The machine had no lsblk, and said so.
    let without = tempfile::tempdir().unwrap();
    capture(&Machine::new(&["lsblk"], &[]), root.path(), Depth::Identity).save(without.path()).unwrap();
    let (captures, inventory) = load(without.path()).unwrap();
    assert!(inventory.disks.is_empty() && captures.remarks().count() > 0);
}

#[test]
fn a_capture_is_never_written_outside_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["../out", "/etc/out", "a/../../out", ""] {
        let mut captures = Captures::default();
        captures.insert(name, "x");
        let error = captures.save(&dir.path().join("saved")).unwrap_err();
        assert!(matches!(&error, ProbeError::Path { capture } if capture == name), "{error}");
    }
}
