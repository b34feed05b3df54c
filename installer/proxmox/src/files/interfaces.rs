//! /etc/network/interfaces for ifupdown2, in the order and spelling in which Proxmox writes it: it is read and written anew whenever
//! somebody changes the network in the web interface, and should come out as it was.
//!
//! Proxmox sorts by kind (cards, internal ports, bridges), keeps the file's order within one, and drops comments outside stanzas.
//! Under Open vSwitch each address of the host is on an internal port (`mgmt`, `internal`), never on a bridge: a port can be given a
//! VLAN tag of its own later without touching the bridge that carries the guests, and every name in `ovs_ports` needs a stanza of its
//! own, or Proxmox makes a plain card of it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::names::{self, NameError};

/// The bridge with the uplink.
pub const PUBLIC_BRIDGE: &str = "vmbr0";
/// The bridge without one.
pub const INTERNAL_BRIDGE: &str = "vmbr1";
/// Open vSwitch's port with the node's address. Proxmox tells cards by names such as `en...`, `eth0`, `nic0`: this must not be one.
pub const MANAGEMENT_PORT: &str = "mgmt";
/// Open vSwitch's port with the node's address on the internal bridge.
pub const INTERNAL_PORT: &str = "internal";

/// Which kind of bridges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel's own.
    Linux,
    /// Open vSwitch's; needs the package openvswitch-switch.
    Ovs,
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// An address that a host can have in its network.
    ///
    /// # Errors
    /// [`InterfacesError::Address`].
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, InterfacesError> {
        let cidr = Self { address, prefix };
        let wrong = || InterfacesError::Address(format!("{address}/{prefix}"));
        let host = match address {
            IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
            IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast()),
        };
        if !host || prefix == 0 || u32::from(prefix) > cidr.width() {
            return Err(wrong());
        }
        if cidr.is_edge(address) { Err(wrong()) } else { Ok(cidr) }
    }

    /// Whether it is the address of the network itself or its broadcast address. RFC 3021: a network of two addresses has neither.
    fn is_edge(self, address: IpAddr) -> bool {
        let (rest, bits) = (self.rest(), number(address));
        rest > 1 && (bits & rest == 0 || (address.is_ipv4() && bits & rest == rest))
    }

    /// The address alone.
    pub fn address(self) -> IpAddr {
        self.address
    }

    fn width(self) -> u32 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn bits(self) -> u128 {
        number(self.address)
    }

    /// The bits that number hosts.
    fn rest(self) -> u128 {
        1u128.checked_shl(self.width() - u32::from(self.prefix)).map_or(u128::MAX, |bit| bit - 1)
    }

    fn contains(self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4() && self.bits() | self.rest() == number(other) | self.rest()
    }

    fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// `192.0.2.10/24`
impl FromStr for Cidr {
    type Err = InterfacesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.split_once('/').and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
        let (address, prefix) = parts.ok_or_else(|| InterfacesError::Address(text.to_owned()))?;
        Self::new(address, prefix)
    }
}

/// How the node gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// From a DHCP server, IPv4. Whoever writes /etc/hosts has to see to an address there.
    Dhcp,
    /// Fixed.
    Static {
        /// The address.
        cidr: Cidr,
        /// The next router, in the same network.
        gateway: Option<IpAddr>,
    },
}

/// The network of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interfaces<'a> {
    /// Which kind of bridges.
    pub kind: Kind,
    /// Name of the card that is the uplink of `vmbr0`; a node without any card has the bridge all the same.
    pub uplink: Option<&'a str>,
    /// Names of the further cards, in the order in which they are listed.
    pub others: &'a [&'a str],
    /// The node's address on `vmbr0`.
    pub address: Address,
    /// The node's address on `vmbr1`, if it has one there.
    pub internal: Option<Cidr>,
}

/// Why there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfacesError {
    /// A name that no interface can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name that the file gives to something else.
    #[error(
        "the interface `{0}` is there twice, or has a name that this file uses itself (lo, vmbr0, vmbr1, mgmt, internal): rename it"
    )]
    Taken(String),
    /// An address that a host cannot have.
    #[error("`{0}` is no address of a host with the length of its prefix: write it as 192.0.2.10/24")]
    Address(String),
    /// A router that cannot be reached from the address.
    #[error(
        "the gateway {gateway} is no other host's address in the network of {cidr}: give the router's address in that network"
    )]
    Gateway {
        /// The router.
        gateway: IpAddr,
        /// The node's address.
        cidr: Cidr,
    },
    /// Two bridges with one network.
    #[error(
        "the internal network of {internal} overlaps with that of {public}: choose another range for the internal bridge"
    )]
    Overlap {
        /// On `vmbr1`.
        internal: Cidr,
        /// On `vmbr0`.
        public: Cidr,
    },
}

