//! Ports: sets of them, and what the roles' data files say of who reaches which.

use std::collections::BTreeSet;
use std::path::Path;

use thiserror::Error;
use toml::{Table, Value};

use crate::host;

/// Ports of one protocol.
pub type Ports = BTreeSet<u16>;

/// The protocols that have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proto {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
}

impl Proto {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// As role.toml and the scanner call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A set as text: `22 25 50000-50999`.
pub fn ranges(ports: &Ports) -> String {
    let mut words: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match words.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => words.push((*port, *port)),
        }
    }
    let words = words.into_iter().map(
        |(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        },
    );
    words.collect::<Vec<_>>().join(" ")
}

/// Reads what [`ranges`] writes, and the one range of a role's port; `None` where it is neither.
pub fn parse(text: &str) -> Option<Ports> {
    let mut ports = Ports::new();
    for word in text.split_whitespace() {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        ports.extend(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?);
    }
    Some(ports)
}

/// Who sends to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender<'a> {
    /// Anybody on the public network or behind it.
    Public,
    /// The host, by its address on the internal network.
    Host,
    /// Another role's machine, by its address on the internal network.
    Role(&'a str),
    /// An address of the internal network that is nobody's.
    Stranger,
    /// An address of another network, on the internal wire: what a router passes on has it.
    Outside,
}

/// What goes wrong with a role's data file.
#[derive(Debug, Error)]
#[error("{file} is no role: {problem}")]
pub struct RoleError {
    file: String,
    problem: String,
}

/// The ports of a role, as its data file lists them.
#[derive(Debug, Clone)]
pub struct Role {
    name: String,
    ports: Vec<Port>,
}

#[derive(Debug, Clone)]
struct Port {
    proto: Proto,
    ports: Ports,
    from: String,
    forward: Option<String>,
}

impl Role {
    /// Every role of the source tree, `overlays/guest/ROLE/role.toml`.
    pub fn all() -> Result<Vec<Self>, RoleError> {
        crate::templates::ROLES
            .iter()
            .map(|(name, ..)| {
                let file = host::workspace().join("overlays/guest").join(name).join("role.toml");
                let text = std::fs::read_to_string(&file).map_err(|error| wrong(&file, &error.to_string()))?;
                Self::parse(&text).map_err(|problem| wrong(&file, &problem))
            })
            .collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let name = table.get("name").and_then(Value::as_str).ok_or("no name")?.to_owned();
        let ports = table.get("ports").and_then(Value::as_array).ok_or("no ports")?;
        let ports = ports.iter().map(Port::read).collect::<Option<Vec<_>>>().ok_or("a port that is none")?;
        Ok(Self { name, ports })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Port {
    fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let proto = Proto::ALL.into_iter().find(|proto| Some(proto.name()) == text("proto"))?;
        let forward = text("forward").map(str::to_owned);
        Some(Self { proto, ports: parse(text("port")?)?, from: text("from")?.to_owned(), forward })
    }
}

fn wrong(file: &Path, problem: &str) -> RoleError {
    RoleError { file: file.display().to_string(), problem: problem.to_owned() }
}

/// The ports of a role's own machine that a sender reaches.
pub fn own(roles: &[Role], role: &str, sender: Sender<'_>, proto: Proto) -> Ports {
    let matching = of(roles, role).filter(|port| port.proto == proto && port.forward.is_none());
    let mut all = Ports::new();
    for port in matching {
        match (sender, port.from.as_str()) {
            (Sender::Public, "public")
            | (Sender::Host, "host")
            | (Sender::Host | Sender::Role(_) | Sender::Stranger, "internal") => all.extend(&port.ports),
            (Sender::Role(sender), from) if sender == from => all.extend(&port.ports),
            // What a role takes from a router, of what that router passes on to it.
            (Sender::Outside, router) => {
                let passed = passed_on(roles, router, role, proto);
                all.extend(port.ports.intersection(&passed));
            }
            _ => {}
        }
    }
    all
}

/// The ports that a role's machine passes on from the public network to another's.
pub fn passed_on(roles: &[Role], role: &str, to: &str, proto: Proto) -> Ports {
    let matching = of(roles, role).filter(|port| port.proto == proto && port.forward.as_deref() == Some(to));
    matching.flat_map(|port| &port.ports).copied().collect()
}

fn of<'r>(roles: &'r [Role], name: &str) -> impl Iterator<Item = &'r Port> {
    let role = roles.iter().find(|role| role.name == name);
    role.into_iter().flat_map(|role| &role.ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_back_as_it_was_written() {
        for text in ["", "22", "22 25 50000-50999", "1-65535", "65535"] {
            assert_eq!(ranges(&parse(text).unwrap()), text);
        }
        assert_eq!(ranges(&parse("3 2 1 5").unwrap()), "1-3 5");
        assert_eq!(parse("x"), None);
        assert_eq!(parse("65536"), None);
    }

    fn role(text: &str) -> Role {
        Role::parse(text).unwrap()
    }

    #[test]
    fn each_sender_reaches_what_is_listed_for_it() {
        let roles = [
            role(
                "name = 'way'\n\
                 [[ports]]\nproto = 'tcp'\nport = '443'\nfrom = 'public'\n\
                 [[ports]]\nproto = 'udp'\nport = '100-200'\nfrom = 'public'\nforward = 'service'\n\
                 [[ports]]\nproto = 'tcp'\nport = '22'\nfrom = 'host'\n",
            ),
            role(
                "name = 'service'\n\
                 [[ports]]\nproto = 'udp'\nport = '150-300'\nfrom = 'way'\n\
                 [[ports]]\nproto = 'tcp'\nport = '8080'\nfrom = 'way'\n\
                 [[ports]]\nproto = 'tcp'\nport = '53'\nfrom = 'internal'\n",
            ),
        ];
        let see = |name, sender, proto| ranges(&own(&roles, name, sender, proto));
        assert_eq!(see("way", Sender::Public, Proto::Tcp), "443");
        assert_eq!(see("way", Sender::Public, Proto::Udp), "");
        assert_eq!(see("way", Sender::Host, Proto::Tcp), "22");
        assert_eq!(see("way", Sender::Role("service"), Proto::Tcp), "");
        assert_eq!(see("service", Sender::Role("way"), Proto::Tcp), "53 8080");
        assert_eq!(see("service", Sender::Role("way"), Proto::Udp), "150-300");
        assert_eq!(see("service", Sender::Outside, Proto::Udp), "150-200");
        assert_eq!(see("service", Sender::Outside, Proto::Tcp), "");
        assert_eq!(see("service", Sender::Stranger, Proto::Tcp), "53");
        assert_eq!(see("service", Sender::Host, Proto::Tcp), "53");
        assert_eq!(ranges(&passed_on(&roles, "way", "service", Proto::Udp)), "100-200");
    }

    #[test]
    fn the_roles_of_the_tree_are_read() {
        let roles = Role::all().unwrap();
        let names: Vec<&str> = roles.iter().map(Role::name).collect();
        assert_eq!(names, ["edge", "core", "storage"]);
        assert!(own(&roles, "storage", Sender::Role("core"), Proto::Tcp).contains(&5432));
        assert!(Role::parse("name = 'x'\n[[ports]]\nproto = 'sctp'\n").is_err());
    }
}
