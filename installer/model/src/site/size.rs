//! A size as the site file has it: absolute (`40GB`, `40GiB`) or a share (`12%`).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::bytes::{Bytes, ParseBytesError};

/// An absolute size, or a share of whatever it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many bytes.
    Absolute(Bytes),
    /// Hundredths of a per cent: `12%` is 1200. At most 10000.
    Share(u16),
}

impl Size {
    /// The size in bytes where `whole` is what a share is taken from; shares round down to a byte.
    pub fn of(self, whole: Bytes) -> Bytes {
        match self {
            Self::Absolute(bytes) => bytes,
            Self::Share(h) => {
                let share = u128::from(whole.0) * u128::from(h) / 10_000;
                Bytes(u64::try_from(share).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Why a text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// Not an absolute size.
    #[error(transparent)]
    Bytes(#[from] ParseBytesError),
    /// Not a share.
    #[error("`{0}` is not a share: write 0% to 100%, with at most two decimals")]
    Share(String),
}

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(share) = text.trim().strip_suffix('%') else {
            return Ok(Self::Absolute(text.parse()?));
        };
        let wrong = || ParseSizeError::Share(text.to_owned());
        let (whole, fraction) = share.trim().split_once('.').unwrap_or((share.trim(), "0"));
        if fraction.is_empty() || fraction.len() > 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) || whole.len() > 3
        {
            return Err(wrong());
        }
        // At most three digits, 99999 hundredths: more than 16 bits hold.
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let fraction: u32 = format!("{fraction:0<2}").parse().map_err(|_| wrong())?;
        u16::try_from(whole * 100 + fraction).ok().filter(|h| *h <= 10_000).map(Self::Share).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(bytes) => {
                for (unit, name) in [
                    (1 << 40, "TiB"),
                    (1_000_000_000_000, "TB"),
                    (1 << 30, "GiB"),
                    (1_000_000_000, "GB"),
                    (1 << 20, "MiB"),
                    (1_000_000, "MB"),
                ] {
                    if bytes.0 > 0 && bytes.0.is_multiple_of(unit) {
                        return write!(f, "{}{name}", bytes.0 / unit);
                    }
                }
                write!(f, "{}B", bytes.0)
            }
            Self::Share(h) if h.is_multiple_of(100) => write!(f, "{}%", h / 100),
            Self::Share(h) => write!(f, "{}.{:02}%", h / 100, h % 100),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A size: 40GB (decimal), 40GiB (binary), or a share such as 12%.",
            "pattern": r"^\s*([0-9_]+(\.[0-9]+)?\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?|[0-9]{1,3}(\.[0-9]{1,2})?\s*%)\s*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_sizes() {
        assert_eq!("12%".parse(), Ok(Size::Share(1200)));
        assert_eq!("12.5 %".parse(), Ok(Size::Share(1250)));
        assert_eq!("100%".parse(), Ok(Size::Share(10_000)));
        for wrong in [
            "101%",
            "100.01%",
            "655.36%",
            "656%",
            "700%",
            "755.35%",
            "999%",
            "1000%",
            "65636%",
            "99999999999999999999%",
            "-1%",
        ] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        assert_eq!("40GB".parse(), Ok(Size::Absolute(Bytes(40_000_000_000))));
        assert_eq!(Size::Share(1250).of(Bytes(1000)), Bytes(125));
        for text in ["40GB", "22GiB", "12%", "0.01%", "17B", "0B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string().parse::<Size>(), text.parse());
        }
    }
}
