//! The seven scenarios: the real ISO on real firmware, power cycles, missing disks. Each installed machine is installed once;
//! tests work on overlays of its disks.

use std::time::Duration;

use sovereign_qemu_tests::boot::{
    self, INSTALL_TIMEOUT, LIVE_TIMEOUT, LOGIN_TIMEOUT, OFF_TIMEOUT, choose_install_on_serial, off, power_off,
    unlock_and_log_in, wait_installed,
};
use sovereign_qemu_tests::installed::{SITE, answers, embedded, passphrase_only};
use sovereign_qemu_tests::medium::IsoAs;
use sovereign_qemu_tests::vm::Off;
use sovereign_qemu_tests::words::{EXIT_DEGRADED, LOGIN_PROMPT, MENU_KEY_DISK, PASSPHRASE, UNLOCK_PROMPT, step};
use sovereign_qemu_tests::{Disk, Firmware, Installed, Lab, Machine, Shell, Technician, guest, host, re, secrets};

/// From pressing the button to the loaded layout of the keyboard, on a loaded host.
const KEYMAP_TIME: Duration = Duration::from_secs(45);
/// From power-on to the question for the passphrase, which a screen alone shows, on a loaded host.
const PROMPT_TIME: Duration = Duration::from_secs(120);
/// A returned member: found, and brought up to date from the bitmap.
const RESYNC_TIMEOUT: Duration = Duration::from_secs(300);

/// `status`, and its exit code.
fn status(shell: &Shell<'_>) -> (i32, String) {
    let output = shell.run("sovereign-installer status");
    (output.status, output.stdout)
}

#[track_caller]
fn assert_healthy(shell: &Shell<'_>) {
    // The login prompt does not wait for the bulk container.
    shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
    let (code, report) = status(shell);
    assert_eq!(code, 0, "{report}");
}

#[track_caller]
fn assert_degraded(shell: &Shell<'_>, words: &[&str]) {
    let (code, report) = status(shell);
    assert_eq!(code, EXIT_DEGRADED, "{report}");
    for word in words {
        assert!(report.contains(word), "\"{word}\" is not in\n{report}");
    }
}

#[track_caller]
fn assert_members(shell: &Shell<'_>, array: &str, members: &str) {
    let found = guest::array(shell, array);
    assert_eq!(found.members, members, "{array}: {found:?}");
}

/// What the kernel says of an array, with the names of its members and its progress.
fn mdstat(array: &str) -> String {
    format!("grep -A3 \"^$(basename $(readlink -f /dev/md/{array})) \" /proc/mdstat")
}

