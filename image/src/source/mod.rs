//! Sources of an edition's packages beyond Debian's: Proxmox's repository, an official ISO, a folder of packages. Each makes itself ready
//! and checks itself, and is then one more archive to APT; Debian packages come from the Debian mirror whichever it is.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cache::Cache;
use crate::edition::{Edition, Proxmox};
use crate::progress::Progress;

mod debs;
mod error;
mod iso;
mod keyring;
mod pool;
mod repository;

pub use error::SourceError;

/// The name of the source's archive in lock files, whichever source it was.
pub const ARCHIVE: &str = "proxmox";

/// Where Proxmox's packages come from.
#[derive(Debug, Clone, Default, clap::Args)]
#[allow(clippy::struct_field_names, reason = "they are the names of the options")]
pub struct SourceOptions {
    /// Take Proxmox's packages from its repository; the default of an edition that has them
    #[arg(long, value_name = "CHANNEL")]
    pub proxmox_repository: Option<Channel>,
    /// A mirror of that repository, instead of Proxmox's own address
    #[arg(long, value_name = "URL")]
    pub proxmox_url: Option<String>,
    /// What the repository wants to know about a subscriber: a file in the format of apt_auth.conf(5), mode 0600
    #[arg(long, value_name = "FILE")]
    pub proxmox_credentials: Option<PathBuf>,
    /// A keyring with Proxmox's release key; the default is this machine's, else it is fetched from Proxmox. Only the key whose
    /// fingerprint is in the edition is used of it
    #[arg(long, value_name = "FILE")]
    pub proxmox_keyring: Option<PathBuf>,
    /// Take Proxmox's packages from an official Proxmox VE ISO
    #[arg(long, value_name = "FILE")]
    pub proxmox_iso: Option<PathBuf>,
    /// Take Proxmox's packages from a folder of .deb files
    #[arg(long, value_name = "FOLDER")]
    pub proxmox_debs: Option<PathBuf>,
}

/// A channel of Proxmox's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Channel {
    /// Open to everybody
    NoSubscription,
    /// For subscribers; wants credentials
    Enterprise,
}

impl Channel {
    /// The name in an edition.
    fn name(self) -> &'static str {
        match self {
            Self::NoSubscription => "no-subscription",
            Self::Enterprise => "enterprise",
        }
    }
}

/// The one source that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Proxmox's repository or a mirror of it.
    Repository {
        /// Channel.
        channel: Channel,
        /// Another address than the edition's.
        url: Option<String>,
        /// File of credentials.
        credentials: Option<PathBuf>,
        /// Keyring with the release key.
        keyring: Option<PathBuf>,
    },
    /// An official ISO.
    Iso(PathBuf),
    /// A folder of packages.
    Debs(PathBuf),
}

impl Default for Request {
    fn default() -> Self {
        Self::Repository { channel: Channel::NoSubscription, url: None, credentials: None, keyring: None }
    }
}

impl SourceOptions {
    /// What is asked for, if anything is. Options of two sources at once are an error.
    pub fn request(&self) -> Result<Option<Request>, SourceError> {
        let repository = [
            ("--proxmox-repository", self.proxmox_repository.is_some()),
            ("--proxmox-url", self.proxmox_url.is_some()),
            ("--proxmox-credentials", self.proxmox_credentials.is_some()),
            ("--proxmox-keyring", self.proxmox_keyring.is_some()),
        ];
        let repository = repository.iter().find(|(_, given)| *given).map(|(option, _)| *option);
        let iso = self.proxmox_iso.as_ref().map(|_| "--proxmox-iso");
        let debs = self.proxmox_debs.as_ref().map(|_| "--proxmox-debs");
        let given: Vec<&'static str> = [iso, debs, repository].into_iter().flatten().collect();
        if let [first, second, ..] = given[..] {
            return Err(SourceError::Several { first, second });
        }
        Ok(match (&self.proxmox_iso, &self.proxmox_debs, repository) {
            (Some(file), _, _) => Some(Request::Iso(file.clone())),
            (_, Some(folder), _) => Some(Request::Debs(folder.clone())),
            (_, _, Some(_)) => Some(Request::Repository {
                channel: self.proxmox_repository.unwrap_or(Channel::NoSubscription),
                url: self.proxmox_url.clone(),
                credentials: self.proxmox_credentials.clone(),
                keyring: self.proxmox_keyring.clone(),
            }),
            (None, None, None) => None,
        })
    }
}

/// What a source says about itself; it is shown at the build's end and written to the medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What kind of source it is; no host and no path.
    pub kind: String,
    /// What the product is called.
    pub product: String,
    /// The product's release. A repository and a folder do not say it: the version of the product's package is taken then.
    pub release: Option<String>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} from {}", self.product, self.release.as_deref().unwrap_or("of unknown release"), self.kind)
    }
}

