//! Reading a role file: the first error, with file, line and column.

use serde::de::DeserializeOwned;

use super::Role;

/// Why a text is no role, or no workload or native of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RoleError {
    /// What was read.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and, where a type says so, what to write.
    pub message: String,
}

impl Role {
    /// Reads `text`, which is what is in `file` (used in messages only).
    ///
    /// # Errors
    /// The first thing that is wrong: syntax, an unknown or missing key, a value out of its form.
    pub fn parse(text: &str, file: &str) -> Result<Self, RoleError> {
        let role: Self = read(text, file)?;
        if role.volumes.data.is_some() != role.capacity.hdd.is_some() {
            let header = text.find("[volumes.data]").or_else(|| text.find("[capacity.hdd]"));
            let message = "[volumes.data] and [capacity.hdd] belong together: write both, or neither".to_owned();
            return Err(wrong(text, file, header.unwrap_or_default(), message));
        }
        Ok(role)
    }
}

/// Reads `text`, which is what is in `file`.
pub(crate) fn read<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, RoleError> {
    toml::from_str(text).map_err(|error| at(text, file, &error))
}

fn at(text: &str, file: &str, error: &toml::de::Error) -> RoleError {
    wrong(text, file, error.span().map_or(0, |span| span.start), error.message().to_owned())
}

/// An error at a byte of `text`.
pub(crate) fn wrong(text: &str, file: &str, byte: usize, message: String) -> RoleError {
    let (line, column) = place(text, byte);
    RoleError { file: file.to_owned(), line, column, message }
}

/// Line and column, from 1, of a byte.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
