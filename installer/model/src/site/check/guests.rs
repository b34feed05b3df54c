//! `[guests]`: names of roles, addresses that go together, and figures that no machine has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use toml::de::DeValue;

use super::Checker;
use crate::role::{Catalogue, Network, Role};
use crate::site::error::Fault;
use crate::site::parse::{find, nearest, printable};
use crate::site::syntax::{self, Cidr};

/// The range of `cpu.weight` (Documentation/admin-guide/cgroup-v2.rst, "Weights").
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=10_000;

impl Checker<'_, '_, '_, '_> {
    pub(super) fn guests(&mut self) {
        let Some(section) = find(self.table, &["guests"]) else { return };
        let span = section.span();
        let catalogue = match Catalogue::shipped() {
            Ok(catalogue) => catalogue,
            Err(error) => {
                self.errors.add(&span, "the roles of this installer are wrong", error.to_string());
                return;
            }
        };
        self.guest_names(catalogue, &span);
        let known = catalogue.roles().iter().map(|role| role.name.as_str());
        let roles = find(self.table, &["guests", "roles"]).and_then(|roles| roles.get_ref().as_table());
        for key in roles.into_iter().flat_map(|roles| roles.keys()) {
            let name = key.get_ref().as_ref();
            if catalogue.role(name).is_none() {
                let all = format!("roles: {}", known.clone().collect::<Vec<_>>().join(", "));
                let hint = nearest(name, known.clone()).map_or(all, |near| format!("did you mean `{near}`?"));
                let message = format!("unknown role `{}` in [guests.roles]", printable(name));
                self.errors.about(Fault::Unknown, format!("guests.roles.{name}")).add(&key.span(), message, hint);
            }
        }
        for (server, span) in self.texts(&["guests", "dns"]) {
            if server.parse::<IpAddr>().is_err() {
                self.wrong(&span, &["guests", "dns"], "has an entry that is no IP address: write it as \"192.0.2.1\"");
            }
        }
        if let Some((_, span)) = self.text(&["storage", "ssd", "volumes"]).filter(|(volumes, _)| *volumes == "thick") {
            let what = "is \"thick\", and [guests] needs a thin pool on the SSDs, as templates and machines share their \
                        blocks: remove one of the two";
            self.wrong(&span, &["storage", "ssd", "volumes"], what);
        }
        for role in catalogue.roles() {
            self.figures(role);
            self.public_address(role);
        }
        self.internal_addresses(catalogue);
    }

    /// The machines' names: `guests.domain`, or that of `site.fqdn`.
    fn guest_names(&mut self, catalogue: &Catalogue, section: &Range<usize>) {
        let fqdn = self.text(&["site", "fqdn"]).map(|(fqdn, _)| fqdn);
        let given = self.text(&["guests", "domain"]);
        let inherited = || fqdn.and_then(|fqdn| fqdn.split_once('.')).map(|(_, domain)| (domain, section.clone()));
        let Some((domain, span)) = given.clone().or_else(inherited) else { return };
        for role in catalogue.roles() {
            let name = format!("{}.{domain}", role.name);
            if given.is_some()
                && let Err(what) = syntax::fqdn(&name)
            {
                let (what, hint) = what.split_once(": ").unwrap_or((what, "write a domain such as \"example.org\""));
                self.errors.about(Fault::Wrong, "guests.domain").add(&span, format!("`guests.domain` {what}"), hint);
                return;
            }
            if fqdn == Some(name.as_str()) {
                let hint = "call the host otherwise in site.fqdn, or give the machines another guests.domain";
                let path = if given.is_some() { "guests.domain" } else { "site.fqdn" };
                self.errors.about(Fault::Wrong, path).add(
                    &span,
                    format!("the machine of role {} would have the host's name, {name}", role.name),
                    hint,
                );
            }
        }
    }

    fn figures(&mut self, role: &Role) {
        let name = role.name.as_str();
        let path = ["guests", "roles", name, "vcpus"];
        if let Some((_, span)) = self.number(&path).filter(|(vcpus, _)| *vcpus == 0) {
            self.wrong(&span, &path, "is 0, and a machine needs a CPU: write 1 or more");
        }
        let path = ["guests", "roles", name, "cpu_weight"];
        if let Some((_, span)) = self.number(&path).filter(|(weight, _)| !WEIGHTS.contains(weight)) {
            self.wrong(&span, &path, "is out of range: write 1 to 10000");
        }
        let path = ["guests", "roles", name, "hdd"];
        if let Some(value) = find(self.table, &path) {
            if role.volumes.data.is_none() {
                self.wrong(&value.span(), &path, "is for roles with a data volume only: remove it");
            } else if find(self.table, &["storage", "hdd"]).is_none() {
                let what =
                    "is given, and there is no [storage.hdd]: remove it; the data volume is on the SSD pool then";
                self.wrong(&value.span(), &path, what);
            }
        }
    }

