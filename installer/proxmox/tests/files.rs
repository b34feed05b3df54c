//! The generated files, as files.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sovereign_proxmox::files::{
    Address, Backend, Cidr, Content, Interfaces, InterfacesError, Kind, Storage, StorageError, interfaces,
    parse_storage_cfg, storage_cfg,
};
use sovereign_proxmox::names::NameError;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn network(kind: Kind) -> Interfaces<'static> {
    let address = Address::Static { cidr: cidr("192.0.2.10/24"), gateway: Some([192, 0, 2, 1].into()) };
    Interfaces { kind, uplink: Some("nic0"), others: &["nic1", "nic2"], address, internal: None }
}

#[test]
fn networks() {
    let v6 = Address::Static { cidr: cidr("2001:db8::10/64"), gateway: Some("fe80::1".parse().unwrap()) };
    for (kind, name) in [(Kind::Linux, "linux"), (Kind::Ovs, "ovs")] {
        let plain = network(kind);
        insta::assert_snapshot!(format!("interfaces-{name}"), interfaces(&plain).unwrap());
        let internal = Interfaces { internal: Some(cidr("10.10.0.1/16")), others: &[], ..plain };
        insta::assert_snapshot!(format!("interfaces-{name}-internal"), interfaces(&internal).unwrap());
        let dhcp = Interfaces { address: Address::Dhcp, others: &[], ..plain };
        insta::assert_snapshot!(format!("interfaces-{name}-dhcp"), interfaces(&dhcp).unwrap());
        let v6 = Interfaces { address: v6, internal: Some(cidr("fd00::1/64")), others: &[], ..plain };
        insta::assert_snapshot!(format!("interfaces-{name}-ipv6"), interfaces(&v6).unwrap());
    }
}

#[test]
fn every_port_of_a_bridge_has_its_stanza() {
    for internal in [None, Some(cidr("10.10.0.1/16"))] {
        let text = interfaces(&Interfaces { internal, ..network(Kind::Ovs) }).unwrap();
        for port in text.lines().filter_map(|line| line.strip_prefix("\tovs_ports ")).flat_map(str::split_whitespace) {
            assert!(text.contains(&format!("auto {port}\niface {port} inet ")), "{port} in\n{text}");
        }
    }
}

