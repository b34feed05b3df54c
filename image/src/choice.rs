//! Which edition is built, and where its packages beyond Debian's come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cache::Cache;
use crate::edition::Edition;
use crate::error::Error;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::source::{self, Check, PackageSource, SourceError, SourceOptions};

/// Folder of the editions, relative to where the program is started.
const EDITIONS: &str = "image/editions";
/// The edition that is hoped for.
const PREFERRED: &str = "proxmox";
/// The edition that needs Debian's packages alone.
const FALLBACK: &str = "rehearsal";

/// The edition that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The one whose packages can be had.
    Auto,
    /// The one in this file.
    File(PathBuf),
}

impl FromStr for Wanted {
    type Err = std::convert::Infallible;

    /// `auto`, a name without dot and slash, or a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            name if !name.contains(['/', '.']) => Self::File(named(name)),
            path => Self::File(path.into()),
        })
    }
}

/// The file of an edition of the project.
fn named(name: &str) -> PathBuf {
    Path::new(EDITIONS).join(format!("{name}.toml"))
}

/// Why `auto` came to another edition than the one that is hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The source that was tried.
    tried: String,
    /// Why it could not be used.
    reason: String,
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, reason } = self;
        write!(
            f,
            "no source of Proxmox VE was given, and {tried} does not answer ({reason}).\nFor the {PREFERRED} edition build where it \
             answers, or give --proxmox-url (a mirror), --proxmox-iso (an official ISO) or --proxmox-debs (a folder of packages)"
        )
    }
}

/// What is built.
#[derive(Debug)]
pub struct Selected {
    /// The edition.
    pub edition: Edition,
    /// Its file.
    pub path: PathBuf,
    /// Its source, if it has one; or that it does not answer, where an earlier lock may do without it.
    pub source: Result<Option<Box<dyn PackageSource>>, SourceError>,
    /// Why it is not another edition.
    pub fallback: Option<Fallback>,
}

/// Chooses edition and source. With a lock file packages are known by their hashes: `auto` is then the lock's edition, and a repository
/// is not looked at. A source that gives a wrong answer stops the choice, and so does one that was given and does not answer, but for a
/// repository, which an earlier lock may do without.
pub fn select(
    wanted: &Wanted,
    options: &SourceOptions,
    lock: Option<&Lock>,
    cache: &Cache,
    progress: &Progress,
) -> Result<Selected, Error> {
    let request = options.request()?;
    let automatic = *wanted == Wanted::Auto && lock.is_none() && request.is_none();
    let path = match (wanted, lock) {
        (Wanted::File(path), _) => path.clone(),
        (Wanted::Auto, Some(lock)) => named(&lock.edition),
        (Wanted::Auto, None) => named(PREFERRED),
    };
    let edition = Edition::read(&path)?;
    let check = match (lock, automatic) {
        (Some(_), _) => Check::Locked,
        (None, true) => Check::Probe,
        (None, false) => Check::Whole,
    };
    let request = match (request, &edition.proxmox) {
        (None, None) => return Ok(Selected { edition, path, source: Ok(None), fallback: None }),
        (request, _) => request.unwrap_or_default(),
    };
    match source::open(&request, &edition, cache, check, progress) {
        Ok(source) => Ok(Selected { edition, path, source: Ok(Some(source)), fallback: None }),
        Err(error) => match (error.silence(), automatic) {
            (Some(reason), true) => {
                let fallback = Fallback { tried: tried(&error).to_owned(), reason: reason.to_owned() };
                let path = named(FALLBACK);
                Ok(Selected { edition: Edition::read(&path)?, path, source: Ok(None), fallback: Some(fallback) })
            }
            (Some(_), false) => Ok(Selected { edition, path, source: Err(error), fallback: None }),
            (None, _) => Err(error.into()),
        },
    }
}

/// What a message calls the source that did not answer.
fn tried(error: &SourceError) -> &str {
    match error {
        SourceError::Unreachable { url, .. } => url,
        _ => "its repository",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_of_the_project_and_a_path_is_itself() {
        let parse = |text: &str| text.parse::<Wanted>().unwrap();
        assert_eq!(parse("auto"), Wanted::Auto);
        assert_eq!(parse("rehearsal"), Wanted::File("image/editions/rehearsal.toml".into()));
        assert_eq!(parse("other/x.toml"), Wanted::File("other/x.toml".into()));
        assert_eq!(parse("x.toml"), Wanted::File("x.toml".into()));
    }
}
