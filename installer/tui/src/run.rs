//! A running installation as its events tell it. What is shown changes with the clock alone: on a slow line a frame a second is the most there is.

use std::collections::VecDeque;
use std::time::Duration;

use sovereign_model::Bytes;
use sovereign_model::event::{Amount, Event};

use crate::log::Log;
use crate::msg::ArraySync;

/// Seconds that a rate is measured over.
const RATE_SECONDS: usize = 10;

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub name: String,
    pub describe: String,
    pub state: StepState,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepState {
    /// It runs: per cent, what of, and in bytes.
    Running { percent: Option<u8>, note: String, amount: Option<Amount> },
    /// It is done, after so many milliseconds.
    Done { took_ms: u64 },
    /// It failed.
    Failed { error: String },
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// How many steps there are in all; 0 before the start.
    pub count: usize,
    /// Their names, as far as they are known.
    names: Vec<String>,
    /// Identifier of the installation; empty before the start.
    pub install_id: String,
    /// Those that were started.
    pub steps: Vec<Step>,
    /// Containers that were made, and their UUIDs.
    pub containers: Vec<(String, String)>,
    pub log: Log,
    /// Whether disks may have been changed.
    pub past_return: bool,
    pub arrays: Vec<ArraySync>,
    /// When the installation was started, on the clock of the screens.
    pub since: Duration,
    pub now: Duration,
    /// Bytes that were done at the last seconds, of the step with this index.
    samples: VecDeque<(Duration, Bytes)>,
    sampled: usize,
}

impl Run {
    pub fn new(now: Duration) -> Self {
        Self { since: now, now, ..Self::default() }
    }

    /// Takes an event.
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::Started { steps, plan_hash, install_id, names } => {
                self.log.add(&format!("installation {install_id}, plan {plan_hash}, {steps} steps"));
                (self.count, self.names, self.install_id) = (steps, names, install_id);
            }
            Event::PointOfNoReturn => {
                self.past_return = true;
                self.log.add("from here on the disks are changed");
            }
            Event::StepStarted { index, name, describe } => {
                self.log.add(&format!("step {} {name}: {describe}", index + 1));
                self.steps.truncate(index);
                let state = StepState::Running { percent: None, note: String::new(), amount: None };
                self.steps.push(Step { name, describe, state });
            }
            Event::Progress { index, percent, note, amount } => {
                if let Some(step) = self.steps.get_mut(index) {
                    step.state = StepState::Running { percent: Some(percent), note, amount };
                }
            }
            Event::Encrypted { container, uuid } => {
                self.log.add(&format!("the container {container} has the UUID {uuid}"));
                self.containers.retain(|(name, _)| *name != container);
                self.containers.push((container, uuid));
            }
            Event::Log { line } => self.log.add(&line),
            Event::StepDone { index, name, took_ms } => {
                self.log.add(&format!("step {} {name}: done ({took_ms} ms)", index + 1));
                if let Some(step) = self.steps.get_mut(index) {
                    step.state = StepState::Done { took_ms };
                }
            }
            Event::StepFailed { index, name, error } => {
                self.log.add(&format!("step {} {name}: FAILED", index + 1));
                self.log.add(&error);
                if let Some(step) = self.steps.get_mut(index) {
                    step.state = StepState::Failed { error };
                }
            }
            Event::Cancelled => self.log.add("cancelled; nothing was written to any disk"),
            Event::Complete { took_ms } => self.log.add(&format!("complete after {} s", took_ms / 1000)),
        }
    }

    /// Names of the steps that were not started, as far as they are known, and how many more there are.
    pub fn waiting(&self) -> (&[String], usize) {
        let names = self.names.get(self.steps.len()..).unwrap_or_default();
        (names, self.count.saturating_sub(self.steps.len() + names.len()))
    }

    /// UUID of a container, once it was made.
    pub fn uuid(&self, container: &str) -> Option<&str> {
        self.containers.iter().find(|(name, _)| name == container).map(|(_, uuid)| uuid.as_str())
    }

    /// A second went by.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        let index = self.steps.len();
        if self.sampled != index {
            self.samples.clear();
            self.sampled = index;
        }
        if let Some(StepState::Running { amount: Some(amount), .. }) = self.steps.last().map(|step| &step.state) {
            self.samples.push_back((now, amount.done));
            if self.samples.len() > RATE_SECONDS + 1 {
                self.samples.pop_front();
            }
        }
    }

    pub fn done(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.state, StepState::Done { .. })).count()
    }

    /// The step that failed, and why.
    pub fn failed(&self) -> Option<(&Step, &str)> {
        self.steps.iter().find_map(|step| match &step.state {
            StepState::Failed { error } => Some((step, error.as_str())),
            _ => None,
        })
    }

    /// Bytes a second of the step that runs, over the last seconds; `None` where it counts none, or has not moved.
    pub fn rate(&self) -> Option<Bytes> {
        let ((from, before), (to, after)) = (self.samples.front()?, self.samples.back()?);
        let ms = u64::try_from(to.checked_sub(*from)?.as_millis()).ok().filter(|ms| *ms > 0)?;
        let bytes = after.0.checked_sub(before.0).filter(|bytes| *bytes > 0)?;
        Some(Bytes(u64::try_from(u128::from(bytes) * 1000 / u128::from(ms)).ok()?))
    }

    /// Time the step that runs still takes at this rate.
    pub fn left(&self, amount: Amount) -> Option<Duration> {
        let rate = self.rate()?.0.max(1);
        Some(Duration::from_secs(amount.total.saturating_sub(amount.done).0 / rate))
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now.saturating_sub(self.since)
    }
}

