//! One installation from its plan on, as plain runs and the screens share it: steps, events, journal, log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sovereign_engine::{Failure as EngineFailure, Journal, Kind, Options, Outcome, Sink};
use sovereign_model::Passphrase;
use sovereign_model::exit::ExitCode;
use sovereign_model::inventory::Inventory;
use sovereign_model::medium::Manifest;
use sovereign_model::plan::{Plan, make};
use sovereign_model::site::{Console, Site};
use sovereign_steps::logged::Logged;
use sovereign_steps::{Context, Found, Reprobe};
use sovereign_system::probe::{self, Captures, Depth};
use sovereign_system::runner::Host;

use crate::event_log;
use crate::failure::{Failure, OrFail};
use crate::logs::RUN_DIR;

/// Where the target is mounted while it is being made.
const TARGET: &str = "/target";
/// Where a guest is mounted while it is made.
const GUEST: &str = "/guest";

/// Held by whoever installs.
const LOCK: &str = "/run/sovereign/install.lock";

/// Speed of a serial port that neither the site file nor the kernel command line gives one, bits per second.
pub const DEFAULT_BAUD: u32 = 115_200;

/// Looks for answers that contradict those an installation was started with.
pub type Recheck = Box<dyn Fn() -> Result<(), Failure> + Send>;
/// Is told what the probe could not find out, right before the first write.
pub type Remarks = Box<dyn Fn(&Captures) + Send>;

