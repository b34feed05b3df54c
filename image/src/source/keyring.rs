//! The one key that signs Proxmox's repository, taken out of whatever keyring it is in by its fingerprint.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::SourceError;
use crate::file::At;
use crate::tool::{Call, Tool};

/// Writes the key of this fingerprint, and no other, to `to`. `keyring` is a file in any form gpg reads; `home` is an empty folder for
/// gpg; `name` is what errors call the keyring.
pub fn export(keyring: &Path, name: &str, fingerprint: &str, home: &Path, to: &Path) -> Result<(), SourceError> {
    fs::File::open(keyring).map_err(|source| SourceError::Read { path: keyring.into(), source })?;
    fs::create_dir_all(home).at(home)?;
    // gpg warns about folders others can look into.
    fs::set_permissions(home, Permissions::from_mode(0o700)).at(home)?;
    let gpg = || {
        Call::new(Tool::Gpg).env("GNUPGHOME", home).args(["--batch", "--no-tty", "--quiet", "--no-autostart"]).args([
            "--no-auto-check-trustdb",
            "--trust-model",
            "always",
        ])
    };
    gpg()
        .arg("--import")
        .arg(keyring)
        .run()
        .map_err(|source| SourceError::NotKeyring { path: keyring.into(), source: Box::new(source) })?;
    let listed = gpg().args(["--with-colons", "--list-keys"]).text()?;
    let found = primary_fingerprints(&listed);
    if !found.contains(&fingerprint) {
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        return Err(SourceError::WrongKeyring { path: name.to_owned(), wanted: fingerprint.to_owned(), found });
    }
    let exported = gpg().args(["--export-options", "export-minimal", "--export"]).arg(fingerprint).run()?.stdout;
    Ok(fs::write(to, exported).at(to)?)
}

/// Fingerprints of primary keys in the output of `gpg --with-colons --list-keys` (GnuPG 2.2): the `fpr` record after each `pub`.
fn primary_fingerprints(listed: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut primary = false;
    for line in listed.lines() {
        let mut fields = line.split(':');
        match fields.next() {
            Some("pub") => primary = true,
            Some("fpr") if primary => {
                found.extend(fields.nth(8));
                primary = false;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subkey_is_not_a_key() {
        // GnuPG 2.2.40
        let listed = "tru::1:1:0:3:1:5\npub:-:255:22:AAAA:1:::-:::scSC:::::ed25519:::0:\nfpr:::::::::PRIMARY:\n\
                      uid:-::::1::X::a fixture::::::::::0:\nsub:-:255:18:BBBB:1::::::e:::::cv25519::\nfpr:::::::::SUBKEY:\n";
        assert_eq!(primary_fingerprints(listed), ["PRIMARY"]);
    }
}
