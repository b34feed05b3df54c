//! Whatever a machine's disks carry is taken down and erased, or refused before anything is written: every layout of the folder
//! `layouts`, built by the real tools on small disks of one micro-VM.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use std::time::Duration;

use sovereign_qemu_tests::boot::{micro, micro_shell};
use sovereign_qemu_tests::layout::{self, Layout, Outcome};
use sovereign_qemu_tests::shell::Output;
use sovereign_qemu_tests::words::{EXIT_NO_PLAN, PASSPHRASE, step};
use sovereign_qemu_tests::{Bus, Disk, Firmware, Lab, Machine, Shell, host};

/// An installation up to its volumes, or a refusal.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
/// Building a layout.
const BUILD_TIMEOUT: Duration = Duration::from_secs(180);
/// The disks that the site file chooses: two and six.
const CHOSEN: usize = 8;
/// Disks that it does not choose.
const KEPT: usize = 7;
/// What is on each of these, in the middle of 128 MiB: at no end, where labels are.
const SENTINEL_MIB: u32 = 48;

/// Chosen disks large enough for the smallest plan, and others.
fn machine(lab: &Lab) -> Machine {
    let mut machine = Machine::new(lab, Firmware::Uefi);
    for number in 1..=2 {
        machine = machine.disk(Disk::new(Bus::Nvme, &format!("SSD{number:05}"), 8 << 30));
    }
    for number in 1..=6 {
        machine = machine.disk(Disk::new(Bus::Scsi, &format!("HDD{number:05}"), 8 << 30).rotating(7200));
    }
    for number in 1..=KEPT {
        machine = machine.disk(Disk::new(Bus::Scsi, &format!("KEEP{number:04}"), 128 << 20));
    }
    machine
}

/// The machine's disks by serial number: those that are chosen, and those that are not.
struct Disks {
    chosen: Vec<String>,
    kept: Vec<String>,
}

/// Gives the guest the layouts, the answers, a medium with nothing on it that takes long to check, and sentinels.
fn prepare(shell: &Shell<'_>) -> Disks {
    shell.ok("mkdir -p /run/answers /run/layouts/lib");
    shell.write_file("/run/answers/site.toml", 0o644, &std::fs::read(host::site("layouts")).unwrap());
    shell.write_file("/run/answers/passphrase", 0o600, PASSPHRASE.as_bytes());
    for name in ["lib/prelude.sh", "lib/labels.py"] {
        let bytes = std::fs::read(layout::folder().join(name)).unwrap();
        shell.write_file(&format!("/run/layouts/{name}"), 0o644, &bytes);
    }
    shell.ok("python3 - <<'END'\n\
         import hashlib, json, os\n\
         manifest = json.load(open('/run/sovereign/medium/sovereign/manifest.json'))\n\
         paths = ['sovereign/base.squashfs', 'sovereign/target.squashfs', 'sovereign/live.squashfs', 'boot/vmlinuz']\n\
         one = hashlib.sha256(b'x').hexdigest()\n\
         manifest.update(files=[dict(path=p, size=1, sha256=one) for p in paths], unpacked=1)\n\
         for path in paths:\n    \
             os.makedirs(os.path.dirname('/run/medium/' + path), exist_ok=True)\n    \
             open('/run/medium/' + path, 'w').write('x')\n\
         json.dump(manifest, open('/run/medium/sovereign/manifest.json', 'w'))\n\
         END");
    let listed = shell.ok("lsblk -dnro SERIAL,PATH | sort");
    let disks = |prefix: &str| -> Vec<String> {
        let lines = listed.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(serial, _)| serial.starts_with(prefix)).map(|(_, path)| path.trim().to_owned()).collect()
    };
    let disks = Disks { chosen: [disks("SSD"), disks("HDD")].concat(), kept: disks("KEEP") };
    assert_eq!((disks.chosen.len(), disks.kept.len()), (CHOSEN, KEPT), "{listed}");
    for disk in &disks.kept {
        shell.ok(&format!("printf 'KEPT {disk}' | dd of={disk} bs=1M seek={SENTINEL_MIB} conv=notrunc status=none"));
    }
    shell.ok("sync");
    disks
}

/// What every disk that is not chosen has kept.
#[track_caller]
fn assert_kept(shell: &Shell<'_>, disks: &Disks) {
    for disk in &disks.kept {
        let found = shell.ok(&format!(
            "dd if={disk} bs=1M skip={SENTINEL_MIB} count=1 iflag=direct status=none | head -c 40 | tr -d '\\0'"
        ));
        assert_eq!(found, format!("KEPT {disk}"));
    }
}

/// Variables that name the disks of a layout, in front of a command.
fn with_disks(layout: &Layout, chosen: &[String], kept: &[String], command: &str) -> String {
    let numbered = |letter: char, disks: &[String], count: usize| {
        disks.iter().take(count).zip(1..).map(|(disk, n)| format!("{letter}{n}={disk}; ")).collect::<String>()
    };
    let disks = numbered('D', chosen, layout.chosen) + &numbered('K', kept, layout.kept);
    format!("(set -euo pipefail; . /run/layouts/lib/prelude.sh; {disks}{command})")
}

