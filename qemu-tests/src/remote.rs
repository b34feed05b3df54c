//! A person somewhere else, who comes by SSH: with a password to a terminal, or with a key to run a command.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::console::Console;
use crate::failure::OrFail;
use crate::host;
use crate::timing::Lab;

/// What the client asks of nobody and believes of nobody: the machine was made a minute ago.
const OPTIONS: [&str; 7] =
    ["-F", "/dev/null", "-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
/// A terminal, and one try of one password.
const WITH_PASSWORD: [&str; 5] = ["-tt", "-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"];
/// This key and no other, and no questions.
const WITH_KEY: [&str; 4] = ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"];

/// A session; it ends with this.
#[derive(Debug)]
pub struct Remote {
    console: Console,
    client: Child,
}

impl Remote {
    /// Logs root in at this port of 127.0.0.1. The terminal is a VT100 whose size the client does not say.
    #[track_caller]
    pub fn log_in(lab: &Lab, label: &str, port: u16, password: &str) -> Self {
        Self::try_log_in(lab, label, port, password).or_fail()
    }

    fn try_log_in(lab: &Lab, label: &str, port: u16, password: &str) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        // ssh takes a password from a terminal or from such a program, and from nothing else.
        let (secret, program) = (lab.artifact(&format!("{label}.password")), lab.artifact(&format!("{label}.askpass")));
        write(&secret, 0o600, password)?;
        write(&program, 0o700, &format!("#!/bin/sh\nexec cat '{}'\n", secret.display()))?;
        let client = Command::new("ssh")
            .args(OPTIONS)
            .args(WITH_PASSWORD)
            .args(["-p", &port.to_string(), "root@127.0.0.1"])
            .env("TERM", "vt100")
            .env("SSH_ASKPASS", &program)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::inherit())
            .spawn()?;
        let console = Console::over(label, ours, None, &lab.artifact(label)).map_err(io::Error::other)?;
        Ok(Self { console, client })
    }

    /// What this terminal shows and takes.
    pub fn console(&self) -> &Console {
        &self.console
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    host::create_parent(path).map_err(io::Error::other)?;
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

/// The fingerprint of the host key that a server at this port of 127.0.0.1 shows.
#[track_caller]
pub fn host_key(port: u16) -> String {
    let command = format!("ssh-keyscan -t ed25519 -p {port} 127.0.0.1 2>/dev/null | ssh-keygen -l -f -");
    let output = host::run("sh", &["-c", &command]).or_fail();
    String::from_utf8_lossy(&output).split_whitespace().nth(1).unwrap_or_default().to_owned()
}

/// Makes a key pair; returns the file of the private key, and the public one as a line.
#[track_caller]
pub fn new_key(lab: &Lab) -> (PathBuf, String) {
    let path = lab.work().join("id_ed25519");
    let file = path.to_string_lossy();
    host::run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "technician@example.org", "-f", &file]).or_fail();
    let public = std::fs::read_to_string(path.with_extension("pub")).or_fail();
    (path, public.trim().to_owned())
}

/// Runs a command as root on the machine at this port of 127.0.0.1, and returns what it prints; `input` is its standard input.
#[track_caller]
pub fn run(port: u16, key: &Path, command: &str, input: &str) -> String {
    let output = try_run(port, key, command, input).or_fail();
    assert!(output.status.success(), "{command}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn try_run(port: u16, key: &Path, command: &str, input: &str) -> io::Result<Output> {
    let mut client = Command::new("ssh")
        .args(OPTIONS)
        .args(WITH_KEY)
        .arg("-i")
        .arg(key)
        .args(["-p", &port.to_string(), "root@127.0.0.1", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = client.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    client.wait_with_output()
}
