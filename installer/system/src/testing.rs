//! A runner for tests: starts nothing, records whole argument vectors, answers from a script.

use std::sync::{Mutex, PoisonError};

use crate::runner::{Cmd, Input, Output, RunError, Runner};

/// See the module. Commands without a scripted answer succeed and print nothing.
#[derive(Debug, Default)]
pub struct Recorder {
    answers: Vec<(String, Output)>,
    seen: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Recorder {
    /// A recorder that answers everything with success and no output.
    pub fn new() -> Self {
        Self::default()
    }

    /// Commands whose line starts with `prefix` print `stdout`.
    #[must_use]
    pub fn prints(mut self, prefix: &str, stdout: &str) -> Self {
        self.answers.push((prefix.to_owned(), Output { stdout: stdout.to_owned(), ..Output::default() }));
        self
    }

    /// Commands whose line starts with `prefix` end with `code` and complain `stderr`.
    #[must_use]
    pub fn fails(mut self, prefix: &str, code: i32, stderr: &str) -> Self {
        let output = Output { code, stderr: stderr.to_owned(), ..Output::default() };
        self.answers.push((prefix.to_owned(), output));
        self
    }

    /// The command lines so far, in order.
    pub fn lines(&self) -> Vec<String> {
        self.lock().iter().map(|(line, _)| line.clone()).collect()
    }

    /// What the first command whose line starts with `prefix` got on its standard input.
    pub fn input_of(&self, prefix: &str) -> Option<Vec<u8>> {
        self.lock().iter().find(|(line, _)| line.starts_with(prefix)).map(|(_, input)| input.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Vec<u8>)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner for Recorder {
    fn status(&self, cmd: &Cmd, on_stdout: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
        let line = cmd.line();
        let input = match &cmd.input {
            Input::Nothing => Vec::new(),
            Input::Secret(bytes) => bytes.to_vec(),
        };
        self.lock().push((line.clone(), input));
        let output = self.answers.iter().find(|(p, _)| line.starts_with(p.as_str())).map(|(_, o)| o.clone());
        let output = output.unwrap_or_default();
        output.stdout.split_inclusive(['\n', '\r']).for_each(on_stdout);
        Ok(output)
    }
}
