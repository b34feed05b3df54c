//! What a person sees while waiting: bars on a terminal, plain lines with the time elsewhere (CI logs).

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::tell;

/// Tells what is going on.
pub struct Progress {
    terminal: bool,
    started: Instant,
}

/// One stretch of work that takes time; says so again when it is over.
pub struct Task<'p> {
    progress: &'p Progress,
    bar: ProgressBar,
    what: String,
    started: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), started: Instant::now() }
    }
}

impl Progress {
    /// One line.
    pub fn say(&self, text: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        tell(&format!("[{elapsed:7.1} s] {text}"));
    }

    /// Work whose length nobody knows: a spinner.
    pub fn spin(&self, what: &str) -> Task<'_> {
        let bar = ProgressBar::new_spinner();
        self.task(what, bar, "{spinner} {msg} {elapsed}")
    }

    /// Work of `total` bytes: a bar.
    pub fn bytes(&self, what: &str, total: u64) -> Task<'_> {
        let bar = ProgressBar::new(total);
        self.task(what, bar, "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    fn task(&self, what: &str, bar: ProgressBar, template: &str) -> Task<'_> {
        if self.terminal {
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
        } else {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
            self.say(&format!("{what} ..."));
        }
        Task { progress: self, bar, what: what.to_owned(), started: Instant::now() }
    }
}

impl Task<'_> {
    /// So many bytes are done.
    pub fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.progress.say(&format!("{} took {:.1} s", self.what, self.started.elapsed().as_secs_f64()));
    }
}
