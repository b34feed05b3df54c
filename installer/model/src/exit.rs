//! The exit codes every command of the product shares.

/// How a command ended, as its exit code. Documented in `docs/exit-codes.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// What was asked for was done.
    Done,
    /// An error of the program or the host that no other code covers.
    Internal,
    /// A site file, argument or other input is wrong; nothing was written.
    BadInput,
    /// No unambiguous plan exists for this site on this machine; nothing was written.
    NoPlan,
    /// A step failed; the journal says which one and what was changed.
    StepFailed,
    /// The machine's memory is not encrypted, or nobody can tell (`memory-encryption`); or not, where the site requires it (`first-boot`).
    NotEncrypted,
    /// The machine is not in the planned state (`status`): something is degraded or missing.
    Degraded,
    /// The medium is truncated or altered; nothing was written.
    BadMedium,
    /// A configuration database that Proxmox VE would refuse or damage (`pmxcfs check`); nothing was written.
    BadDatabase,
    /// A source of packages or images is not what it should be: key, signature, date, hash, release, or something is missing.
    BadSource,
    /// Cancelled before the point of no return; nothing was written.
    Cancelled,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

impl ExitCode {
    /// What the process ends with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::BadInput => 2,
            Self::NoPlan => 3,
            Self::StepFailed => 4,
            Self::NotEncrypted => 5,
            Self::Degraded => 6,
            Self::BadMedium => 7,
            Self::BadDatabase => 8,
            Self::BadSource => 9,
            Self::Cancelled => 130,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_people_read() {
        let table = include_str!("../../../docs/exit-codes.md");
        let listed: Vec<u8> =
            table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
        let codes = [
            ExitCode::Done,
            ExitCode::Internal,
            ExitCode::BadInput,
            ExitCode::NoPlan,
            ExitCode::StepFailed,
            ExitCode::NotEncrypted,
            ExitCode::Degraded,
            ExitCode::BadMedium,
            ExitCode::BadDatabase,
            ExitCode::BadSource,
            ExitCode::Cancelled,
        ];
        assert_eq!(listed, codes.map(ExitCode::number));
    }
}
