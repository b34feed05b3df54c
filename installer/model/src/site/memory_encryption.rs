//! `[memory_encryption]`: what a site wants of the machine's memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[memory_encryption]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryEncryption {
    /// What happens where the memory is not encrypted.
    #[serde(default)]
    pub policy: MemoryEncryptionPolicy,
    /// Who checked what and when, one line, where the machine cannot tell: it stands for a state that is unknown, and for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<String>,
}

impl MemoryEncryption {
    /// Whether the site says nothing of it.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `memory_encryption.policy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryEncryptionPolicy {
    /// Nothing is written unless the memory is encrypted, will be once the kernel is told to, or somebody attests it.
    Require,
    /// The plan says so.
    #[default]
    Warn,
    /// Nothing: this is accepted.
    Ignore,
}
