//! What every scenario does with a machine: install it from the boot menu, unlock it, log in, or take its shell before systemd.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::console::re;
use crate::machine::Machine;
use crate::shell::Shell;
use crate::vm::{Off, Vm};
use crate::words::{
    INSTALL_COMPLETE, INSTALL_FAILED, MENU_KEY_INSTALL_SERIAL, MENU_TITLE, PASSPHRASE, ROOT_PASSWORD, UNLOCK_PROMPT,
};

/// Power-on to the boot menu: OVMF under TCG on a loaded host.
const MENU_TIMEOUT: Duration = Duration::from_secs(120);
/// Boot menu to a shell or to the installer's first line.
pub const LIVE_TIMEOUT: Duration = Duration::from_secs(420);
/// The whole install: the goal is 7 minutes; beside a second machine on 2 cores it takes twice that, and this ends a hung one.
pub const INSTALL_TIMEOUT: Duration = Duration::from_secs(1500);
/// Power-on to the unlock prompt; with a member missing, initramfs waits 20 s and more before it runs partial arrays.
pub const UNLOCK_TIMEOUT: Duration = Duration::from_secs(600);
/// Passphrase to the login prompt.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(900);
/// Power button to off.
pub const OFF_TIMEOUT: Duration = Duration::from_secs(240);

/// The kernel command line of a micro-VM: the live root with bash instead of systemd, on the serial console.
const MICRO_APPEND: &str = "sovereign.mode=install console=ttyS0,115200 quiet loglevel=3 init=/bin/bash";

/// Waits for the ISO's boot menu.
#[track_caller]
pub fn wait_menu(vm: &Vm) {
    vm.console().wait_for_screen(MENU_TITLE, MENU_TIMEOUT);
    vm.lab().mark(&format!("{}: boot menu", vm.label()));
}

/// Chooses an entry of the ISO's boot menu by its key.
#[track_caller]
pub fn choose(vm: &Vm, key: &str) {
    wait_menu(vm);
    // The menu hears nothing for a moment after it is drawn.
    std::thread::sleep(Duration::from_millis(500));
    vm.console().send(key);
}

/// Chooses "install on serial ttyS0" in the ISO's boot menu.
#[track_caller]
pub fn choose_install_on_serial(vm: &Vm) {
    choose(vm, MENU_KEY_INSTALL_SERIAL);
}

/// Waits for the installer's first line.
#[track_caller]
pub fn wait_first_line(vm: &Vm) -> String {
    let found = vm.console().wait_for(re(r"^\[ *\d+\.\d\] .*$"), LIVE_TIMEOUT);
    vm.lab().mark(&format!("{}: installer's first line", vm.label()));
    found.text
}

/// Waits until the installer that runs by itself is done, and returns what it said.
#[track_caller]
pub fn wait_installed(vm: &Vm) -> String {
    let console = vm.console();
    console.fatal(re(&format!("{INSTALL_FAILED}.*")));
    let first = wait_first_line(vm);
    let done = console.wait_for(INSTALL_COMPLETE, INSTALL_TIMEOUT);
    vm.lab().mark(&format!("{}: install complete", vm.label()));
    first + &done.before
}

/// Installs with the boot menu's entry for the serial console, until the machine is off.
#[track_caller]
pub fn install(machine: &mut Machine, label: &str) -> String {
    let vm = machine.power_on(label);
    choose_install_on_serial(&vm);
    let said = wait_installed(&vm);
    off(vm);
    said
}

/// Gives the passphrase at the prompt of the installed system.
#[track_caller]
pub fn unlock(vm: &Vm) {
    unlock_with(vm, PASSPHRASE);
}

/// The same with another passphrase.
#[track_caller]
pub fn unlock_with(vm: &Vm, passphrase: &str) {
    vm.console().wait_for(UNLOCK_PROMPT, UNLOCK_TIMEOUT);
    vm.lab().mark(&format!("{}: unlock prompt", vm.label()));
    // cryptsetup's askpass turns echo off after it has written the prompt.
    std::thread::sleep(Duration::from_secs(1));
    vm.console().type_slowly(passphrase);
}

/// Starts an installed machine, unlocks it, and logs in as root.
#[track_caller]
pub fn unlock_and_log_in(vm: &Vm) -> Shell<'_> {
    unlock(vm);
    let shell = Shell::log_in(vm, ROOT_PASSWORD, LOGIN_TIMEOUT);
    vm.lab().mark(&format!("{}: logged in", vm.label()));
    hold_resync(&shell);
    shell
}

