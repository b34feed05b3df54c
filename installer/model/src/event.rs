//! What the engine tells its renderers (plain lines, TUI, log, journal): serialisable, without secrets.

use serde::{Deserialize, Serialize};

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
