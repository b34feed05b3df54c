//! Workloads of roles, as data: `overlays/guest/ROLE/workloads/NAME/workload.toml` and the templates in `files/` beside it; and natives,
//! programs of a role's packages that workloads need, in `overlays/guest/ROLE/natives/NAME/`. One more workload is one more folder, and
//! its name in the role's file.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::role::{Mount, Name, Text, Unit};

mod access;
pub mod facts;
pub mod parse;
mod reference;
pub mod render;

pub use access::{Access, FilePath, Mode, Owner};
pub use facts::Facts;
pub use reference::Reference;
pub use render::{File, Piece, RenderError};

/// A program that a role runs from an OCI image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The role that runs it.
    pub role: Name,
    /// Its name: the folder, and what the role's file calls it.
    pub name: Name,
    /// A few words.
    pub title: Text,
    /// The image it is made from.
    pub image: Reference,
    /// Why this program.
    pub why: Text,
    /// Systemd units that must be active once the machine is up and the image is there.
    pub units: Vec<Unit>,
    /// What people reach by a host name, if it has that.
    pub http: Option<Http>,
    /// What nobody else may know; drawn on the target.
    pub secrets: BTreeMap<Name, SecretForm>,
    /// Folders of its data.
    pub folders: Vec<Folder>,
    /// What it needs of natives.
    pub needs: Vec<Need>,
    /// The certificate that it shows, if it ends TLS.
    pub certificate: Option<Certificate>,
    /// Its files.
    pub templates: Vec<Template>,
}

/// A program of a role's packages that workloads need, here or on other machines. Its files are written where one is present that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// The role that has it.
    pub role: Name,
    /// Its name: the folder.
    pub name: Name,
    /// Why its files are as they are.
    pub why: Text,
    /// Its files.
    pub templates: Vec<Template>,
}

/// A file as it lies on the guest, with places for what the site says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Where it was read; used in messages only.
    pub file: String,
    /// Path on the guest, absolute.
    pub path: String,
    /// The template.
    pub text: String,
    /// Who may read it.
    pub access: Access,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The first label of its host name, unless the site says otherwise; the site's domain follows.
    pub host: Name,
    /// Where it answers HTTP, without TLS. The role opens it to the one that routes.
    pub port: u16,
    /// Paths on the domain itself that it answers too.
    #[serde(default)]
    pub domain_paths: Vec<UrlPath>,
    /// The only paths on its own host name that are for the public; all of them where there are none.
    #[serde(default)]
    pub paths: Vec<UrlPath>,
}

/// The beginning of paths in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPath(String);

impl TryFrom<String> for UrlPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
        if text.starts_with('/') && text.ends_with('/') && text.len() > 1 && text.bytes().all(good) {
            return Ok(Self(text));
        }
        Err(format!("`{}` is no beginning of paths: write it as \"/.well-known/matrix/\"", text.escape_debug()))
    }
}

impl From<UrlPath> for String {
    fn from(path: UrlPath) -> Self {
        path.0
    }
}

/// How a secret looks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretForm {
    /// What it is made of.
    pub form: Alphabet,
    /// How long it is, in what `form` counts.
    pub length: Length,
    /// What it is for.
    pub why: Text,
}

/// What a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    /// Letters of both cases and digits; its length is their number.
    Letters,
    /// Base64 without padding (RFC 4648, 4); its length is that of the random bytes.
    Base64,
}

/// Length of a secret: 4 to 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub struct Length(u8);

impl Length {
    /// The plain number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl TryFrom<u8> for Length {
    type Error = String;

    fn try_from(length: u8) -> Result<Self, Self::Error> {
        if (4..=128).contains(&length) {
            Ok(Self(length))
        } else {
            Err(format!("{length} is no length of a secret: write 4 to 128"))
        }
    }
}

/// One secret of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretId {
    /// The workload's role.
    pub role: Name,
    /// The workload.
    pub workload: Name,
    /// The secret's name there.
    pub name: Name,
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.role, self.workload, self.name)
    }
}

/// `[[folders]]`: a folder of data, made before the workload starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Where, on the role's data volume if it has one.
    pub path: Mount,
    /// Number of its user and group, as the image has it.
    pub owner: u32,
    /// Its mode.
    pub mode: Mode,
}

/// `[[needs]]`: an account with a native.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The native's role.
    pub role: Name,
    /// The native.
    pub native: Name,
    /// Name of the account there.
    pub account: Name,
    /// The workload's secret that is its password.
    pub secret: Name,
}

/// `[certificate]`: one that the installer's authority signs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// For which host names.
    pub hosts: CertificateHosts,
    /// Path of the certificate, absolute.
    pub certificate: FilePath,
    /// Path of its key, absolute; mode 0600.
    pub key: FilePath,
    /// Whose the key is.
    pub owner: Owner,
}

/// For which host names a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateHosts {
    /// The workload's own.
    Own,
    /// Those of all workloads, and the domain itself.
    All,
}
