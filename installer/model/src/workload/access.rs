//! Who may read a file on a guest.

use serde::{Deserialize, Serialize};

/// Mode and owner of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Permission bits.
    pub mode: Mode,
    /// Whose it is.
    #[serde(default)]
    pub owner: Owner,
}

impl Default for Access {
    /// Ordinary configuration.
    fn default() -> Self {
        Self { mode: Mode(0o644), owner: Owner::default() }
    }
}

/// Permission bits, written `"0600"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl Mode {
    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether nobody but the owner can do anything with it.
    pub const fn is_private(self) -> bool {
        self.0 & 0o700 == self.0
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bits = u32::from_str_radix(&text, 8).ok().filter(|_| text.len() == 4 && text.starts_with('0'));
        // Nobody needs a file that others may write.
        bits.filter(|bits| bits & 0o022 == 0 && bits & 0o400 != 0).map(Self).ok_or_else(|| {
            format!(
                "`{}` is no mode: write four digits such as \"0600\", none for others to write",
                text.escape_debug()
            )
        })
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        format!("{:04o}", mode.0)
    }
}

/// Whose a file is: user and group of one number, or one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Owner {
    /// By number, as an image has it.
    Id(u32),
    /// By a name that the guest's packages bring.
    Name(String),
}

impl Default for Owner {
    fn default() -> Self {
        Self::Id(0)
    }
}

impl TryFrom<String> for Owner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Ok(id) = text.parse::<u16>() {
            return Ok(Self::Id(id.into()));
        }
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(good) {
            return Ok(Self::Name(text));
        }
        Err(format!(
            "`{}` is no user: write a number such as \"991\", or a name such as \"postgres\"",
            text.escape_debug()
        ))
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Id(id) => id.to_string(),
            Owner::Name(name) => name,
        }
    }
}

/// Path of a file on a guest, absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FilePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let part = |part: &str| {
            let good = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(good)
        };
        if text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part)) {
            return Ok(Self(text));
        }
        Err(format!("`{}` is no path of a file: write it as \"/etc/traefik/internal.pem\"", text.escape_debug()))
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_owners_have_their_forms() {
        for good in ["0600", "0400", "0640", "0644", "0755", "0700"] {
            assert_eq!(String::from(Mode::try_from(good.to_owned()).unwrap()), good);
        }
        for bad in ["", "600", "0666", "0200", "0o600", "1777", "06000", "0680", "+600"] {
            assert!(Mode::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Mode(0o400).is_private() && !Mode(0o640).is_private());
        for good in ["0", "991", "postgres", "www-data"] {
            assert_eq!(String::from(Owner::try_from(good.to_owned()).unwrap()), good);
        }
        assert!(FilePath::try_from("/etc/systemd/system/a@1.service.d/x.conf".to_owned()).is_ok());
        for bad in ["", "/", "etc", "/etc/", "/etc/../x", "/a b", "/a\"b"] {
            assert!(FilePath::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for bad in ["", "70000", "-1", "Root", "a b"] {
            assert!(Owner::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
