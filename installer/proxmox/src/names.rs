//! The names Proxmox VE accepts, each with its rule and what to do about a wrong one.

/// The lowest number of a guest.
pub const VMID_MIN: u32 = 100;
/// The highest number of a guest.
pub const VMID_MAX: u32 = 999_999_999;
/// The longest label of a DNS name, RFC 1035, bytes.
const LABEL_MAX: usize = 63;
/// The longest DNS name, RFC 1035, bytes.
const FQDN_MAX: usize = 253;
/// The longest name of a network interface: the kernel's `IFNAMSIZ` (16) without its NUL, bytes.
pub const INTERFACE_MAX: usize = 15;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No node may be called this.
    #[error(
        "`{0}` is no node name: use 1 to 63 letters, digits and hyphens, a hyphen neither first nor last, and not `localhost`"
    )]
    Node(String),
    /// No storage may be called this.
    #[error(
        "`{0}` is no storage id: use two or more of a-z, 0-9, `-`, `_` and `.`, a letter first, a letter or digit last"
    )]
    Storage(String),
    /// No volume group or volume may be called this.
    #[error(
        "`{0}` is no name of a volume group or volume: use letters, digits, `-`, `_`, `+` and `.`, a letter or digit first and last"
    )]
    Volume(String),
    /// No network interface may be called this.
    #[error("`{0}` is no name of a network interface: use 2 to 15 letters, digits and `_`, a letter first")]
    Interface(String),
    /// Not a MAC address of one card.
    #[error(
        "`{0}` is no MAC address of a network card: write six pairs of hexadecimal digits with colons, the first pair even"
    )]
    Mac(String),
    /// Not a fully qualified name.
    #[error("`{0}` is no fully qualified host name: write one such as `node1.example.org`")]
    Fqdn(String),
    /// A host name that is a number.
    #[error(
        "the host name of `{0}` is a number: programs take it for an IP address; give the host a name that is none, decimal or hexadecimal"
    )]
    Numeric(String),
    /// Not an e-mail address that user.cfg can hold.
    #[error(
        "`{0}` is no e-mail address that user.cfg can hold: write one such as `admin@example.org`, ASCII, without spaces or colons"
    )]
    Email(String),
}