/// `0:07`, `12:34`, `1:02:03`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(steps: usize, names: &[&str]) -> Event {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Event::Started { steps, plan_hash: "ab".into(), install_id: "cd".into(), names }
    }

    fn amount(done: u64) -> Event {
        let amount = Amount { done: Bytes(done), total: Bytes(1000) };
        Event::Progress { index: 0, percent: amount.percent(), note: "of it".into(), amount: Some(amount) }
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_of_one_step() {
        let mut run = Run::new(Duration::ZERO);
        run.hear(started(2, &[]));
        run.hear(Event::StepStarted { index: 0, name: "unpack".into(), describe: "unpack it".into() });
        assert_eq!(run.rate(), None);
        for second in 1..=20 {
            run.hear(amount(second * 10));
            run.tick(Duration::from_secs(second));
        }
        assert_eq!(run.rate(), Some(Bytes(10)));
        let left = run.left(Amount { done: Bytes(200), total: Bytes(1000) });
        assert_eq!(left, Some(Duration::from_secs(80)));
        for second in 21..=32 {
            run.tick(Duration::from_secs(second));
        }
        assert_eq!(run.rate(), None);
        run.hear(Event::StepDone { index: 0, name: "unpack".into(), took_ms: 32_000 });
        run.hear(Event::StepStarted { index: 1, name: "configure".into(), describe: "configure it".into() });
        run.tick(Duration::from_secs(33));
        assert_eq!((run.rate(), run.done()), (None, 1));
    }

    #[test]
    fn the_steps_that_wait_are_named_where_their_names_are_known() {
        let mut run = Run::new(Duration::ZERO);
        assert_eq!(run.waiting(), (&[][..], 0));
        run.hear(started(3, &["one", "two", "three"]));
        run.hear(Event::StepStarted { index: 0, name: "one".into(), describe: "do one".into() });
        assert_eq!(run.waiting(), (&["two".to_owned(), "three".to_owned()][..], 0));
        run.hear(started(3, &[]));
        assert_eq!(run.waiting(), (&[][..], 2));
    }

    #[test]
    fn a_container_that_is_made_again_has_its_new_uuid() {
        let mut run = Run::new(Duration::ZERO);
        for uuid in ["old", "new"] {
            run.hear(Event::Encrypted { container: "luks-ssd".into(), uuid: uuid.into() });
        }
        assert_eq!((run.uuid("luks-ssd"), run.uuid("luks-hdd")), (Some("new"), None));
    }

    #[test]
    fn events_of_steps_that_are_not_known_change_nothing() {
        let mut run = Run::new(Duration::ZERO);
        run.hear(amount(10));
        run.hear(Event::StepDone { index: 7, name: "none".into(), took_ms: 1 });
        run.hear(Event::StepFailed { index: 7, name: "none".into(), error: "lost".into() });
        assert_eq!((run.done(), run.failed().is_some()), (0, false));
    }

    #[test]
    fn times_read_as_clocks() {
        let text = |seconds| clock(Duration::from_secs(seconds));
        assert_eq!([text(7), text(754), text(3723)], ["0:07", "12:34", "1:02:03"]);
    }
}
