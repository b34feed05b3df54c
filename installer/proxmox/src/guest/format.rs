//! Proxmox's lists of properties, `first,key=value,...`, and the shapes of their values.

use super::text::shorten;
use super::values::is_uuid;

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// 0 or 1, on or off, yes or no, true or false.
    Flag,
    /// A whole number, from and to.
    Whole(i64, i64),
    /// A number, from and to.
    Number(i64, i64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// A text of a shape; the second says which.
    Shape(fn(&str) -> bool, &'static str),
}

impl Kind {
    /// What is wrong with a value, as the end of a sentence.
    pub(super) fn wrong(self, value: &str) -> Option<String> {
        match self {
            Self::Flag => (!is_flag(value)).then(|| "is neither 0 nor 1".to_owned()),
            Self::Whole(min, max) => match whole(value) {
                None => Some("is no whole number".to_owned()),
                Some(number) => outside(number < i128::from(min), number > i128::from(max), min, max),
            },
            Self::Number(min, max) => match number(value) {
                None => Some("is no number".to_owned()),
                #[allow(clippy::cast_precision_loss, reason = "limits are small")]
                Some(number) => outside(number < min as f64, number > max as f64, min, max),
            },
            Self::Word(words) => (!words.contains(&value)).then(|| format!("is not one of {}", words.join(", "))),
            Self::Shape(fits, what) => (!fits(value)).then(|| format!("is no {what}")),
        }
    }
}

fn outside(below: bool, above: bool, min: i64, max: i64) -> Option<String> {
    if max == i64::MAX {
        return below.then(|| format!("is below {min}"));
    }
    (below || above).then(|| format!("is not between {min} and {max}"))
}

/// A property of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    /// Its key.
    pub(super) key: &'static str,
    /// What its value has to be.
    pub(super) kind: Kind,
    /// Whether it must be there.
    pub(super) required: bool,
    /// Whether it may stand without its key.
    pub(super) default: bool,
}

impl Property {
    pub(super) const fn new(key: &'static str, kind: Kind) -> Self {
        Self { key, kind, required: false, default: false }
    }

    /// That stands without its key.
    pub(super) const fn first(key: &'static str, kind: Kind) -> Self {
        Self { key, kind, required: false, default: true }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// What a list may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// Its properties, in groups.
    pub(super) groups: &'static [&'static [Property]],
    /// Other names of properties.
    pub(super) aliases: &'static [(&'static str, &'static str)],
    /// Values of the property that stands first which are also keys of another: a network card's model and its address.
    pub(super) keys_of: Option<(&'static [&'static str], &'static str)>,
}

impl Format {
    pub(super) const fn new(groups: &'static [&'static [Property]]) -> Self {
        Self { groups, aliases: &[], keys_of: None }
    }

    fn properties(&self) -> impl Iterator<Item = &'static Property> {
        self.groups.iter().copied().flatten()
    }

    fn find(&self, key: &str) -> Option<&'static Property> {
        self.properties().find(|property| property.key == key)
    }

    /// Reads a list.
    ///
    /// # Errors
    /// What is wrong, for each thing that is, as the end of a sentence about the setting.
    pub(super) fn read<'a>(&self, text: &'a str) -> Result<Properties<'a>, Vec<String>> {
        let mut found = Properties(Vec::new());
        let mut wrong = Vec::new();
        for part in text.split(',').filter(|part| !part.trim_ascii().is_empty()) {
            if let Err(what) = self.part(part, &mut found) {
                wrong.push(what);
            }
        }
        for (key, value) in &found.0 {
            let kind = self.find(key).map(|property| property.kind);
            if let Some(what) = kind.and_then(|kind| kind.wrong(value)) {
                wrong.push(format!("`{key}={}` {what}", shorten(value)));
            }
        }
        for property in self.properties().filter(|property| property.required && found.get(property.key).is_none()) {
            // Of a drive; nobody writes that key.
            let key = if property.key == "file" { "volume" } else { property.key };
            wrong.push(format!("it has no `{key}`"));
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    fn part<'a>(&self, part: &'a str, found: &mut Properties<'a>) -> Result<(), String> {
        let Some((key, value)) = part.split_once('=') else {
            let first = self.properties().find(|property| property.default);
            let first = first.ok_or_else(|| format!("`{}` has no key", shorten(part)))?;
            return found.add(first.key, part);
        };
        if key.is_empty() || value.is_empty() {
            return Err(format!("`{}` is no `key=value`", shorten(part)));
        }
        if let Some((models, target)) = self.keys_of
            && let Some(model) = models.iter().find(|model| **model == key)
        {
            let first = self.properties().find(|property| property.default);
            if let Some(first) = first {
                found.add(first.key, model)?;
            }
            return found.add(target, value);
        }
        // Once Proxmox knew the geometry of disks; it skips that.
        if ["cyls", "heads", "secs", "trans"].contains(&key) && self.find("snapshot").is_some() {
            return Ok(());
        }
        let key = self.aliases.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, key)| key);
        let property = self.find(key).ok_or_else(|| format!("`{}` is no property of it", shorten(key)))?;
        found.add(property.key, value)
    }
}

