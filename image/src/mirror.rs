//! Where packages are fetched from: the mirrors the build host's own APT uses, or those given by option. No host name is
//! kept in the project or in a lock file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::tool::{Call, Tool, ToolError};

/// Archives and the labels their Release files carry.
const LABELS: [(&str, &str); 2] = [("debian", "Debian"), ("debian-security", "Debian-Security")];

/// Why there is no place to fetch packages from.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// No option and nothing in APT's configuration.
    #[error(
        "no mirror of the archive `{archive}`: the APT configuration of this machine names none (looked for Label: {label}). \
         Add it there, or give --mirror {archive}=URL"
    )]
    None {
        /// The archive.
        archive: String,
        /// The label of its Release file.
        label: String,
    },
    /// A lock with packages of a source that was not given.
    #[error(
        "packages of the archive `{archive}` are missing in the cache and no source of them is given: give --proxmox-repository, \
         --proxmox-iso or --proxmox-debs"
    )]
    Source {
        /// The archive.
        archive: String,
    },
    /// An option that is not NAME=URL.
    #[error(
        "`--mirror {option}` is neither ARCHIVE=URL, with ARCHIVE debian or debian-security, nor the address of a registry (http://, https://)"
    )]
    Option {
        /// What was given.
        option: String,
    },
    /// APT did not answer.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Base address of each archive, with a slash at its end.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    bases: BTreeMap<String, String>,
    credentials: Option<PathBuf>,
}

impl Mirrors {
    /// Options of the form ARCHIVE=URL first, then the APT configuration of this machine.
    pub fn discover(options: &[String]) -> Result<Self, MirrorError> {
        let mut mirrors = Self::default();
        for option in options {
            let wrong = || MirrorError::Option { option: option.clone() };
            let (archive, url) = option.split_once('=').ok_or_else(wrong)?;
            if !LABELS.iter().any(|(known, _)| *known == archive) || !url.contains(":/") {
                return Err(wrong());
            }
            mirrors.bases.insert(archive.to_owned(), with_slash(url));
        }
        if mirrors.bases.len() < LABELS.len() {
            let targets = Call::new(Tool::AptGet)
                .args(["indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
                .text()?;
            mirrors.add_index_targets(&targets);
        }
        // A machine whose package lists were deleted, as container images are, knows no labels but still its sources.
        if mirrors.bases.len() < LABELS.len() {
            mirrors.add_sources(&Call::new(Tool::AptGet).args(["update", "--print-uris"]).text()?);
        }
        Ok(mirrors)
    }

    /// Adds what `apt-get indextargets --format '$(LABEL)|$(REPO_URI)'` prints (apt 2.6); what is known already stays.
    fn add_index_targets(&mut self, text: &str) {
        for line in text.lines() {
            let Some((label, url)) = line.split_once('|') else { continue };
            if let Some((archive, _)) = LABELS.iter().find(|(_, known)| *known == label) {
                self.bases.entry((*archive).to_owned()).or_insert_with(|| with_slash(url));
            }
        }
    }

    /// Adds what `apt-get update --print-uris` prints (apt 2.6), `'URL/dists/SUITE/InRelease' FILE 0`: archives by the last part of
    /// their address, which is the archive's name on every Debian mirror. What is known already stays.
    fn add_sources(&mut self, text: &str) {
        for line in text.lines() {
            let Some(url) = line.strip_prefix('\'').and_then(|rest| rest.split('\'').next()) else { continue };
            let Some((base, _)) = url.split_once("/dists/") else { continue };
            if let Some((archive, _)) = LABELS.iter().find(|(archive, _)| base.rsplit('/').next() == Some(archive)) {
                self.bases.entry((*archive).to_owned()).or_insert_with(|| with_slash(base));
            }
        }
    }

    /// Base address of an archive.
    pub fn base(&self, archive: &str) -> Result<&str, MirrorError> {
        self.bases.get(archive).map(String::as_str).ok_or_else(|| {
            let archive = archive.to_owned();
            match LABELS.iter().find(|(known, _)| *known == archive) {
                Some((_, label)) => MirrorError::None { archive, label: (*label).to_owned() },
                None => MirrorError::Source { archive },
            }
        })
    }

    /// Adds an archive that is no Debian mirror, with the file of APT credentials (auth.conf format) it wants.
    #[must_use]
    pub fn with(mut self, archive: &str, base: &str, credentials: Option<&Path>) -> Self {
        self.bases.insert(archive.to_owned(), with_slash(base));
        self.credentials = credentials.map(Path::to_owned);
        self
    }

    /// APT's options for these mirrors: where the credentials are, never what they are.
    pub fn apt_options(&self) -> Vec<String> {
        credentials_options(self.credentials.as_deref())
    }

    /// The archive an address belongs to, and the path inside it.
    pub fn split<'u>(&self, url: &'u str) -> Option<(&str, &'u str)> {
        // The longest base wins: one archive may lie inside another's address.
        let (archive, base) =
            self.bases.iter().filter(|(_, base)| url.starts_with(*base)).max_by_key(|(_, base)| base.len())?;
        Some((archive, &url[base.len()..]))
    }
}

/// APT's options for a file of credentials. On the command line, since files in the host's apt.conf.d count more than ours.
pub fn credentials_options(file: Option<&Path>) -> Vec<String> {
    file.map_or_else(Vec::new, |file| vec!["-o".to_owned(), format!("Dir::Etc::netrc={}", file.display())])
}

/// An address with a slash at its end.
pub fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors() -> Mirrors {
        let mut mirrors = Mirrors::default();
        mirrors.add_index_targets(
            "Debian|http://mirror.test/debian/\nDebian-Security|http://mirror.test/debian/sec/\nOther|http://x.test/\n\
             Debian|http://second.test/\n",
        );
        mirrors
    }

