//! What the lists of properties may hold, but for drives.

use super::format::{Format, Kind, Property, are_ranges, is_config_id};
use super::schema::{anything, is_address, is_boot_device, words};
use super::schema_drives::is_volume_id;
use super::values::{Mac, is_bridge, is_uuid, is_version};

const MAX: i64 = i64::MAX;

const fn flag(key: &'static str) -> Property {
    Property::new(key, Kind::Flag)
}

const fn word(key: &'static str, words: &'static [&'static str]) -> Property {
    Property::new(key, Kind::Word(words))
}

const fn whole(key: &'static str, min: i64, max: i64) -> Property {
    Property::new(key, Kind::Whole(min, max))
}

const fn shape(key: &'static str, fits: fn(&str) -> bool, what: &'static str) -> Property {
    Property::new(key, Kind::Shape(fits, what))
}

const fn first(key: &'static str, words: &'static [&'static str]) -> Property {
    Property::first(key, Kind::Word(words))
}

const fn mapping() -> Property {
    shape("mapping", is_config_id, "name of a mapping")
}

pub(super) static AGENT: Format = Format {
    aliases: &[("freeze-fs-on-backup", "freeze-fs"), ("guest-fsfreeze", "freeze-fs")],
    ..Format::new(&[&[
        Property::first("enabled", Kind::Flag).required(),
        flag("fstrim_cloned_disks"),
        flag("freeze-fs"),
        word("type", &["virtio", "isa"]),
    ]])
};

pub(super) static AUDIO: Format = Format::new(&[&[
    word("device", &["ich9-intel-hda", "intel-hda", "AC97"]).required(),
    word("driver", &["spice", "none"]),
]]);

pub(super) static BOOT: Format = Format::new(&[&[
    Property::first("legacy", Kind::Shape(is_legacy_boot, "order such as cdn")),
    shape("order", |text| words(text).all(is_boot_device), "list of devices such as scsi0;net0"),
]]);

fn is_legacy_boot(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|b| b"acdn".contains(&b))
}

pub(super) static CICUSTOM: Format = Format::new(&[&[
    shape("meta", is_volume_id, "volume"),
    shape("network", is_volume_id, "volume"),
    shape("user", is_volume_id, "volume"),
    shape("vendor", is_volume_id, "volume"),
]]);

pub(super) static CPU: Format = Format::new(&[&[
    anything("cputype").required(),
    flag("hidden"),
    shape(
        "hv-vendor-id",
        |text| (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()),
        "vendor",
    ),
    shape("flags", are_cpu_flags, "list of flags such as +aes;-pcid"),
    whole("guest-phys-bits", 32, 64),
    shape("phys-bits", is_phys_bits, "number of bits: use host or 8 to 64"),
    whole("level", 0, 4_294_967_295),
]]);

fn are_cpu_flags(text: &str) -> bool {
    text.split(';').all(|flag| {
        let name = flag.strip_prefix(['+', '-']).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    })
}

fn is_phys_bits(text: &str) -> bool {
    text == "host" || text.parse::<u8>().is_ok_and(|bits| (8..=64).contains(&bits))
}

pub(super) static HOST_PCI: Format = Format::new(&[&[
    Property::first("host", Kind::Shape(|text| text.split(';').all(is_pci), "list of PCI addresses such as 01:00.0")),
    mapping(),
    flag("rombar"),
    shape("romfile", |text| !text.contains(';'), "name of a file"),
    flag("pcie"),
    flag("x-vga"),
    flag("legacy-igd"),
    shape("mdev", |text| !text.contains(['/', '.', ':']), "type of a mediated device"),
    shape("vendor-id", is_pci_id, "number such as 0x8086"),
    shape("device-id", is_pci_id, "number such as 0x8086"),
    shape("sub-vendor-id", is_pci_id, "number such as 0x8086"),
    shape("sub-device-id", is_pci_id, "number such as 0x8086"),
    word("driver", &["vfio", "keep"]),
]]);

fn is_pci(text: &str) -> bool {
    let hex = |text: &str, fits: &dyn Fn(usize) -> bool| {
        fits(text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let (address, function) = text.split_once('.').map_or((text, None), |(address, f)| (address, Some(f)));
    let mut parts = address.rsplit(':');
    let (device, bus, domain) = (parts.next(), parts.next(), parts.next());
    device.is_some_and(|device| hex(device, &|length| length == 2))
        && bus.is_some_and(|bus| hex(bus, &|length| length == 2))
        && domain.is_none_or(|domain| hex(domain, &|length| length >= 4))
        && parts.next().is_none()
        && function.is_none_or(|function| hex(function, &|length| length == 1))
}

fn is_pci_id(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(super) static IP_CONFIG: Format = Format::new(&[&[
    shape(
        "ip",
        |text| ["dhcp", "manual"].contains(&text) || is_cidr(text, 32),
        "IPv4 address such as 10.10.0.2/24, or dhcp",
    ),
    shape("gw", |text| text.parse::<std::net::Ipv4Addr>().is_ok(), "IPv4 address"),
    shape(
        "ip6",
        |text| ["auto", "dhcp", "manual"].contains(&text) || is_cidr(text, 128),
        "IPv6 address such as fd00::2/64, or dhcp or auto",
    ),
    shape("gw6", |text| text.parse::<std::net::Ipv6Addr>().is_ok(), "IPv6 address"),
]]);

/// An address with the length of its prefix, of the family with so many bits.
fn is_cidr(text: &str, bits: u8) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let family = is_address(address) && address.contains(':') == (bits == 128);
    family && prefix.bytes().all(|b| b.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|p| (8..=bits).contains(&p))
}

pub(super) static IVSHMEM: Format = Format::new(&[&[
    whole("size", 1, MAX).required(),
    shape("name", |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "name"),
]]);

pub(super) static MACHINE: Format = Format::new(&[&[
    Property::first("type", Kind::Shape(is_machine, "type of machine such as q35 or pc-i440fx-10.1")),
    word("viommu", &["intel", "virtio"]),
    Property::new("aw-bits", Kind::Number(32, 64)),
    flag("enable-s3"),
    flag("enable-s4"),
]]);

/// `pc`, `q35`, `virt`, or one of them with a version.
fn is_machine(text: &str) -> bool {
    if ["pc", "q35", "virt"].contains(&text) {
        return true;
    }
    let starts = ["pc-i440fx-", "pc-q35-", "virt-", "pc-"];
    let versioned = starts.iter().filter_map(|start| text.strip_prefix(start)).any(|version| {
        let version = version.strip_suffix(".pxe").unwrap_or(version);
        let (version, revision) = version.split_once("+pve").map_or((version, "0"), |(v, revision)| (v, revision));
        is_version(version) && !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_digit())
    });
    text.len() <= 40 && versioned
}

pub(super) static MEMORY: Format = Format::new(&[&[Property::first("current", Kind::Whole(16, MAX)).required()]]);

pub(super) static META: Format =
    Format::new(&[&[whole("ctime", 0, MAX), shape("creation-qemu", is_version, "version such as 10.1.2")]]);

/// The models of network cards.
const MODELS: [&str; 14] = [
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];

pub(super) static NET: Format = Format {
    keys_of: Some((&MODELS, "macaddr")),
    ..Format::new(&[&[
        first("model", &MODELS).required(),
        shape("macaddr", is_mac, "MAC address of one card: write six pairs of hexadecimal digits, the first pair even"),
        shape("bridge", is_bridge, "name of a bridge"),
        whole("queues", 0, 64),
        Property::new("rate", Kind::Number(0, MAX)),
        whole("tag", 1, 4094),
        shape("trunks", |text| are_ranges(text, ';'), "list of VLANs such as 2;5-7"),
        flag("firewall"),
        flag("link_down"),
        whole("mtu", 1, 65_520),
        flag("host-tunnel"),
    ]])
};

/// Proxmox takes the address of all zeros too.
fn is_mac(text: &str) -> bool {
    Mac::parse(text).is_ok() || text == "00:00:00:00:00:00"
}

pub(super) static NUMA: Format = Format::new(&[&[
    shape("cpus", |text| are_ranges(text, ';'), "list of CPUs such as 0;2-3").required(),
    Property::new("memory", Kind::Number(-MAX, MAX)),
    shape("hostnodes", |text| are_ranges(text, ';'), "list of nodes such as 0;1"),
    word("policy", &["preferred", "bind", "interleave"]),
]]);

pub(super) static RNG: Format = Format::new(&[&[
    first("source", &["/dev/urandom", "/dev/random", "/dev/hwrng"]).required(),
    whole("max_bytes", -MAX, MAX),
    whole("period", -MAX, MAX),
]]);

pub(super) static SEV: Format = Format::new(&[&[
    first("type", &["std", "es", "snp"]).required(),
    flag("no-debug"),
    flag("no-key-sharing"),
    flag("allow-smt"),
    flag("kernel-hashes"),
]]);

pub(super) static TDX: Format = Format::new(&[&[
    first("type", &["tdx"]).required(),
    flag("attestation").required(),
    whole("vsock-cid", 2, MAX),
    whole("vsock-port", 0, MAX),
]]);

pub(super) static SMBIOS: Format = Format::new(&[&[
    shape("uuid", is_uuid, "UUID"),
    shape("version", is_base64, "text in base64"),
    shape("serial", is_base64, "text in base64"),
    shape("manufacturer", is_base64, "text in base64"),
    shape("product", is_base64, "text in base64"),
    shape("sku", is_base64, "text in base64"),
    shape("family", is_base64, "text in base64"),
    flag("base64"),
]]);

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    padding <= 2 && !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

pub(super) static SPICE: Format =
    Format::new(&[&[flag("foldersharing"), word("videostreaming", &["off", "all", "filter"])]]);

pub(super) static USB: Format = Format::new(&[&[
    Property::first("host", Kind::Shape(is_usb, "USB device: write 1234:abcd, 1-2.3 or spice")),
    mapping(),
    flag("usb3"),
]]);

fn is_usb(text: &str) -> bool {
    let id = |id: &str| {
        let id = id.strip_prefix("0x").unwrap_or(id);
        id.len() == 4 && id.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.eq_ignore_ascii_case("spice")
        || text.split_once(':').is_some_and(|(vendor, product)| id(vendor) && id(product))
        || text.split_once('-').is_some_and(|(bus, port)| digits(bus) && port.split('.').all(digits))
}

pub(super) static VGA: Format = Format::new(&[&[
    first(
        "type",
        &[
            "cirrus",
            "qxl",
            "qxl2",
            "qxl3",
            "qxl4",
            "none",
            "serial0",
            "serial1",
            "serial2",
            "serial3",
            "std",
            "virtio",
            "virtio-gl",
            "vmware",
        ],
    ),
    whole("memory", 4, 512),
    word("clipboard", &["vnc"]),
]]);

pub(super) static VIRTIOFS: Format = Format::new(&[&[
    Property::first("dirid", Kind::Shape(is_config_id, "name of a mapping")).required(),
    word("cache", &["auto", "always", "metadata", "never"]),
    flag("direct-io"),
    flag("expose-xattr"),
    flag("expose-acl"),
]]);

pub(super) static WATCHDOG: Format = Format::new(&[&[
    first("model", &["i6300esb", "ib700"]),
    word("action", &["reset", "shutdown", "poweroff", "pause", "debug", "none"]),
]]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert!(
            ["pc", "q35", "pc-i440fx-9.1", "pc-q35-10.0+pve1", "pc-6.2.pxe", "virt-7.0"].iter().all(|m| is_machine(m))
        );
        assert!(["", "q36", "pc-q35", "pc-q35-9", "pc-q35-9.0+pve"].iter().all(|machine| !is_machine(machine)));
        assert!(["01:00", "0000:01:00.0", "d0:1f.3"].iter().all(|text| is_pci(text)));
        assert!(["", "1:00", "01:00.10", "01:0G", "000:01:00", "a:0000:01:00"].iter().all(|text| !is_pci(text)));
        assert!(["1234:abcd", "0x1234:0xABCD", "1-2.3", "SPICE"].iter().all(|text| is_usb(text)));
        assert!(["", "123:abcd", "1-", "1-2."].iter().all(|text| !is_usb(text)));
        assert!(is_base64("YQ==") && is_base64("ab+/") && !is_base64("") && !is_base64("a===") && !is_base64("ä"));
        assert!(is_cidr("10.0.0.1/8", 32) && !is_cidr("10.0.0.1/7", 32) && !is_cidr("10.0.0.1", 32));
        assert!(is_cidr("fd00::1/64", 128) && !is_cidr("fd00::1/64", 32) && !is_cidr("fd00::1/129", 128));
        assert!(is_phys_bits("host") && is_phys_bits("40") && !is_phys_bits("7"));
        assert!(are_cpu_flags("+aes;-pcid") && !are_cpu_flags("aes") && !are_cpu_flags("+"));
    }

    #[test]
    fn a_network_card_may_be_written_either_way() {
        for text in ["virtio=BC:24:11:00:00:01,bridge=vmbr0", "model=virtio,macaddr=BC:24:11:00:00:01,bridge=vmbr0"] {
            let read = NET.read(text).unwrap();
            assert_eq!((read.get("model"), read.get("macaddr")), (Some("virtio"), Some("BC:24:11:00:00:01")));
        }
    }
}
