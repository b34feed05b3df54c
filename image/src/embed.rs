//! `sovereign-image embed`: puts a site file on a copy of a medium.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sovereign_model::medium::EMBEDDED_SITE_PATH;
use sovereign_model::site::{error::SiteErrors, parse};

use crate::boot;
use crate::inspect::{self, InspectError};
use crate::iso9660::IsoReadError;
use crate::tool::{Call, Tool, ToolError};

/// A site file is a few kilobytes of text; more than this is something else.
const LARGEST_SITE: u64 = 1 << 20;

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A file cannot be read or written.
    #[error("cannot read or write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not text.
    #[error(
        "{path} is not a site file: it is larger than 1 MiB or not text. A medium never carries key files: put those on the answer medium"
    )]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// It holds a secret.
    #[error(
        "{path} holds a secret key (`{marker}`); a medium never carries secrets: put the key file on the answer medium and name \
         it in the site file"
    )]
    Secret {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        marker: &'static str,
    },
    /// It has errors.
    #[error("{0}")]
    Site(SiteErrors),
    /// The image would be written over.
    #[error("{path} is the image itself: give another file to --output")]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// The image is none of ours.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// xorriso failed.
    #[error("cannot write the copy")]
    Tool(#[from] ToolError),
    /// The copy would not boot.
    #[error("the copy {path} would not boot and was removed:\n  {}", .problems.join("\n  "))]
    NotBootable {
        /// The copy.
        path: PathBuf,
        /// What is wrong with it.
        problems: Vec<String>,
    },
}

impl From<IsoReadError> for EmbedError {
    fn from(error: IsoReadError) -> Self {
        Self::Inspect(error.into())
    }
}

/// Writes a copy of `image` with `site` on it to `output`. Any file that is no valid site file is refused, and with that every key file.
pub fn embed(image: &Path, site: &Path, output: &Path) -> Result<(), EmbedError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| EmbedError::File { path, source }
    };
    check_site(site)?;
    inspect::open(image)?;
    if output.exists() {
        let same = fs::canonicalize(output).and_then(|output| Ok(output == fs::canonicalize(image)?));
        if same.map_err(file(output))? {
            return Err(EmbedError::SameFile { path: output.into() });
        }
        fs::remove_file(output).map_err(file(output))?;
    }
    Call::new(Tool::Xorriso)
        .arg("-indev")
        .arg(image)
        .arg("-outdev")
        .arg(output)
        // Keeps boot record, hybrid MBR, GPT and the appended EFI system partition.
        .args(["-boot_image", "any", "replay", "-padding", "0"])
        // An earlier one is replaced.
        .args(["-overwrite", "on", "-map"])
        .arg(site)
        .arg(format!("/{EMBEDDED_SITE_PATH}"))
        .args(["-chmod", "0444", &format!("/{EMBEDDED_SITE_PATH}"), "--"])
        .run()?;
    let (iso, _) = inspect::open(output)?;
    let problems = boot::examine(output, &iso)?.problems;
    if problems.is_empty() {
        return Ok(());
    }
    drop(iso);
    fs::remove_file(output).map_err(file(output))?;
    Err(EmbedError::NotBootable { path: output.into(), problems })
}

fn check_site(path: &Path) -> Result<(), EmbedError> {
    let file = |source| EmbedError::File { path: path.into(), source };
    let not_text = || EmbedError::NotText { path: path.into() };
    if fs::metadata(path).map_err(file)?.len() > LARGEST_SITE {
        return Err(not_text());
    }
    let text = String::from_utf8(fs::read(path).map_err(file)?).map_err(|_| not_text())?;
    // Comments pass the parser; a key pasted there is on the medium all the same.
    for marker in ["PRIVATE KEY-----", "AGE-SECRET-KEY-"] {
        if text.contains(marker) {
            return Err(EmbedError::Secret { path: path.into(), marker });
        }
    }
    parse::parse(&text, &path.display().to_string()).map(drop).map_err(EmbedError::Site)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8]) -> EmbedError {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        check_site(file.path()).unwrap_err()
    }

    #[test]
    fn key_files_are_refused() {
        assert!(matches!(check(&[0xff; 64]), EmbedError::NotText { .. }));
        assert!(matches!(check(&vec![b'a'; 2 << 20]), EmbedError::NotText { .. }));
        assert!(matches!(check(b"correct horse battery staple\n"), EmbedError::Site(_)));
        let pasted = b"# -----BEGIN OPENSSH PRIVATE KEY-----\n";
        assert!(matches!(check(pasted), EmbedError::Secret { marker: "PRIVATE KEY-----", .. }));
    }

    #[test]
    fn errors_of_the_site_file_name_the_line() {
        let error = check(b"[site]\nnmae = \"x\"\n").to_string();
        assert!(error.contains("nmae"), "{error}");
    }
}