/// The file.
///
/// # Errors
/// [`InterfacesError`].
pub fn interfaces(network: &Interfaces<'_>) -> Result<String, InterfacesError> {
    validate(network)?;
    let mut file = File(String::new());
    file.stanza(true, "lo", "inet loopback", &[]);
    match network.kind {
        Kind::Linux => linux(network, &mut file),
        Kind::Ovs => ovs(network, &mut file),
    }
    file.0.push_str("source /etc/network/interfaces.d/*\n");
    Ok(file.0)
}

fn validate(network: &Interfaces<'_>) -> Result<(), InterfacesError> {
    let mut taken = BTreeSet::from(["lo", PUBLIC_BRIDGE, INTERNAL_BRIDGE, MANAGEMENT_PORT, INTERNAL_PORT]);
    for name in network.uplink.iter().chain(network.others) {
        names::interface(name)?;
        if !taken.insert(name) {
            return Err(InterfacesError::Taken((*name).to_owned()));
        }
    }
    let Address::Static { cidr, gateway } = network.address else { return Ok(()) };
    if let Some(gateway) = gateway {
        let link_local =
            matches!((cidr.address, gateway), (IpAddr::V6(_), IpAddr::V6(v6)) if v6.is_unicast_link_local());
        let in_network = cidr.contains(gateway) && !cidr.is_edge(gateway);
        if gateway == cidr.address || !(in_network || link_local) {
            return Err(InterfacesError::Gateway { gateway, cidr });
        }
    }
    match network.internal {
        Some(internal) if internal.overlaps(cidr) => Err(InterfacesError::Overlap { internal, public: cidr }),
        _ => Ok(()),
    }
}

/// The text so far.
struct File(String);

impl File {
    fn stanza(&mut self, auto: bool, name: &str, method: &str, options: &[String]) {
        if auto {
            self.0.push_str(&format!("auto {name}\n"));
        }
        self.0.push_str(&format!("iface {name} {method}\n"));
        for option in options {
            self.0.push_str(&format!("\t{option}\n"));
        }
        self.0.push('\n');
    }
}

/// Family and method, and the options that go with them.
fn public_address(address: Address) -> (&'static str, Vec<String>) {
    match address {
        Address::Dhcp => ("inet dhcp", Vec::new()),
        Address::Static { cidr, gateway } => {
            let (method, mut options) = internal_address(Some(cidr));
            options.extend(gateway.map(|gateway| format!("gateway {gateway}")));
            (method, options)
        }
    }
}

fn internal_address(cidr: Option<Cidr>) -> (&'static str, Vec<String>) {
    let Some(cidr) = cidr else { return ("inet manual", Vec::new()) };
    let method = if cidr.address.is_ipv4() { "inet static" } else { "inet6 static" };
    (method, vec![format!("address {cidr}")])
}

fn linux(network: &Interfaces<'_>, file: &mut File) {
    // A bridge brings its port up: no `auto`.
    for name in network.uplink.iter().chain(network.others) {
        file.stanza(false, name, "inet manual", &[]);
    }
    let bridges = [
        (PUBLIC_BRIDGE, network.uplink.unwrap_or("none"), public_address(network.address)),
        (INTERNAL_BRIDGE, "none", internal_address(network.internal)),
    ];
    for (bridge, ports, (method, mut options)) in bridges {
        options.extend([format!("bridge-ports {ports}"), "bridge-stp off".to_owned(), "bridge-fd 0".to_owned()]);
        file.stanza(true, bridge, method, &options);
    }
}

fn ovs(network: &Interfaces<'_>, file: &mut File) {
    let port = |kind: &str, bridge: &str| [format!("ovs_type {kind}"), format!("ovs_bridge {bridge}")];
    if let Some(uplink) = network.uplink {
        file.stanza(true, uplink, "inet manual", &port("OVSPort", PUBLIC_BRIDGE));
    }
    for name in network.others {
        file.stanza(false, name, "inet manual", &[]);
    }
    let (method, mut options) = public_address(network.address);
    options.extend(port("OVSIntPort", PUBLIC_BRIDGE));
    file.stanza(true, MANAGEMENT_PORT, method, &options);
    if network.internal.is_some() {
        let (method, mut options) = internal_address(network.internal);
        options.extend(port("OVSIntPort", INTERNAL_BRIDGE));
        file.stanza(true, INTERNAL_PORT, method, &options);
    }
    let ports: Vec<&str> = network.uplink.into_iter().chain([MANAGEMENT_PORT]).collect();
    let ports = format!("ovs_ports {}", ports.join(" "));
    file.stanza(true, PUBLIC_BRIDGE, "inet manual", &["ovs_type OVSBridge".to_owned(), ports]);
    let mut options = vec!["ovs_type OVSBridge".to_owned()];
    options.extend(network.internal.map(|_| format!("ovs_ports {INTERNAL_PORT}")));
    file.stanza(true, INTERNAL_BRIDGE, "inet manual", &options);
}
