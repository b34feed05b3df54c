//! `check`: is this site file right?

use sovereign_model::exit::ExitCode;

use crate::cli::SiteArg;
use crate::failure::Failure;

pub fn run(args: &SiteArg) -> Result<ExitCode, Failure> {
    let site = super::read_site(&args.site)?;
    super::print(&format!("{}: valid; {} ({})", args.site.display(), site.site.name, site.site.fqdn))?;
    Ok(ExitCode::Done)
}