/// What pmxcfs takes for the name of a node, and so looks for guests below: letters, digits and hyphens, no hyphen at either end.
pub fn is_node(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// A label of a DNS name.
pub(crate) fn is_label(name: &str) -> bool {
    name.len() <= LABEL_MAX && is_node(name)
}

/// Whether a name is short enough for DNS.
pub(crate) fn fits_dns(name: &str) -> bool {
    name.len() <= FQDN_MAX
}

/// A node name that a node can have.
///
/// # Errors
/// [`NameError::Node`].
pub fn node(name: &str) -> Result<(), NameError> {
    if is_label(name) && !name.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    Err(NameError::Node(name.to_owned()))
}

/// A storage id. Proxmox takes capitals too; lower case keeps two storages from differing in case alone.
///
/// # Errors
/// [`NameError::Storage`].
pub fn storage(id: &str) -> Result<(), NameError> {
    if is_storage(id) && !id.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(NameError::Storage(id.to_owned()))
}

/// What Proxmox's own parser takes for a storage id.
pub fn is_storage(id: &str) -> bool {
    let bytes = id.as_bytes();
    bytes.len() >= 2
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// What Proxmox's parser takes for the name of a volume group or thin pool.
pub fn is_volume(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_+.".contains(b))
}

/// A volume group or thin pool.
///
/// # Errors
/// [`NameError::Volume`].
pub fn volume(name: &str) -> Result<(), NameError> {
    if is_volume(name) { Ok(()) } else { Err(NameError::Volume(name.to_owned())) }
}

/// A network interface, as Proxmox's installer lets one be called.
///
/// # Errors
/// [`NameError::Interface`].
pub fn interface(name: &str) -> Result<(), NameError> {
    let bytes = name.as_bytes();
    let fits = (2..=INTERFACE_MAX).contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if fits { Ok(()) } else { Err(NameError::Interface(name.to_owned())) }
}

/// A unicast MAC address, in lower case.
///
/// # Errors
/// [`NameError::Mac`].
pub fn mac(text: &str) -> Result<String, NameError> {
    let wrong = || NameError::Mac(text.to_owned());
    let pairs: Vec<&str> = text.split(':').collect();
    let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    if pairs.len() != 6 || !pairs.iter().all(hex) {
        return Err(wrong());
    }
    let first = pairs.first().and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
    // The lowest bit of the first byte marks a group address (IEEE 802); all zeros is no card's.
    if first & 1 == 1 || pairs.iter().all(|pair| *pair == "00") {
        return Err(wrong());
    }
    Ok(text.to_ascii_lowercase())
}

/// A fully qualified name, split into the node's name and its domain. Proxmox's installer refuses a host name of digits alone; `0x7f` is a
/// number too to inet_aton(3), which getaddrinfo asks before it looks a name up.
///
/// # Errors
/// [`NameError::Fqdn`], [`NameError::Node`], [`NameError::Numeric`].
pub fn fqdn(name: &str) -> Result<(&str, &str), NameError> {
    let wrong = || NameError::Fqdn(name.to_owned());
    let (short, domain) = name.split_once('.').ok_or_else(wrong)?;
    if name.len() > FQDN_MAX || !domain.split('.').all(is_label) {
        return Err(wrong());
    }
    node(short)?;
    let lower = short.to_ascii_lowercase();
    let hex = lower.strip_prefix("0x").filter(|digits| !digits.is_empty());
    if short.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(NameError::Numeric(name.to_owned()));
    }
    Ok((short, domain))
}

/// An address that Proxmox's own installer takes: what HTML calls valid (HTML, 4.10.5.1.5). A field of user.cfg ends at a colon, and the
/// line at its end; neither is in one.
///
/// # Errors
/// [`NameError::Email`].
pub fn email(address: &str) -> Result<(), NameError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let fits = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && local.bytes().all(plain) && domain.split('.').all(is_label)
    });
    if fits { Ok(()) } else { Err(NameError::Email(address.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes() {
        for name in ["node1", "n", "a-b", "NODE", "1a"] {
            assert_eq!(node(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a-", "a.b", "a_b", "localhost", "LocalHost", &"a".repeat(64), "nöde"] {
            assert!(node(name).is_err(), "{name}");
        }
    }

    #[test]
    fn storages() {
        for id in ["local", "local-lvm", "a1", "bulk_lvm.2"] {
            assert_eq!(storage(id), Ok(()), "{id}");
        }
        for id in ["a", "", "1a", "a-", "Local", "a b", "a:b", "-a"] {
            assert!(storage(id).is_err(), "{id}");
        }
    }

    #[test]
    fn interfaces_and_addresses() {
        assert!(interface("nic0").is_ok() && interface("enp3s0").is_ok());
        for name in ["", "a", "0nic", "nic 0", "nic-0", "abcdefghijklmnop", "nic0.5"] {
            assert!(interface(name).is_err(), "{name}");
        }
        assert_eq!(mac("52:54:00:AB:cd:01").as_deref(), Ok("52:54:00:ab:cd:01"));
        for text in
            ["53:54:00:ab:cd:01", "00:00:00:00:00:00", "52:54:00:ab:cd", "52-54-00-ab-cd-01", "52:54:00:ab:cd:0g", ""]
        {
            assert!(mac(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fully_qualified_names_and_mail() {
        assert_eq!(fqdn("node1.example.org"), Ok(("node1", "example.org")));
        for name in ["node1", "node1.", ".org", "localhost.localdomain", "a..b", "node_1.example.org"] {
            assert!(fqdn(name).is_err(), "{name}");
        }
        for name in ["1.example.org", "0177.example.org", "0x7F.example.org"] {
            assert_eq!(fqdn(name), Err(NameError::Numeric(name.to_owned())));
        }
        assert_eq!(fqdn("0x.example.org"), Ok(("0x", "example.org")));
        for address in ["ad.min+pve@example.org", "root@localhost", "o'neill/!#$%*?^`{|}@x.y", ".a..b.@c"] {
            assert_eq!(email(address), Ok(()), "{address}");
        }
        for address in ["", "a", "@b", "a@", "a:b@c", "a b@c", "a@b\n", "a@b@c", "ä@b.c", "a@b..c", "a@-b"] {
            assert!(email(address).is_err(), "{address}");
        }
    }
}
