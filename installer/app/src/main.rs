//! `sovereign-installer`: the command line. It wires the model, the machine, the engine and the steps together, and
//! decides nothing.

mod answers;
mod approval;
mod cli;
mod commands;
mod consoles;
mod event_log;
mod failure;
mod findings;
mod hardening;
mod job;
mod logs;
mod prompt;
mod remote;
mod removable;
mod render;
mod screens;
mod secrets;
mod session;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sovereign_model::exit::ExitCode as ExitStatus;

use failure::OrFail;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let guarded = hardening::no_core_dumps().or_fail(ExitStatus::Internal);
    match guarded.and_then(|()| commands::run(cli.command)) {
        Ok(code) => code.into(),
        Err(failure) => {
            // The exit code says it too, where nobody reads standard error.
            let _ = writeln!(std::io::stderr(), "sovereign-installer: {failure}");
            failure.code.into()
        }
    }
}
