//! Taking captures: which files are read and which programs are run. Nothing here writes to a device, and nothing secret is kept.

mod attributes;
mod health;
mod owners;

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::captures::Captures;
use super::lsblk::{self, Node};
use super::memory_encryption;
use super::self_erase;
use crate::runner::{Cmd, Runner};

pub(super) const LSBLK: &str = "lsblk.json";
/// What wipefs printed: one JSON document a run.
pub(super) const WIPEFS: &str = "wipefs.json";
/// Devices, a node a line, whose first bytes could be read and on which wipefs looked for signatures: what it did not find there
/// is not there. Of any other device nothing is known.
pub(super) const LOOKED_AT: &str = "looked-at.txt";
/// First sector of each disk on which wipefs found an MBR: lines `NODE: HEX HEX ...`, 512 bytes.
pub(super) const MBR: &str = "mbr.txt";
/// udev's properties of each disk, the blocks one after another, each starting with `DEVPATH=`.
pub(super) const UDEVADM: &str = "udevadm.txt";
pub(super) const CPUINFO: &str = "proc/cpuinfo";
pub(super) const MEMINFO: &str = "proc/meminfo";
pub(super) const MOUNTS: &str = "proc/mounts";
pub(super) const SWAPS: &str = "proc/swaps";
pub(super) const KERNEL: &str = "proc/version";
pub(super) const TPM_VERSION: &str = "sys/class/tpm/tpm0/tpm_version_major";
pub(super) const NET: &str = "sys/class/net/";
pub(super) const EFI: &str = "sys/firmware/efi/";
/// The `SecureBoot` variable (GUID: EFI_GLOBAL_VARIABLE of the UEFI specification), as hexadecimal text.
pub(super) const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c.hex";
/// Kernel name of the device with the installation medium, written by the live system's initrd.
pub(super) const MEDIUM_DEV: &str = "run/sovereign/medium.dev";
/// The kernel's number of the disk with the installation medium (Documentation/ABI/stable/sysfs-block, diskseq), written beside its name.
pub(super) const MEDIUM_DISKSEQ: &str = "run/sovereign/medium.diskseq";
/// What loop devices show: lines `NAME PATH`, a file or a device.
pub(super) const LOOPS: &str = "sys/loops.txt";
/// Where each block device hangs: lines `NAME PATH`, the target of its link in /sys/block.
pub(super) const BLOCK_PATHS: &str = "sys/block.txt";

/// Single values of /sys: lines `PATH VALUE`, the path below /sys.
pub(super) const ATTRIBUTES: &str = "sys/attributes.txt";
/// What smartctl printed: one JSON document a disk.
pub(super) const SMARTCTL: &str = "smartctl.json";
/// `mdadm --examine` of each member of an array.
pub(super) const MDADM: &str = "mdadm.txt";
/// `pvs` of the physical volumes.
pub(super) const PVS: &str = "pvs.json";
/// What EFI system partitions of ours say: lines `DEVICE JSON`.
pub(super) const EARLIER: &str = "earlier.txt";
/// `dmidecode` of the memory arrays: no serial number is in it.
pub(super) const DMI_MEMORY: &str = "dmidecode.txt";

/// How much a machine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What disks there are, what is on them and how they are: all that decides which are written. It is looked at again right before that.
    Identity,
    /// That, and what the contents of each disk belong to.
    Whole,
}

/// Files that are taken as they are.
const FILES: [&str; 15] = [
    KERNEL,
    CPUINFO,
    MEMINFO,
    MOUNTS,
    SWAPS,
    "proc/mdstat",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/bios_vendor",
    "sys/class/dmi/id/bios_version",
    "sys/class/dmi/id/bios_date",
    "sys/firmware/efi/fw_platform_size",
    TPM_VERSION,
    MEDIUM_DEV,
    MEDIUM_DISKSEQ,
];
/// Columns of lsblk: those of util-linux 2.37 and later.
const COLUMNS: &str = "NAME,KNAME,PATH,TYPE,SIZE,MODEL,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN,ROTA,RM,RO,HOTPLUG,FSTYPE,LABEL,\
                       PARTUUID,PKNAME,MOUNTPOINTS,VENDOR,REV,PARTTYPE,PARTLABEL";
/// Programs whose version is kept beside what they printed; wipefs is of the same package as lsblk, and smartctl and dmidecode say
/// theirs themselves.
const VERSIONED: [&str; 2] = ["lsblk", "udevadm"];
/// How long one program may take. A disk that does not answer costs this much and no more.
const TOOL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long udev may take to find out the serial numbers of disks that have just appeared.
const SETTLE_SECONDS: &str = "--timeout=20";
/// Most bytes of a file; /proc/cpuinfo has about 1.5 KiB a logical CPU.
const MAX_BYTES: u64 = 4 << 20;

