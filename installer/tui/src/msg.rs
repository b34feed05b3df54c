//! What happens: keys, time, and what the app found out or did for the screens.

use std::fmt;
use std::time::Duration;

use crossterm::event::KeyEvent;
use sovereign_model::bytes::Bytes;
use sovereign_model::event::{Amount, Event};
use sovereign_model::inventory::Inventory;
use zeroize::Zeroizing;

/// Something that happened. Everything reaches the screens through this one type, in the order it happened.
#[derive(Debug)]
pub enum Msg {
    /// A key.
    Key(KeyEvent),
    /// The terminal has another size, or was attached again. 0x0 is taken as 80x24.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Time went by; once a second, as what runs is shown anew with it and not more often.
    Tick {
        /// Since the screens were started.
        now: Duration,
    },
    /// News of the medium's verification, [`crate::Cmd::VerifyMedium`].
    Medium(Medium),
    /// The machine as the probe saw it, or why it could not be seen: the answer to [`crate::Cmd::Probe`].
    Inventory(Result<Box<Inventory>, String>),
    /// The engine says something while [`crate::Cmd::Install`] is carried out.
    Event(Event),
    /// How far the arrays are with their first synchronisation, as /proc/mdstat has it; every few seconds while one is going on, also after the
    /// installation.
    Arrays(Vec<ArraySync>),
    /// How [`crate::Cmd::Install`] ended; after the last event.
    Ended(Ended),
    /// What another command led to.
    Reply(Reply),
}

/// How far the medium's verification is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// So much of it was read and compared.
    Verifying(Amount),
    /// All of it is as it was built.
    Verified,
    /// It is not: what, and what to do.
    Damaged(String),
}

impl Medium {
    /// Nothing of it was read yet.
    pub(crate) const UNREAD: Self = Self::Verifying(Amount { done: Bytes::ZERO, total: Bytes::ZERO });
}

/// An array that is being synchronised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArraySync {
    /// `boot`, `ssd` or `hdd`.
    pub name: String,
    /// Done, of the array's own count.
    pub amount: Amount,
    /// Bytes a second, as the kernel says.
    pub rate: Bytes,
}

/// How an installation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every step is done.
    Complete,
    /// Cancelled before the first write.
    Cancelled,
    /// It failed.
    Failed(Failed),
}

/// An installation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was attempted, on which device, why it failed and what to do, in lines.
    pub error: String,
    /// Whether the disks were changed.
    pub changed: bool,
}

/// What became of a command. Errors are in words, with what to do.
pub enum Reply {
    /// [`crate::Cmd::LoadKeyboard`]: loaded, or why not.
    Keyboard(Result<(), String>),
    /// [`crate::Cmd::DrawRecoveryKey`]: random bytes of the kernel.
    RecoveryKey(Result<Zeroizing<[u8; 16]>, String>),
    /// [`crate::Cmd::ReadSshKeys`]: the lines found, without comments and empty ones.
    SshKeys(Result<Vec<String>, String>),
    /// [`crate::Cmd::SaveSite`]: where it was saved.
    SiteSaved(Result<String, String>),
    /// [`crate::Cmd::WriteRecoverySheet`]: where it was written.
    SheetWritten(Result<String, String>),
    /// [`crate::Cmd::ExportLogs`]: where they are.
    LogsExported(Result<String, String>),
    /// [`crate::Cmd::Shell`], [`crate::Cmd::Reboot`] or [`crate::Cmd::PowerOff`] could not be carried out.
    Refused(String),
}

/// The recovery key is not shown.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyboard(result) => f.debug_tuple("Keyboard").field(result).finish(),
            Self::RecoveryKey(result) => f.debug_tuple("RecoveryKey").field(&result.as_ref().map(|_| "***")).finish(),
            Self::SshKeys(result) => f.debug_tuple("SshKeys").field(result).finish(),
            Self::SiteSaved(result) => f.debug_tuple("SiteSaved").field(result).finish(),
            Self::SheetWritten(result) => f.debug_tuple("SheetWritten").field(result).finish(),
            Self::LogsExported(result) => f.debug_tuple("LogsExported").field(result).finish(),
            Self::Refused(why) => f.debug_tuple("Refused").field(why).finish(),
        }
    }
}
