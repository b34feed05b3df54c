//! `first-boot`: what a machine does once after its installation. It compares everything with the plan, waits for what comes late, joins
//! its cluster, and leaves a report. It never holds up the boot.

mod checks;
mod cluster;
mod secret;
mod subscription;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sovereign_model::exit::ExitCode;
use sovereign_model::installed::{FIRST_BOOT, FIRST_BOOT_DONE, MANIFEST};
use sovereign_model::medium::Manifest;
use sovereign_model::plan::Plan;
use sovereign_system::runner::{Host, Runner};

use super::memory_encryption;
use crate::cli::FirstBoot;
use crate::failure::{Failure, OrFail};
use crate::findings::{self, Finding};

/// How often a machine that is not yet as planned is looked at again.
const PAUSE: Duration = Duration::from_secs(5);

/// The report, as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Format; 1.
    schema: u32,
    /// Seconds since 1970.
    at: u64,
    /// What the edition calls itself.
    edition: &'a str,
    /// `green` where everything is as planned, `attention` otherwise.
    verdict: &'static str,
    /// Every thing that was looked at or done.
    findings: &'a [Finding],
}

/// The machine, with its root folder: `/`, or a folder of a test.
struct Machine<'a> {
    root: PathBuf,
    runner: &'a dyn Runner,
    plan: &'a Plan,
    patience: Duration,
}

impl Machine<'_> {
    /// A path of the machine; `path` is absolute.
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether this machine is a Proxmox VE node.
    fn is_proxmox(&self) -> bool {
        self.path("/usr/bin/pmxcfs").exists()
    }

    /// Runs `look` until it likes what it sees, or patience ends; what it saw last counts.
    fn wait_for<T>(&self, deadline: Instant, mut look: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
        loop {
            let seen = look();
            if good(&seen) || Instant::now() >= deadline {
                return seen;
            }
            thread::sleep(PAUSE.min(self.patience));
        }
    }
}

pub fn run(args: &FirstBoot) -> Result<ExitCode, Failure> {
    let plan = super::installed_plan()?;
    let machine =
        Machine { root: PathBuf::from("/"), runner: &Host, plan: &plan, patience: Duration::from_secs(args.patience) };
    let deadline = Instant::now() + machine.patience;
    let look = || {
        let mut findings = checks::look(&machine);
        match super::status::look(&Host, &plan) {
            Ok(storage) => findings.extend(storage),
            Err(failure) => findings.push(Finding::present("storage", false, failure.to_string())),
        }
        findings
    };
    let mut findings = machine.wait_for(deadline, look, |findings| findings::all_ok(findings));
    // It does not change while the machine runs: nothing to wait for.
    let memory = memory_encryption::finding(machine.runner, &machine.root, &plan);
    let fatal =
        memory.as_ref().filter(|finding| memory_encryption::is_fatal(finding)).map(|finding| finding.detail.clone());
    findings.extend(memory);
    if machine.is_proxmox() {
        findings.extend(cluster::act(&machine));
        findings.extend(subscription::act(&machine));
    }
    let manifest: Option<Manifest> =
        fs::read_to_string(MANIFEST).ok().and_then(|text| serde_json::from_str(&text).ok());
    let edition = manifest.map_or_else(|| "unknown".to_owned(), |manifest| manifest.edition_label);
    write(&findings, &edition)?;
    super::print(&format!("first boot: {}", findings::describe(&plan, &findings)))?;
    if let Some(detail) = fatal {
        return Err(Failure::new(
            ExitCode::NotEncrypted,
            format!("THE MEMORY OF THIS MACHINE IS NOT ENCRYPTED: {detail}"),
        ));
    }
    Ok(if findings::all_ok(&findings) { ExitCode::Done } else { ExitCode::Degraded })
}