    fn public_address(&mut self, role: &Role) {
        let name = role.name.as_str();
        let (address, gateway) =
            (["guests", "roles", name, "public_address"], ["guests", "roles", name, "public_gateway"]);
        if !role.is_on(Network::Public) {
            for path in [&address, &gateway] {
                if let Some(value) = find(self.table, path) {
                    self.wrong(&value.span(), path, "is for roles on the public network only: remove it");
                }
            }
            return;
        }
        let dhcp = self.text(&address).is_none_or(|(address, _)| address == "dhcp");
        let cidr = if dhcp { None } else { self.syntax(&address, syntax::cidr) };
        if let (Some(cidr), Some((_, span)), Some(host)) =
            (cidr, self.text(&address), self.cidr(&["network", "address"]))
            && cidr.address() == host.address()
        {
            self.wrong(&span, &address, "is network.address, the host's own: give the machine one of its own");
        }
        if let Some((text, span)) = self.text(&gateway) {
            match (text.parse::<IpAddr>(), cidr) {
                _ if dhcp => {
                    let what = "is for a static public_address only: remove it, as DHCP brings one";
                    self.wrong(&span, &gateway, what);
                }
                (Err(_), _) => {
                    self.wrong(&span, &gateway, "is no IP address: write it as \"192.0.2.1\", without prefix length");
                }
                (Ok(router), Some(cidr)) => {
                    if let Err(what) = cidr.gateway(router, &address.join(".")) {
                        self.wrong(&span, &gateway, &what);
                    }
                }
                (Ok(_), None) => {}
            }
        }
    }

    /// All are in one network, each is another, and none is the host's.
    fn internal_addresses(&mut self, catalogue: &Catalogue) {
        let own = ["network", "internal_address"];
        let public = self.cidr(&["network", "address"]);
        let mut taken: BTreeMap<IpAddr, String> = BTreeMap::new();
        let mut first: Option<(Cidr, String)> = self.cidr(&own).map(|cidr| (cidr, own.join(".")));
        if let Some((cidr, key)) = &first {
            taken.insert(cidr.address(), key.clone());
        }
        let deploy = find(self.table, &["guests", "deploy"]);
        let deploy = deploy.filter(|value| matches!(value.get_ref(), DeValue::Boolean(true))).map(toml::Spanned::span);
        for role in catalogue.roles() {
            let path = ["guests", "roles", role.name.as_str(), "internal_address"];
            let key = path.join(".");
            let Some((_, span)) = self.text(&path) else {
                if let Some(deploy) = deploy.as_ref().filter(|_| role.is_on(Network::Internal)) {
                    let what = format!("is true, and the machine of role {} has no address: add {key}", role.name);
                    self.lacks(deploy, &["guests", "deploy"], &key, &what);
                }
                continue;
            };
            if !role.is_on(Network::Internal) {
                self.wrong(&span, &path, "is for roles on the internal network only: remove it");
                continue;
            }
            let Some(cidr) = self.syntax(&path, syntax::cidr) else { continue };
            if let Some(other) = taken.insert(cidr.address(), key.clone()) {
                self.wrong(&span, &path, &format!("is {other} too: give each its own address"));
            }
            match &first {
                Some((other, whose)) if !cidr.is_same_network(*other) => {
                    let what =
                        format!("is not in the network of {whose}: machines on vmbr1 reach one another in one network");
                    self.wrong(&span, &path, &what);
                }
                Some(_) => {}
                None => first = Some((cidr, key.clone())),
            }
            if public.is_some_and(|public| cidr.overlaps(public)) {
                let what = "is in the network of network.address: give the internal bridge a network of its own";
                self.wrong(&span, &path, what);
            }
        }
        self.internal_gateway(catalogue);
    }

    fn internal_gateway(&mut self, catalogue: &Catalogue) {
        let path = ["guests", "internal_gateway"];
        let Some((text, span)) = self.text(&path) else { return };
        let Ok(gateway) = text.parse::<IpAddr>() else {
            self.wrong(&span, &path, "is no IP address: write it as \"10.10.0.1\", without prefix length");
            return;
        };
        // A role that is on the public network too has its default route there.
        for role in catalogue.roles().iter().filter(|role| !role.is_on(Network::Public)) {
            let key = ["guests", "roles", role.name.as_str(), "internal_address"];
            if let Some(Err(what)) = self.cidr(&key).map(|cidr| cidr.gateway(gateway, &key.join("."))) {
                self.wrong(&span, &path, &what);
                return;
            }
        }
    }

    /// An address that is right.
    fn cidr(&self, path: &[&str]) -> Option<Cidr> {
        syntax::cidr(self.text(path)?.0).ok()
    }
}
