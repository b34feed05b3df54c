//! One installation, as `install` and `auto` share it: plan, show, count down, run, and tell every console and the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sovereign_engine::{Outcome, Sink};
use sovereign_model::Passphrase;
use sovereign_model::event::Event;
use sovereign_model::exit::ExitCode;
use sovereign_model::inventory::Inventory;
use sovereign_model::plan::{Charset, Plan, PlanHash};
use sovereign_model::site::{PassphraseSource, Site};
use sovereign_steps::verify_medium;
use sovereign_system::probe::{self, Captures, Depth};
use sovereign_system::runner::{Host, Runner};
use sovereign_system::tools::keyboard;

use crate::answers::AnswerMedium;
use crate::approval;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::job::{Job, Recheck, plan_for};
use crate::logs::{self, Log, RUN_DIR};
use crate::prompt;
use crate::render::{FAILED, Plain};
use crate::secrets;

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
    /// Hash of the plan that was approved elsewhere: this one is carried out, or none.
    pub approved: Option<PlanHash>,
    /// Name of the last step to run.
    pub stop_after: Option<String>,
    /// How long to look again where no plan can be made: disks may still appear.
    pub patience: Duration,
    /// The terminal at which a passphrase is asked for.
    pub terminal: &'static str,
    /// Asked once more right before the first write: are the answers still the only ones?
    pub recheck: Recheck,
}

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

    /// From now on what is said goes to these consoles.
    pub fn use_consoles(&self, consoles: Consoles) {
        self.with(|inner| inner.consoles = consoles);
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

    /// Text for the consoles alone.
    pub fn show_unlogged(&self, text: &str) {
        self.with(|inner| inner.consoles.print(text));
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
        for earlier in sovereign_steps::earlier_install(&Host, &plan) {
            voice.say(&earlier.to_string());
        }
        voice.show(&plan.tree_in(Charset::Ascii));
        voice.say(&format!("plan {}", plan.hash()));
        approval::check(self.approved.as_ref(), &plan)?;
        if self.site.encryption.passphrase == PassphraseSource::Prompt {
            // The question goes straight to the terminal: the plan it is about must be there first.
            voice.drain();
        }
        let passphrase = self.passphrase()?;
        let secrets = secrets::of_site(&self.site, &self.keys)?;
        let past_return = Arc::new(AtomicBool::new(false));
        let _watch = Watch::start(voice.clone(), cancel.clone(), past_return.clone());
        self.count_down(voice, cancel)?;

        let sink: Sink = {
            let voice = voice.clone();
            Arc::new(move |event| {
                if *event == Event::PointOfNoReturn {
                    past_return.store(true, Ordering::Release);
                }
                voice.event(event);
            })
        };
        let remarks = voice.clone();
        let job = Job {
            site: self.site,
            looked: inventory,
            plan,
            medium: self.medium,
            manifest,
            passphrase,
            recovery: None,
            secrets,
            stop_after: self.stop_after,
            recheck: self.recheck,
            cancel: cancel.clone(),
        };
        job.run(sink, Box::new(move |captures| tell_remarks(&remarks, captures)))
    }

    /// Looks at the machine until a plan can be made, or patience ends.
    fn look(&self, voice: &Voice) -> Result<(Inventory, Result<Plan, Failure>), Failure> {
        let deadline = Instant::now() + self.patience;
        loop {
            let (captures, inventory) = probe::probe(&Host, Depth::Whole).or_fail(ExitCode::Internal)?;
            let plan = plan_for(&self.site, &inventory);
            if plan.is_ok() || Instant::now() >= deadline {
                tell_remarks(voice, &captures);
                return Ok((inventory, plan));
            }
            thread::sleep(Duration::from_secs(2));
        }
    }

    fn passphrase(&self) -> Result<Passphrase, Failure> {
        match self.site.encryption.passphrase {
            PassphraseSource::File => secrets::passphrase_of(&self.site, &self.keys),
            PassphraseSource::Prompt => {
                // At boot the passphrase is typed on the site's keyboard.
                if !keyboard::is_serial(self.terminal) {
                    keyboard::load(&Host, &self.site.site.keyboard).or_fail(ExitCode::BadInput)?;
                }
                prompt::new_passphrase(self.terminal).or_fail(ExitCode::BadInput)
            }
        }
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

/// What the probe could not find out.
pub fn tell_remarks(voice: &Voice, captures: &Captures) {
    for remark in captures.remarks() {
        voice.say(&format!("remark: {remark}"));
    }
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
}
