//! One file a command.

mod auto;
mod bare_pools;
mod boot_words;
mod check;
mod first_boot;
mod guest_volumes;
mod install;
mod medium;
mod memory_encryption;
mod plan;
mod pmxcfs;
mod probe;
mod rejoin;
mod rescue;
mod status;

use std::fs;
use std::io::Write;
use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_model::installed::PLAN;
use sovereign_model::plan::Plan;
use sovereign_model::site::{Site, parse};
use sovereign_model::text::seen;
use sovereign_system::input;
use sovereign_system::probe::Captures;

use crate::cli::Command;
use crate::failure::{Failure, OrFail};

/// Most bytes of a site file.
const MAX_SITE: u64 = 4 << 20;

/// Runs a command; the exit code says how it went where it is not an error.
///
/// # Errors
/// With a message for a person and the exit code.
pub fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Schema => {
            print_data(&sovereign_model::site::schema())?;
            Ok(ExitCode::Done)
        }
        Command::Probe(args) => probe::run(&args),
        Command::MemoryEncryption(args) => memory_encryption::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Auto(args) => auto::run(&args),
        Command::Rescue(args) => rescue::run(&args),
        Command::Medium(args) => medium::run(&args),
        Command::Status(args) => status::run(&args),
        Command::FirstBoot(args) => first_boot::run(&args),
        Command::Pmxcfs(command) => pmxcfs::run(&command),
    }
}

/// Prints lines for people on standard output.
///
/// # Errors
/// As [`print_data`].
fn print(text: &str) -> Result<(), Failure> {
    print_data(&seen(text))
}

/// Prints on standard output what programs read, as it is. Whoever reads it may have seen enough (`| head`): that is a command that is done.
///
/// # Errors
/// Standard output cannot be written for another reason, such as a full disk.
fn print_data(text: &str) -> Result<(), Failure> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitCode::Internal, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The plan this machine was installed by.
///
/// # Errors
/// There is none: this is no installed appliance.
fn installed_plan() -> Result<Plan, Failure> {
    let text = fs::read_to_string(PLAN).map_err(|error| {
        Failure::new(ExitCode::BadInput, format!("cannot read {PLAN}: {error}; is this an installed appliance?"))
    })?;
    serde_json::from_str(&text).or_fail(ExitCode::BadInput)
}

/// What the probe could not find out, on standard error.
fn tell_remarks(captures: &Captures) {
    for remark in captures.remarks() {
        // Nobody is left to be told that nobody listens.
        let _ = writeln!(std::io::stderr(), "remark: {}", seen(remark));
    }
}

/// Reads a site file, or says everything that is wrong with it.
fn read_site(path: &Path) -> Result<Site, Failure> {
    let bytes = input::read(path, MAX_SITE).or_fail(ExitCode::BadInput)?;
    parse::parse_bytes(&bytes, &path.display().to_string())
        .map_err(|errors| Failure::new(ExitCode::BadInput, format!("the site file is not valid\n{errors}")))
}
