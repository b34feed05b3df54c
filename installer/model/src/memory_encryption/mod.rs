//! Host memory encryption: in which of seven states a machine is, how that is known, and what a site makes of it. The rule that decides is
//! in [`rule`], what it decides from in [`readings`]; docs/memory-encryption.md says both in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::site::{self, MemoryEncryptionPolicy as Policy};

mod advice;
pub mod readings;
mod rule;
#[cfg(test)]
mod tests;

pub use readings::Readings;
pub use rule::decide;

/// Whether the RAM of a machine is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The processor has no memory encryption.
    Unsupported,
    /// It has, and the firmware has not switched it on, or lets every access bypass it.
    OffInFirmware,
    /// Intel: switched on and not locked, so anything that runs later may switch it off.
    EnabledUnlocked,
    /// AMD: the firmware has switched it on, and the kernel does not use it.
    KernelOff,
    /// AMD: the kernel encrypts (SME).
    Active,
    /// The firmware encrypts all RAM and the kernel need not know (TSME, TME).
    ActiveTransparent,
    /// What is needed to decide could not be read, or contradicts itself.
    Unknown,
}

impl State {
    /// Its name in JSON and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::OffInFirmware => "off-in-firmware",
            Self::EnabledUnlocked => "enabled-unlocked",
            Self::KernelOff => "kernel-off",
            Self::Active => "active",
            Self::ActiveTransparent => "active-transparent",
            Self::Unknown => "unknown",
        }
    }

    /// Whether RAM is encrypted, in either way.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::ActiveTransparent)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a machine's memory encryption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryEncryption {
    /// The processors' vendor as CPUID spells it: `AuthenticAMD`, `GenuineIntel`, `HygonGenuine`; `unknown` where nothing tells.
    pub vendor: String,
    /// The state.
    pub state: State,
    /// Whether this is a virtual machine. It is never active then: what it reads are the registers its host makes up.
    pub virtualised: bool,
    /// What was read, from where and what it means, a sentence each.
    pub evidence: Vec<String>,
    /// What to do.
    pub advice: String,
}

impl MemoryEncryption {
    /// Whether a person's word may stand for what the machine does not tell. A state that is known is not open to opinion; that of a
    /// virtual machine is its host's, whatever its own processor says of itself.
    pub fn is_attestable(&self) -> bool {
        self.state == State::Unknown || self.virtualised
    }

    /// The firmware's setting that switches it on, as vendors call it.
    pub fn setting(&self) -> &'static str {
        advice::setting(Family::of(&self.vendor))
    }
}

/// Whose rules a processor follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Amd,
    /// A descendant of AMD's Zen: the same registers, but its kernel flag says only what the processor can.
    Hygon,
    Intel,
    Other,
}

impl Family {
    fn of(vendor: &str) -> Self {
        match vendor {
            "AuthenticAMD" => Self::Amd,
            "HygonGenuine" => Self::Hygon,
            "GenuineIntel" => Self::Intel,
            _ => Self::Other,
        }
    }
}

/// What the plan says of memory encryption: how the machine was found, and what the target is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// How the machine was found.
    pub state: State,
    /// Whether `mem_encrypt=on` goes onto the target's command line.
    pub kernel_switch: bool,
    /// Who says that it is encrypted, where the machine cannot tell: the site file's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<String>,
}

impl Planned {
    /// Whether the installed machine must be found active: it was, or the kernel's switch was all that was missing.
    pub const fn must_be_active(&self) -> bool {
        self.state.is_active() || self.kernel_switch
    }

    /// In words, for the plan's tree. Never `active` for what somebody attested.
    pub fn describe(&self) -> String {
        match (&self.attested, self.kernel_switch, self.state) {
            (Some(attested), ..) => format!("attested: {attested} (the machine itself says: {})", self.state),
            (None, true, State::KernelOff) => {
                format!(
                    "{}: mem_encrypt=on goes onto the target's command line, the first boot verifies it",
                    self.state
                )
            }
            (None, true, _) => format!("{}, with mem_encrypt=on on the target's command line", self.state),
            (None, false, _) => self.state.to_string(),
        }
    }
}

/// Why a site that requires memory encryption gets no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEncrypted {
    /// What was found; `None` where nobody looked.
    pub found: Option<MemoryEncryption>,
    /// Whether the site attests what a person cannot attest.
    pub attested_in_vain: bool,
}

impl NotEncrypted {
    /// Whether the machine may be encrypted all the same: whoever may read its registers can know more.
    pub fn is_unknown(&self) -> bool {
        self.found.as_ref().is_none_or(|found| found.state == State::Unknown)
    }
}

impl fmt::Display for NotEncrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the site requires memory encryption (memory_encryption.policy = \"require\"), and ")?;
        let Some(found) = &self.found else {
            return f.write_str(
                "this inventory does not say whether the memory is encrypted: make a new one on the machine with \
                 `sovereign-installer probe --json`, or attest it with memory_encryption.attested",
            );
        };
        let virtual_machine = if found.virtualised { " in a virtual machine" } else { "" };
        write!(f, "its state on this machine is {}{virtual_machine}", found.state)?;
        if self.attested_in_vain {
            f.write_str(" (memory_encryption.attested counts only where the state cannot be known)")?;
        }
        write!(f, ": {}", found.advice)?;
        if !found.advice.contains(found.setting()) {
            write!(f, ". The firmware's setting is called {}", found.setting())?;
        }
        f.write_str(" (`sovereign-installer memory-encryption` shows what was read)")
    }
}

impl std::error::Error for NotEncrypted {}

/// What a site makes of a machine: what its plan says, with a warning where the site wants one.
///
/// # Errors
/// [`NotEncrypted`] where the site requires memory encryption and neither has it, nor may expect it of the kernel's switch, nor attests it.
pub fn plan(
    found: Option<&MemoryEncryption>,
    wanted: &site::MemoryEncryption,
) -> Result<(Option<Planned>, Option<String>), NotEncrypted> {
    let attestable = found.is_none_or(MemoryEncryption::is_attestable);
    if let Some(attested) = wanted.attested.clone().filter(|_| attestable) {
        let state = found.map_or(State::Unknown, |found| found.state);
        return Ok((Some(Planned { state, kernel_switch: false, attested: Some(attested) }), None));
    }
    let refused = || NotEncrypted { found: found.cloned(), attested_in_vain: wanted.attested.is_some() };
    let Some(found) = found else {
        return if wanted.policy == Policy::Require { Err(refused()) } else { Ok((None, None)) };
    };
    // The kernel of the medium may have been started with the switch: the target's needs it too.
    let kernel_switch = wanted.policy != Policy::Ignore && matches!(found.state, State::KernelOff | State::Active);
    let planned = Planned { state: found.state, kernel_switch, attested: None };
    let warning = match (wanted.policy, planned.must_be_active()) {
        (Policy::Require, false) => return Err(refused()),
        (Policy::Warn, false) => Some(format!(
            "memory encryption is {}{}: {}",
            found.state,
            if found.virtualised { " (virtual machine)" } else { "" },
            found.advice
        )),
        (Policy::Require | Policy::Warn, true) => found.excluded(),
        (Policy::Ignore, _) => None,
    };
    Ok((Some(planned), warning))
}

impl MemoryEncryption {
    /// The words of the evidence for a range of addresses that is not encrypted.
    fn excluded(&self) -> Option<String> {
        self.evidence.iter().find(|line| line.contains(rule::EXCLUDED)).cloned()
    }
}
