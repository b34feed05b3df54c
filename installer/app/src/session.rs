//! One installation, as `install` and `auto` share it: plan, show, count down, run, and tell every console and the log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sovereign_engine::{Failure as EngineFailure, Journal, Kind, Options, Outcome, Sink};
use sovereign_model::Passphrase;
use sovereign_model::event::Event;
use sovereign_model::exit::ExitCode;
use sovereign_model::installed::{CLUSTER_PASSWORD, SUBSCRIPTION_KEY};
use sovereign_model::inventory::Inventory;
use sovereign_model::plan::{Charset, Plan, make};
use sovereign_model::site::{Console, PassphraseSource, Site};
use sovereign_steps::logged::Logged;
use sovereign_steps::{Context, Found, Reprobe, verify_medium};
use sovereign_system::input;
use sovereign_system::probe::{self, Captures};
use sovereign_system::runner::{Host, Runner};
use sovereign_system::tools::keyboard;
use zeroize::Zeroizing;

use crate::answers::AnswerMedium;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::logs::{self, Log, RUN_DIR};
use crate::prompt;
use crate::render::{FAILED, Plain};

/// Where the target is mounted while it is being made.
const TARGET: &str = "/target";
/// Where a guest is mounted while it is made.
const GUEST: &str = "/guest";

/// Speed of a serial port that neither the site file nor the kernel command line gives one, bits per second.
const DEFAULT_BAUD: u32 = 115_200;

/// Most bytes of a file that holds one secret.
const MAX_SECRET: u64 = 64 << 10;

/// How often a wish to cancel is looked for.
const POLL: Duration = Duration::from_millis(100);

/// What an installation is started with.
pub struct Session {
    /// What is wanted.
    pub site: Site,
    /// The mounted medium.
    pub medium: PathBuf,
    /// The files that the site takes secrets from, by name.
    pub keys: BTreeMap<String, PathBuf>,
    /// Seconds between the plan and the first write.
    pub countdown: u32,
    /// Name of the last step to run.
    pub stop_after: Option<String>,
    /// How long to look again where no plan can be made: disks may still appear.
    pub patience: Duration,
    /// The terminal at which a passphrase is asked for.
    pub terminal: &'static str,
    /// Asked once more right before the first write: are the answers still the only ones?
    pub recheck: Recheck,
}

/// Looks for answers that contradict those an installation was started with.
pub type Recheck = Box<dyn Fn() -> Result<(), Failure> + Send>;

/// Says things to every console and the log.
#[derive(Clone)]
pub struct Voice(Arc<Mutex<Inner>>);

struct Inner {
    consoles: Consoles,
    log: Option<Log>,
    plain: Plain,
}

