//! Makes a lock: lets APT resolve an edition's packages in a root of its own, against signed package lists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::edition::Edition;
use crate::lock::{Lock, Package};
use crate::mirror::{MirrorError, Mirrors};
use crate::tool::{Call, Tool, ToolError};

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

/// Resolves an edition afresh. `root` is a folder for APT's lists; it is reused, so that a second run fetches only changes.
pub fn resolve(edition: &Edition, mirrors: &Mirrors, root: &Path) -> Result<Lock, ResolveError> {
    let apt = Apt::prepare(edition, mirrors, root)?;
    apt.call(Tool::AptGet).args(["--quiet", "--error-on=any", "update"]).run().map_err(unreachable)?;
    let mut wanted = required(&apt.call(Tool::AptCache).arg("dumpavail").text()?);
    wanted.insert("apt".to_owned());
    wanted.extend(edition.packages.keys().cloned());
    let answer = apt
        .call(Tool::AptGet)
        .args(["--quiet=2", "--yes", "--no-install-recommends", "--print-uris", "install"])
        .args(&wanted)
        .text()?;
    let packages = answer
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| package(line, mirrors))
        .collect::<Result<_, _>>()?;
    Ok(Lock::new(&edition.name, edition.main_suite(), apt.newest_release()?, packages))
}

/// Tells a mirror that does not answer from one that answers something wrong: only what APT (2.6) says about connections counts, and
/// nothing does beside a complaint about a signature, a date or a hash.
fn unreachable(error: ToolError) -> ResolveError {
    const SILENCE: [&str; 10] = [
        "Could not connect",
        "Could not resolve",
        "Temporary failure resolving",
        "Cannot initiate the connection",
        "Unable to connect",
        "Connection failed",
        "Connection timed out",
        "Connection refused",
        "Network is unreachable",
        "No route to host",
    ];
    const WRONG: [&str; 7] =
        ["GPG error", "not signed", "NO_PUBKEY", "Hash Sum mismatch", "unexpected size", "not valid", "  404  "];
    let ToolError::Failed { output, .. } = &error else { return error.into() };
    if WRONG.iter().any(|words| output.contains(words)) {
        return error.into();
    }
    match output.lines().find(|line| SILENCE.iter().any(|words| line.contains(words))) {
        Some(line) => {
            let reason = line.trim_start_matches(['E', 'W', ':', ' ']).trim().to_owned();
            ResolveError::Unreachable { reason, source: error }
        }
        None => error.into(),
    }
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

/// A private APT root.
struct Apt {
    lists: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    fn prepare(edition: &Edition, mirrors: &Mirrors, root: &Path) -> Result<Self, ResolveError> {
        if !edition.keyring.exists() {
            return Err(ResolveError::Keyring { path: edition.keyring.clone() });
        }
        let sources = sources(edition, mirrors)?;
        let prepare = |path: PathBuf, text: Option<&str>| {
            let done = match text {
                None => fs::create_dir_all(&path),
                Some(text) => fs::write(&path, text),
            };
            done.map(|()| path.clone()).map_err(|source| ResolveError::Prepare { path, source })
        };
        prepare(root.to_owned(), None)?;
        let root = &fs::canonicalize(root).map_err(|source| ResolveError::Prepare { path: root.into(), source })?;
        for folder in ["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "lists/partial", "archives/partial"]
        {
            prepare(root.join(folder), None)?;
        }
        prepare(root.join("status"), Some(""))?;
        prepare(root.join("etc/sources.list"), Some(&sources))?;
        let at = root.display();
        // The host's proxies, credentials and TLS settings (apt.conf.d, auth.conf) stay in force; everything about what is
        // installed or on offer is our own.
        let configuration = format!(
            "Dir::State::status \"{at}/status\";\nDir::State::lists \"{at}/lists\";\nDir::Cache \"{at}\";\n\
             Dir::Cache::archives \"{at}/archives\";\n\
             Dir::Etc::sourcelist \"{at}/etc/sources.list\";\nDir::Etc::sourceparts \"{at}/etc/sources.list.d\";\n\
             Dir::Etc::preferences \"{at}/etc/preferences\";\nDir::Etc::preferencesparts \"{at}/etc/preferences.d\";\n\
             APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::IndexTargets::deb::Contents-deb \"false\";\n\
             Acquire::ForceHash \"SHA256\";\nAPT::Update::Post-Invoke-Success \"\";\n",
            arch = edition.architecture,
        );
        let configuration = prepare(root.join("apt.conf"), Some(&configuration))?;
        Ok(Self { lists: root.join("lists"), configuration })
    }

    fn call(&self, tool: Tool) -> Call {
        Call::new(tool).env("APT_CONFIG", &self.configuration)
    }

    /// Newest `Date:` of the archives' Release files, seconds since 1970.
    fn newest_release(&self) -> Result<u64, ResolveError> {
        let failed = |source| ResolveError::Prepare { path: self.lists.clone(), source };
        let mut newest = None;
        for entry in fs::read_dir(&self.lists).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().ends_with("_InRelease") {
                let text = fs::read_to_string(&path).map_err(failed)?;
                newest = newest.max(text.lines().find_map(|line| line.strip_prefix("Date: ")).and_then(parse_date));
            }
        }
        newest.ok_or_else(|| ResolveError::Date { path: self.lists.clone() })
    }
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
    fn dates_of_release_files() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_date("Sat, 29 Feb 2020 12:34:56 UTC"), Some(1_582_979_696));
        assert_eq!(parse_date("Sat, 29 Feb 2020 12:34:56 CET"), None);
    }
}