/// Writes the report beside the old one and then over it, and the mark that ends the checking.
fn write(findings: &[Finding], edition: &str) -> Result<(), Failure> {
    let green = findings::all_ok(findings);
    let report = Report {
        schema: 1,
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        edition,
        verdict: if green { "green" } else { "attention" },
        findings,
    };
    let mut text = serde_json::to_string_pretty(&report).or_fail(ExitCode::Internal)?;
    text.push('\n');
    let path = Path::new(FIRST_BOOT);
    let beside = path.with_extension("new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).or_fail(ExitCode::Internal)?;
    if green {
        fs::write(FIRST_BOOT_DONE, "").or_fail(ExitCode::Internal)?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use sovereign_model::inventory::Inventory;
    use sovereign_model::plan::make;
    use sovereign_model::site;
    use sovereign_system::testing::Recorder;

    use super::*;
    use crate::findings::State;

    /// The plan of the reference machine.
    pub(in super::super) fn plan() -> Plan {
        planned("reference")
    }

    /// The plan of a case of the model's tests.
    pub(in super::super) fn planned(case: &str) -> Plan {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans").join(case);
        let read = |file| fs::read_to_string(folder.join(file)).unwrap();
        let inventory: Inventory = serde_json::from_str(&read("inventory.json")).unwrap();
        make(&site::parse::parse(&read("site.toml"), "site.toml").unwrap(), &inventory).unwrap()
    }

    /// Writes a file of a machine that is a folder.
    pub(in super::super) fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(&path[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A machine on which everything is as planned.
    fn good(root: &Path, plan: &Plan) {
        let done = r#"{"seq":40,"at_ms":1,"event":"step-done","index":15,"name":"finalise","took_ms":5}"#;
        write(root, "/var/log/sovereign/journal.jsonl", &format!("{done}\n"));
        for esp in ["/boot/efi", "/boot/efi2"] {
            write(root, &format!("{esp}/sovereign/install.json"), r#"{"state":"complete","site":"x"}"#);
        }
        write(root, "/sys/class/net/nic0/address", &format!("{}\n", plan.nics[0].mac));
        for bridge in ["vmbr0", "vmbr1"] {
            write(root, &format!("/sys/class/net/{bridge}/flags"), "0x1003\n");
        }
        write(root, "/proc/sys/vm/swappiness", "1\n");
        write(root, "/usr/bin/pmxcfs", "");
        write(root, "/proc/self/mounts", "/dev/fuse /etc/pve fuse rw,nosuid,nodev 0 0\n");
        for file in [".version", "storage.cfg", "nodes/host/x"] {
            write(root, &format!("/etc/pve/{file}"), "");
        }
    }

    fn runner(plan: &Plan) -> Recorder {
        Recorder::new()
            .prints("ip ", "2: vmbr0    inet 192.0.2.10/24 scope global vmbr0\n")
            .prints("systemctl show --value --property MemoryMax qemu.slice", &format!("{}\n", plan.host.guests.get()))
            .prints("systemctl show --value --property MemoryLow system.slice", "1999998976\n")
    }

    fn bad(root: &Path, plan: &Plan, runner: &Recorder) -> Vec<String> {
        let machine = Machine { root: root.to_owned(), runner, plan, patience: Duration::ZERO };
        let findings = checks::look(&machine);
        let bad = findings.into_iter().filter(|finding| finding.state != State::Ok);
        bad.map(|finding| format!("{}: {}", finding.what, finding.detail)).collect()
    }

    #[test]
    fn a_machine_as_planned_has_nothing_to_report() {
        let root = tempfile::tempdir().unwrap();
        let plan = plan();
        good(root.path(), &plan);
        assert_eq!(bad(root.path(), &plan, &runner(&plan)), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_not_as_planned_is_named() {
        type Damage = fn(&Path);
        let cases: [(&str, Damage); 9] = [
            ("installation", |root| {
                write(root, "/var/log/sovereign/journal.jsonl", "{\"event\":\"point-of-no-return\"}\n");
            }),
            ("EFI system partition /boot/efi2", |root| fs::remove_dir_all(root.join("boot/efi2")).unwrap()),
            ("EFI system partition /boot/efi", |root| {
                write(root, "/boot/efi/sovereign/install.json", r#"{"state":"incomplete"}"#);
            }),
            ("interface nic0", |root| write(root, "/sys/class/net/nic0/address", "52:54:00:00:00:99\n")),
            ("bridge vmbr1", |root| fs::remove_dir_all(root.join("sys/class/net/vmbr1")).unwrap()),
            ("bridge vmbr0", |root| write(root, "/sys/class/net/vmbr0/flags", "0x1002\n")),
            ("swappiness", |root| write(root, "/proc/sys/vm/swappiness", "60\n")),
            ("memory limit in the kernel", |root| write(root, "/sys/fs/cgroup/qemu.slice/memory.max", "max\n")),
            ("cluster file system", |root| write(root, "/proc/self/mounts", "proc /proc proc rw 0 0\n")),
        ];
        let plan = plan();
        for (what, damage) in cases {
            let root = tempfile::tempdir().unwrap();
            good(root.path(), &plan);
            damage(root.path());
            let bad = bad(root.path(), &plan, &runner(&plan));
            assert!(bad.len() == 1 && bad[0].starts_with(&format!("{what}: ")), "{what}: {bad:?}");
        }
    }

    #[test]
    fn limits_that_systemd_does_not_know_and_an_address_that_is_not_there_are_named() {
        let root = tempfile::tempdir().unwrap();
        let plan = plan();
        good(root.path(), &plan);
        let unlimited = Recorder::new().prints("ip ", "").prints("systemctl", "infinity\n");
        let bad = bad(root.path(), &plan, &unlimited);
        let has = |what: &str| bad.iter().any(|line| line.starts_with(what));
        assert!(
            has("management address") && has("memory limit of all virtual machines") && has("memory kept for the host"),
            "{bad:?}"
        );
    }
}
