//! A size as the site file has it: absolute (`40GB`, `40GiB`) or a share (`12%`).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::bytes::{BLANKS, Bytes, ParseBytesError};

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
        let Some(share) = text.trim_matches(BLANKS).strip_suffix('%') else {
            return Ok(Self::Absolute(text.parse()?));
        };
        let wrong = || ParseSizeError::Share(text.to_owned());
        let share = share.trim_matches(BLANKS);
        let (whole, fraction) = share.split_once('.').unwrap_or((share, "0"));
        let digits = |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 3) || !digits(fraction, 2) {
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

/// What [`Size`] reads, but for numbers that are too large and fractions of a byte.
const PATTERN: &str = r"^[ \t]*([0-9]+(_[0-9]+)*(\.[0-9]+)?[ \t]*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?|(0?[0-9]{1,2}(\.[0-9]{1,2})?|100(\.0{1,2})?)[ \t]*%)[ \t]*$";

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A size: 40GB (decimal), 40GiB (binary), or a share such as 12%.",
            "pattern": PATTERN
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

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
            "+5%",
            "5.+5%",
            "1._5TB",
            "1.5_0TB",
            "_40GB",
            "40_GB",
            "4__0GB",
            "+40GB",
            "40\u{a0}GB",
            "40GB\u{85}",
        ] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        assert_eq!("40_000_000_000".parse(), "40 \tGB".parse::<Size>());
        assert_eq!("40GB".parse(), Ok(Size::Absolute(Bytes(40_000_000_000))));
        assert_eq!(Size::Share(1250).of(Bytes(1000)), Bytes(125));
        for text in ["40GB", "22GiB", "12%", "0.01%", "17B", "0B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string().parse::<Size>(), text.parse());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// But for numbers that do not fit.
        #[test]
        fn the_schema_takes_what_the_parser_takes(
            text in "[ \t]{0,1}[0-9]{1,4}[_.+]{0,1}[0-9_.]{0,3}[ \t]{0,1}([kKMGT]i?)?B?%?[ \t\u{a0}]{0,1}|[0-9_.%+kKMGTiB \t]{0,12}",
        ) {
            static SCHEMA: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(PATTERN).unwrap());
            let matches = SCHEMA.is_match(&text);
            match text.parse::<Size>() {
                Ok(_) => prop_assert!(matches, "{text:?} is not in the schema"),
                Err(ParseSizeError::Bytes(ParseBytesError::Range(_))) => {}
                Err(error) => prop_assert!(!matches, "{text:?} is in the schema: {error}"),
            }
        }
    }
}