/// Scenario 1, UEFI and the reference disks: the installed machine starts, is unlocked at the serial console, and is what was
/// planned, layer by layer.
#[test]
fn an_installed_machine_is_what_was_planned() {
    let installed = Installed::uefi_reference();
    let lab = Lab::new("e2e_1_uefi");
    let vm = installed.machine(&lab).power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_eq!(boot::let_resync_go(&shell), "200000", "KiB/s for each device, once the machine is up");
    boot::hold_resync(&shell);

    for (array, level, members) in [("boot", "raid1", "UU"), ("ssd", "raid1", "UU"), ("hdd", "raid10", "UUUU")] {
        let found = guest::array(&shell, array);
        assert_eq!((found.level.as_str(), found.members.as_str()), (level, members), "{array}");
    }
    guest::assert_luks(&shell, "/dev/md/ssd", &["argon2id"]);
    // The passphrase, and the key file of the encrypted root with its cheap slot.
    guest::assert_luks(&shell, "/dev/md/hdd", &["argon2id", "pbkdf2"]);
    let root = guest::volume(&shell, "pve", "root").unwrap();
    assert_eq!((root.kind.as_str(), root.size_bytes), ("linear", 9_537 * (4 << 20)));
    let ssd = guest::volume(&shell, "pve", "data").unwrap();
    assert_eq!((ssd.kind.as_str(), ssd.size_bytes, ssd.chunk_bytes), ("thin-pool", 446_726_930_432, 128 << 10));
    let hdd = guest::volume(&shell, "bulk", "data").unwrap();
    assert_eq!((hdd.kind.as_str(), hdd.size_bytes, hdd.chunk_bytes), ("thin-pool", 2_861_257 * (4 << 20), 1 << 20));
    assert_eq!(guest::group(&shell, "pve").unwrap().free_extents, 5_246, "the reserve of 22 GB, in extents");
    assert_eq!(shell.ok("findmnt -no SOURCE,FSTYPE /").trim(), "/dev/mapper/pve-root ext4");

    // Two EFI system partitions of their own with the same files, the removable path among them.
    let esps = shell.ok("findmnt -no SOURCE /boot/efi; findmnt -no SOURCE /boot/efi2");
    let esps: Vec<&str> = esps.split_whitespace().collect();
    assert!(esps.len() == 2 && esps[0] != esps[1] && esps.iter().all(|esp| esp.starts_with("/dev/nvme")), "{esps:?}");
    shell.ok("diff -r /boot/efi /boot/efi2");
    shell.ok("test -s /boot/efi/EFI/BOOT/BOOTX64.EFI || test -s /boot/efi/EFI/boot/bootx64.efi");
    assert_eq!(shell.json("cat /boot/efi/sovereign/install.json")["state"], "complete");

    assert_eq!(shell.ok("stat -c '%a %U' /etc/sovereign/keys/hdd.key").trim(), "400 root");
    let headers = shell.ok("stat -c '%a %U' /etc/sovereign/luks-headers/*.img");
    assert!(headers.lines().count() >= 2 && headers.lines().all(|line| line == "400 root"), "{headers}");
    let crypttab = shell.ok("grep ^luks-hdd /etc/crypttab");
    assert!(crypttab.contains("/etc/sovereign/keys/hdd.key") && crypttab.contains("nofail"), "{crypttab}");
    assert_eq!(shell.ok("hostname -f").trim(), "host.e2e.example.org");
    assert_eq!(shell.ok("readlink -f /etc/localtime").trim(), "/usr/share/zoneinfo/Europe/Berlin");
    // The login prompt does not wait for the network.
    shell.wait_until("ip -4 -o address show scope global", "192.0.2.10/24", LOGIN_TIMEOUT);

    // Whoever looks at the login prompt, or logs in by SSH, reads what this is.
    for banner in ["/etc/issue.d/10-sovereign-edition.issue", "/etc/motd.d/10-sovereign-edition"] {
        let text = shell.ok(&format!("cat {banner}"));
        assert!(text.contains("rehearsal, no Proxmox VE"), "{banner}: {text}");
    }

    shell.keep("/var/log/sovereign/install.log", "install.log");
    shell.keep("/var/log/sovereign/journal.jsonl", "journal.jsonl");
    shell.keep("/var/log/sovereign/events.jsonl", "events.jsonl");
    lab.keep("systemd-analyze.txt", &shell.run("systemd-analyze; systemd-analyze blame | head -30").stdout);
    shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
    assert_eq!(shell.ok("systemctl --failed --plain --no-legend").trim(), "", "units have failed");
    assert_healthy(&shell);
    secrets::assert_absent_inside(&shell, PASSPHRASE);
    power_off(&shell);
    off(vm);

    secrets::assert_absent_in_files(&installed.images(), PASSPHRASE);
    secrets::assert_absent_in_serial_logs(&installed.folder, PASSPHRASE);
    secrets::assert_absent_in_serial_logs(&lab.artifact(""), PASSPHRASE);
}

/// With this NVMe disk absent the machine starts from the other, says so, and takes the disk back when it returns.
#[track_caller]
fn an_nvme_disk_is_absent_and_returns(lab: &Lab, serial: &str, members: &str) {
    let mut machine = Installed::uefi_reference().machine(lab);
    let vm = machine.take_out(serial).power_on("absent");
    let shell = unlock_and_log_in(&vm);
    assert_members(&shell, "ssd", members);
    assert_members(&shell, "boot", members);
    assert_members(&shell, "hdd", "UUUU");
    assert_degraded(&shell, &["array ssd", "1 of 2 disks missing"]);
    // What the absent disk does not know yet.
    shell.ok("echo while-it-was-away > /root/note && sync");
    power_off(&shell);
    off(vm);

    let vm = machine.put_back(serial).power_on("returned");
    let shell = unlock_and_log_in(&vm);
    // The small array is whole again within the test. The large one was in its first sync when the disk went, so that all
    // of it is copied: the test sees that it has begun.
    boot::let_resync_go(&shell);
    shell.wait_until(&mdstat("ssd"), re(r"recovery|\[UU\]"), RESYNC_TIMEOUT);
    // The kernel copies one array of a disk at a time, whichever began first: the large one stands aside.
    let action = "/sys/block/$(basename $(readlink -f /dev/md/ssd))/md/sync_action";
    shell.run(&format!("echo frozen > {action}"));
    shell.wait_until(&mdstat("boot"), "[UU]", RESYNC_TIMEOUT);
    shell.run(&format!("echo idle > {action}"));
    assert_eq!(shell.ok("cat /root/note").trim(), "while-it-was-away", "the machine runs on the disk that was away");
    power_off(&shell);
    off(vm);
}

