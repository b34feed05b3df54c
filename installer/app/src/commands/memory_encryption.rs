//! `memory-encryption`: is the memory encrypted? And what the installed machine says of it, against its plan.

use std::fmt::Write as _;
use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_model::memory_encryption::{MemoryEncryption as Found, Planned};
use sovereign_model::plan::Plan;
use sovereign_model::site::MemoryEncryptionPolicy as Policy;
use sovereign_system::probe::memory_encryption as look;
use sovereign_system::runner::{Host, Runner};

use crate::cli::MemoryEncryption;
use crate::failure::{Failure, OrFail};
use crate::findings::{Finding, State};

/// What the finding is about.
const WHAT: &str = "memory encryption";

pub fn run(args: &MemoryEncryption) -> Result<ExitCode, Failure> {
    let (captures, found) = match &args.sysroot {
        Some(dir) => look::of_folder(dir).or_fail(ExitCode::BadInput)?,
        None => look::of_machine(&Host, Path::new("/")),
    };
    super::tell_remarks(&captures);
    if args.json {
        super::print_data(&serde_json::to_string_pretty(&found).or_fail(ExitCode::Internal)?)?;
    } else {
        super::print(&describe(&found))?;
    }
    Ok(if found.state.is_active() { ExitCode::Done } else { ExitCode::NotEncrypted })
}

/// For a person: the state, what was read, and what to do.
fn describe(found: &Found) -> String {
    let virtualised = if found.virtualised { ", virtual machine" } else { "" };
    let mut text = format!("memory encryption: {} ({}{virtualised})\n", found.state, found.vendor);
    for line in &found.evidence {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  - {line}");
    }
    let _ = writeln!(text, "What to do: {}", found.advice);
    text
}

/// The machine, against its plan; `None` where the plan says nothing of it, or the site wants to know nothing.
pub(super) fn finding(runner: &dyn Runner, root: &Path, plan: &Plan) -> Option<Finding> {
    let planned = plan.memory_encryption.as_ref()?;
    let policy = plan.site.memory_encryption.policy;
    (policy != Policy::Ignore).then(|| compare(&look::of_machine(runner, root).1, planned, policy))
}

/// Whether a finding is one that a site does not put up with.
pub(super) fn is_fatal(finding: &Finding) -> bool {
    finding.what == WHAT && finding.state == State::Missing
}

fn compare(found: &Found, planned: &Planned, policy: Policy) -> Finding {
    let finding = |state, detail| Finding { what: WHAT.to_owned(), state, detail };
    if found.state.is_active() {
        return finding(State::Ok, found.state.to_string());
    }
    match &planned.attested {
        // Never called active: a person's word is a person's word.
        Some(attested) if found.is_attestable() => {
            finding(State::Ok, format!("attested: {attested} (the machine itself says: {})", found.state))
        }
        attested => {
            let promised = attested.is_some() || planned.must_be_active();
            let bad = match policy {
                Policy::Require => Some((State::Missing, ", and the site requires it")),
                Policy::Warn if promised => Some((State::Degraded, ", planned otherwise")),
                Policy::Warn | Policy::Ignore => None,
            };
            match bad {
                Some((state, why)) => finding(state, format!("{}{why}: {}", found.state, found.advice)),
                None => finding(State::Ok, format!("{}, as it was when the machine was installed", found.state)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sovereign_model::memory_encryption::State as Is;

    use super::*;

    fn found(state: Is) -> Found {
        Found {
            vendor: "AuthenticAMD".to_owned(),
            state,
            virtualised: false,
            evidence: vec!["a register".to_owned()],
            advice: "switch it on".to_owned(),
        }
    }

    fn planned(state: Is, attested: Option<&str>) -> Planned {
        Planned { state, kernel_switch: state == Is::KernelOff, attested: attested.map(str::to_owned) }
    }

    #[test]
    fn a_person_reads_the_state_what_was_read_and_what_to_do() {
        let text = describe(&Found { virtualised: true, ..found(Is::Unknown) });
        assert_eq!(
            text,
            "memory encryption: unknown (AuthenticAMD, virtual machine)\n  - a register\nWhat to do: switch it on\n"
        );
    }

    #[test]
    fn what_is_required_and_not_there_is_missing_whatever_was_planned() {
        for state in [Is::Unsupported, Is::OffInFirmware, Is::EnabledUnlocked, Is::KernelOff, Is::Unknown] {
            for before in [Is::KernelOff, Is::Active, Is::ActiveTransparent] {
                let finding = compare(&found(state), &planned(before, None), Policy::Require);
                assert!(
                    is_fatal(&finding) && finding.detail.contains("the site requires it: switch it on"),
                    "{finding:?}"
                );
                let finding = compare(&found(state), &planned(before, None), Policy::Warn);
                assert_eq!(finding.state, State::Degraded);
            }
        }
        for state in [Is::Active, Is::ActiveTransparent] {
            assert_eq!(compare(&found(state), &planned(Is::KernelOff, None), Policy::Require).state, State::Ok);
        }
    }

    #[test]
    fn a_machine_is_looked_at_where_its_plan_and_its_site_want_it() {
        let root = tempfile::tempdir().unwrap();
        let runner = sovereign_system::testing::Recorder::new();
        let mut plan = super::super::first_boot::tests::plan();
        assert_eq!(finding(&runner, root.path(), &plan), None);
        plan.memory_encryption = Some(planned(Is::KernelOff, None));
        plan.site.memory_encryption.policy = Policy::Ignore;
        assert_eq!(finding(&runner, root.path(), &plan), None);
        assert!(runner.lines().is_empty());
        plan.site.memory_encryption.policy = Policy::Require;
        // A folder that has nothing: the state is unknown.
        assert!(finding(&runner, root.path(), &plan).is_some_and(|finding| is_fatal(&finding)));
    }

    #[test]
    fn what_is_as_bad_as_it_was_is_as_planned_where_a_site_only_wants_to_know() {
        let finding = compare(&found(Is::Unsupported), &planned(Is::Unsupported, None), Policy::Warn);
        assert_eq!((finding.state, is_fatal(&finding)), (State::Ok, false));
        assert_eq!(finding.detail, "unsupported, as it was when the machine was installed");
    }

    #[test]
    fn an_attestation_is_called_one_and_stands_for_nothing_that_is_known() {
        let planned = planned(Is::Unknown, Some("A. B., today"));
        let finding = compare(&found(Is::Unknown), &planned, Policy::Require);
        assert_eq!(
            (finding.state, finding.detail.as_str()),
            (State::Ok, "attested: A. B., today (the machine itself says: unknown)")
        );
        for (policy, wanted) in [(Policy::Require, State::Missing), (Policy::Warn, State::Degraded)] {
            assert_eq!(compare(&found(Is::OffInFirmware), &planned, policy).state, wanted);
        }
    }
}
