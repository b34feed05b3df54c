//! One file a command.

mod auto;
mod check;
mod install;
mod medium;
mod plan;
mod probe;
mod status;

use std::fs;
use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_model::site::{Site, parse};

use crate::cli::Command;
use crate::failure::Failure;

/// Runs a command; the exit code says how it went where it is not an error.
///
/// # Errors
/// With a message for a person and the exit code.
pub fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Schema => {
            println!("{}", sovereign_model::site::schema());
            Ok(ExitCode::Done)
        }
        Command::Probe(args) => probe::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Auto(args) => auto::run(&args),
        Command::Medium(args) => medium::run(&args),
        Command::Status(args) => status::run(&args),
    }
}

/// Reads a site file, or says everything that is wrong with it.
fn read_site(path: &Path) -> Result<Site, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(ExitCode::BadInput, format!("cannot read the site file {}: {error}", path.display()))
    })?;
    parse::parse(&text, &path.display().to_string())
        .map_err(|errors| Failure::new(ExitCode::BadInput, format!("the site file is not valid\n{errors}")))
}
