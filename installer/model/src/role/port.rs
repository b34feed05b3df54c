//! What a role's firewall lets in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::words::{Name, Text};

/// `[[ports]]`: one port, or a range, that is open to some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Protocol.
    pub proto: Protocol,
    /// One port or a range.
    pub port: PortRange,
    /// Who may send to it.
    pub from: Source,
    /// The role that everything which comes in here is passed on to, with the sender's own address. That role accepts the same ports
    /// from this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Name>,
    /// What it is for.
    pub why: Text,
}

/// Protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Ports from `first` to `last`, both included; written `"443"` or `"50000-50999"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The first one, not 0.
    first: u16,
    /// The last one, not below the first.
    last: u16,
}

impl PortRange {
    /// The first port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port; the first one again where it is one alone.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// The ports that are in both.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }

    /// Whether one port is in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number =
            |text: &str| text.parse::<u16>().ok().filter(|n| *n > 0 && text.bytes().all(|b| b.is_ascii_digit()));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "`{}` is no port: write \"443\", or a range such as \"50000-50999\", of 1 to 65535",
                text.escape_debug()
            )),
        }
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Who may send: `public`, `internal`, `host`, or a role's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Name", into = "String")]
pub enum Source {
    /// Anybody on the public network.
    Public,
    /// Anybody on the internal network.
    Internal,
    /// The host alone, by its own address on the internal network.
    Host,
    /// The machine of this role, by its address on the internal network.
    Role(Name),
}

impl Source {
    /// The words that are no names of roles.
    pub const RESERVED: [&str; 3] = ["public", "internal", "host"];
}

impl From<Name> for Source {
    fn from(name: Name) -> Self {
        match name.as_str() {
            "public" => Self::Public,
            "internal" => Self::Internal,
            "host" => Self::Host,
            _ => Self::Role(name),
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Host => "host",
            Self::Role(name) => name.as_str(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_or_a_range() {
        for good in ["1", "443", "50000-50999", "65535"] {
            assert_eq!(good.parse::<PortRange>().unwrap().to_string(), good);
        }
        for bad in ["", "0", "0-5", "65536", "5-4", "-5", "5-", "+5", "80,443", "a"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
        let range: PortRange = "10-20".parse().unwrap();
        assert!(range.overlaps("20".parse().unwrap()) && range.overlaps("1-10".parse().unwrap()));
        assert!(!range.overlaps("21-30".parse().unwrap()));
    }
}
