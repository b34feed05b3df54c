//! The harness against the ISO's own kernel: what the scenarios rely on is shown to hold before they are believed.

use std::time::Duration;

use sovereign_qemu_tests::boot::{micro, micro_shell};
use sovereign_qemu_tests::disk::{REFERENCE_HDD_BYTES, REFERENCE_NVME_BYTES};
use sovereign_qemu_tests::vm::Off;
use sovereign_qemu_tests::words::PASSPHRASE;
use sovereign_qemu_tests::{AnswerMedium, Bus, Disk, Firmware, Lab, Machine, secrets};

/// The guest sees each disk with its size to the byte, its serial number, its name and its kind, wherever it is attached; a disk
/// that is taken out leaves the others as they were.
#[test]
fn disks_are_presented_to_the_byte() {
    let lab = Lab::new("harness_disks");
    let mut machine = Machine::new(&lab, Firmware::Bios)
        .reference_disks()
        .disk(Disk::new(Bus::Scsi, "FOURK0001", 8 << 30).blocks(4096, 4096).rotating(5400))
        .disk(Disk::new(Bus::Virtio, "RO0001", 1 << 30).read_only());
    machine.answer(&AnswerMedium::fat(&lab, "answers", &[("site.toml", b"# nothing\n")]));
    let vm = micro(&mut machine, "all");
    let shell = micro_shell(&vm);
    let disks = shell.json("lsblk --json --bytes --nodeps -o NAME,SIZE,SERIAL,WWN,ROTA,LOG-SEC,PHY-SEC,RO,TRAN,RM");
    let disk = |serial: &str| {
        let all = disks["blockdevices"].as_array().unwrap();
        all.iter().find(|disk| disk["serial"] == serial).unwrap_or_else(|| panic!("no {serial} in {disks:#}")).clone()
    };
    for serial in ["NVME0001", "NVME0002"] {
        assert_eq!(disk(serial)["size"], REFERENCE_NVME_BYTES);
        assert_eq!((&disk(serial)["rota"], &disk(serial)["tran"]), (&false.into(), &"nvme".into()));
    }
    for serial in ["HDD00001", "HDD00002", "HDD00003", "HDD00004"] {
        let hdd = disk(serial);
        assert_eq!(hdd["size"], REFERENCE_HDD_BYTES);
        assert_eq!((&hdd["rota"], &hdd["tran"]), (&true.into(), &"sata".into()));
        assert_eq!((&hdd["log-sec"], &hdd["phy-sec"]), (&512.into(), &4096.into()));
    }
    assert_eq!(disk("HDD00003")["wwn"], "0x5000c50000000003");
    assert_eq!(disk("FOURK0001")["log-sec"], 4096);
    assert_eq!(disk("RO0001")["ro"], true);
    assert_eq!(disk("ANSWER0000")["tran"], "usb");
    let identity = "lsblk --nodeps --noheadings -o SERIAL,WWN | grep NVME0002";
    let name = shell.ok(identity);
    assert!(name.split_whitespace().count() == 2, "NVME0002 has no world wide name: {name}");
    shell.switch_off_now();
    assert_eq!(vm.wait_off(Duration::from_secs(60)), Off::PowerOff);

    machine.take_out("NVME0001").take_out("HDD00002");
    let vm = micro(&mut machine, "some");
    let shell = micro_shell(&vm);
    let serials = shell.ok("lsblk --nodeps --noheadings -o SERIAL");
    assert!(!serials.contains("NVME0001") && !serials.contains("HDD00002"), "{serials}");
    assert!(serials.contains("NVME0002") && serials.contains("HDD00001"), "{serials}");
    assert_eq!(shell.ok(identity), name, "the same disk has another name in the absence of its neighbour");
}

