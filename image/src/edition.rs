//! Editions: what goes into an image, as a data file. What editions share is in a file that they extend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use crate::guest::GuestBase;
use crate::hash::is_lower_hex;

/// How many files may extend one another; more is a loop.
const DEEPEST: usize = 4;

/// Why an edition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EditionError {
    /// The file cannot be read.
    #[error("cannot read the edition {path}")]
    Read {
        /// The edition's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no edition.
    #[error("{path} is not an edition")]
    Parse {
        /// The edition's file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Files that extend one another.
    #[error("{path}: more than {DEEPEST} files extend one another; end the chain")]
    Chain {
        /// The file that is one too many.
        path: PathBuf,
    },
    /// Neither the file nor what it extends says something that must be said.
    #[error("{path}: `{key}` is missing, here and in the file that is extended")]
    Missing {
        /// The edition's file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// A package with two reasons.
    #[error("{path}: package `{package}` is in the file that is extended already; leave it out here")]
    Twice {
        /// The edition's file.
        path: PathBuf,
        /// The package.
        package: String,
    },
    /// A package without a reason.
    #[error("{path}: package `{package}` has no reason; say in a few words why the machine needs it")]
    NoReason {
        /// The edition's file.
        path: PathBuf,
        /// The package.
        package: String,
    },
    /// A value that would end up in file names, boot menus, or APT's configuration.
    #[error("{path}: `{key}` is `{value}`; only {allowed} are possible there")]
    Characters {
        /// The edition's file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What may be used.
        allowed: &'static str,
    },
}

/// One suite of one archive. The archive is a role, not a host: the host comes from the build machine's APT configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// `debian` or `debian-security`.
    pub archive: String,
    /// Such as `trixie-updates`.
    pub suite: String,
}

/// One channel of Proxmox's repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Address of the repository.
    pub url: String,
    /// The component that holds the channel's packages.
    pub component: String,
}

/// What is known about Proxmox's packages beforehand: how a source of them is recognised and checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Proxmox {
    /// PRODUCT in `/.cd-info` of an official ISO.
    pub product: String,
    /// What the product is called.
    pub product_name: String,
    /// The major release, which RELEASE of an ISO begins with.
    pub release: String,
    /// The package whose version is that of the product.
    pub package: String,
    /// Suite of the repository.
    pub suite: String,
    /// Fingerprint of the one key that signs the repository, 40 upper-case hexadecimal digits.
    pub key: String,
    /// Where a keyring with that key can be fetched.
    pub keyring: String,
    /// Regular expressions in versions of Debian packages that Proxmox rebuilt.
    pub rebuilt: Vec<String>,
    /// Channels of the repository by name.
    pub channels: BTreeMap<String, Channel>,
}

/// What one image is made of.
#[derive(Debug, Clone)]
pub struct Edition {
    /// Short name, part of file names.
    pub name: String,
    /// What the product is called.
    pub product: String,
    /// What the edition calls itself on screens.
    pub label: String,
    /// Debian's name of the processor architecture.
    pub architecture: String,
    /// Keys that sign the archives.
    pub keyring: PathBuf,
    /// Such as `main`.
    pub components: Vec<String>,
    /// The package that brings the kernel.
    pub kernel: String,
    /// What the release of that kernel looks like; `*` stands for anything.
    pub kernel_release: String,
    /// Path patterns dpkg does not unpack.
    pub exclude: Vec<String>,
    /// Exceptions from `exclude`.
    pub include: Vec<String>,
    /// Where packages come from; the first is the main suite.
    pub suites: Vec<Suite>,
    /// Packages, each with its reason.
    pub packages: BTreeMap<String, String>,
    /// What every guest is made of, in an edition that has guests on its image.
    pub guests: Option<GuestBase>,
    /// Where Proxmox's packages come from, in an edition that has them.
    pub proxmox: Option<Proxmox>,
}

