//! What a guest's file system has of the site: its firewall with the peers' addresses, time zone, time servers, sources of updates. What is
//! one machine's own (name, keys, addresses) comes from its cloud-init drive.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use sovereign_engine::StepError;
use sovereign_model::firewall::{self, Addresses};
use sovereign_model::plan::{Addressing, Guest, Guests};
use sovereign_model::role::{Catalogue, Network};

use crate::configure::{time_sources, update_sources};
use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PUBLIC};

/// Writes it to the tree at `folder`.
///
/// # Errors
/// The file system refuses, or the role is none of those that were compiled in.
pub fn write(context: &Context, guest: &Guest, folder: &Path) -> Result<(), StepError> {
    let catalogue = Catalogue::shipped().or_step("the installer's roles are not valid")?;
    let role = catalogue
        .role(guest.role.as_str())
        .ok_or_else(|| StepError::new(format!("the installer has no role `{}`", guest.role)))?;
    let rules = firewall::rules(role, catalogue, &addresses(context)?);
    files::write(&folder.join(firewall::RULES_PATH), rules.as_bytes(), 0o600)?;

    let site = &context.plan.site;
    files::link(&folder.join("etc/localtime"), &format!("/usr/share/zoneinfo/{}", site.site.timezone))?;
    files::write(&folder.join("etc/timezone"), format!("{}\n", site.site.timezone).as_bytes(), PUBLIC)?;
    for (path, text) in [
        ("etc/chrony/sources.d/sovereign.sources", time_sources(&site.network.ntp)),
        ("etc/apt/sources.list.d/debian.sources", update_sources(&site.updates, &context.manifest.suite)),
    ] {
        if !text.is_empty() {
            files::write(&folder.join(path), text.as_bytes(), PUBLIC)?;
        }
    }
    Ok(())
}

fn addresses(context: &Context) -> Result<Addresses, StepError> {
    let host = context.plan.site.network.internal_address.as_deref().and_then(cidr);
    let roles = internal(context.guests()?);
    let network = host.or_else(|| roles.values().next().copied());
    Ok(Addresses {
        network,
        host: host.map(|(address, _)| address),
        roles: roles.into_iter().map(|(role, (address, _))| (role, address)).collect(),
    })
}

/// The machines' addresses on the internal network with the length of its prefix, by role.
fn internal(guests: &Guests) -> BTreeMap<sovereign_model::role::Name, (IpAddr, u8)> {
    let address = |guest: &Guest| {
        guest.interfaces.iter().filter(|interface| interface.network == Network::Internal).find_map(|interface| {
            match &interface.address {
                Addressing::Static { address, .. } => cidr(address),
                Addressing::Dhcp | Addressing::None => None,
            }
        })
    };
    guests.guests.iter().filter_map(|guest| Some((guest.role.clone(), address(guest)?))).collect()
}

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, prefix.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn a_guest_lets_in_its_peers_by_the_addresses_of_the_site() {
        let target = tempfile::tempdir().unwrap();
        let (context, _) = context("reference", target.path());
        for guest in &context.plan.guests.clone().unwrap().guests {
            let folder = target.path().join(guest.role.as_str());
            write(&context, guest, &folder).unwrap();
            let rules = std::fs::read_to_string(folder.join(firewall::RULES_PATH)).unwrap();
            insta::assert_snapshot!(format!("{}-rules", guest.role), rules);
            let zone = std::fs::read_link(folder.join("etc/localtime")).unwrap();
            assert_eq!(zone.to_str().unwrap(), format!("/usr/share/zoneinfo/{}", context.plan.site.site.timezone));
        }
    }
}
