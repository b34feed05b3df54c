//! A person at a terminal somewhere else, who comes by SSH with a password.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::console::Console;
use crate::failure::OrFail;
use crate::host;
use crate::timing::Lab;

/// What the client asks of nobody and believes of nobody: the machine was made a minute ago.
const OPTIONS: [&str; 14] = [
    "-F",
    "/dev/null",
    "-tt",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "PreferredAuthentications=password",
    "-o",
    "NumberOfPasswordPrompts=1",
    "-o",
    "LogLevel=ERROR",
    "-q",
];

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

fn write(path: &PathBuf, mode: u32, text: &str) -> io::Result<()> {
    host::create_parent(path).map_err(io::Error::other)?;
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// The fingerprint of the host key that a server at this port of 127.0.0.1 shows.
#[track_caller]
pub fn host_key(port: u16) -> String {
    let command = format!("ssh-keyscan -t ed25519 -p {port} 127.0.0.1 2>/dev/null | ssh-keygen -l -f -");
    let output = host::run("sh", &["-c", &command]).or_fail();
    String::from_utf8_lossy(&output).split_whitespace().nth(1).unwrap_or_default().to_owned()
}
