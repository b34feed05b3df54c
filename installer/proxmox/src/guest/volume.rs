//! The names of guests' volumes, by the rules of pve-storage 9.1: which volume is whose, and what it is made of.
//!
//! | storages | a disk | a template's disk | a linked clone of it |
//! |---|---|---|---|
//! | lvmthin | `vm-101-disk-0` | `base-9001-disk-0` | `vm-101-disk-0`: its name does not tell |
//! | lvm | `vm-101-disk-0` | there are none | there are none |
//! | zfspool, zfs, rbd | `vm-101-disk-0` | `base-9001-disk-0` | `base-9001-disk-0/vm-101-disk-0` |
//! | dir, nfs, cifs, cephfs, btrfs | `101/vm-101-disk-0.qcow2` | `9001/base-9001-disk-0.qcow2` | `9001/base-9001-disk-0.qcow2/101/vm-101-disk-0.qcow2` |
//!
//! A cloud-init volume is `vm-101-cloudinit` everywhere, on a template too.

use crate::names;

use super::numbers::VmId;

/// What a template's disks begin with.
const BASE: &str = "base-";
/// What a machine's disks begin with.
const VM: &str = "vm-";

/// `vm-101-disk-0`: the disk of a machine on a storage of volumes.
pub fn disk(id: VmId, number: u16) -> String {
    format!("{VM}{id}-disk-{number}")
}

/// `base-9001-disk-0`: the disk of a template on a storage of thin volumes.
pub fn base(id: VmId, number: u16) -> String {
    format!("{BASE}{id}-disk-{number}")
}

/// `vm-101-cloudinit`: the volume with the data of cloud-init, of a machine or a template.
pub fn cloud_init(id: VmId) -> String {
    format!("{VM}{id}-cloudinit")
}

/// How a storage names what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Thick volumes of LVM.
    Lvm,
    /// Thin volumes of LVM.
    LvmThin,
    /// Volumes whose names tell what they are clones of.
    Chained,
    /// Files in a directory for each guest.
    Files,
    /// Anything: the storage has names of its own, or is not known.
    Other,
}

impl Naming {
    /// That of a type in storage.cfg.
    pub fn of(kind: &str) -> Self {
        match kind {
            "lvm" => Self::Lvm,
            "lvmthin" => Self::LvmThin,
            "zfspool" | "zfs" | "rbd" => Self::Chained,
            "dir" | "nfs" | "cifs" | "cephfs" | "btrfs" => Self::Files,
            _ => Self::Other,
        }
    }

    /// Whether a template's disks become base volumes there.
    pub fn has_bases(self) -> bool {
        matches!(self, Self::LvmThin | Self::Chained | Self::Files)
    }
}

/// The name of a volume, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume<'a> {
    /// What is kept in it.
    pub content: Held,
    /// The guest it belongs to, by its name.
    pub owner: Option<u32>,
    /// Whether it is the disk of a template.
    pub is_base: bool,
    /// What it is a clone of: the volume's own name.
    pub base: Option<&'a str>,
    /// What names it alone, without what it is a clone of.
    pub own: &'a str,
}

/// What is kept in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A disk.
    Images,
    /// The image of an installation medium.
    Iso,
    /// Something else.
    Other,
}

/// Understands the name of a volume: what stands after the colon.
///
/// # Errors
/// None where the storage has no such names: Proxmox cannot use the volume then.
pub fn parse(naming: Naming, name: &str) -> Option<Volume<'_>> {
    match naming {
        Naming::LvmThin => lvm(name),
        Naming::Lvm => lvm(name).filter(|volume| !volume.is_base),
        Naming::Chained => chained(name),
        Naming::Files => file(name),
        // With another plugin, what looks like one of these is one.
        Naming::Other => {
            let like = lvm(name).or_else(|| chained(name)).or_else(|| file(name));
            let other = Volume { content: Held::Other, owner: None, is_base: false, base: None, own: name };
            Some(like.unwrap_or(other))
        }
    }
}