/// Builds a layout on the first of these disks.
#[track_caller]
fn build(shell: &Shell<'_>, layout: &Layout, chosen: &[String], kept: &[String]) {
    let script = std::fs::read_to_string(layout::folder().join(format!("{}.sh", layout.name))).unwrap();
    let output = shell.run_within(&with_disks(layout, chosen, kept, &format!("{script}\n")), BUILD_TIMEOUT);
    assert_eq!(output.status, 0, "{} cannot be built:\n{}{}", layout.name, output.stdout, output.stderr);
    shell.ok("udevadm settle");
}

/// Builds layouts side by side, each on disks of its own.
#[track_caller]
fn build_all(shell: &Shell<'_>, round: &[Layout], disks: &Disks) {
    let (mut chosen, mut kept) = (&disks.chosen[..], &disks.kept[..]);
    for layout in round {
        build(shell, layout, chosen, kept);
        (chosen, kept) = (&chosen[layout.chosen..], &kept[layout.kept..]);
    }
    // md says that an array is clean 200 ms after the last write to it.
    shell.ok("sync; sleep 1");
}

/// Runs the installer up to a step.
fn install_command(medium: &str, until: &str) -> String {
    format!(
        "sovereign-installer install --site /run/answers/site.toml --medium {medium} --countdown 0 --stop-after {until} 2>&1"
    )
}

fn install(shell: &Shell<'_>, until: &str) -> Output {
    shell.run_within(&install_command("/run/medium", until), INSTALL_TIMEOUT)
}

/// Bytes written to each disk, by serial number, of those whose serial number starts with `prefix`.
fn written(shell: &Shell<'_>, prefix: &str) -> Vec<(String, u64)> {
    shell.vm().written_bytes().into_iter().filter(|(serial, _)| serial.starts_with(prefix)).collect()
}

/// Nothing is left of what was on the chosen disks, as the tools see it that have no part in erasing.
#[track_caller]
fn assert_clean(shell: &Shell<'_>, disks: &Disks, partitions: &str) {
    let all = disks.chosen.join(" ");
    let probes: String = partitions
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [disk, start, size] = fields[..] else { return None };
            Some(format!("! blkid -p -O $(({start} * 512)) -S {size} -o full {disk} || bad {disk} at {start}; "))
        })
        .collect();
    let output = shell.run_within(
        &format!(
            "bad() {{ echo \"NOT CLEAN: $*\"; }}; \
             for d in {all}; do \
                 [ -z \"$(wipefs $d)\" ] || bad signatures $d; \
                 ! mdadm --examine $d >/dev/null 2>&1 || bad superblock $d; \
                 [ \"$(lsblk -nro NAME $d | wc -l)\" = 1 ] || bad $(lsblk -nro NAME $d); \
                 cmp -s -n $((16 << 20)) $d /dev/zero || bad head $d; \
                 cmp -s -n $((16 << 20)) -i $(($(blockdev --getsize64 $d) - (16 << 20))):0 $d /dev/zero || bad tail $d; \
             done; {probes} \
             [ -z \"$(pvs --noheadings)\" ] || bad $(pvs --noheadings); \
             [ \"$(dmsetup ls)\" = 'No devices found' ] || bad $(dmsetup ls); \
             ! grep '^md' /proc/mdstat || bad arrays; \
             ! ls -d /sys/fs/bcache/*-* 2>/dev/null || bad bcache"
        ),
        BUILD_TIMEOUT,
    );
    assert_eq!(output.stdout, "", "{}", output.stderr);
}

/// Every layout of chosen disks alone, eight disks at a time, is taken down, erased and installed over, up to the file systems, and
/// nothing is written to any other disk. What the next layouts are built on has then been taken down and erased, too.
#[test]
fn every_layout_of_chosen_disks_is_erased() {
    let lab = Lab::new("layouts_erased");
    let mut machine = machine(&lab);
    let vm = micro(&mut machine, "erased");
    let shell = micro_shell(&vm);
    let disks = prepare(&shell);
    let layouts = layout::all().unwrap().into_iter().filter(|layout| layout.outcome == Outcome::Erased).collect();
    let rounds = layout::rounds(layouts, CHOSEN);
    for round in &rounds {
        let names = round.iter().map(|layout| layout.name.as_str()).collect::<Vec<_>>().join(", ");
        build_all(&shell, round, &disks);
        let partitions = shell.ok(&format!(
            "for d in {}; do lsblk -bnro TYPE,START,SIZE $d | awk -v d=$d '$1 == \"part\" {{ print d, $2, $3 }}'; done",
            disks.chosen.join(" ")
        ));
        let before = written(&shell, "KEEP");
        for (last, partitions) in
            [(step::WIPE, Some(partitions.as_str())), (step::FILE_SYSTEMS, None), (step::WIPE, Some(""))]
        {
            let output = install(&shell, last);
            assert_eq!(output.status, 0, "{names}, {last}:\n{}", output.stdout);
            assert_eq!(written(&shell, "KEEP"), before, "{names}: something was written to a disk that was not chosen");
            if let Some(partitions) = partitions {
                assert_clean(&shell, &disks, partitions);
            }
        }
        lab.mark(&names);
    }
    assert_kept(&shell, &disks);
}

