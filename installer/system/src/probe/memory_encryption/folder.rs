//! The captures of memory encryption in a folder, and nothing else of it: it may be the root of a whole system.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{CPUID, CPUINFO, DMESG, KERNEL, MSR, ONLINE, PCI, TSME, is_tsme, msr_number};
use crate::input;
use crate::probe::{Captures, ProbeError};

/// Most bytes of a file: a dump of 512 CPUs has 3 MiB.
const MAX_BYTES: u64 = 16 << 20;

/// Reads them. What a symbolic link outside of `dir` leads to is another machine's, and not read.
///
/// # Errors
/// [`ProbeError::NoReadings`], [`ProbeError::Read`] and [`ProbeError::Input`].
pub(super) fn load(dir: &Path) -> Result<Captures, ProbeError> {
    let root = dir.canonicalize().and_then(|root| fs::read_dir(&root).map(|_| root)).map_err(|e| failed(dir, e))?;
    let mut names: Vec<String> = [CPUID, ONLINE, CPUINFO, KERNEL, DMESG].map(str::to_owned).into();
    names.extend(list(&root, MSR)?.into_iter().map(|file| format!("{MSR}{file}")).filter(|n| msr_number(n).is_some()));
    names.extend(list(&root, PCI)?.into_iter().map(|device| format!("{PCI}{device}{TSME}")));
    let mut captures = Captures::default();
    for name in names {
        let path = match root.join(&name).canonicalize() {
            Ok(path) => path,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(failed(&root.join(&name), error)),
        };
        if path.starts_with(&root) {
            captures.insert(name, String::from_utf8_lossy(&input::read(&path, MAX_BYTES)?));
        } else {
            captures.remark(&format!("{name} is a link that leads out of {}: it is not read", dir.display()));
        }
    }
    let tells = |name: &str| [CPUID, CPUINFO, DMESG].contains(&name) || name.starts_with(MSR) || is_tsme(name);
    if captures.iter().any(|(name, text)| tells(name) && !text.trim().is_empty()) {
        Ok(captures)
    } else {
        Err(ProbeError::NoReadings { path: dir.to_owned() })
    }
}

fn failed(path: &Path, source: std::io::Error) -> ProbeError {
    ProbeError::Read { path: path.to_owned(), source }
}

/// The names in a folder; none where there is no such folder.
fn list(root: &Path, name: &str) -> Result<Vec<String>, ProbeError> {
    let path = root.join(name);
    match fs::read_dir(&path) {
        Ok(entries) => entries
            .map(|entry| Ok(entry.map_err(|e| failed(&path, e))?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(&path, error)),
    }
}
