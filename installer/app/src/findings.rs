//! What a look at an installed machine found: one finding a thing of the plan, and the words and marks they are shown with.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sovereign_model::plan::Plan;

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As planned.
    Ok,
    /// It works, but not as planned.
    Degraded,
    /// It is not there, or does not work.
    Missing,
}

/// A thing of the plan, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Such as `array ssd`.
    pub what: String,
    /// How it is.
    pub state: State,
    /// Details for a person.
    pub detail: String,
}

impl Finding {
    /// A thing that is as planned, or works but is something else.
    pub fn compared<T: PartialEq + std::fmt::Display>(what: &str, wanted: &T, found: &T) -> Self {
        let (state, detail) = if wanted == found {
            (State::Ok, found.to_string())
        } else {
            (State::Degraded, format!("{found}, planned {wanted}"))
        };
        Self { what: what.to_owned(), state, detail }
    }

    /// A thing that is there, or not.
    pub fn present(what: &str, is_there: bool, detail: impl Into<String>) -> Self {
        let state = if is_there { State::Ok } else { State::Missing };
        Self { what: what.to_owned(), state, detail: detail.into() }
    }
}

/// Whether everything is as planned.
pub fn all_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.state == State::Ok)
}

/// The findings as lines, under a verdict.
pub fn describe(plan: &Plan, findings: &[Finding]) -> String {
    let bad = findings.iter().filter(|f| f.state != State::Ok).count();
    let verdict = match bad {
        0 => "all as planned".to_owned(),
        n => format!("ATTENTION: {n} of {} not as planned", findings.len()),
    };
    let mut text = format!("Sovereign Appliance {} ({}): {verdict}\n", plan.site.site.name, plan.site.site.fqdn);
    if let Some(danger) = plan.danger() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {danger}");
    }
    for finding in findings {
        let mark = match finding.state {
            State::Ok => "ok      ",
            State::Degraded => "DEGRADED",
            State::Missing => "MISSING ",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {mark} {}: {}", finding.what, finding.detail);
    }
    text
}
