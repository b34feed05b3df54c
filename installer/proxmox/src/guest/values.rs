//! The values of a virtual machine's settings, each of which can only be one that Proxmox takes.

use std::fmt;

use crate::names::{self, NameError};

/// Most characters in a description (qemu-server).
pub const DESCRIPTION_MAX: usize = 8 * 1024;
/// The longest name of a network bridge: a network interface's.
const BRIDGE_MAX: usize = names::INTERFACE_MAX;
/// The first three bytes of the MAC addresses that Proxmox gives out: its own block of the IEEE's register.
pub const PROXMOX_PREFIX: [u8; 3] = [0xbc, 0x24, 0x11];

/// Why there is no such value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A name that Proxmox does not take.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No guest has this number.
    #[error("{0} is no number of a guest: use one from {min} to {max}", min = names::VMID_MIN, max = names::VMID_MAX)]
    VmId(u32),
    /// No guest may be called this.
    #[error(
        "`{0}` is no name of a guest: use labels of 1 to 63 letters, digits and hyphens with points between, no hyphen first or last"
    )]
    GuestName(String),
    /// No tag may be this.
    #[error("`{0}` is no tag: use a-z, 0-9, `_`, `-`, `+` and `.`, one of a-z, 0-9 or `_` first")]
    Tag(String),
    /// Not an address of one card.
    #[error("`{0}` is no MAC address of a network card: write six pairs of hexadecimal digits, the first pair even")]
    Mac(String),
    /// Not a UUID.
    #[error("`{0}` is no UUID: write 8-4-4-4-12 hexadecimal digits")]
    Uuid(String),
    /// No bridge may be called this.
    #[error("`{0}` is no name of a bridge: use 1 to {BRIDGE_MAX} letters, digits, `-`, `_` and `.`")]
    Bridge(String),
    /// No user may be called this.
    #[error("`{0}` is no name of a user: use 1 to 32 of a-z, 0-9, `_` and `-`, a letter or `_` first")]
    User(String),
    /// Not a version such as 10.1.2.
    #[error("`{0}` is no version: write numbers with points between, such as 10.1.2")]
    Version(String),
    /// A key that is none.
    #[error(
        "`{0}` is no public key of SSH: write type, key and comment on one line, such as `ssh-ed25519 AAAA... a@b`"
    )]
    SshKey(String),
    /// Outside the range.
    #[error("{what} is {value}: it must be from {min} to {max}")]
    Range {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The lowest.
        min: u64,
        /// The highest.
        max: u64,
    },
    /// A description that is too long.
    #[error("a description has {0} characters: Proxmox keeps at most {DESCRIPTION_MAX}")]
    Description(usize),
    /// A prefix that Proxmox does not take.
    #[error("an address of the guest's has the prefix {0}: Proxmox takes 8 to 32 for IPv4 and 8 to 128 for IPv6")]
    Prefix(u8),
}

/// The name of a guest; Proxmox shows it and cloud-init makes it the host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestName(String);

impl GuestName {
    /// Labels of a DNS name.
    ///
    /// # Errors
    /// [`ValueError::GuestName`].
    pub fn new(name: &str) -> Result<Self, ValueError> {
        if name.split('.').all(names::is_label) && names::fits_dns(name) {
            return Ok(Self(name.to_owned()));
        }
        Err(ValueError::GuestName(name.to_owned()))
    }
}

/// A word to find guests by, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// A tag.
    ///
    /// # Errors
    /// [`ValueError::Tag`].
    pub fn new(tag: &str) -> Result<Self, ValueError> {
        if is_tag(tag) && !tag.bytes().any(|b| b.is_ascii_uppercase()) {
            return Ok(Self(tag.to_owned()));
        }
        Err(ValueError::Tag(tag.to_owned()))
    }
}

/// What Proxmox takes for a tag.
pub(super) fn is_tag(tag: &str) -> bool {
    let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b))
}

/// What a person wrote about a guest; Markdown in Proxmox's web interface. No white space at its end: Proxmox keeps none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// A description of any number of lines.
    ///
    /// # Errors
    /// [`ValueError::Description`].
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let text = text.trim_end();
        let length = text.chars().count();
        if length > DESCRIPTION_MAX { Err(ValueError::Description(length)) } else { Ok(Self(text.to_owned())) }
    }
}

/// The MAC address of one card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// A unicast address.
    ///
    /// # Errors
    /// [`ValueError::Mac`].
    pub fn new(bytes: [u8; 6]) -> Result<Self, ValueError> {
        let mac = Self(bytes);
        // The lowest bit of the first byte marks a group address (IEEE 802); all zeros is no card's.
        if bytes[0] & 1 == 1 || bytes == [0; 6] { Err(ValueError::Mac(mac.to_string())) } else { Ok(mac) }
    }

    /// An address that begins as those that Proxmox gives out.
    pub fn proxmox(rest: [u8; 3]) -> Self {
        let mut bytes = [0; 6];
        for (byte, from) in bytes.iter_mut().zip(PROXMOX_PREFIX.into_iter().chain(rest)) {
            *byte = from;
        }
        Self(bytes)
    }

    /// Whether it begins as those that Proxmox gives out.
    pub fn has_proxmox_prefix(self) -> bool {
        self.0.starts_with(&PROXMOX_PREFIX)
    }

    /// Reads an address as the file has it.
    ///
    /// # Errors
    /// [`ValueError::Mac`].
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Mac(text.to_owned());
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
        }
        if pairs.next().is_some() { Err(wrong()) } else { Self::new(bytes).map_err(|_| wrong()) }
    }
}

/// In capitals, as Proxmox writes them.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

/// A UUID, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uuid(String);

