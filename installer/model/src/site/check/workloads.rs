//! `[workloads]`: names of services, and where their certificates come from.

use std::collections::BTreeMap;

use super::Checker;
use crate::role::Catalogue;
use crate::site::error::Fault;
use crate::site::parse::{find, nearest, printable};
use crate::site::syntax;
use crate::workload::Workload;

impl Checker<'_, '_, '_, '_> {
    pub(super) fn workloads(&mut self) {
        let Some(section) = find(self.table, &["workloads"]) else { return };
        let span = section.span();
        // Where the roles are wrong, the check of [guests] has said so.
        let Ok(catalogue) = Catalogue::shipped() else { return };
        if find(self.table, &["guests"]).is_none() {
            let hint = "add [guests], or remove this section";
            self.errors.about(Fault::Wrong, "workloads").add(
                &span,
                "[workloads] is there, and [guests], whose machines would run them, is not",
                hint,
            );
        }
        let path = ["workloads", "acme_directory"];
        if let Some((url, span)) = self.text(&path) {
            let acme = self.text(&["workloads", "tls"]).is_some_and(|(tls, _)| tls == "acme");
            if !acme {
                self.wrong(&span, &path, "is for tls = \"acme\" only: remove it, or change workloads.tls");
            } else if let Err(what) = directory(url) {
                self.wrong(&span, &path, what);
            }
        }
        self.hosts(catalogue);
    }

    /// Names that a workload has, each its own.
    fn hosts(&mut self, catalogue: &Catalogue) {
        let known = catalogue.workloads().iter().filter(|workload| workload.http.is_some());
        let known: Vec<&str> = known.map(|workload| workload.name.as_str()).collect();
        let table = find(self.table, &["workloads", "hosts"]).and_then(|hosts| hosts.get_ref().as_table());
        for key in table.into_iter().flat_map(|table| table.keys()) {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let all = format!("services with a host name: {}", known.join(", "));
                let hint = nearest(name, known.iter().copied()).map_or(all, |near| format!("did you mean `{near}`?"));
                let message = format!("unknown workload `{}` in [workloads.hosts]", printable(name));
                let path = format!("workloads.hosts.{}", key.get_ref());
                self.errors.about(Fault::Unknown, path).add(&key.span(), message, hint);
            }
        }
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        let unnamed = |workload: &&Workload| self.text(&["workloads", "hosts", workload.name.as_str()]).is_none();
        if let Some(domain) = self.domain() {
            for workload in catalogue.workloads().iter().filter(unnamed) {
                if let Some(http) = &workload.http {
                    taken.insert(format!("{}.{domain}", http.host), workload.name.as_str());
                }
            }
        }
        for name in known {
            let path = ["workloads", "hosts", name];
            let (Some((host, span)), Some(())) = (self.text(&path), self.syntax(&path, syntax::fqdn)) else { continue };
            if let Some(other) = taken.insert(host.to_owned(), name) {
                self.wrong(&span, &path, &format!("is the host name of `{other}` too: give each service its own"));
            }
        }
    }

    /// The domain of the machines.
    fn domain(&self) -> Option<&str> {
        let inherited = || self.text(&["site", "fqdn"])?.0.split_once('.').map(|(_, domain)| domain);
        self.text(&["guests", "domain"]).map(|(domain, _)| domain).or_else(inherited)
    }
}

/// An ACME directory (RFC 8555, 7.1.1): HTTPS, and nothing that would end a text in a file of configuration.
fn directory(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/[]%+".contains(&b);
    if rest.is_some_and(|rest| rest.bytes().all(good)) {
        return Ok(());
    }
    Err("is no address of an ACME directory: write it as \"https://acme.example.org/directory\"")
}
