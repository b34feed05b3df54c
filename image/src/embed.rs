//! `sovereign-image embed`: puts a site file on a copy of a medium.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use sovereign_model::medium::{EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH, embedded_site_sum};
use sovereign_model::site::{error::SiteErrors, parse};
use tempfile::NamedTempFile;

use crate::file::{self, At, FileError};
use crate::iso::{self, IsoError};
use crate::progress::Progress;
use crate::tool::{Call, Tool, ToolError};
use crate::verify::{self, VerifyError};

/// A site file is a few kilobytes of text; more than this is something else.
const LARGEST_SITE: u64 = 1 << 20;

/// A copy that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    /// It carries the hash of root's password, and is readable by its owner alone.
    pub password_hash: bool,
}

impl Embedded {
    /// What whoever hands on the copy at `output` must know.
    pub fn warning(self, output: &Path) -> Option<String> {
        self.password_hash.then(|| {
            format!(
                "warning: {} carries the hash of root's password (admin.root_password_hash): whoever can read the \
                 image, or a stick made from it, can try passwords against it. The file has mode 0600; with \
                 admin.ssh_keys alone nothing needs to be kept back",
                output.display()
            )
        })
    }
}

/// Why no copy was made.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A file cannot be read or written.
    #[error("cannot write the copy")]
    File(#[from] FileError),
    /// The site file cannot be read.
    #[error("cannot read the site file {path}")]
    Site {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A device, folder or pipe, which may have no end.
    #[error("{path} is not a file: give a site file to --site")]
    SiteKind {
        /// What it is called.
        path: PathBuf,
    },
    /// There is no folder for the copy.
    #[error("there is no folder {path}: make it, or give another file to --output")]
    NoFolder {
        /// The folder.
        path: PathBuf,
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
    Invalid(SiteErrors),
    /// The image or the site file would be written over.
    #[error("{path} is the {what} itself: give another file to --output")]
    SameFile {
        /// The file.
        path: PathBuf,
        /// Which of the two.
        what: &'static str,
    },
    /// A device, folder or pipe would be written over.
    #[error("{path} is not a file: give a file to --output, and bring it to a stick with `sovereign-image write`")]
    NotFile {
        /// What it is called.
        path: PathBuf,
    },
    /// The image, or the copy, is not whole.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// xorriso failed.
    #[error("cannot write the copy")]
    Tool(#[from] ToolError),
    /// The copy cannot be sealed.
    #[error("cannot write the copy")]
    Seal(#[from] IsoError),
}

/// Writes a copy of `image` with `site` on it to `output`. Any file that is no valid site file is refused, and with
/// that every key file. The copy gets its name when it is whole; until then an earlier one stays.
pub fn embed(image: &Path, site: &Path, output: &Path, progress: &Progress) -> Result<Embedded, EmbedError> {
    let (text, embedded) = check_site(site)?;
    check_output(output, [("image", image), ("site file", site)])?;
    // A seal made of a damaged image would say that the damage is meant.
    verify::verify(image, progress)?;
    let partial = partial(output, embedded)?;
    copy(image, &text, partial.path())?;
    verify::verify(partial.path(), progress)?;
    partial.persist(output).map_err(|error| error.error).at(output)?;
    Ok(embedded)
}

/// An empty file beside `output` that nobody else has; it goes where it does not become the output.
fn partial(output: &Path, embedded: Embedded) -> Result<NamedTempFile, EmbedError> {
    let folder = folder(output);
    let mut prefix = OsString::from(".");
    prefix.push(output.file_name().unwrap_or_default());
    prefix.push(".");
    // Else as any new file: what the umask leaves.
    let permissions = fs::Permissions::from_mode(if embedded.password_hash { 0o600 } else { 0o666 });
    Ok(tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".partial")
        .permissions(permissions)
        .tempfile_in(folder)
        .at(folder)?)
}

/// The folder a file is in.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The output may be a file that is replaced, but no device and, by whatever name, none of the `sources`.
fn check_output(output: &Path, sources: [(&'static str, &Path); 2]) -> Result<(), EmbedError> {
    let there = match fs::metadata(output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder(output).is_dir() => return Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(EmbedError::NoFolder { path: folder(output).into() });
        }
        Err(error) => return Ok(Err(error).at(output)?),
        Ok(there) if !there.is_file() => return Err(EmbedError::NotFile { path: output.into() }),
        Ok(there) => there,
    };
    for (what, path) in sources {
        let source = fs::metadata(path).at(path)?;
        if (source.dev(), source.ino()) == (there.dev(), there.ino()) {
            return Err(EmbedError::SameFile { path: output.into(), what });
        }
    }
    Ok(())
}

/// Writes the copy and seals it.
fn copy(image: &Path, text: &str, partial: &Path) -> Result<(), EmbedError> {
    let folder = tempfile::tempdir().at(Path::new("a temporary folder"))?;
    let (site, sum) = (folder.path().join("site.toml"), folder.path().join("sum"));
    fs::write(&site, text).at(&site)?;
    fs::write(&sum, embedded_site_sum(text.as_bytes())).at(&sum)?;
    let (site_to, sum_to) = (format!("/{EMBEDDED_SITE_PATH}"), format!("/{EMBEDDED_SITE_SUM_PATH}"));
    Call::new(Tool::Xorriso)
        .arg("-indev")
        .arg(image)
        .arg("-outdev")
        .arg(partial)
        // Keeps boot record, hybrid MBR, GPT and the appended EFI system partition.
        .args(["-boot_image", "any", "replay", "-padding", "0"])
        // Earlier ones are replaced.
        .args(["-overwrite", "on", "-map"])
        .arg(&site)
        .args([&site_to, "-map"])
        .arg(&sum)
        .arg(&sum_to)
        .args(["-chown", "0", &site_to, &sum_to, "--", "-chgrp", "0", &site_to, &sum_to, "--"])
        // The installer reads them as root; on a mounted medium nobody else has to.
        .args(["-chmod", "0400", &site_to, &sum_to, "--"])
        .run()?;
    trim(partial).at(partial)?;
    Ok(iso::seal(partial)?)
}

/// Ends the copy where its GPT does: xorriso fills up what it writes from an image to blocks of 64 KiB, and firmware
/// looks for the backup of the GPT at the very end.
fn trim(image: &Path) -> io::Result<()> {
    const BLOCK_BYTES: u64 = 512;
    let table = gpt::GptConfig::new().open(image).map_err(io::Error::other)?;
    let header = table.primary_header().map_err(io::Error::other)?;
    let end = header.backup_lba.saturating_add(1).saturating_mul(BLOCK_BYTES);
    let file = fs::File::options().write(true).open(image)?;
    if file.metadata()?.len() > end { file.set_len(end) } else { Ok(()) }
}

/// The text of a site file that may be embedded, and what that means for the copy.
fn check_site(path: &Path) -> Result<(String, Embedded), EmbedError> {
    let not_text = || EmbedError::NotText { path: path.into() };
    let unreadable = |source| EmbedError::Site { path: path.into(), source };
    let file = file::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(EmbedError::SiteKind { path: path.into() });
    }
    let mut content = Vec::new();
    file.take(LARGEST_SITE + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > LARGEST_SITE {
        return Err(not_text());
    }
    let text = String::from_utf8(content).map_err(|_| not_text())?;
    // Comments pass the parser; a key pasted there is on the medium all the same.
    for marker in ["PRIVATE KEY-----", "AGE-SECRET-KEY-"] {
        if text.contains(marker) {
            return Err(EmbedError::Secret { path: path.into(), marker });
        }
    }
    let site = parse::parse(&text, &path.display().to_string()).map_err(EmbedError::Invalid)?;
    Ok((text, Embedded { password_hash: site.admin.root_password_hash.is_some() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn check(content: &[u8]) -> EmbedError {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        check_site(file.path()).unwrap_err()
    }

    #[test]
    fn key_files_are_refused() {
        assert!(matches!(check(&[0xff; 64]), EmbedError::NotText { .. }));
        assert!(matches!(check(&vec![b'a'; 2 << 20]), EmbedError::NotText { .. }));
        assert!(matches!(check(b"correct horse battery staple\n"), EmbedError::Invalid(_)));
        let pasted = b"# -----BEGIN OPENSSH PRIVATE KEY-----\n";
        assert!(matches!(check(pasted), EmbedError::Secret { marker: "PRIVATE KEY-----", .. }));
    }

    #[test]
    fn errors_of_the_site_file_name_the_line() {
        let error = check(b"[site]\nnmae = \"x\"\n").to_string();
        assert!(error.contains("nmae"), "{error}");
    }

    /// An image and a site file.
    fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let image = fixture::image(dir.path());
        let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sites/reference.toml");
        (dir, image, site)
    }

    /// Names in a folder, sorted.
    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_copy_with_a_site_file_is_whole_and_can_be_made_again_from_itself() {
        let (dir, image, site) = prepared();
        let (copy, second) = (dir.path().join("copy.iso"), dir.path().join("second.iso"));
        let progress = Progress::default();
        fs::write(&copy, "an earlier copy").unwrap();
        let somebodys = dir.path().join("copy.iso.partial");
        fs::write(&somebodys, "somebody's").unwrap();
        embed(&image, &site, &copy, &progress).unwrap();
        assert!(verify::verify(&copy, &progress).unwrap().site);
        embed(&copy, &site, &second, &progress).unwrap();
        assert!(verify::verify(&second, &progress).unwrap().site);
        assert_eq!(fs::read(&somebodys).unwrap(), b"somebody's");
        assert_eq!(files(dir.path()), ["copy.iso", "copy.iso.partial", "second.iso", "x.iso"]);

        // The manifest does not know the site file; its hash does.
        let (iso, _) = crate::inspect::open(&copy).unwrap();
        let at = iso.find(EMBEDDED_SITE_PATH).unwrap().offset + 10;
        fixture::flip(&copy, at);
        let said = verify::verify(&copy, &progress).unwrap_err().to_string();
        assert!(said.contains("sovereign/site.toml is damaged or was altered") && said.contains("again"), "{said}");
    }

    #[test]
    fn a_password_hash_is_warned_of_and_nothing_with_it_is_open_to_everybody() {
        let (dir, image, site) = prepared();
        let (copy, own) = (dir.path().join("copy.iso"), dir.path().join("site.toml"));
        fs::write(&copy, "an earlier copy").unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
        let text = fs::read_to_string(&site).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

        let embedded = embed(&image, &site, &copy, &Progress::default()).unwrap();
        let warning = embedded.warning(&copy).unwrap();
        assert!(warning.starts_with("warning: ") && warning.contains("copy.iso carries the hash of root's password"));
        assert!(!warning.contains("$y$"), "{warning}");
        assert_eq!(mode(&copy), 0o600);
        for file in [EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH] {
            let mut call = Call::new(Tool::Xorriso).arg("-indev").arg(&copy);
            call = call.args(["-lsl", &format!("/{file}")]);
            let listed = call.text().unwrap();
            assert!(listed.starts_with("-r--------"), "{listed}");
        }

        let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("root_password_hash")).collect();
        assert!(without.len() < text.lines().count());
        fs::write(&own, without.join("\n")).unwrap();
        let embedded = embed(&image, &own, &copy, &Progress::default()).unwrap();
        assert_eq!(embedded.warning(&copy), None);
        // What the umask leaves, as for any file that is made here.
        assert_eq!(mode(&copy), mode(&own));
    }

    #[test]
    fn a_failure_leaves_an_earlier_copy_and_nothing_else() {
        let (dir, image, site) = prepared();
        let copy = dir.path().join("copy.iso");
        fs::write(&copy, "an earlier copy").unwrap();
        fixture::flip(&image, 7_000_000);
        let error = embed(&image, &site, &copy, &Progress::default()).unwrap_err();
        assert!(matches!(error, EmbedError::Verify(_)), "{error}");
        assert_eq!(fs::read(&copy).unwrap(), b"an earlier copy");
        assert_eq!(files(dir.path()), ["copy.iso", "x.iso"]);
    }

    #[test]
    fn devices_folders_the_image_and_the_site_file_are_no_output() {
        let (dir, image, site) = prepared();
        for output in [Path::new("/dev/null"), dir.path()] {
            let error = embed(&image, &site, output, &Progress::default()).unwrap_err();
            assert!(matches!(error, EmbedError::NotFile { .. }), "{error}");
            assert!(error.to_string().contains("sovereign-image write"), "{error}");
            assert_eq!(crate::error::Error::from(error).exit_code(), sovereign_model::exit::ExitCode::BadInput);
        }
        assert!(fs::metadata("/dev/null").is_ok_and(|there| !there.is_file()));
        let own = dir.path().join("site.toml");
        fs::copy(&site, &own).unwrap();
        let (link, name) = (dir.path().join("link"), dir.path().join("name"));
        for (file, what) in [(&image, "is the image itself"), (&own, "is the site file itself")] {
            std::os::unix::fs::symlink(file, &link).unwrap();
            fs::hard_link(file, &name).unwrap();
            for output in [file, &link, &name] {
                let error = embed(&image, &own, output, &Progress::default()).unwrap_err();
                assert!(matches!(error, EmbedError::SameFile { .. }), "{error}");
                assert!(error.to_string().contains(what), "{error}");
            }
            fs::remove_file(&link).unwrap();
            fs::remove_file(&name).unwrap();
        }
        assert_eq!(fs::read(&own).unwrap(), fs::read(&site).unwrap());
    }
}
