//! Proxmox's APT repository, or a mirror of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Check, Description, Entry, PackageSource, SourceError, keyring};
use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::edition::{Proxmox, is_address};
use crate::file::At;
use crate::progress::Progress;
use crate::tool::{Call, Tool, ToolError};

/// Where Proxmox's own package puts the keyring.
const HOST_KEYRING: &str = "/usr/share/keyrings/proxmox-archive-keyring.gpg";
/// How long a probe waits for an answer.
const PROBE_SECONDS: &str = "10";
/// Rights of others than the owner.
const OTHERS: u32 = 0o077;

/// Which repository.
pub struct Settings<'a> {
    /// What the edition knows.
    pub proxmox: &'a Proxmox,
    /// Debian's name of the processor architecture.
    pub architecture: &'a str,
    /// Name of the channel.
    pub channel: &'static str,
    /// Another address than the channel's.
    pub url: Option<&'a str>,
    /// File of credentials.
    pub credentials: Option<&'a Path>,
    /// Keyring with the release key.
    pub keyring: Option<&'a Path>,
}

/// The repository, looked at.
pub struct Repository {
    description: Description,
    entry: Entry,
    credentials: Option<PathBuf>,
}

impl Repository {
    /// Looks at the repository as closely as `check` says.
    pub fn open(
        settings: &Settings<'_>,
        cache: &Cache,
        check: Check,
        progress: &Progress,
    ) -> Result<Self, SourceError> {
        let Settings { proxmox, channel, .. } = *settings;
        let known = proxmox.channels.get(channel).ok_or(SourceError::NoChannel { channel })?;
        let url = settings.url.unwrap_or(&known.url).trim_end_matches('/');
        // A password in an address would be seen in every list of processes.
        if !is_address(url) || url.contains('@') {
            return Err(SourceError::Url);
        }
        let credentials = settings.credentials.map(credentials).transpose()?;
        let mut entry = Entry {
            uri: url.to_owned(),
            suite: proxmox.suite.clone(),
            component: known.component.clone(),
            signed_by: None,
        };
        let description = Description {
            kind: format!("the repository {}", known.component),
            product: proxmox.product_name.clone(),
            release: None,
        };
        if check == Check::Locked {
            return Ok(Self { description, entry, credentials });
        }
        let _task = progress.spin("looking at the repository");
        let root = cache.apt_source();
        fs::create_dir_all(&root).at(&root)?;
        let root = fs::canonicalize(&root).at(&root)?;
        entry.signed_by = Some(release_key(settings, url, &root, cache, check)?);
        let apt_settings = apt::Settings {
            architecture: settings.architecture,
            entry: &entry.deb822(),
            credentials: credentials.as_deref(),
            ..apt::Settings::default()
        };
        let failed = |(path, source)| SourceError::Read { path, source };
        let apt = Apt::prepare(&root, &apt_settings).map_err(failed)?;
        // What another repository left must not be taken for this one's.
        clear(&apt.lists)?;
        patience(apt.update(), check).run().map_err(|error| explain(error, &entry, &proxmox.key))?;
        for release in apt.releases().map_err(failed)? {
            let field = |name: &str| release.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let found = field("Codename:").or(field("Suite:")).unwrap_or("?");
            if found != proxmox.suite {
                let (found, wanted) = (found.to_owned(), proxmox.suite.clone());
                return Err(SourceError::WrongSuite { url: url.to_owned(), found, wanted });
            }
        }
        Ok(Self { description, entry, credentials })
    }
}

impl PackageSource for Repository {
    fn description(&self) -> &Description {
        &self.description
    }

    fn entry(&self) -> Entry {
        self.entry.clone()
    }

    fn credentials(&self) -> Option<&Path> {
        self.credentials.as_deref()
    }
}

/// A probe does not wait for long, and asks once.
fn patience(call: Call, check: Check) -> Call {
    if check != Check::Probe {
        return call;
    }
    let seconds = |scheme: &str| format!("Acquire::{scheme}::Timeout={PROBE_SECONDS}");
    call.args(["-o", "Acquire::Retries=0", "-o", &seconds("http"), "-o", &seconds("https")])
}

