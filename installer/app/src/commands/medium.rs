//! `medium`: is the installation medium complete and unaltered?

use sovereign_model::exit::ExitCode;
use sovereign_steps::verify_medium;

use crate::cli::Medium;
use crate::failure::{Failure, OrFail};

pub fn run(args: &Medium) -> Result<ExitCode, Failure> {
    let manifest = verify_medium::read_manifest(&args.medium).or_fail(ExitCode::BadMedium)?;
    println!("{} {} ({}), build {}", manifest.version, manifest.edition, manifest.edition_label, manifest.build_id);
    for file in &manifest.files {
        verify_medium::verify_file(&args.medium, file, &mut |_| {}).or_fail(ExitCode::BadMedium)?;
        println!("  ok  {:>12}  {}", file.size.exact(), file.path);
    }
    println!("the medium is complete and unaltered");
    Ok(ExitCode::Done)
}
