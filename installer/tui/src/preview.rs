//! A plan before everything is answered: what is not about disks and sizes stands in for itself.

use sovereign_model::plan::{self, NoPlan, Plan};
use sovereign_model::site::Draft;

use crate::state::Known;

/// What of the answers decides about disks and sizes.
const KEPT: [&str; 4] = ["storage", "host", "guests.ssd_overcommit", "guests.roles"];
/// What of a role does not.
const ADDRESSES: [&str; 3] = ["internal_address", "public_address", "public_gateway"];

/// The plan that the answers so far make of this machine's disks, memory and processors, whatever is still open elsewhere. `None` where the machine
/// is not known, or an answer about disks or sizes is missing or wrong.
pub(crate) fn plan(known: &Known, draft: &Draft) -> Option<Result<Plan, NoPlan>> {
    let inventory = known.machine()?;
    let mut site = Draft::default();
    if draft.get("guests").is_some() {
        site.set("guests.deploy", false);
    }
    for path in KEPT {
        if let Some(value) = draft.get(path) {
            site.set(path, value.clone());
        }
    }
    let roles: Vec<String> = site.sections("guests.roles").into_iter().map(str::to_owned).collect();
    for (role, key) in roles.iter().flat_map(|role| ADDRESSES.map(|key| (role, key))) {
        site.remove(&format!("guests.roles.{role}.{key}"));
    }
    for (path, value) in [
        ("site.name", "preview"),
        ("site.fqdn", "preview.example.org"),
        ("admin.email", "root@localhost"),
        ("network.mode", "dhcp"),
        ("encryption.passphrase", "prompt"),
    ] {
        site.set(path, value);
    }
    if let Some(nic) = inventory.nics.first() {
        site.set("network.mac", nic.mac.as_str());
    }
    Some(plan::make(&site.site().ok()?, inventory))
}