/// What a guest has written survives a power cut, an overlay leaves its backing image as it was, and a machine that writes
/// nothing changes no byte of its images.
#[test]
fn power_cuts_keep_and_overlays_protect() {
    let lab = Lab::new("harness_power_cut");
    let mut machine = Machine::new(&lab, Firmware::Bios).disk(Disk::new(Bus::Nvme, "A1", 1 << 30));
    let empty = machine.image_hashes();
    let vm = micro(&mut machine, "read");
    micro_shell(&vm).ok("dd if=/dev/nvme0n1 of=/dev/null bs=1M count=64 status=none");
    vm.power_cut();
    assert_eq!(machine.image_hashes(), empty, "a machine that only read has changed an image");

    let vm = micro(&mut machine, "write");
    let shell = micro_shell(&vm);
    shell.ok("printf survivor | dd of=/dev/nvme0n1 bs=4096 seek=100 oflag=direct conv=sync status=none");
    assert_eq!(vm.status(), "running");
    assert!(vm.written_bytes().iter().any(|(disk, bytes)| disk == "A1" && *bytes >= 4096), "{:?}", vm.written_bytes());
    vm.power_cut();
    let written = machine.image_hashes();
    assert_ne!(written, empty);

    let overlays = Lab::new("harness_overlay");
    let image = machine.image("A1");
    let mut second =
        Machine::new(&overlays, Firmware::Uefi).disk_over(Disk::new(Bus::Nvme, "A1", 1 << 30), &image, "qcow2");
    let vm = micro(&mut second, "overlay");
    let shell = micro_shell(&vm);
    assert_eq!(shell.ok("dd if=/dev/nvme0n1 bs=4096 skip=100 count=1 status=none | head -c 8"), "survivor");
    shell.ok("dd if=/dev/urandom of=/dev/nvme0n1 bs=1M count=8 oflag=direct status=none");
    vm.power_cut();
    assert_eq!(machine.image_hashes(), written, "writing to an overlay has changed its backing image");
}

/// The shell returns status, output and errors exactly: long, wide, binary-looking and empty ones, of commands too long for one
/// line, with kernel messages in between; and its typing is found in no log.
#[test]
fn the_shell_is_exact() {
    let lab = Lab::new("harness_shell");
    let mut machine = Machine::new(&lab, Firmware::Bios);
    let vm = micro(&mut machine, "shell");
    let shell = micro_shell(&vm);
    let output = shell.run("echo out; echo err >&2; exit 7");
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
    let long = shell.ok("seq 1 20000");
    assert_eq!(long.lines().count(), 20_000);
    assert!(long.ends_with("\n20000\n"));
    assert_eq!(shell.ok("printf 'x%.0s' $(seq 3000)").len(), 3000);
    assert_eq!(shell.ok("printf '\\033[31mred\\033[0m\\ttab\\r\\n'"), "\u{1b}[31mred\u{1b}[0m\ttab\r\n");
    let noisy = shell.ok("dmesg -n 8; for i in $(seq 20); do echo '<1>noise' > /dev/kmsg; done; seq 1 500; dmesg -n 1");
    assert_eq!(noisy.lines().count(), 500);
    let words: Vec<String> = (0..2000).map(|n| format!("w{n}")).collect();
    assert_eq!(shell.ok(&format!("set -- {}; echo $# ${{2000}}", words.join(" "))), "2000 w1999\n");
    shell.write_file("/run/secret", 0o600, PASSPHRASE.as_bytes());
    assert_eq!(shell.ok("stat -c '%a %s' /run/secret").trim(), format!("600 {}", PASSPHRASE.len()));
    secrets::assert_absent_in_serial_logs(&lab.artifact(""), PASSPHRASE);
    let live = shell.run_live("for i in 1 2 3; do echo line $i; done; exit 3", Duration::from_secs(30));
    assert_eq!(live.status, 3);
    assert!(live.stdout.contains("line 1\nline 2\nline 3\n"), "{live:?}");
}

/// A disk can be taken out of a running machine: the guest loses it and keeps the other.
#[test]
fn disks_can_be_unplugged() {
    let lab = Lab::new("harness_unplug");
    let (first, second) = (Disk::new(Bus::Nvme, "A1", 1 << 30), Disk::new(Bus::Scsi, "B1", 1 << 30));
    let mut machine = Machine::new(&lab, Firmware::Bios)
        .disk(first.clone())
        .disk(Disk::new(Bus::Nvme, "A2", 1 << 30))
        .disk(second.clone());
    let vm = micro(&mut machine, "unplug");
    let shell = micro_shell(&vm);
    for serial in ["A1", "A2", "B1"] {
        shell.wait_until("lsblk --nodeps --noheadings -o SERIAL", serial, Duration::from_secs(30));
    }
    vm.unplug(&first);
    vm.unplug(&second);
    let left = shell.ok("udevadm settle; lsblk --nodeps --noheadings -o SERIAL");
    assert!(left.contains("A2") && !left.contains("A1") && !left.contains("B1"), "{left}");
}
