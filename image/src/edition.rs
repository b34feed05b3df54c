//! Editions: what goes into an image, as a data file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

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
    /// A package without a reason.
    #[error("{path}: package `{package}` has no reason; say in a few words why the machine needs it")]
    NoReason {
        /// The edition's file.
        path: PathBuf,
        /// The package.
        package: String,
    },
    /// A value that would end up in file names and boot menus.
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

/// What one image is made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Path patterns dpkg does not unpack.
    pub exclude: Vec<String>,
    /// Exceptions from `exclude`.
    pub include: Vec<String>,
    /// Where packages come from; the first is the main suite.
    pub suites: Vec<Suite>,
    /// Packages, each with its reason.
    pub packages: BTreeMap<String, String>,
}

impl Edition {
    /// Reads and checks an edition.
    pub fn read(path: &Path) -> Result<Self, EditionError> {
        let text = fs::read_to_string(path).map_err(|source| EditionError::Read { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Parses and checks an edition; `path` is for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, EditionError> {
        let mut edition: Self = toml::from_str(text)
            .map_err(|source| EditionError::Parse { path: path.into(), source: Box::new(source) })?;
        if let Some((package, _)) = edition.packages.iter().find(|(_, reason)| reason.trim().is_empty()) {
            return Err(EditionError::NoReason { path: path.into(), package: package.clone() });
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if edition.name.is_empty() || !edition.name.chars().all(plain) {
            return Err(EditionError::Characters {
                path: path.into(),
                key: "name",
                value: edition.name,
                allowed: "a-z, 0-9 and -",
            });
        }
        // Titles stand between single quotes in grub.cfg, and on 7-bit serial consoles.
        let printable = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '\'' | '"' | '$' | '\\');
        for (key, value) in [("product", &edition.product), ("label", &edition.label)] {
            if value.is_empty() || !value.chars().all(printable) {
                return Err(EditionError::Characters {
                    path: path.into(),
                    key,
                    value: value.clone(),
                    allowed: "printable ASCII characters without quotes, $ and \\",
                });
            }
        }
        edition.packages.entry(edition.kernel.clone()).or_insert_with(|| "the kernel".to_owned());
        Ok(edition)
    }

    /// The main suite, such as `trixie`.
    pub fn main_suite(&self) -> &str {
        self.suites.first().map_or("", |suite| &suite.suite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REHEARSAL: &str = include_str!("../editions/rehearsal.toml");

    fn parse(text: &str) -> Result<Edition, EditionError> {
        Edition::parse(text, Path::new("e.toml"))
    }

    #[test]
    fn the_rehearsal_says_that_it_is_one_and_holds_nothing_of_proxmox() {
        let edition = parse(REHEARSAL).unwrap();
        assert_eq!(edition.name, "rehearsal");
        assert_eq!(edition.label, "rehearsal, no Proxmox VE");
        assert_eq!(edition.main_suite(), "trixie");
        assert!(edition.packages.keys().all(|p| !p.starts_with("pve") && !p.contains("proxmox")));
    }

    #[test]
    fn a_package_needs_a_reason() {
        let error = parse(&REHEARSAL.replace("\"editing\"", "\" \"")).unwrap_err();
        assert!(matches!(error, EditionError::NoReason { package, .. } if package == "vim-tiny"));
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = parse(&format!("colour = \"red\"\n{REHEARSAL}")).unwrap_err();
        assert!(matches!(error, EditionError::Parse { source, .. } if source.to_string().contains("colour")));
    }

    #[test]
    fn a_label_cannot_break_out_of_the_boot_menu() {
        let error = parse(&REHEARSAL.replace("no Proxmox VE", "it's")).unwrap_err();
        assert!(matches!(error, EditionError::Characters { key: "label", .. }));
    }
}
