//! Progress: the steps with how far each is, bytes, rate and time left, the arrays' synchronisation, and the end of the log on a key.

use std::time::Duration;

use ratatui::text::Line;
use sovereign_model::event::{Amount, Event};
use sovereign_model::plan::Plan;

use crate::keys::Press;
use crate::log::LogView;
use crate::msg::ArraySync;
use crate::page::{At, Page, fit, line, right, spans};
use crate::run::{Run, Step, StepState, clock};
use crate::screens::{Go, Outcome, Room};
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
The installation runs by itself; nobody needs to watch. A line that drops out or a terminal that is closed changes nothing: attach again, and the screen is where it was.

l shows the log, and the steps again. It follows the end until you look back with k or PageUp; G follows it again.

Until the first write Ctrl-C asks whether to cancel, and nothing was changed. After it no key breaks off the installation: a half-installed machine would not start.

Arrays copy their disks to each other for hours after they are made. The installation does not wait for that, and neither need you: it goes on after a restart.";

/// Columns of a bar.
const BAR: usize = 24;

/// See the module.
#[derive(Debug)]
pub(crate) struct Progress {
    pub plan: Box<Plan>,
    /// What the events say.
    run: Run,
    /// What is shown of it, as of the last second.
    shown: Run,
    /// The part of the log that is shown instead of the steps.
    log: Option<LogView>,
    /// Whether cancelling was asked for.
    cancelling: bool,
}

impl Progress {
    pub fn new(plan: Box<Plan>, now: Duration) -> Self {
        let run = Run::new(now);
        Self { plan, shown: run.clone(), run, log: None, cancelling: false }
    }

    pub fn hear(&mut self, event: Event) {
        self.run.hear(event);
    }

    pub fn arrays(&mut self, arrays: Vec<ArraySync>) {
        self.run.arrays = arrays;
    }

    pub fn tick(&mut self, now: Duration) {
        self.run.tick(now);
        self.shown = self.run.clone();
    }

    /// All that is known of it, for the screen after this one.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Whether it can still be cancelled.
    pub fn is_harmless(&self) -> bool {
        !self.run.past_return
    }

    pub fn cancel(&mut self) {
        self.cancelling = true;
    }

    pub fn press(&mut self, press: Press, room: Room) -> Outcome {
        match (press, &mut self.log) {
            (Press::Char('l') | Press::Esc, Some(_)) => self.log = None,
            (Press::Char('l'), None) => self.log = Some(LogView::default()),
            (press, Some(log)) => {
                log.press(press, &self.shown.log, room);
            }
            _ => {}
        }
        Outcome::go(Go::Stay)
    }

    pub fn page(&self, theme: Theme, room: Room) -> Page {
        let run = &self.shown;
        let mut page = Page { title: "Installation".to_owned(), ..Page::default() };
        if let Some(log) = self.log {
            page.keys = vec![("l", "steps"), ("j k Space", "scroll"), ("G", "end"), ("?", "help")];
            log.show(&run.log, &mut page, theme, room);
            return page;
        }
        page.keys = vec![("l", "log"), ("?", "help")];
        if !run.past_return {
            page.keys.insert(1, ("Ctrl-C", "cancel"));
        }
        let count = run.count.max(run.steps.len());
        let (done, elapsed) = (run.done(), clock(run.elapsed()));
        page.head.push(spans(
            theme,
            [
                (Tone::Accent, bar(done * 100 / count.max(1))),
                (
                    Tone::Plain,
                    if count == 0 { "  starting".to_owned() } else { format!("  {done} of {count} steps done") },
                ),
                (Tone::Dim, format!("  {elapsed} so far")),
            ],
        ));
        let (tone, text) = match (run.past_return, self.cancelling) {
            (true, _) => (Tone::Warn, "! The disks are being changed: too late to cancel; leave the machine on."),
            (false, true) => (Tone::Warn, "Cancelling, as soon as the step lets go: nothing was written yet."),
            (false, false) => (Tone::Good, "Nothing is written yet: these steps only look."),
        };
        page.head.extend([line(theme, tone, text), Line::default()]);
        for step in &run.steps {
            page.at = At::Line(page.body.len() + 1);
            page.body.extend(step_lines(step, run, theme, room.width));
        }
        let (names, more) = run.waiting();
        page.body.extend(names.iter().map(|name| line(theme, Tone::Dim, format!("  then   {name}"))));
        if more > 0 {
            let text = format!("  then   {more} more step{}", if more == 1 { "" } else { "s" });
            page.body.push(line(theme, Tone::Dim, text));
        }
        page.foot = array_lines(&run.arrays, theme, room.width);
        page
    }
}

/// `[#####.....]`
fn bar(percent: usize) -> String {
    let full = (percent * BAR / 100).min(BAR);
    format!("[{}{}]", "█".repeat(full), "░".repeat(BAR - full))
}

fn step_lines(step: &Step, run: &Run, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let (mark, tone, time) = match &step.state {
        StepState::Done { took_ms } => ("done", Tone::Good, format!("{}.{} s", took_ms / 1000, took_ms % 1000 / 100)),
        StepState::Running { percent: Some(percent), .. } => ("", Tone::Focus, format!("{percent} %")),
        StepState::Running { percent: None, .. } => ("", Tone::Focus, String::new()),
        StepState::Failed { .. } => ("FAILED", Tone::Bad, String::new()),
    };
    let mark = if mark.is_empty() { "> now".to_owned() } else { format!("  {mark}") };
    let room = width.saturating_sub(9 + 9);
    let what = fit(&step.describe, room);
    let mut lines = vec![spans(
        theme,
        [
            (tone, fit(&mark, 9)),
            (if tone == Tone::Focus { tone } else { Tone::Plain }, what),
            (Tone::Dim, right(&time, 9)),
        ],
    )];
    if let StepState::Running { percent: Some(percent), note, amount } = &step.state {
        let text = amount.map_or_else(|| note.clone(), |amount| amount_text(amount, run));
        let bar = bar(usize::from(*percent));
        lines.push(spans(
            theme,
            [
                (Tone::Accent, format!("         {bar}")),
                (Tone::Plain, format!(" {}", fit(&text, width.saturating_sub(BAR + 12)).trim_end())),
            ],
        ));
    }
    lines
}

/// `512 MB of 1.50 GB, 48.1 MB/s, 0:21 left`
fn amount_text(amount: Amount, run: &Run) -> String {
    let mut text = format!("{} of {}", amount.done, amount.total);
    if let Some(rate) = run.rate() {
        text.push_str(&format!(", {rate}/s"));
    }
    if let Some(left) = run.left(amount) {
        text.push_str(&format!(", {} left", clock(left)));
    }
    text
}

/// The arrays that copy their disks to each other.
pub(crate) fn array_lines(arrays: &[ArraySync], theme: Theme, width: usize) -> Vec<Line<'static>> {
    let each = arrays.iter().map(|array| {
        let rate = array.rate.0.max(1);
        let left = array.amount.total.saturating_sub(array.amount.done).0 / rate;
        let text = format!(
            "array {}: {} % synchronised, {}/s, {} left; it goes on by itself",
            array.name,
            array.amount.percent(),
            array.rate,
            clock(Duration::from_secs(left))
        );
        line(theme, Tone::Dim, fit(&text, width).trim_end())
    });
    each.collect()
}
