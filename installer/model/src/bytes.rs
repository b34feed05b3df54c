//! Sizes as types: [`Bytes`], checked arithmetic, and the way people write sizes (`40GB`, `40GiB`).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kibibyte, 2^10 bytes.
pub const KIB: u64 = 1 << 10;
/// One mebibyte, 2^20 bytes.
pub const MIB: u64 = 1 << 20;
/// One gibibyte, 2^30 bytes.
pub const GIB: u64 = 1 << 30;

/// A number of bytes. Serialised as a plain integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No bytes at all.
    pub const ZERO: Self = Self(0);

    /// `n` mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n * MIB)
    }

    /// `n` gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n * GIB)
    }

    /// The plain number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// `self + other`, or `None` where the sum does not fit 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// `self - other`, or `None` where `other` is larger.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self * n`, or `None` where the product does not fit 64 bits.
    pub fn checked_mul(self, n: u64) -> Option<Self> {
        self.0.checked_mul(n).map(Self)
    }

    /// `self - other`, at least zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The largest multiple of `unit` that is not above `self`. `unit` must not be zero.
    #[must_use]
    pub const fn align_down(self, unit: u64) -> Self {
        Self(self.0 - self.0 % unit)
    }

    /// How many whole `unit`s fit into `self`.
    pub const fn whole(self, unit: Self) -> u64 {
        self.0 / unit.0
    }

    /// How many `unit`s cover `self`, rounding up.
    pub const fn covering(self, unit: Self) -> u64 {
        self.0.div_ceil(unit.0)
    }

    /// The exact number with thousands separators: `512,110,190,592`.
    pub fn exact(self) -> String {
        let digits = self.0.to_string();
        let mut out = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(c);
        }
        out
    }
}

/// Decimal, three significant figures at most: `512 GB`, `6.00 TB`, `40.0 GB`, `17 B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
        if self.0 < 1000 {
            return write!(f, "{} B", self.0);
        }
        let mut unit = 0;
        let mut divisor: u128 = 1000;
        // 999.5 of a unit would print as 1000: go on to the next one.
        while unit + 1 < UNITS.len() && u128::from(self.0) * 2 >= divisor * 1999 {
            divisor *= 1000;
            unit += 1;
        }
        let hundredths = (u128::from(self.0) * 100 + divisor / 2) / divisor;
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        let text = match whole {
            0..=9 => format!("{whole}.{rest:02}"),
            10..=99 => format!("{whole}.{}", rest / 10),
            _ => format!("{}", (hundredths + 50) / 100),
        };
        write!(f, "{text} {}", UNITS[unit])
    }
}

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseBytesError {
    /// Nothing, or no digits at its head.
    #[error("`{0}` is not a size: write a number and a unit, such as 40GB or 40GiB")]
    NoNumber(String),
    /// The unit is none of those known.
    #[error("`{unit}` is not a unit of size: use B, kB, MB, GB, TB (decimal) or KiB, MiB, GiB, TiB (binary)")]
    Unit {
        /// What stood where the unit should be.
        unit: String,
    },
    /// More than 2^64 - 1 bytes, or a fraction of a byte.
    #[error("`{0}` is not a whole number of bytes below 2^64")]
    Range(String),
}

/// What may stand around a size, and before its unit.
pub(crate) const BLANKS: [char; 2] = [' ', '\t'];

/// `40GB`, `40 GB`, `1.5TB`, `512MiB`, `4096` (bytes), `1_000_000`. Decimal unless written with an `i`.
impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_matches(BLANKS);
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !whole.split('_').all(digits) || !fraction.is_none_or(digits) {
            return Err(ParseBytesError::NoNumber(text.to_owned()));
        }
        let (whole, fraction) = (whole.replace('_', ""), fraction.unwrap_or_default());
        let unit = unit.trim_matches(BLANKS);
        let factor: u128 = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(ParseBytesError::Unit { unit: unit.to_owned() }),
        };
        let range = || ParseBytesError::Range(text.to_owned());
        let scale = 10u128.checked_pow(u32::try_from(fraction.len()).map_err(|_| range())?).ok_or_else(range)?;
        let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| range())?;
        let product = digits.checked_mul(factor).ok_or_else(range)?;
        if !product.is_multiple_of(scale) {
            return Err(range());
        }
        u64::try_from(product / scale).map(Self).map_err(|_| range())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!("40GB".parse(), Ok(Bytes(40_000_000_000)));
        assert_eq!("40GiB".parse(), Ok(Bytes::gib(40)));
        assert_eq!("1.5 TB".parse(), Ok(Bytes(1_500_000_000_000)));
        assert_eq!("4096".parse(), Ok(Bytes(4096)));
        assert!(matches!("40G".parse::<Bytes>(), Err(ParseBytesError::Unit { .. })));
        assert!(matches!("GB".parse::<Bytes>(), Err(ParseBytesError::NoNumber(_))));
        assert!(matches!("-1GB".parse::<Bytes>(), Err(ParseBytesError::NoNumber(_))));
        assert!(matches!("0.3B".parse::<Bytes>(), Err(ParseBytesError::Range(_))));
        assert!(matches!("99999999TB".parse::<Bytes>(), Err(ParseBytesError::Range(_))));
    }

    #[test]
    fn sizes_print_in_decimal_with_three_figures() {
        assert_eq!(Bytes(17).to_string(), "17 B");
        assert_eq!(Bytes(512_110_190_592).to_string(), "512 GB");
        assert_eq!(Bytes(6_001_175_126_016).to_string(), "6.00 TB");
        assert_eq!(Bytes(40_001_077_248).to_string(), "40.0 GB");
        assert_eq!(Bytes(999_999).to_string(), "1.00 MB");
        assert_eq!(Bytes(512_110_190_592).exact(), "512,110,190,592");
    }

    proptest! {
        #[test]
        fn every_whole_number_of_bytes_survives(n: u64) {
            prop_assert_eq!(n.to_string().parse::<Bytes>(), Ok(Bytes(n)));
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<Bytes>();
        }
    }
}
