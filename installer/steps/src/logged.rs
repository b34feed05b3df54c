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
        if let Ok(output) = &result {
            for line in output.stderr.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
                (self.sink)(&Event::Log { line: format!("  {line}") });
            }
        }
        result
    }
}
