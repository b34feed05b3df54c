//! Ethernet interfaces, from /sys/class/net.

use std::collections::BTreeSet;

use sovereign_model::inventory::Nic;

use super::capture::NET;
use super::captures::Captures;

/// `ARPHRD_ETHER` of <linux/if_arp.h>.
const ETHERNET: &str = "1";

/// Interfaces of Ethernet type that are not wireless, by name. Only interfaces with a device behind them are captured.
pub(super) fn parse(captures: &Captures) -> Vec<Nic> {
    let names: BTreeSet<&str> =
        captures.iter().filter_map(|(path, _)| path.strip_prefix(NET)?.split_once('/').map(|(name, _)| name)).collect();
    names.into_iter().filter_map(|name| nic(captures, name)).collect()
}

fn nic(captures: &Captures, name: &str) -> Option<Nic> {
    let text = |file: &str| captures.get(&format!("{NET}{name}/{file}")).map(str::trim);
    let wireless = text("uevent").unwrap_or_default().lines().any(|line| line == "DEVTYPE=wlan");
    if text("type") != Some(ETHERNET) || wireless {
        return None;
    }
    Some(Nic {
        name: name.to_owned(),
        mac: text("address")?.to_lowercase(),
        driver: text("device/driver").unwrap_or_default().to_owned(),
        link: match text("carrier") {
            Some("1") => Some(true),
            Some("0") => Some(false),
            _ => None,
        },
        // -1 where the driver does not know.
        speed_mbps: text("speed").and_then(|speed| speed.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(captures: &mut Captures, name: &str, files: &[(&str, &str)]) {
        for (file, text) in files {
            captures.insert(format!("{NET}{name}/{file}"), format!("{text}\n"));
        }
    }

    #[test]
    fn wired_interfaces_are_listed_by_name() {
        let mut captures = Captures::default();
        let mac = ("address", "AC:1F:6B:00:00:01");
        interface(&mut captures, "eno2", &[("type", "1"), mac, ("carrier", "0"), ("speed", "-1")]);
        interface(
            &mut captures,
            "eno1",
            &[("type", "1"), mac, ("carrier", "1"), ("speed", "10000"), ("device/driver", "ixgbe")],
        );
        interface(&mut captures, "eno3", &[("type", "1"), mac]);
        interface(&mut captures, "ib0", &[("type", "32"), mac]);
        interface(&mut captures, "wlp1s0", &[("type", "1"), mac, ("uevent", "DEVTYPE=wlan\nINTERFACE=wlp1s0")]);
        let nics = parse(&captures);
        let short: Vec<_> = nics.iter().map(|n| (n.name.as_str(), n.driver.as_str(), n.link, n.speed_mbps)).collect();
        assert_eq!(
            short,
            [("eno1", "ixgbe", Some(true), Some(10_000)), ("eno2", "", Some(false), None), ("eno3", "", None, None)]
        );
        assert_eq!(nics[0].mac, "ac:1f:6b:00:00:01");
    }
}
