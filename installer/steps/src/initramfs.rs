//! Step `initramfs`: the image's generic initramfs, and behind it what is this machine's own.
//!
//! The kernel unpacks one archive after the other, so a small one at the end says what Debian's hooks would have said on this machine
//! (cryptsetup-initramfs, mdadm, lvm2, udev and keymap of Debian 13), within a second instead of a minute. The next
//! `update-initramfs -u` writes the same from the same files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_system::tools::keyboard;

use crate::configure::{in_target, initramfs_crypttab, mdadm_conf};
use crate::context::Context;
use crate::cpio::{self, Archive};
use crate::fail::{OrStep, same};
use crate::files;
use crate::state::{self, State};

/// The kernel looks for the next archive at the next multiple of 4; a whole sector is what boot loaders read anyway.
const ALIGN: u64 = 512;
/// Where `setupcon` puts its files, as the target sees it.
const KEYMAP_FOLDER: &str = "/var/lib/sovereign/keymap";
/// Where console-setup keeps keymaps it has compiled, as the target sees it.
const KEPT_KEYMAPS: &str = "/etc/console-setup";

/// See the module.
pub struct Initramfs;

fn path(context: &Context) -> PathBuf {
    context.on_target(&format!("/boot/initrd.img-{}", context.manifest.kernel))
}

/// Everything of this machine that the initramfs needs: (path, mode, content).
fn own_files(context: &Context) -> Result<Vec<(String, u32, Vec<u8>)>, StepError> {
    let mut own = vec![
        ("cryptroot/crypttab".to_owned(), 0o644, initramfs_crypttab(context)?.into_bytes()),
        ("etc/mdadm/mdadm.conf".to_owned(), 0o644, mdadm_conf(context)?.into_bytes()),
    ];
    let profiles = context.on_target("/etc/lvm/profile");
    for name in names(&profiles)?.iter().filter(|n| n.starts_with("sovereign-")) {
        let content = fs::read(profiles.join(name)).or_step("cannot read an LVM profile of the target")?;
        own.push((format!("etc/lvm/profile/{name}"), 0o644, content));
    }
    if context.plan.site.site.keyboard != keyboard::BUILT_IN {
        own.extend(keymap(context)?);
    }
    Ok(own)
}

/// What the hook `keymap` adds: a small `setupcon` and the compiled keymap it loads.
fn keymap(context: &Context) -> Result<Vec<(String, u32, Vec<u8>)>, StepError> {
    let folder = context.on_target(KEYMAP_FOLDER);
    files::folder(&folder, 0o700)?;
    let layout = &context.plan.site.site.keyboard;
    // The package compiled its own default, which setupcon would take instead where the clock is behind that day.
    for name in names(&context.on_target(KEPT_KEYMAPS))?.iter().filter(|n| n.ends_with(".kmap.gz")) {
        let kept = context.on_target(KEPT_KEYMAPS).join(name);
        fs::remove_file(&kept).or_step(&format!("cannot remove {}", kept.display()))?;
    }
    in_target(
        context,
        &format!("cannot compile the keyboard layout {layout}"),
        &["setupcon", "--setup-dir", KEYMAP_FOLDER],
    )?;
    let mut found = Vec::new();
    for (part, mode) in [("bin", 0o755), ("etc/console-setup", 0o644)] {
        for name in names(&folder.join(part))? {
            let content = fs::read(folder.join(part).join(&name)).or_step("cannot read the compiled keymap")?;
            // /bin is a link in the initramfs; an archive that calls it a folder would replace it.
            let part = if part == "bin" { "usr/bin" } else { part };
            found.push((format!("{part}/{name}"), mode, content));
        }
    }
    fs::remove_dir_all(&folder).or_step(&format!("cannot remove {}", folder.display()))?;
    if found.is_empty() {
        return Err(StepError::new(format!("setupcon made nothing of the keyboard layout {layout}")));
    }
    Ok(found)
}

fn names(folder: &Path) -> Result<Vec<String>, StepError> {
    let entries = fs::read_dir(folder).or_step(&format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Appends `archive` and returns where it starts.
fn append(path: &Path, archive: &[u8]) -> std::io::Result<u64> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let start = file.seek(SeekFrom::End(0))?.next_multiple_of(ALIGN);
    file.set_len(start)?;
    file.seek(SeekFrom::Start(start))?;
    file.write_all(archive)?;
    file.sync_all()?;
    Ok(start)
}

fn read_from(path: &Path, start: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Step<Context, Destructive> for Initramfs {
    fn name(&self) -> &'static str {
        "initramfs"
    }

    fn describe(&self, _: &Context) -> String {
        "tell the initramfs which arrays, which container and which keyboard are this machine's".to_owned()
    }

    fn run(&self, context: &mut Context, _: &Destructive, _: &Report<'_>) -> Result<(), StepError> {
        let mut archive = Archive::new();
        for (name, mode, content) in own_files(context)? {
            archive.file(&name, mode, &content);
        }
        let path = path(context);
        let start = append(&path, &archive.finish()).or_step(&format!("cannot append to {}", path.display()))?;
        context.found.initramfs_own = Some(start);
        state::mark(context, State::Incomplete, self.name())
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let path = path(context);
        let name = path.display().to_string();
        let start =
            context.found.initramfs_own.ok_or_else(|| StepError::new("nothing was appended to the initramfs"))?;
        let bytes = read_from(&path, start).or_step(&format!("cannot read {name}"))?;
        let entries =
            cpio::read(&bytes).ok_or_else(|| StepError::new("the appended archive is damaged").on(name.as_str()))?;
        let crypttab = entries.iter().find(|(n, ..)| n == "cryptroot/crypttab").map(|(_, _, c)| c.clone());
        same("/cryptroot/crypttab in the initramfs", &name, &Some(initramfs_crypttab(context)?.into_bytes()), &crypttab)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_archive_starts_at_a_sector() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), vec![0x28; 1000]).unwrap();
        let mut archive = Archive::new();
        archive.file("cryptroot/crypttab", 0o644, b"x\n");
        let archive = archive.finish();
        assert_eq!(append(file.path(), &archive).unwrap(), 1024);
        assert_eq!(read_from(file.path(), 1024).unwrap(), archive);
        assert_eq!(fs::read(file.path()).unwrap()[1000..1024], [0; 24]);
    }
}
