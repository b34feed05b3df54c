//! The guests in the tree: a table for the eye, then each figure with its reason.

use std::fmt::Write as _;

use super::{Node, size};
use crate::bytes::Bytes;
use crate::layout;
use crate::plan::guests::{Addressing, Guest, GuestVolume, Guests, HostRow, PoolUse, VolumeContent};
use crate::role::Port;

impl Guests {
    /// Host and roles in a table: vCPUs, CPU weight, RAM, SSD, HDD; a line each, with a new line at its end.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let none = || "-".to_owned();
        let mut line = |[name, vcpus, weight, memory, ssd, hdd]: [String; 6]| {
            let _ = writeln!(out, "{name:<10}{vcpus:>6}{weight:>8}{memory:>10}{ssd:>10}{hdd:>10}");
        };
        line(["", "vCPUs", "weight", "RAM", "SSD", "HDD"].map(str::to_owned));
        let HostRow { threads, memory, ssd, .. } = &self.host;
        line(["host".to_owned(), threads.to_string(), none(), memory.to_string(), ssd.to_string(), none()]);
        for guest in &self.guests {
            line([
                guest.role.to_string(),
                guest.vcpus.value.to_string(),
                guest.cpu_weight.value.to_string(),
                guest.memory().to_string(),
                guest.ssd.value.to_string(),
                if guest.hdd.value == Bytes::ZERO { none() } else { guest.hdd.value.to_string() },
            ]);
        }
        out
    }

    pub(super) fn node(&self) -> Node {
        let what = if self.deploy { "templates, and machines cloned from them" } else { "templates alone" };
        let mut below: Vec<_> = self.table().lines().map(Node::leaf).collect();
        let HostRow { threads, memory, ssd, reserve } = &self.host;
        below.push(Node::leaf(format!(
            "the host shares all {threads} threads and keeps {} of RAM, {} on the SSDs and {} unallocated",
            size(*memory),
            size(*ssd),
            size(*reserve)
        )));
        below.extend(self.guests.iter().map(|guest| guest.node(self.deploy)));
        below.push(Node::leaf(format!(
            "QEMU itself takes about {} of RAM beside the machines'",
            Bytes::mib(self.qemu_mib)
        )));
        below.extend([Some(&self.ssd), self.hdd.as_ref()].into_iter().flatten().map(pool_node));
        if !self.dns.is_empty() {
            below.push(Node::leaf(format!("name servers: {}", self.dns.join(", "))));
        }
        Node::branch(format!("guests: {what}"), below)
    }
}

impl Guest {
    /// RAM.
    pub fn memory(&self) -> Bytes {
        Bytes::mib(self.memory_mib.value)
    }

    fn node(&self, deploy: bool) -> Node {
        let machine = if deploy { format!(", machine {} ({})", self.machine, self.fqdn) } else { String::new() };
        let mut below = vec![
            Node::leaf(&self.title),
            Node::leaf(format!("{} vCPUs: {}", self.vcpus.value, self.vcpus.reason)),
            Node::leaf(format!("CPU weight {}: {}", self.cpu_weight.value, self.cpu_weight.reason)),
            Node::leaf(format!(
                "RAM {} MiB, {}: {}",
                self.memory_mib.value,
                size(self.memory()),
                self.memory_mib.reason
            )),
            Node::leaf(format!("SSD {}: {}", size(self.ssd.value), self.ssd.reason)),
        ];
        below.push(Node::leaf(match self.hdd.value {
            Bytes::ZERO => format!("HDD nothing: {}", self.hdd.reason),
            bytes => format!("HDD {}: {}", size(bytes), self.hdd.reason),
        }));
        below.extend(self.volumes.iter().map(|volume| volume_node(volume, deploy)));
        below.extend(self.interfaces.iter().filter(|_| deploy).map(|interface| {
            let address = match &interface.address {
                Addressing::Static { address, gateway: None } => address.clone(),
                Addressing::Static { address, gateway: Some(gateway) } => format!("{address}, gateway {gateway}"),
                Addressing::Dhcp => "an address by DHCP".to_owned(),
                Addressing::None => "no address".to_owned(),
            };
            Node::leaf(format!("on {}: {address}", interface.bridge))
        }));
        below.push(Node::branch("lets in", self.ports.iter().map(port_node).collect()));
        let startup = self.startup;
        below.push(Node::leaf(format!(
            "starts in place {}, waits {} s, has {} s to stop",
            startup.order, startup.up_s, startup.down_s
        )));
        Node::branch(format!("{}, version {}: template {}{machine}", self.role, self.version, self.template), below)
    }
}

fn volume_node(volume: &GuestVolume, deploy: bool) -> Node {
    let content = match &volume.content {
        VolumeContent::Root { filesystem } => format!("root, {filesystem}"),
        VolumeContent::Efi => "EFI variables".to_owned(),
        VolumeContent::CloudInit => "cloud-init".to_owned(),
        VolumeContent::Data { filesystem, mount } => format!("data, {filesystem} at {mount}"),
    };
    let names = [volume.template.as_ref(), Some(&volume.machine).filter(|_| deploy)];
    let names: Vec<_> = names.into_iter().flatten().map(|name| format!("{}/{name}", volume.group)).collect();
    let names = if names.is_empty() { "made when a machine is".to_owned() } else { names.join(" and ") };
    let kind = if volume.pool.is_some() { "thin" } else { "thick" };
    let bytes = Bytes(volume.extents.saturating_mul(layout::EXTENT.0));
    let extents =
        if volume.extents == 1 { "1 extent".to_owned() } else { format!("{} extents", Bytes(volume.extents).exact()) };
    Node::leaf(format!("volume {names}: {content}, {kind}, {extents}, {}", size(bytes)))
}

fn port_node(port: &Port) -> Node {
    let forward = port.forward.as_ref().map(|to| format!(", passed on to {to}")).unwrap_or_default();
    Node::leaf(format!("{} {} from {}{forward}: {}", port.proto, port.port, port.from, port.why))
}

fn pool_node(place: &PoolUse) -> Node {
    let bytes = |extents: u64| size(Bytes(extents.saturating_mul(layout::EXTENT.0)));
    let name = match &place.pool {
        Some(pool) => format!("thin pool {}/{pool}", place.group),
        None => format!("thick volumes on {}", place.group),
    };
    let state = if place.is_overcommitted() { ", over-committed" } else { "" };
    Node::leaf(format!(
        "{name}: machines take {} of {}, {}{state}",
        bytes(place.used),
        bytes(place.extents),
        place.ratio()
    ))
}
