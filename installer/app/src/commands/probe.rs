//! `probe`: what is there?

use std::fs;

use sovereign_model::exit::ExitCode;
use sovereign_system::probe::{self, Depth};
use sovereign_system::runner::Host;

use crate::cli::Probe;
use crate::failure::{Failure, OrFail};

pub fn run(args: &Probe) -> Result<ExitCode, Failure> {
    let (mut captures, mut inventory) = probe::probe(&Host, Depth::Whole).or_fail(ExitCode::Internal)?;
    if args.redact {
        captures = probe::redact(&captures);
        inventory = probe::inventory(&captures).or_fail(ExitCode::Internal)?;
    }
    super::tell_remarks(&captures);
    if let Some(dir) = &args.save {
        if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::new(
                ExitCode::BadInput,
                format!("{} is there already and is not empty: name a new folder", dir.display()),
            ));
        }
        captures.save(dir).or_fail(ExitCode::Internal)?;
        let json = serde_json::to_string_pretty(&inventory).or_fail(ExitCode::Internal)?;
        fs::write(dir.join(probe::INVENTORY_FILE), json).or_fail(ExitCode::Internal)?;
    }
    if args.json {
        super::print_data(&serde_json::to_string_pretty(&inventory).or_fail(ExitCode::Internal)?)?;
    } else {
        super::print(&probe::report::describe(&inventory))?;
    }
    Ok(ExitCode::Done)
}
