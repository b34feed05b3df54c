//! APT in a root of its own: own sources, own lists, own preferences; the proxies, credentials and TLS settings of the host stay in force.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::mirror::credentials_options;
use crate::tool::{Call, Tool};

/// What a private root is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings<'a> {
    /// Debian's name of the processor architecture.
    pub architecture: &'a str,
    /// A sources.list.
    pub list: &'a str,
    /// A source in deb822 format; it comes after those of the list, so that of two equal packages the list's is taken.
    pub entry: &'a str,
    /// A file of APT preferences.
    pub preferences: &'a str,
    /// A file of credentials (auth.conf format) instead of the host's.
    pub credentials: Option<&'a Path>,
}

/// A private APT root.
#[derive(Debug)]
pub struct Apt {
    /// Where the package lists are.
    pub lists: PathBuf,
    configuration: PathBuf,
    options: Vec<String>,
}

impl Apt {
    /// Makes the root in a folder, or makes it anew where it is; lists that are there stay, so that a second run fetches only changes.
    /// An error names the path.
    pub fn prepare(root: &Path, settings: &Settings<'_>) -> Result<Self, (PathBuf, io::Error)> {
        let prepare = |path: PathBuf, text: Option<&str>| {
            let done = match text {
                None => fs::create_dir_all(&path),
                Some(text) => fs::write(&path, text),
            };
            done.map(|()| path.clone()).map_err(|source| (path, source))
        };
        prepare(root.to_owned(), None)?;
        let root = &fs::canonicalize(root).map_err(|source| (root.to_owned(), source))?;
        for folder in ["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "lists/partial", "archives/partial"]
        {
            prepare(root.join(folder), None)?;
        }
        prepare(root.join("status"), Some(""))?;
        prepare(root.join("etc/sources.list"), Some(settings.list))?;
        prepare(root.join("etc/sources.list.d/source.sources"), Some(settings.entry))?;
        prepare(root.join("etc/preferences"), Some(settings.preferences))?;
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
            arch = settings.architecture,
        );
        let configuration = prepare(root.join("apt.conf"), Some(&configuration))?;
        Ok(Self { lists: root.join("lists"), configuration, options: credentials_options(settings.credentials) })
    }

    /// A call in this root.
    pub fn call(&self, tool: Tool) -> Call {
        Call::new(tool).env("APT_CONFIG", &self.configuration).args(&self.options)
    }

    /// The same lists without the source beside Debian's archives: what is resolved for machines that have Debian's packages alone.
    pub fn without_source(mut self) -> Self {
        self.options.extend(
            ["-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::Etc::preferences=/dev/null"].map(str::to_owned),
        );
        self
    }

    /// Fetches the package lists; anything but complete success is an error.
    pub fn update(&self) -> Call {
        self.call(Tool::AptGet).args(["--quiet", "--error-on=any", "update"])
    }

    /// The signed Release files among the lists.
    pub fn releases(&self) -> Result<Vec<String>, (PathBuf, io::Error)> {
        let failed = |source| (self.lists.clone(), source);
        let mut texts = Vec::new();
        for entry in fs::read_dir(&self.lists).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().ends_with("_InRelease") {
                texts.push(fs::read_to_string(&path).map_err(failed)?);
            }
        }
        Ok(texts)
    }
}

/// What APT (2.6) says when nothing answers. Only that counts as silence, and nothing does beside a complaint about a signature, a date
/// or a hash.
pub fn silence(output: &str) -> Option<String> {
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
    if WRONG.iter().any(|words| output.contains(words)) {
        return None;
    }
    let line = output.lines().find(|line| SILENCE.iter().any(|words| line.contains(words)))?;
    Some(line.trim_start_matches(['E', 'W', ':', ' ']).trim().to_owned())
}
