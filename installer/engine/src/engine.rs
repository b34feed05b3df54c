//! Runs steps in order: journal, run, check, and on a failure stop at once and let go of everything that was opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sovereign_model::event::Event;

use crate::caught::caught;
use crate::journal::{Journal, JournalError};
use crate::step::{Destructive, Harmless, Kind, Phase, Report, Sink, Step, StepError};

/// The steps of an installation, in order: first those that read, then those that write.
pub struct Engine<C> {
    before: Vec<Box<dyn Step<C, Harmless>>>,
    after: Vec<Box<dyn Step<C, Destructive>>>,
}

/// How to run an [`Engine`].
pub struct Options {
    /// SHA-256 of the plan, lower-case hexadecimal.
    pub plan_hash: String,
    /// This installation's identifier.
    pub install_id: String,
    /// Set to cancel. Polled before each step up to the point of no return.
    pub cancel: Arc<AtomicBool>,
    /// Stop after the step of this name, leaving everything open.
    pub stop_after: Option<String>,
    /// Where starts and ends of steps are kept.
    pub journal: Journal,
    /// Who is told of every event.
    pub sink: Sink,
}

/// How a run without a failure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every step is done.
    Complete,
    /// [`Options::stop_after`] was reached.
    Stopped,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Cancelled before the point of no return: the disks are as they were.
    #[error("cancelled before anything was written: the disks are unchanged")]
    Cancelled,
    /// A step failed; nothing after it was run.
    #[error("the step {name} failed: {}", error.render())]
    Step {
        /// From 0.
        index: usize,
        /// Its name.
        name: &'static str,
        /// Whether disks were changed.
        destructive: bool,
        /// Why.
        error: StepError,
    },
    /// The journal cannot be written, so nothing may go on.
    #[error(
        "the installation stopped{} because its journal could not be kept; {}",
        step.map(|s| format!(" at the step {s}")).unwrap_or_default(),
        if *destructive { "the disks hold an unfinished installation" } else { "the disks are unchanged" }
    )]
    Journal {
        /// The step that was to be noted; `None` before the first.
        step: Option<&'static str>,
        /// Whether disks were changed.
        destructive: bool,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// [`Options::stop_after`] names no step.
    #[error("there is no step `{name}`; the steps are {}", known.join(", "))]
    NoSuchStep {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
}

impl<C> Engine<C> {
    /// An engine on harmless steps, then destructive ones.
    pub fn new(before: Vec<Box<dyn Step<C, Harmless>>>, after: Vec<Box<dyn Step<C, Destructive>>>) -> Self {
        Self { before, after }
    }

    /// Names of all steps, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.before.iter().map(|s| s.name()).chain(self.after.iter().map(|s| s.name())).collect()
    }

    /// What each step will do, in order, as (name, words): the dry run.
    pub fn describe(&self, context: &C) -> Vec<(&'static str, String)> {
        let before = self.before.iter().map(|s| (s.name(), s.describe(context)));
        before.chain(self.after.iter().map(|s| (s.name(), s.describe(context)))).collect()
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// [`Failure`]; everything that was opened has been let go of then, as far as that was possible.
    pub fn run(&self, context: &mut C, options: &Options) -> Result<Outcome, Failure> {
        let known = self.names();
        if let Some(name) = options.stop_after.as_ref().filter(|n| !known.contains(&n.as_str())) {
            return Err(Failure::NoSuchStep { name: name.clone(), known });
        }
        let clock = Instant::now();
        let mut run = Run { options, done_before: 0, done_after: 0, refused: false };
        let result = run.all(self, context, known.len(), clock);
        if let Err(failure) = &result {
            run.report_failure(failure);
            self.undo(context, &run);
        }
        result
    }

    fn undo(&self, context: &mut C, run: &Run<'_>) {
        for step in self.after[..run.done_after].iter().rev() {
            run.undo(step.as_ref(), context);
        }
        for step in self.before[..run.done_before].iter().rev() {
            run.undo(step.as_ref(), context);
        }
    }
}

struct Run<'a> {
    options: &'a Options,
    /// How many steps of each list were started, and so are to be undone.
    done_before: usize,
    done_after: usize,
    refused: bool,
}

