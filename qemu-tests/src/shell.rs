//! A root shell in the guest, driven over the serial console: run a command, get its output and its exit status.
//!
//! Output travels as base64 with its length, so that kernel messages on the same line are noticed and the transfer is repeated,
//! and width, colour and line ends do not matter. Commands run in a subshell each: `cd` and variables do not last.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thiserror::Error;

use crate::console::{Console, ConsoleError, Found, Pattern, re};
use crate::failure::OrFail;
use crate::vm::Vm;
use crate::words::{LOGIN_PROMPT, PASSWORD_PROMPT};

/// How long a command may take where the test says nothing else: programs start slowly under TCG.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a login is tried: login(1) gives everybody 60 s (`LOGIN_TIMEOUT` in login.defs), which a machine that is still starting can take.
const LOGINS: u32 = 3;
/// How long the shell may take to answer while nothing is run in it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest line sent, in bytes: a terminal in canonical mode takes 4095 (N_TTY_BUF_SIZE).
const LINE_BYTES: usize = 3000;
/// How often a transfer that was garbled is repeated.
const TRANSFERS: usize = 4;
/// When the guest is asked to say again that a command is done; while one runs, the question waits.
const REPEAT_AFTER: Duration = Duration::from_secs(45);
/// The harness's folder in the guest, in memory.
const FOLDER: &str = "/run/harness";

/// Functions of the guest's side. The words that the host waits for are put together by `printf`, so that the echo of a typed
/// line is never taken for them.
const PRELUDE: &[&str] = &[
    "stty -echo -ixon 2>/dev/null; PS1=; PS2=; set +o history; mkdir -p -m 700 /run/harness; dmesg -n 1",
    "hrun() { ( eval \"$2\" ) </dev/null >/run/harness/o 2>/run/harness/e; set -- $1 $?; \
     D=\"DONE-$1 $2 $(echo $(stat -c %s /run/harness/o /run/harness/e))\"; hagain; }",
    "hlive() { ( eval \"$2\" ) </dev/null 2>&1; D=\"DONE-$1 $? 0 0\"; hagain; }",
    // Repeated on request: another program's line may have torn it apart.
    "hagain() { printf '\\n%s-%s\\n' HARNESS \"$D\"; }",
    // A daemon that the command left behind may still write: exactly what was counted is sent.
    "hshow() { printf '\\n%s-%s\\n' HARNESS-BEGIN $1; head -c $3 /run/harness/$2 | base64 -w 76; printf '%s-%s\\n' HARNESS-END $1; }",
];

/// What a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status.
    pub status: i32,
    /// Standard output; for [`Shell::run_live`] everything on the console.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Why a command has no output.
#[derive(Debug, Error)]
pub enum ShellError {
    /// The console failed or nothing came.
    #[error("in the guest's shell, {command}")]
    Console {
        /// The command.
        command: String,
        /// Why not.
        #[source]
        source: ConsoleError,
    },
    /// Output came garbled each time.
    #[error("the output of {command} came garbled {TRANSFERS} times: {expected} bytes expected\n{shown}")]
    Garbled {
        /// The command.
        command: String,
        /// Length of the output, in bytes.
        expected: usize,
        /// Last screen and lines.
        shown: String,
    },
}

/// A root shell on a machine's serial console.
#[derive(Debug)]
pub struct Shell<'vm> {
    vm: &'vm Vm,
    count: Cell<u32>,
}

impl<'vm> Shell<'vm> {
    /// Takes over a root shell whose prompt is on the console.
    #[track_caller]
    pub fn take_over(vm: &'vm Vm) -> Self {
        let console = vm.console();
        console.send_line(
            "exec env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
             PAGER=cat SYSTEMD_PAGER= PS1='HARNESS''-PROMPT ' bash --norc --noprofile --noediting",
        );
        console.wait_for("HARNESS-PROMPT ", ANSWER_TIMEOUT);
        for line in PRELUDE {
            console.send_line(line);
        }
        // On a line of its own, wherever the echo of what was sent ended: it is switched off in the middle of it.
        console.send_line("printf '\\n%s-%s\\n' HARNESS READY");
        console.wait_for(re("^HARNESS-READY$"), ANSWER_TIMEOUT);
        Self { vm, count: Cell::new(0) }
    }

