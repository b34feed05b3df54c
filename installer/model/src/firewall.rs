//! A guest's firewall: rules of nftables, made from its role. The image has them for a machine whose peers' addresses nobody knows yet;
//! where the site gives addresses, the installer writes the file again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::role::{Catalogue, Name, Network, Port, PortRange, Role, Source};

/// Where the rules are on a guest, relative to its root; `/etc/nftables.conf` there includes the file.
pub const RULES_PATH: &str = "etc/nftables.d/role.nft";

/// What is known about the internal network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The network itself: an address in it, and the length of its prefix.
    pub network: Option<(IpAddr, u8)>,
    /// The host's address there.
    pub host: Option<IpAddr>,
    /// Addresses of machines there, by role.
    pub roles: BTreeMap<Name, IpAddr>,
}

/// The rules of a role's machine. A peer whose address is not known is anybody on the internal network.
pub fn rules(role: &Role, catalogue: &Catalogue, addresses: &Addresses) -> String {
    let rules = Rules { role, catalogue, addresses };
    let services: String = role.ports.iter().filter(|port| port.forward.is_none()).map(|p| rules.service(p)).collect();
    let mut text = format!(
        "# Firewall of the role {name}, made from its role.toml: what is not named here does not come in.\n\
         table inet sovereign\ndelete table inet sovereign\n\ntable inet sovereign {{\n\
         \x20   # What the role offers. The port is the one that was asked for: a container's own may be another.\n\
         \x20   chain services {{\n{services}    }}\n\n\
         \x20   chain input {{\n\
         \x20       type filter hook input priority filter; policy drop;\n\
         \x20       ct state established,related accept\n\
         \x20       ct state invalid drop\n\
         \x20       iifname \"lo\" accept\n\
         \x20       # Containers of this machine\n\
         \x20       iifname \"podman*\" accept\n\
         \x20       meta l4proto {{ icmp, ipv6-icmp }} accept\n\
         \x20       # Answers of DHCPv6 servers come from another address than was asked\n\
         \x20       ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n\
         \x20       jump services\n    }}\n\n\
         \x20   chain forward {{\n\
         \x20       type filter hook forward priority filter; policy drop;\n\
         \x20       ct state established,related accept\n\
         \x20       iifname \"podman*\" accept\n\
         \x20       ct status dnat jump services\n",
        name = role.name,
    );
    if let (Some(public), Some(internal)) = (rules.interface(Network::Public), rules.interface(Network::Internal)) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "        # What is passed on, and the way out of the internal network\n\
             \x20       iifname \"{public}\" oifname \"{internal}\" ct status dnat accept\n\
             \x20       iifname \"{internal}\" oifname \"{public}\" accept\n    }}\n\n\
             \x20   chain prerouting {{\n\
             \x20       type nat hook prerouting priority dstnat; policy accept;\n{}    }}\n\n\
             \x20   chain postrouting {{\n\
             \x20       type nat hook postrouting priority srcnat; policy accept;\n\
             \x20       iifname \"{internal}\" oifname \"{public}\" masquerade\n    }}\n",
            role.ports.iter().map(|port| rules.passed_on(port)).collect::<String>()
        );
    } else {
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    text
}

/// Whether a role's machine is the way from the internal network to the public one.
pub fn is_router(role: &Role) -> bool {
    role.is_on(Network::Public) && role.is_on(Network::Internal)
}

struct Rules<'a> {
    role: &'a Role,
    catalogue: &'a Catalogue,
    addresses: &'a Addresses,
}

impl Rules<'_> {
    /// The role's interface on a network: guests name them `eth0`, `eth1`, ... in the order of the role's networks.
    fn interface(&self, network: Network) -> Option<String> {
        self.role.networks.iter().position(|known| *known == network).map(|number| format!("eth{number}"))
    }

    /// What lets senders reach one port of the machine itself.
    fn service(&self, port: &Port) -> String {
        let mut text = format!("        # {} (from {})\n", port.why, port.from);
        let mut accept = |network, sender: &str, range: PortRange| {
            if let Some(interface) = self.interface(network) {
                let (proto, ports) = (port.proto, range);
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "        iifname \"{interface}\" {sender}meta l4proto {proto} ct original proto-dst {ports} accept"
                );
            }
        };
        match &port.from {
            Source::Public => accept(Network::Public, "", port.port),
            Source::Internal => accept(Network::Internal, "", port.port),
            Source::Host => accept(Network::Internal, &sender(self.addresses.host), port.port),
            Source::Role(peer) => {
                let address = self.addresses.roles.get(peer).copied();
                accept(Network::Internal, &sender(address), port.port);
                // What the peer passes on has the address of whoever sent it: somebody outside of the internal network.
                if let (Some(_), Some((network, prefix))) = (address, self.addresses.network) {
                    let outside = format!("{} != {network}/{prefix} ", family(network).saddr);
                    for range in self.passed_on_by(peer, port) {
                        accept(Network::Internal, &outside, range);
                    }
                }
            }
        }
        text
    }

    /// What a peer passes on to this port: the part of each of its ports that is in it.
    fn passed_on_by<'p>(&'p self, peer: &Name, port: &'p Port) -> impl Iterator<Item = PortRange> + 'p {
        let ports = self.catalogue.role(peer.as_str()).map_or(&[][..], |peer| &peer.ports);
        ports
            .iter()
            .filter(|theirs| theirs.proto == port.proto && theirs.forward.as_ref() == Some(&self.role.name))
            .filter_map(|theirs| theirs.port.intersection(port.port))
    }

    /// The rule that passes one port on; a note where nobody knows where to.
    fn passed_on(&self, port: &Port) -> String {
        let (Some(to), Some(interface)) = (&port.forward, self.interface(Network::Public)) else {
            return String::new();
        };
        let what = format!("        # {}, to {to}", port.why);
        match self.addresses.roles.get(to) {
            Some(address) => format!(
                "{what}\n        iifname \"{interface}\" {} dport {} dnat {} to {address}\n",
                port.proto,
                port.port,
                family(*address).name
            ),
            None => format!("{what}, whose address is not known: not passed on\n"),
        }
    }
}

