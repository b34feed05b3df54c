//! Whole machines on disks of another kind than the reference machine's: sectors of 4096 bytes, one disk without a copy, one volume of a
//! RAID controller. The real ISO installs each, and it starts from its disks alone.

use sovereign_qemu_tests::boot::{self, LOGIN_TIMEOUT, off, power_off, unlock_and_log_in};
use sovereign_qemu_tests::disk::{REFERENCE_HDD_BYTES, REFERENCE_NVME_BYTES};
use sovereign_qemu_tests::installed::answers;
use sovereign_qemu_tests::medium::IsoAs;
use sovereign_qemu_tests::words::EXIT_DEGRADED;
use sovereign_qemu_tests::{Bus, Disk, Firmware, Lab, Machine, Shell, guest, re};

/// Installs from the ISO with a site file of the tests; the medium is gone afterwards.
#[track_caller]
fn install(machine: &mut Machine, lab: &Lab, site: &str) -> String {
    machine.iso(IsoAs::Cdrom).answer(&answers(lab, site));
    let said = boot::install(machine, "install");
    machine.eject_all();
    said
}

/// What `status` says, once everything that comes late is there.
#[track_caller]
fn status(shell: &Shell<'_>, code: i32) -> String {
    shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
    let output = shell.run("sovereign-installer status");
    assert_eq!(output.status, code, "{}", output.stdout);
    output.stdout
}

/// NVMe disks and HDDs that know sectors of 4096 bytes alone: the machine is installed, started by UEFI, unlocked, as planned in every
/// layer, and starts with its first disk absent too.
#[test]
fn a_machine_of_4kn_disks_starts_from_either_of_them() {
    let lab = Lab::new("sectors_4kn");
    let mut machine = Machine::new(&lab, Firmware::Uefi).network();
    for number in 1..=2 {
        let disk = Disk::new(Bus::Nvme, &format!("NVME4K0{number}"), REFERENCE_NVME_BYTES);
        machine = machine.disk(disk.blocks(4096, 4096));
    }
    for number in 1..=4 {
        let disk = Disk::new(Bus::Scsi, &format!("HDD4K00{number}"), REFERENCE_HDD_BYTES);
        machine = machine.disk(disk.blocks(4096, 4096).rotating(7200).wwn(0x5000_c500_0000_0040 + number));
    }
    install(&mut machine, &lab, "sectors");

    let vm = machine.power_on("boot");
    let shell = unlock_and_log_in(&vm);
    let sectors = shell.ok("cat /sys/block/nvme*n1/queue/logical_block_size /sys/block/sd?/queue/logical_block_size");
    assert_eq!(sectors.split_whitespace().collect::<Vec<_>>(), ["4096"; 6]);
    for (array, members) in [("boot", "UU"), ("ssd", "UU"), ("hdd", "UUUU")] {
        assert_eq!(guest::array(&shell, array).members, members, "{array}");
    }
    guest::assert_luks(&shell, "/dev/md/ssd", &["argon2id"]);
    guest::assert_luks(&shell, "/dev/md/hdd", &["argon2id", "pbkdf2"]);
    shell.ok("diff -r /boot/efi /boot/efi2");
    // No partition is left for a boot loader that could never be read.
    assert_eq!(shell.run("lsblk -no PARTLABEL | grep sovereign-bios").stdout.trim(), "");
    let report = status(&shell, 0);
    assert!(report.contains("all as planned"), "{report}");
    power_off(&shell);
    off(vm);

    let vm = machine.take_out("NVME4K01").power_on("without-the-first");
    let shell = unlock_and_log_in(&vm);
    assert_eq!(guest::array(&shell, "ssd").members, "_U");
    let report = status(&shell, EXIT_DEGRADED);
    assert!(report.contains("array ssd: 1 of 2 disks missing"), "{report}");
    power_off(&shell);
    off(vm);
}

/// One NVMe disk without a copy: the plan, the login banner and `status` call the machine unsafe, and it runs.
#[test]
fn a_machine_of_one_disk_runs_and_says_that_it_is_unsafe() {
    let lab = Lab::new("sectors_single_disk");
    let mut machine = Machine::new(&lab, Firmware::Uefi).network().disk(Disk::reference_nvme(1));
    let said = install(&mut machine, &lab, "single-disk");
    assert!(said.contains("UNSAFE, for laboratories only: the ssd pool has no RAID"), "{said}");

    let vm = machine.power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_eq!(shell.ok("cat /proc/mdstat | grep -c ^md; true").trim(), "0");
    guest::assert_luks(&shell, "/dev/nvme0n1p4", &["argon2id"]);
    assert_eq!(shell.ok("findmnt -no SOURCE,FSTYPE /boot").trim(), "/dev/nvme0n1p3 ext4");
    assert_eq!(shell.ok("findmnt -no SOURCE /boot/efi").trim(), "/dev/nvme0n1p2");
    assert_eq!(shell.run("findmnt /boot/efi2").status, 1, "there is but one ESP");
    for banner in ["/etc/issue.d/20-sovereign-unsafe.issue", "/etc/motd.d/20-sovereign-unsafe"] {
        assert!(shell.ok(&format!("cat {banner}")).contains("UNSAFE"), "{banner}");
    }
    let report = status(&shell, 0);
    for words in ["all as planned", "UNSAFE, for laboratories only", "pool ssd: one disk, UNSAFE"] {
        assert!(report.contains(words), "\"{words}\" is not in\n{report}");
    }
    guest::assert_no_failed_unit(&shell);
    let first_boot = guest::first_boot_report(&shell);
    assert_eq!(first_boot["verdict"], "green", "{first_boot:#}");
    // What keeps two disks bootable has nothing to do and no complaint, also after the loaders changed.
    shell.ok_within("echo other >/var/lib/sovereign/boot-loaders && /usr/lib/sovereign/boot-sync", LOGIN_TIMEOUT);
    power_off(&shell);
    off(vm);
    let vm = machine.power_on("again");
    let shell = unlock_and_log_in(&vm);
    power_off(&shell);
    off(vm);
}

/// One volume of a RAID controller, by BIOS: the machine runs, and nothing calls it unsafe.
#[test]
fn a_machine_on_a_raid_volume_runs_by_bios() {
    let lab = Lab::new("sectors_raid_volume");
    let volume = Disk::new(Bus::MegaRaid, "VOLUME01", REFERENCE_NVME_BYTES).wwn(0x6000_5076_0000_0001);
    let mut machine = Machine::new(&lab, Firmware::Bios).network().disk(volume);
    let said = install(&mut machine, &lab, "raid-volume");
    assert!(said.contains("one volume of a RAID controller") && !said.contains("UNSAFE"), "{said}");

    let vm = machine.power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_eq!(shell.run("test -d /sys/firmware/efi").status, 1, "this is no BIOS machine");
    guest::assert_luks(&shell, "/dev/sda4", &["argon2id"]);
    assert_eq!(shell.ok("findmnt -no SOURCE,FSTYPE /boot").trim(), "/dev/sda3 ext4");
    let report = status(&shell, 0);
    assert!(report.contains("pool ssd: one volume of a RAID controller") && !report.contains("UNSAFE"), "{report}");
    assert_eq!(shell.run("cat /etc/issue.d/20-sovereign-unsafe.issue").status, 1);
    guest::assert_no_failed_unit(&shell);
    power_off(&shell);
    off(vm);
}