/// A file of an edition: everything may be left out that the file it extends has.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Draft {
    extends: Option<PathBuf>,
    name: Option<String>,
    product: Option<String>,
    label: Option<String>,
    architecture: Option<String>,
    keyring: Option<PathBuf>,
    components: Option<Vec<String>>,
    kernel: Option<String>,
    kernel_release: Option<String>,
    exclude: Option<Vec<String>>,
    include: Option<Vec<String>>,
    suites: Option<Vec<Suite>>,
    #[serde(default)]
    packages: BTreeMap<String, String>,
    guests: Option<PathBuf>,
    proxmox: Option<Proxmox>,
}

impl Draft {
    /// Reads a file and, `depth` files deep already, what it extends.
    fn read(path: &Path, depth: usize) -> Result<Self, EditionError> {
        if depth == DEEPEST {
            return Err(EditionError::Chain { path: path.into() });
        }
        let text = fs::read_to_string(path).map_err(|source| EditionError::Read { path: path.into(), source })?;
        let mut draft: Self = toml::from_str(&text)
            .map_err(|source| EditionError::Parse { path: path.into(), source: Box::new(source) })?;
        // A path is relative to the file it stands in.
        let beside = |other: &PathBuf| path.parent().unwrap_or(Path::new("")).join(other);
        draft.guests = draft.guests.as_ref().map(beside);
        match draft.extends.as_ref().map(beside) {
            None => Ok(draft),
            Some(extended) => draft.over(Self::read(&extended, depth + 1)?, path),
        }
    }

    /// This file laid over the one it extends: values replace values, packages are added.
    fn over(self, below: Self, path: &Path) -> Result<Self, EditionError> {
        let mut packages = below.packages;
        for (package, reason) in self.packages {
            if packages.insert(package.clone(), reason).is_some() {
                return Err(EditionError::Twice { path: path.into(), package });
            }
        }
        Ok(Self {
            extends: None,
            name: self.name.or(below.name),
            product: self.product.or(below.product),
            label: self.label.or(below.label),
            architecture: self.architecture.or(below.architecture),
            keyring: self.keyring.or(below.keyring),
            components: self.components.or(below.components),
            kernel: self.kernel.or(below.kernel),
            kernel_release: self.kernel_release.or(below.kernel_release),
            exclude: self.exclude.or(below.exclude),
            include: self.include.or(below.include),
            suites: self.suites.or(below.suites),
            packages,
            guests: self.guests.or(below.guests),
            proxmox: self.proxmox.or(below.proxmox),
        })
    }

    fn finish(self, path: &Path) -> Result<Edition, EditionError> {
        let missing = |key| move || EditionError::Missing { path: path.into(), key };
        Ok(Edition {
            name: self.name.ok_or_else(missing("name"))?,
            product: self.product.ok_or_else(missing("product"))?,
            label: self.label.ok_or_else(missing("label"))?,
            architecture: self.architecture.ok_or_else(missing("architecture"))?,
            keyring: self.keyring.ok_or_else(missing("keyring"))?,
            components: self.components.ok_or_else(missing("components"))?,
            kernel: self.kernel.ok_or_else(missing("kernel"))?,
            kernel_release: self.kernel_release.ok_or_else(missing("kernel-release"))?,
            exclude: self.exclude.ok_or_else(missing("exclude"))?,
            include: self.include.ok_or_else(missing("include"))?,
            suites: self.suites.ok_or_else(missing("suites"))?,
            packages: self.packages,
            guests: self.guests.as_deref().map(GuestBase::read).transpose()?,
            proxmox: self.proxmox,
        })
    }
}

impl Edition {
    /// Reads and checks an edition.
    pub fn read(path: &Path) -> Result<Self, EditionError> {
        let mut edition = Draft::read(path, 0)?.finish(path)?;
        edition.check(path)?;
        edition.packages.entry(edition.kernel.clone()).or_insert_with(|| "the kernel".to_owned());
        Ok(edition)
    }

