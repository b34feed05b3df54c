//! What the screens ask the app to do. They do nothing themselves.

use std::fmt;

use sovereign_model::Passphrase;
use sovereign_model::plan::Plan;
use sovereign_model::site::Site;
use zeroize::Zeroizing;

/// Something to be done. Each is carried out beside the screens, which go on meanwhile; its answer, where it has one, is a [`crate::Msg`].
pub enum Cmd {
    /// Look at the machine. Answer: [`crate::Msg::Inventory`].
    Probe,
    /// Read the whole medium and compare it with its manifest. Answers: [`crate::Msg::Medium`], the last of them `Verified` or `Damaged`.
    VerifyMedium,
    /// Load this layout on the kernel's consoles, as XKB names it. Answer: [`crate::Reply::Keyboard`].
    LoadKeyboard {
        /// Such as `de`.
        layout: String,
    },
    /// Draw 16 bytes from the kernel's random generator. Answer: [`crate::Reply::RecoveryKey`].
    DrawRecoveryKey,
    /// Look for public SSH keys (`*.pub` and `authorized_keys` in the root) on every file system of a removable disk, mounted read-only for the
    /// moment. Answer: [`crate::Reply::SshKeys`].
    ReadSshKeys,
    /// Write this site file onto the answer medium, or to /run where there is none, never over another file. It holds no secret.
    /// Answer: [`crate::Reply::SiteSaved`].
    SaveSite {
        /// TOML.
        toml: String,
    },
    /// Install. Answers: [`crate::Msg::Event`]s, and [`crate::Msg::Ended`] in the end.
    Install(Box<Install>),
    /// Set the engine's wish to cancel; it heeds it until the first write. The answer is that of `Install`.
    Cancel,
    /// Write this text, which holds the recovery key, into a new file that only root reads on the answer medium.
    /// Answer: [`crate::Reply::SheetWritten`].
    WriteRecoverySheet {
        /// The sheet.
        text: Zeroizing<String>,
    },
    /// Copy log and journal onto the answer medium or another removable disk. Answer: [`crate::Reply::LogsExported`].
    ExportLogs,
    /// Give the terminal to a shell until that ends, then send [`crate::Msg::Resize`] and draw everything anew.
    Shell,
    /// Restart the machine.
    Reboot,
    /// Switch the machine off.
    PowerOff,
    /// Clear the terminal and draw everything anew: a bad line has garbled it.
    Redraw,
}

/// What an installation is started with.
pub struct Install {
    /// What is wanted; `encryption.passphrase` is `prompt` where `passphrase` is there.
    pub site: Site,
    /// What was typed; `None`: it is in the file that the site names.
    pub passphrase: Option<Passphrase>,
    /// A second passphrase for every container, from the recovery sheet; a key slot of its own, with the same cost of a guess.
    pub recovery: Option<Passphrase>,
    /// What was agreed to. The installation must be refused if its plan has another hash.
    pub consent: Consent,
}

/// Neither site nor secrets are of use in a log.
impl fmt::Debug for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Install")
            .field("site", &self.site.site.name)
            .field("passphrase", &self.passphrase)
            .field("recovery", &self.recovery)
            .field("consent", &self.consent)
            .finish()
    }
}

impl fmt::Debug for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => f.write_str("Probe"),
            Self::VerifyMedium => f.write_str("VerifyMedium"),
            Self::LoadKeyboard { layout } => write!(f, "LoadKeyboard({layout})"),
            Self::DrawRecoveryKey => f.write_str("DrawRecoveryKey"),
            Self::ReadSshKeys => f.write_str("ReadSshKeys"),
            Self::SaveSite { .. } => f.write_str("SaveSite"),
            Self::Install(install) => install.fmt(f),
            Self::Cancel => f.write_str("Cancel"),
            Self::WriteRecoverySheet { .. } => f.write_str("WriteRecoverySheet(***)"),
            Self::ExportLogs => f.write_str("ExportLogs"),
            Self::Shell => f.write_str("Shell"),
            Self::Reboot => f.write_str("Reboot"),
            Self::PowerOff => f.write_str("PowerOff"),
            Self::Redraw => f.write_str("Redraw"),
        }
    }
}

/// Proof that somebody typed the word of this plan: there is no other way to make one, and without one nothing is installed.
#[derive(Debug, PartialEq, Eq)]
pub struct Consent {
    plan_hash: String,
}

impl Consent {
    /// Takes what was typed; `None` where it is not the word of `plan`.
    pub(crate) fn typed(text: &str, plan: &Plan) -> Option<Self> {
        text.trim().eq_ignore_ascii_case(&word(plan)).then(|| Self { plan_hash: plan.hash() })
    }

    /// SHA-256 of the plan that was agreed to, lower-case hexadecimal.
    pub fn plan_hash(&self) -> &str {
        &self.plan_hash
    }
}

/// Characters of a serial number that are typed.
const WORD: usize = 4;

/// What the word that stands for consent is the end of, or the start.
pub(crate) enum Source<'a> {
    /// The end of the first disk's serial number.
    Serial(&'a str),
    /// The end of its WWN.
    Wwn(&'a str),
    /// The start of the plan's hash.
    Hash,
}

/// The word that stands for consent, and what it is of: the last characters of the first disk's serial, or of its WWN. Whoever types it has
/// read the plan.
pub(crate) fn word_of(plan: &Plan) -> (String, Source<'_>) {
    // Some controllers invent serials nobody can type.
    let end = |id: &str| {
        let all: Vec<char> = id.chars().collect();
        let word: String = all[all.len().saturating_sub(WORD)..].iter().collect();
        Some(word).filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic()))
    };
    let id = plan.disks.first().map(|disk| &disk.id);
    let serial = id.and_then(|id| id.serial.as_deref()).and_then(|serial| Some((end(serial)?, Source::Serial(serial))));
    let wwn = || id.and_then(|id| id.wwn.as_deref()).and_then(|wwn| Some((end(wwn)?, Source::Wwn(wwn))));
    serial.or_else(wwn).unwrap_or_else(|| (plan.hash().chars().take(WORD).collect(), Source::Hash))
}

/// The word alone.
pub(crate) fn word(plan: &Plan) -> String {
    word_of(plan).0
}
