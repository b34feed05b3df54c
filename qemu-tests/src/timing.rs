//! A test's own folder, `target/e2e/<test>/`: artifacts that stay, working files that go, and when things happened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::json;

use crate::failure::OrFail;
use crate::host::{self, HostError};

/// The laboratory of one test: names its folder and keeps its clock.
#[derive(Debug, Clone)]
pub struct Lab(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    folder: PathBuf,
    started: Instant,
    marks: Mutex<Vec<(String, f64)>>,
}

impl Lab {
    /// Empties `target/e2e/<name>/` and starts the test's clock.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let folder = host::artifacts_dir().join(name);
        Self::in_folder(name, folder).or_fail()
    }

    pub(crate) fn in_folder(name: &str, folder: PathBuf) -> Result<Self, HostError> {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|source| HostError::file("empty", &folder, source))?;
        }
        std::fs::create_dir_all(folder.join("work"))
            .map_err(|source| HostError::file("create the folder", &folder, source))?;
        Ok(Self(Arc::new(Inner { name: name.to_owned(), folder, started: Instant::now(), marks: Mutex::default() })))
    }

    /// Name of the test.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where an artifact of this name goes: it stays after the test.
    pub fn artifact(&self, name: &str) -> PathBuf {
        self.0.folder.join(name)
    }

    /// Where working files go, such as disks: removed after the test unless `SOVEREIGN_KEEP` is set.
    pub fn work(&self) -> PathBuf {
        self.0.folder.join("work")
    }

    /// Leaves a text among the artifacts.
    #[track_caller]
    pub fn keep(&self, name: &str, text: &str) {
        let path = self.artifact(name);
        std::fs::write(&path, text).map_err(|source| HostError::file("write", &path, source)).or_fail();
    }

    /// Notes that something happened now; `timings.json` has all marks in seconds since the start of the test.
    #[track_caller]
    pub fn mark(&self, what: &str) {
        let at_s = self.0.started.elapsed().as_secs_f64();
        println!("[{at_s:7.1}] {}: {what}", self.0.name);
        let mut marks = self.0.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.push((what.to_owned(), at_s));
        // Written at each mark, so that a test that is killed leaves what it had.
        write_timings(&self.0.folder, &self.0.name, &marks).or_fail();
    }
}

fn write_timings(folder: &Path, name: &str, marks: &[(String, f64)]) -> Result<(), HostError> {
    let marks: Vec<_> =
        marks.iter().map(|(what, at_s)| json!({"what": what, "at_s": (at_s * 10.0).round() / 10.0})).collect();
    let path = folder.join("timings.json");
    let text = format!("{:#}\n", json!({"test": name, "marks": marks}));
    std::fs::write(&path, text).map_err(|source| HostError::file("write", &path, source))
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::env::var_os("SOVEREIGN_KEEP").is_none() {
            // What cannot be removed now is removed by the next run of the test.
            let _ = std::fs::remove_dir_all(self.folder.join("work"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_written_and_working_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::in_folder("t", folder.path().join("t")).unwrap();
        std::fs::write(lab.work().join("disk"), "x").unwrap();
        lab.keep("note.txt", "stays");
        lab.mark("one");
        lab.mark("two");
        drop(lab);
        let timings = std::fs::read_to_string(folder.path().join("t/timings.json")).unwrap();
        let timings: serde_json::Value = serde_json::from_str(&timings).unwrap();
        assert_eq!(timings["marks"][1]["what"], "two");
        assert!(folder.path().join("t/note.txt").exists());
        assert!(!folder.path().join("t/work").exists());
    }
}