/// Splits a volume id into storage and name.
pub fn split(id: &str) -> Option<(&str, &str)> {
    id.split_once(':').filter(|(storage, name)| names::is_storage(storage) && !name.is_empty())
}

/// Whether Proxmox takes it for the volume with cloud-init's data: after the storage or a folder, `cloudinit` or `vm-ID-cloudinit`,
/// with or without the ending of a format.
pub fn is_cloud_init(id: &str) -> bool {
    let Some(name) = id.rsplit([':', '/']).next().filter(|name| *name != id) else { return false };
    let stem = match name.split_once('.') {
        Some((stem, "raw" | "qcow" | "qcow2" | "qed" | "vmdk" | "cloop")) => stem,
        Some(_) => return false,
        None => name,
    };
    let numbered = stem.strip_prefix(VM).and_then(|rest| rest.strip_suffix("-cloudinit"));
    stem == "cloudinit" || numbered.is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `vm-101-x` or `base-101-x`: whether it is a template's, and whose.
fn owned(name: &str) -> Option<(bool, u32)> {
    let is_base = name.starts_with(BASE);
    let rest = name.strip_prefix(BASE).or_else(|| name.strip_prefix(VM))?;
    let (digits, rest) = rest.split_once('-')?;
    let fits = is_digits(digits) && !rest.is_empty() && !rest.bytes().any(|b| b.is_ascii_whitespace());
    digits.parse().ok().filter(|_| fits).map(|owner| (is_base, owner))
}

fn lvm(name: &str) -> Option<Volume<'_>> {
    let (is_base, owner) = owned(name)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = name.bytes().all(plain) && name.bytes().next_back().is_some_and(|b| b.is_ascii_alphanumeric());
    fits.then_some(Volume { content: Held::Images, owner: Some(owner), is_base, base: None, own: name })
}

fn chained(name: &str) -> Option<Volume<'_>> {
    let (base, own) = name.split_once('/').map_or((None, name), |(base, own)| (Some(base), own));
    let (is_base, owner) = owned(own)?;
    let base_fits = base.is_none_or(|base| owned(base).is_some_and(|(is_base, _)| is_base));
    base_fits.then_some(Volume { content: Held::Images, owner: Some(owner), is_base, base, own })
}

fn file(name: &str) -> Option<Volume<'_>> {
    let (folder, rest) = name.split_once('/')?;
    let plain = |content| Volume { content, owner: None, is_base: false, base: None, own: name };
    match folder {
        "iso" => return (!rest.contains('/')).then_some(plain(Held::Iso)),
        "snippets" | "vztmpl" | "backup" | "import" => return Some(plain(Held::Other)),
        _ => {}
    }
    match rest.split_once('/') {
        None => image(folder, rest, None, name),
        Some((base, own)) => {
            let (owner, image_name) = own.split_once('/')?;
            let end = folder.len() + 1 + base.len();
            image(folder, base, None, name)?;
            image(owner, image_name, name.get(..end), own)
        }
    }
}