/// Words of nftables for a family of addresses.
struct Family {
    name: &'static str,
    saddr: &'static str,
}

fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family { name: "ip", saddr: "ip saddr" },
        IpAddr::V6(_) => Family { name: "ip6", saddr: "ip6 saddr" },
    }
}

/// The condition that a packet comes from this address; none where it is not known.
fn sender(address: Option<IpAddr>) -> String {
    address.map(|address| format!("{} {address} ", family(address).saddr)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Addresses {
        let roles = [("edge", "10.77.0.2"), ("core", "10.77.0.3"), ("storage", "10.77.0.4")];
        let roles = roles.map(|(name, address)| (Name::try_from(name.to_owned()).unwrap(), address.parse().unwrap()));
        let network = Some(("10.77.0.0".parse().unwrap(), 24));
        Addresses { network, host: Some("10.77.0.1".parse().unwrap()), roles: roles.into() }
    }

    #[test]
    fn the_rules_of_each_role_with_and_without_addresses() {
        let catalogue = Catalogue::shipped().unwrap();
        for role in catalogue.roles() {
            insta::assert_snapshot!(format!("{}-unknown", role.name), rules(role, catalogue, &Addresses::default()));
            insta::assert_snapshot!(format!("{}-known", role.name), rules(role, catalogue, &known()));
        }
    }

    #[test]
    fn addresses_of_ipv6_are_those_of_ipv6_in_every_rule() {
        let catalogue = Catalogue::shipped().unwrap();
        let mut addresses = known();
        addresses.network = Some(("fd00:77::".parse().unwrap(), 64));
        addresses.host = Some("fd00:77::1".parse().unwrap());
        for (name, address) in &mut addresses.roles {
            *address = format!("fd00:77::{}", name.as_str().len()).parse().unwrap();
        }
        let text = |role: &str| rules(catalogue.role(role).unwrap(), catalogue, &addresses);
        assert!(text("edge").contains("tcp dport 25 dnat ip6 to fd00:77::4\n"));
        assert!(text("edge").contains("iifname \"eth1\" ip6 saddr fd00:77::1 meta l4proto tcp"));
        let core = text("core");
        assert!(core.contains("ip6 saddr != fd00:77::/64 meta l4proto udp ct original proto-dst 50000-50999 accept"));
        assert!(!core.contains("ip saddr"), "{core}");
    }

    #[test]
    fn nothing_is_open_to_more_than_it_says() {
        let catalogue = Catalogue::shipped().unwrap();
        for role in catalogue.roles() {
            for addresses in [Addresses::default(), known()] {
                let text = rules(role, catalogue, &addresses);
                let accepts = text.lines().filter(|line| line.contains("proto-dst") && line.ends_with(" accept"));
                for line in accepts {
                    let is_public = line.contains("iifname \"eth0\"") && role.is_on(Network::Public);
                    let port = line.split("proto-dst ").nth(1).unwrap().split(' ').next().unwrap();
                    let port: PortRange = port.parse().unwrap();
                    let fits =
                        |p: &&Port| p.port == port && (p.from == Source::Public) == is_public && p.forward.is_none();
                    assert!(role.ports.iter().any(|p| fits(&p)), "{}: {line}", role.name);
                    // Only what edge passes on to core comes from addresses that are nobody's here.
                    assert!(!line.contains("!=") || role.name.as_str() == "core", "{}: {line}", role.name);
                    assert!(is_public || addresses.host.is_none() || line.contains(" saddr "), "{}: {line}", role.name);
                }
            }
        }
    }
}