/// Scenario 2: the first NVMe disk.
#[test]
fn the_first_nvme_disk_can_be_absent_and_returns() {
    an_nvme_disk_is_absent_and_returns(&Lab::new("e2e_2_without_nvme_0"), "NVME0001", "_U");
}

/// Scenario 2, the other way round: the second NVMe disk.
#[test]
fn the_second_nvme_disk_can_be_absent_and_returns() {
    an_nvme_disk_is_absent_and_returns(&Lab::new("e2e_2_without_nvme_1"), "NVME0002", "U_");
}

/// Scenario 3: one HDD of each mirror pair is absent; what was written to the bulk pool before is read, and it takes more.
#[test]
fn one_hdd_of_each_pair_can_be_absent() {
    let lab = Lab::new("e2e_3_two_hdds_absent");
    let mut machine = Installed::uefi_reference().machine(&lab);
    let vm = boot::micro(&mut machine, "write");
    let shell = boot::micro_shell(&vm);
    boot::rescue_open_bulk(&shell);
    shell.ok("lvcreate -qy -V 1G -n witness --thinpool bulk/data && mkfs.ext4 -q /dev/bulk/witness && mount /dev/bulk/witness /mnt");
    let sum = shell.ok("head -c 64M /dev/urandom > /mnt/data && sync && sha256sum < /mnt/data && umount /mnt");
    // Members 0 and 1 mirror each other, and 2 and 3 (layout n2); members are in the order of serial numbers.
    for (slot, serial) in ["HDD00001", "HDD00002", "HDD00003", "HDD00004"].iter().enumerate() {
        let role =
            shell.ok(&format!("mdadm --examine $(lsblk -nro PATH,SERIAL | awk '$2 == \"{serial}\" {{ print $1 }}')1"));
        assert!(role.contains(&format!("Active device {slot}")), "{serial}: {role}");
    }
    shell.ok("vgchange -an bulk && cryptsetup close luks-hdd && mdadm --stop /dev/md/hdd");
    vm.power_cut();

    let vm = machine.eject_all().take_out("HDD00001").take_out("HDD00004").power_on("without-two");
    let shell = unlock_and_log_in(&vm);
    shell.wait_until("vgs --noheadings -o vg_name", "bulk", LOGIN_TIMEOUT);
    assert_members(&shell, "hdd", "_UU_");
    shell.ok("lvchange -ay bulk/witness && mount /dev/bulk/witness /mnt");
    assert_eq!(shell.ok("sha256sum < /mnt/data"), sum, "the data is not what was written");
    shell.ok("echo more > /mnt/more && sync && umount /mnt");
    assert_degraded(&shell, &["array hdd", "2 of 4 disks missing"]);
    power_off(&shell);
    off(vm);
}

/// Scenario 3: with all four HDDs absent the machine still starts, is reached by SSH, and reports the bulk pool missing.
#[test]
fn all_hdds_can_be_absent() {
    let lab = Lab::new("e2e_3_no_hdds");
    let mut machine = Installed::uefi_reference().machine(&lab);
    for serial in ["HDD00001", "HDD00002", "HDD00003", "HDD00004"] {
        machine.take_out(serial);
    }
    let port = machine.ssh_port().unwrap();
    let vm = machine.power_on("without-hdds");
    let shell = unlock_and_log_in(&vm);
    boot::wait_for_ssh(&vm, port, LOGIN_TIMEOUT);
    assert_members(&shell, "ssd", "UU");
    assert_degraded(&shell, &["MISSING  array hdd", "MISSING  container luks-hdd", "MISSING  thin pool bulk/data"]);
    power_off(&shell);
    off(vm);
}

