//! Starting programs: every one goes through one [`Runner`], with its whole argv visible to tests, secrets on standard input only.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// How long a program may run unless its command says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// Most bytes of a program's output that are kept.
const KEEP: usize = 256 * 1024;

/// What a program reads on its standard input.
#[derive(Default)]
pub enum Input {
    /// End of file at once.
    #[default]
    Nothing,
    /// A secret: never shown, overwritten when dropped.
    Secret(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Secret(_) => f.write_str("Secret(***)"),
        }
    }
}

/// A program to start.
#[derive(Debug)]
pub struct Cmd {
    /// Name, looked up in PATH.
    pub program: String,
    /// Arguments. Never a secret.
    pub args: Vec<String>,
    /// Standard input.
    pub input: Input,
    /// After this it is killed and the call fails.
    pub timeout: Duration,
}

impl Cmd {
    /// A program with its arguments, no input, and the default timeout.
    pub fn new<S: Into<String>>(program: &str, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            program: program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            input: Input::Nothing,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// With a secret on standard input.
    #[must_use]
    pub fn secret(mut self, secret: &[u8]) -> Self {
        self.input = Input::Secret(Zeroizing::new(secret.to_vec()));
        self
    }

    /// With another timeout.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The command as a person would type it.
    pub fn line(&self) -> String {
        let mut out = self.program.clone();
        for arg in &self.args {
            out.push(' ');
            if !arg.is_empty() && arg.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&b)) {
                out.push_str(arg);
            } else {
                out.push('\'');
                out.push_str(&arg.replace('\'', "'\\''"));
                out.push('\'');
            }
        }
        out
    }
}

