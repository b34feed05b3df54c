//! What a drive's list may hold, by the bus it hangs on.

use super::format::{Format, Kind, Property, is_size, is_url_encoded};
use crate::names;

const MAX: i64 = i64::MAX;

const fn flag(key: &'static str) -> Property {
    Property::new(key, Kind::Flag)
}

const fn word(key: &'static str, words: &'static [&'static str]) -> Property {
    Property::new(key, Kind::Word(words))
}

const fn number(key: &'static str) -> Property {
    Property::new(key, Kind::Number(-MAX, MAX))
}

const fn whole(key: &'static str, min: i64) -> Property {
    Property::new(key, Kind::Whole(min, MAX))
}

/// The volume itself.
const FILE: Property =
    Property::first("file", Kind::Shape(is_drive_source, "volume, `none`, `cdrom` or path of a device")).required();

const FORMAT: Property = word("format", &["raw", "qcow", "qed", "qcow2", "vmdk", "cloop"]);
const SIZE: Property = Property::new("size", Kind::Shape(is_size, "size such as 32G"));

const BASE: [Property; 36] = [
    FILE,
    FORMAT,
    SIZE,
    word("media", &["cdrom", "disk"]),
    flag("snapshot"),
    word("cache", &["none", "writethrough", "writeback", "unsafe", "directsync"]),
    flag("backup"),
    flag("replicate"),
    word("rerror", &["ignore", "report", "stop"]),
    word("werror", &["enospc", "ignore", "report", "stop"]),
    word("aio", &["native", "threads", "io_uring"]),
    word("discard", &["ignore", "on"]),
    flag("detect_zeroes"),
    Property::new("serial", Kind::Shape(|text| is_url_encoded(text) && text.len() <= 60, "URL-encoded serial number")),
    flag("shared"),
    whole("bps", -MAX),
    whole("bps_rd", -MAX),
    whole("bps_wr", -MAX),
    number("mbps"),
    number("mbps_rd"),
    number("mbps_wr"),
    whole("iops", -MAX),
    whole("iops_rd", -MAX),
    whole("iops_wr", -MAX),
    number("mbps_max"),
    number("mbps_rd_max"),
    number("mbps_wr_max"),
    whole("iops_max", -MAX),
    whole("iops_rd_max", -MAX),
    whole("iops_wr_max", -MAX),
    whole("bps_max_length", 1),
    whole("bps_rd_max_length", 1),
    whole("bps_wr_max_length", 1),
    whole("iops_max_length", 1),
    whole("iops_rd_max_length", 1),
    whole("iops_wr_max_length", 1),
];

const ALIASES: [(&str, &str); 5] = [
    ("volume", "file"),
    ("bps_rd_length", "bps_rd_max_length"),
    ("bps_wr_length", "bps_wr_max_length"),
    ("iops_rd_length", "iops_rd_max_length"),
    ("iops_wr_length", "iops_wr_max_length"),
];

const VOLUME: [(&str, &str); 1] = [("volume", "file")];

const IOTHREAD: Property = flag("iothread");
const RO: Property = flag("ro");
const SSD: Property = flag("ssd");
const WWN: Property = Property::new("wwn", Kind::Shape(is_wwn, "world-wide name: write 0x and 16 hexadecimal digits"));
const MODEL: Property =
    Property::new("model", Kind::Shape(|text| is_url_encoded(text) && text.len() <= 120, "URL-encoded model"));

const fn drive(groups: &'static [&'static [Property]]) -> Format {
    Format { groups, aliases: &ALIASES, keys_of: None }
}

const fn state(groups: &'static [&'static [Property]]) -> Format {
    Format { groups, aliases: &VOLUME, keys_of: None }
}

/// `ide0` and further.
pub(super) static IDE: Format = drive(&[&BASE, &[MODEL, SSD, WWN]]);
/// `sata0` and further.
pub(super) static SATA: Format = drive(&[&BASE, &[SSD, WWN]]);
/// `virtio0` and further.
pub(super) static VIRTIO: Format = drive(&[&BASE, &[IOTHREAD, RO]]);
/// `scsi0` and further.
pub(super) static SCSI: Format = drive(&[
    &BASE,
    &[
        IOTHREAD,
        RO,
        SSD,
        WWN,
        flag("scsiblock"),
        whole("queues", 2),
        Property::new("product", Kind::Shape(|text| is_inquiry(text, 16), "product of at most 16 characters")),
        Property::new("vendor", Kind::Shape(|text| is_inquiry(text, 8), "vendor of at most 8 characters")),
    ],
]);
/// `efidisk0`.
pub(super) static EFI_DISK: Format = state(&[&[
    FILE,
    FORMAT,
    SIZE,
    word("efitype", &["2m", "4m"]),
    flag("pre-enrolled-keys"),
    word("ms-cert", &["2011", "2023", "2023w", "2023k"]),
]]);
/// `tpmstate0`.
pub(super) static TPM_STATE: Format =
    state(&[&[FILE, word("format", &["raw", "qcow2", "vmdk"]), SIZE, word("version", &["v1.2", "v2.0"])]]);
/// `unused0` and further.
pub(super) static UNUSED: Format = state(&[&[Property::first("file", Kind::Shape(is_volume_id, "volume")).required()]]);

/// `STORAGE:NAME`.
pub(super) fn is_volume_id(text: &str) -> bool {
    text.split_once(':').is_some_and(|(storage, name)| names::is_storage(storage) && !name.is_empty())
}

fn is_drive_source(text: &str) -> bool {
    text == "none" || text == "cdrom" || text.starts_with('/') || is_volume_id(text)
}

fn is_wwn(text: &str) -> bool {
    text.strip_prefix("0x")
        .and_then(|digits| digits.get(..16))
        .is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_inquiry(text: &str, most: usize) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b.is_ascii_whitespace();
    text.len() <= most && text.bytes().all(plain)
}
