//! `pmxcfs`: what is in a node's configuration database, and does Proxmox take it?

use serde::Serialize;
use sovereign_model::exit::ExitCode;
use sovereign_proxmox::pmxcfs::{self, Database, Problem, Severity};

use crate::cli::{DatabaseArg, Pmxcfs};
use crate::failure::{Failure, OrFail};

pub fn run(command: &Pmxcfs) -> Result<ExitCode, Failure> {
    match command {
        Pmxcfs::Dump(args) => dump(args),
        Pmxcfs::Check(args) => check(args),
    }
}

fn read(args: &DatabaseArg) -> Result<Database, Failure> {
    pmxcfs::read(&args.database).or_fail(ExitCode::BadInput)
}

fn json(value: &impl Serialize) -> Result<(), Failure> {
    super::print_data(&serde_json::to_string_pretty(value).or_fail(ExitCode::Internal)?)
}

fn dump(args: &DatabaseArg) -> Result<ExitCode, Failure> {
    let database = read(args)?;
    if args.json {
        json(&pmxcfs::listing(&database))?;
    } else {
        super::print(&pmxcfs::dump(&database))?;
    }
    Ok(ExitCode::Done)
}

/// What `check --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
}

fn check(args: &DatabaseArg) -> Result<ExitCode, Failure> {
    let database = read(args)?;
    let problems = pmxcfs::check(&database);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    if args.json {
        json(&Report { errors, warnings, problems: &problems })?;
    } else {
        let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        super::print(&format!("{lines}{}", summary(&database, &problems)))?;
    }
    Ok(if errors > 0 { ExitCode::BadDatabase } else { ExitCode::Done })
}

fn summary(database: &Database, problems: &[Problem]) -> String {
    let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let (errors, warnings, guests_alone) =
        (errors.len(), problems.len() - errors.len(), errors.iter().all(|problem| problem.rule.is_of_guests()));
    let verdict = match (errors, warnings) {
        (0, 0) => "nothing wrong",
        (0, _) => "Proxmox loads it, but see the warnings",
        _ if guests_alone => "Proxmox loads it, but not all of its guests as they are written",
        _ => "do not start Proxmox on it",
    };
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    // The version counter is no entry.
    let entries = database.rows.iter().filter(|row| row.inode() != Some(0)).count();
    let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
    format!("{entries}: {}, {}: {verdict}", plural(errors, "error"), plural(warnings, "warning"))
}
