//! Figures that are ratios within one run of one machine, so that they can be tests: each prints what it measured.

use std::time::Duration;

use sovereign_qemu_tests::boot::{micro, micro_shell};
use sovereign_qemu_tests::words::PASSPHRASE;
use sovereign_qemu_tests::{Firmware, Lab, Machine, host};

/// The whole installation up to `configure`, and unpacking once more, beside another machine.
const TIMEOUT: Duration = Duration::from_secs(1500);
/// What copying and configuring may cost, as a multiple of unpacking alone.
const LIMIT: f64 = 1.5;

/// Copying the system to the target and configuring it takes little more than unpacking the same squashfs to the same volume with
/// unsquashfs alone: nothing is installed or configured package by package.
#[test]
fn copying_and_configuring_costs_little_more_than_unpacking() {
    let lab = Lab::new("bench_unpack");
    let mut machine = Machine::new(&lab, Firmware::Bios).reference_disks().network();
    let vm = micro(&mut machine, "unpack");
    let shell = micro_shell(&vm);
    // systemd, which brings the loopback interface up, does not run here; postfix looks for it.
    shell.ok("mkdir -p /run/answers && ip link set lo up");
    shell.write_file("/run/answers/site.toml", 0o644, &std::fs::read(host::site("node-linux")).unwrap());
    shell.write_file("/run/answers/passphrase", 0o600, PASSPHRASE.as_bytes());
    let output = shell.run_live(
        "sovereign-installer install --site /run/answers/site.toml --countdown 0 --stop-after configure",
        TIMEOUT,
    );
    assert_eq!(output.status, 0, "{}", output.stdout);
    let took = |step: &str| -> f64 {
        let done = seconds_of(step, &output.stdout);
        done.unwrap_or_else(|| panic!("the installer does not say how long {step} took:\n{}", output.stdout))
    };
    let (unpack, configure) = (took("unpack"), took("configure"));

    shell.ok("umount -R /target && mkfs.ext4 -q -F -E nodiscard,lazy_journal_init=1 /dev/pve/root && mount -o noatime /dev/pve/root /target");
    let base = "/run/sovereign/medium/sovereign/base.squashfs";
    let plain = shell.ok_within(
        &format!("b=$(date +%s%N); unsquashfs -force -quiet -no-progress -dest /target {base} >/dev/null; echo $((($(date +%s%N) - b) / 1000000))"),
        TIMEOUT,
    );
    let plain = plain.trim().parse::<f64>().unwrap() / 1000.0;
    let ratio = (unpack + configure) / plain;
    let figures = format!(
        "unsquashfs alone: {plain:.1} s\nunpack: {unpack:.1} s, configure: {configure:.1} s\n\
         copying and configuring / unsquashfs alone: {ratio:.2} (to reach: at most {LIMIT})\n"
    );
    lab.keep("figures.txt", &figures);
    print!("{figures}");
    vm.power_cut();
    assert!(ratio <= LIMIT, "{figures}");
}

/// Seconds a step took, from the installer's own lines.
fn seconds_of(step: &str, said: &str) -> Option<f64> {
    said.lines().find_map(|line| {
        let (_, rest) = line.split_once(&format!(" {step}: done ("))?;
        rest.split(' ').next()?.parse().ok()
    })
}
