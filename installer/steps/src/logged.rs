//! A runner that tells the log of every program it starts: the command, how it ended, how long it took.

use std::sync::Arc;
use std::time::Instant;

use sovereign_engine::Sink;
use sovereign_model::event::Event;
use sovereign_system::runner::{Cmd, Output, RunError, Runner};

/// See the module.
pub struct Logged {
    inner: Arc<dyn Runner>,
    sink: Sink,
}

impl Logged {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Runner>, sink: Sink) -> Self {
        Self { inner, sink }
    }
}

impl Runner for Logged {
    fn status(&self, cmd: &Cmd, on_stdout: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
        let clock = Instant::now();
        let result = self.inner.status(cmd, on_stdout);
        let line = cmd.line();
        let seconds = clock.elapsed().as_secs_f64();
        let how = match &result {
            Ok(output) if output.code == 0 => format!("+ {line}  ({seconds:.1} s)"),
            Ok(output) => format!("+ {line}  (exit code {}, {seconds:.1} s)", output.code),
            Err(_) => format!("+ {line}  (did not run to its end, {seconds:.1} s)"),
        };
        (self.sink)(&Event::Log { line: how });
        let lines = |name: &str, text: &str| {
            for line in cmd.without_secret(text).split(['\n', '\r']).map(str::trim_end).filter(|l| !l.is_empty()) {
                (self.sink)(&Event::Log { line: format!("  {name}{line}") });
            }
        };
        match &result {
            Ok(output) if output.code == 0 => lines("", &output.stderr),
            // Of a program that failed, all of it: who looks for the cause has nothing else.
            Ok(Output { stdout, stderr, .. })
            | Err(
                RunError::Failed { stdout, stderr, .. }
                | RunError::Timeout { stdout, stderr, .. }
                | RunError::Stuck { stdout, stderr, .. },
            ) => {
                lines("", stderr);
                lines("stdout: ", stdout);
            }
            Err(RunError::Start { .. } | RunError::Pipe { .. } | RunError::Unexpected { .. }) => {}
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use sovereign_system::runner::Host;

    /// The log of one command, without the line with its time.
    fn log_of(cmd: &Cmd) -> Vec<String> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink: Sink = {
            let log = log.clone();
            Arc::new(move |event| {
                if let Event::Log { line } = event {
                    log.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
                }
            })
        };
        let _ = Logged::new(Arc::new(Host), sink).run(cmd);
        let lines = log.lock().unwrap();
        assert!(lines[0].starts_with("+ "), "{lines:?}");
        lines[1..].to_vec()
    }

    #[test]
    fn everything_that_a_failed_program_printed_is_in_the_log() {
        let script = |script: &str| Cmd::new("sh", ["-c", script]);
        assert_eq!(log_of(&script("echo out; echo err >&2; exit 1")), ["  err", "  stdout: out"]);
        assert_eq!(log_of(&script("seq 500; exit 1")).len(), 500);
        let hangs = script("echo out; echo err >&2; sleep 60").timeout(Duration::from_millis(500));
        assert_eq!(log_of(&hangs), ["  err", "  stdout: out"]);
        assert_eq!(log_of(&script("echo out; echo err >&2")), ["  err"]);
    }

    #[test]
    fn a_secret_that_a_program_repeats_is_not_in_the_log() {
        let cmd = Cmd::new("sh", ["-c", "tee /dev/stderr; exit 1"]).secret(b"tell nobody");
        assert_eq!(log_of(&cmd), ["  ***", "  stdout: ***"]);
    }
}
