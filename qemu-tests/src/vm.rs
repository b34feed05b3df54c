//! A machine that is running.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use crate::console::{Console, ConsoleError};
use crate::failure::OrFail;
use crate::host::{self, HostError, Lock};
use crate::line::Line;
use crate::qmp::{Qmp, QmpError};
use crate::timing::Lab;

/// How long QEMU may take to open its sockets.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// How long QEMU may take to end after it was told to.
const QUIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a guest may take to let go of a device.
const UNPLUG_TIMEOUT: Duration = Duration::from_secs(90);

/// What can go wrong with a running machine.
#[derive(Debug, Error)]
pub enum VmError {
    /// On the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// On the control socket.
    #[error("{0}: the control socket failed")]
    Qmp(String, #[source] QmpError),
    /// On the console.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// QEMU ended at once.
    #[error("{label}: QEMU ended at once ({status}):\n{stderr}")]
    Ended {
        /// Which run.
        label: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// QEMU opened no sockets or did not end.
    #[error("{0}: QEMU did not {1} within {2:?}")]
    Stuck(String, &'static str, Duration),
    /// A file of the run.
    #[error("{0}: cannot prepare the run")]
    Prepare(String, #[source] std::io::Error),
}

/// Why a machine went off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// The guest switched it off.
    PowerOff,
    /// The guest asked for a restart; the harness does not restart by itself.
    Reboot,
    /// Anything else, such as a crash of the guest's firmware.
    Other,
}

/// A running machine; dropping it kills it.
#[derive(Debug)]
pub struct Vm {
    lab: Lab,
    label: String,
    child: Child,
    console: Console,
    qmp: Qmp,
    _sockets: tempfile::TempDir,
    _slot: Lock,
}

impl Vm {
    pub(crate) fn start(lab: &Lab, label: &str, arguments: &[String], line: Option<Line>) -> Result<Self, VmError> {
        let slot = host::vm_slot()?;
        let prepare = |source| VmError::Prepare(label.to_owned(), source);
        // Unix sockets have short paths only.
        let sockets = tempfile::Builder::new().prefix("sovereign-vm-").tempdir().map_err(prepare)?;
        let (serial, control) = (sockets.path().join("serial"), sockets.path().join("qmp"));
        let errors = lab.artifact(&format!("{label}.qemu.log"));
        let mut child = Command::new("setpriv")
            // The kernel ends QEMU with the thread that started it, even when the test is killed.
            .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-S", "-name", label])
            .args(arguments)
            .args(["-chardev", &format!("socket,id=serial0,path={},server=on,wait=off", serial.display())])
            .args(["-serial", "chardev:serial0"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", control.display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors).map_err(prepare)?)
            .spawn()
            .map_err(|source| HostError::Start { program: "setpriv".to_owned(), package: "util-linux", source })?;
        // From here on the child must not outlive an error.
        let connected = connect(label, &mut child, (&serial, line), &control, lab, &errors);
        let (console, qmp) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let vm =
            Self { lab: lab.clone(), label: label.to_owned(), child, console, qmp, _sockets: sockets, _slot: slot };
        vm.lab.mark(&format!("{label}: power on"));
        vm.qmp.execute("cont", &json!({})).map_err(|source| VmError::Qmp(label.to_owned(), source))?;
        Ok(vm)
    }

    /// Its serial console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The test's laboratory.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Name of this run among the artifacts.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Runs a command of QEMU's control protocol.
    #[track_caller]
    pub fn qmp(&self, command: &str, arguments: &Value) -> Value {
        self.qmp.execute(command, arguments).or_fail()
    }

    /// Pulls the plug: nothing in the guest is told.
    #[track_caller]
    pub fn power_cut(mut self) {
        self.lab.mark(&format!("{}: power cut", self.label));
        self.qmp.execute("quit", &json!({})).or_fail();
        self.wait_end(QUIT_TIMEOUT).or_fail();
    }

    /// Presses keys on the keyboard at the screen, one after the other, by QEMU's names for the places of keys on a US keyboard.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        for key in keys {
            let keys = [json!({"type": "qcode", "data": key})];
            self.qmp("send-key", &json!({"keys": keys, "hold-time": 50}));
            // Longer than the key is held: the next one must not overtake it.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Types on the keyboard at the screen, a US one.
    #[track_caller]
    pub fn type_at_screen(&self, text: &str) {
        for character in text.chars() {
            let (key, shift) = key_of(character).unwrap_or_else(|| panic!("no key is known for {character:?}"));
            if shift { self.chord(&["shift", key]) } else { self.press(&[key]) }
        }
    }

    /// Presses keys at the same time.
    #[track_caller]
    pub fn chord(&self, keys: &[&str]) {
        let keys: Vec<Value> = keys.iter().map(|key| json!({"type": "qcode", "data": key})).collect();
        self.qmp("send-key", &json!({"keys": keys, "hold-time": 50}));
        std::thread::sleep(Duration::from_millis(200));
    }

    /// Waits until the guest switches the machine off or restarts it.
    #[track_caller]
    pub fn wait_off(mut self, timeout: Duration) -> Off {
        self.console.wait_closed(timeout).or_fail();
        self.wait_end(QUIT_TIMEOUT).or_fail();
        self.lab.mark(&format!("{}: off", self.label));
        let event = self.qmp.event("SHUTDOWN").unwrap_or_default();
        match event["data"]["reason"].as_str() {
            Some("guest-shutdown") => Off::PowerOff,
            Some("guest-reset") => Off::Reboot,
            _ => Off::Other,
        }
    }

    /// Asks the guest to let go of a disk (NVMe and SCSI) and takes it out while the machine runs.
    #[track_caller]
    pub fn unplug(&self, disk: &crate::disk::Disk) {
        let id = disk.device_id();
        self.qmp("device_del", &json!({"id": id}));
        self.qmp.wait_event("DEVICE_DELETED", UNPLUG_TIMEOUT, |data| data["device"] == id).or_fail();
        self.lab.mark(&format!("{}: {} unplugged", self.label, disk.serial()));
    }

    /// Bytes written to each disk since power-on, by node name (serial number).
    #[track_caller]
    pub fn written_bytes(&self) -> Vec<(String, u64)> {
        let stats = self.qmp("query-blockstats", &json!({}));
        let stats = stats.as_array().cloned().unwrap_or_default();
        stats
            .iter()
            .filter_map(|stat| Some((stat["node-name"].as_str()?.to_owned(), stat["stats"]["wr_bytes"].as_u64()?)))
            .collect()
    }

    /// The same of those disks that were written to.
    #[track_caller]
    pub fn disks_written(&self) -> Vec<(String, u64)> {
        self.written_bytes().into_iter().filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// Saves the picture on the screen as an artifact (PNG), and the serial screen as text.
    #[track_caller]
    pub fn screenshot(&self, name: &str) {
        let file = self.lab.artifact(&format!("{}.{name}.png", self.label));
        self.qmp("screendump", &json!({"filename": file, "format": "png"}));
        self.lab.keep(&format!("{}.{name}.txt", self.label), &self.console.screen());
    }

    /// QEMU's state, such as `running`.
    #[track_caller]
    pub fn status(&self) -> String {
        self.qmp("query-status", &json!({}))["status"].as_str().unwrap_or_default().to_owned()
    }

    fn wait_end(&mut self, timeout: Duration) -> Result<(), VmError> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(VmError::Stuck(self.label.clone(), "end", timeout))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::fs::write(self.lab.artifact(&format!("{}.last-screen.txt", self.label)), self.console.shown());
        }
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a character is on a US keyboard, by QEMU's names (qapi/ui.json, `QKeyCode`), and whether with shift.
fn key_of(character: char) -> Option<(&'static str, bool)> {
    const LETTERS: [&str; 26] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v",
        "w", "x", "y", "z",
    ];
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let index = |from: u8| Some(usize::from(u8::try_from(character).ok()?.checked_sub(from)?));
    match character {
        'a'..='z' => Some((LETTERS[index(b'a')?], false)),
        'A'..='Z' => Some((LETTERS[index(b'A')?], true)),
        '0'..='9' => Some((DIGITS[index(b'0')?], false)),
        ' ' => Some(("spc", false)),
        '\n' => Some(("ret", false)),
        '-' => Some(("minus", false)),
        '/' => Some(("slash", false)),
        '.' => Some(("dot", false)),
        ';' => Some(("semicolon", false)),
        '>' => Some(("dot", true)),
        '|' => Some(("backslash", true)),
        _ => None,
    }
}

/// Connects to both sockets as soon as QEMU has opened them.
fn connect(
    label: &str,
    child: &mut Child,
    (serial, line): (&Path, Option<Line>),
    control: &Path,
    lab: &Lab,
    errors: &Path,
) -> Result<(Console, Qmp), VmError> {
    let deadline = Instant::now() + START_TIMEOUT;
    // The monitor is opened after all chardevs. Its socket is there a moment before QEMU listens at it.
    let qmp = loop {
        match Qmp::connect(control) {
            Err(QmpError::Socket { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
            other => break other,
        }
        if let Ok(Some(status)) = child.try_wait() {
            let stderr = std::fs::read_to_string(errors).unwrap_or_default();
            return Err(VmError::Ended { label: label.to_owned(), status: status.to_string(), stderr });
        }
        if Instant::now() > deadline {
            return Err(VmError::Stuck(label.to_owned(), "open its sockets", START_TIMEOUT));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let connected = qmp
        .map_err(|source| VmError::Qmp(label.to_owned(), source))
        .and_then(|qmp| Ok((Console::connect(label, serial, &lab.artifact(label), line).map_err(VmError::from)?, qmp)));
    connected.map_err(|error| {
        // A device that does not fit ends QEMU after the sockets exist: its words matter more than the broken socket.
        std::thread::sleep(Duration::from_millis(200));
        match child.try_wait() {
            Ok(Some(status)) => VmError::Ended {
                label: label.to_owned(),
                status: status.to_string(),
                stderr: std::fs::read_to_string(errors).unwrap_or_default(),
            },
            _ => error,
        }
    })
}
