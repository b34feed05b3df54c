//! The engine against steps that record what happens to them: failures and cancels at every place, the journal torn at
//! every byte.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use sovereign_engine::journal::parse;
use sovereign_engine::{
    Destructive, Engine, Failure, Harmless, Journal, Kind, Options, Outcome, Phase, Report, Sink, Step, StepError,
};
use sovereign_model::event::Event;

/// Names of the steps in the tests: three harmless ones, then five destructive ones.
const BEFORE: [&str; 3] = ["look", "compare", "ask"];
const AFTER: [&str; 5] = ["clear", "split", "mirror", "fill", "close"];

/// What a step does to this machine.
#[derive(Default)]
struct Machine {
    log: Vec<String>,
    /// Fails in this part of this step.
    fails: Option<(usize, Part)>,
    /// Sets the flag while this step runs.
    cancels: Option<(usize, Arc<AtomicBool>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Run,
    Check,
    /// Panics in `run`, then in its own `undo`.
    Panic,
}

struct Recorded {
    index: usize,
    name: &'static str,
}

impl<P: Phase> Step<Machine, P> for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self, _: &Machine) -> String {
        format!("does {}", self.name)
    }

    fn run(&self, machine: &mut Machine, _: &P, report: &Report<'_>) -> Result<(), StepError> {
        machine.log.push(format!("run {}", self.name));
        report.progress(50, "half");
        if let Some((index, flag)) = &machine.cancels
            && *index == self.index
        {
            flag.store(true, Ordering::Relaxed);
        }
        if machine.fails == Some((self.index, Part::Run)) {
            return Err(StepError::new("cannot do it").on("/dev/sda").next("Try again."));
        }
        assert!(machine.fails != Some((self.index, Part::Panic)), "index {} is out of bounds", self.index);
        Ok(())
    }

    fn check(&self, machine: &mut Machine) -> Result<(), StepError> {
        if machine.fails == Some((self.index, Part::Check)) {
            return Err(StepError::new("it is not what was wanted"));
        }
        Ok(())
    }

    fn undo(&self, machine: &mut Machine) -> Result<(), StepError> {
        machine.log.push(format!("undo {}", self.name));
        assert!(machine.fails != Some((self.index, Part::Panic)), "a second mistake");
        // One that fails must not keep the others from being undone.
        if self.name == "mirror" { Err(StepError::new("busy")) } else { Ok(()) }
    }
}

fn engine() -> Engine<Machine> {
    let harmless = |(index, name)| Box::new(Recorded { index, name }) as Box<dyn Step<Machine, Harmless>>;
    let destructive =
        |(i, name)| Box::new(Recorded { index: BEFORE.len() + i, name }) as Box<dyn Step<Machine, Destructive>>;
    Engine::new(
        BEFORE.into_iter().enumerate().map(harmless).collect(),
        AFTER.into_iter().enumerate().map(destructive).collect(),
    )
}

struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn names(&self, wanted: fn(&Event) -> Option<String>) -> Vec<String> {
        self.0.lock().unwrap().iter().filter_map(wanted).collect()
    }
}

fn options(stop_after: Option<&str>) -> (Options, Told) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink: Sink = {
        let told = Arc::clone(&told);
        Arc::new(move |event| told.lock().unwrap().push(event.clone()))
    };
    let options = Options {
        plan_hash: "ab".repeat(32),
        install_id: "one".to_owned(),
        cancel: Arc::new(AtomicBool::new(false)),
        stop_after: stop_after.map(str::to_owned),
        journal: Journal::new(),
        sink,
    };
    (options, Told(told))
}

fn all() -> Vec<&'static str> {
    BEFORE.into_iter().chain(AFTER).collect()
}

fn is_destructive(index: usize) -> bool {
    index >= BEFORE.len()
}

#[test]
fn everything_runs_in_order_and_nothing_is_undone() {
    let (options, told) = options(None);
    let mut machine = Machine::default();
    assert_eq!(engine().run(&mut machine, &options).unwrap(), Outcome::Complete);
    assert_eq!(machine.log, all().iter().map(|n| format!("run {n}")).collect::<Vec<_>>());
    let done = told.names(|e| if let Event::StepDone { name, .. } = e { Some(name.clone()) } else { None });
    assert_eq!(done, all());
    let events: Vec<_> = parse(options.journal.text().as_bytes()).unwrap().into_iter().map(|r| r.event).collect();
    assert!(matches!(events.first(), Some(Event::Started { steps: 8, .. })));
    assert!(matches!(events.last(), Some(Event::Complete { .. })));
    let no_return = events.iter().position(|e| *e == Event::PointOfNoReturn).unwrap();
    let clear = events.iter().position(|e| matches!(e, Event::StepStarted { name, .. } if name == "clear")).unwrap();
    assert_eq!(clear, no_return + 1);
    assert!(!events.iter().any(|e| matches!(e, Event::Progress { .. } | Event::Log { .. })));
}

