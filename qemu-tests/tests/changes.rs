//! Between the plan that a person has agreed to and the first write, a machine may change: every change stops the installation.

use std::time::Duration;

use serde_json::json;
use sovereign_qemu_tests::boot::{micro, micro_shell};
use sovereign_qemu_tests::words::{EXIT_NO_PLAN, PASSPHRASE};
use sovereign_qemu_tests::{Bus, Disk, Firmware, Lab, Machine, Shell, Vm, host};

/// A plan, or a refusal.
const PLAN_TIMEOUT: Duration = Duration::from_secs(300);
/// Length of each disk, and what one of them grows to.
const SIZE_BYTES: u64 = 8 << 30;

fn hdd(number: u32) -> Disk {
    Disk::new(Bus::Scsi, &format!("HDD{number:05}"), SIZE_BYTES).rotating(7200)
}

/// Puts a disk with this serial number where `disk` was taken out, on the same image.
fn plug_in(vm: &Vm, disk: &Disk, place: u32, serial: &str) {
    let id = disk.serial();
    let device = json!({"driver": "scsi-hd", "id": format!("dev-{id}"), "bus": "scsi0.0", "scsi-id": place, "lun": 0, "drive": id,
        "serial": serial, "rotation_rate": 7200});
    vm.qmp("device_add", &device);
}

/// Starts the installer, does something while it counts down, and returns what it said: it must stop and write nothing.
#[track_caller]
fn stopped_by(shell: &Shell<'_>, what: &str, change: impl FnOnce()) -> String {
    shell.ok("udevadm settle; rm -f /run/install.exit");
    shell.ok(
        "(setsid sovereign-installer install --site /run/answers/site.toml --countdown 20 >/run/install.log 2>&1 </dev/null; \
         echo \"exit $?\" >/run/install.exit) >/dev/null 2>&1 &",
    );
    shell.wait_until("cat /run/install.log", "will be erased", PLAN_TIMEOUT);
    change();
    let before = shell.vm().written_bytes();
    let exit = shell.wait_until("cat /run/install.exit 2>/dev/null", "exit", PLAN_TIMEOUT);
    let log = shell.ok("cat /run/install.log");
    assert_eq!(exit.trim(), format!("exit {EXIT_NO_PLAN}"), "{what}:\n{log}");
    assert_eq!(shell.vm().written_bytes(), before, "{what}: something was written\n{log}");
    shell.vm().lab().mark(what);
    log
}

/// A disk that goes, one that comes in its place, one that comes beside it with its serial number, one that grows and one that
/// somebody writes a signature on: each stops the installer before the first write. The images of all other disks are afterwards,
/// bit by bit, what they were before.
#[test]
fn a_machine_that_changes_after_the_plan_is_not_written_to() {
    let lab = Lab::new("changes_after_the_plan");
    let mut machine = Machine::new(&lab, Firmware::Uefi);
    for number in 1..=2 {
        machine = machine.disk(Disk::new(Bus::Nvme, &format!("SSD{number:05}"), SIZE_BYTES));
    }
    for number in 1..=6 {
        machine = machine.disk(hdd(number));
    }
    let before = machine.image_hashes();
    let vm = micro(&mut machine, "changes");
    let shell = micro_shell(&vm);
    shell.ok("mkdir -p /run/answers");
    shell.write_file("/run/answers/site.toml", 0o644, &std::fs::read(host::site("layouts")).unwrap());
    shell.write_file("/run/answers/passphrase", 0o600, PASSPHRASE.as_bytes());
    let node = |serial: &str| {
        let node = shell.ok(&format!("lsblk -dnro PATH,SERIAL | awk '$2 == \"{serial}\" {{ print $1 }}'"));
        node.trim().to_owned()
    };

    let last = hdd(6);
    let log = stopped_by(&shell, "removed", || vm.unplug(&last));
    assert!(log.contains("not attached: HDD00006"), "{log}");
    plug_in(&vm, &last, 5, "HDD00006");
    shell.wait_until("lsblk -dnro SERIAL", "HDD00006", PLAN_TIMEOUT);

    let log = stopped_by(&shell, "swapped", || {
        vm.unplug(&last);
        plug_in(&vm, &last, 5, "OTHER0001");
        shell.wait_until("lsblk -dnro SERIAL", "OTHER0001", PLAN_TIMEOUT);
    });
    assert!(log.contains("not attached: HDD00006") && log.contains("OTHER0001"), "{log}");
    vm.unplug(&last);
    plug_in(&vm, &last, 5, "HDD00006");
    shell.wait_until("lsblk -dnro SERIAL", "HDD00006", PLAN_TIMEOUT);

    let twin = hdd(9);
    let log = stopped_by(&shell, "added", || {
        let null = json!({"driver": "null-co", "node-name": twin.serial(), "size": SIZE_BYTES, "read-zeroes": true});
        vm.qmp("blockdev-add", &null);
        plug_in(&vm, &twin, 9, "HDD00006");
        shell.wait_until("lsblk -dnro SERIAL | grep -c HDD00006", "2", PLAN_TIMEOUT);
    });
    assert!(log.contains("names serial HDD00006, which several disks have"), "{log}");
    vm.unplug(&twin);

    let grown = node("HDD00005");
    let log = stopped_by(&shell, "resized", || {
        vm.qmp("block_resize", &json!({"node-name": "HDD00005", "size": 2 * SIZE_BYTES}));
        shell.ok(&format!("echo 1 > /sys/block/{}/device/rescan", grown.trim_start_matches("/dev/")));
        shell.wait_until(&format!("blockdev --getsize64 {grown}"), "17179869184", PLAN_TIMEOUT);
    });
    assert!(log.contains("the machine has changed since the plan was made"), "{log}");

    let marked = node("HDD00004");
    let log = stopped_by(&shell, "marked", || drop(shell.ok(&format!("mkswap -q {marked} && sync && udevadm settle"))));
    assert!(log.contains("the machine has changed since the plan was made"), "{log}");

    vm.power_cut();
    // QEMU itself has made one larger, and the test has written to another.
    let untouched = |hashes: Vec<(String, String)>| -> Vec<(String, String)> {
        hashes.into_iter().filter(|(serial, _)| !["HDD00004", "HDD00005"].contains(&serial.as_str())).collect()
    };
    assert_eq!(untouched(machine.image_hashes()), untouched(before));
}
