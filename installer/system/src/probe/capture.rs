//! Taking captures: which files are read and which programs are run. Nothing here writes to a device, and nothing secret is kept.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::captures::Captures;
use super::lsblk::{self, Node};
use crate::runner::{Cmd, Runner};

pub(super) const LSBLK: &str = "lsblk.json";
pub(super) const CPUINFO: &str = "proc/cpuinfo";
pub(super) const MEMINFO: &str = "proc/meminfo";
pub(super) const MOUNTS: &str = "proc/mounts";
pub(super) const SWAPS: &str = "proc/swaps";
pub(super) const UNAME: &str = "uname.txt";
pub(super) const TPM_VERSION: &str = "sys/class/tpm/tpm0/tpm_version_major";
pub(super) const NET: &str = "sys/class/net/";
pub(super) const EFI: &str = "sys/firmware/efi/";
/// The `SecureBoot` variable (GUID: EFI_GLOBAL_VARIABLE of the UEFI specification), as hexadecimal text.
pub(super) const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c.hex";
/// Kernel name of the device with the installation medium, written by the live system's initrd.
pub(super) const MEDIUM_DEV: &str = "run/sovereign/medium.dev";
/// Where each block device hangs: lines `NAME PATH`, the target of its link in /sys/block.
pub(super) const BLOCK_PATHS: &str = "sys/block.txt";

/// Files that are taken as they are.
const FILES: [&str; 10] = [
    CPUINFO,
    MEMINFO,
    MOUNTS,
    SWAPS,
    "proc/mdstat",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    "sys/firmware/efi/fw_platform_size",
    TPM_VERSION,
    MEDIUM_DEV,
];
/// Columns of lsblk: those of util-linux 2.37 and later.
const COLUMNS: &str = "NAME,KNAME,PATH,TYPE,SIZE,MODEL,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN,ROTA,RM,RO,HOTPLUG,FSTYPE,LABEL,\
                       PARTUUID,PKNAME,MOUNTPOINTS";
/// Programs whose version is kept with what they printed.
const VERSIONED: [&str; 3] = ["lsblk", "wipefs", "udevadm"];
/// How long one program may take. A disk that does not answer costs this much and no more.
const TOOL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long udev may take to find out the serial numbers of disks that have just appeared.
const SETTLE_SECONDS: &str = "--timeout=20";
/// Most bytes of a file; /proc/cpuinfo has about 1.5 KiB a logical CPU.
const MAX_BYTES: u64 = 4 << 20;

/// The name of the capture with the signatures on a disk or partition.
pub(super) fn wipefs_name(kname: &str) -> String {
    format!("wipefs/{kname}.json")
}

/// The name of the capture with udev's properties of a disk.
pub(super) fn udev_name(kname: &str) -> String {
    format!("udevadm/{kname}.txt")
}

/// Takes captures from the machine whose root directory is `root` (`/`; a test's folder otherwise). Never fails: what cannot be
/// had is left out, with a remark.
pub fn capture(runner: &dyn Runner, root: &Path) -> Captures {
    let mut taker = Taker { runner, root, captures: Captures::default() };
    for name in FILES {
        taker.file(name);
    }
    taker.cmdline();
    taker.secure_boot();
    taker.nics();
    taker.block_paths();
    taker.tool(Some(UNAME), &Cmd::new("uname", ["-srvm"]));
    taker.versions();
    taker.tool(None, &Cmd::new("udevadm", ["settle", SETTLE_SECONDS]));
    taker.disks();
    taker.captures
}

struct Taker<'a> {
    runner: &'a dyn Runner,
    root: &'a Path,
    captures: Captures,
}

