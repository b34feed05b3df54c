//! `plan`: what would be done?

use sovereign_model::exit::ExitCode;
use sovereign_model::plan::{Charset, make};
use sovereign_system::probe;
use sovereign_system::runner::Host;

use crate::cli::Plan;
use crate::failure::{Failure, OrFail};

pub fn run(args: &Plan) -> Result<ExitCode, Failure> {
    let site = super::read_site(&args.site.site)?;
    let inventory = match &args.inventory {
        Some(path) => probe::load_inventory(path).or_fail(ExitCode::BadInput)?,
        None => probe::probe(&Host).or_fail(ExitCode::Internal)?.1,
    };
    let plan = make(&site, &inventory)
        .map_err(|refusal| Failure::new(ExitCode::NoPlan, format!("no plan can be made\n{refusal}")))?;
    let charset = if args.ascii { Charset::Ascii } else { Charset::Unicode };
    if args.json {
        // The hash goes beside the plan, not into it: it is computed from it.
        let json = serde_json::json!({ "hash": plan.hash(), "plan": plan });
        println!("{}", serde_json::to_string_pretty(&json).or_fail(ExitCode::Internal)?);
    } else {
        print!("{}", plan.tree_in(charset));
        if !args.tree {
            println!();
            print!("{}", plan.topology_in(charset));
        }
        println!("\nplan {}", plan.hash());
    }
    Ok(ExitCode::Done)
}
