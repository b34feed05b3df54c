//! Everything that can be wrong with a package source: the cause, and what to do about it.

use std::io;
use std::path::PathBuf;

use sovereign_model::exit::ExitCode;

use crate::cache::CacheError;
use crate::file::FileError;
use crate::iso9660::IsoReadError;
use crate::tool::ToolError;

/// Why a package source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Options of two sources.
    #[error("{first} and {second} belong to two sources of packages: give one of them")]
    Several {
        /// One option.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The edition has no use for a source.
    #[error(
        "the edition `{edition}` takes no packages from Proxmox: leave out the --proxmox options, or give --edition proxmox"
    )]
    NotWanted {
        /// Name of the edition.
        edition: String,
    },
    /// The edition does not know the channel.
    #[error("the edition has no channel `{channel}` of the repository: add it to the edition, or give another one")]
    NoChannel {
        /// The channel.
        channel: &'static str,
    },
    /// An address that APT could not use.
    #[error(
        "--proxmox-url is not an address of one word with a scheme and without a user, such as http://mirror/debian/pve; a password goes \
         into the file of --proxmox-credentials"
    )]
    Url,
    /// A file is not there or cannot be read.
    #[error("cannot read {path}: check the path and the rights of whoever builds")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path of the credentials would mean something else to APT.
    #[error(
        "the path of the credentials, {path:?}, has a blank, quote or bracket: give another one to --proxmox-credentials"
    )]
    CredentialsPath {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the credentials.
    #[error("{path} has mode {mode:04o}: others could read the credentials; run `chmod 600 {path}`")]
    CredentialsMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The repository wants credentials, or others.
    #[error(
        "{url} refuses access (401 or 403): give valid credentials of a subscription with --proxmox-credentials (a line `machine \
         HOST login USER password KEY`; HOST must begin with http:// where the address does), or use --proxmox-repository \
         no-subscription"
    )]
    Unauthorised {
        /// The repository.
        url: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// A file that should be a keyring is none.
    #[error("{path} is not a keyring that gpg can read: give another one with --proxmox-keyring")]
    NotKeyring {
        /// The keyring.
        path: PathBuf,
        /// What gpg said.
        #[source]
        source: Box<ToolError>,
    },
    /// The keyring has other keys.
    #[error(
        "{path} does not have the key {wanted} that the edition asks for (it has {found}): give Proxmox's keyring of this release with \
         --proxmox-keyring; nothing is taken on another key's word"
    )]
    WrongKeyring {
        /// The keyring.
        path: String,
        /// Fingerprint in the edition.
        wanted: String,
        /// Fingerprints in the keyring.
        found: String,
    },
    /// The keyring cannot be fetched.
    #[error("cannot fetch the keyring from {url}: give one with --proxmox-keyring")]
    FetchKeyring {
        /// Where from.
        url: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// Nothing answers.
    #[error(
        "{url} cannot be reached ({reason}): try again with a network, name a mirror with --proxmox-url, or build from an ISO \
         (--proxmox-iso) or a folder of packages (--proxmox-debs)"
    )]
    Unreachable {
        /// The repository.
        url: String,
        /// What APT said first.
        reason: String,
        /// The whole of it.
        #[source]
        source: Box<ToolError>,
    },
    /// Signed by another key.
    #[error(
        "{url} is not signed by the key {key}, the only one the edition accepts: this is no true copy of Proxmox's repository, or the \
         key has changed; compare the fingerprint with Proxmox's documentation"
    )]
    WrongKey {
        /// The repository.
        url: String,
        /// Fingerprint in the edition.
        key: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// Not signed at all.
    #[error("{url} has no signature: use a mirror that copies InRelease too")]
    Unsigned {
        /// The repository.
        url: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// The signature holds for dates gone by.
    #[error(
        "{url} is out of date (its Release file is no longer valid): use a mirror that is kept up to date, and check this clock"
    )]
    Expired {
        /// The repository.
        url: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// The index is not the signed one.
    #[error(
        "a package index of {url} is not the one that was signed: it was altered, or the mirror is being updated; try again later"
    )]
    IndexMismatch {
        /// The repository.
        url: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// There is no such suite.
    #[error("{url} has no suite `{suite}`, or no component `{component}` in it: check --proxmox-url")]
    NoSuite {
        /// The repository.
        url: String,
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// The repository is of another Debian.
    #[error("{url} is of the release `{found}`, the edition is of `{wanted}`: use the repository of that release")]
    WrongSuite {
        /// The repository.
        url: String,
        /// Codename in its Release file.
        found: String,
        /// Suite in the edition.
        wanted: String,
    },
    /// Something else of the repository.
    #[error("cannot use the repository {url}")]
    Apt {
        /// The repository.
        url: String,
        /// What APT said.
        #[source]
        source: Box<ToolError>,
    },
    /// It is something else.
    #[error("{path} is not an official Proxmox VE ISO: {problem}. Download one from Proxmox and check its SHA-256")]
    NotProxmoxIso {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        problem: String,
    },
    /// It is cut short or damaged.
    #[error("cannot use {path} as Proxmox VE ISO: download it again and check its SHA-256")]
    Iso {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IsoReadError,
    },
    /// An ISO of another product.
    #[error("{path} is an ISO of {found}, the edition is {wanted}: give the ISO of that product")]
    WrongProduct {
        /// The file.
        path: PathBuf,
        /// The product on it.
        found: String,
        /// The product of the edition.
        wanted: String,
    },
    /// Packages of another major release.
    #[error(
        "the source has {package} {found}, the edition is of release {wanted}: give a source of that major release, or remove the packages \
         of others from it"
    )]
    Packages {
        /// The product's package.
        package: String,
        /// Its version.
        found: String,
        /// The major release of the edition.
        wanted: String,
    },
    /// An ISO of another major release.
    #[error("{path} is of release {found}, the edition is of {wanted}: give an ISO of that major release")]
    WrongRelease {
        /// The file.
        path: PathBuf,
        /// The release on it.
        found: String,
        /// The major release of the edition.
        wanted: String,
    },
    /// A package on the ISO is not what the ISO's index says.
    #[error(
        "{package} in {path} has SHA-256 {found}, the ISO's own index says {wanted}: the ISO is damaged or was altered; download it again"
    )]
    PackageMismatch {
        /// The file.
        path: PathBuf,
        /// The package's file on it.
        package: String,
        /// SHA-256 of the file.
        found: String,
        /// SHA-256 in the index.
        wanted: String,
    },
    /// There is nothing in the folder.
    #[error("there is no .deb file in {path}: give the folder that holds them to --proxmox-debs")]
    NoDebs {
        /// The folder.
        path: PathBuf,
    },
    /// A file that should be a package is none.
    #[error("{path} is not a package, or is cut short: copy or download it again, or remove it from the folder")]
    Deb {
        /// The file.
        path: PathBuf,
        /// What dpkg-deb said.
        #[source]
        source: Box<ToolError>,
    },
    /// A package without a name, version or architecture.
    #[error("{path} does not say its {field}: it is no Debian package; remove it from the folder")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field of its control record.
        field: &'static str,
    },
    /// A package for other processors.
    #[error("{path} is for {found}, the edition is for {wanted}: remove it from the folder")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// Its architecture.
        found: String,
        /// The edition's.
        wanted: String,
    },
    /// Two packages that claim to be the same.
    #[error("{first} and {second} are the same version of one package with different contents: remove the wrong one")]
    Duplicate {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file of our own cannot be written.
    #[error("cannot prepare the package source")]
    File(#[from] FileError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program failed.
    #[error("cannot prepare the package source")]
    Tool(#[from] ToolError),
}

impl SourceError {
    /// Why nothing answers, if that is what is wrong. A wrong answer is not silence.
    pub fn silence(&self) -> Option<&str> {
        match self {
            Self::Unreachable { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Several { .. }
            | Self::NotWanted { .. }
            | Self::NoChannel { .. }
            | Self::Url
            | Self::Read { .. }
            | Self::CredentialsPath { .. }
            | Self::CredentialsMode { .. }
            | Self::NoDebs { .. } => ExitCode::BadInput,
            Self::File(_) | Self::Cache(_) | Self::Tool(_) | Self::Unreachable { .. } | Self::FetchKeyring { .. } => {
                ExitCode::Internal
            }
            Self::Unauthorised { .. }
            | Self::NotKeyring { .. }
            | Self::WrongKeyring { .. }
            | Self::WrongKey { .. }
            | Self::Unsigned { .. }
            | Self::Expired { .. }
            | Self::IndexMismatch { .. }
            | Self::NoSuite { .. }
            | Self::WrongSuite { .. }
            | Self::Apt { .. }
            | Self::NotProxmoxIso { .. }
            | Self::Iso { .. }
            | Self::WrongProduct { .. }
            | Self::Packages { .. }
            | Self::WrongRelease { .. }
            | Self::PackageMismatch { .. }
            | Self::Deb { .. }
            | Self::Field { .. }
            | Self::Architecture { .. }
            | Self::Duplicate { .. } => ExitCode::BadSource,
        }
    }
}
