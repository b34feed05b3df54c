//! Every setting of a virtual machine that qemu-server 9.2 knows, and what its value has to be.

use super::format::{Format, Kind, Property, are_ranges, is_config_id, is_digits, is_generation, is_url_encoded};
use super::schema_drives::{EFI_DISK, IDE, SATA, SCSI, TPM_STATE, UNUSED, VIRTIO, is_volume_id};
use super::schema_lists as lists;
use super::values::is_tag;
use crate::names;

/// How a setting is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// Proxmox's parser checks it, and leaves the line out where it is wrong.
    Checked(Kind),
    /// A whole number or a number: the parser sees to that, not to its limits.
    Limits(Kind),
    /// The parser takes any text.
    Unchecked(Kind),
    /// A list that the parser checks.
    List(&'static Format),
    /// A drive: a list that begins with a volume.
    Drive(&'static Format),
    /// Anything.
    Any,
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    name: &'static str,
    /// How many there may be, numbered from 0; none for one without a number.
    count: Option<u16>,
    /// How it is read.
    pub(super) rule: Rule,
}

const fn one(name: &'static str, rule: Rule) -> Key {
    Key { name, count: None, rule }
}

const fn many(name: &'static str, count: u16, rule: Rule) -> Key {
    Key { name, count: Some(count), rule }
}

const fn flag(name: &'static str) -> Key {
    one(name, Rule::Checked(Kind::Flag))
}

const fn limits(name: &'static str, min: i64, max: i64) -> Key {
    one(name, Rule::Limits(Kind::Whole(min, max)))
}

const fn word(name: &'static str, words: &'static [&'static str]) -> Key {
    one(name, Rule::Unchecked(Kind::Word(words)))
}

const fn checked(name: &'static str, fits: fn(&str) -> bool, what: &'static str) -> Key {
    one(name, Rule::Checked(Kind::Shape(fits, what)))
}

const fn shape(name: &'static str, fits: fn(&str) -> bool, what: &'static str) -> Key {
    one(name, Rule::Unchecked(Kind::Shape(fits, what)))
}

const fn list(name: &'static str, format: &'static Format) -> Key {
    one(name, Rule::List(format))
}

const MAX: i64 = i64::MAX;

/// All of them.
static KEYS: [Key; 87] = [
    flag("acpi"),
    checked("affinity", |text| are_ranges(text, ','), "list of CPUs such as 0,2-3"),
    list("agent", &lists::AGENT),
    flag("allow-ksm"),
    list("amd-sev", &lists::SEV),
    word("arch", &["x86_64", "aarch64"]),
    one("args", Rule::Any),
    list("audio0", &lists::AUDIO),
    flag("autostart"),
    limits("balloon", 0, MAX),
    word("bios", &["seabios", "ovmf"]),
    list("boot", &lists::BOOT),
    checked("bootdisk", is_drive, "disk such as scsi0"),
    one("cdrom", Rule::Drive(&IDE)),
    list("cicustom", &lists::CICUSTOM),
    one("cipassword", Rule::Any),
    word("citype", &["configdrive2", "nocloud", "opennebula"]),
    flag("ciupgrade"),
    one("ciuser", Rule::Any),
    limits("cores", 1, MAX),
    list("cpu", &lists::CPU),
    one("cpulimit", Rule::Limits(Kind::Number(0, 128))),
    limits("cpuunits", 1, 262_144),
    one("efidisk0", Rule::Drive(&EFI_DISK)),
    flag("freeze"),
    checked("hookscript", is_volume_id, "volume such as local:snippets/hook.pl"),
    many("hostpci", 16, Rule::List(&lists::HOST_PCI)),
    checked("hotplug", is_hotplug, "list of network, disk, cpu, memory, usb, cloudinit, or 0 or 1"),
    word("hugepages", &["any", "2", "1024"]),
    many("ide", 4, Rule::Drive(&IDE)),
    list("intel-tdx", &lists::TDX),
    many("ipconfig", 32, Rule::List(&lists::IP_CONFIG)),
    list("ivshmem", &lists::IVSHMEM),
    flag("keephugepages"),
    word(
        "keyboard",
        &[
            "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is", "it", "ja",
            "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
        ],
    ),
    flag("kvm"),
    flag("localtime"),
    word(
        "lock",
        &["backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"],
    ),
    list("machine", &lists::MACHINE),
    list("memory", &lists::MEMORY),
    list("meta", &lists::META),
    one("migrate_downtime", Rule::Limits(Kind::Number(0, MAX))),
    limits("migrate_speed", 0, MAX),
    checked("name", is_dns_name, "DNS name: use letters, digits and hyphens with points between"),
    checked("nameserver", are_addresses, "list of addresses"),
    many("net", 32, Rule::List(&lists::NET)),
    flag("numa"),
    many("numa", 8, Rule::List(&lists::NUMA)),
    flag("onboot"),
    word(
        "ostype",
        &["other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24", "l26", "solaris"],
    ),
    many("parallel", 3, Rule::Unchecked(Kind::Shape(is_parallel, "parallel port such as /dev/parport0"))),
    checked("parent", is_config_id, "name of a snapshot"),
    flag("protection"),
    flag("reboot"),
    list("rng0", &lists::RNG),
    one("running-nets-host-mtu", Rule::Any),
    one("runningcpu", Rule::Any),
    list("runningmachine", &lists::MACHINE),
    many("sata", 6, Rule::Drive(&SATA)),
    many("scsi", 31, Rule::Drive(&SCSI)),
    word("scsihw", &["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"]),
    one("searchdomain", Rule::Any),
    many(
        "serial",
        4,
        Rule::Unchecked(Kind::Shape(is_serial, "serial port: use socket or a device such as /dev/ttyS0")),
    ),
    limits("shares", 0, 50_000),
    list("smbios1", &lists::SMBIOS),
    limits("smp", 1, MAX),
    limits("snaptime", 0, MAX),
    limits("sockets", 1, MAX),
    list("spice_enhancements", &lists::SPICE),
    checked("sshkeys", is_url_encoded, "URL-encoded text: write keys as `qm set --sshkeys FILE` does"),
    shape("startdate", is_date, "date: use now, 2026-01-02 or 2026-01-02T03:04:05"),
    checked("startup", is_startup, "order: use order=N,up=SECONDS,down=SECONDS"),
    flag("tablet"),
    checked("tags", are_tags, "list of tags: use letters, digits, `_`, `-`, `+` and `.`"),
    flag("tdf"),
    flag("template"),
    one("tpmstate0", Rule::Drive(&TPM_STATE)),
    many("unused", 256, Rule::Drive(&UNUSED)),
    many("usb", 14, Rule::List(&lists::USB)),
    limits("vcpus", 1, MAX),
    list("vga", &lists::VGA),
    many("virtio", 16, Rule::Drive(&VIRTIO)),
    many("virtiofs", 10, Rule::List(&lists::VIRTIOFS)),
    shape("vmgenid", is_generation, "UUID, 0 or 1"),
    checked("vmstate", is_volume_id, "volume"),
    checked("vmstatestorage", names::is_storage, "storage"),
    list("watchdog", &lists::WATCHDOG),
];

/// The setting of a name.
pub(super) fn find(key: &str) -> Option<&'static Key> {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let index = key.get(name.len()..).unwrap_or_default();
    KEYS.iter().find(|known| match known.count {
        None => known.name == key,
        Some(count) => known.name == name && is_index(index, count),
    })
}

fn is_index(digits: &str, count: u16) -> bool {
    (digits == "0" || !digits.starts_with('0')) && digits.parse::<u16>().is_ok_and(|index| index < count)
}

/// A disk, but not one with a state or one that is not used.
pub(super) fn is_drive(key: &str) -> bool {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    ["ide", "sata", "scsi", "virtio"].contains(&name) && find(key).is_some()
}

/// Something that a machine can boot from.
pub(super) fn is_boot_device(key: &str) -> bool {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    is_drive(key) || (["net", "usb", "hostpci"].contains(&name) && find(key).is_some())
}

fn is_dns_name(name: &str) -> bool {
    name.split('.').all(names::is_node)
}

/// An IPv4 or IPv6 address.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// Proxmox's lists: commas, semicolons and space separate.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c == ';' || c.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

fn are_addresses(text: &str) -> bool {
    words(text).all(|word| is_address(word) || is_dns_name(word))
}

fn are_tags(text: &str) -> bool {
    words(text).all(is_tag)
}

fn is_hotplug(text: &str) -> bool {
    let known = ["network", "disk", "cpu", "memory", "usb", "cloudinit"];
    text == "0" || text == "1" || words(text).all(|word| known.contains(&word))
}

fn is_startup(text: &str) -> bool {
    let part = |part: &str| {
        let number = ["order=", "up=", "down="].iter().find_map(|key| part.strip_prefix(key)).unwrap_or(part);
        part.trim_ascii().is_empty() || is_digits(number)
    };
    text != "0" && text.split(',').all(part)
}

fn is_serial(text: &str) -> bool {
    let device = text.strip_prefix("/dev/").is_some_and(|name| !name.is_empty() && !name.contains(','));
    text == "socket" || device
}

fn is_parallel(text: &str) -> bool {
    ["/dev/parport", "/dev/usb/lp"].iter().filter_map(|start| text.strip_prefix(start)).any(is_digits)
}

fn is_date(text: &str) -> bool {
    let numbers = |text: &str, between: char, first: std::ops::RangeInclusive<usize>| {
        let parts: Vec<&str> = text.split(between).collect();
        let lengths = parts.iter().enumerate().all(|(at, part)| {
            is_digits(part) && if at == 0 { first.contains(&part.len()) } else { (1..=2).contains(&part.len()) }
        });
        parts.len() == 3 && lengths
    };
    match text.split_once('T') {
        Some((date, time)) => numbers(date, '-', 4..=4) && numbers(time, ':', 1..=2),
        None => text == "now" || numbers(text, '-', 4..=4),
    }
}

/// The property that stands first, of any text.
pub(super) const fn anything(key: &'static str) -> Property {
    Property::first(key, Kind::Shape(|_| true, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_by_their_names() {
        for key in
            ["cores", "scsi0", "scsi30", "net31", "numa", "numa7", "hostpci15", "smbios1", "efidisk0", "unused255"]
        {
            assert!(find(key).is_some(), "{key}");
        }
        for key in
            ["", "core", "scsi", "scsi31", "scsi00", "scsi01", "net32", "numa8", "cores0", "efidisk1", "usb99999"]
        {
            assert!(find(key).is_none(), "{key}");
        }
        assert!(is_drive("virtio15") && !is_drive("efidisk0") && !is_drive("unused0") && !is_drive("scsi31"));
        assert!(is_boot_device("net0") && is_boot_device("usb1") && !is_boot_device("tpmstate0"));
    }

    #[test]
    fn shapes() {
        assert!(["now", "2006-06-17", "2006-6-7T1:2:03"].iter().all(|text| is_date(text)));
        assert!(
            ["", "2006", "06-06-17", "2006-06-17T", "2006-06-17T1:2", "2006-06-017"].iter().all(|text| !is_date(text))
        );
        assert!(["1", "order=1,up=2,down=3", "up=2", "order=1,"].iter().all(|text| is_startup(text)));
        assert!(["0", "order=x", "first", "up="].iter().all(|text| !is_startup(text)));
        assert!(["0", "1", "network,disk"].iter().all(|text| is_hotplug(text)) && !is_hotplug("ram"));
        assert!(is_serial("socket") && is_serial("/dev/ttyS0") && !is_serial("/dev/") && !is_serial("tty"));
        assert!(is_parallel("/dev/parport0") && is_parallel("/dev/usb/lp1") && !is_parallel("/dev/lp0"));
        assert!(are_addresses("192.0.2.1 2001:db8::1") && are_addresses("ns.example.org") && !are_addresses("a_b"));
    }
}
