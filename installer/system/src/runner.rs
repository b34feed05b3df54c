//! Starting programs: every one goes through one [`Runner`], with its whole argv visible to tests, secrets on standard input only.

use std::fmt;
use std::io::{PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// How long a program may run unless its command says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a program that was killed may take to end: one that waits in the kernel for a dead disk never does.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
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

    /// What it printed, without the secret it was given, should a program repeat that.
    pub fn without_secret(&self, output: &str) -> String {
        let Input::Secret(bytes) = &self.input else { return output.to_owned() };
        let secret = Zeroizing::new(String::from_utf8_lossy(bytes.trim_ascii()).into_owned());
        if secret.is_empty() { output.to_owned() } else { output.replace(secret.as_str(), "***") }
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
    /// It did not end in time, and killing it did not help.
    #[error(
        "`{line}` did not end within {} s and cannot be ended: it waits in the kernel (state D) for a device that does not answer. \
         Which one is not known: look at `dmesg`, replace the device or its cable, and switch the machine off and on{}",
        timeout.as_secs(), tail(stdout, stderr)
    )]
    Stuck {
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

/// Most lines of each of its outputs that an error shows; a log has all.
const SHOWN: usize = 12;

/// What a program printed, shortly: the end of each output that has something.
fn tail(stdout: &str, stderr: &str) -> String {
    let mut text = String::new();
    for (name, output) in [("standard error", stderr), ("standard output", stdout)] {
        let lines: Vec<&str> = output.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            continue;
        }
        let hidden = lines.len().saturating_sub(SHOWN);
        text.push_str("\n    ");
        if !stdout.trim().is_empty() && !stderr.trim().is_empty() {
            text.push_str(&format!("{name}:\n    "));
        }
        if hidden > 0 {
            text.push_str(&format!("({hidden} more lines before these, which an installation's log has)\n    "));
        }
        text.push_str(&lines[hidden..].join("\n    "));
    }
    if text.is_empty() { " and printed nothing".to_owned() } else { format!(":{text}") }
}

