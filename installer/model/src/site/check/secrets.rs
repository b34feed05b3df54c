//! The files on the answer medium that hold a secret: one file, one secret.

use super::Checker;

/// Where the site file names one.
const KEYS: [[&str; 2]; 3] = [["encryption", "file"], ["updates", "subscription_file"], ["cluster", "password_file"]];

impl Checker<'_, '_, '_, '_> {
    /// A passphrase that is also another machine's password, or sent to a shop, is none.
    pub(super) fn secret_files(&mut self) {
        for (index, path) in KEYS.iter().enumerate() {
            let Some((name, span)) = self.text(path) else { continue };
            // FAT does not tell upper case from lower.
            let same =
                |earlier: &&[&str; 2]| self.text(*earlier).is_some_and(|(other, _)| other.eq_ignore_ascii_case(name));
            if let Some(earlier) = KEYS[..index].iter().find(same) {
                let what = format!("is the file of {} too: give each secret a file of its own", earlier.join("."));
                self.wrong(&span, path, &what);
            }
        }
    }
}
