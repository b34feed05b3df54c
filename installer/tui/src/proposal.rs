//! What the screens propose where no site file says anything.

use sovereign_model::role::{Catalogue, Network};
use sovereign_model::site::Draft;

/// The internal network: the host is the first of it, the machines come from the eleventh on (RFC 1918).
const INTERNAL: &str = "10.10.0";
/// The first machine's place in it.
const FIRST: usize = 11;

/// A site with the whole appliance: all machines, on an internal network of their own, their volumes within the pools.
pub(crate) fn site() -> Draft {
    let mut draft = Draft::default();
    draft.set("encryption.passphrase", "prompt");
    draft.set("network.mode", "static");
    draft.set("guests.deploy", true);
    draft.set("guests.ssd_overcommit", false);
    draft.set("network.internal_address", format!("{INTERNAL}.1/24"));
    let roles = Catalogue::shipped().map_or(&[][..], Catalogue::roles);
    for (index, role) in roles.iter().enumerate().filter(|(_, role)| role.is_on(Network::Internal)) {
        let address = format!("{INTERNAL}.{}", FIRST + index);
        draft.set(&format!("guests.roles.{}.internal_address", role.name), format!("{address}/24"));
        if role.is_on(Network::Public) {
            // The way out of the machines that have no other.
            draft.set("guests.internal_gateway", address);
        }
    }
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proposed_lacks_only_what_nobody_can_know() {
        let mut missing: Vec<String> = site().problems().into_iter().map(|p| p.about.path).collect();
        missing.sort();
        assert_eq!(missing, ["admin", "network.address", "site", "storage"]);
    }
}
