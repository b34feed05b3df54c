//! The installer's screens, seen through a VT100 on ttyS0 and on the machine's own screen.

use std::time::{Duration, Instant};

use sovereign_qemu_tests::boot::{
    self, INSTALL_TIMEOUT, LIVE_TIMEOUT, LOGIN_TIMEOUT, choose, choose_install_on_serial, off,
};
use sovereign_qemu_tests::disk::Disk;
use sovereign_qemu_tests::medium::IsoAs;
use sovereign_qemu_tests::technician::Answers;
use sovereign_qemu_tests::words::{
    LOGIN_PROMPT, MENU_KEY_INSTALL, MENU_KEY_INSTALL_SSH, MENU_KEY_RESCUE_SERIAL, PASSPHRASE,
};
use sovereign_qemu_tests::{
    AnswerMedium, Firmware, Installed, Lab, Line, Machine, Remote, Shell, Technician, Vm, re, remote, secrets,
};

/// What a technician types; the key opens nothing.
const ANSWERS: Answers<'static> = Answers {
    network: ["192.0.2.10/24", "192.0.2.1", "192.0.2.1"],
    admin: [
        "berlin-1",
        "host.example.org",
        "admin@example.org",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0pX0ToZfpBFSaKHLV6gDB7mWrrSPjQJnT0Rm2gXxwu technician@example.org",
    ],
    passphrase: PASSPHRASE,
    recovery_key: false,
};
/// The last four characters of the first disk's serial number.
const WORD: &str = "0001";
/// The first frame of a machine that is alone on the host.
const FIRST_FRAME: Duration = Duration::from_secs(35);
/// Seven bits, no parity, one start and one stop bit: the slowest line that is promised to be usable.
const SLOW: Line = Line { bits_per_second: 9600, fault_in: 2000, seed: 20_261_126 };
const FAST: Line = Line { bits_per_second: 115_200, fault_in: 0, seed: 1 };

/// Without any answers the first screen is there soon after power-on, by BIOS and by UEFI; a machine that is alone on the host (the
/// benchmark's) shows it within 35 s.
#[test]
fn the_first_frame_is_there_soon_after_power_on() {
    let alone = std::env::var("SOVEREIGN_TCG_THREADS").is_ok_and(|threads| threads == "multi");
    let lab = Lab::new("tui_first_frame");
    let (mut figures, mut late) = (String::new(), false);
    for (firmware, name) in [(Firmware::Bios, "BIOS"), (Firmware::Uefi, "UEFI")] {
        let mut machine = Machine::new(&lab, firmware).reference_disks();
        machine.iso(IsoAs::Cdrom);
        let vm = machine.power_on(name);
        // The disks' images and QEMU itself are made by then; the machine has been on for milliseconds.
        let start = Instant::now();
        choose_install_on_serial(&vm);
        vm.console().wait_for_screen("Welcome to the Sovereign Appliance", LIVE_TIMEOUT);
        let took = start.elapsed();
        figures += &format!("{:.1}  power-on to the first frame, {name}\n", took.as_secs_f64());
        vm.screenshot("first-frame");
        vm.power_cut();
        late |= took > FIRST_FRAME;
    }
    lab.keep("figures.txt", &figures);
    print!("{figures}");
    assert!(!alone || !late, "{figures}");
}

/// From the welcome to the summary, everything typed at 115200 bit/s: the plan names all disks, and no byte of any disk image has changed.
#[test]
fn everything_typed_up_to_the_summary_writes_nothing() {
    let lab = Lab::new("tui_summary");
    let mut machine = Machine::new(&lab, Firmware::Bios).reference_disks().network();
    let before = machine.image_hashes();
    machine.iso(IsoAs::Cdrom);
    let vm = machine.power_on("summary");
    choose_install_on_serial(&vm);
    let summary = Technician::at(&vm).answers(&ANSWERS, LIVE_TIMEOUT);
    assert!(summary.contains("6 disks will be erased"), "{summary}");
    vm.screenshot("summary");
    vm.power_cut();
    assert_eq!(machine.image_hashes(), before);
}

