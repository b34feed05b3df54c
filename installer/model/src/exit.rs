//! The exit codes every command of the product shares.

/// How a command ended, as its exit code. Documented in `docs/exit-codes.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// What was asked for was done.
    Done = 0,
    /// An error of the program or the host that no other code covers.
    Internal = 1,
    /// A site file, argument or other input is wrong; nothing was written.
    BadInput = 2,
    /// No unambiguous plan exists for this site on this machine; nothing was written.
    NoPlan = 3,
    /// A step failed; the journal says which one and what was changed.
    StepFailed = 4,
    /// The machine is not in the planned state (`status`): something is degraded or missing.
    Degraded = 6,
    /// The medium is truncated or altered; nothing was written.
    BadMedium = 7,
    /// A configuration database that Proxmox VE would refuse or damage (`pmxcfs check`); nothing was written.
    BadDatabase = 8,
    /// A source of packages is not what it should be: key, signature, date, hash, release, or a package is missing.
    BadSource = 9,
    /// Cancelled before the point of no return; nothing was written.
    Cancelled = 130,
}
