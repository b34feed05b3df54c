//! What to do in each state, in words: for the command, the plan's warnings and its refusal.

use super::{Family, State};

/// What vendors call the firmware's setting.
pub(super) const fn setting(family: Family) -> &'static str {
    match family {
        Family::Amd | Family::Hygon => "TSME (transparent SME), or SMEE (SME enable)",
        Family::Intel => "TME (Total Memory Encryption)",
        Family::Other => "TSME or SMEE (AMD), or TME (Intel)",
    }
}

/// What to do. `facts` are those of the rule that change the words.
pub(super) fn advice(state: State, family: Family, facts: Facts) -> String {
    let setting = setting(family);
    if facts.virtualised {
        return "this is a virtual machine: whether its memory is encrypted is its host's matter and cannot be seen from inside; check \
                the host, and attest it in the site file (memory_encryption.attested)"
            .to_owned();
    }
    match state {
        State::Unsupported => "this processor has no memory encryption: use a machine that has it, or accept this in the site file with \
                               memory_encryption.policy = \"ignore\""
            .to_owned(),
        State::OffInFirmware if facts.bypass => {
            format!("switch off the bypass of {setting} in the firmware setup, start the machine anew, and look again")
        }
        State::OffInFirmware => {
            format!("switch on {setting} in the firmware setup, start the machine anew, and look again")
        }
        State::EnabledUnlocked => format!(
            "{setting} is switched on but not locked, which is a fault of the firmware: update it, switch the setting off and on again, or ask \
             the machine's vendor"
        ),
        State::KernelOff => format!(
            "start the kernel with mem_encrypt=on, which the installer puts onto the target's command line; or switch on {setting} in the \
             firmware setup"
        ),
        State::Active => "nothing; SME breaks some graphics cards: if the screen stays dark, remove mem_encrypt=on and switch on TSME in the \
                          firmware setup instead"
            .to_owned(),
        State::ActiveTransparent if facts.excluded => {
            "ask the machine's vendor what the excluded range is for: what lies there is not encrypted".to_owned()
        }
        State::ActiveTransparent => "nothing; the kernel's switch mem_encrypt=on is not needed".to_owned(),
        State::Unknown => format!(
            "run this as root with the kernel module `msr`; if the state stays unknown, look for {setting} in the firmware setup, and attest \
             what you find in the site file: memory_encryption.attested = \"who checked what, when\""
        ),
    }
}

/// What changes the words of [`advice`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    pub virtualised: bool,
    /// Intel: accesses bypass the encryption.
    pub bypass: bool,
    /// Intel: a range is not encrypted.
    pub excluded: bool,
}
