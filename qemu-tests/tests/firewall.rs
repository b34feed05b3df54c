//! Guests' firewalls: a port scan from a second machine, by every sender that the roles know and by strangers, sees exactly the ports that
//! the roles' data files list.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use std::path::Path;

use sovereign_qemu_tests::ports::{Ports, Proto, Role, Sender, own, passed_on, ranges};
use sovereign_qemu_tests::scanner::{self, Scanner, TELL_ALL};
use sovereign_qemu_tests::started::{Started, site_text};
use sovereign_qemu_tests::templates::ROLES;
use sovereign_qemu_tests::{Cables, Lab};

/// An address of the internal network that is nobody's.
const STRANGER: &str = "10.10.0.99";
/// An address of the public network that is nobody's.
const NEIGHBOUR: &str = "192.0.2.99";
/// An address of neither network.
const FAR: &str = "198.51.100.9";
/// With the firewall gone every port of TCP answers. A packet may be lost twice among so many.
const NEARLY_ALL: usize = 65_000;

/// The program that scans.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_port-scan"))
}

/// An address of the site file, and the same without the length of its prefix.
fn address(keys: &[&str]) -> (String, String) {
    let with = site_text(keys);
    let without = with.split('/').next().unwrap().to_owned();
    (with, without)
}

fn internal(role: &str) -> (String, String) {
    address(&["guests", "roles", role, "internal_address"])
}

fn host() -> (String, String) {
    address(&["network", "internal_address"])
}

/// What each protocol shows, for people.
fn words(of: impl Fn(Proto) -> Ports) -> String {
    Proto::ALL.map(|proto| format!("{}: {}", proto.name(), ranges(&of(proto)))).join("; ")
}

/// Scans a role that is on the internal network alone.
#[track_caller]
fn scan_internal_role(role: &str) {
    let lab = Lab::new(&format!("firewall_{role}"));
    let cables = Cables::lay(1);
    let mut started = Started::on_cables(&lab, role, &cables);
    let vm = started.machine.power_on(role);
    let second = scanner::power_on(&lab, &cables, program());
    let scanner = Scanner::take_over(&second);
    let (own_address, target) = internal(role);
    let peers: Vec<&str> = ROLES.iter().map(|(peer, ..)| *peer).filter(|peer| *peer != role).collect();
    let mut senders =
        vec![(Sender::Host, host().1), (Sender::Stranger, STRANGER.into()), (Sender::Outside, FAR.into())];
    senders.extend(peers.iter().map(|peer| (Sender::Role(peer), internal(peer).1)));
    let prefix = own_address.split('/').next_back().unwrap();
    let addresses: Vec<String> = senders.iter().map(|(_, address)| format!("{address}/{prefix}")).collect();
    scanner.wire(0, "internal", &addresses.iter().map(String::as_str).collect::<Vec<_>>(), None);
    let shell = started.log_in(&vm);
    shell.ok(TELL_ALL);

    let roles = Role::all().unwrap();
    let mut reached = 0;
    for (sender, address) in &senders {
        let found = words(|proto| scanner.scan("internal", proto, address, &target));
        let listed = words(|proto| own(&roles, role, *sender, proto));
        assert_eq!(found, listed, "{role}, scanned by {sender:?} ({address})");
        reached += Proto::ALL.map(|proto| own(&roles, role, *sender, proto).len()).iter().sum::<usize>();
    }
    assert!(reached > 3, "{role} lists hardly a port for anybody");

    // This could have failed: without the firewall a stranger sees everything.
    shell.ok("nft flush ruleset");
    let found = scanner.scan("internal", Proto::Tcp, STRANGER, &target);
    assert!(found.len() > NEARLY_ALL, "without a firewall: {}", ranges(&found));
    vm.power_cut();
    second.power_cut();
}

/// Core lets in what edge routes or passes on, storage's mail and the host's administration, each from that sender alone.
#[test]
fn a_port_scan_of_core_sees_what_its_role_lists() {
    scan_internal_role("core");
}

/// Storage lets in edge and core, each at its services, and the host's administration.
#[test]
fn a_port_scan_of_storage_sees_what_its_role_lists() {
    scan_internal_role("storage");
}

/// From the public network edge answers at its own ports and passes exactly the listed ones on to core, with the sender's address; nothing
/// else of the internal network is reached through it. From the internal network it lets in the host's administration alone.
#[test]
fn a_port_scan_of_edge_sees_what_its_role_lists_and_what_it_passes_on() {
    let lab = Lab::new("firewall_edge");
    let cables = Cables::lay(2);
    let mut started = Started::on_cables(&lab, "edge", &cables);
    let vm = started.machine.power_on("edge");
    let second = scanner::power_on(&lab, &cables, program());
    let scanner = Scanner::take_over(&second);
    let (public, inside) = (address(&["guests", "roles", "edge", "public_address"]).1, internal("edge").1);
    let gateway = site_text(&["guests", "roles", "edge", "public_gateway"]);
    let (core, storage) = (internal("core"), internal("storage"));
    let far = format!("{FAR}/32");
    scanner.wire(0, "public", &[&format!("{gateway}/24"), &format!("{NEIGHBOUR}/24"), &far], None);
    scanner.route("public", &core.1, &public);
    let stranger = format!("{STRANGER}/24");
    scanner.wire(1, "internal", &[&core.0, &host().0, &storage.0, &stranger], Some(&inside));
    let shell = started.log_in(&vm);
    shell.ok(TELL_ALL);

    let roles = Role::all().unwrap();
    let forwarded = |proto| passed_on(&roles, "edge", "core", proto);
    assert!(forwarded(Proto::Tcp).contains(&25) && forwarded(Proto::Udp).len() > 100, "edge passes nothing on");
    let listed = |proto| &own(&roles, "edge", Sender::Public, proto) | &forwarded(proto);
    for source in [NEIGHBOUR, FAR] {
        let (found, at_core) =
            scanner.watch("internal", &core.1, || words(|proto| scanner.scan("public", proto, source, &public)));
        assert_eq!(found, words(listed), "edge, scanned from {source}");
        let wanted = Proto::ALL.map(|proto| format!("{} {source} {}", proto.name(), ranges(&forwarded(proto))));
        assert_eq!(at_core, wanted, "what edge passes on to core of {source}");
    }
    // A sender that knows the way is not let through either.
    let (found, at_core) =
        scanner.watch("internal", &core.1, || words(|proto| scanner.scan("public", proto, NEIGHBOUR, &core.1)));
    assert_eq!((found, at_core), (words(|_| Ports::new()), Vec::new()), "core, scanned through edge");

    let senders = [
        (Sender::Host, host().1),
        (Sender::Role("core"), core.1.clone()),
        (Sender::Role("storage"), storage.1),
        (Sender::Stranger, STRANGER.to_owned()),
    ];
    for (sender, address) in senders {
        let found = words(|proto| scanner.scan("internal", proto, &address, &inside));
        let listed = words(|proto| own(&roles, "edge", sender, proto));
        assert_eq!(found, listed, "edge, scanned by {sender:?} ({address})");
    }

    // This could have failed: without its rules edge answers at every port itself, and lets through who knows the way.
    shell.ok("nft flush ruleset");
    let (found, at_core) = scanner.watch("internal", &core.1, || {
        [public.as_str(), &core.1].map(|target| scanner.scan("public", Proto::Tcp, NEIGHBOUR, target).len())
    });
    assert!(found.iter().all(|count| *count > NEARLY_ALL), "without a firewall: {found:?}");
    assert_eq!(at_core.len(), 1, "{at_core:?}");
    vm.power_cut();
    second.power_cut();
}