impl Taker<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn bytes(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(self.at(name))?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A file that need not be there.
    fn file(&mut self, name: &str) {
        match self.bytes(name) {
            Ok(bytes) => self.captures.insert(name, String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.captures.remark(&format!("cannot read /{name}: {error}")),
        }
    }

    /// The names in a folder, sorted; none where there is no such folder.
    fn list(&self, name: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.at(name)) else { return Vec::new() };
        let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The kernel's command line, without the value of anything that may be a secret.
    fn cmdline(&mut self) {
        if let Ok(bytes) = self.bytes("proc/cmdline") {
            self.captures.insert("proc/cmdline", without_secrets(&String::from_utf8_lossy(&bytes)));
        }
    }

    fn secure_boot(&mut self) {
        let Some(file) = SECURE_BOOT.strip_suffix(".hex") else { return };
        if let Ok(bytes) = self.bytes(file) {
            let mut hex = String::new();
            for byte in bytes {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
            }
            hex.push('\n');
            self.captures.insert(SECURE_BOOT, hex);
        }
    }

    fn nics(&mut self) {
        for name in self.list(NET) {
            let base = format!("{NET}{name}");
            if !self.at(&base).join("device").exists() {
                continue;
            }
            // `carrier` and `speed` cannot be read (EINVAL) while the interface is down.
            for file in ["type", "address", "carrier", "speed", "uevent"] {
                let file = format!("{base}/{file}");
                if let Ok(bytes) = self.bytes(&file) {
                    self.captures.insert(file, String::from_utf8_lossy(&bytes));
                }
            }
            let driver = format!("{base}/device/driver");
            if let Some(name) = fs::read_link(self.at(&driver)).ok().as_deref().and_then(Path::file_name) {
                self.captures.insert(driver, format!("{}\n", name.to_string_lossy()));
            }
        }
    }

    fn block_paths(&mut self) {
        let mut text = String::new();
        for name in self.list("sys/block") {
            if let Ok(target) = fs::read_link(self.at("sys/block").join(&name)) {
                // sysfs writes the `/` of a name such as `cciss/c0d0` as `!`.
                let _ = writeln!(text, "{} {}", name.replace('!', "/"), target.display());
            }
        }
        self.captures.insert(BLOCK_PATHS, text);
    }

    /// Runs a program and keeps what it prints; a remark where it fails.
    fn tool(&mut self, name: Option<&str>, cmd: &Cmd) -> Option<String> {
        match self.runner.run(cmd) {
            Ok(output) => {
                if let Some(name) = name {
                    self.captures.insert(name, output.stdout.clone());
                }
                Some(output.stdout)
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|s| format!(" ({s})")).unwrap_or_default();
                self.captures.remark(&format!("{error}{cause}"));
                None
            }
        }
    }

    fn versions(&mut self) {
        let mut text = String::new();
        for program in VERSIONED {
            if let Some(version) = self.tool(None, &Cmd::new(program, ["--version"]).timeout(TOOL_TIMEOUT)) {
                let version = version.lines().next().unwrap_or_default();
                let _ = writeln!(text, "{program}: {version}");
            }
        }
        self.captures.insert("versions.txt", text);
    }

    fn disks(&mut self) {
        let cmd = Cmd::new("lsblk", ["--json", "--bytes", "--output", COLUMNS]).timeout(TOOL_TIMEOUT);
        let Some(text) = self.tool(Some(LSBLK), &cmd) else { return };
        // What lsblk printed is judged when the inventory is made, where it can be an error.
        let Ok(nodes) = lsblk::parse(LSBLK, &text) else { return };
        for disk in nodes.iter().filter(|node| node.is_disk()) {
            let info = ["info".to_owned(), "--query=property".to_owned(), format!("--name={}", disk.path)];
            self.tool(Some(&udev_name(&disk.kname)), &Cmd::new("udevadm", info).timeout(TOOL_TIMEOUT));
            self.signatures(disk);
            for partition in disk.partitions() {
                self.signatures(partition);
            }
        }
    }

    fn signatures(&mut self, node: &Node) {
        let args = ["--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,UUID,LABEL", &node.path];
        self.tool(Some(&wipefs_name(&node.kname)), &Cmd::new("wipefs", args).timeout(TOOL_TIMEOUT));
    }
}

/// A kernel command line in which the value of each parameter whose name speaks of a secret is `***`.
fn without_secrets(line: &str) -> String {
    const WORDS: [&str; 6] = ["pass", "secret", "key", "token", "credential", "pwd"];
    let safe = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if WORDS.iter().any(|word| name.to_lowercase().contains(word)) => format!("{name}=***"),
        _ => parameter.to_owned(),
    };
    let mut out = line.split_whitespace().map(safe).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}