/// What a program that was run to its end left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit code; 128 + n for a program that signal n ended.
    pub code: i32,
    /// Standard output, the last 256 KiB.
    pub stdout: String,
    /// Standard error, the last 256 KiB.
    pub stderr: String,
}

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error("cannot start `{line}`; is the program installed?")]
    Start {
        /// The command.
        line: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Reading from or writing to it failed.
    #[error("cannot exchange data with `{line}`")]
    Pipe {
        /// The command.
        line: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It ended with another code than 0.
    #[error("`{line}` ended with exit code {code}{}", tail(stdout, stderr))]
    Failed {
        /// The command.
        line: String,
        /// Its exit code.
        code: i32,
        /// What it printed.
        stdout: String,
        /// What it complained.
        stderr: String,
    },
    /// It did not end in time and was killed.
    #[error("`{line}` did not end within {} s and was killed{}", timeout.as_secs(), tail(stdout, stderr))]
    Timeout {
        /// The command.
        line: String,
        /// How long it had.
        timeout: Duration,
        /// What it printed.
        stdout: String,
        /// What it complained.
        stderr: String,
    },
    /// It printed something that does not parse.
    #[error("cannot understand what `{line}` printed: {reason}")]
    Unexpected {
        /// The command.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn tail(stdout: &str, stderr: &str) -> String {
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    if lines.is_empty() {
        return " and printed nothing".to_owned();
    }
    format!(":\n    {}", lines[lines.len().saturating_sub(12)..].join("\n    "))
}

/// Something that starts programs. Tests put a recorder in its place.
pub trait Runner: Send + Sync {
    /// Runs a program to its end. An exit code other than 0 is not an error here.
    ///
    /// # Errors
    /// [`RunError::Start`], [`RunError::Pipe`] and [`RunError::Timeout`].
    fn status(&self, cmd: &Cmd, on_stdout: &mut dyn FnMut(&str)) -> Result<Output, RunError>;

    /// Runs a program and insists on exit code 0.
    ///
    /// # Errors
    /// As [`Runner::status`], and [`RunError::Failed`].
    fn run(&self, cmd: &Cmd) -> Result<Output, RunError> {
        let output = self.status(cmd, &mut |_| {})?;
        if output.code == 0 {
            return Ok(output);
        }
        Err(RunError::Failed { line: cmd.line(), code: output.code, stdout: output.stdout, stderr: output.stderr })
    }
}

/// The machine itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

enum Piece {
    Stdout(String),
    Stderr(String),
}

impl Runner for Host {
    fn status(&self, cmd: &Cmd, on_stdout: &mut dyn FnMut(&str)) -> Result<Output, RunError> {
        let line = cmd.line();
        let pipe = |source| RunError::Pipe { line: line.clone(), source };
        let mut child = Command::new(&cmd.program)
            .args(&cmd.args)
            .env("LC_ALL", "C.UTF-8")
            .stdin(if matches!(cmd.input, Input::Nothing) { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the installer: it decides whether there is still something to cancel.
            .process_group(0)
            .spawn()
            .map_err(|source| RunError::Start { line: line.clone(), source })?;
        let (sender, pieces) = mpsc::channel();
        forward(child.stdout.take(), sender.clone(), Piece::Stdout);
        forward(child.stderr.take(), sender, Piece::Stderr);
        if let Some(mut stdin) = child.stdin.take() {
            let bytes: &[u8] = match &cmd.input {
                Input::Nothing => &[],
                Input::Secret(bytes) => bytes,
            };
            // A program that does not read its input to the end says why by its exit code.
            match stdin.write_all(bytes) {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(pipe(error)),
                _ => {}
            }
        }
        let deadline = Instant::now() + cmd.timeout;
        let mut output = Output::default();
        loop {
            match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Piece::Stdout(text)) => {
                    on_stdout(&text);
                    keep(&mut output.stdout, &text);
                }
                Ok(Piece::Stderr(text)) => keep(&mut output.stderr, &text),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(kill(child, cmd, line, output)),
            }
        }
        // Both pipes are closed; the program may still be about to end.
        loop {
            match child.try_wait().map_err(pipe)? {
                Some(status) => {
                    output.code = code(status);
                    return Ok(output);
                }
                None if Instant::now() >= deadline => return Err(kill(child, cmd, line, output)),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// Ends a program with everything it has started.
fn kill(mut child: Child, cmd: &Cmd, line: String, output: Output) -> RunError {
    // It may have ended in this very moment: nothing to do about either failure.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let _ = child.wait();
    RunError::Timeout { line, timeout: cmd.timeout, stdout: output.stdout, stderr: output.stderr }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(-1)
}

fn keep(text: &mut String, more: &str) {
    text.push_str(more);
    if text.len() > 2 * KEEP {
        let mut cut = text.len() - KEEP;
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        text.drain(..cut);
    }
}

/// Sends what a pipe yields, a line at a time; a carriage return ends a line too (progress displays).
fn forward(pipe: Option<impl Read + Send + 'static>, sender: mpsc::Sender<Piece>, wrap: fn(String) -> Piece) {
    let Some(pipe) = pipe else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        loop {
            let (used, whole, ended) = match reader.fill_buf() {
                Ok([]) => (0, true, true),
                Ok(buffer) => {
                    let end = buffer.iter().position(|b| matches!(b, b'\n' | b'\r'));
                    let used = end.map_or(buffer.len(), |at| at + 1);
                    line.extend_from_slice(&buffer[..used]);
                    (used, end.is_some(), false)
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => (0, true, true),
            };
            reader.consume(used);
            if whole && !line.is_empty() {
                let text = String::from_utf8_lossy(&line).into_owned();
                line.clear();
                if sender.send(wrap(text)).is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_codes_and_input_pass_through() {
        let out = Host.run(&Cmd::new("printf", ["one\\ntwo"])).unwrap();
        assert_eq!(out.stdout, "one\ntwo");
        let error = Host.run(&Cmd::new("sh", ["-c", "echo bad >&2; exit 7"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'echo bad >&2; exit 7'` ended with exit code 7:\n    bad");
        assert!(matches!(Host.run(&Cmd::new("no-such-program", [""; 0])), Err(RunError::Start { .. })));
        assert_eq!(Host.status(&Cmd::new("sh", ["-c", "kill -9 $$"]), &mut |_| {}).unwrap().code, 137);
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let started = Instant::now();
        let cmd = Cmd::new("sh", ["-c", "echo here; exec sleep 60"]).timeout(Duration::from_millis(300));
        let error = Host.run(&cmd).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(error.to_string().contains("here"), "{error}");
    }

    #[test]
    fn what_a_program_started_ends_with_it() {
        let cmd = Cmd::new("sh", ["-c", "sleep 60 & echo $!; wait"]).timeout(Duration::from_millis(300));
        let Err(RunError::Timeout { stdout, .. }) = Host.run(&cmd) else { panic!("it did not hang") };
        let stat = format!("/proc/{}/stat", stdout.trim());
        // Nobody may be there to reap it.
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z "));
        let deadline = Instant::now() + Duration::from_secs(10);
        while runs() {
            assert!(Instant::now() < deadline, "it still runs");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_program_is_out_of_reach_of_the_terminals_keys() {
        // proc_pid_stat(5): the first field is the process, the fifth its group.
        let stat = Host.run(&Cmd::new("cat", ["/proc/self/stat"])).unwrap().stdout;
        let fields: Vec<&str> = stat.split(' ').collect();
        assert_eq!(fields[0], fields[4]);
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let cmd = Cmd::new("cat", [""; 0]).secret(b"tell nobody");
        assert!(!format!("{cmd:?}").contains("tell"));
        assert_eq!(Host.run(&cmd).unwrap().stdout, "tell nobody");
    }

    #[test]
    fn progress_with_carriage_returns_arrives_piece_by_piece() {
        let mut pieces = Vec::new();
        Host.status(&Cmd::new("printf", ["1%%\\r2%%\\r3%%\\n"]), &mut |p| pieces.push(p.to_owned())).unwrap();
        assert_eq!(pieces, ["1%\r", "2%\r", "3%\n"]);
    }
}
