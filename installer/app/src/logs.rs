//! The log of an installation, and its way onto the answer medium when something failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sovereign_system::runner::{Cmd, Runner};

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
        let _ = writeln!(self.file, "{text}");
    }
}

/// Copies the log folder to the first answer medium that can be written; returns where to.
pub fn export(runner: &dyn Runner, media: &[AnswerMedium], dir: &Path) -> Option<PathBuf> {
    media.iter().find_map(|medium| {
        let mount = medium.mount.to_string_lossy().into_owned();
        runner.run(&Cmd::new("mount", ["-o", "remount,rw", &mount])).ok()?;
        let to = medium.mount.join("sovereign-logs");
        let copied = copy(dir, &to);
        // Back to read-only, which also writes everything out, whatever became of the copy.
        let settled = runner.run(&Cmd::new("mount", ["-o", "remount,ro", &mount]));
        (copied.is_ok() && settled.is_ok()).then_some(to)
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let mut target = File::create(to.join(entry.file_name()))?;
            io::copy(&mut File::open(entry.path())?, &mut target)?;
            target.sync_all()?;
        }
    }
    Ok(())
}