impl Run<'_> {
    fn all<C>(
        &mut self,
        engine: &Engine<C>,
        context: &mut C,
        steps: usize,
        clock: Instant,
    ) -> Result<Outcome, Failure> {
        let started = Event::Started {
            steps,
            plan_hash: self.options.plan_hash.clone(),
            install_id: self.options.install_id.clone(),
            names: engine.names().into_iter().map(str::to_owned).collect(),
        };
        self.record(&started, None, false)?;
        for (index, step) in engine.before.iter().enumerate() {
            if self.options.cancel.load(Ordering::Relaxed) {
                return Err(Failure::Cancelled);
            }
            self.done_before = index + 1;
            self.one(step.as_ref(), context, &Harmless(()), index, Some(&self.options.cancel))?;
            if self.stops_after(step.name()) {
                return Ok(Outcome::Stopped);
            }
        }
        if self.options.cancel.load(Ordering::Relaxed) {
            return Err(Failure::Cancelled);
        }
        let permit = self.point_of_no_return()?;
        for (i, step) in engine.after.iter().enumerate() {
            self.refuse_cancel();
            self.done_after = i + 1;
            self.one(step.as_ref(), context, &permit, engine.before.len() + i, None)?;
            if self.stops_after(step.name()) {
                return Ok(Outcome::Stopped);
            }
        }
        let last = engine.after.last().map(|step| step.name());
        self.record(&Event::Complete { took_ms: millis(clock) }, last, true)?;
        Ok(Outcome::Complete)
    }

    /// The only place where the permit to write to disks is made.
    fn point_of_no_return(&self) -> Result<Destructive, Failure> {
        self.record(&Event::PointOfNoReturn, None, false)?;
        Ok(Destructive(()))
    }

    fn one<C, P: Phase>(
        &self,
        step: &dyn Step<C, P>,
        context: &mut C,
        permit: &P,
        index: usize,
        cancel: Option<&AtomicBool>,
    ) -> Result<(), Failure> {
        let clock = Instant::now();
        let name = step.name();
        let destructive = cancel.is_none();
        let describe = caught(|| Ok(step.describe(context)));
        let describe = describe.map_err(|error| Failure::Step { index, name, destructive, error })?;
        let started = Event::StepStarted { index, name: name.to_owned(), describe };
        self.record(&started, Some(name), destructive)?;
        let report = Report { index, sink: &self.options.sink, cancel };
        match caught(|| step.run(context, permit, &report).and_then(|()| step.check(context))) {
            Ok(()) => {
                let done = Event::StepDone { index, name: name.to_owned(), took_ms: millis(clock) };
                self.record(&done, Some(name), destructive)
            }
            Err(error) if error.kind == Kind::Cancelled && cancel.is_some() => Err(Failure::Cancelled),
            Err(error) => Err(Failure::Step { index, name, destructive, error }),
        }
    }

    fn stops_after(&self, name: &str) -> bool {
        self.options.stop_after.as_deref() == Some(name)
    }

    fn refuse_cancel(&mut self) {
        if !self.refused && self.options.cancel.load(Ordering::Relaxed) {
            self.refused = true;
            self.log("Too late to cancel: the disks are being changed. The installation goes on.".to_owned());
        }
    }

    /// Journals and tells. The journal comes first: nobody sees what is not on stable storage.
    fn record(&self, event: &Event, step: Option<&'static str>, destructive: bool) -> Result<(), Failure> {
        let kept = self.options.journal.append(event);
        (self.options.sink)(event);
        kept.map_err(|source| Failure::Journal { step, destructive, source })
    }

    fn report_failure(&self, failure: &Failure) {
        let event = match failure {
            Failure::Cancelled => Event::Cancelled,
            Failure::Step { index, name, error, .. } => {
                Event::StepFailed { index: *index, name: (*name).to_owned(), error: error.render() }
            }
            Failure::Journal { .. } | Failure::NoSuchStep { .. } => return,
        };
        let kept = self.options.journal.append(&event);
        (self.options.sink)(&event);
        if let Err(error) = kept {
            self.log(error.to_string());
        }
    }

    fn undo<C, P: Phase>(&self, step: &dyn Step<C, P>, context: &mut C) {
        if let Err(error) = caught(|| step.undo(context)) {
            self.log(format!("letting go after {}: {}", step.name(), error.render()));
        }
    }

    fn log(&self, line: String) {
        (self.options.sink)(&Event::Log { line });
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
