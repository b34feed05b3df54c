//! How the ISO starts where nothing is installed: firmware, medium, and answer media that do not fit.

use sovereign_qemu_tests::boot::{LIVE_TIMEOUT, choose, choose_install_on_serial, wait_first_line};
use sovereign_qemu_tests::installed::{answers, answers_on_cd};
use sovereign_qemu_tests::medium::IsoAs;
use sovereign_qemu_tests::words::{INSTALL_FAILED, MENU_KEY_CHECK_SERIAL, MENU_KEY_RESCUE_SERIAL};
use sovereign_qemu_tests::{Firmware, Lab, Machine, Shell, re};

/// With Secure Boot enforced the firmware takes the ISO's boot loader and the boot loader its kernel; without an answer medium
/// the installer's screens ask.
#[test]
fn the_iso_starts_under_secure_boot() {
    let lab = Lab::new("start_secure_boot");
    let mut machine = Machine::new(&lab, Firmware::UefiSecureBoot);
    let vm = machine.iso(IsoAs::Cdrom).power_on("secure-boot");
    choose_install_on_serial(&vm);
    wait_first_line(&vm);
    vm.console().wait_for_screen("Welcome to the Sovereign Appliance", LIVE_TIMEOUT);
    vm.screenshot("no-answers");
}

/// Started as a USB disk by BIOS, with an answer file on a USB stick and another on a CD: neither is taken, both are named.
#[test]
fn two_answer_files_are_one_too_many() {
    let lab = Lab::new("start_two_answers");
    let mut machine = Machine::new(&lab, Firmware::Bios);
    machine.iso(IsoAs::UsbDisk).answer(&answers(&lab, "reference")).answer(&answers_on_cd(&lab, "no-hdd"));
    let vm = machine.power_on("two-answers");
    choose_install_on_serial(&vm);
    wait_first_line(&vm);
    vm.console().wait_for(re(&format!("{INSTALL_FAILED}: there are 2 answer files")), LIVE_TIMEOUT);
    let said = vm.console().wait_for("Remove all but one", LIVE_TIMEOUT).before;
    // The sticks are found in either order.
    assert!(said.contains("/dev/sr0") && said.contains("/dev/sd"), "both are to be named:\n{said}");
}

/// The boot menu's check reads the whole medium and says that it is good.
#[test]
fn the_menu_checks_the_medium() {
    let lab = Lab::new("start_check");
    let mut machine = Machine::new(&lab, Firmware::Bios);
    let vm = machine.iso(IsoAs::Cdrom).power_on("check");
    choose(&vm, MENU_KEY_CHECK_SERIAL);
    vm.console().fatal("MEDIUM DAMAGED");
    vm.console().wait_for("MEDIUM GOOD", LIVE_TIMEOUT);
}

/// The boot menu's rescue entry gives a root shell with the installer's tools, and installs nothing. The initramfs that machines are
/// given has the microcode of both makers of processors, whatever built it.
#[test]
fn the_menu_gives_a_rescue_shell() {
    let lab = Lab::new("start_rescue");
    let mut machine = Machine::new(&lab, Firmware::Bios);
    let vm = machine.iso(IsoAs::Cdrom).power_on("rescue");
    choose(&vm, MENU_KEY_RESCUE_SERIAL);
    // There is nothing to rescue.
    vm.console().wait_for("there is no installed system here", LIVE_TIMEOUT);
    vm.console().wait_for("You are root", LIVE_TIMEOUT);
    let shell = Shell::take_over(&vm);
    shell.ok("mdadm --version && cryptsetup --version && lvm version && sovereign-installer probe --json");
    for maker in ["AuthenticAMD", "GenuineIntel"] {
        shell.ok(&format!("grep -qaF kernel/x86/microcode/{maker}.bin /boot/initrd.img-*"));
    }
    assert_eq!(shell.run("systemctl is-active sovereign-installer.service").stdout.trim(), "inactive");
}

/// Ctrl-C on the serial console after the countdown, while the medium is being checked: no byte of any disk image has changed.
#[test]
fn ctrl_c_before_the_first_write_leaves_the_disks_alone() {
    let lab = Lab::new("start_cancel");
    let mut machine = Machine::new(&lab, Firmware::Uefi).reference_disks().network();
    let before = machine.image_hashes();
    machine.iso(IsoAs::Cdrom).answer(&answers(&lab, "reference"));
    let vm = machine.power_on("cancel");
    choose_install_on_serial(&vm);
    vm.console().wait_for(re(r"step \d+/\d+ verify-medium"), LIVE_TIMEOUT);
    vm.console().send("\x03");
    vm.console().wait_for("cancelled; nothing was written to any disk", LIVE_TIMEOUT);
    vm.console().wait_for("this machine stays as it is", LIVE_TIMEOUT);
    vm.power_cut();
    assert_eq!(machine.image_hashes(), before);
}
