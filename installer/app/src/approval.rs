//! A plan that was approved elsewhere, by its hash: it alone is carried out.

use std::path::PathBuf;

use sovereign_model::exit::ExitCode;
use sovereign_model::plan::{NotAHash, Plan, PlanHash};
use sovereign_system::input;

use crate::answers::AnswerMedium;
use crate::failure::{Failure, OrFail};

/// Name of a file on an answer medium that holds the hash of the plan that was approved, as `plan --hash` prints it.
const APPROVED: &str = "plan-hash";
/// Most bytes of it.
const MAX_APPROVED: u64 = 4096;

/// The hash of the plan that was approved, where an answer medium holds one: the installation then makes that plan or none.
///
/// # Errors
/// It is no hash, cannot be read, or is on more than one medium: exit code 2.
pub fn given(media: &[AnswerMedium]) -> Result<Option<PlanHash>, Failure> {
    let mut with: Vec<PathBuf> = Vec::new();
    for path in media.iter().map(|m| m.mount.join(APPROVED)) {
        // A medium that cannot be read may hold one.
        if path.try_exists().or_fail(ExitCode::BadInput)? {
            with.push(path);
        }
    }
    let path = match &with[..] {
        [] => return Ok(None),
        [one] => one,
        _ => {
            let message =
                format!("a file `{APPROVED}` is on more than one answer medium.\nRemove all but one and start again.");
            return Err(Failure::new(ExitCode::BadInput, message));
        }
    };
    let bytes = input::read(path, MAX_APPROVED).or_fail(ExitCode::BadInput)?;
    let hash = String::from_utf8_lossy(&bytes).trim().parse();
    hash.map(Some).map_err(|error: NotAHash| {
        Failure::new(ExitCode::BadInput, format!("the file `{APPROVED}` on the answer medium is wrong: {error}"))
    })
}

/// Whether the plan is the one that was approved, where one was.
///
/// # Errors
/// It is another one: exit code 3, with both hashes.
pub fn check(approved: Option<&PlanHash>, plan: &Plan) -> Result<(), Failure> {
    match approved.filter(|hash| !hash.is_of(plan)) {
        None => Ok(()),
        Some(hash) => Err(Failure::new(
            ExitCode::NoPlan,
            format!(
                "the plan for this machine is not the one that was approved; nothing was written\n  approved {hash}\n  this one {}\n\
                 It is shown above. Compare it with the approved one (`sovereign-installer plan --tree` with the same site file and the \
                 inventory that the approval was given for): disks, what is on them, firmware, memory, interfaces and the site file itself \
                 are in the hash. Then approve this one, or correct the machine.",
                plan.hash()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sovereign_model::plan::make;
    use sovereign_model::site::parse::parse;

    use super::*;

    #[test]
    fn the_approved_plan_alone_is_carried_out() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans/no-hdd");
        let read = |name| fs::read_to_string(folder.join(name)).unwrap();
        let site = parse(&read("site.toml"), "no-hdd").unwrap();
        let plan = make(&site, &serde_json::from_str(&read("inventory.json")).unwrap()).unwrap();
        check(None, &plan).unwrap();
        check(Some(&plan.hash().to_uppercase().parse().unwrap()), &plan).unwrap();
        let other = "0".repeat(64);
        let failure = check(Some(&other.parse().unwrap()), &plan).unwrap_err();
        assert_eq!(failure.code, ExitCode::NoPlan);
        let said = failure.to_string();
        assert!(said.contains(&other) && said.contains(&plan.hash()) && said.contains("nothing was written"), "{said}");
    }

    #[test]
    fn the_hash_of_an_approved_plan_is_one_line_on_one_medium() {
        let dir = tempfile::tempdir().unwrap();
        let media = ["sdb", "sdc"].map(|name| {
            let mount = dir.path().join(name);
            fs::create_dir(&mount).unwrap();
            AnswerMedium { device: format!("/dev/{name}"), mount }
        });
        assert_eq!(given(&media).unwrap(), None);
        let hash = "0123456789abcdef".repeat(4);
        fs::write(media[1].mount.join(APPROVED), format!("{hash}\r\n")).unwrap();
        assert_eq!(given(&media).unwrap().unwrap().to_string(), hash);
        for wrong in ["", "\n", "plan", &format!("{hash}\n{hash}")] {
            fs::write(media[1].mount.join(APPROVED), wrong).unwrap();
            let failure = given(&media).unwrap_err();
            assert!(failure.code == ExitCode::BadInput && failure.to_string().contains("64 hexadecimal"), "{failure}");
        }
        fs::write(media[0].mount.join(APPROVED), &hash).unwrap();
        assert!(given(&media).unwrap_err().to_string().contains("more than one"));
    }
}