#[test]
fn networks_that_cannot_be() {
    let plain = network(Kind::Linux);
    let with = |address: &str, gateway: &str| Interfaces {
        address: Address::Static { cidr: cidr(address), gateway: Some(gateway.parse().unwrap()) },
        ..plain
    };
    let wrong = |network: Interfaces<'_>| interfaces(&network).unwrap_err();
    assert!(matches!(wrong(Interfaces { others: &["nic0"], ..plain }), InterfacesError::Taken(name) if name == "nic0"));
    for name in ["vmbr0", "vmbr1", "lo", "mgmt", "internal"] {
        assert_eq!(wrong(Interfaces { uplink: Some(name), ..plain }), InterfacesError::Taken(name.to_owned()));
    }
    let bad = NameError::Interface("nic 0".to_owned());
    assert_eq!(wrong(Interfaces { uplink: Some("nic 0"), ..plain }), InterfacesError::Name(bad));
    for (address, gateway) in [
        ("192.0.2.10/24", "192.0.2.0"),
        ("192.0.2.10/24", "192.0.2.255"),
        ("192.0.2.10/24", "192.0.3.1"),
        ("192.0.2.10/24", "192.0.2.10"),
        ("192.0.2.10/24", "fe80::1"),
        ("2001:db8::1/64", "192.0.2.1"),
    ] {
        assert!(matches!(wrong(with(address, gateway)), InterfacesError::Gateway { .. }), "{address} {gateway}");
    }
    for internal in ["192.0.2.200/24", "192.0.2.130/25", "192.0.0.1/16"] {
        let network = Interfaces { internal: Some(cidr(internal)), ..plain };
        assert!(matches!(wrong(network), InterfacesError::Overlap { .. }), "{internal}");
    }
    for text in [
        "192.0.2.0/24",
        "192.0.2.255/24",
        "127.0.0.1/8",
        "0.0.0.0/0",
        "192.0.2.1/33",
        "192.0.2.1",
        "x/24",
        "192.0.2.1/0",
        "::1/128",
        "2001:db8::/64",
        "224.0.0.1/4",
        "2001:db8::1/129",
        "",
    ] {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
    for text in ["192.0.2.0/31", "192.0.2.1/32", "2001:db8::/127", "2001:db8::1/128", "2001:db8::ffff/64"] {
        assert_eq!(cidr(text).to_string(), text);
    }
}

fn local() -> Storage {
    let content = vec![Content::Iso, Content::Vztmpl, Content::Backup, Content::Snippets, Content::Import];
    Storage { id: "local".to_owned(), backend: Backend::Dir { path: "/var/lib/vz".to_owned() }, content }
}

fn volumes(id: &str, backend: Backend) -> Storage {
    Storage { id: id.to_owned(), backend, content: vec![Content::Images, Content::Rootdir] }
}

#[test]
fn storages() {
    let thin = Backend::LvmThin { vg: "pve".to_owned(), pool: "data".to_owned() };
    let thick = Backend::Lvm { vg: "bulk".to_owned() };
    let text = storage_cfg(&[local(), volumes("local-lvm", thin), volumes("bulk-lvm", thick)]).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn storages_that_cannot_be() {
    let lvm = |vg: &str| volumes("bulk", Backend::Lvm { vg: vg.to_owned() });
    let dir = |id: &str, path: &str| Storage {
        id: id.to_owned(),
        backend: Backend::Dir { path: path.to_owned() },
        ..local()
    };
    let wrong = |storage: Storage| storage_cfg(&[local(), storage]).unwrap_err();
    assert_eq!(storage_cfg(&[]), Err(StorageError::Local));
    assert_eq!(wrong(local()), StorageError::Duplicate("local".to_owned()));
    assert_eq!(storage_cfg(&[dir("local", "/srv")]), Err(StorageError::Local));
    for path in ["srv", "", "/a b", "/a\n", "/../x"] {
        assert_eq!(wrong(dir("srv", path)), StorageError::Path(path.to_owned()));
    }
    assert!(matches!(wrong(dir("1x", "/srv")), StorageError::Name(NameError::Storage(_))));
    assert!(matches!(wrong(lvm("a b")), StorageError::Name(NameError::Volume(_))));
    assert!(matches!(wrong(Storage { content: vec![Content::Iso], ..lvm("bulk") }), StorageError::Unsupported { .. }));
    for content in [vec![], vec![Content::Images; 2]] {
        assert_eq!(wrong(Storage { content, ..lvm("bulk") }), StorageError::Content("bulk".to_owned()));
    }
}

#[test]
fn files_that_proxmox_would_read_otherwise() {
    let text = storage_cfg(&[local(), volumes("bulk", Backend::Lvm { vg: "bulk".to_owned() })]).unwrap();
    assert!(parse_storage_cfg(&text).is_ok());
    for (from, to) in [
        ("\n\nlvm", "\nlvm"),
        ("images", "disks"),
        ("\tvgname bulk\n", ""),
        ("lvm:", "tape:"),
        ("\tvgname", "vgname"),
        ("bulk", "local"),
    ] {
        let text = text.replace(from, to);
        assert!(parse_storage_cfg(&text).is_err(), "{text}");
    }
}

fn storage() -> impl Strategy<Value = Storage> {
    let name = "[a-zA-Z0-9]([a-zA-Z0-9+._-]{0,6}[a-zA-Z0-9])?";
    let volumes = prop::sample::subsequence(vec![Content::Images, Content::Rootdir], 1..=2);
    let all = prop::sample::subsequence(Content::ALL.to_vec(), 1..=7);
    let backend = prop_oneof![
        ("/[a-z@._-]{0,5}(/[a-z0-9_-]{1,5}){0,2}", all)
            .prop_filter("`..`", |(path, _)| !path.contains(".."))
            .prop_map(|(path, content)| (Backend::Dir { path }, content)),
        (name, name, volumes.clone()).prop_map(|(vg, pool, content)| (Backend::LvmThin { vg, pool }, content)),
        (name, volumes).prop_map(|(vg, content)| (Backend::Lvm { vg }, content)),
    ];
    ("[a-z][a-z0-9._-]{0,6}[a-z0-9]", backend)
        .prop_filter("there is one `local`", |(id, _)| id != "local")
        .prop_map(|(id, (backend, content))| Storage { id, backend, content })
}

proptest! {
    #[test]
    fn what_is_written_is_read(more in prop::collection::vec(storage(), 0..5)) {
        let mut storages = vec![local()];
        for storage in more {
            if storages.iter().all(|other| other.id != storage.id) {
                storages.push(storage);
            }
        }
        let text = storage_cfg(&storages).unwrap();
        prop_assert_eq!(parse_storage_cfg(&text), Ok(storages));
    }
}
