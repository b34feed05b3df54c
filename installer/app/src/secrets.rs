//! Secrets that are read from files on an answer medium.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sovereign_model::Passphrase;
use sovereign_model::exit::ExitCode;
use sovereign_model::installed::{CLUSTER_PASSWORD, SUBSCRIPTION_KEY};
use sovereign_model::site::Site;
use sovereign_system::input;
use zeroize::Zeroizing;

use crate::failure::{Failure, OrFail};

/// Most bytes of a file that holds one secret.
const MAX_SECRET: u64 = 64 << 10;

/// The secrets that the first boot uses, each with its place on the target; `files` has the files that the site names.
///
/// # Errors
/// A file is not what it should be: exit code 2.
pub fn of_site(site: &Site, files: &BTreeMap<String, PathBuf>) -> Result<Vec<(&'static str, Passphrase)>, Failure> {
    let wanted = [(&site.updates.subscription_file, SUBSCRIPTION_KEY), (&site.cluster.password_file, CLUSTER_PASSWORD)];
    let named = wanted.into_iter().filter_map(|(name, to)| Some((files.get(name.as_ref()?)?, to)));
    named.map(|(path, to)| Ok((to, read_secret(path)?))).collect()
}

/// The passphrase of the disks, from the file that the site names.
///
/// # Errors
/// There is none, or it is not what it should be: exit code 2.
pub fn passphrase_of(site: &Site, files: &BTreeMap<String, PathBuf>) -> Result<Passphrase, Failure> {
    let path = site.encryption.file.as_ref().and_then(|name| files.get(name));
    key(path.ok_or_else(|| {
        Failure::new(ExitCode::BadInput, "the site file takes the passphrase from a file, and there is none")
    })?)
}

/// The passphrase in a key file.
///
/// # Errors
/// It is no acceptable one: exit code 2.
fn key(path: &Path) -> Result<Passphrase, Failure> {
    let bytes = input::read(path, MAX_SECRET).or_fail(ExitCode::BadInput)?;
    Passphrase::from_line(bytes)
        .map_err(|error| Failure::new(ExitCode::BadInput, format!("the key file {}: {error}", path.display())))
}

/// A secret of any length: others made it.
fn read_secret(path: &Path) -> Result<Passphrase, Failure> {
    let bytes = Zeroizing::new(input::read(path, MAX_SECRET).or_fail(ExitCode::BadInput)?);
    let line = bytes.trim_ascii_end();
    if line.is_empty() || line.contains(&b'\n') {
        let said = format!("the file {} must hold one line and nothing else", path.display());
        return Err(Failure::new(ExitCode::BadInput, said));
    }
    Ok(Passphrase::from_key(line.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_secret_of_others_is_one_line_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, "x\n").unwrap();
        assert_eq!(read_secret(&path).unwrap().expose(), b"x");
        for wrong in ["", "\n", "one\ntwo\n"] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(read_secret(&path).unwrap_err().code, ExitCode::BadInput);
        }
    }

    #[test]
    fn a_key_file_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.key");
        fs::write(&path, "correct horse\n").unwrap();
        assert_eq!(key(&path).unwrap().expose(), b"correct horse");
        for wrong in ["", "correct horse\nbattery staple\n"] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(key(&path).unwrap_err().code, ExitCode::BadInput);
        }
        assert!(key(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