/// The reference machine, typed to the end at 115200 bit/s on ttyS0, seen on the screen (tty1) at the same time. While the system is unpacked
/// the line is cut for a minute, and the terminal behind it becomes a larger one: the installation goes on. The recovery sheet is written onto the
/// answer medium, the machine starts with the key that is on it, and neither key nor passphrase is anywhere else.
#[test]
fn a_typed_installation_survives_a_cut_line_and_another_size() {
    let lab = Lab::new("tui_install");
    let mut machine = Machine::new(&lab, Firmware::Uefi).reference_disks().network();
    let stick = AnswerMedium::fat(&lab, "stick", &[]);
    machine.keyboard().line(FAST).iso(IsoAs::Cdrom).answer(&stick);
    let (key, public) = remote::new_key(&lab);
    let port = machine.ssh_port().unwrap();
    let vm = machine.power_on("install");
    choose_install_on_serial(&vm);
    let technician = Technician::at(&vm);
    let [site, host, mail, _] = ANSWERS.admin;
    technician.answers(&Answers { admin: [site, host, mail, &public], recovery_key: true, ..ANSWERS }, LIVE_TIMEOUT);
    vm.screenshot("summary-on-both");
    technician.agrees(WORD);
    technician.sees(re(r"> now +unpack"), INSTALL_TIMEOUT);
    vm.screenshot("unpacking-on-both");
    let cable = vm.console().cable();
    cable.cut();
    std::thread::sleep(Duration::from_secs(60));
    cable.mend().unwrap();
    technician.sees(re("Installation *$"), LIVE_TIMEOUT);
    // Who is at the screen has a shell on tty2, and says there how large the terminal behind the line is now.
    vm.chord(&["alt", "f2"]);
    vm.type_at_screen("stty -F /dev/ttyS0 rows 30 cols 100\n");
    vm.chord(&["alt", "f1"]);
    vm.console().resize(30, 100);
    let larger = technician.sees(re(r"(?s)^(.*\n){29} l log| is installed, in"), INSTALL_TIMEOUT);
    assert!(larger.lines().count() > 24, "{larger}");
    vm.screenshot("larger");
    technician.waits_installed(INSTALL_TIMEOUT);
    vm.screenshot("installed");
    technician.writes_the_sheet();
    technician.pushes("Switch off");
    off(vm);

    let sheet = stick.read("recovery-sheet.txt");
    let words = sheet.split_whitespace().find(|word| word.split('-').count() == 8);
    let recovery = words.unwrap_or_else(|| panic!("no recovery key is on the sheet"));
    let vm = machine.eject_all().power_on("boot");
    boot::unlock_with(&vm, recovery);
    vm.console().wait_for(LOGIN_PROMPT, LOGIN_TIMEOUT);
    boot::wait_for_ssh(&vm, port, LOGIN_TIMEOUT);
    remote::run(port, &key, &boot::hold_resync_command(), "");
    for secret in [recovery, PASSPHRASE] {
        secrets::assert_absent_at(port, &key, secret);
        secrets::assert_absent_in_files(&machine.images(), secret);
    }
    vm.power_cut();
    // The passphrase was shown while it was typed: that is what Ctrl-R is for.
    secrets::assert_absent_in_serial_logs(&lab.artifact(""), recovery);
}

/// The same by a line of 9600 bit/s that loses and garbles a byte in two thousand, both ways: what is wrong on the screen is painted anew, what
/// is wrong in a field is typed anew, and the machine that comes of it starts with the passphrase.
#[test]
fn a_typed_installation_by_a_slow_and_bad_line() {
    let lab = Lab::new("tui_bad_line");
    let mut machine = Machine::new(&lab, Firmware::Bios).reference_disks().network();
    machine.line(SLOW).iso(IsoAs::Cdrom);
    let vm = machine.power_on("install");
    // The menu's key may be the byte that is lost: the menu waits for the next one as long as one comes.
    boot::wait_menu(&vm);
    vm.console().send(sovereign_qemu_tests::words::MENU_KEY_INSTALL_SERIAL);
    let technician = Technician::at(&vm);
    technician.answers(&ANSWERS, LIVE_TIMEOUT);
    technician.agrees(WORD);
    technician.waits_installed(2 * INSTALL_TIMEOUT);
    vm.screenshot("installed");
    vm.power_cut();
    let vm = machine.eject_all().power_on("boot");
    // The line is as bad as before: a passphrase that was lost on the way is asked for again.
    vm.console().wait_for_screen(re("Please unlock disk"), boot::UNLOCK_TIMEOUT);
    technician_unlocks(&vm);
    vm.power_cut();
}

/// Types the passphrase until the machine takes it.
#[track_caller]
fn technician_unlocks(vm: &Vm) {
    for _ in 0..6 {
        std::thread::sleep(Duration::from_secs(1));
        vm.console().type_slowly(PASSPHRASE);
        if vm.console().shows(&re("login: *$"), LOGIN_TIMEOUT / 4).is_some() {
            return;
        }
    }
    panic!("the machine did not start with the passphrase\n{}", vm.console().shown());
}

