//! QEMU's control socket: commands, their answers, and events.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

/// How long QEMU may take to answer a command: TCG holds its lock for seconds on a loaded host.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What can go wrong with the control socket.
#[derive(Debug, Error)]
pub enum QmpError {
    /// The socket does not answer.
    #[error("cannot talk to QEMU at {path}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// QEMU refused a command.
    #[error("QEMU refused {command}: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// Its `desc`.
        reason: String,
    },
    /// No answer or event came.
    #[error("no {what} from QEMU within {timeout:?}; events so far: {events:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        timeout: Duration,
        /// Names of the events that came.
        events: Vec<String>,
    },
}

#[derive(Debug, Default)]
struct Inbox {
    answers: Vec<Value>,
    events: Vec<Value>,
    closed: bool,
}

/// One control connection.
#[derive(Debug)]
pub struct Qmp {
    path: PathBuf,
    stream: UnixStream,
    inbox: Arc<(Mutex<Inbox>, Condvar)>,
}

impl Qmp {
    /// Connects and leaves negotiation mode.
    pub fn connect(path: &Path) -> Result<Self, QmpError> {
        let socket = |source| QmpError::Socket { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(socket)?;
        let reader = stream.try_clone().map_err(socket)?;
        let inbox = Arc::new((Mutex::new(Inbox::default()), Condvar::new()));
        let sink = Arc::clone(&inbox);
        std::thread::spawn(move || read(reader, &sink));
        let qmp = Self { path: path.to_owned(), stream, inbox };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns its `return` value.
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value, QmpError> {
        let message = json!({"execute": command, "arguments": arguments});
        (&self.stream)
            .write_all(format!("{message}\n").as_bytes())
            .map_err(|source| QmpError::Socket { path: self.path.clone(), source })?;
        let answer = self.wait(&format!("answer to {command}"), ANSWER_TIMEOUT, |inbox| {
            (!inbox.answers.is_empty()).then(|| inbox.answers.remove(0))
        })?;
        match answer.get("error") {
            Some(error) => Err(QmpError::Refused {
                command: command.to_owned(),
                reason: error["desc"].as_str().unwrap_or_default().to_owned(),
            }),
            None => Ok(answer["return"].clone()),
        }
    }

    /// Waits for an event for which `wanted` holds; events that came before count too, so none is missed, but each only once.
    pub fn wait_event(
        &self,
        name: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, QmpError> {
        self.wait(&format!("event {name}"), timeout, |inbox| {
            let at = inbox.events.iter().position(|event| event["event"] == name && wanted(&event["data"]))?;
            Some(inbox.events.remove(at))
        })
    }

    /// The first event of this name so far.
    pub fn event(&self, name: &str) -> Option<Value> {
        self.inbox().events.iter().find(|event| event["event"] == name).cloned()
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut take: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<T, QmpError> {
        let deadline = Instant::now() + timeout;
        let mut inbox = self.inbox();
        loop {
            if let Some(found) = take(&mut inbox) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || inbox.closed {
                let events =
                    inbox.events.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect();
                return Err(QmpError::Timeout { what: what.to_owned(), timeout, events });
            }
            inbox = self.inbox.1.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Sorts QEMU's lines into answers and events until the socket closes.
fn read(stream: UnixStream, inbox: &(Mutex<Inbox>, Condvar)) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let mut inbox_now = inbox.0.lock().unwrap_or_else(PoisonError::into_inner);
        if message.get("event").is_some() {
            inbox_now.events.push(message);
        } else if message.get("QMP").is_none() {
            inbox_now.answers.push(message);
        }
        inbox.1.notify_all();
    }
    inbox.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    inbox.1.notify_all();
}