/// Empties a folder of package lists.
fn clear(lists: &Path) -> Result<(), SourceError> {
    for entry in fs::read_dir(lists).at(lists)? {
        let path = entry.at(lists)?.path();
        if path.is_file() {
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

/// Checks a file of credentials and gives its whole path. What is in it is for APT alone.
fn credentials(path: &Path) -> Result<PathBuf, SourceError> {
    let read = |source| SourceError::Read { path: path.into(), source };
    fs::File::open(path).map_err(read)?;
    let mode = fs::metadata(path).map_err(read)?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SourceError::CredentialsMode { path: path.into(), mode });
    }
    let path = fs::canonicalize(path).map_err(read)?;
    if path.to_string_lossy().chars().any(|c| c.is_whitespace() || "\"';{}\u{fffd}".contains(c)) {
        return Err(SourceError::CredentialsPath { path });
    }
    Ok(path)
}

/// The keyring of the one key, from the option, from this machine, or from where the edition says.
fn release_key(
    settings: &Settings<'_>,
    url: &str,
    root: &Path,
    cache: &Cache,
    check: Check,
) -> Result<PathBuf, SourceError> {
    let Settings { proxmox, .. } = *settings;
    let scratch = cache.scratch()?;
    let home = |name: &str| scratch.path().join(name);
    // A name of its own for each key: an old one is not taken for another.
    let to = root.join(format!("{}.gpg", proxmox.key));
    if let Some(file) = settings.keyring {
        keyring::export(file, &file.display().to_string(), &proxmox.key, &home("given"), &to)?;
        return Ok(to);
    }
    let host = Path::new(HOST_KEYRING);
    if host.exists() && keyring::export(host, HOST_KEYRING, &proxmox.key, &home("host"), &to).is_ok() {
        return Ok(to);
    }
    let file = home("fetched.gpg");
    let call = Call::new(Tool::AptHelper).args(["-o", "APT::Sandbox::User=root"]);
    let call = patience(call, check).arg("download-file").arg(&proxmox.keyring).arg(&file);
    call.run().map_err(|error| {
        let ToolError::Failed { output, .. } = &error else { return error.into() };
        match silent(output) {
            Some(reason) => SourceError::Unreachable { url: url.to_owned(), reason, source: Box::new(error) },
            None => SourceError::FetchKeyring { url: proxmox.keyring.clone(), source: Box::new(error) },
        }
    })?;
    keyring::export(&file, &proxmox.keyring, &proxmox.key, &home("gpg"), &to)?;
    Ok(to)
}

/// What APT (2.6) says when a host does not answer, or one on the way to it answers with nothing but an error.
fn silent(output: &str) -> Option<String> {
    apt::silence(output).or_else(|| {
        // `  503  Service Unavailable [IP: ...]`; what a repository itself says about access or a path is not among them.
        const ERRORS: [&str; 6] = ["  407  ", "  500  ", "  502  ", "  503  ", "  504  ", "  511  "];
        let line = output.lines().find(|line| ERRORS.iter().any(|error| line.contains(error)))?;
        Some(line.trim_start_matches(['E', 'W', ':', ' ']).trim().to_owned())
    })
}

/// What APT (2.6, 3.0) meant.
fn explain(error: ToolError, entry: &Entry, key: &str) -> SourceError {
    let url = entry.uri.clone();
    let ToolError::Failed { output, .. } = &error else { return error.into() };
    let output = output.clone();
    let source = Box::new(error);
    let says = |words: &[&str]| words.iter().any(|words| output.contains(words));
    if says(&["NO_PUBKEY", "Missing key", "BADSIG", "EXPKEYSIG", "REVKEYSIG", "public key is not available"]) {
        return SourceError::WrongKey { url, key: key.to_owned(), source };
    }
    if says(&["is expired (invalid since", "is not valid yet", "is expired"]) {
        return SourceError::Expired { url, source };
    }
    if says(&["Hash Sum mismatch", "unexpected size"]) {
        return SourceError::IndexMismatch { url, source };
    }
    if says(&["  401  ", "  403  "]) {
        return SourceError::Unauthorised { url, source };
    }
    if let Some(reason) = silent(&output) {
        return SourceError::Unreachable { url, reason, source };
    }
    if says(&["does not have a Release file", "no longer has a Release file", "  404  ", "doesn't have the component"])
    {
        return SourceError::NoSuite { url, suite: entry.suite.clone(), component: entry.component.clone(), source };
    }
    if says(&["is not signed", "NODATA", "NOSPLIT"]) {
        return SourceError::Unsigned { url, source };
    }
    SourceError::Apt { url, source }
}
