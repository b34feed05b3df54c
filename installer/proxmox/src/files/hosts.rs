//! /etc/hosts. pmxcfs looks its node's name up, and ends at once where it finds only loopback addresses.

use std::net::IpAddr;

use crate::names::{self, NameError};

/// Why there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No other machine reaches the node by this address.
    #[error(
        "{0} cannot be the address of a node: Proxmox needs one that other machines can reach; give that of the management interface"
    )]
    Address(IpAddr),
}

/// The file for a fully qualified name and the address of the management interface.
///
/// # Errors
/// [`HostsError`].
pub fn hosts(fqdn: &str, address: IpAddr) -> Result<String, HostsError> {
    let (short, _) = names::fqdn(fqdn)?;
    if !is_usable(address) {
        return Err(HostsError::Address(address));
    }
    Ok(format!(
        "127.0.0.1 localhost.localdomain localhost\n{address} {fqdn} {short}\n\n::1     ip6-localhost ip6-loopback\n\
         fe00::0 ip6-localnet\nff00::0 ip6-mcastprefix\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\nff02::3 ip6-allhosts\n"
    ))
}

/// Whether an address is that of one machine, as seen from another.
fn is_usable(address: IpAddr) -> bool {
    // ::ffff:127.0.0.1 is loopback too.
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_loopback() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local())
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_with_either_family() {
        let of = |address: &str| hosts("node1.example.org", address.parse().unwrap()).unwrap();
        insta::assert_snapshot!(of("192.0.2.10"));
        assert!(of("2001:db8::10").contains("\n2001:db8::10 node1.example.org node1\n"));
    }

    #[test]
    fn an_address_that_nobody_reaches() {
        for text in [
            "127.0.0.1",
            "127.0.1.1",
            "::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "fe80::1",
            "169.254.1.1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
        ] {
            let address = text.parse().unwrap();
            assert_eq!(hosts("node1.example.org", address), Err(HostsError::Address(address)));
        }
        assert!(matches!(hosts("node1", [192, 0, 2, 1].into()), Err(HostsError::Name(_))));
        assert!(matches!(hosts("localhost.localdomain", [192, 0, 2, 1].into()), Err(HostsError::Name(_))));
    }
}
