//! Secrets that the first boot uses: read, handed on by pipe, and erased.

use std::fs;
use std::io::{ErrorKind, Write};

use zeroize::Zeroizing;

use super::Machine;

/// The one line of a secret's file; `None` where it is not there.
pub(super) fn read(machine: &Machine<'_>, path: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    match fs::read(machine.path(path)) {
        Ok(bytes) => {
            let mut bytes = Zeroizing::new(bytes);
            while bytes.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
                bytes.pop();
            }
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {path}: {error}")),
    }
}

/// Overwrites and removes a secret. It lies on an encrypted disk: what a copy-on-write layer keeps of it nobody reads without the key.
pub(super) fn erase(machine: &Machine<'_>, path: &str) {
    let path = machine.path(path);
    let overwrite = || -> std::io::Result<()> {
        let length = usize::try_from(path.metadata()?.len()).unwrap_or_default();
        let mut file = fs::OpenOptions::new().write(true).open(&path)?;
        file.write_all(&vec![0; length])?;
        file.sync_all()
    };
    // Whatever became of the overwriting, the name goes.
    let _ = overwrite();
    let _ = fs::remove_file(&path);
}
