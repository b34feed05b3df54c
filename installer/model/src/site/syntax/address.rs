//! Addresses of hosts, networks and routers.

use std::net::IpAddr;

/// Whether an address can be that of one machine.
fn is_of_one_machine(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_loopback() || address.is_multicast() || address.is_unspecified() || broadcast)
}

/// An address of a host by which other machines, beyond its own wire too, find it.
pub(in crate::site) fn reachable(address: IpAddr) -> Result<(), &'static str> {
    let (link_local, mapped) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), false),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.to_ipv4_mapped().is_some()),
    };
    if !is_of_one_machine(address) {
        return Err("is a loopback, multicast, broadcast or unspecified address: write the address of this host");
    }
    if link_local {
        return Err("is a link-local address, which is valid on one wire alone: write an address that stays");
    }
    if mapped {
        return Err("is an IPv4 address written as an IPv6 one, which no interface has: write it as \"192.0.2.10\"");
    }
    Ok(())
}

/// An address with its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct Cidr {
    address: IpAddr,
    prefix: u32,
}

impl Cidr {
    /// Both families as 128 bits, left aligned.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn host_mask(self) -> u128 {
        u128::MAX.checked_shr(self.prefix).unwrap_or(0) & self.width_mask()
    }

    fn width_mask(self) -> u128 {
        if self.address.is_ipv4() { u128::MAX << 96 } else { u128::MAX }
    }

    /// Whether one of the two networks holds the other.
    pub(in crate::site) fn overlaps(self, other: Self) -> bool {
        let mask = !(self.host_mask() | other.host_mask());
        self.address.is_ipv4() == other.address.is_ipv4()
            && Self::bits(self.address) & mask == Self::bits(other.address) & mask
    }

    /// The address alone.
    pub(in crate::site) const fn address(self) -> IpAddr {
        self.address
    }

    /// Whether both are in one network, of the same prefix length.
    pub(in crate::site) fn is_same_network(self, other: Self) -> bool {
        self.prefix == other.prefix && self.overlaps(other)
    }

    /// Whether an address of this network is that of the network itself or its broadcast address. A network of two addresses has neither
    /// (RFC 3021, RFC 6164).
    fn is_edge(self, address: IpAddr) -> bool {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        let host = Self::bits(address) & self.host_mask();
        self.prefix < longest - 1 && (host == 0 || (address.is_ipv4() && host == self.host_mask()))
    }

    /// Whether `gateway` is another address of this network, which is that of the key `of`.
    pub(in crate::site) fn gateway(self, gateway: IpAddr, of: &str) -> Result<(), String> {
        if gateway.is_ipv4() != self.address.is_ipv4() {
            return Err(format!("is of another address family than {of}: write both as IPv4 or both as IPv6"));
        }
        if gateway == self.address {
            return Err("is the machine's own address: write the router's".to_owned());
        }
        if !is_of_one_machine(gateway) {
            return Err("is a loopback, multicast, broadcast or unspecified address: write the router's".to_owned());
        }
        // IPv6 routers are usually reached by their link-local address.
        if matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            return Ok(());
        }
        if (Self::bits(gateway) ^ Self::bits(self.address)) & !self.host_mask() & self.width_mask() != 0 {
            return Err(format!("is not in the network of {of}: correct one of the two, or the prefix length"));
        }
        if self.is_edge(gateway) {
            return Err("is the address of the network itself or its broadcast address: write the router's".to_owned());
        }
        Ok(())
    }
}

/// `192.0.2.10/24`, a host's address that others reach, and not that of the network itself or its broadcast.
pub(in crate::site) fn cidr(text: &str) -> Result<Cidr, &'static str> {
    const WRONG: &str = "is no address with a prefix length: write it as \"192.0.2.10/24\"";
    let (address, prefix) = text.split_once('/').ok_or(WRONG)?;
    let address: IpAddr = address.parse().map_err(|_| WRONG)?;
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WRONG);
    }
    let prefix: u32 = prefix.parse().map_err(|_| WRONG)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if !(1..=longest).contains(&prefix) {
        return Err("has a prefix length out of range: 1 to 32 for IPv4, 1 to 128 for IPv6");
    }
    reachable(address)?;
    let cidr = Cidr { address, prefix };
    if cidr.is_edge(address) {
        return Err("is the address of the network itself or its broadcast address: write the address of this host");
    }
    Ok(cidr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_gateways_of_both_families() {
        for (address, gateway) in [
            ("192.0.2.10/24", "192.0.2.1"),
            ("192.0.2.0/31", "192.0.2.1"),
            ("10.255.255.254/8", "10.0.0.1"),
            ("2001:db8::10/64", "2001:db8::1"),
            ("2001:db8::10/64", "fe80::1"),
            ("2001:db8::/127", "2001:db8::1"),
        ] {
            assert_eq!(cidr(address).unwrap().gateway(gateway.parse().unwrap(), "address"), Ok(()), "{address}");
        }
        for (address, gateway) in [
            ("192.0.2.10/24", "192.0.3.1"),
            ("192.0.2.10/32", "192.0.2.1"),
            ("192.0.2.10/24", "192.0.2.10"),
            ("192.0.2.10/24", "2001:db8::1"),
            ("2001:db8::10/64", "2001:db8:1::1"),
            ("192.0.2.10/24", "192.0.2.0"),
            ("192.0.2.10/24", "192.0.2.255"),
            ("2001:db8::10/64", "2001:db8::"),
            ("10.0.0.1/1", "127.0.0.1"),
            ("223.0.0.1/1", "255.255.255.255"),
        ] {
            assert!(cidr(address).unwrap().gateway(gateway.parse().unwrap(), "address").is_err(), "{address}");
        }
        for bad in [
            "192.0.2.10",
            "192.0.2.10/",
            "192.0.2.10/0",
            "192.0.2.10/33",
            "192.0.2.10/+8",
            "192.0.2.0/24",
            "127.0.0.1/8",
            "::/64",
            "0.0.0.0/32",
            "255.255.255.255/32",
            "224.0.0.1/4",
            "169.254.1.1/16",
            "fe80::1/64",
            "ff02::1/64",
            "::ffff:192.0.2.10/120",
        ] {
            assert!(cidr(bad).is_err(), "{bad}");
        }
    }
}
