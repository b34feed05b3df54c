//! The search for a secret in everything a machine leaves behind: from inside, as root, and in its images from outside.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{OrFail, with_causes};
use crate::host::HostError;
use crate::remote;
use crate::shell::Shell;

/// Reading the whole root file system through dm-crypt under TCG.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(900);
/// Holds the secret in the guest: in memory, for root only, and left out of the search.
const PATTERN_FILE: &str = "/run/harness/pattern";

/// Asserts that `secret` is nowhere in a running machine: the journal, the kernel's log, command lines and environments of all
/// processes, and every file of the root file system, /boot, both ESPs and the memory file systems, whoever may read it.
#[track_caller]
pub fn assert_absent_inside(shell: &Shell<'_>, secret: &str) {
    shell.write_file(PATTERN_FILE, 0o600, secret.as_bytes());
    assert_absent_by(&|command| shell.ok_within(command, SEARCH_TIMEOUT));
}

/// The same of a machine that is reached by SSH alone, at this port of 127.0.0.1, with this private key.
#[track_caller]
pub fn assert_absent_at(port: u16, key: &Path, secret: &str) {
    let put = format!("umask 077; mkdir -p $(dirname {PATTERN_FILE}); cat >{PATTERN_FILE}");
    remote::run(port, key, &put, secret);
    assert_absent_by(&|command| remote::run(port, key, command, ""));
}

/// Searches for what is in the pattern's file with what runs commands in the machine.
#[track_caller]
fn assert_absent_by(run: &dyn Fn(&str) -> String) {
    // The search must be able to find: a file with the secret is put where only the search looks.
    run(&format!("cp {PATTERN_FILE} /var/tmp/harness-decoy"));
    let hits = run(&format!(
        "journalctl --all --output=export | grep -qaF -f {PATTERN_FILE} && echo journal; \
         dmesg | grep -qaF -f {PATTERN_FILE} && echo dmesg; \
         for p in /proc/[0-9]*; do cat $p/cmdline $p/environ 2>/dev/null | grep -qaF -f {PATTERN_FILE} && echo $p; done; \
         find / /boot /boot/efi /boot/efi2 /run /tmp /dev/shm -xdev -path /run/harness -prune -o -type f -print0 2>/dev/null | \
         xargs -0 grep -laF -f {PATTERN_FILE} -- 2>/dev/null; true"
    ));
    run(&format!("rm /var/tmp/harness-decoy {PATTERN_FILE}"));
    assert_eq!(hits.trim(), "/var/tmp/harness-decoy", "the secret was left behind in:\n{hits}");
}

/// What the watch has found.
const HITS_FILE: &str = "/run/harness/hits";

/// Starts a watch in the guest: arguments and environments of all processes are searched for `secret` again and again.
#[track_caller]
pub fn watch_processes(shell: &Shell<'_>, secret: &str) {
    shell.write_file(PATTERN_FILE, 0o600, secret.as_bytes());
    // The watch must be able to find: a process that does carry the secret is there until it is found. It has its arguments only once the
    // shell's child has become it.
    let search =
        format!("grep -laF -f {PATTERN_FILE} /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null >>{HITS_FILE}");
    shell.ok(&format!(
        "bash -c 'sleep 60; true' \"$(cat {PATTERN_FILE})\" >/dev/null 2>&1 & \
         for try in 1 2 3 4 5 6 7 8 9 10; do {search}; test -s {HITS_FILE} && break; sleep 1; done; kill $!; test -s {HITS_FILE}"
    ));
    shell.ok(&format!(": >{HITS_FILE}; (while sleep 0.5; do {search}; done) >/dev/null 2>&1 &"));
}

/// Asserts that the watch has found nothing since it started.
#[track_caller]
pub fn assert_processes_were_clean(shell: &Shell<'_>) {
    let hits = shell.ok(&format!("cat {HITS_FILE}"));
    assert_eq!(hits, "", "processes carried the secret");
}

/// Asserts that `secret` is in none of these files, byte for byte; of sparse images the allocated parts are read.
#[track_caller]
pub fn assert_absent_in_files<'a>(files: impl IntoIterator<Item = &'a PathBuf>, secret: &str) {
    for file in files {
        assert!(!holds(file, secret), "the secret is in {}", file.display());
    }
}

/// Asserts that `secret` is in no serial log among a test's artifacts: prompts must not echo it, and nothing may print it.
#[track_caller]
pub fn assert_absent_in_serial_logs(folder: &Path, secret: &str) {
    let entries = std::fs::read_dir(folder).map_err(|source| HostError::file("list", folder, source)).or_fail();
    let logs: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".serial.log"))
        .collect();
    assert!(!logs.is_empty(), "no serial logs in {}", folder.display());
    assert_absent_in_files(&logs, secret);
}

/// Whether a file's allocated parts hold `secret`. Its holes are never read: a disk image is terabytes of them.
#[track_caller]
fn holds(file: &Path, secret: &str) -> bool {
    let failed = |source| HostError::file("search", file, source);
    let mut image = File::open(file).map_err(failed).or_fail();
    let mut grep = Command::new("grep")
        .args(["-qaF", "-e", secret])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed)
        .or_fail();
    let piped = grep.stdin.take().map(|mut stdin| copy_data(&mut image, &mut stdin)).transpose();
    let status = grep.wait().map_err(failed).or_fail();
    match (status.code(), piped) {
        // grep ends at the first match, and the rest of the file finds its pipe closed.
        (Some(0), _) => true,
        (Some(1), Ok(_)) => false,
        (_, Err(source)) => panic!("{}", with_causes(&failed(source))),
        (code, _) => panic!("grep ended with {code:?} on {}", file.display()),
    }
}

/// Copies the allocated parts of a sparse file, with a line's end between them.
fn copy_data(image: &mut File, to: &mut impl Write) -> std::io::Result<()> {
    let end = image.metadata()?.len();
    let mut hole = 0;
    while hole < end {
        let data = match rustix::fs::seek(&*image, rustix::fs::SeekFrom::Data(hole)) {
            Ok(data) => data,
            // ENXIO: no data up to the end of the file.
            Err(rustix::io::Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        hole = rustix::fs::seek(&*image, rustix::fs::SeekFrom::Hole(data))?;
        image.seek(SeekFrom::Start(data))?;
        std::io::copy(&mut (&*image).take(hole - data), to)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_behind_a_hole_and_between_zeroes() {
        use std::os::unix::fs::FileExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(8 << 30).unwrap();
        assert!(!holds(&path, "odd-Quokka"));
        file.write_all_at(b"\0\0odd-Quokka\0", 5 << 30).unwrap();
        assert!(holds(&path, "odd-Quokka"));
    }
}
