//! `medium`: is the installation medium complete and unaltered?

use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_model::medium::EMBEDDED_SITE_PATH;
use sovereign_steps::verify_medium;

use crate::answers;
use crate::cli::Medium;
use crate::failure::{Failure, OrFail};

pub fn run(args: &Medium) -> Result<ExitCode, Failure> {
    let mut printed = Ok(());
    verify(&args.medium, &mut |line| {
        if printed.is_ok() {
            printed = super::print(line);
        }
    })?;
    printed.map(|()| ExitCode::Done)
}

/// Checks every file of the manifest, saying each.
pub fn verify(medium: &Path, say: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    let manifest = verify_medium::read_manifest(medium).or_fail(ExitCode::BadMedium)?;
    say(&format!(
        "{} {} ({}), build {}",
        manifest.version, manifest.edition, manifest.edition_label, manifest.build_id
    ));
    for file in &manifest.files {
        verify_medium::verify_file(medium, file, &mut |_| true).or_fail(ExitCode::BadMedium)?;
        say(&format!("  ok  {:>12}  {}", file.size.exact(), file.path));
    }
    if answers::embedded(medium)?.is_some() {
        say(&format!("  ok  {EMBEDDED_SITE_PATH}, the embedded site file"));
    }
    say("the medium is complete and unaltered");
    Ok(())
}
