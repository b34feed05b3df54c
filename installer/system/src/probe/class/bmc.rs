//! Virtual media of management controllers, by what they call themselves when asked (SCSI INQUIRY over USB).

use sovereign_model::inventory::{Bmc, Class, Transport};

use super::Seen;

/// Words of a name, in lower case, and whose controller calls its media so. The first that fits counts. Each medium is `Virtual`
/// something, so that a stick or a card reader of the same maker is none.
const NAMES: [(&str, Bmc); 13] = [
    ("idrac", Bmc::Dell),
    ("dell", Bmc::Dell),
    ("ilo", Bmc::Hpe),
    ("hpe", Bmc::Hpe),
    ("hp", Bmc::Hpe),
    ("aten", Bmc::Supermicro),
    ("supermic", Bmc::Supermicro),
    ("xcc", Bmc::Lenovo),
    ("imm", Bmc::Lenovo),
    ("lenovo", Bmc::Lenovo),
    ("irmc", Bmc::Fujitsu),
    ("fujitsu", Bmc::Fujitsu),
    ("intel", Bmc::Intel),
];
/// What virtual media call themselves beside `Virtual`.
const KINDS: [&str; 10] = ["cd", "dvd", "floppy", "fdd", "hdd", "hdisk", "media", "disk", "usb", "drive"];

/// The class of a disk that is a virtual medium.
pub(super) fn medium(one: &Seen<'_>) -> Option<Class> {
    if one.disk.transport != Transport::Usb {
        return None;
    }
    let name = format!("{} {}", one.vendor, one.disk.model).to_lowercase().replace('_', " ");
    bmc(&name).map(|bmc| Class::VirtualMedium { bmc })
}

fn bmc(name: &str) -> Option<Bmc> {
    let words: Vec<&str> = name.split_ascii_whitespace().collect();
    let begins = |beginning: &str| words.iter().any(|word| word.starts_with(beginning));
    // Cisco's are `CIMC-Mapped vHDD` and `vKVM-Mapped vHDD`; Dell's of the controller's own partitions are `iDRAC OEMDRV` and
    // the like; a controller with Linux's gadget driver, as OpenBMC has, says no more than that.
    if begins("cimc-mapped") || begins("vkvm-mapped") || (begins("cisco") && begins("virtual")) {
        return Some(Bmc::Cisco);
    }
    if begins("idrac") {
        return Some(Bmc::Dell);
    }
    if begins("openbmc") || name.contains("file-stor gadget") {
        return Some(Bmc::OpenBmc);
    }
    if !begins("virtual") || !KINDS.iter().any(|kind| name.contains(kind)) {
        return None;
    }
    let known = NAMES.iter().find(|(word, _)| begins(word)).map(|(_, bmc)| *bmc);
    Some(known.or_else(|| begins("ami").then_some(Bmc::Ami)).unwrap_or(Bmc::Other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_media_are_known_by_the_names_they_give_themselves() {
        for (name, wanted) in [
            ("AMI Virtual HDisk0", Some(Bmc::Ami)),
            ("AMI Virtual Floppy0", Some(Bmc::Ami)),
            ("AMI Virtual CDROM0", Some(Bmc::Ami)),
            ("iDRAC Virtual Floppy", Some(Bmc::Dell)),
            ("iDRAC OEMDRV", Some(Bmc::Dell)),
            ("HP iLO Virtual USB Key", Some(Bmc::Hpe)),
            ("iLO Virtual DVD-ROM", Some(Bmc::Hpe)),
            ("ATEN Virtual CDROM", Some(Bmc::Supermicro)),
            ("Lenovo Virtual Media", Some(Bmc::Lenovo)),
            ("FUJITSU Virtual Floppy0", Some(Bmc::Fujitsu)),
            ("Cisco CIMC-Mapped vHDD", Some(Bmc::Cisco)),
            ("Cisco Virtual FDD/HDD", Some(Bmc::Cisco)),
            ("Intel Virtual Floppy", Some(Bmc::Intel)),
            ("Linux File-Stor Gadget", Some(Bmc::OpenBmc)),
            ("Huawei Virtual DVD-ROM VM", Some(Bmc::Other)),
            // Real devices, some of the same makers.
            ("Intel SSD", None),
            ("HPE USB drive", None),
            ("HP iLO Internal SD-CARD", None),
            ("SanDisk Ultra", None),
            ("Virtuoso Stick", None),
            ("Generic- SD/MMC", None),
        ] {
            assert_eq!(bmc(&name.to_lowercase()), wanted, "{name}");
        }
    }
}