/// What a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Properties<'a> {
    /// The value of a property.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
    }

    /// Whether a flag is set.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(is_on)
    }

    /// The keys that are there.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(key, _)| *key)
    }

    fn add(&mut self, key: &'static str, value: &'a str) -> Result<(), String> {
        if self.get(key).is_some() {
            return Err(format!("`{key}` is there twice"));
        }
        self.0.push((key, value));
        Ok(())
    }
}

fn is_one_of(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// What Proxmox takes for yes.
pub(crate) fn is_on(value: &str) -> bool {
    is_one_of(value, &["1", "on", "yes", "true"])
}

fn is_flag(value: &str) -> bool {
    is_on(value) || is_one_of(value, &["0", "off", "no", "false"])
}

/// A whole number, clamped where it is beyond all limits.
fn whole(value: &str) -> Option<i128> {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if !is_digits(digits) {
        return None;
    }
    let sign = if value.starts_with('-') { -1 } else { 1 };
    Some(digits.parse::<u64>().map_or(i128::MAX, i128::from) * sign)
}

fn number(value: &str) -> Option<f64> {
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    value.parse().ok().filter(|_| plain && value.bytes().any(|b| b.is_ascii_digit()))
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_made_of(text: &str, marks: &[u8]) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
}

/// `[-%a-zA-Z0-9_.!~*'()]*`
pub(super) fn is_url_encoded(text: &str) -> bool {
    is_made_of(text, b"-%_.!~*'()")
}

/// A letter and at least one more of letters, digits, `_` and `-`.
pub(super) fn is_config_id(text: &str) -> bool {
    text.len() >= 2 && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && is_made_of(text, b"_-")
}

/// `2048`, `4M`, `1.5G`, `32GiB`.
pub(super) fn is_size(text: &str) -> bool {
    let text = text.strip_suffix("iB").filter(|text| text.ends_with(['K', 'M', 'G', 'T'])).unwrap_or(text);
    let number = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    match number.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(number),
    }
}

/// Numbers and ranges of numbers, `0;2-3`, with a separator.
pub(super) fn are_ranges(text: &str, separator: char) -> bool {
    text.split(separator).all(|part| match part.split_once('-') {
        Some((from, to)) => is_digits(from) && is_digits(to),
        None => is_digits(part),
    })
}

/// A UUID, or 0 for none, or 1 for one to be made.
pub(super) fn is_generation(text: &str) -> bool {
    is_uuid(text) || text == "0" || text == "1"
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format {
        groups: &[&[
            Property::first("model", Kind::Word(&["virtio", "e1000"])).required(),
            Property::new("mac", Kind::Shape(|text| text.len() == 2, "address")),
            Property::new("queues", Kind::Whole(0, 64)),
            Property::new("rate", Kind::Number(0, i64::MAX)),
            Property::new("up", Kind::Flag),
        ]],
        aliases: &[("speed", "rate")],
        keys_of: Some((&["virtio", "e1000"], "mac")),
    };

    #[test]
    fn lists_as_proxmox_reads_them() {
        let read = FORMAT.read("virtio=ab,,queues=2, ,speed=1.5,up=Yes,").unwrap();
        assert_eq!((read.get("model"), read.get("mac"), read.get("rate")), (Some("virtio"), Some("ab"), Some("1.5")));
        assert!(read.is_set("up") && !read.is_set("queues"));
        assert_eq!(FORMAT.read("mac=ab,e1000").unwrap().get("model"), Some("e1000"));
    }

    #[test]
    fn what_is_wrong_with_a_list() {
        let wrong = |text: &str| FORMAT.read(text).unwrap_err().join("; ");
        assert_eq!(wrong(" "), "it has no `model`");
        assert_eq!(wrong("virtio,virtio"), "`model` is there twice");
        assert_eq!(wrong("virtio=ab,e1000=cd"), "`model` is there twice");
        assert_eq!(wrong("virtio,speed=1,rate=2"), "`rate` is there twice");
        assert_eq!(wrong("virtio,x=1"), "`x` is no property of it");
        assert_eq!(wrong("virtio,up="), "`up=` is no `key=value`");
        assert_eq!(
            wrong("tulip,mac=abc,queues=65,up=2"),
            "`model=tulip` is not one of virtio, e1000; `mac=abc` is no address; `queues=65` is not between 0 and 64; \
             `up=2` is neither 0 nor 1"
        );
        assert_eq!(wrong("virtio,queues=-1,rate=-1"), "`queues=-1` is not between 0 and 64; `rate=-1` is below 0");
        assert_eq!(
            wrong("virtio,queues=99999999999999999999,rate=nan"),
            "`queues=99999999999999999999` is not between 0 and 64; `rate=nan` is no number"
        );
    }

    #[test]
    fn shapes() {
        assert!(["1", "4M", "1.5G", "32GiB"].iter().all(|text| is_size(text)));
        assert!(["", "M", "4m", "1.G", "-1", "4iB", "4 M"].iter().all(|text| !is_size(text)));
        assert!(are_ranges("0;2-3", ';') && !are_ranges("", ';') && !are_ranges("0,2", ';') && !are_ranges("-3", ';'));
        assert!(is_config_id("a1") && !is_config_id("a") && !is_config_id("1a"));
    }
}