/// Scenario 4, BIOS: the same machine without UEFI, whole and with its first disk absent.
#[test]
fn bios_starts_from_either_disk() {
    let installed = Installed::bios_reference();
    let lab = Lab::new("e2e_4_bios");
    let vm = installed.machine(&lab).power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_eq!(shell.run("test -d /sys/firmware/efi").status, 1, "this is no BIOS machine");
    assert_members(&shell, "ssd", "UU");
    assert_healthy(&shell);
    power_off(&shell);
    off(vm);

    let lab = Lab::new("e2e_4_bios_without_nvme_0");
    let vm = installed.machine(&lab).take_out("NVME0001").power_on("without-nvme-0");
    let shell = unlock_and_log_in(&vm);
    assert_members(&shell, "ssd", "_U");
    assert_degraded(&shell, &["array ssd"]);
    power_off(&shell);
    off(vm);
}

/// A package operation after which the loaders are old, and what a new kernel's package runs, reach both disks: the machine
/// starts from the second one alone, with the new initramfs.
#[test]
fn an_update_reaches_both_disks() {
    let lab = Lab::new("e2e_updates");
    let mut machine = Installed::uefi_reference().machine(&lab);
    let vm = machine.power_on("update");
    let shell = unlock_and_log_in(&vm);
    let generation = |esp: &str| shell.ok(&format!("cat {esp}/sovereign/generation")).trim().parse::<u32>().unwrap();
    let before = generation("/boot/efi");
    // As if the loaders had been made from other packages, and one were lost.
    shell.ok("rm /boot/efi/EFI/debian/grubx64.efi && echo other >/var/lib/sovereign/boot-loaders");
    shell.ok("mkdir -p /root/p/DEBIAN && printf 'Package: harness\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody <root@localhost>\\nDescription: nothing\\n' >/root/p/DEBIAN/control");
    shell.ok_within("dpkg-deb --build /root/p /root/p.deb && apt-get install -y /root/p.deb", RESYNC_TIMEOUT);
    shell.ok("test -s /boot/efi2/EFI/debian/grubx64.efi && diff -r /boot/efi /boot/efi2");
    assert_eq!([generation("/boot/efi"), generation("/boot/efi2")], [before + 1; 2]);

    // The hooks of Debian's packages find in the machine's files what the installer had appended to the image's initramfs.
    let kernel = shell.ok("uname -r");
    let kernel = kernel.trim();
    let before = shell.ok(&format!("sha256sum /boot/initrd.img-{kernel}"));
    shell.ok_within(&format!("run-parts --exit-on-error --arg={kernel} /etc/kernel/postinst.d"), LOGIN_TIMEOUT);
    assert_ne!(shell.ok(&format!("sha256sum /boot/initrd.img-{kernel}")), before, "no new initramfs was made");
    shell.ok_within(&format!("unmkinitramfs /boot/initrd.img-{kernel} /root/initramfs"), RESYNC_TIMEOUT);
    let find = |path: &str| shell.ok(&format!("find /root/initramfs -path '*/{path}'")).trim().to_owned();
    let crypttab = shell.ok(&format!("cat {}", find("cryptroot/crypttab")));
    assert!(crypttab.starts_with("luks-ssd ") && !crypttab.contains("hdd"), "{crypttab}");
    shell.ok(&format!("grep -F \"$(grep ^ARRAY.*ssd /etc/mdadm/mdadm.conf)\" {}", find("etc/mdadm/mdadm.conf")));
    assert!(find("etc/console-setup/cached*").contains("kmap"), "the keyboard of the site is not in the initramfs");
    power_off(&shell);
    off(vm);

    let vm = machine.take_out("NVME0001").power_on("second-disk-alone");
    let shell = unlock_and_log_in(&vm);
    assert_members(&shell, "ssd", "_U");
    power_off(&shell);
    off(vm);
}

