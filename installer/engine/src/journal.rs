//! The journal: one JSON object a line, on disk (fsync) before anything goes on. It is kept in several places at once, and a place
//! added late gets everything that was written so far.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sovereign_model::event::Event;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// From 0, without gaps.
    pub seq: u64,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// What happened. Progress, containers and log lines are not journalled.
    #[serde(flatten)]
    pub event: Event,
}

/// Why the journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A place refuses the journal.
    #[error("cannot write the journal {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A whole line is not a record.
    #[error("line {line} of the journal is not a record")]
    Damaged {
        /// From 1.
        line: usize,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

/// A journal, shared between the engine, which writes it, and the steps, which add and remove places.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    seq: u64,
    written: Vec<u8>,
    places: Vec<(PathBuf, File)>,
}

impl Journal {
    /// A journal that is kept in memory until a place is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the journal in the file `path` too: what was written so far at once, and every record from now on. An existing file is
    /// replaced.
    ///
    /// # Errors
    /// [`JournalError::Write`]; the place is not added then.
    pub fn add(&self, path: &Path) -> Result<(), JournalError> {
        let mut inner = self.lock();
        let open = || -> io::Result<File> {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
            file.write_all(&inner.written)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = open().map_err(|source| JournalError::Write { path: path.to_owned(), source })?;
        inner.places.push((path.to_owned(), file));
        Ok(())
    }

    /// Closes the file `path`, so that its file system can be unmounted. What it holds stays.
    pub fn remove(&self, path: &Path) {
        self.lock().places.retain(|(p, _)| p != path);
    }

    /// Everything written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().written).into_owned()
    }

    /// Writes one record to every place, and returns when all of them have it on stable storage.
    ///
    /// # Errors
    /// [`JournalError::Write`] of the first place that failed; the others were still written.
    pub fn append(&self, event: &Event) -> Result<(), JournalError> {
        let mut inner = self.lock();
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let record = Record { seq: inner.seq, at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX), event: event.clone() };
        // An Event has only string keys and finite numbers, which is all that serde_json can refuse.
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        inner.seq += 1;
        inner.written.extend_from_slice(&line);
        let mut first = None;
        for (path, file) in &mut inner.places {
            if let Err(source) = file.write_all(&line).and_then(|()| file.sync_data()) {
                first.get_or_insert(JournalError::Write { path: path.clone(), source });
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a journal. A last line without its line ending was torn by a power cut and is ignored.
///
/// # Errors
/// [`JournalError::Damaged`] for any other line that is not a record.
pub fn parse(bytes: &[u8]) -> Result<Vec<Record>, JournalError> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    bytes[..whole]
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| serde_json::from_slice(line).map_err(|source| JournalError::Damaged { line: i + 1, source }))
        .collect()
}
