//! The sections about the node itself: `[host]`, `[updates]`, `[cluster]`, and the internal address of `[network]`.

use std::net::IpAddr;

use super::Checker;
use crate::bytes::Bytes;
use crate::site::parse::find;
use crate::site::{Size, syntax};

/// The least a host runs on.
const HOST_MEMORY_MIN: Bytes = Bytes::mib(512);

impl Checker<'_, '_, '_, '_> {
    /// `network.internal_address` and `network.ntp`.
    pub(super) fn internal_network(&mut self) {
        let path = ["network", "internal_address"];
        let internal = self.syntax(&path, syntax::cidr);
        let public = self.text(&["network", "address"]).and_then(|(text, _)| syntax::cidr(text).ok());
        if let (Some(internal), Some(public), Some((_, span))) = (internal, public, self.text(&path))
            && internal.overlaps(public)
        {
            let what = "is in the network of network.address: give the internal bridge a network of its own";
            self.wrong(&span, &path, what);
        }
        for (server, span) in self.texts(&["network", "ntp"]) {
            if let Err(what) = host(server) {
                self.wrong(&span, &["network", "ntp"], what);
            }
        }
    }

    pub(super) fn host(&mut self) {
        let path = ["host", "memory"];
        match self.size(&path) {
            Some((Size::Share(share), span)) if share > 5000 => {
                self.wrong(&span, &path, "leaves guests less than half of the RAM: write 50% or less");
            }
            Some((Size::Absolute(size), span)) if size < HOST_MEMORY_MIN => {
                self.wrong(&span, &path, "is below 512 MiB: the host does not run on less; 2GB is the default");
            }
            _ => {}
        }
        let path = ["host", "swap"];
        if let Some((Size::Share(_), span)) = self.size(&path) {
            let what = "is a share, and a swap volume is not sized by the disks: write a size, such as \"4GiB\"";
            self.wrong(&span, &path, what);
        }
    }

    pub(super) fn updates(&mut self) {
        self.syntax(&["updates", "debian"], archive);
        self.syntax(&["updates", "debian_security"], archive);
        self.syntax(&["updates", "subscription_file"], syntax::file_name);
    }

    pub(super) fn cluster(&mut self) {
        self.syntax(&["cluster", "name"], cluster_name);
        self.syntax(&["cluster", "peer"], host);
        self.syntax(&["cluster", "fingerprint"], fingerprint);
        self.syntax(&["cluster", "password_file"], syntax::file_name);
        self.syntax(&["cluster", "link0"], address);
        let mode = self.text(&["cluster", "mode"]);
        let word = mode.as_ref().map_or("none", |(word, _)| *word);
        let needed: &[(&str, &str)] = match word {
            "create" => &[("name", "add cluster.name, the name of the new cluster")],
            "join" => &[
                ("peer", "add cluster.peer, a node that is in the cluster"),
                (
                    "fingerprint",
                    "add cluster.fingerprint, as the peer shows it by `pvenode cert info` and in its web interface under Join Information",
                ),
                ("password_file", "add cluster.password_file, the name of a file on the answer medium"),
            ],
            _ => &[],
        };
        if let Some((_, span)) = &mode {
            for (key, remedy) in needed.iter().filter(|(key, _)| find(self.table, &["cluster", key]).is_none()) {
                let what = format!("is \"{word}\", but there is no cluster.{key}: {remedy}");
                self.lacks(span, &["cluster", "mode"], &format!("cluster.{key}"), &what);
            }
        }
        for (key, only) in [("name", "create"), ("peer", "join"), ("fingerprint", "join"), ("password_file", "join")] {
            let path = ["cluster", key];
            if let Some(value) = find(self.table, &path).filter(|_| word != only) {
                let what = format!("is for mode = \"{only}\" only: remove it, or change cluster.mode");
                self.wrong(&value.span(), &path, &what);
            }
        }
        let path = ["cluster", "link0"];
        if let Some(value) = find(self.table, &path).filter(|_| word == "none") {
            self.wrong(&value.span(), &path, "is for a node of a cluster: remove it, or set cluster.mode");
        }
        let dhcp = self.text(&["network", "mode"]).is_some_and(|(mode, _)| mode == "dhcp");
        if let Some((_, span)) = mode.filter(|_| word != "none" && dhcp) {
            // With DHCP the node's name stands for network.internal_address, on a bridge without uplink.
            let what = format!(
                "is \"{word}\", and with network.mode = \"dhcp\" the node has no address by which other nodes always reach it: set \
                 network.mode = \"static\" and network.address"
            );
            self.wrong(&span, &["cluster", "mode"], &what);
        }
    }
}

/// Address of an archive as APT takes it, without credentials: those belong into APT's auth.conf.
fn archive(url: &str) -> Result<(), &'static str> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/')) else {
        return Err("is no address of an archive: write it as \"http://mirror.example.org/debian\"");
    };
    if rest.contains('@') {
        return Err("holds a user name or password, and everybody on the machine may read it: leave them out");
    }
    if rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]%+".contains(&b)) {
        return Ok(());
    }
    Err("has a character that does not belong into an address: write it as \"http://mirror.example.org/debian\"")
}

/// A host by name or address.
fn host(host: &str) -> Result<(), &'static str> {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(label)) {
        return Ok(());
    }
    Err("is no host: write a name such as \"node1.example.org\", or an address")
}

fn address(address: &str) -> Result<(), &'static str> {
    match address.parse::<IpAddr>() {
        Ok(ip) => syntax::reachable(ip),
        Err(_) => Err("is no IP address: write it as \"192.0.2.10\", without prefix length"),
    }
}

/// Name of a corosync cluster, as `pvecm create` takes it.
fn cluster_name(name: &str) -> Result<(), &'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (1..=15).contains(&name.len()) && name.bytes().all(good) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(());
    }
    Err("is no cluster name: write 1 to 15 letters, digits and inner hyphens")
}

/// SHA-256 of a certificate, as Proxmox VE shows it.
fn fingerprint(text: &str) -> Result<(), &'static str> {
    let pairs: Vec<&str> = text.split(':').collect();
    if pairs.len() == 32 && pairs.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Ok(());
    }
    Err("is no SHA-256 fingerprint: copy all 32 pairs of digits with their colons from the peer")
}