/// What is in use, what spans a disk that was not chosen, and what bears a name on such a disk that the installation needs, is refused
/// by name, and no byte of any disk is written.
#[test]
fn what_must_not_be_touched_is_refused_by_name() {
    let lab = Lab::new("layouts_refused");
    let mut machine = machine(&lab);
    let vm = micro(&mut machine, "refused");
    let shell = micro_shell(&vm);
    let disks = prepare(&shell);
    let all = layout::all().unwrap();
    let of = |outcome| all.iter().filter(move |layout| layout.outcome == outcome).cloned().collect::<Vec<_>>();
    let mut rounds: Vec<Vec<Layout>> = of(Outcome::Stopped).into_iter().map(|layout| vec![layout]).collect();
    rounds.push(of(Outcome::InUse));
    // What spans stays there: it is the last.
    rounds.push(of(Outcome::Spans));
    for round in rounds {
        build_all(&shell, &round, &disks);
        let before = written(&shell, "");
        let output = install(&shell, step::WIPE);
        let names = round.iter().map(|layout| layout.name.as_str()).collect::<Vec<_>>().join(", ");
        assert_eq!(output.status, EXIT_NO_PLAN, "{names}:\n{}", output.stdout);
        for word in round.iter().filter_map(|layout| layout.says.as_deref()) {
            assert!(output.stdout.contains(word), "{names}: \"{word}\" is not in\n{}", output.stdout);
        }
        assert_eq!(written(&shell, ""), before, "{names}: something was written");
        let mut chosen = &disks.chosen[..];
        for layout in &round {
            if let Some(undo) = &layout.undo {
                shell.ok(&with_disks(layout, chosen, &disks.kept, undo));
            }
            chosen = &chosen[layout.chosen..];
        }
        lab.mark(&names);
    }
    assert_kept(&shell, &disks);
}

/// Drives that have Format NVM erase themselves where the site asks for that: nothing of what lay anywhere on them can be read. A disk
/// that has no such command is refused with the reason, before anything is written.
#[test]
fn drives_erase_themselves_where_the_site_asks_for_it() {
    let lab = Lab::new("layouts_secure");
    let mut machine = Machine::new(&lab, Firmware::Uefi)
        .disk(Disk::new(Bus::Nvme, "SSD00001", 8 << 30))
        .disk(Disk::new(Bus::Nvme, "SSD00002", 8 << 30))
        .disk(Disk::new(Bus::Scsi, "SSD00003", 8 << 30));
    let vm = micro(&mut machine, "secure");
    let shell = micro_shell(&vm);
    shell.ok("mkdir -p /run/answers");
    let site = String::from_utf8(std::fs::read(host::site("secure-erase")).unwrap()).unwrap();
    shell.write_file("/run/answers/passphrase", 0o600, PASSPHRASE.as_bytes());
    for device in ["/dev/nvme0n1", "/dev/nvme1n1", "/dev/sda"] {
        for mib in [1, 3000, 4100, 8000] {
            shell.ok(&format!("printf 'PAYROLL OF 2019' | dd of={device} bs=1M seek={mib} conv=notrunc status=none"));
        }
    }
    shell.ok("sync");
    let found = |device: &str| -> usize {
        let look =
            |mib| format!("dd if={device} bs=1M skip={mib} count=1 iflag=direct status=none | grep -c PAYROLL; true");
        [1, 3000, 4100, 8000].into_iter().filter(|mib| shell.ok(&look(*mib)).trim() == "1").count()
    };

    // Only the serial number differs.
    shell.write_file("/run/answers/site.toml", 0o644, site.replace("SSD00002", "SSD00003").as_bytes());
    let before = written(&shell, "");
    let output = shell.run_within(&install_command("/run/sovereign/medium", "erase"), INSTALL_TIMEOUT);
    assert_eq!(output.status, EXIT_NO_PLAN, "{}", output.stdout);
    assert!(output.stdout.contains("SSD00003") && output.stdout.contains("erase"), "{}", output.stdout);
    assert_eq!(written(&shell, ""), before, "something was written");

    shell.write_file("/run/answers/site.toml", 0o644, site.as_bytes());
    let output = shell.run_within(&install_command("/run/sovereign/medium", "erase"), INSTALL_TIMEOUT);
    assert_eq!(output.status, 0, "{}", output.stdout);
    assert!(output.stdout.contains("NVMe Format with user data erase"), "{}", output.stdout);
    assert_eq!((found("/dev/nvme0n1"), found("/dev/nvme1n1"), found("/dev/sda")), (0, 0, 4));
}
