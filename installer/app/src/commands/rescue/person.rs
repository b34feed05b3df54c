//! Whoever sits in front of a machine that is being rescued.

use std::fs::OpenOptions;

use sovereign_model::Passphrase;
use sovereign_model::exit::ExitCode;

use crate::failure::{Failure, OrFail};
use crate::prompt;

/// Is told things, and answers questions.
pub trait Person {
    /// Tells one thing.
    ///
    /// # Errors
    /// It cannot be said.
    fn tell(&mut self, text: &str) -> Result<(), Failure>;

    /// Asks a question that is answered by yes or no; no is the answer of those who say nothing.
    ///
    /// # Errors
    /// Nobody is there.
    fn agrees(&mut self, question: &str) -> Result<bool, Failure>;

    /// Asks for a passphrase that exists.
    ///
    /// # Errors
    /// Nobody is there.
    fn passphrase(&mut self, question: &str) -> Result<Passphrase, Failure>;
}

/// A person at a terminal.
pub struct Terminal {
    /// Its device.
    pub path: &'static str,
}

impl Terminal {
    /// Whether this process has the terminal.
    pub fn is_there(&self) -> bool {
        OpenOptions::new().read(true).write(true).open(self.path).is_ok()
    }
}

impl Person for Terminal {
    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        super::super::print(text)
    }

    fn agrees(&mut self, question: &str) -> Result<bool, Failure> {
        prompt::agreement(self.path, question).or_fail(ExitCode::BadInput)
    }

    fn passphrase(&mut self, question: &str) -> Result<Passphrase, Failure> {
        prompt::passphrase(self.path, question).or_fail(ExitCode::BadInput)
    }
}
