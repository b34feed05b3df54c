//! The file of events: everything that the screens are told of an installation, a JSON object a line, for programs that follow one and for
//! whoever wants to see it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use sovereign_engine::Sink;
use sovereign_model::event::Event;
use sovereign_steps::finalise::EVENTS;

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since the installation started.
    at_ms: u128,
    #[serde(flatten)]
    event: &'a Event,
}

/// Writes what `sink` is told into the file of events in `dir` first, readable by root alone. A line that cannot be written is no reason
/// to stop.
///
/// # Errors
/// The file cannot be made.
pub fn kept(dir: &Path, sink: Sink) -> io::Result<Sink> {
    fs::create_dir_all(dir)?;
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(dir.join(EVENTS))?;
    let (file, started) = (Mutex::new(file), Instant::now());
    Ok(Arc::new(move |event| {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write_line(&mut file, &Line { at_ms: started.elapsed().as_millis(), event });
        drop(file);
        sink(event);
    }))
}

fn write_line(file: &mut File, line: &Line<'_>) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_told_is_in_the_file_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink: Sink = {
            let told = told.clone();
            Arc::new(move |event| told.lock().unwrap().push(event.clone()))
        };
        let sink = kept(dir.path(), sink).unwrap();
        let events = [Event::PointOfNoReturn, Event::Log { line: "a \"quoted\"\nline".to_owned() }];
        for event in &events {
            sink(event);
        }
        assert_eq!(*told.lock().unwrap(), events);
        let path = dir.path().join(EVENTS);
        let read = fs::read_to_string(&path).unwrap();
        let again: Vec<Event> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(again, events);
        assert!(read.lines().all(|line| line.starts_with("{\"at_ms\":")), "{read}");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