impl Voice {
    /// A voice with a log in RAM.
    pub fn new(consoles: Consoles) -> Self {
        let log = Log::open(Path::new(RUN_DIR)).ok();
        Self(Arc::new(Mutex::new(Inner { consoles, log, plain: Plain::new() })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A line of our own.
    pub fn say(&self, text: &str) {
        self.with(|inner| {
            let line = inner.plain.line(text);
            inner.consoles.print(&line);
            if let Some(log) = &mut inner.log {
                log.line(&line);
            }
        });
    }

    /// Text as it is: a plan, a table.
    pub fn show(&self, text: &str) {
        self.with(|inner| {
            inner.consoles.print(text);
            if let Some(log) = &mut inner.log {
                log.line(text);
            }
        });
    }

    /// An event of the engine.
    pub fn event(&self, event: &Event) {
        self.with(|inner| {
            let line = inner.plain.log(event);
            if let Some(log) = &mut inner.log {
                log.line(&line);
            }
            if inner.plain.is_shown(event) {
                inner.consoles.print(&line);
            }
        });
    }

    /// Waits until everything said has reached the consoles.
    pub fn drain(&self) {
        self.with(|inner| inner.consoles.drain());
    }

    /// Whether somebody pressed Ctrl-C at a console.
    fn interrupted(&self) -> bool {
        self.with(|inner| inner.consoles.interrupted())
    }
}

impl Session {
    /// Runs the installation to its end.
    ///
    /// # Errors
    /// With the exit code that `docs/exit-codes.md` lists; everything was said to the consoles and the log by then.
    pub fn run(self, voice: &Voice, cancel: &Arc<AtomicBool>) -> Result<Outcome, Failure> {
        let manifest = verify_medium::read_manifest(&self.medium).or_fail(ExitCode::BadMedium)?;
        let (inventory, plan) = self.look(voice)?;
        voice.show(&probe::report::describe(&inventory));
        let plan = plan?;
        let plan_hash = plan.hash();
        for earlier in sovereign_steps::earlier_install(&Host, &plan) {
            voice.say(&earlier.to_string());
        }
        voice.show(&plan.tree_in(Charset::Ascii));
        voice.say(&format!("plan {plan_hash}"));
        if self.site.encryption.passphrase == PassphraseSource::Prompt {
            // The question goes straight to the terminal: the plan it is about must be there first.
            voice.drain();
        }
        let passphrase = self.passphrase()?;
        let secrets = self.secrets()?;
        let past_return = Arc::new(AtomicBool::new(false));
        let _watch = Watch::start(voice.clone(), cancel.clone(), past_return.clone());
        self.count_down(voice, cancel)?;

        let journal = Journal::new();
        journal.add(&Path::new(RUN_DIR).join("journal.jsonl")).or_fail(ExitCode::Internal)?;
        let install_id = install_id()?;
        let sink: Sink = {
            let voice = voice.clone();
            Arc::new(move |event| {
                if *event == Event::PointOfNoReturn {
                    past_return.store(true, Ordering::Release);
                }
                voice.event(event);
            })
        };
        let site = self.site.clone();
        let contradicted = Arc::new(AtomicBool::new(false));
        let (recheck, contradiction, remarks) = (self.recheck, contradicted.clone(), voice.clone());
        let reprobe: Reprobe = Box::new(move || {
            recheck().map_err(|failure| {
                contradiction.store(true, Ordering::Release);
                failure.to_string()
            })?;
            let (captures, inventory) = probe::probe(&Host).map_err(|error| crate::failure::chain(&error))?;
            tell_remarks(&remarks, &captures);
            let plan = plan_for(&site, &inventory).map_err(|failure| failure.to_string())?;
            let hash = plan.hash();
            Ok((plan, hash))
        });
        let engine = sovereign_steps::engine(&plan);
        let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let serial = target_console(&self.site.console, &cmdline);
        let mut context = Context {
            plan,
            plan_hash: plan_hash.clone(),
            install_id: install_id.clone(),
            passphrase,
            secrets,
            runner: Arc::new(Logged::new(Arc::new(Host), sink.clone())),
            reprobe,
            live: PathBuf::from("/"),
            medium: self.medium,
            manifest,
            target: PathBuf::from(TARGET),
            guest: PathBuf::from(GUEST),
            journal: journal.clone(),
            log: Some(Path::new(RUN_DIR).join("install.log")),
            serial,
            started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            found: Found::default(),
        };
        let options =
            Options { plan_hash, install_id, cancel: cancel.clone(), stop_after: self.stop_after, journal, sink };
        engine
            .run(&mut context, &options)
            .map_err(|failure| Failure::from_error(exit_code(&failure, contradicted.load(Ordering::Acquire)), &failure))
    }

    /// Looks at the machine until a plan can be made, or patience ends.
    fn look(&self, voice: &Voice) -> Result<(Inventory, Result<Plan, Failure>), Failure> {
        let deadline = Instant::now() + self.patience;
        loop {
            let (captures, inventory) = probe::probe(&Host).or_fail(ExitCode::Internal)?;
            let plan = plan_for(&self.site, &inventory);
            if plan.is_ok() || Instant::now() >= deadline {
                tell_remarks(voice, &captures);
                return Ok((inventory, plan));
            }
            thread::sleep(Duration::from_secs(2));
        }
    }

    fn passphrase(&self) -> Result<Passphrase, Failure> {
        match (&self.site.encryption.passphrase, &self.site.encryption.file) {
            (PassphraseSource::File, name) => {
                let path = name.as_ref().and_then(|name| self.keys.get(name));
                read_key(path.ok_or_else(|| {
                    Failure::new(
                        ExitCode::BadInput,
                        "the site file takes the passphrase from a file, and there is none",
                    )
                })?)
            }
            (PassphraseSource::Prompt, _) => {
                // At boot the passphrase is typed on the site's keyboard.
                if !keyboard::is_serial(self.terminal) {
                    keyboard::load(&Host, &self.site.site.keyboard).or_fail(ExitCode::BadInput)?;
                }
                prompt::new_passphrase(self.terminal).or_fail(ExitCode::BadInput)
            }
        }
    }

    /// The secrets that the first boot uses, each with its place on the target.
    fn secrets(&self) -> Result<Vec<(&'static str, Passphrase)>, Failure> {
        let wanted = [
            (&self.site.updates.subscription_file, SUBSCRIPTION_KEY),
            (&self.site.cluster.password_file, CLUSTER_PASSWORD),
        ];
        let named = wanted.into_iter().filter_map(|(name, to)| Some((self.keys.get(name.as_ref()?)?, to)));
        named.map(|(path, to)| Ok((to, read_secret(path)?))).collect()
    }

    fn count_down(&self, voice: &Voice, cancel: &Arc<AtomicBool>) -> Result<(), Failure> {
        if self.countdown == 0 {
            return Ok(());
        }
        voice.say(&format!(
            "the disks marked ! above will be erased: the last checks start in {} s; Ctrl-C cancels until the first write",
            self.countdown
        ));
        let end = Instant::now() + Duration::from_secs(u64::from(self.countdown));
        while Instant::now() < end {
            if cancel.load(Ordering::Acquire) {
                return Err(Failure::new(ExitCode::Cancelled, "cancelled; nothing was written to any disk"));
            }
            thread::sleep(POLL);
        }
        Ok(())
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

/// Listens for Ctrl-C while it lives: consoles send no signal for it, and the steps that only read can take minutes.
struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(voice: Voice, cancel: Arc<AtomicBool>, past_return: Arc<AtomicBool>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = thread::spawn(move || {
            while !end.load(Ordering::Acquire) {
                let pressed = voice.interrupted();
                if let Some(remark) = heed(pressed, &cancel, &past_return) {
                    voice.say(remark);
                }
                thread::sleep(POLL);
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // A watcher that panicked has nothing left to say.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Turns a Ctrl-C into a wish to cancel; returns what to say where the disks are being changed already.
fn heed(pressed: bool, cancel: &AtomicBool, past_return: &AtomicBool) -> Option<&'static str> {
    if pressed {
        cancel.store(true, Ordering::Release);
    }
    // Taken back once answered, so that each further wish is answered too. Before the point of no return it is the
    // engine's.
    (past_return.load(Ordering::Acquire) && cancel.swap(false, Ordering::AcqRel))
        .then_some("too late to cancel: the disks are being changed; the installation goes on")
}

fn tell_remarks(voice: &Voice, captures: &Captures) {
    for remark in captures.remarks() {
        voice.say(&format!("remark: {remark}"));
    }
}

fn plan_for(site: &Site, inventory: &Inventory) -> Result<Plan, Failure> {
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

fn read_key(path: &Path) -> Result<Passphrase, Failure> {
    let bytes = input::read(path, MAX_SECRET).or_fail(ExitCode::BadInput)?;
    Passphrase::from_line(bytes)
        .map_err(|error| Failure::new(ExitCode::BadInput, format!("the key file {}: {error}", path.display())))
}

/// A secret of any length: others made it.
fn read_secret(path: &Path) -> Result<Passphrase, Failure> {
    let bytes = Zeroizing::new(input::read(path, MAX_SECRET).or_fail(ExitCode::BadInput)?);
    let line = bytes.trim_ascii_end();
    if line.is_empty() || line.contains(&b'\n') {
        let said = format!("the file {} must hold one line and nothing else", path.display());
        return Err(Failure::new(ExitCode::BadInput, said));
    }
    Ok(Passphrase::from_key(line.to_vec()))
}

fn install_id() -> Result<String, Failure> {
    // A fresh UUID from the kernel.
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").or_fail(ExitCode::Internal)?;
    Ok(id.trim().to_owned())
}

/// The last lines of an installation that ended badly.
pub fn tell_failure(voice: &Voice, failure: &Failure) {
    voice.say(&format!("{FAILED}: {failure}"));
}

/// Copies log and journal to an answer medium that takes them, and says where they are.
pub fn tell_logs(runner: &dyn Runner, voice: &Voice, media: &[AnswerMedium]) {
    let also = match logs::export(runner, media, Path::new(RUN_DIR)) {
        Some(to) => format!(" and, on the answer medium, in {}", to.display()),
        None => String::new(),
    };
    voice.say(&format!("the log and the journal are in {RUN_DIR}{also}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_engine::StepError;

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
    fn ctrl_c_cancels_up_to_the_point_of_no_return_and_is_answered_after_it() {
        let (cancel, past_return) = (AtomicBool::new(false), AtomicBool::new(false));
        assert_eq!(heed(false, &cancel, &past_return), None);
        assert!(!cancel.load(Ordering::Relaxed));
        assert_eq!(heed(true, &cancel, &past_return), None);
        assert_eq!(heed(false, &cancel, &past_return), None);
        assert!(cancel.load(Ordering::Relaxed), "the engine must still see it");
        past_return.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(heed(true, &cancel, &past_return).is_some());
            assert_eq!(heed(false, &cancel, &past_return), None);
        }
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

    #[test]
    fn a_secret_of_others_is_one_line_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, "x\n").unwrap();
        assert_eq!(read_secret(&path).unwrap().expose(), b"x");
        for wrong in ["", "\n", "one\ntwo\n"] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(read_secret(&path).unwrap_err().code, ExitCode::BadInput);
        }
    }

    #[test]
    fn a_key_file_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.key");
        fs::write(&path, "correct horse\n").unwrap();
        assert_eq!(read_key(&path).unwrap().expose(), b"correct horse");
        for wrong in ["", "correct horse\nbattery staple\n"] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(read_key(&path).unwrap_err().code, ExitCode::BadInput);
        }
        assert!(read_key(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