/// The rescue entry on an installed machine that misses a disk starts its system by itself: its arrays are started after a question, its containers are opened by the
/// passphrase, and its own shell runs; everything can be taken down again.
#[test]
fn the_rescue_entry_reaches_the_installed_system() {
    let lab = Lab::new("tui_rescue");
    let mut machine = Installed::uefi_reference().machine(&lab);
    machine.take_out("HDD00002").iso(IsoAs::Cdrom);
    let vm = machine.power_on("rescue");
    choose(&vm, MENU_KEY_RESCUE_SERIAL);
    let console = vm.console();
    console.wait_for("Rescue: the system on these disks is started", LIVE_TIMEOUT);
    console.wait_for("array hdd: 3 of its 4 members are here", LIVE_TIMEOUT);
    console.wait_for("[y/N]", LIVE_TIMEOUT);
    console.send_line("y");
    console.wait_for("Passphrase of the disks: ", LIVE_TIMEOUT);
    std::thread::sleep(Duration::from_secs(1));
    console.type_slowly(PASSPHRASE);
    console.wait_for("Go into it now? [y/N]", LOGIN_TIMEOUT);
    console.send_line("y");
    console.wait_for(re(r"root@[^\n]*# $"), LIVE_TIMEOUT);
    console.send_line(
        "cat /etc/sovereign/plan.json | head -c 1; for m in /boot /boot/efi /boot/efi2; do mountpoint $m; done; exit",
    );
    console.wait_for("/boot/efi2 is a mountpoint", LIVE_TIMEOUT);
    console.wait_for("You are root", LIVE_TIMEOUT);
    console.wait_for(re(r"[#$] $"), LIVE_TIMEOUT);
    let shell = Shell::take_over(&vm);
    shell.ok("sovereign-installer rescue --unmount");
    shell.ok("test -z \"$(dmsetup ls --target crypt | grep luks-)\" && ! mountpoint -q /target");
    assert!(!shell.ok("cat /proc/mdstat").contains("active raid"));
    vm.power_cut();
}

/// The default entry, chosen at the screen of a machine whose only disk is too small: the screens are on both consoles, and what is typed on one
/// is seen on the other.
#[test]
fn what_is_typed_at_the_screen_is_seen_on_the_serial_line() {
    let lab = Lab::new("tui_both");
    let mut machine = Machine::new(&lab, Firmware::Bios).disk(Disk::reference_nvme(1));
    machine.keyboard().iso(IsoAs::Cdrom);
    let vm = machine.power_on("both");
    boot::wait_menu(&vm);
    vm.press(&[MENU_KEY_INSTALL]);
    let technician = Technician::at(&vm);
    technician.sees("Welcome to the Sovereign Appliance", LIVE_TIMEOUT);
    technician.presses_at_screen("n", re("Hardware +2/8"));
    vm.screenshot("hardware-on-both");
    // Ctrl-Z stops nothing, Ctrl-C asks.
    vm.console().send("\x1a\x03");
    technician.sees("Leave the installer?", LIVE_TIMEOUT);
    vm.power_cut();
}

/// The entry for SSH: the serial line says how to come in, whoever comes with the password sees the same screens on a terminal of a size that nobody
/// said, and what is typed there is seen on the line. Another password opens nothing.
#[test]
fn the_screens_are_reached_over_ssh() {
    let lab = Lab::new("tui_ssh");
    let mut machine = Machine::new(&lab, Firmware::Bios).reference_disks().network();
    machine.iso(IsoAs::Cdrom);
    let port = machine.ssh_port().unwrap();
    let vm = machine.power_on("ssh");
    choose(&vm, MENU_KEY_INSTALL_SSH);
    let console = vm.console();
    let said = console.wait_for(re(r"SSH: user root, password [a-z2-9]{16} "), LIVE_TIMEOUT).text;
    let password = said.split_whitespace().nth(4).unwrap();
    let key = console.wait_for(re(r"SSH: host key SHA256:\S+"), LIVE_TIMEOUT).text;
    console.wait_for(re(r"SSH: address 192\.0\.2\.10\b"), LIVE_TIMEOUT);
    boot::wait_for_ssh(&vm, port, LOGIN_TIMEOUT);
    assert_eq!(remote::host_key(port), key.rsplit(' ').next().unwrap());
    console.send("\r");
    console.wait_for_screen("Welcome to the Sovereign Appliance", LIVE_TIMEOUT);

    let stranger = Remote::log_in(&lab, "stranger", port, "abcdefghijkmnpqr");
    stranger.console().wait_closed(LOGIN_TIMEOUT).unwrap();
    assert!(!stranger.console().text().contains("Welcome"), "{}", stranger.console().shown());

    let guest = Remote::log_in(&lab, "guest", port, password);
    guest.console().wait_for_screen("Welcome to the Sovereign Appliance", LOGIN_TIMEOUT);
    guest.console().send("n");
    guest.console().wait_for_screen(re("Hardware +2/8"), LOGIN_TIMEOUT);
    console.wait_for_screen(re("Hardware +2/8"), LOGIN_TIMEOUT);
    // A line that breaks off takes nothing along.
    drop(guest);
    Technician::at(&vm).presses("p", "Welcome to the Sovereign Appliance");
    vm.power_cut();
}