    /// Logs in as root where getty stands or will stand.
    #[track_caller]
    pub fn log_in(vm: &'vm Vm, password: &str, timeout: Duration) -> Self {
        let console = vm.console();
        for _ in 0..LOGINS {
            console.wait_for(LOGIN_PROMPT, timeout);
            console.type_slowly("root");
            console.wait_for(PASSWORD_PROMPT, ANSWER_TIMEOUT);
            console.type_slowly(password);
            let ends = [re(r"root@[^\n]*# "), "Login incorrect".into(), "login: timed out".into()];
            match console.wait_any(&ends, ANSWER_TIMEOUT).which {
                0 => return Self::take_over(vm),
                1 => panic!("root's password was refused\n{}", console.shown()),
                _ => {}
            }
        }
        panic!("nobody was let in, {LOGINS} times\n{}", console.shown());
    }

    /// The machine it runs on.
    pub fn vm(&self) -> &'vm Vm {
        self.vm
    }

    /// Runs a command; whatever its exit status, its output is returned.
    #[track_caller]
    pub fn run(&self, command: &str) -> Output {
        self.run_within(command, COMMAND_TIMEOUT)
    }

    /// Runs a command that may take longer than [`COMMAND_TIMEOUT`].
    #[track_caller]
    pub fn run_within(&self, command: &str, timeout: Duration) -> Output {
        self.try_run("hrun", command, timeout).or_fail()
    }

    /// Runs a command with its output on the console as it comes, where the serial log shows it with its times.
    #[track_caller]
    pub fn run_live(&self, command: &str, timeout: Duration) -> Output {
        self.try_run("hlive", command, timeout).or_fail()
    }

    /// Runs a command that must succeed and returns its standard output.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        self.ok_within(command, COMMAND_TIMEOUT)
    }

    /// Like [`Self::ok`], for a command that may take longer.
    #[track_caller]
    pub fn ok_within(&self, command: &str, timeout: Duration) -> String {
        let output = self.run_within(command, timeout);
        assert_eq!(output.status, 0, "in the guest, {command}\nstdout: {}\nstderr: {}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs a command that must succeed and print JSON.
    #[track_caller]
    pub fn json(&self, command: &str) -> Value {
        let text = self.ok(command);
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("in the guest, {command} printed no JSON ({error}):\n{text}"),
        }
    }

    /// Runs a command again and again until its standard output holds `wanted`.
    #[track_caller]
    pub fn wait_until(&self, command: &str, wanted: impl Into<Pattern>, timeout: Duration) -> String {
        let wanted = wanted.into();
        let deadline = Instant::now() + timeout;
        loop {
            let output = self.run(command);
            if wanted.is_in(&output.stdout) {
                return output.stdout;
            }
            assert!(
                Instant::now() < deadline,
                "in the guest, {command} did not print {wanted} within {timeout:?}; last:\n{}{}",
                output.stdout,
                output.stderr
            );
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    /// Writes a file in the guest.
    #[track_caller]
    pub fn write_file(&self, path: &str, mode: u32, contents: &[u8]) {
        self.ok(&format!("umask 077; : > {path} && chmod {mode:o} {path}"));
        for piece in contents.chunks(LINE_BYTES / 2) {
            self.ok(&format!("printf %s {} | base64 -d >> {path}", STANDARD.encode(piece)));
        }
    }

    /// Copies a file of the guest to the test's artifacts.
    #[track_caller]
    pub fn keep(&self, path: &str, artifact: &str) {
        let text = self.ok(&format!("cat {path}"));
        self.vm.lab().keep(artifact, &text);
    }

    /// Switches the machine off at once, without a service manager.
    pub fn switch_off_now(&self) {
        self.vm.console().send_line("sync; echo 1 > /proc/sys/kernel/sysrq; echo o > /proc/sysrq-trigger");
    }

    fn try_run(&self, function: &str, command: &str, timeout: Duration) -> Result<Output, ShellError> {
        let quoted = quote(command);
        if quoted.len() <= LINE_BYTES {
            return self.call(function, command, &quoted, timeout);
        }
        // Too long for one line: the command goes into a file first.
        let file = format!("{FOLDER}/script");
        self.call("hrun", "(sending)", &quote(&format!(": > {file}")), ANSWER_TIMEOUT)?;
        for piece in command.as_bytes().chunks(LINE_BYTES / 2) {
            let piece = format!("printf %s {} | base64 -d >> {file}", STANDARD.encode(piece));
            self.call("hrun", "(sending)", &quote(&piece), ANSWER_TIMEOUT)?;
        }
        self.call(function, command, &quote(&format!(". {file}")), timeout)
    }

    fn call(&self, function: &str, command: &str, quoted: &str, timeout: Duration) -> Result<Output, ShellError> {
        let started = Instant::now();
        let number = self.next();
        let failed = |source| ShellError::Console { command: command.to_owned(), source };
        let console = self.vm.console();
        console.try_send(&format!("{function} {number} {quoted}\r")).map_err(failed)?;
        let done = self.wait_done(number, timeout).map_err(failed)?;
        let mut numbers = done.text.trim_end().split(' ').skip(1).filter_map(|word| word.parse::<usize>().ok());
        // The pattern above has three numbers.
        let (status, out_bytes, err_bytes) = (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        );
        let mut stdout = self.fetch(console, command, "o", out_bytes)?;
        let stderr = self.fetch(console, command, "e", err_bytes)?;
        if function == "hlive" {
            stdout = done.before;
        }
        let output = Output { status: i32::try_from(status).unwrap_or(i32::MAX), stdout, stderr };
        self.transcribe(command, &output, started.elapsed());
        Ok(output)
    }

    /// Waits until the guest says that a command is done.
    fn wait_done(&self, number: u32, timeout: Duration) -> Result<Found, ConsoleError> {
        let console = self.vm.console();
        // With its line's end: what has come of a number so far is no number.
        let done = re(&format!(r"^HARNESS-DONE-{number} \d+ \d+ \d+\n"));
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match console.try_wait_any(std::slice::from_ref(&done), left.min(REPEAT_AFTER)) {
                Err(ConsoleError::Timeout { .. }) if left > REPEAT_AFTER => console.try_send("hagain\r")?,
                result => return result,
            }
        }
    }

    /// Fetches one of the guest's two output files.
    fn fetch(&self, console: &Console, command: &str, file: &str, bytes: usize) -> Result<String, ShellError> {
        if bytes == 0 {
            return Ok(String::new());
        }
        for _ in 0..TRANSFERS {
            let number = self.next();
            let failed = |source| ShellError::Console { command: command.to_owned(), source };
            console.try_send(&format!("hshow {number} {file} {bytes}\r")).map_err(failed)?;
            // 1 KiB/s is far below what any serial line carries.
            let timeout = ANSWER_TIMEOUT + Duration::from_secs(bytes as u64 / 1024);
            console.try_wait_any(&[re(&format!("^HARNESS-BEGIN-{number}$"))], timeout).map_err(failed)?;
            let end = console.try_wait_any(&[re(&format!("^HARNESS-END-{number}$"))], timeout).map_err(failed)?;
            let encoded: String = end.before.split_whitespace().collect();
            if let Ok(decoded) = STANDARD.decode(encoded)
                && decoded.len() == bytes
            {
                return Ok(String::from_utf8_lossy(&decoded).into_owned());
            }
        }
        Err(ShellError::Garbled { command: command.to_owned(), expected: bytes, shown: console.shown() })
    }

    fn next(&self) -> u32 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// Adds a command and its output to `<run>.shell.log`: the serial log has them encoded.
    fn transcribe(&self, command: &str, output: &Output, took: Duration) {
        let path = self.vm.lab().artifact(&format!("{}.shell.log", self.vm.label()));
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
            // A transcript that cannot be written must not fail a test that passes.
            let _ = writeln!(
                file,
                "# {command}\n{}{}[exit {}, {:.1} s]\n",
                output.stdout,
                output.stderr,
                output.status,
                took.as_secs_f64()
            );
        }
    }
}

/// A string as one ANSI-C quoted word of bash.
fn quote(text: &str) -> String {
    let mut quoted = String::from("$'");
    for byte in text.bytes() {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(quoted, "\\x{byte:02x}")),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_reads_a_quoted_command_back_as_it_was() {
        for text in ["echo 'it''s' \"$HOME\" \\n", "a\nb\tc", "größer %s !x", "x=$(id)"] {
            let script = format!("printf %s {}", quote(text));
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
    }
}
