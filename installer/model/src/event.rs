//! What the engine tells its renderers (plain lines, TUI, log, journal): serialisable, without secrets.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// A thing that happened during an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The engine starts on `steps` steps.
    Started {
        /// Number of steps.
        steps: usize,
        /// SHA-256 of the plan, lower-case hexadecimal.
        plan_hash: String,
        /// This installation's identifier.
        install_id: String,
        /// Their stable names, in their order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    /// From here on the disks are changed.
    PointOfNoReturn,
    /// A step starts.
    StepStarted {
        /// From 0.
        index: usize,
        /// Stable name, such as `create-arrays`.
        name: String,
        /// What it does, in words.
        describe: String,
    },
    /// A step says how far it is.
    Progress {
        /// The step.
        index: usize,
        /// Per cent done, 0 to 100.
        percent: u8,
        /// What of, in words.
        note: String,
        /// The same in bytes, where the step counts them: rate and time left follow from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
    },
    /// A container was made: who has to find it again needs its UUID.
    Encrypted {
        /// Its name: `luks-ssd`, `luks-hdd`.
        container: String,
        /// UUID of its header.
        uuid: String,
    },
    /// A line for the log: a program that ran, or a remark.
    Log {
        /// One line.
        line: String,
    },
    /// A step was executed and its result was checked by reading the machine back.
    StepDone {
        /// The step.
        index: usize,
        /// Stable name.
        name: String,
        /// Milliseconds it took.
        took_ms: u64,
    },
    /// A step failed; nothing after it was run.
    StepFailed {
        /// The step.
        index: usize,
        /// Stable name.
        name: String,
        /// What was attempted, on which device, the command, its exit code and output, what to do next.
        error: String,
    },
    /// Somebody cancelled before the point of no return.
    Cancelled,
    /// Every step is done.
    Complete {
        /// Milliseconds since the start.
        took_ms: u64,
    },
}

/// How far something is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Done.
    pub done: Bytes,
    /// Of so many; an estimate where the step knows no better.
    pub total: Bytes,
}

impl Amount {
    /// Per cent done, 0 to 100; all of nothing is done.
    pub fn percent(self) -> u8 {
        let percent = u128::from(self.done.0) * 100 / u128::from(self.total.0.max(1));
        if self.total == Bytes::ZERO { 100 } else { u8::try_from(percent.min(100)).unwrap_or(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_at_most_all_of_it() {
        let percent = |done, total| Amount { done: Bytes(done), total: Bytes(total) }.percent();
        assert_eq!([percent(0, 3), percent(1, 3), percent(3, 3), percent(4, 3), percent(0, 0)], [0, 33, 100, 100, 100]);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn events_of_before_read_as_before() {
        for text in [
            r#"{"event":"progress","index":3,"percent":50,"note":"half"}"#,
            r#"{"event":"started","steps":17,"plan_hash":"ab","install_id":"cd"}"#,
        ] {
            let event: Event = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
        }
    }
}
