//! The host: where files are, programs that make and read images, and how many machines may run at a time.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// Machines that run at a time, in all test processes together; `SOVEREIGN_VMS` changes it.
const DEFAULT_VMS: usize = 2;
/// How long a test waits for its turn to run a machine: several scenarios of 10 minutes may be ahead of it.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5400);

/// Ports for [`port`]: below those that Linux gives to outgoing connections (from 32768 on).
const PORTS: std::ops::Range<u16> = 20_000..21_000;

/// What can go wrong on the host.
#[derive(Debug, Error)]
pub enum HostError {
    /// A program could not be started.
    #[error("cannot start {program}: install the package that has it ({package})")]
    Start {
        /// Name of the program.
        program: String,
        /// Debian package that carries it.
        package: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{command} failed ({status}):\n{stderr}")]
    Failed {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// A file could not be used.
    #[error("cannot {action} {path}")]
    File {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no ISO to test.
    #[error("no ISO to test: set SOVEREIGN_ISO, or run scripts/build-iso, which leaves one in {0}")]
    NoIso(PathBuf),
    /// Somebody else has all the ports.
    #[error("all TCP ports of 127.0.0.1 from {} to {} are taken", PORTS.start, PORTS.end - 1)]
    NoPort,
    /// Only one machine may run.
    #[error("this test needs two machines at a time: set SOVEREIGN_VMS to 2 or more")]
    OneMachine,
    /// Other machines never ended.
    #[error("waited {0:?} for one of {1} running machines to end (locks in {2})")]
    NoSlot(Duration, usize, PathBuf),
}

impl HostError {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}

/// Debian package of each program the harness calls.
fn package(program: &str) -> &'static str {
    match program {
        "qemu-system-x86_64" => "qemu-system-x86",
        "qemu-img" => "qemu-utils",
        "mcopy" | "mdir" | "mtype" => "mtools",
        "/sbin/mkfs.vfat" => "dosfstools",
        "xorriso" => "xorriso",
        "setpriv" => "util-linux",
        "grep" => "grep",
        _ => "coreutils",
    }
}

/// Runs a program to its end and returns its standard output; a code other than 0 is an error with what it said.
pub fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<Vec<u8>, HostError> {
    let (output, command) = output(program, args)?;
    if !output.status.success() {
        return Err(HostError::Failed {
            command,
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(output.stdout)
}

/// Runs a program to its end, whatever its exit code.
pub fn output<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<(std::process::Output, String), HostError> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).env("LC_ALL", "C");
    let shown = format!("{command:?}");
    let output = command.output().map_err(|source| HostError::Start {
        program: program.to_owned(),
        package: package(program),
        source,
    })?;
    Ok((output, shown))
}

/// SHA-256 of a file's bytes, in hexadecimal; holes count as zeroes.
pub fn sha256(path: &Path) -> Result<String, HostError> {
    let stdout = run("sha256sum", &[OsStr::new("--"), path.as_os_str()])?;
    let text = String::from_utf8_lossy(&stdout);
    // A name with a backslash or a newline makes sha256sum put a backslash before the hash.
    Ok(text.trim_start_matches('\\').chars().take_while(char::is_ascii_hexdigit).collect())
}

/// Top of the source tree.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where build products and artifacts go.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Where tests leave their artifacts: `target/e2e`.
pub fn artifacts_dir() -> PathBuf {
    target_dir().join("e2e")
}

/// A site file of the tests, `qemu-tests/sites/<name>.toml`.
pub fn site(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sites").join(format!("{name}.toml"))
}

/// The ISO under test: `SOVEREIGN_ISO`, else the newest `target/*.iso`.
pub fn iso() -> Result<PathBuf, HostError> {
    if let Some(path) = std::env::var_os("SOVEREIGN_ISO") {
        let path = PathBuf::from(path);
        File::open(&path).map_err(|source| HostError::file("open the ISO (SOVEREIGN_ISO)", &path, source))?;
        return Ok(path);
    }
    newest_iso(&target_dir())
}

fn newest_iso(folder: &Path) -> Result<PathBuf, HostError> {
    let newest = std::fs::read_dir(folder)
        .into_iter()
        .flat_map(|entries| entries.filter_map(Result::ok))
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"sovereign-")))
        .filter(|path| path.extension().is_some_and(|ext| ext == "iso"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    newest.map(|(_, path)| path).ok_or_else(|| HostError::NoIso(folder.to_owned()))
}

/// The ISO of the fixture edition, which stands for the Proxmox edition: `SOVEREIGN_FIXTURE_ISO`, else the newest `target/fixture/*.iso`.
pub fn fixture_iso() -> Result<PathBuf, HostError> {
    match std::env::var_os("SOVEREIGN_FIXTURE_ISO") {
        Some(path) => Ok(PathBuf::from(path)),
        None => newest_iso(&target_dir().join("fixture")),
    }
}

/// A file that stays locked until this is dropped, also against other processes.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file ends the lock")] File);

fn lock_file(path: &Path) -> Result<File, HostError> {
    create_parent(path)?;
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| HostError::file("open the lock", path, source))
}

/// Creates the folders above a file.
pub fn create_parent(path: &Path) -> Result<(), HostError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(|source| HostError::file("create the folder", parent, source))
}

/// Waits until no other process holds `path`.
pub fn lock(path: &Path) -> Result<Lock, HostError> {
    let file = lock_file(path)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|errno| HostError::file("lock", path, errno.into()))?;
    Ok(Lock(file))
}

/// A TCP port of 127.0.0.1 that nobody listens on, and that no other machine of the tests is given while the lock lives.
pub fn port() -> Result<(u16, Lock), HostError> {
    let folder = artifacts_dir().join("locks");
    for port in PORTS {
        let file = lock_file(&folder.join(format!("port-{port}")))?;
        let ours = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if ours && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok((port, Lock(file)));
        }
    }
    Err(HostError::NoPort)
}

/// The image builder that `scripts/build-iso` made beside the ISO.
pub fn image_builder() -> PathBuf {
    target_dir().join("release/sovereign-image")
}

/// How many machines may run at a time.
fn vms() -> usize {
    std::env::var("SOVEREIGN_VMS").ok().and_then(|n| n.parse().ok()).unwrap_or(DEFAULT_VMS).max(1)
}

/// Waits for the right to run two machines at a time: of two such tests with one machine each, neither would get its second.
pub fn vm_pair() -> Result<Lock, HostError> {
    match vms() {
        1 => Err(HostError::OneMachine),
        _ => lock(&artifacts_dir().join("locks/vm-pair")),
    }
}

/// Waits for the right to run one machine: a lock on one of `SOVEREIGN_VMS` files under `target/e2e/locks`.
pub fn vm_slot() -> Result<Lock, HostError> {
    let (count, folder) = (vms(), artifacts_dir().join("locks"));
    let started = Instant::now();
    loop {
        for n in 0..count {
            let file = lock_file(&folder.join(format!("vm-{n}")))?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Lock(file));
            }
        }
        if started.elapsed() > SLOT_TIMEOUT {
            return Err(HostError::NoSlot(SLOT_TIMEOUT, count, folder));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
