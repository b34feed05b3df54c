//! `plan`: what would be done?

use sovereign_model::exit::ExitCode;
use sovereign_model::plan::{Charset, make, preview};
use sovereign_system::probe::{self, Depth};
use sovereign_system::runner::Host;

use crate::cli::Plan;
use crate::failure::{Failure, OrFail};

pub fn run(args: &Plan) -> Result<ExitCode, Failure> {
    let site = super::read_site(&args.site.site)?;
    let (captures, inventory) = match &args.inventory {
        Some(path) => probe::load(path).or_fail(ExitCode::BadInput)?,
        None => probe::probe(&Host, Depth::Whole).or_fail(ExitCode::Internal)?,
    };
    super::tell_remarks(&captures);
    // A hash is for an installation, and must not be that of a plan which an installation refuses.
    let plan = if args.hash { make(&site, &inventory) } else { preview(&site, &inventory) };
    let plan = plan.map_err(|refusal| Failure::new(ExitCode::NoPlan, format!("no plan can be made\n{refusal}")))?;
    let charset = if args.ascii { Charset::Ascii } else { Charset::Unicode };
    if args.hash {
        super::print_data(&plan.hash())?;
    } else if args.json {
        // The hash goes beside the plan, not into it: it is computed from it.
        let json = serde_json::json!({ "hash": plan.hash(), "plan": plan });
        super::print_data(&serde_json::to_string_pretty(&json).or_fail(ExitCode::Internal)?)?;
    } else {
        let picture = if args.tree { String::new() } else { format!("\n{}", plan.topology_in(charset)) };
        super::print(&format!("{}{picture}\nplan {}", plan.tree_in(charset), plan.hash()))?;
    }
    Ok(ExitCode::Done)
}
