//! `[erase]`: how the disks are made to forget what was on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[erase]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// How thoroughly. Default: `discard`.
    #[serde(default)]
    pub mode: EraseMode,
}

impl Erase {
    /// Whether nothing else than the default is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `erase.mode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EraseMode {
    /// Keys, superblocks and signatures go, and both ends of every disk and partition are zeroed. Data between them stays until it is
    /// written over.
    Signatures,
    /// That, and disks without rotating parts are told that nothing on them is needed (`blkdiscard`), where they take it. No proof of
    /// erasure.
    #[default]
    Discard,
    /// That, and each disk erases itself by a command of its own. Refused, before anything is written, where one cannot.
    Secure,
}
