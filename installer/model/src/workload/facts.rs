//! What templates of workloads are made from: the site's domain, host names, addresses, and which workloads there are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Workload;
use crate::plan::{Addressing, Guest, Guests};
use crate::role::{Catalogue, Name, Network};
use crate::site::{Site, Tls};

/// Where certificates come from if the site says nothing (RFC 8555; Let's Encrypt's directory).
pub const ACME_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// See the module.
#[derive(Debug, Clone)]
pub struct Facts<'c> {
    /// All there can be.
    pub catalogue: &'c Catalogue,
    /// The workloads whose images are there, in the catalogue's order.
    pub present: Vec<&'c Workload>,
    /// The site's domain.
    pub domain: String,
    /// Where the machine sends its mail, and who gets that of certificate authorities.
    pub email: String,
    /// Where certificates come from.
    pub tls: Tls,
    /// The ACME directory, with [`Tls::Acme`].
    pub acme_directory: String,
    /// Host names of workloads that have one, by name.
    pub hosts: BTreeMap<Name, String>,
    /// Addresses of machines, by role.
    pub roles: BTreeMap<Name, Addresses>,
}

/// A machine's addresses, as far as the site gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// On the internal network.
    pub internal: Option<IpAddr>,
    /// On the public network.
    pub public: Option<IpAddr>,
}

impl<'c> Facts<'c> {
    /// What `site` and its plan say. `is_present` tells whether the image of a workload is there.
    pub fn new(site: &Site, guests: &Guests, catalogue: &'c Catalogue, is_present: impl Fn(&Workload) -> bool) -> Self {
        let domain = guests.guests.first().and_then(|guest| guest.fqdn.split_once('.')).map(|(_, domain)| domain);
        let domain = domain.unwrap_or_default().to_owned();
        let asked = site.workloads.clone().unwrap_or_default();
        let host = |workload: &Workload| {
            let http = workload.http.as_ref()?;
            let host = asked.hosts.get(workload.name.as_str()).cloned();
            Some((workload.name.clone(), host.unwrap_or_else(|| format!("{}.{domain}", http.host))))
        };
        Self {
            catalogue,
            present: catalogue.workloads().iter().filter(|workload| is_present(workload)).collect(),
            email: site.admin.email.clone(),
            tls: asked.tls,
            acme_directory: asked.acme_directory.unwrap_or_else(|| ACME_DIRECTORY.to_owned()),
            hosts: catalogue.workloads().iter().filter_map(host).collect(),
            roles: guests.guests.iter().map(|guest| (guest.role.clone(), addresses(guest))).collect(),
            domain,
        }
    }

    /// The host name of a workload, if it has one.
    pub fn host(&self, workload: &Workload) -> Option<&str> {
        self.hosts.get(&workload.name).map(String::as_str)
    }

    /// Every host name that a workload which is there answers, sorted; the domain itself is among them if one does.
    pub fn all_hosts(&self) -> Vec<String> {
        let with_http = self.present.iter().filter_map(|workload| Some((workload, workload.http.as_ref()?)));
        let mut hosts: Vec<String> = with_http
            .flat_map(|(workload, http)| {
                let domain = (!http.domain_paths.is_empty()).then(|| self.domain.clone());
                self.host(workload).map(str::to_owned).into_iter().chain(domain)
            })
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The workloads of a role that are there.
    pub fn of_role<'f>(&'f self, role: &'f str) -> impl Iterator<Item = &'c Workload> + 'f {
        self.present.iter().copied().filter(move |workload| workload.role.as_str() == role)
    }
}

fn addresses(guest: &Guest) -> Addresses {
    let on = |network: Network| {
        guest.interfaces.iter().filter(|interface| interface.network == network).find_map(|interface| match &interface
            .address
        {
            Addressing::Static { address, .. } => address.split_once('/')?.0.parse().ok(),
            Addressing::Dhcp | Addressing::None => None,
        })
    };
    Addresses { internal: on(Network::Internal), public: on(Network::Public) }
}