/// Scenario 5: installing over the previous installation succeeds, and what starts afterwards is the new one.
#[test]
fn installing_over_an_installation_replaces_it() {
    let lab = Lab::new("e2e_5_over");
    let installed = Installed::uefi_reference();
    let mut machine = installed.machine(&lab);
    machine.iso(IsoAs::Cdrom).answer(&answers(&lab, SITE));
    let said = boot::install(&mut machine, "install");
    assert!(said.contains("holds the complete installation"), "what is there was not said:\n{said}");
    let vm = machine.eject_all().power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_healthy(&shell);
    let id = shell.json("cat /boot/efi/sovereign/install.json")["install_id"].as_str().unwrap().to_owned();
    assert!(said.contains(&id), "this is not the installation that was just made ({id}):\n{said}");
    power_off(&shell);
    off(vm);
}

/// Scenario 6: a site without HDDs, embedded in the ISO, on a machine whose ISO is on a USB disk that the site's match fits. Nobody
/// presses a key: the boot menu's default entry installs, the medium is never chosen and never written. The menu's "boot from
/// disk" then starts the machine, which has its address from a DHCP server.
#[test]
fn a_machine_without_hdds_installs_from_a_usb_disk() {
    let lab = Lab::new("e2e_6_no_hdd_usb");
    let mut machine =
        Machine::new(&lab, Firmware::Uefi).disk(Disk::reference_nvme(1)).disk(Disk::reference_nvme(2)).network();
    let image = embedded(&lab, "no-hdd");
    machine.iso_image(&image).iso(IsoAs::UsbDisk).answer(&passphrase_only(&lab));
    let stick = machine.usb_copy();
    let iso_bytes = image.metadata().unwrap().len();
    assert!(iso_bytes > 200_000_000, "the site's match is to fit the stick, which has {iso_bytes} bytes");
    let vm = machine.power_on("install");
    boot::wait_menu(&vm);
    let said = wait_installed(&vm);
    off(vm);
    assert!(said.contains("NVME0001") && said.contains("NVME0002"), "{said}");
    // An overlay without clusters of its own has never been written to.
    let map = host::run("qemu-img", &["map", "--output=json", &stick.to_string_lossy()]).unwrap();
    let map: serde_json::Value = serde_json::from_slice(&map).unwrap();
    assert!(map.as_array().unwrap().iter().all(|part| part["depth"] != 0), "the stick was written to: {map:#}");

    let port = machine.ssh_port().unwrap();
    let vm = machine.power_on("boot-from-disk");
    boot::choose(&vm, MENU_KEY_DISK);
    let shell = unlock_and_log_in(&vm);
    assert_members(&shell, "ssd", "UU");
    assert_eq!(guest::group(&shell, "bulk"), None);
    // From the DHCP server, and kept.
    shell.wait_until("ip -4 -o address show scope global", "192.0.2.10/24", LOGIN_TIMEOUT);
    boot::wait_for_ssh(&vm, port, LOGIN_TIMEOUT);
    assert_healthy(&shell);
    power_off(&shell);
    off(vm);
}

/// A technician at the screen, with a German keyboard: the passphrase that is typed for the new disks is the one that the same keys
/// give when the machine starts. It contains keys that a US keyboard has elsewhere.
#[test]
fn a_passphrase_typed_on_a_german_keyboard_unlocks() {
    // On a German keyboard these keys are z, y and the minus sign.
    let passphrase: Vec<&str> = ["y", "z", "slash"].repeat(6);
    let lab = Lab::new("e2e_keyboard");
    let mut machine =
        Machine::new(&lab, Firmware::Uefi).disk(Disk::reference_nvme(1)).disk(Disk::reference_nvme(2)).network();
    machine.keyboard().iso(IsoAs::Cdrom).answer(&answers(&lab, "prompt"));
    let vm = machine.power_on("install");
    boot::wait_menu(&vm);
    vm.press(&["i"]);
    // The site file says everything but the passphrase, and so the screens ask for that.
    let technician = Technician::at(&vm);
    technician.sees("Welcome to the Sovereign Appliance", LIVE_TIMEOUT);
    vm.press(&["n"]);
    technician.sees("NVME0002", LIVE_TIMEOUT);
    vm.press(&["n"]);
    technician.sees("Keyboard layout", LIVE_TIMEOUT);
    vm.press(&["tab", "ret"]);
    std::thread::sleep(KEYMAP_TIME);
    vm.press(&["tab", "tab"]);
    vm.press(&passphrase);
    vm.press(&["tab"]);
    vm.press(&passphrase);
    vm.screenshot("typed");
    vm.press(&["tab", "n"]);
    technician.sees("2 disks will be erased", LIVE_TIMEOUT);
    vm.press(&["i", "0", "0", "0", "1", "ret", "tab", "ret"]);
    technician.waits_installed(INSTALL_TIMEOUT);
    technician.pushes("Switch the machine off");
    off(vm);

    let port = machine.ssh_port().unwrap();
    let vm = machine.eject_all().power_on("boot");
    std::thread::sleep(PROMPT_TIME);
    vm.screenshot("unlock");
    vm.press(&passphrase);
    vm.press(&["ret"]);
    boot::wait_for_ssh(&vm, port, LOGIN_TIMEOUT);
    vm.screenshot("login");
    vm.power_cut();
}