impl Uuid {
    /// A UUID such as `0c4d5f9e-6f0b-4f8e-9f52-1f7a6e1b2c3d`.
    ///
    /// # Errors
    /// [`ValueError::Uuid`].
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if is_uuid(text) { Ok(Self(text.to_ascii_lowercase())) } else { Err(ValueError::Uuid(text.to_owned())) }
    }
}

/// What Proxmox takes for a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// The name of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge(String);

impl Bridge {
    /// A bridge that a node can have.
    ///
    /// # Errors
    /// [`ValueError::Bridge`].
    pub fn new(name: &str) -> Result<Self, ValueError> {
        if is_bridge(name) && name.len() <= BRIDGE_MAX {
            return Ok(Self(name.to_owned()));
        }
        Err(ValueError::Bridge(name.to_owned()))
    }
}

/// What Proxmox's parser takes for the name of a bridge, however long.
pub(super) fn is_bridge(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A user of the guest's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(String);

impl User {
    /// A user name that Debian takes.
    ///
    /// # Errors
    /// [`ValueError::User`].
    pub fn new(name: &str) -> Result<Self, ValueError> {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        if first && name.len() <= 32 && name.bytes().all(plain) {
            return Ok(Self(name.to_owned()));
        }
        Err(ValueError::User(name.to_owned()))
    }
}

/// The id of a storage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageId(String);

impl StorageId {
    /// An id as in storage.cfg.
    ///
    /// # Errors
    /// [`NameError::Storage`].
    pub fn new(id: &str) -> Result<Self, NameError> {
        names::storage(id).map(|()| Self(id.to_owned()))
    }
}

/// A version such as 10.1.2: two numbers or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// A version.
    ///
    /// # Errors
    /// [`ValueError::Version`].
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if is_version(text) { Ok(Self(text.to_owned())) } else { Err(ValueError::Version(text.to_owned())) }
    }
}

/// Numbers with points between, two or more.
pub(super) fn is_version(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.contains('.') && text.split('.').all(number)
}

/// A public key of SSH, one line of an `authorized_keys` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey(String);

impl SshKey {
    /// A key without options before it.
    ///
    /// # Errors
    /// [`ValueError::SshKey`].
    pub fn new(line: &str) -> Result<Self, ValueError> {
        let line = line.trim();
        let mut words = line.split(' ');
        let kind = words
            .next()
            .is_some_and(|kind| ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| kind.starts_with(start)));
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
        let key = words.next().is_some_and(|key| key.starts_with("AAAA") && key.bytes().all(base64));
        if kind && key && !line.chars().any(char::is_control) {
            return Ok(Self(line.to_owned()));
        }
        Err(ValueError::SshKey(line.to_owned()))
    }
}

/// Implements [`fmt::Display`] and a look at the text of a value that is one.
macro_rules! text {
    ($($kind:ty),*) => {
        $(
            impl $kind {
                /// Its text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $kind {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )*
    };
}

text!(GuestName, Tag, Description, Uuid, Bridge, User, StorageId, Version, SshKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_proxmox_takes_and_others() {
        assert!(["edge", "edge.example.org", "A-1"].iter().all(|name| GuestName::new(name).is_ok()));
        assert!(["", "a_b", "-a", "a.", "a..b", "ä"].iter().all(|name| GuestName::new(name).is_err()));
        assert!(["edge", "_a", "a+b-c.d"].iter().all(|tag| Tag::new(tag).is_ok()));
        assert!(["", "Edge", "+a", "a;b", "a b"].iter().all(|tag| Tag::new(tag).is_err()));
        assert!(["vmbr0", "a", "vmbr0.5", "ab_c-d"].iter().all(|name| Bridge::new(name).is_ok()));
        assert!(["", "vmbr 0", "abcdefghijklmnop", "a,b"].iter().all(|name| Bridge::new(name).is_err()));
        assert!(User::new("admin").is_ok() && User::new("Admin").is_err() && User::new("").is_err());
        assert!(Version::new("10.1.2").is_ok() && Version::new("10").is_err() && Version::new("10.").is_err());
        assert!(SshKey::new("ssh-ed25519 AAAAC3Nz a@b").is_ok() && SshKey::new("ssh-rsa x").is_err());
        assert!(SshKey::new("").is_err() && SshKey::new("AAAA").is_err());
        let uuid = "0C4D5F9E-6f0b-4f8e-9f52-1f7a6e1b2c3d";
        assert_eq!(Uuid::new(uuid).unwrap().as_str(), uuid.to_ascii_lowercase());
        assert!(Uuid::new("0c4d5f9e6f0b4f8e9f521f7a6e1b2c3d").is_err());
        assert_eq!(Description::new("a\n b \n\n").unwrap().as_str(), "a\n b");
        assert_eq!(Description::new(&"ä".repeat(8193)), Err(ValueError::Description(8193)));
    }

    #[test]
    fn addresses_of_one_card() {
        let mac = Mac::parse("bc:24:11:00:0a:Ff").unwrap();
        assert_eq!((mac.to_string().as_str(), mac.has_proxmox_prefix()), ("BC:24:11:00:0A:FF", true));
        assert_eq!(Mac::proxmox([0, 0x0a, 0xff]), mac);
        assert!(!Mac::parse("52:54:00:00:00:01").unwrap().has_proxmox_prefix());
        for text in
            ["", "01:00:00:00:00:00", "00:00:00:00:00:00", "52:54:00:00:00", "52:54:00:00:00:01:02", "+2:54:00:0:0:1"]
        {
            assert_eq!(Mac::parse(text), Err(ValueError::Mac(text.to_owned())));
        }
    }
}
