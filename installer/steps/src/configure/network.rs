//! The management interface: its name bound to its MAC address, its address in /etc/network/interfaces.

use sovereign_engine::StepError;
use sovereign_model::inventory::Nic;
use sovereign_model::site::{Network, NetworkMode};

use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Path of the file that binds the name, on the target and in the initramfs.
const LINK_PATH: &str = "/etc/systemd/network/10-sovereign.link";

/// Writes everything.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let network = &context.plan.site.network;
    let nic = context.plan.nic.as_ref();
    let text = interfaces(nic.map(|n| n.name.as_str()), network);
    files::write(&context.on_target("/etc/network/interfaces"), text.as_bytes(), PUBLIC)?;
    if let Some((path, text)) = link_file(context) {
        files::write(&context.on_target(path), text.as_bytes(), PUBLIC)?;
    }
    if let Some(nic) = nic {
        files::link(&context.on_target(&hotplug_link(&nic.name)), "../sovereign-ifup@.service")?;
    }
    if network.mode == NetworkMode::Static {
        let servers: String = network.dns.iter().map(|s| format!("nameserver {s}\n")).collect();
        let search =
            context.plan.site.site.fqdn.split_once('.').map(|(_, d)| format!("search {d}\n")).unwrap_or_default();
        files::write(&context.on_target("/etc/resolv.conf"), format!("{search}{servers}").as_bytes(), PUBLIC)?;
    }
    Ok(())
}

/// Path and text of the file that binds the interface's name to its address: a card added later cannot take the name.
pub fn link_file(context: &Context) -> Option<(&'static str, String)> {
    let Nic { name, mac, .. } = context.plan.nic.as_ref()?;
    Some((LINK_PATH, format!("[Match]\nPermanentMACAddress={mac}\n\n[Link]\nName={name}\n")))
}

/// The link that brings the interface up whenever its device appears. systemd escapes a `-` in a device's name.
fn hotplug_link(name: &str) -> String {
    let device = name.replace('-', "\\x2d");
    format!("/etc/systemd/system/sys-subsystem-net-devices-{device}.device.wants/sovereign-ifup@{name}.service")
}

/// /etc/network/interfaces for ifupdown2. `allow-hotplug`: an interface that is not there is no failed unit.
fn interfaces(name: Option<&str>, network: &Network) -> String {
    let mut text = String::from("# Written by the installer.\nauto lo\niface lo inet loopback\n");
    let Some(name) = name else { return text };
    text += &format!("\nallow-hotplug {name}\n");
    match network.mode {
        NetworkMode::Dhcp => text += &format!("iface {name} inet dhcp\n"),
        NetworkMode::Static => {
            let family = if network.address.as_deref().is_some_and(|a| a.contains(':')) { "inet6" } else { "inet" };
            text += &format!("iface {name} {family} static\n");
            for (key, value) in [("address", &network.address), ("gateway", &network.gateway)] {
                if let Some(value) = value {
                    text += &format!("    {key} {value}\n");
                }
            }
        }
    }
    text
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
        }
    }

    #[test]
    fn the_interface_comes_up_whenever_it_appears() {
        let folder = "/etc/systemd/system/sys-subsystem-net-devices-";
        assert_eq!(hotplug_link("enp3s0"), format!("{folder}enp3s0.device.wants/sovereign-ifup@enp3s0.service"));
        assert_eq!(hotplug_link("a-b"), format!("{folder}a\\x2db.device.wants/sovereign-ifup@a-b.service"));
    }

    #[test]
    fn a_static_interface() {
        let text = interfaces(Some("enp3s0"), &network(NetworkMode::Static));
        assert!(text.ends_with(
            "\nallow-hotplug enp3s0\niface enp3s0 inet static\n    address 192.0.2.10/24\n    gateway 192.0.2.1\n"
        ));
    }

    #[test]
    fn a_static_interface_with_ipv6_behind_a_router_at_its_link_local_address() {
        let network = Network {
            address: Some("2001:db8::10/64".to_owned()),
            gateway: Some("fe80::1".to_owned()),
            ..network(NetworkMode::Static)
        };
        assert!(interfaces(Some("enp3s0"), &network).ends_with(
            "\nallow-hotplug enp3s0\niface enp3s0 inet6 static\n    address 2001:db8::10/64\n    gateway fe80::1\n"
        ));
    }

    #[test]
    fn dhcp_and_no_interface_at_all() {
        assert!(interfaces(Some("enp3s0"), &network(NetworkMode::Dhcp)).ends_with("iface enp3s0 inet dhcp\n"));
        assert!(!interfaces(None, &network(NetworkMode::Dhcp)).contains("dhcp"));
    }
}
