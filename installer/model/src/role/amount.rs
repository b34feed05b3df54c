//! What a role gets of a machine: the figures of the reference machine, and how far they may be from them on another.

use serde::Deserialize;

use super::words::Text;
use crate::bytes::Bytes;

/// The range of a CPU weight: that of `cpu.weight` (Documentation/admin-guide/cgroup-v2.rst, "Weights").
const WEIGHT_MAX: u32 = 10_000;
/// More bytes than any figure has; below it sums of a few hundred roles stay within 64 bits.
const BYTES_MAX: Bytes = Bytes(1 << 55);
/// More vCPUs than any figure has (KVM's limit on x86 is 4096).
const VCPUS_MAX: u32 = 4096;

/// `[capacity]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Virtual CPUs.
    pub vcpus: Vcpus,
    /// Weight where the CPUs are short.
    pub cpu_weight: Weight,
    /// RAM.
    pub memory: Amount,
    /// Everything on the SSD pool.
    pub ssd: Amount,
    /// The data volume on the HDD pool.
    #[serde(default)]
    pub hdd: Option<Amount>,
}

/// `[capacity.vcpus]`: in proportion to the threads of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawVcpus")]
pub struct Vcpus {
    /// On the reference machine.
    pub reference: u32,
    /// At least this many; a machine with fewer threads is too small.
    pub floor: u32,
    /// At most this many.
    pub ceiling: u32,
    /// Why floor and ceiling are where they are.
    pub why: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVcpus {
    reference: u32,
    floor: u32,
    ceiling: u32,
    why: Text,
}

impl TryFrom<RawVcpus> for Vcpus {
    type Error = String;

    fn try_from(RawVcpus { reference, floor, ceiling, why }: RawVcpus) -> Result<Self, Self::Error> {
        if 1 <= floor && floor <= reference && reference <= ceiling && ceiling <= VCPUS_MAX {
            return Ok(Self { reference, floor, ceiling, why });
        }
        Err(format!("1 <= floor <= reference <= ceiling <= {VCPUS_MAX} does not hold: correct one of the three"))
    }
}

/// `[capacity.cpu_weight]`: the same on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawWeight")]
pub struct Weight {
    /// `cpu.weight`, 1 to 10000.
    pub reference: u32,
    /// Why it is this one.
    pub why: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWeight {
    reference: u32,
    why: Text,
}

impl TryFrom<RawWeight> for Weight {
    type Error = String;

    fn try_from(RawWeight { reference, why }: RawWeight) -> Result<Self, Self::Error> {
        if (1..=WEIGHT_MAX).contains(&reference) {
            return Ok(Self { reference, why });
        }
        Err(format!("{reference} is no CPU weight: write 1 to {WEIGHT_MAX}"))
    }
}

/// Bytes of memory or of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawAmount")]
pub struct Amount {
    /// On the reference machine.
    pub reference: Bytes,
    /// How it follows the machine; `None`: it is the same on every machine.
    pub growth: Option<Growth>,
    /// Why it is as it is.
    pub why: Text,
}

/// The limits between which an elastic figure follows the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// At least this much; a machine with less is too small.
    pub floor: Bytes,
    /// At most this much.
    pub ceiling: Bytes,
}

/// A size in words: `"350GB"`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Words(Bytes);

impl TryFrom<String> for Words {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes: Bytes = text.parse().map_err(|error| format!("{error}"))?;
        if bytes > Bytes::ZERO && bytes <= BYTES_MAX {
            return Ok(Self(bytes));
        }
        Err(format!("{} bytes are no figure of a machine: write 1 to {}", bytes.exact(), BYTES_MAX.exact()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAmount {
    reference: Words,
    floor: Option<Words>,
    ceiling: Option<Words>,
    why: Text,
}

impl TryFrom<RawAmount> for Amount {
    type Error = String;

    fn try_from(raw: RawAmount) -> Result<Self, Self::Error> {
        let reference = raw.reference.0;
        let growth = match (raw.floor, raw.ceiling) {
            (None, None) => None,
            (Some(floor), Some(ceiling)) if floor.0 <= reference && reference <= ceiling.0 => {
                Some(Growth { floor: floor.0, ceiling: ceiling.0 })
            }
            (Some(_), Some(_)) => {
                return Err("floor <= reference <= ceiling does not hold: correct one of the three".to_owned());
            }
            _ => {
                return Err(
                    "floor and ceiling belong together: write both, or neither for a figure that is the same on every \
                            machine"
                        .to_owned(),
                );
            }
        };
        Ok(Self { reference, growth, why: raw.why })
    }
}