/// What is installed, once everything is known.
pub struct Job {
    /// What is wanted.
    pub site: Site,
    /// The machine that the plan was made for. What it knows of the health of a disk holds where that does not answer again: it is no
    /// other one for that.
    pub looked: Inventory,
    /// What will be done.
    pub plan: Plan,
    /// The mounted medium.
    pub medium: PathBuf,
    /// What is on it.
    pub manifest: Manifest,
    /// Opens every container.
    pub passphrase: Passphrase,
    /// Opens every container too.
    pub recovery: Option<Passphrase>,
    /// The secrets that the first boot uses, each with its place on the target.
    pub secrets: Vec<(&'static str, Passphrase)>,
    /// Name of the last step to run.
    pub stop_after: Option<String>,
    /// Asked once more right before the first write: are the answers still the only ones?
    pub recheck: Recheck,
    /// Set to cancel; heeded until the first write.
    pub cancel: Arc<AtomicBool>,
}

impl Job {
    /// Runs all steps; `sink` is told of every event.
    ///
    /// # Errors
    /// With the exit code that `docs/exit-codes.md` lists.
    pub fn run(self, sink: Sink, remarks: Remarks) -> Result<Outcome, Failure> {
        let _alone = alone(Path::new(LOCK))?;
        let plan_hash = self.plan.hash();
        let sink = event_log::kept(Path::new(RUN_DIR), sink).or_fail(ExitCode::Internal)?;
        let journal = Journal::new();
        journal.add(&Path::new(RUN_DIR).join("journal.jsonl")).or_fail(ExitCode::Internal)?;
        let install_id = install_id()?;
        let site = self.site.clone();
        let contradicted = Arc::new(AtomicBool::new(false));
        let (recheck, contradiction, looked) = (self.recheck, contradicted.clone(), self.looked);
        let reprobe: Reprobe = Box::new(move || {
            recheck().map_err(|failure| {
                contradiction.store(true, Ordering::Release);
                failure.to_string()
            })?;
            let (captures, mut inventory) =
                probe::probe(&Host, Depth::Identity).map_err(|error| crate::failure::chain(&error))?;
            inventory.recall_health(&looked);
            remarks(&captures);
            let plan = plan_for(&site, &inventory).map_err(|failure| failure.to_string())?;
            let hash = plan.hash();
            Ok((plan, hash))
        });
        let engine = sovereign_steps::engine(&self.plan);
        let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let serial = target_console(&self.site.console, &cmdline);
        let mut context = Context {
            plan: self.plan,
            plan_hash: plan_hash.clone(),
            install_id: install_id.clone(),
            passphrase: self.passphrase,
            recovery: self.recovery,
            secrets: self.secrets,
            runner: Arc::new(Logged::new(Arc::new(Host), sink.clone())),
            reprobe,
            live: PathBuf::from("/"),
            medium: self.medium,
            manifest: self.manifest,
            target: PathBuf::from(TARGET),
            guest: PathBuf::from(GUEST),
            journal: journal.clone(),
            log: Some(Path::new(RUN_DIR).join("install.log")),
            serial,
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            found: Found::default(),
        };
        let options =
            Options { plan_hash, install_id, cancel: self.cancel, stop_after: self.stop_after, journal, sink };
        engine
            .run(&mut context, &options)
            .map_err(|failure| Failure::from_error(exit_code(&failure, contradicted.load(Ordering::Acquire)), &failure))
    }
}

/// How an installation that failed ends. `contradicted`: other answers appeared before the first write.
fn exit_code(failure: &EngineFailure, contradicted: bool) -> ExitCode {
    match failure {
        EngineFailure::Cancelled => ExitCode::Cancelled,
        // It says nothing about the site, the medium or the disks.
        EngineFailure::Step { error, destructive: false, .. } if error.kind == Kind::Panicked => ExitCode::Internal,
        EngineFailure::Step { name: "verify-site", .. } | EngineFailure::NoSuchStep { .. } => ExitCode::BadInput,
        EngineFailure::Step { name: "verify-medium", .. } => ExitCode::BadMedium,
        EngineFailure::Step { .. } if contradicted => ExitCode::BadInput,
        EngineFailure::Step { name: "verify-disks", .. } => ExitCode::NoPlan,
        EngineFailure::Step { .. } | EngineFailure::Journal { destructive: true, .. } => ExitCode::StepFailed,
        EngineFailure::Journal { .. } => ExitCode::Internal,
    }
}

/// The plan for a site on a machine.
///
/// # Errors
/// There is none: exit code 3, with the reasons.
pub fn plan_for(site: &Site, inventory: &Inventory) -> Result<Plan, Failure> {
    make(site, inventory).map_err(|refusal| Failure::new(ExitCode::NoPlan, format!("no plan can be made\n{refusal}")))
}

/// Serial console of the target and its speed, bits per second: as the site says, or else as the installer was booted.
fn target_console(site: &Console, cmdline: &str) -> Option<(String, u32)> {
    let booted = serial_consoles(cmdline);
    let port = site.serial.clone().or_else(|| booted.last().map(|(port, _)| (*port).to_owned()))?;
    let booted_at = booted.iter().rfind(|(name, _)| *name == port).and_then(|(_, speed)| *speed);
    Some((port, site.baud.or(booted_at).unwrap_or(DEFAULT_BAUD)))
}

/// The serial ports among the kernel's consoles, such as `ttyS0`, with their speed where it is given:
/// `console=ttyS0,9600n8`.
fn serial_consoles(cmdline: &str) -> Vec<(&str, Option<u32>)> {
    let consoles = cmdline.split_whitespace().filter_map(|word| word.strip_prefix("console="));
    let ports = consoles.map(|console| console.split_once(',').unwrap_or((console, "")));
    ports
        .filter(|(port, _)| port.starts_with("ttyS"))
        .map(|(port, options)| {
            let digits = options.find(|c: char| !c.is_ascii_digit()).unwrap_or(options.len());
            (port, options[..digits].parse().ok().filter(|speed| *speed > 0))
        })
        .collect()
}

fn install_id() -> Result<String, Failure> {
    // A fresh UUID from the kernel.
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").or_fail(ExitCode::Internal)?;
    Ok(id.trim().to_owned())
}

/// Of two installations on one machine the second would take down what the first has made.
fn alone(path: &Path) -> Result<File, Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).or_fail(ExitCode::Internal)?;
    }
    let lock = File::create(path).or_fail(ExitCode::Internal)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(Failure::new(
            ExitCode::BadInput,
            "another installation is running on this machine; nothing was touched.\nIt is on the screens (`tmux -L sovereign attach`) or on another console.",
        )),
        Err(error) => Err(Failure::from_error(ExitCode::Internal, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_engine::StepError;

    #[test]
    fn a_second_installation_is_refused_while_the_first_one_runs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/lock");
        let first = alone(&path).unwrap();
        let refused = alone(&path).unwrap_err();
        assert_eq!(refused.code, ExitCode::BadInput);
        assert!(refused.to_string().contains("another installation is running"), "{refused}");
        drop(first);
        alone(&path).unwrap();
    }

    #[test]
    fn the_targets_console_is_the_sites_or_else_the_last_one_booted_with() {
        let console = |serial: Option<&str>, baud| Console { serial: serial.map(str::to_owned), baud };
        let target = |site: &Console, cmdline| target_console(site, cmdline);
        let is = |port: &str, speed| Some((port.to_owned(), speed));
        let none = console(None, None);
        assert_eq!(target(&none, "quiet console=tty0 console=ttyS0,115200\n"), is("ttyS0", 115_200));
        assert_eq!(target(&none, "console=ttyS0 console=ttyS1,9600n8"), is("ttyS1", 9600));
        assert_eq!(target(&none, "console=ttyS0,n8"), is("ttyS0", DEFAULT_BAUD));
        assert_eq!(target(&none, "console=tty0 quiet"), None);
        assert_eq!(target(&console(None, Some(57_600)), "console=ttyS0,9600"), is("ttyS0", 57_600));
        let second = console(Some("ttyS1"), None);
        assert_eq!(target(&second, "console=ttyS1,38400 console=ttyS0,9600"), is("ttyS1", 38_400));
        assert_eq!(target(&second, "console=ttyS0,9600"), is("ttyS1", DEFAULT_BAUD));
    }

    #[test]
    fn a_step_that_panicked_ends_with_4_where_disks_were_changed_and_blames_nothing_else_where_not() {
        let code = |name, destructive, kind| {
            let error = StepError { kind, ..StepError::new("cannot do it") };
            exit_code(&EngineFailure::Step { index: 0, name, destructive, error }, false)
        };
        assert_eq!(code("create-arrays", true, Kind::Panicked), ExitCode::StepFailed);
        assert_eq!(code("verify-medium", false, Kind::Panicked), ExitCode::Internal);
        assert_eq!(code("verify-medium", false, Kind::Failed), ExitCode::BadMedium);
        assert_eq!(code("verify-disks", false, Kind::Failed), ExitCode::NoPlan);
        assert_eq!(code("tear-down", false, Kind::Failed), ExitCode::StepFailed);
    }
}