    fn check(&self, path: &Path) -> Result<(), EditionError> {
        check_reasons(&self.packages, path)?;
        let only = |key, value: &str, allowed, fits: fn(&str) -> bool| {
            if !value.is_empty() && fits(value) {
                return Ok(());
            }
            Err(EditionError::Characters { path: path.into(), key, value: value.to_owned(), allowed })
        };
        only("name", &self.name, "a-z, 0-9 and -", |value| value.bytes().all(|b| word(b) && b != b'.'))?;
        // Titles stand between single quotes in grub.cfg, and on 7-bit serial consoles.
        let printable = |value: &str| {
            value.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && !matches!(b, b'\'' | b'"' | b'$' | b'\\'))
        };
        for (key, value) in [("product", &self.product), ("label", &self.label)] {
            only(key, value, "printable ASCII characters without quotes, $ and \\", printable)?;
        }
        check_kernel_release(&self.kernel_release, path)?;
        let Some(proxmox) = &self.proxmox else { return Ok(()) };
        // What follows ends up in lines of APT's configuration and in the command line of gpg.
        only("proxmox.key", &proxmox.key, "the 40 upper-case hexadecimal digits of a fingerprint", |value| {
            value.len() == 40 && value.bytes().all(|b| is_lower_hex(b.to_ascii_lowercase()) && !b.is_ascii_lowercase())
        })?;
        for (key, value) in [
            ("proxmox.product", &proxmox.product),
            ("proxmox.release", &proxmox.release),
            ("proxmox.suite", &proxmox.suite),
            ("proxmox.package", &proxmox.package),
        ] {
            only(key, value, "a-z, 0-9, . and -", |value| value.bytes().all(word))?;
        }
        only("proxmox.product-name", &proxmox.product_name, "printable ASCII characters without quotes", printable)?;
        for expression in &proxmox.rebuilt {
            let fits = |value: &str| value.bytes().all(|b| word(b) || matches!(b, b'[' | b']' | b'+' | b'~'));
            only("proxmox.rebuilt", expression, "a-z, 0-9 and .-+~[]", fits)?;
        }
        for channel in proxmox.channels.values() {
            only("proxmox.channels.*.url", &channel.url, "an address without blanks", is_address)?;
            only("proxmox.channels.*.component", &channel.component, "a-z, 0-9, . and -", |v| v.bytes().all(word))?;
        }
        only("proxmox.keyring", &proxmox.keyring, "an address without blanks", is_address)
    }

    /// The main suite, such as `trixie`.
    pub fn main_suite(&self) -> &str {
        self.suites.first().map_or("", |suite| &suite.suite)
    }
}

/// Every package says why it is there.
pub fn check_reasons(packages: &BTreeMap<String, String>, path: &Path) -> Result<(), EditionError> {
    match packages.iter().find(|(_, reason)| reason.trim().is_empty()) {
        Some((package, _)) => Err(EditionError::NoReason { path: path.into(), package: package.clone() }),
        None => Ok(()),
    }
}

/// A pattern of kernel releases holds nothing that a shell would take for something else.
pub fn check_kernel_release(pattern: &str, path: &Path) -> Result<(), EditionError> {
    if !pattern.is_empty() && pattern.bytes().all(|b| word(b) || matches!(b, b'+' | b'*')) {
        return Ok(());
    }
    Err(EditionError::Characters {
        path: path.into(),
        key: "kernel-release",
        value: pattern.to_owned(),
        allowed: "a-z, 0-9, ., -, + and *",
    })
}

/// A byte of a name of packages, suites and the like.
fn word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
}