/// An entry of APT's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Address of the archive.
    pub uri: String,
    /// Suite, or `/` for an archive without.
    pub suite: String,
    /// Component; empty for an archive without suites.
    pub component: String,
    /// The keyring that must have signed it; an archive of our own making has none and is trusted.
    pub signed_by: Option<PathBuf>,
}

impl Entry {
    /// In the format of `.sources` files.
    pub fn deb822(&self) -> String {
        let mut text = format!("Types: deb\nURIs: {}\nSuites: {}\n", self.uri, self.suite);
        if !self.component.is_empty() {
            text.push_str(&format!("Components: {}\n", self.component));
        }
        match &self.signed_by {
            // Whatever the host's configuration says about dates.
            Some(keyring) => {
                text.push_str(&format!("Signed-By: {}\n", keyring.display()));
                text.push_str("Check-Valid-Until: yes\nCheck-Date: yes\n");
            }
            None => text.push_str("Trusted: yes\n"),
        }
        text
    }

    /// As a line of a sources.list.
    pub fn line(&self) -> String {
        let trust = match &self.signed_by {
            Some(keyring) => format!("signed-by={}", keyring.display()),
            None => "trusted=yes".to_owned(),
        };
        format!("deb [{trust}] {} {} {}", self.uri, self.suite, self.component).trim_end().to_owned()
    }
}

/// A source that is ready.
pub trait PackageSource {
    /// What it is.
    fn description(&self) -> &Description;

    /// How APT is told about it.
    fn entry(&self) -> Entry;

    /// APT preferences that go with it; empty if APT's own rule (the newest version) is right.
    fn preferences(&self) -> String {
        String::new()
    }

    /// The file of credentials for it.
    fn credentials(&self) -> Option<&Path> {
        None
    }
}

impl fmt::Debug for dyn PackageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.description())
    }
}

/// How much of a repository is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Everything: key, signature, date, hashes, release.
    Whole,
    /// The same, but give up on one that does not answer soon.
    Probe,
    /// Nothing: each package has its hash in a lock file already.
    Locked,
}

/// Makes the source ready that is asked for.
pub fn open(
    request: &Request,
    edition: &Edition,
    cache: &Cache,
    check: Check,
    progress: &Progress,
) -> Result<Box<dyn PackageSource>, SourceError> {
    let proxmox: &Proxmox =
        edition.proxmox.as_ref().ok_or_else(|| SourceError::NotWanted { edition: edition.name.clone() })?;
    Ok(match request {
        Request::Repository { channel, url, credentials, keyring } => {
            let settings = repository::Settings {
                proxmox,
                architecture: &edition.architecture,
                channel: channel.name(),
                url: url.as_deref(),
                credentials: credentials.as_deref(),
                keyring: keyring.as_deref(),
            };
            Box::new(repository::Repository::open(&settings, cache, check, progress)?)
        }
        Request::Iso(file) => Box::new(iso::ProxmoxIso::open(file, edition, proxmox, cache, progress)?),
        Request::Debs(folder) => Box::new(debs::DebFolder::open(folder, edition, proxmox, cache, progress)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_at_a_time() {
        let iso = SourceOptions { proxmox_iso: Some("x.iso".into()), ..SourceOptions::default() };
        assert_eq!(iso.request().unwrap(), Some(Request::Iso("x.iso".into())));
        assert_eq!(SourceOptions::default().request().unwrap(), None);
        let both = SourceOptions { proxmox_debs: Some("debs".into()), ..iso.clone() };
        let error = both.request().unwrap_err();
        assert!(matches!(error, SourceError::Several { first: "--proxmox-iso", second: "--proxmox-debs" }));
        let both = SourceOptions { proxmox_keyring: Some("k.gpg".into()), ..iso };
        let error = both.request().unwrap_err();
        assert!(matches!(error, SourceError::Several { second: "--proxmox-keyring", .. }));
    }

    #[test]
    fn an_address_alone_means_the_open_channel() {
        let options = SourceOptions { proxmox_url: Some("http://m.test/pve".to_owned()), ..SourceOptions::default() };
        let request = options.request().unwrap();
        assert!(matches!(request, Some(Request::Repository { channel: Channel::NoSubscription, .. })));
    }

    #[test]
    fn an_entry_names_its_keyring_and_insists_on_dates() {
        let entry = Entry {
            uri: "http://m.test/pve".to_owned(),
            suite: "trixie".to_owned(),
            component: "pve-no-subscription".to_owned(),
            signed_by: Some("/k.gpg".into()),
        };
        assert_eq!(
            entry.deb822(),
            "Types: deb\nURIs: http://m.test/pve\nSuites: trixie\nComponents: pve-no-subscription\nSigned-By: /k.gpg\n\
             Check-Valid-Until: yes\nCheck-Date: yes\n"
        );
        assert_eq!(entry.line(), "deb [signed-by=/k.gpg] http://m.test/pve trixie pve-no-subscription");
    }
}
