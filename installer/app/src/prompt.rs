//! Asking for a passphrase at a terminal, without showing it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sovereign_model::Passphrase;
use sovereign_model::secret::PassphraseError;
use zeroize::Zeroizing;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The terminal cannot be used.
    #[error("cannot ask at {path}")]
    Terminal {
        /// Its device.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Nobody typed an acceptable one.
    #[error("no acceptable passphrase was typed in {0} attempts")]
    Attempts(u32),
}

/// How often a person may try.
const ATTEMPTS: u32 = 5;

/// Asks twice at the terminal `path`, such as `/dev/console`, until both agree.
///
/// # Errors
/// [`PromptError`].
pub fn new_passphrase(path: &str) -> Result<Passphrase, PromptError> {
    let fail = |source| PromptError::Terminal { path: path.to_owned(), source };
    let terminal = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
    for _ in 0..ATTEMPTS {
        let first = ask(&terminal, "New passphrase for the disks: ").map_err(fail)?;
        let second = ask(&terminal, "Once more, to be sure: ").map_err(fail)?;
        if *first != *second {
            say(&terminal, "The two are not the same.\r\n").map_err(fail)?;
            continue;
        }
        match Passphrase::from_line(first.to_vec()) {
            Ok(passphrase) => return Ok(passphrase),
            Err(error) => say(&terminal, &sentence(error)).map_err(fail)?,
        }
    }
    Err(PromptError::Attempts(ATTEMPTS))
}

/// Asks once, at the terminal `path`, for a passphrase that exists: of any length, for others may have made it.
///
/// # Errors
/// [`PromptError::Terminal`].
pub fn passphrase(path: &str, question: &str) -> Result<Passphrase, PromptError> {
    let fail = |source| PromptError::Terminal { path: path.to_owned(), source };
    let terminal = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
    let line = ask(&terminal, question).map_err(fail)?;
    Ok(Passphrase::from_key(line.trim_ascii_end().to_vec()))
}

/// Asks a question at the terminal `path` that only `y` or `yes` agrees to.
///
/// # Errors
/// [`PromptError::Terminal`].
pub fn agreement(path: &str, question: &str) -> Result<bool, PromptError> {
    let fail = |source| PromptError::Terminal { path: path.to_owned(), source };
    let terminal = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
    say(&terminal, &format!("{question} [y/N] ")).map_err(fail)?;
    let mut line = String::new();
    BufReader::new(&terminal).read_line(&mut line).map_err(fail)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn sentence(error: PassphraseError) -> String {
    format!("{error}.\r\n")
}

fn say(mut terminal: &File, text: &str) -> std::io::Result<()> {
    terminal.write_all(text.as_bytes())?;
    terminal.flush()
}

fn ask(terminal: &File, question: &str) -> std::io::Result<Zeroizing<Vec<u8>>> {
    say(terminal, question)?;
    let _quiet = Quiet::new(terminal)?;
    // The reader's own buffer is freed unwiped: read through the smallest one, a byte at a time.
    let mut reader = BufReader::with_capacity(1, terminal);
    let mut line = Zeroizing::new(Vec::with_capacity(2 * Passphrase::MAX_LEN));
    reader.read_until(b'\n', &mut line)?;
    say(terminal, "\r\n")?;
    if line.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}

/// Echo off while it lives.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> std::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        modes.local_modes.insert(LocalModes::ICANON);
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