/// Something that starts programs. Tests put a recorder in its place.
pub trait Runner: Send + Sync {
    /// Runs a program to its end. An exit code other than 0 is not an error here.
    ///
    /// # Errors
    /// [`RunError::Start`], [`RunError::Pipe`], [`RunError::Timeout`] and [`RunError::Stuck`].
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
        let (stdout, stderr) = (cmd.without_secret(&output.stdout), cmd.without_secret(&output.stderr));
        Err(RunError::Failed { line: cmd.line(), code: output.code, stdout, stderr })
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
        // Dropped when this returns: a reader then stops, even where a program that cannot be ended keeps its pipes open.
        let (stopped, _stop) = std::io::pipe().map_err(pipe)?;
        let stopped = Arc::new(stopped);
        forward(child.stdout.take(), Arc::clone(&stopped), sender.clone(), Piece::Stdout);
        forward(child.stderr.take(), stopped, sender, Piece::Stderr);
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
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(kill(child, cmd, line, &output)),
            }
        }
        // Both pipes are closed; the program may still be about to end.
        loop {
            match child.try_wait().map_err(pipe)? {
                Some(status) => {
                    output.code = code(status);
                    return Ok(output);
                }
                None if Instant::now() >= deadline => return Err(kill(child, cmd, line, &output)),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// Ends a program with everything it has started.
fn kill(mut child: Child, cmd: &Cmd, line: String, output: &Output) -> RunError {
    // It may have ended in this very moment: nothing to do about the failure.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let (timeout, stdout, stderr) =
        (cmd.timeout, cmd.without_secret(&output.stdout), cmd.without_secret(&output.stderr));
    if has_ended(&mut || child.try_wait().map(|status| status.is_some()), KILL_PATIENCE) {
        RunError::Timeout { line, timeout, stdout, stderr }
    } else {
        RunError::Stuck { line, timeout, stdout, stderr }
    }
}

/// Whether a program ends within `patience`; one that nothing is known of has.
fn has_ended(ended: &mut dyn FnMut() -> std::io::Result<bool>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if ended().unwrap_or(true) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
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

/// Sends what a pipe yields, a line at a time; a carriage return ends a line too (progress displays). It ends with the pipe, or when
/// the other end of `stopped` is closed.
fn forward(
    pipe: Option<impl Read + AsFd + Send + 'static>,
    stopped: Arc<PipeReader>,
    sender: mpsc::Sender<Piece>,
    wrap: fn(String) -> Piece,
) -> Option<thread::JoinHandle<()>> {
    let mut pipe = pipe?;
    Some(thread::spawn(move || {
        let mut buffer = vec![0; 8192];
        let mut line = Vec::new();
        let send = |line: &mut Vec<u8>| {
            let text = String::from_utf8_lossy(line).into_owned();
            line.clear();
            text.is_empty() || sender.send(wrap(text)).is_ok()
        };
        while is_readable(&pipe, &stopped) {
            match pipe.read(&mut buffer) {
                Ok(read @ 1..) => {
                    for byte in &buffer[..read] {
                        line.push(*byte);
                        if matches!(byte, b'\n' | b'\r') && !send(&mut line) {
                            return;
                        }
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        // Nobody may listen any more.
        let _ = send(&mut line);
    }))
}

/// Waits for something to read, or the end of it; `false` where `stopped` came first.
fn is_readable(pipe: &impl AsFd, stopped: &PipeReader) -> bool {
    loop {
        let mut fds = [PollFd::new(pipe, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return !fds[0].revents().is_empty(),
        }
    }
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
    fn both_outputs_are_shown_and_what_is_left_out_is_counted() {
        let error = Host.run(&Cmd::new("sh", ["-c", "seq 14; echo bad >&2; exit 1"])).unwrap_err().to_string();
        let (_, shown) = error.split_once("exit code 1").unwrap();
        let wanted = ":\n    standard error:\n    bad\n    standard output:\n    (2 more lines before these, which an installation's \
                      log has)\n    3\n    4\n    5\n    6\n    7\n    8\n    9\n    10\n    11\n    12\n    13\n    14";
        assert_eq!(shown, wanted);
        let error = Host.run(&Cmd::new("sh", ["-c", "echo only; exit 1"])).unwrap_err().to_string();
        assert!(error.ends_with("exit code 1:\n    only"), "{error}");
    }

    #[test]
    fn a_secret_that_a_program_repeats_is_in_no_error() {
        let cmd = Cmd::new("sh", ["-c", "tee /dev/stderr; exit 1"]).secret(b"tell nobody\n");
        let Err(RunError::Failed { stdout, stderr, .. }) = Host.run(&cmd) else { panic!("it succeeded") };
        assert_eq!((stdout.as_str(), stderr.as_str()), ("***\n", "***\n"));
        let cmd = Cmd::new("sh", ["-c", "cat; sleep 60"]).secret(b"tell nobody").timeout(Duration::from_millis(300));
        let error = Host.run(&cmd).unwrap_err();
        assert!(matches!(&error, RunError::Timeout { .. }) && !format!("{error:?}").contains("tell"), "{error}");
    }

    #[test]
    fn a_program_that_cannot_be_ended_is_not_waited_for() {
        assert!(!has_ended(&mut || Ok(false), Duration::from_millis(30)));
        let mut asked = 0;
        assert!(has_ended(&mut || Ok(std::mem::replace(&mut asked, 1) == 1), Duration::from_secs(60)));
        let (line, timeout) = ("mdadm --stop /dev/md0".to_owned(), Duration::from_secs(120));
        let error = RunError::Stuck { line, timeout, stdout: String::new(), stderr: String::new() }.to_string();
        assert!(error.contains("state D") && error.contains("Which one is not known"), "{error}");
    }

    #[test]
    fn a_reader_stops_though_its_pipe_stays_open() {
        let ((pipe, _held), (stopped, stop)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let (sender, pieces) = mpsc::channel();
        let reader = forward(Some(pipe), Arc::new(stopped), sender, Piece::Stdout).unwrap();
        assert!(pieces.recv_timeout(Duration::from_millis(50)).is_err());
        assert!(!reader.is_finished());
        drop(stop);
        reader.join().unwrap();
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
