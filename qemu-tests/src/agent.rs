//! What a node asks the agent in a guest: JSON lines over a port of the guest's (QEMU Guest Agent Protocol Reference).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::vm::Vm;

/// How long one answer may take before the question is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks until the agent answers, and gives what it returns.
#[track_caller]
pub fn ask(vm: &Vm, socket: &Path, command: &str, timeout: Duration) -> Value {
    let deadline = Instant::now() + timeout;
    loop {
        match asked(socket, command) {
            Ok(value) => return value,
            Err(error) => assert!(
                Instant::now() < deadline,
                "the agent does not answer {command} within {timeout:?}: {error}\n{}",
                vm.console().shown()
            ),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn asked(socket: &Path, command: &str) -> std::io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    writeln!(stream, "{}", json!({ "execute": command }))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).map_err(std::io::Error::other)?;
    answer.get("return").cloned().ok_or_else(|| std::io::Error::other(format!("it says {answer}")))
}