/// Is this an address that fits into one word of a sources.list?
pub fn is_address(text: &str) -> bool {
    text.contains(":/") && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'[' | b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An edition of this project.
    fn ours(name: &str) -> Edition {
        Edition::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("editions").join(name)).unwrap()
    }

    /// The rehearsal with one part of one of its files replaced.
    fn changed(file: &str, from: &str, to: &str) -> Result<Edition, EditionError> {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["editions", "guest"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for name in ["editions/common.toml", "editions/rehearsal.toml", "editions/proxmox.toml", "guest/base.toml"] {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
            assert!(!name.ends_with(file) || text.contains(from));
            let text = if name.ends_with(file) { text.replace(from, to) } else { text };
            fs::write(dir.path().join(name), text).unwrap();
        }
        let edition = if file == "proxmox.toml" { "proxmox.toml" } else { "rehearsal.toml" };
        Edition::read(&dir.path().join("editions").join(edition))
    }

    #[test]
    fn the_rehearsal_says_that_it_is_one_and_holds_nothing_of_proxmox() {
        let edition = ours("rehearsal.toml");
        assert_eq!(edition.name, "rehearsal");
        assert_eq!(edition.label, "rehearsal, no Proxmox VE");
        assert_eq!(edition.main_suite(), "trixie");
        assert!(edition.packages.keys().all(|p| !p.starts_with("pve") && !p.contains("proxmox")));
        assert!(edition.proxmox.is_none());
    }

    #[test]
    fn the_proxmox_edition_has_no_kernel_and_no_firmware_of_debian() {
        let edition = ours("proxmox.toml");
        assert!(edition.packages.contains_key("proxmox-ve") && edition.packages.contains_key("cryptsetup-initramfs"));
        assert!(edition.packages.keys().all(|p| !p.starts_with("linux-image") && !p.starts_with("firmware-")));
        assert_eq!(edition.kernel_release, "*-pve");
        let proxmox = edition.proxmox.unwrap();
        assert_eq!(proxmox.channels.keys().collect::<Vec<_>>(), ["enterprise", "no-subscription"]);
    }

    #[test]
    fn a_package_needs_a_reason() {
        let error = changed("common.toml", "\"editing\"", "\" \"").unwrap_err();
        assert!(matches!(error, EditionError::NoReason { package, .. } if package == "vim-tiny"));
    }

    #[test]
    fn a_package_has_one_reason() {
        let error = changed("rehearsal.toml", "[packages]", "[packages]\ntmux = \"again\"").unwrap_err();
        assert!(matches!(error, EditionError::Twice { package, .. } if package == "tmux"));
    }

    #[test]
    fn every_edition_has_the_same_guests_of_debians_packages_alone() {
        let [rehearsal, proxmox] = ["rehearsal.toml", "proxmox.toml"].map(|name| ours(name).guests.unwrap());
        assert_eq!(rehearsal, proxmox);
        assert!(rehearsal.packages.contains_key(&rehearsal.kernel));
        assert!(rehearsal.packages.keys().all(|p| !p.starts_with("pve") && !p.contains("proxmox")));
        let error = changed("base.toml", "qemu-guest-agent = \"", "qemu-guest-agent = \"\" # \"").unwrap_err();
        assert!(matches!(error, EditionError::NoReason { package, .. } if package == "qemu-guest-agent"));
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = changed("rehearsal.toml", "name =", "colour = \"red\"\nname =").unwrap_err();
        assert!(matches!(error, EditionError::Parse { source, .. } if source.to_string().contains("colour")));
    }

    #[test]
    fn what_neither_file_says_is_named() {
        let error = changed("rehearsal.toml", "kernel-release = \"*-amd64\"\n", "").unwrap_err();
        assert!(matches!(error, EditionError::Missing { key: "kernel-release", .. }));
    }

    #[test]
    fn files_that_extend_one_another_end_somewhere() {
        let error = changed("rehearsal.toml", "common.toml", "rehearsal.toml").unwrap_err();
        assert!(matches!(error, EditionError::Chain { .. }));
    }

    #[test]
    fn a_label_cannot_break_out_of_the_boot_menu() {
        let error = changed("rehearsal.toml", "no Proxmox VE\"", "it's\"").unwrap_err();
        assert!(matches!(error, EditionError::Characters { key: "label", .. }));
    }

    #[test]
    fn a_fingerprint_is_whole() {
        for wrong in ["", "24B30F06", "24b30f06ecc1836a4e5efecba7bcd1420bfe778e"] {
            let error = changed("proxmox.toml", "24B30F06ECC1836A4E5EFECBA7BCD1420BFE778E", wrong).unwrap_err();
            assert!(matches!(error, EditionError::Characters { key: "proxmox.key", .. }), "{wrong}");
        }
    }
}
