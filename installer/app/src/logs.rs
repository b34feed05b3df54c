//! The log of an installation, and its way onto the answer medium when something failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sovereign_model::text::seen;
use sovereign_system::runner::{Cmd, Runner};
use sovereign_system::tools::mount::parse_mounts;

use crate::answers::AnswerMedium;

/// Where log and journal lie while the installer runs (RAM).
pub const RUN_DIR: &str = "/run/sovereign/log";

/// A file that gets every line, readable by root alone.
pub struct Log {
    file: File,
}

impl Log {
    /// Opens `install.log` in `dir`, making both where needed.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("install.log"))?;
        Ok(Self { file })
    }

    /// Adds a line. A log that cannot be written is no reason to stop.
    pub fn line(&mut self, text: &str) {
        let _ = writeln!(self.file, "{}", seen(text));
    }
}

/// Name of the folder on the answer medium; the next one is `sovereign-logs-2`.
const FOLDER: &str = "sovereign-logs";
/// Most such folders: a medium with more is none of ours.
const FOLDERS: usize = 1000;

/// Copies the log folder to the first answer medium that can be written, into a folder of its own: an earlier failure's stays.
/// Returns where to.
pub fn export(runner: &dyn Runner, media: &[AnswerMedium], dir: &Path) -> Option<PathBuf> {
    on_answer_medium(runner, media, &|mount| copy_into(dir, mount))
}

/// Copies the log folder into a new folder of the file system mounted at `mount`; returns that.
///
/// # Errors
/// The file system's.
pub fn copy_into(dir: &Path, mount: &Path) -> io::Result<PathBuf> {
    let to = fresh_folder(mount)?;
    copy(dir, &to).map(|()| to)
}

/// Has `write` write onto the first answer medium that takes it; returns what that returns.
pub fn on_answer_medium(
    runner: &dyn Runner,
    media: &[AnswerMedium],
    write: &dyn Fn(&Path) -> io::Result<PathBuf>,
) -> Option<PathBuf> {
    let mounts = parse_mounts(&fs::read_to_string("/proc/self/mounts").unwrap_or_default());
    media.iter().find_map(|medium| {
        let mount = medium.mount.to_string_lossy().into_owned();
        // Whoever mounted it writable goes on with it so.
        let writable = mounts.iter().rfind(|m| m.point == mount).is_some_and(|m| m.writable);
        if !writable {
            runner.run(&Cmd::new("mount", ["-o", "remount,rw", &mount])).ok()?;
        }
        let written = write(&medium.mount);
        // Back to read-only, which also writes everything out, whatever became of it.
        let settled = writable || runner.run(&Cmd::new("mount", ["-o", "remount,ro", &mount])).is_ok();
        written.ok().filter(|_| settled)
    })
}

/// Writes a file that was not there, readable by root alone, into the file system mounted at `mount`: `name`, or else `name-2` and so on,
/// before its last dot.
///
/// # Errors
/// The file system's.
pub fn fresh_file(mount: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    for number in 1..=FOLDERS {
        let name = if number == 1 { name.to_owned() } else { format!("{stem}-{number}.{extension}") };
        let path = mount.join(name);
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                // The name too.
                File::open(mount)?.sync_all()?;
                return Ok(path);
            }
        }
    }
    Err(io::Error::other(format!("there are {FOLDERS} files like {name} already")))
}

/// Makes a folder that was not there.
fn fresh_folder(mount: &Path) -> io::Result<PathBuf> {
    for number in 1..=FOLDERS {
        let name = if number == 1 { FOLDER.to_owned() } else { format!("{FOLDER}-{number}") };
        let path = mount.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| path),
        }
    }
    Err(io::Error::other(format!("there are {FOLDERS} folders {FOLDER} already")))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let mut target = File::create(to.join(entry.file_name()))?;
            io::copy(&mut File::open(entry.path())?, &mut target)?;
            target.sync_all()?;
        }
    }
    // The names too.
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_system::testing::Recorder;

    #[test]
    fn each_failure_has_a_folder_of_its_own_on_the_answer_medium() {
        let (stick, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let media = [AnswerMedium { device: "/dev/sdb1".to_owned(), mount: stick.path().to_owned() }];
        let runner = Recorder::new();
        for (failure, folder) in
            [("first", "sovereign-logs"), ("second", "sovereign-logs-2"), ("third", "sovereign-logs-3")]
        {
            fs::write(logs.path().join("install.log"), failure).unwrap();
            let to = stick.path().join(folder);
            assert_eq!(export(&runner, &media, logs.path()), Some(to));
        }
        let read = |folder: &str| fs::read_to_string(stick.path().join(folder).join("install.log")).unwrap();
        assert_eq!(
            [read("sovereign-logs"), read("sovereign-logs-2"), read("sovereign-logs-3")],
            ["first", "second", "third"]
        );
        let mount = stick.path().display();
        assert_eq!(
            runner.lines()[..2],
            [format!("mount -o remount,rw {mount}"), format!("mount -o remount,ro {mount}")]
        );
    }

    #[test]
    fn a_file_is_never_written_over_another() {
        let stick = tempfile::tempdir().unwrap();
        let first = fresh_file(stick.path(), "site.toml", "one").unwrap();
        let second = fresh_file(stick.path(), "site.toml", "two").unwrap();
        assert_eq!((first, second.clone()), (stick.path().join("site.toml"), stick.path().join("site-2.toml")));
        assert_eq!(fs::read_to_string(second).unwrap(), "two");
    }

    #[test]
    fn a_medium_that_takes_no_writes_is_passed_over() {
        let (stick, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let media = [AnswerMedium { device: "/dev/sr0".to_owned(), mount: stick.path().to_owned() }];
        assert_eq!(export(&Recorder::new().fails("mount", 32, "write-protected"), &media, logs.path()), None);
        assert_eq!(fs::read_dir(stick.path()).unwrap().count(), 0);
    }
}