/// Scenario 6: where the site's match is ambiguous the unattended install stops with the table of disks, leaves its log on the
/// answer medium, and no byte of any disk image has changed.
#[test]
fn an_ambiguous_match_writes_nothing() {
    let lab = Lab::new("e2e_6_ambiguous");
    let mut machine = Machine::new(&lab, Firmware::Uefi).network();
    for number in 1..=3 {
        machine = machine.disk(Disk::reference_nvme(number));
    }
    let before = machine.image_hashes();
    let medium = answers(&lab, "no-hdd");
    machine.iso(IsoAs::Cdrom).answer(&medium);
    let vm = machine.power_on("install");
    choose_install_on_serial(&vm);
    let failed = vm.console().wait_for(re("INSTALL FAILED: .*"), LIVE_TIMEOUT);
    let table = vm.console().wait_for("this machine stays as it is", LIVE_TIMEOUT).before;
    assert!(failed.text.contains("no plan") || table.contains("no unambiguous plan"), "{}{table}", failed.text);
    for serial in ["NVME0001", "NVME0002", "NVME0003"] {
        assert!(table.contains(serial), "{serial} is not in the table:\n{table}");
    }
    // A person can still get a shell.
    vm.console().send_line("");
    vm.console().wait_for(re(r"[#$] $"), LIVE_TIMEOUT);
    vm.power_cut();
    assert_eq!(machine.image_hashes(), before);
    let files = medium.files();
    let log = files.iter().find(|file| file.ends_with("install.log")).unwrap_or_else(|| panic!("no log: {files:?}"));
    let log = medium.read(log);
    assert!(log.contains("NVME0003") && !log.contains(PASSPHRASE), "{log}");
}

/// Scenario 7: the power fails in the middle of unpacking. What is on the disks does not pass for a machine; the next boot from
/// the ISO says what it found, and completes the install.
#[test]
fn a_power_cut_while_unpacking_is_survived() {
    let lab = Lab::new("e2e_7_power_cut");
    let mut machine = Machine::new(&lab, Firmware::Uefi).reference_disks().network();
    machine.iso(IsoAs::Cdrom).answer(&answers(&lab, SITE));
    let vm = machine.power_on("cut");
    choose_install_on_serial(&vm);
    vm.console().wait_for(re(&format!(r"step \d+/\d+ {}", step::UNPACK)), INSTALL_TIMEOUT);
    vm.console().wait_for(re(r"step \d+/\d+: [3-6]\d %"), INSTALL_TIMEOUT);
    vm.power_cut();

    let vm = machine.eject_all().power_on("disks-alone");
    vm.console().fatal(UNLOCK_PROMPT);
    vm.console().fatal(LOGIN_PROMPT);
    // The firmware finds nothing to start and ends in its shell.
    vm.console().wait_for("EFI Internal Shell", LIVE_TIMEOUT);
    vm.screenshot("half-installed");
    vm.power_cut();

    machine.iso(IsoAs::Cdrom).answer(&answers(&lab, SITE));
    let vm = machine.power_on("again");
    choose_install_on_serial(&vm);
    let said = wait_installed(&vm);
    assert!(said.contains("was interrupted after the step"), "the earlier attempt is not mentioned:\n{said}");
    assert_eq!(vm.wait_off(OFF_TIMEOUT), Off::PowerOff);
    let vm = machine.eject_all().power_on("boot");
    let shell = unlock_and_log_in(&vm);
    assert_healthy(&shell);
    power_off(&shell);
    off(vm);
}
