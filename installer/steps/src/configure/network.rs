//! The network: names of the interfaces bound to their addresses, the two bridges with the host's addresses, name servers.

use sovereign_engine::StepError;
use sovereign_model::plan::Plan;
use sovereign_model::site::{BridgeKind, Network, NetworkMode};
use sovereign_proxmox::files::{Address, Cidr, Interfaces, Kind, interfaces, link};

use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PUBLIC};

/// Writes everything.
///
/// # Errors
/// [`texts`]', and the file system's.
pub fn write(context: &Context) -> Result<(), StepError> {
    for (path, text) in texts(&context.plan)? {
        files::write(&context.on_target(&path), text.as_bytes(), PUBLIC)?;
    }
    if let Some(uplink) = context.plan.nics.first() {
        files::link(&context.on_target(&hotplug_link(&uplink.name)), "../sovereign-ifup@.service")?;
    }
    Ok(())
}

/// The files, each with its path.
///
/// # Errors
/// The addresses make no network, or an interface has no name or address that one can have.
pub(super) fn texts(plan: &Plan) -> Result<Vec<(String, String)>, StepError> {
    let network = &plan.site.network;
    let names: Vec<&str> = plan.nics.iter().map(|nic| nic.name.as_str()).collect();
    let mut texts = vec![("/etc/network/interfaces".to_owned(), file(&names, network)?)];
    for nic in &plan.nics {
        let file = link(&nic.name, &nic.mac)
            .or_step(&format!("cannot bind the name of the interface {}", nic.kernel_name))
            .map_err(|error| error.next("Give the card an address of its own in its firmware, or take it out."))?;
        texts.push((file.path, file.text));
    }
    if network.mode == NetworkMode::Static {
        let servers: String = network.dns.iter().map(|s| format!("nameserver {s}\n")).collect();
        let search = plan.site.site.fqdn.split_once('.').map(|(_, d)| format!("search {d}\n")).unwrap_or_default();
        texts.push(("/etc/resolv.conf".to_owned(), format!("{search}{servers}")));
    }
    Ok(texts)
}

/// The link that brings the bridges up whenever the uplink appears.
fn hotplug_link(name: &str) -> String {
    format!("/etc/systemd/system/sys-subsystem-net-devices-{name}.device.wants/sovereign-ifup@{name}.service")
}

/// /etc/network/interfaces; the first of the interfaces is the uplink. Without any, the bridges are there all the same.
fn file(names: &[&str], network: &Network) -> Result<String, StepError> {
    let wrong = "the addresses of the site file make no network";
    let address = match (network.mode, network.address.as_deref()) {
        (NetworkMode::Dhcp, _) => Address::Dhcp,
        (NetworkMode::Static, address) => Address::Static {
            cidr: address.unwrap_or_default().parse::<Cidr>().or_step(wrong)?,
            gateway: network.gateway.as_deref().map(str::parse).transpose().or_step(wrong)?,
        },
    };
    let wanted = Interfaces {
        kind: match network.bridge {
            BridgeKind::Linux => Kind::Linux,
            BridgeKind::OpenVswitch => Kind::Ovs,
        },
        uplink: names.first().copied(),
        others: names.get(1..).unwrap_or_default(),
        address,
        internal: network.internal_address.as_deref().map(str::parse).transpose().or_step(wrong)?,
    };
    interfaces(&wanted).or_step(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(mode: NetworkMode) -> Network {
        Network {
            mode,
            mac: None,
            interface: None,
            address: Some("192.0.2.10/24".to_owned()),
            gateway: Some("192.0.2.1".to_owned()),
            dns: vec!["192.0.2.53".to_owned()],
            ntp: Vec::new(),
            bridge: BridgeKind::default(),
            internal_address: Some("10.10.0.1/24".to_owned()),
        }
    }

    #[test]
    fn every_kind_of_network_as_a_file() {
        let ovs = |mode| Network { bridge: BridgeKind::OpenVswitch, ..network(mode) };
        let ipv6 = Network {
            address: Some("2001:db8::10/64".to_owned()),
            gateway: Some("fe80::1".to_owned()),
            internal_address: None,
            ..network(NetworkMode::Static)
        };
        let text: Vec<String> = [
            ("Linux bridges", network(NetworkMode::Static)),
            ("Linux bridges, DHCP", network(NetworkMode::Dhcp)),
            ("Open vSwitch", ovs(NetworkMode::Static)),
            ("Open vSwitch, DHCP", ovs(NetworkMode::Dhcp)),
            ("IPv6 behind a router at its link-local address", ipv6),
        ]
        .into_iter()
        .map(|(title, network)| format!("## {title}\n{}", file(&["nic0", "nic1"], &network).unwrap()))
        .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn a_machine_without_an_interface_has_its_bridges_and_addresses() {
        let text = file(&[], &network(NetworkMode::Static)).unwrap();
        assert!(
            text.contains("iface vmbr0 inet static\n\taddress 192.0.2.10/24\n") && text.contains("auto vmbr1\n"),
            "{text}"
        );
    }
}