#[test]
fn a_panic_in_any_step_is_a_failure_of_that_step_and_everything_is_undone() {
    for (index, name) in all().into_iter().enumerate() {
        let (options, told) = options(None);
        let mut machine = Machine { fails: Some((index, Part::Panic)), ..Machine::default() };
        let failure = engine().run(&mut machine, &options).unwrap_err();
        let Failure::Step { name: failed, destructive, error, .. } = &failure else { panic!("{failure}") };
        assert_eq!((*failed, *destructive, error.kind), (name, is_destructive(index), Kind::Panicked));
        let said = error.render();
        let place = format!("broke off at {}:", file!());
        assert!(said.contains(&place) && said.contains(&format!("index {index} is out of bounds")), "{said}");
        let names = all();
        let undone = names[..=index].iter().rev().map(|name| format!("undo {name}"));
        assert_eq!(machine.log[index + 1..], undone.collect::<Vec<_>>());
        let events = parse(options.journal.text().as_bytes()).unwrap();
        assert!(matches!(&events.last().unwrap().event, Event::StepFailed { name: failed, .. } if failed == name));
        let logged = told.names(|e| if let Event::Log { line } = e { Some(line.clone()) } else { None });
        assert!(
            logged
                .iter()
                .any(|line| line.contains(&format!("letting go after {name}: ")) && line.contains("a second mistake"))
        );
    }
}

#[test]
fn a_failure_at_any_step_stops_there_and_undoes_what_was_started_in_reverse() {
    for (index, name) in all().into_iter().enumerate() {
        for part in [Part::Run, Part::Check] {
            let (options, told) = options(None);
            let mut machine = Machine { fails: Some((index, part)), ..Machine::default() };
            let failure = engine().run(&mut machine, &options).unwrap_err();
            assert!(
                matches!(&failure, Failure::Step { index: i, name: n, destructive, .. }
                    if *i == index && *n == name && *destructive == is_destructive(index)),
                "{failure}"
            );
            let started = &all()[..=index];
            let wanted: Vec<_> = started
                .iter()
                .map(|n| format!("run {n}"))
                .chain(started.iter().rev().map(|n| format!("undo {n}")))
                .collect();
            assert_eq!(machine.log, wanted);
            let failed =
                told.names(|e| if let Event::StepFailed { error, .. } = e { Some(error.clone()) } else { None });
            assert_eq!(failed.len(), 1);
            if part == Part::Run {
                assert_eq!(failed[0], "cannot do it (device /dev/sda)\n  What to do: Try again.");
            }
            let last = parse(options.journal.text().as_bytes()).unwrap().pop().unwrap();
            assert!(matches!(last.event, Event::StepFailed { .. }));
        }
    }
}

#[test]
fn a_cancel_counts_up_to_the_point_of_no_return_and_is_refused_after_it() {
    for index in 0..all().len() {
        let (options, told) = options(None);
        let mut machine = Machine { cancels: Some((index, Arc::clone(&options.cancel))), ..Machine::default() };
        let result = engine().run(&mut machine, &options);
        if is_destructive(index) {
            assert_eq!(result.unwrap(), Outcome::Complete);
            let refused = told.names(|e| if let Event::Log { line } = e { Some(line.clone()) } else { None });
            // Set during the last step, nobody is there to hear it.
            assert_eq!(refused.len(), usize::from(index + 1 < all().len()), "{refused:?}");
        } else {
            assert!(matches!(result, Err(Failure::Cancelled)));
            assert!(!machine.log.iter().any(|l| AFTER.iter().any(|a| l == &format!("run {a}"))));
            let events: Vec<_> = parse(options.journal.text().as_bytes()).unwrap();
            assert!(!events.iter().any(|r| r.event == Event::PointOfNoReturn));
            assert_eq!(events.last().unwrap().event, Event::Cancelled);
        }
    }
}

#[test]
fn stopping_after_a_step_leaves_everything_open() {
    for (index, name) in all().into_iter().enumerate() {
        let (options, _) = options(Some(name));
        let mut machine = Machine::default();
        assert_eq!(engine().run(&mut machine, &options).unwrap(), Outcome::Stopped);
        assert_eq!(machine.log.len(), index + 1);
        assert!(machine.log.iter().all(|l| l.starts_with("run")));
    }
    let (options, _) = options(Some("fly"));
    let failure = engine().run(&mut Machine::default(), &options).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "there is no step `fly`; the steps are look, compare, ask, clear, split, mirror, fill, close"
    );
}

#[test]
fn a_place_that_does_not_take_the_journal_is_named_and_not_used() {
    let journal = Journal::new();
    journal.append(&Event::PointOfNoReturn).unwrap();
    // Writes to /dev/full fail with "no space left".
    let error = journal.add(std::path::Path::new("/dev/full")).unwrap_err();
    assert_eq!(error.to_string(), "cannot write the journal /dev/full");
    journal.append(&Event::Cancelled).unwrap();
}

