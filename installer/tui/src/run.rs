//! A running installation as its events tell it. What is shown changes with the clock alone: on a slow line a frame a second is the most there is.

use std::collections::VecDeque;
use std::time::Duration;

use sovereign_model::Bytes;
use sovereign_model::event::{Amount, Event};

use crate::msg::ArraySync;

/// Lines of the log that are kept for looking at; the log itself is the app's.
const LOG_LINES: usize = 400;
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
    pub steps: Vec<Step>,
    pub log: VecDeque<String>,
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
            Event::Started { steps, plan_hash, install_id } => {
                self.count = steps;
                self.log(format!("installation {install_id}, plan {plan_hash}, {steps} steps"));
            }
            Event::PointOfNoReturn => {
                self.past_return = true;
                self.log("from here on the disks are changed");
            }
            Event::StepStarted { index, name, describe } => {
                self.log(format!("step {} {name}: {describe}", index + 1));
                self.steps.truncate(index);
                let state = StepState::Running { percent: None, note: String::new(), amount: None };
                self.steps.push(Step { name, describe, state });
            }
            Event::Progress { index, percent, note, amount } => {
                if let Some(step) = self.steps.get_mut(index) {
                    step.state = StepState::Running { percent: Some(percent), note, amount };
                }
            }
            Event::Log { line } => self.log(line),
            Event::StepDone { index, name, took_ms } => {
                self.log(format!("step {} {name}: done ({} ms)", index + 1, took_ms));
                if let Some(step) = self.steps.get_mut(index) {
                    step.state = StepState::Done { took_ms };
                }
            }
            Event::StepFailed { index, name, error } => {
                self.log(format!("step {} {name}: FAILED", index + 1));
                error.lines().for_each(|line| self.log(line));
                if let Some(step) = self.steps.get_mut(index) {
                    step.state = StepState::Failed { error };
                }
            }
            Event::Cancelled => self.log("cancelled; nothing was written to any disk"),
            Event::Complete { took_ms } => self.log(format!("complete after {} s", took_ms / 1000)),
        }
    }

    fn log(&mut self, line: impl AsRef<str>) {
        self.log.extend(line.as_ref().lines().map(str::to_owned));
        let excess = self.log.len().saturating_sub(LOG_LINES);
        self.log.drain(..excess);
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

    fn amount(done: u64) -> Event {
        let amount = Amount { done: Bytes(done), total: Bytes(1000) };
        Event::Progress { index: 0, percent: amount.percent(), note: "of it".into(), amount: Some(amount) }
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_of_one_step() {
        let mut run = Run::new(Duration::ZERO);
        run.hear(Event::Started { steps: 2, plan_hash: "ab".into(), install_id: "cd".into() });
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
    fn of_a_long_log_the_end_is_kept() {
        let mut run = Run::new(Duration::ZERO);
        for line in 0..1000 {
            run.hear(Event::Log { line: format!("line {line}") });
        }
        assert_eq!(run.log.len(), LOG_LINES);
        assert_eq!(run.log.back().map(String::as_str), Some("line 999"));
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
