//! The plain renderer: events as lines with the seconds since the start, for consoles, logs and people who like it plain.

use std::time::Instant;

use sovereign_model::event::Event;

/// Exact words the unattended run ends with; scripts wait for them.
pub const COMPLETE: &str = "INSTALL COMPLETE";
/// Exact words an installation that failed ends with.
pub const FAILED: &str = "INSTALL FAILED";

/// Turns events into lines.
pub struct Plain {
    started: Instant,
    steps: usize,
    last_percent: u8,
}

impl Plain {
    /// A renderer whose clock starts now.
    pub fn new() -> Self {
        Self { started: Instant::now(), steps: 0, last_percent: 0 }
    }

    /// A line of text with its time in front; continuation lines are indented below it.
    pub fn line(&self, text: &str) -> String {
        let time = self.started.elapsed().as_secs_f64();
        let mut lines = text.lines();
        let mut out = format!("[{time:6.1}] {}", lines.next().unwrap_or_default());
        for line in lines {
            out.push_str("\n         ");
            out.push_str(line);
        }
        out
    }

    /// The line for the log: every event has one.
    pub fn log(&mut self, event: &Event) -> String {
        let text = match event {
            Event::Started { steps, plan_hash, install_id, names: _ } => {
                self.steps = *steps;
                format!("installation {install_id}, plan {plan_hash}, {steps} steps")
            }
            Event::PointOfNoReturn => "from here on the disks are changed".to_owned(),
            Event::StepStarted { index, name, describe } => {
                self.last_percent = 0;
                format!("step {}/{} {name}: {describe}", index + 1, self.steps)
            }
            Event::Progress { index, percent, note, amount: _ } => {
                format!("step {}/{}: {percent} % {note}", index + 1, self.steps)
            }
            Event::Encrypted { container, uuid } => format!("the container {container} has the UUID {uuid}"),
            Event::Log { line } => line.clone(),
            Event::StepDone { index, name, took_ms } => {
                format!(
                    "step {}/{} {name}: done ({}.{} s)",
                    index + 1,
                    self.steps,
                    took_ms / 1000,
                    took_ms % 1000 / 100
                )
            }
            Event::StepFailed { index, name, error } => {
                format!("step {}/{} {name}: FAILED\n{error}", index + 1, self.steps)
            }
            Event::Cancelled => "cancelled; nothing was written to any disk".to_owned(),
            Event::Complete { took_ms } => format!("{COMPLETE} after {} s", took_ms / 1000),
        };
        self.line(&text)
    }

    /// Whether a console shows this event: programs and remarks belong in the log alone, and of progress a line for each tenth
    /// is enough for a slow serial port.
    pub fn is_shown(&mut self, event: &Event) -> bool {
        match event {
            Event::Encrypted { .. } | Event::Log { .. } => false,
            Event::Progress { percent, .. } => {
                let next = percent / 10 > self.last_percent / 10;
                self.last_percent = *percent;
                next
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_line_for_each_tenth() {
        let mut plain = Plain::new();
        let shown = (0..=100u8)
            .filter(|percent| {
                plain.is_shown(&Event::Progress { index: 0, percent: *percent, note: "of base".into(), amount: None })
            })
            .count();
        assert_eq!(shown, 10);
    }

    #[test]
    fn a_failure_keeps_its_lines_together() {
        let mut plain = Plain::new();
        let (plan_hash, install_id) = ("ab".to_owned(), "cd".to_owned());
        plain.log(&Event::Started { steps: 17, plan_hash, install_id, names: Vec::new() });
        let event = Event::StepFailed { index: 2, name: "tear-down".into(), error: "one\ntwo".into() };
        let text = plain.log(&event);
        let lines: Vec<&str> = text.lines().map(|l| l[9..].trim_end()).collect();
        assert_eq!(lines, ["step 3/17 tear-down: FAILED", "one", "two"]);
    }
}
