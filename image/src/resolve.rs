//! Makes a lock: lets APT resolve an edition's packages in a root of its own, against signed package lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::apt::{self, Apt, Settings};
use crate::edition::Edition;
use crate::guest::Role;
use crate::lock::{GuestPackages, Lock, Package};
use crate::mirror::{MirrorError, Mirrors};
use crate::source::PackageSource;
use crate::tool::{Tool, ToolError};

/// Why no lock could be made.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The private APT root cannot be made or read.
    #[error("cannot prepare APT's folder {path}")]
    Prepare {
        /// What was written or read.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The keys to check signatures with are not there.
    #[error("{path} is missing: run `apt-get install debian-archive-keyring`")]
    Keyring {
        /// The keyring.
        path: PathBuf,
    },
    /// A mirror is missing.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The package lists cannot be fetched because nothing answers.
    #[error("the mirror cannot be reached ({reason})")]
    Unreachable {
        /// What APT said first.
        reason: String,
        /// The whole of it.
        #[source]
        source: ToolError,
    },
    /// APT failed.
    #[error("cannot resolve the packages of the edition")]
    Apt(#[from] ToolError),
    /// No archive has a package of that name.
    #[error(
        "neither the Debian mirror nor the source has: {packages}. Is the source whole and of the edition's release? Give another one, \
         or take the package out of the edition"
    )]
    NoPackage {
        /// The packages.
        packages: String,
    },
    /// A package depends on something that is not there or conflicts with something that is.
    #[error(
        "packages of {layer} cannot be installed together; the source is not whole, of another release than Debian's packages, \
         or one of these packages conflicts with it:\n{details}"
    )]
    Unmet {
        /// Which packages.
        layer: String,
        /// What APT said.
        details: String,
    },
    /// APT's answer cannot be read.
    #[error("APT answered something else than the address of a package: `{line}`")]
    Answer {
        /// The line.
        line: String,
    },
    /// No archive says when it was made.
    #[error("no Release file in {path} has a readable date")]
    Date {
        /// The folder of package lists.
        path: PathBuf,
    },
}

/// Resolves an edition and its guests' roles afresh. `root` is a folder for APT's lists; it is reused, so that a second run fetches only
/// changes. `mirrors` must know the source's archive. Each root file system is resolved for itself; guests have Debian's packages alone.
pub fn resolve(
    edition: &Edition,
    roles: &[Role],
    mirrors: &Mirrors,
    source: Option<&dyn PackageSource>,
    root: &Path,
) -> Result<Lock, ResolveError> {
    if !edition.keyring.exists() {
        return Err(ResolveError::Keyring { path: edition.keyring.clone() });
    }
    let prepare = |(path, source)| ResolveError::Prepare { path, source };
    let settings = Settings {
        architecture: &edition.architecture,
        list: &sources(edition, mirrors)?,
        entry: &source.map(|source| source.entry().deb822()).unwrap_or_default(),
        preferences: &source.map(PackageSource::preferences).unwrap_or_default(),
        credentials: source.and_then(PackageSource::credentials),
    };
    let apt = Apt::prepare(root, &settings).map_err(prepare)?;
    apt.update().run().map_err(unreachable)?;
    let mut required = required(&apt.call(Tool::AptCache).arg("dumpavail").text()?);
    let packages = closure(&apt, "the edition", &required, edition.packages.keys(), mirrors)?;
    let dates = apt.releases().map_err(prepare)?;
    let dates = dates.iter().filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Date: ")));
    let newest = dates.filter_map(parse_date).max().ok_or_else(|| ResolveError::Date { path: apt.lists.clone() })?;
    let lock = Lock::new(&edition.name, edition.main_suite(), newest, packages);
    let Some(guests) = &edition.guests else { return Ok(lock) };

    let apt = if source.is_some() {
        let apt = apt.without_source();
        required = self::required(&apt.call(Tool::AptCache).arg("dumpavail").text()?);
        apt
    } else {
        apt
    };
    let base = closure(&apt, "the guests", &required, guests.packages.keys(), mirrors)?;
    let mut locked = BTreeMap::new();
    for role in roles {
        if role.packages.keys().all(|name| base.iter().any(|package| package.name == *name)) {
            locked.insert(role.name.clone(), Vec::new());
            continue;
        }
        // Everything the base has is asked for too: a role may add to it, not choose otherwise.
        let wanted = base.iter().map(|package| &package.name).chain(role.packages.keys());
        let mut packages = closure(&apt, &format!("the role {}", role.name), &required, wanted, mirrors)?;
        packages.retain(|package| !base.contains(package));
        locked.insert(role.name.clone(), packages);
    }
    Ok(lock.with_guests(GuestPackages { base, roles: locked }))
}