    #[test]
    fn labels_name_archives_and_the_first_address_wins() {
        assert_eq!(mirrors().base("debian").unwrap(), "http://mirror.test/debian/");
        assert_eq!(mirrors().base("debian-security").unwrap(), "http://mirror.test/debian/sec/");
    }

    #[test]
    fn an_address_splits_at_the_longest_base() {
        let mirrors = mirrors();
        assert_eq!(mirrors.split("http://mirror.test/debian/sec/pool/a.deb"), Some(("debian-security", "pool/a.deb")));
        assert_eq!(mirrors.split("http://mirror.test/debian/pool/a.deb"), Some(("debian", "pool/a.deb")));
        assert_eq!(mirrors.split("http://other.test/pool/a.deb"), None);
    }

    #[test]
    fn sources_are_enough_where_package_lists_were_deleted() {
        let mut mirrors = Mirrors::default();
        mirrors.add_sources(
            "'http://m.test/debian/dists/bookworm/InRelease' m_debian_dists_bookworm_InRelease 0 \n\
             'http://m.test/debian-security/dists/bookworm-security/InRelease' x 0 \n\
             'https://other.test/node/dists/nodistro/InRelease' y 0 \n",
        );
        assert_eq!(mirrors.base("debian").unwrap(), "http://m.test/debian/");
        assert_eq!(mirrors.base("debian-security").unwrap(), "http://m.test/debian-security/");
        assert_eq!(mirrors.bases.len(), 2);
    }

    #[test]
    fn no_mirror_says_what_to_do() {
        let error = Mirrors::default().base("debian").unwrap_err().to_string();
        assert!(error.contains("Label: Debian") && error.contains("--mirror debian=URL"), "{error}");
    }

    #[test]
    fn credentials_are_named_and_not_told() {
        let mirrors = Mirrors::default().with("proxmox", "https://m.test/pve", Some(Path::new("/etc/secret.conf")));
        assert_eq!(mirrors.split("https://m.test/pve/pool/a.deb"), Some(("proxmox", "pool/a.deb")));
        assert_eq!(mirrors.apt_options(), ["-o", "Dir::Etc::netrc=/etc/secret.conf"]);
        let error = Mirrors::default().base("proxmox").unwrap_err();
        assert!(error.to_string().contains("--proxmox-iso"), "{error}");
    }

    #[test]
    fn options_are_checked() {
        for wrong in ["debian", "ubuntu=http://x.test", "debian=x.test"] {
            assert!(matches!(Mirrors::discover(&[wrong.to_owned()]), Err(MirrorError::Option { .. })), "{wrong}");
        }
    }
}