#[test]
fn a_journal_that_cannot_be_kept_stops_at_once_and_says_where() {
    // One record for the start, two for each step, one for the point of no return, one for the end.
    for kept in 0..=18 {
        let (mut options, _) = options(None);
        // A place that takes as much as is wanted, and no more from then on.
        let place = Arc::new(memfd_create("journal", MemfdFlags::ALLOW_SEALING).unwrap());
        options.journal.add(format!("/proc/self/fd/{}", place.as_raw_fd()).as_ref()).unwrap();
        let (journal, sealed) = (options.journal.clone(), Arc::clone(&place));
        let seal = move || {
            if journal.text().lines().count() == kept {
                fcntl_add_seals(&sealed, SealFlags::GROW).unwrap();
            }
        };
        seal();
        options.sink = Arc::new(move |_| seal());
        let mut machine = Machine::default();
        let failure = engine().run(&mut machine, &options).unwrap_err();
        let wanted = match kept {
            0 | 7 => (None, false),
            1..=6 => (Some(BEFORE[(kept - 1) / 2]), false),
            _ => (Some(AFTER[((kept - 8) / 2).min(4)]), true),
        };
        let Failure::Journal { step, destructive, .. } = &failure else { panic!("{kept}: {failure}") };
        assert_eq!((*step, *destructive), wanted, "{kept}");
        let ran = machine.log.iter().any(|l| AFTER.iter().any(|a| l == &format!("run {a}")));
        assert_eq!(ran, kept > 8, "{kept}");
        let text = failure.to_string();
        assert!(step.is_none_or(|s| text.contains(&format!(" at the step {s} "))), "{text}");
        assert!(text.contains(if *destructive { "unfinished" } else { "unchanged" }), "{text}");
    }
}

#[test]
fn a_place_added_late_has_the_whole_journal_and_a_removed_one_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (early, late) = (dir.path().join("a/early.jsonl"), dir.path().join("late.jsonl"));
    let journal = Journal::new();
    journal.add(&early).unwrap();
    journal.append(&Event::PointOfNoReturn).unwrap();
    journal.add(&late).unwrap();
    journal.append(&Event::Cancelled).unwrap();
    assert_eq!(std::fs::read(&early).unwrap(), std::fs::read(&late).unwrap());
    journal.remove(&late);
    journal.append(&Event::Complete { took_ms: 1 }).unwrap();
    assert_eq!(parse(&std::fs::read(&late).unwrap()).unwrap().len(), 2);
    assert_eq!(parse(&std::fs::read(&early).unwrap()).unwrap().len(), 3);
}

#[test]
fn a_journal_torn_at_any_byte_still_tells_what_was_whole() {
    let (options, _) = options(None);
    let mut machine = Machine { fails: Some((5, Part::Run)), ..Machine::default() };
    let _ = engine().run(&mut machine, &options);
    let text = options.journal.text();
    let whole = parse(text.as_bytes()).unwrap();
    for cut in 0..=text.len() {
        let lines = text[..cut].matches('\n').count();
        assert_eq!(parse(&text.as_bytes()[..cut]).unwrap(), whole[..lines]);
    }
    let damaged = text.replacen("{\"seq\":1,", "{\"seq\":x,", 1);
    assert!(parse(damaged.as_bytes()).unwrap_err().to_string().starts_with("line 2 "));
}

proptest! {
    /// Whatever goes wrong where: no destructive step runs before the point of no return is in the journal, each step
    /// that was started is undone exactly once if the run failed, and the sequence numbers have no gaps.
    #[test]
    fn the_journal_and_the_machine_agree(fails in proptest::option::of((0..8_usize, any::<bool>())), cancels in proptest::option::of(0..8_usize)) {
        let (options, _) = options(None);
        let mut machine = Machine {
            fails: fails.map(|(i, run)| (i, if run { Part::Run } else { Part::Check })),
            cancels: cancels.map(|i| (i, Arc::clone(&options.cancel))),
            ..Machine::default()
        };
        let result = engine().run(&mut machine, &options);
        let records = parse(options.journal.text().as_bytes()).unwrap();
        prop_assert!(records.iter().enumerate().all(|(i, r)| r.seq == i as u64));
        let no_return = records.iter().position(|r| r.event == Event::PointOfNoReturn);
        for (at, record) in records.iter().enumerate() {
            if let Event::StepStarted { index, .. } = record.event {
                prop_assert!(!is_destructive(index) || no_return.is_some_and(|n| n < at));
            }
        }
        let ran: Vec<_> = machine.log.iter().filter_map(|l| l.strip_prefix("run ")).collect();
        let undone: Vec<_> = machine.log.iter().filter_map(|l| l.strip_prefix("undo ")).rev().collect();
        if result.is_err() {
            prop_assert_eq!(ran, undone);
        } else {
            prop_assert!(undone.is_empty());
        }
    }
}