/// The file of a disk in its guest's folder.
fn image<'a>(folder: &str, name: &str, base: Option<&'a str>, own: &'a str) -> Option<Volume<'a>> {
    let owner = folder.parse().ok().filter(|_| is_digits(folder))?;
    let (stem, ending) = name.rsplit_once('.')?;
    let fits = ["raw", "qcow2", "vmdk", "subvol"].contains(&ending) && !stem.is_empty();
    let plain = !name.bytes().any(|b| b.is_ascii_whitespace() || b == b'/');
    let is_base = name.starts_with(BASE);
    (fits && plain).then_some(Volume { content: Held::Images, owner: Some(owner), is_base, base, own })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_of(owner: u32, own: &str) -> Volume<'_> {
        Volume { content: Held::Images, owner: Some(owner), is_base: false, base: None, own }
    }

    #[test]
    fn names_of_our_own() {
        let id = VmId::new(9001).unwrap();
        assert_eq!(disk(id, 2), "vm-9001-disk-2");
        assert_eq!(base(id, 0), "base-9001-disk-0");
        assert_eq!(cloud_init(id), "vm-9001-cloudinit");
        for name in [disk(id, 2), base(id, 0), cloud_init(id)] {
            assert_eq!(parse(Naming::LvmThin, &name).unwrap().owner, Some(9001));
        }
    }

    #[test]
    fn thin_and_thick_volumes() {
        assert_eq!(parse(Naming::LvmThin, "vm-101-disk-0"), Some(disk_of(101, "vm-101-disk-0")));
        let template = Volume { is_base: true, ..disk_of(9001, "base-9001-disk-0") };
        assert_eq!(parse(Naming::LvmThin, "base-9001-disk-0"), Some(template));
        assert_eq!(parse(Naming::Lvm, "base-9001-disk-0"), None);
        assert!(parse(Naming::Lvm, "vm-101-disk-0").is_some());
        for name in
            ["base-9001-disk-0/vm-101-disk-0", "101/vm-101-disk-0.raw", "disk", "vm-x-disk", "vm-1-", "vm-1-a b", ""]
        {
            assert_eq!(parse(Naming::LvmThin, name), None, "{name}");
        }
    }

    #[test]
    fn clones_whose_names_tell() {
        let clone = Volume { base: Some("base-9001-disk-0"), ..disk_of(101, "vm-101-disk-0") };
        assert_eq!(parse(Naming::Chained, "base-9001-disk-0/vm-101-disk-0"), Some(clone.clone()));
        assert_eq!(parse(Naming::Other, "base-9001-disk-0/vm-101-disk-0"), Some(clone));
        for name in ["vm-1-disk-0/vm-2-disk-0", "base-1-a/", "/vm-1-a", "x"] {
            assert_eq!(parse(Naming::Chained, name), None, "{name}");
        }
        let base = "9001/base-9001-disk-0.qcow2";
        let name = format!("{base}/101/vm-101-disk-0.qcow2");
        let clone = Volume { base: Some(base), ..disk_of(101, "101/vm-101-disk-0.qcow2") };
        assert_eq!(parse(Naming::Files, &name), Some(clone));
    }

    #[test]
    fn files() {
        assert_eq!(parse(Naming::Files, "101/any.raw"), Some(disk_of(101, "101/any.raw")));
        assert!(parse(Naming::Files, "9001/base-9001-disk-0.raw").unwrap().is_base);
        assert_eq!(parse(Naming::Files, "iso/debian.iso").unwrap().content, Held::Iso);
        assert_eq!(parse(Naming::Files, "snippets/hook.pl").unwrap().content, Held::Other);
        for name in
            ["vm-101-disk-0", "101/vm-101-disk-0", "x/a.raw", "101/.raw", "101/a b.raw", "iso/a/b.iso", "1/a.raw/2"]
        {
            assert_eq!(parse(Naming::Files, name), None, "{name}");
        }
        assert_eq!(parse(Naming::Other, "any:thing").unwrap().owner, None);
    }

    #[test]
    fn what_is_the_data_of_cloud_init() {
        for id in ["a1:vm-101-cloudinit", "a1:cloudinit", "a1:101/vm-101-cloudinit.qcow2", "a1:101/cloudinit.raw"] {
            assert!(is_cloud_init(id), "{id}");
        }
        for id in ["cloudinit", "a1:vm-x-cloudinit", "a1:base-1-cloudinit", "a1:vm-1-cloudinit.iso", "a1:vm--cloudinit"]
        {
            assert!(!is_cloud_init(id), "{id}");
        }
        assert_eq!(split("local-lvm:vm-1-a"), Some(("local-lvm", "vm-1-a")));
        assert_eq!((split("x:a"), split("local-lvm:"), split("/dev/sda")), (None, None, None));
    }
}