/// These packages, those that are `required` on every Debian system, and all that they depend on.
fn closure<'p>(
    apt: &Apt,
    layer: &str,
    required: &'p BTreeSet<String>,
    packages: impl IntoIterator<Item = &'p String>,
    mirrors: &Mirrors,
) -> Result<Vec<Package>, ResolveError> {
    let mut wanted: BTreeSet<&str> = required.iter().map(String::as_str).collect();
    wanted.insert("apt");
    wanted.extend(packages.into_iter().map(String::as_str));
    let answer = apt
        .call(Tool::AptGet)
        .args(["--quiet", "--yes", "--no-install-recommends", "--print-uris", "install"])
        .args(&wanted)
        .text()
        .map_err(|error| unresolved(error, layer))?;
    answer.lines().filter(|line| line.starts_with('\'')).map(|line| package(line, mirrors)).collect()
}

/// Tells a mirror that does not answer from one that answers something wrong.
fn unreachable(error: ToolError) -> ResolveError {
    let reason = match &error {
        ToolError::Failed { output, .. } => apt::silence(output),
        _ => None,
    };
    match reason {
        Some(reason) => ResolveError::Unreachable { reason, source: error },
        None => error.into(),
    }
}

/// What APT (2.6) could not resolve: a package it does not know, or one whose dependencies it cannot fulfil.
fn unresolved(error: ToolError, layer: &str) -> ResolveError {
    let ToolError::Failed { output, .. } = &error else { return error.into() };
    let unknown = |line: &str| {
        let line = line.strip_prefix("E: ")?;
        let name = line
            .strip_prefix("Unable to locate package ")
            .or_else(|| line.strip_prefix("Package '")?.strip_suffix("' has no installation candidate"))?;
        Some(name.to_owned())
    };
    let missing: Vec<String> = output.lines().filter_map(unknown).collect();
    if !missing.is_empty() {
        return ResolveError::NoPackage { packages: missing.join(", ") };
    }
    let unmet: Vec<&str> = output
        .lines()
        .skip_while(|line| !line.contains("have unmet dependencies"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(str::trim)
        .collect();
    if unmet.is_empty() {
        return error.into();
    }
    ResolveError::Unmet { layer: layer.to_owned(), details: unmet.join("\n") }
}

/// The edition's suites as lines of a sources.list.
pub fn sources(edition: &Edition, mirrors: &Mirrors) -> Result<String, MirrorError> {
    let mut sources = String::new();
    for suite in &edition.suites {
        // Writing to a String cannot fail.
        let _ = writeln!(
            sources,
            "deb [signed-by={}] {} {} {}",
            edition.keyring.display(),
            mirrors.base(&suite.archive)?,
            suite.suite,
            edition.components.join(" ")
        );
    }
    Ok(sources)
}

/// Names of the packages every Debian system has: Essential, or of priority required. Input: `apt-cache dumpavail` (apt 2.6).
fn required(available: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for record in available.split("\n\n") {
        let field = |name: &str| record.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("Priority:") == Some("required") || field("Essential:") == Some("yes") {
            names.extend(field("Package:").map(str::to_owned));
        }
    }
    names
}

/// One line of `apt-get --print-uris install` (apt 2.6): `'URL' bash_5.2.37-2_amd64.deb 1500 SHA256:...`.
fn package(line: &str, mirrors: &Mirrors) -> Result<Package, ResolveError> {
    let parse = || {
        let (url, rest) = line.strip_prefix('\'')?.split_once("' ")?;
        let mut words = rest.split(' ');
        let (file, size, hash) = (words.next()?, words.next()?, words.next()?);
        let (archive, path) = mirrors.split(url)?;
        let mut parts = file.strip_suffix(".deb")?.split('_');
        Some(Package {
            name: parts.next()?.to_owned(),
            version: parts.next()?.replace("%3a", ":"),
            architecture: parts.next()?.to_owned(),
            archive: archive.to_owned(),
            path: path.to_owned(),
            size: size.parse().ok()?,
            sha256: hash.strip_prefix("SHA256:")?.to_owned(),
        })
    };
    parse().ok_or_else(|| ResolveError::Answer { line: line.to_owned() })
}

/// Seconds since 1970 of a date as in Release files: `Sat, 14 Nov 2026 10:22:33 UTC`.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, "UTC" | "GMT" | "+0000"] = words[..] else { return None };
    let day: u64 = day.parse().ok()?;
    let year: u64 = year.parse().ok()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(crate::epoch::days_from_civil(year, month, day)? * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_packages_are_those_of_priority_and_essential() {
        let text = "Package: bash\nEssential: yes\nPriority: required\n\nPackage: vim\nPriority: optional\n\n\
                    Package: mawk\nPriority: required\nDescription: x\n Priority: optional\n";
        assert_eq!(required(text).into_iter().collect::<Vec<_>>(), ["bash", "mawk"]);
    }

    #[test]
    fn an_address_becomes_a_package() {
        let mirrors = Mirrors::discover(&[
            "debian=http://m.test/debian".to_owned(),
            "debian-security=http://m.test/sec".to_owned(),
        ])
        .unwrap();
        let line = "'http://m.test/debian/pool/main/d/dbus/dbus_1.16.2-2_amd64.deb' dbus_1%3a1.16.2-2_amd64.deb 71576 \
                    SHA256:abc";
        let package = package(line, &mirrors).unwrap();
        assert_eq!(package.name, "dbus");
        assert_eq!(package.version, "1:1.16.2-2");
        assert_eq!(package.archive, "debian");
        assert_eq!(package.path, "pool/main/d/dbus/dbus_1.16.2-2_amd64.deb");
        assert_eq!(package.size, 71_576);
        assert_eq!(package.sha256, "abc");
        assert!(super::package("'http://elsewhere.test/a.deb' a_1_all.deb 1 SHA256:0", &mirrors).is_err());
    }

    #[test]
    fn silence_is_not_taken_for_a_wrong_answer_nor_a_wrong_answer_for_silence() {
        let failed = |output: &str| {
            unreachable(ToolError::Failed {
                command: "apt-get update".to_owned(),
                status: "exit status: 100".to_owned(),
                output: output.to_owned(),
            })
        };
        // apt 2.6.1
        let silent = "Err:1 http://m.test/debian trixie InRelease\n  Could not connect to m.test:80 (192.0.2.1). - connect (111: \
                      Connection refused)\nE: Failed to fetch http://m.test/debian/dists/trixie/InRelease  Could not connect\n";
        assert!(matches!(failed(silent), ResolveError::Unreachable { reason, .. }
            if reason.starts_with("Could not connect to m.test:80")));
        for wrong in [
            "E: The repository 'http://m.test/debian trixie InRelease' is not signed.\n",
            "W: GPG error: http://m.test trixie InRelease: NO_PUBKEY 1\nE: Unable to connect to other.test\n",
            "E: Release file for http://m.test is not valid yet (invalid for another 3h).\n",
            "E: Failed to fetch http://m.test/x  404  Not Found\n",
            "E: You don't have enough free space\n",
        ] {
            assert!(matches!(failed(wrong), ResolveError::Apt(_)), "{wrong}");
        }
        let missing = ToolError::Missing { program: "apt-get".to_owned(), package: "apt" };
        assert!(matches!(unreachable(missing), ResolveError::Apt(_)));
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        let failed = |output: &str| {
            let (command, status) = ("apt-get install".to_owned(), "exit status: 100".to_owned());
            unresolved(ToolError::Failed { command, status, output: output.to_owned() }, "the edition")
        };
        // apt 2.6.1
        let error = failed("E: Unable to locate package proxmox-ve\nE: Package 'x' has no installation candidate\n");
        assert!(matches!(error, ResolveError::NoPackage { packages } if packages == "proxmox-ve, x"));
        let error = failed(
            "Some packages could not be installed.\nThe following packages have unmet dependencies:\n proxmox-ve : Depends: \
             pve-manager but it is not installable\nE: Unable to correct problems, you have held broken packages.\n",
        );
        assert!(matches!(error, ResolveError::Unmet { details, .. }
            if details == "proxmox-ve : Depends: pve-manager but it is not installable"));
        assert!(matches!(failed("E: other\n"), ResolveError::Apt(_)));
    }

    #[test]
    fn dates_of_release_files() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_date("Sat, 29 Feb 2020 12:34:56 UTC"), Some(1_582_979_696));
        assert_eq!(parse_date("Sat, 29 Feb 2020 12:34:56 CET"), None);
    }
}