/// Takes captures from the machine whose root directory is `root` (`/`; a test's folder otherwise). Never fails: what cannot be
/// had is left out, with a remark.
pub fn capture(runner: &dyn Runner, root: &Path, depth: Depth) -> Captures {
    let mut taker = Taker { runner, root, depth, captures: Captures::default() };
    for name in FILES {
        taker.file(name);
    }
    taker.cmdline();
    taker.secure_boot();
    taker.nics();
    taker.block_paths();
    memory_encryption::take(runner, root, &mut taker.captures);
    attributes::take(&mut taker);
    taker.loops();
    taker.versions();
    taker.memory();
    taker.tool(&Cmd::new("udevadm", ["settle", SETTLE_SECONDS]));
    taker.disks();
    taker.captures
}

struct Taker<'a> {
    runner: &'a dyn Runner,
    root: &'a Path,
    depth: Depth,
    captures: Captures,
}

impl Taker<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The first bytes of a file, `limit` at most.
    fn bytes(&self, name: &str, limit: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(self.at(name))?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A file that need not be there.
    fn file(&mut self, name: &str) {
        match self.bytes(name, MAX_BYTES) {
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
        if let Ok(bytes) = self.bytes("proc/cmdline", MAX_BYTES) {
            self.captures.insert("proc/cmdline", without_secrets(&String::from_utf8_lossy(&bytes)));
        }
    }

    fn secure_boot(&mut self) {
        let Some(file) = SECURE_BOOT.strip_suffix(".hex") else { return };
        if let Ok(bytes) = self.bytes(file, MAX_BYTES) {
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
                if let Ok(bytes) = self.bytes(&file, MAX_BYTES) {
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

    fn loops(&mut self) {
        let mut text = String::new();
        for name in self.list("sys/block") {
            // `loop_attr_backing_file_show()` in drivers/block/loop.c; the folder is there while something is shown.
            if let Ok(bytes) = self.bytes(&format!("sys/block/{name}/loop/backing_file"), MAX_BYTES) {
                let _ = writeln!(text, "{name} {}", String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
            }
        }
        if !text.is_empty() {
            self.captures.insert(LOOPS, text);
        }
    }

    /// What a program prints; a remark where it fails.
    fn tool(&mut self, cmd: &Cmd) -> Option<String> {
        match self.runner.run(cmd) {
            Ok(output) => Some(output.stdout),
            Err(error) => {
                self.captures.remark(&chain(&error));
                None
            }
        }
    }

    fn versions(&mut self) {
        let mut text = String::new();
        for program in VERSIONED {
            if let Some(version) = self.tool(&Cmd::new(program, ["--version"]).timeout(TOOL_TIMEOUT)) {
                let version = version.lines().next().unwrap_or_default();
                let _ = writeln!(text, "{program}: {version}");
            }
        }
        self.captures.insert("versions.txt", text);
    }

    fn memory(&mut self) {
        if self.depth == Depth::Whole {
            // For anybody but root, and where the firmware has no such table, the report says nothing of it.
            let cmd = Cmd::new("dmidecode", ["--type", "16"]).timeout(TOOL_TIMEOUT);
            if let Ok(output) = self.runner.run(&cmd) {
                self.captures.insert(DMI_MEMORY, output.stdout);
            }
        }
    }

    fn disks(&mut self) {
        let cmd = Cmd::new("lsblk", ["--json", "--bytes", "--output", COLUMNS]).timeout(TOOL_TIMEOUT);
        let Some(text) = self.tool(&cmd) else { return };
        // What lsblk printed is judged when the inventory is made, where it can be an error.
        let nodes = lsblk::parse(LSBLK, &text).unwrap_or_default();
        self.captures.insert(LSBLK, text);
        let disks: Vec<&Node> = nodes.iter().filter(|node| node.is_disk()).collect();
        let paths: Vec<&str> = disks.iter().map(|disk| disk.path.as_str()).collect();
        self.devices(UDEVADM, "udevadm", &["info", "--query=property"], &paths);
        // A drive without a medium has nothing to look at, and would fail the run for all.
        let loaded: Vec<&Node> = disks.iter().copied().filter(|disk| !disk.is_without_medium()).collect();
        let with_partitions = loaded.iter().flat_map(|disk| std::iter::once(*disk).chain(disk.partitions()));
        let mut paths: Vec<&str> = with_partitions.map(|node| node.path.as_str()).collect();
        let unreadable = self.unreadable(&paths);
        let args = ["--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,UUID,LABEL"];
        let failed = self.devices(WIPEFS, "wipefs", &args, &paths);
        self.mbrs(&disks);
        for disk in disks.iter().filter(|disk| !disk.is_without_medium()) {
            self_erase::ask(self.runner, disk, TOOL_TIMEOUT, &mut self.captures);
        }
        paths.retain(|path| !unreadable.contains(path) && !failed.contains(path));
        self.captures.insert(LOOKED_AT, paths.iter().map(|path| format!("{path}\n")).collect::<String>());
        if self.depth == Depth::Whole {
            owners::take(self, &loaded);
        }
        // Disks of a hypervisor have no health, and a disk that cannot be read is asked all the same.
        let asked: Vec<&str> = loaded.iter().filter(|d| !d.kname.starts_with("vd")).map(|d| d.path.as_str()).collect();
        health::take(self, &asked);
    }

    /// The MBR of each disk that has one, and no GPT: wipefs says no more of it than that it is there.
    fn mbrs(&mut self, disks: &[&Node]) {
        let found = super::disks::signatures(self.captures.get(WIPEFS).unwrap_or_default()).unwrap_or_default();
        let mut text = String::new();
        for disk in disks.iter().filter(|disk| found.iter().any(|(_, s)| s.kind == "dos" && disk.is(&s.device))) {
            let args = ["-An", "-v", "--format=x1", "--read-bytes=512", &disk.path];
            if let Some(hex) = self.tool(&Cmd::new("od", args).timeout(TOOL_TIMEOUT)) {
                let hex: Vec<&str> = hex.split_ascii_whitespace().collect();
                let _ = writeln!(text, "{}: {}", disk.path, hex.join(" "));
            }
        }
        if !text.is_empty() {
            self.captures.insert(MBR, text);
        }
    }

    /// The devices whose first bytes cannot be read, with a remark each. wipefs does not tell: where every read fails, it ends
    /// with code 0 and finds nothing (seen with 2.41.5).
    fn unreadable<'d>(&mut self, devices: &[&'d str]) -> Vec<&'d str> {
        let read = |runner: &dyn Runner, devices: &[&str]| {
            let args = [&["--quiet", "--bytes=4096"], devices].concat();
            runner.run(&Cmd::new("head", args).timeout(TOOL_TIMEOUT))
        };
        if devices.is_empty() || read(self.runner, devices).is_ok() {
            return Vec::new();
        }
        let mut unreadable = Vec::new();
        for device in devices {
            if let Err(error) = read(self.runner, &[device]) {
                self.captures
                    .remark(&format!("{device} cannot be read, so what is on it is unknown: {}", chain(&error)));
                unreadable.push(*device);
            }
        }
        unreadable
    }

    /// Runs a program once for all devices; where that fails, once for each, so that one bad disk hides no other. Returns the
    /// devices for which it failed. (Starting a program for each of 19 devices took 5 s under QEMU without KVM, one run for all
    /// of them 1.5 s.)
    fn devices<'d>(&mut self, capture: &str, program: &str, args: &[&str], devices: &[&'d str]) -> Vec<&'d str> {
        if devices.is_empty() {
            return Vec::new();
        }
        let cmd = |devices: &[&str]| Cmd::new(program, [args, devices].concat()).timeout(TOOL_TIMEOUT);
        let mut failed = Vec::new();
        let mut text = String::new();
        if let Ok(output) = self.runner.run(&cmd(devices)) {
            text = output.stdout;
        } else {
            for device in devices {
                match self.tool(&cmd(&[device])) {
                    Some(stdout) => text.push_str(&stdout),
                    None => failed.push(*device),
                }
            }
        }
        self.captures.insert(capture, text);
        failed
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text} ({cause})"))
}

/// A kernel command line in which the value of each parameter whose name speaks of a secret is `***`.
fn without_secrets(line: &str) -> String {
    const WORDS: [&str; 6] = ["pass", "secret", "key", "token", "credential", "pwd"];
    let safe = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if WORDS.iter().any(|word| name.to_lowercase().contains(word)) => format!("{name}=***"),
        _ => parameter.to_owned(),
    };
    // A blank between quotation marks parts nothing (Documentation/admin-guide/kernel-parameters.rst).
    let mut quoted = false;
    let parameters = line.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    let mut out = parameters.filter(|parameter| !parameter.is_empty()).map(safe).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}
