//! Overlays: literal trees of files as they lie in the project, made into squashfs layers with the owners and modes a system needs.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::cache::{Cache, CacheError, Layer};
use crate::file::{At, FileError};
use crate::hash::{self, Key};
use crate::squash;
use crate::tool::ToolError;

/// Changes whenever this file makes something else of the same inputs.
const RECIPE: &str = "overlay 1";

/// Folders and files whose mode is not the usual 0755, 0755 for programs and 0644 for other files. A folder of an overlay gives its mode
/// to the folder of the layer below, so every such folder an overlay may touch is here.
const MODES: [(&str, u32); 7] = [
    ("root", 0o700),
    ("tmp", 0o1777),
    ("var/tmp", 0o1777),
    ("etc/sudoers.d", 0o750),
    ("etc/ssl/private", 0o710),
    ("etc/sovereign/keys", 0o700),
    ("etc/sovereign/luks-headers", 0o700),
];

/// Why an overlay cannot be made into a layer.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A file cannot be read or written.
    #[error("cannot take over the overlay")]
    File(#[from] FileError),
    /// The overlay is not there.
    #[error("there is no folder {path}: give the project's overlays with --overlays")]
    Missing {
        /// The overlay.
        path: PathBuf,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// squashfs cannot be written.
    #[error("cannot write the layer")]
    Tool(#[from] ToolError),
}

/// A program to be added to an overlay.
pub struct Program<'a> {
    /// Where it is now.
    pub file: &'a Path,
    /// Where it goes, relative to the root.
    pub path: &'a str,
}

/// Makes `overlay` plus `programs` into a squashfs in the cache, `<kind>.squashfs` in the layer's folder.
pub fn layer(
    kind: &str,
    overlay: &Path,
    programs: &[Program<'_>],
    epoch: u64,
    cache: &Cache,
) -> Result<Layer, OverlayError> {
    if !overlay.is_dir() {
        return Err(OverlayError::Missing { path: overlay.into() });
    }
    let mut key = Key::new()
        .with("recipe", RECIPE)
        .with("squashfs", squash::recipe())
        .with("epoch", epoch.to_string())
        .with("tree", hash::tree(overlay).at(overlay)?);
    for program in programs {
        key = key.with(program.path, hash::file(program.file).at(program.file)?.0);
    }
    cache.layer(kind, &key.finish(), |folder| {
        let tree = folder.join("tree");
        fs::create_dir(&tree).at(&tree)?;
        copy_tree(overlay, &tree).at(overlay)?;
        for program in programs {
            let to = tree.join(program.path);
            let copy = || {
                make_folders(&tree, Path::new(program.path).parent().unwrap_or(Path::new("")))?;
                fs::copy(program.file, &to)?;
                fs::set_permissions(&to, Permissions::from_mode(0o755))
            };
            copy().at(program.file)?;
        }
        squash::from_folder(&tree, &folder.join(format!("{kind}.squashfs")), epoch)?;
        Ok(fs::remove_dir_all(&tree).at(&tree)?)
    })
}

/// Makes a folder below `root` and those above it, with their modes.
fn make_folders(root: &Path, relative: &Path) -> io::Result<()> {
    let mut path = PathBuf::new();
    for part in relative.components() {
        path.push(part);
        let folder = root.join(&path);
        if !folder.is_dir() {
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(mode(&path).unwrap_or(0o755)))?;
        }
    }
    Ok(())
}

fn mode(path: &Path) -> Option<u32> {
    MODES.iter().find(|(known, _)| Path::new(known) == path).map(|(_, mode)| *mode)
}

/// Copies the tree `from` into `to`, modes as a system needs them rather than as the umask of whoever checked the project out made them.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    make_folders(Path::new("/"), to)?;
    for relative in hash::walk(from)? {
        let (source, target) = (from.join(&relative), to.join(&relative));
        let metadata = fs::symlink_metadata(&source)?;
        if metadata.is_dir() {
            make_folders(to, &relative)?;
        } else if metadata.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
            let usual = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(&target, Permissions::from_mode(mode(&relative).unwrap_or(usual)))?;
        }
    }
    Ok(())
}

/// Adds a file of this text to a tree; one that is there already is an error.
pub fn add_text(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let relative = Path::new(path);
    make_folders(root, relative.parent().unwrap_or(Path::new("")))?;
    let file = root.join(relative);
    File::create_new(&file)?.write_all(text.as_bytes())?;
    fs::set_permissions(&file, Permissions::from_mode(mode(relative).unwrap_or(0o644)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_a_system_whatever_the_umask_was() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("root")).unwrap();
        fs::write(from.join("root/plain"), "").unwrap();
        fs::write(from.join("program"), "").unwrap();
        symlink("/dev/null", from.join("link")).unwrap();
        for (name, mode) in [("root", 0o777), ("root/plain", 0o600), ("program", 0o700)] {
            fs::set_permissions(from.join(name), Permissions::from_mode(mode)).unwrap();
        }
        copy_tree(&from, &to).unwrap();
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("root"), mode("root/plain"), mode("program")), (0o700, 0o644, 0o755));
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/dev/null"));
    }
}