/// Unit of the installed system that ends the throttling of a resync when the machine is up.
const SYNC_UNIT: &str = "sovereign-sync-speed.service";
/// The kernel's limit of a resync, KiB/s for each device.
const SYNC_LIMIT: &str = "/proc/sys/dev/raid/speed_limit_max";

/// Keeps a first sync of terabytes from taking the emulated processors: it stays as slow as it is while the machine starts.
#[track_caller]
pub fn hold_resync(shell: &Shell<'_>) {
    shell.ok(&hold_resync_command());
}

/// The command that does it.
pub fn hold_resync_command() -> String {
    format!(
        "systemctl mask --quiet --runtime {SYNC_UNIT}; systemctl stop {SYNC_UNIT} 2>/dev/null; echo 10000 > {SYNC_LIMIT}"
    )
}

/// Lets the machine end the throttling as it does by itself, and returns the limit it sets.
#[track_caller]
pub fn let_resync_go(shell: &Shell<'_>) -> String {
    shell.ok(&format!("systemctl unmask --quiet --runtime {SYNC_UNIT}; systemctl start {SYNC_UNIT}"));
    shell.ok(&format!("cat {SYNC_LIMIT}")).trim().to_owned()
}

/// Tells an installed machine to switch itself off in good order; [`off`] waits for it.
#[track_caller]
pub fn power_off(shell: &Shell<'_>) {
    // Later than now: the shell's answer comes before its end.
    shell.ok("systemd-run --quiet --on-active=2 systemctl poweroff");
}

/// Waits until the machine has switched itself off.
#[track_caller]
pub fn off(vm: Vm) {
    assert_eq!(vm.wait_off(OFF_TIMEOUT), Off::PowerOff, "the machine went off, but not because it was told to");
}

/// Starts the ISO's own kernel and live root with bash as its first process: a micro-VM.
#[track_caller]
pub fn micro(machine: &mut Machine, label: &str) -> Vm {
    machine.live_kernel(MICRO_APPEND);
    machine.power_on(label)
}

/// The shell of a micro-VM, with what storage tools need: file systems of the kernel, and udev.
#[track_caller]
pub fn micro_shell(vm: &Vm) -> Shell<'_> {
    vm.console().wait_for(re(r"# $"), LIVE_TIMEOUT);
    vm.lab().mark(&format!("{}: shell", vm.label()));
    let shell = Shell::take_over(vm);
    shell.ok("mountpoint -q /proc || mount -t proc proc /proc; mountpoint -q /sys || mount -t sysfs sysfs /sys; \
         mountpoint -q /dev || mount -t devtmpfs dev /dev; mountpoint -q /run || mount -t tmpfs tmpfs /run");
    shell.ok(
        "pidof systemd-udevd || /usr/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1; udevadm trigger --action=add && udevadm settle --timeout=180",
    );
    shell
}

/// Waits until the machine's SSH server greets at this port of 127.0.0.1.
#[track_caller]
pub fn wait_for_ssh(vm: &Vm, port: u16, timeout: Duration) {
    let deadline = Instant::now() + timeout;
    loop {
        // QEMU's network accepts before the guest does, and hangs up if nobody is there.
        match ssh_greeting(port) {
            Ok(greeting) if greeting.starts_with(b"SSH-2.0-") => return,
            other => assert!(
                Instant::now() < deadline,
                "no SSH server within {timeout:?}: {other:?}\n{}",
                vm.console().shown()
            ),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn ssh_greeting(port: u16) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut greeting = vec![0; 8];
    stream.read_exact(&mut greeting)?;
    Ok(greeting)
}

/// In a micro-VM, opens an installed machine's bulk pool with the passphrase alone, as a person with the rescue system would:
/// array, container, volume group.
#[track_caller]
pub fn rescue_open_bulk(shell: &Shell<'_>) {
    shell.write_file("/run/passphrase", 0o600, PASSPHRASE.as_bytes());
    shell.ok("mdadm --assemble /dev/md/hdd --run $(blkid -o device -t PARTLABEL=sovereign-hdd)");
    shell.ok("cryptsetup open --key-file /run/passphrase /dev/md/hdd luks-hdd && rm /run/passphrase");
    shell.ok("vgchange -ay bulk && udevadm settle");
}
