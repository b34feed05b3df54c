//! The numbers among the values of a virtual machine's settings.

use std::fmt;

use crate::names;

use super::values::ValueError;

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// Least memory of a machine, MiB (qemu-server, `Memory.pm`).
pub const MEMORY_MIN_MIB: u32 = 16;
/// Most memory of a machine, MiB: Proxmox's own limit of 4 TiB (qemu-server, `Memory.pm`).
pub const MEMORY_MAX_MIB: u32 = 4 << 20;
/// Highest weight of a machine's CPUs: what cgroup v2 takes. Proxmox accepts up to 262144 and clamps to this.
pub const CPU_UNITS_MAX: u32 = 10_000;

/// A number within a range.
///
/// # Errors
/// [`ValueError::Range`].
fn within<T: Copy + PartialOrd + Into<u64>>(what: &'static str, value: T, min: T, max: T) -> Result<T, ValueError> {
    if value >= min && value <= max {
        return Ok(value);
    }
    Err(ValueError::Range { what, value: value.into(), min: min.into(), max: max.into() })
}

/// The number of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId(u32);

impl VmId {
    /// A number from 100 to 999999999.
    ///
    /// # Errors
    /// [`ValueError::VmId`].
    pub fn new(id: u32) -> Result<Self, ValueError> {
        if (names::VMID_MIN..=names::VMID_MAX).contains(&id) { Ok(Self(id)) } else { Err(ValueError::VmId(id)) }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place that a device is plugged into: 0 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot<const MAX: u8>(u8);

impl<const MAX: u8> Slot<MAX> {
    /// The first place.
    pub const FIRST: Self = Self(0);
    /// The second place.
    pub const SECOND: Self = Self(1);

    /// A place.
    ///
    /// # Errors
    /// [`ValueError::Range`].
    pub fn new(index: u8) -> Result<Self, ValueError> {
        within("the number of a device", index, 0, MAX).map(Self)
    }
}

impl<const MAX: u8> fmt::Display for Slot<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a SCSI disk: `scsi0` to `scsi30`.
pub type ScsiSlot = Slot<30>;
/// The place of a network card: `net0` to `net31`.
pub type NicSlot = Slot<31>;

/// Memory, MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mib(u32);

impl Mib {
    /// 16 MiB to 4 TiB.
    ///
    /// # Errors
    /// [`ValueError::Range`].
    pub fn new(mib: u32) -> Result<Self, ValueError> {
        within("the memory in MiB", mib, MEMORY_MIN_MIB, MEMORY_MAX_MIB).map(Self)
    }

    /// As many whole MiB as there are in so many bytes.
    ///
    /// # Errors
    /// [`ValueError::Range`].
    pub fn in_bytes(bytes: u64) -> Result<Self, ValueError> {
        let range = |value| ValueError::Range {
            what: "the memory in MiB",
            value,
            min: MEMORY_MIN_MIB.into(),
            max: MEMORY_MAX_MIB.into(),
        };
        let mib = bytes / MIB;
        Self::new(u32::try_from(mib).map_err(|_| range(mib))?)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What a machine's CPUs weigh among all that want to run; 100 where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuUnits(u32);

impl CpuUnits {
    /// 1 to 10000: cgroup v2, which Proxmox VE 9 uses alone, knows no more, and Proxmox clamps what is above.
    ///
    /// # Errors
    /// [`ValueError::Range`].
    pub fn new(units: u32) -> Result<Self, ValueError> {
        within("the weight of the CPUs", units, 1, CPU_UNITS_MAX).map(Self)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The number of a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag(u16);

impl VlanTag {
    /// 1 to 4094.
    ///
    /// # Errors
    /// [`ValueError::Range`].
    pub fn new(tag: u16) -> Result<Self, ValueError> {
        within("the number of a VLAN", tag, 1, 4094).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// The size of a disk, in whole KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskSize(u64);

/// Letters of sizes, each 1024 of the one before.
const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];

impl DiskSize {
    /// A size in KiB, from 1 to what Perl still counts exactly (2^53 bytes).
    ///
    /// # Errors
    /// [`ValueError::Range`].
    pub fn from_kib(kib: u64) -> Result<Self, ValueError> {
        within("the size of a disk in KiB", kib, 1, 1 << 43).map(Self)
    }

    /// KiB.
    pub fn kib(self) -> u64 {
        self.0
    }

    /// Reads a size as [`Display`](fmt::Display) writes it.
    ///
    /// # Errors
    /// None where it is no whole number with a unit, or out of range.
    pub fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().next_back()?;
        let index = UNITS.iter().position(|known| *known == unit)?;
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        let factor = 1024_u64.checked_pow(u32::try_from(index).ok()?)?;
        number.checked_mul(factor).and_then(|kib| Self::from_kib(kib).ok())
    }
}

/// With the largest unit that leaves a whole number, as Proxmox writes it: `20G`, `19076M`.
impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut unit) = (self.0, 'K');
        for next in ['M', 'G', 'T'] {
            if !number.is_multiple_of(1024) {
                break;
            }
            (number, unit) = (number / 1024, next);
        }
        write!(f, "{number}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_largest_unit_that_leaves_a_whole_number() {
        for (kib, text) in [
            (1, "1K"),
            (528, "528K"),
            (1024, "1M"),
            (4096, "4M"),
            (19_076 << 10, "19076M"),
            (20 << 20, "20G"),
            (2 << 30, "2T"),
            (1 << 43, "8192T"),
        ] {
            let size = DiskSize::from_kib(kib).unwrap();
            assert_eq!((size.to_string().as_str(), DiskSize::parse(text)), (text, Some(size)));
        }
        for text in ["", "K", "0K", "1", "1k", "1.5G", "-1G", "1GiB", "9000T", "99999999999999999999G", "1é"] {
            assert_eq!(DiskSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ranges() {
        assert!(VmId::new(99).is_err() && VmId::new(100).is_ok() && VmId::new(1_000_000_000).is_err());
        assert!(Mib::new(15).is_err() && Mib::new(16).is_ok() && Mib::new((4 << 20) + 1).is_err());
        assert!(CpuUnits::new(0).is_err() && CpuUnits::new(10_000).is_ok() && CpuUnits::new(10_001).is_err());
        assert!(VlanTag::new(0).is_err() && VlanTag::new(4094).is_ok() && VlanTag::new(4095).is_err());
        assert!(ScsiSlot::new(30).is_ok() && ScsiSlot::new(31).is_err() && NicSlot::new(31).is_ok());
        // 2000 MB are no whole number of MiB.
        assert_eq!(Mib::in_bytes(2_000_000_000).map(Mib::get), Ok(1907));
        assert!(Mib::in_bytes(u64::MAX).is_err() && Mib::in_bytes(16 << 20).is_ok() && Mib::in_bytes(0).is_err());
    }
}
