//! Secrets of workloads: drawn once for each installation, and kept on the target's encrypted root, where an administrator finds them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sovereign_engine::StepError;
use sovereign_model::Passphrase;
use sovereign_model::role::Catalogue;
use sovereign_model::workload::{Alphabet, SecretForm, SecretId};
use zeroize::Zeroizing;

use crate::configure::keys;
use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PRIVATE};

/// Folder on the target: a file for each, `ROLE/WORKLOAD/NAME`.
pub(super) const FOLDER: &str = "/etc/sovereign/workloads";
/// Letters and digits.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// See the module.
pub(super) struct Secrets<'c> {
    context: &'c Context,
    catalogue: &'c Catalogue,
}

impl<'c> Secrets<'c> {
    pub(super) const fn new(context: &'c Context, catalogue: &'c Catalogue) -> Self {
        Self { context, catalogue }
    }

    /// The value of a secret; drawn where it is asked for the first time.
    ///
    /// # Errors
    /// The kernel gives no random bytes, or the file system refuses.
    pub(super) fn value(&self, id: &SecretId) -> Result<Passphrase, StepError> {
        let workload = self.catalogue.workload(id.role.as_str(), id.workload.as_str());
        let form = workload.and_then(|workload| workload.secrets.get(&id.name));
        let form = form.ok_or_else(|| StepError::new(format!("the installer knows no secret `{id}`")))?;
        let path = self.path(id)?;
        if path.exists() {
            let kept = std::fs::read(&path).or_step(&format!("cannot read {}", path.display()))?;
            return Ok(Passphrase::from_key(kept));
        }
        let value = draw(form)?;
        files::write(&path, value.expose(), PRIVATE)?;
        Ok(value)
    }

    /// Where it is kept, in folders for root alone.
    fn path(&self, id: &SecretId) -> Result<PathBuf, StepError> {
        let folders = ["/etc/sovereign".to_owned(), FOLDER.to_owned(), format!("{FOLDER}/{}", id.role)];
        let own = format!("{FOLDER}/{}/{}", id.role, id.workload);
        for folder in folders.iter().chain([&own]) {
            files::folder(&self.context.on_target(folder), 0o700)?;
        }
        Ok(self.context.on_target(&format!("{own}/{}", id.name)))
    }
}

/// A secret of this form, from the kernel's random bytes.
fn draw(form: &SecretForm) -> Result<Passphrase, StepError> {
    let length = form.length.get();
    // Longer than any secret, so that it never grows and leaves a copy behind.
    let mut value: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(256));
    match form.form {
        Alphabet::Letters => {
            // The largest multiple of the number of letters in a byte: above it some would be more likely.
            const LIMIT: u8 = 248;
            while value.len() < length {
                let bytes = keys::draw()?;
                let fair = bytes.expose().iter().filter(|byte| **byte < LIMIT);
                let letters = fair.filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()));
                let missing = length - value.len();
                value.extend(letters.take(missing));
            }
        }
        Alphabet::Base64 => {
            let mut bytes: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(256));
            while bytes.len() < length {
                let missing = length - bytes.len();
                bytes.extend(keys::draw()?.expose().iter().take(missing));
            }
            value.extend(Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes)).bytes());
        }
    }
    Ok(Passphrase::from_key(std::mem::take(&mut *value)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn form(form: Alphabet, length: u8) -> SecretForm {
        let why = String::from("a test").try_into().unwrap();
        SecretForm { form, length: length.try_into().unwrap(), why }
    }

    #[test]
    fn secrets_have_their_form_and_are_never_the_same() {
        let mut seen = BTreeSet::new();
        for length in [4, 40, 128] {
            let value = draw(&form(Alphabet::Letters, length)).unwrap();
            assert_eq!(value.expose().len(), usize::from(length));
            assert!(value.expose().iter().all(u8::is_ascii_alphanumeric));
            assert!(seen.insert(value.expose().to_vec()));
        }
        for length in [32, 128] {
            let value = draw(&form(Alphabet::Base64, length)).unwrap();
            assert_eq!(STANDARD_NO_PAD.decode(value.expose()).unwrap().len(), usize::from(length));
            assert!(seen.insert(value.expose().to_vec()));
        }
    }
}
