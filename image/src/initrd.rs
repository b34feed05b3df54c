//! The medium's own initrd: busybox, the drivers a medium can hang on, and one script. Small, because virtual media of a BMC is
//! slow and because boot time is won here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use crate::base::Base;
use crate::cache::{Cache, CacheError, Layer};
use crate::cpio::Archive;
use crate::file::{At, FileError};
use crate::hash::Key;
use crate::tool::{Call, LIBRARIES, LOADER, Tool, ToolError};

/// Changes whenever this file makes something else of the same inputs.
const RECIPE: &str = "initrd 1";
const INIT: &str = include_str!("../initrd/init");
const MODULES: &str = include_str!("../initrd/modules");
const BUSYBOX: &str = "usr/bin/busybox";

/// Why there is no initrd.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// A file cannot be read or written.
    #[error("cannot make the initrd")]
    File(#[from] FileError),
    /// A driver the kernel does not have.
    #[error(
        "the kernel {kernel} has no module `{module}`, which image/initrd/modules asks for: correct the name there"
    )]
    Module {
        /// The kernel's release.
        kernel: String,
        /// The module's name.
        module: String,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A program failed.
    #[error("cannot make the initrd")]
    Tool(#[from] ToolError),
}

/// The initrd in the cache: `initrd.img` in the layer's folder. `base_key` stands for the tree it is made from.
pub fn initrd(base: &Base, epoch: u64, cache: &Cache) -> Result<Layer, InitrdError> {
    let key = Key::new()
        .with("recipe", RECIPE)
        .with("base", base.layer.name())
        .with("init", INIT)
        .with("modules", MODULES)
        .with("epoch", epoch.to_string())
        .finish();
    cache.layer("initrd", &key, |folder| {
        let plain = folder.join("initrd");
        fs::write(&plain, archive(base, epoch)?).at(&plain)?;
        // One thread: the bytes must not depend on how many processors the build host has.
        let image = folder.join("initrd.img");
        Call::new(Tool::Zstd)
            .args(["-19", "--single-thread", "--quiet", "--rm", "-o"])
            .arg(&image)
            .arg(&plain)
            .run()?;
        Ok(())
    })
}

fn archive(base: &Base, epoch: u64) -> Result<Vec<u8>, InitrdError> {
    let tree = base.tree();
    let root = Path::new("usr/lib/modules").join(&base.kernel);
    let read = |name: &str| {
        let path = tree.join(&root).join(name);
        fs::read_to_string(&path).at(&path)
    };
    let drivers = Drivers::parse(&read("modules.dep")?, &read("modules.builtin")?);
    let wanted: Vec<&str> = names(MODULES).collect();
    let chosen =
        drivers.closure(&wanted).map_err(|module| InitrdError::Module { kernel: base.kernel.clone(), module })?;

    let mut files: BTreeMap<String, (bool, Vec<u8>)> = BTreeMap::new();
    files.insert("init".to_owned(), (true, INIT.into()));
    let mut take = |from: &Path, to: &str| {
        let data = fs::read(from).at(from)?;
        files.insert(to.to_owned(), (true, data));
        Ok::<_, InitrdError>(())
    };
    take(&tree.join(BUSYBOX), "bin/busybox")?;
    // The path of the loader that every amd64 program names.
    take(&tree.join(LOADER), "lib64/ld-linux-x86-64.so.2")?;
    let needed = Call::inside(&tree).arg("--list").arg(tree.join(BUSYBOX)).text()?;
    for library in libraries(&needed) {
        take(&tree.join(LIBRARIES).join(library), &format!("lib/{library}"))?;
    }
    let to = format!("lib/modules/{}", base.kernel);
    for path in chosen.values() {
        let from = tree.join(&root).join(path);
        // Unpacked: the initrd is compressed as a whole, which is smaller and quicker to load.
        let unpacker = match from.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => Some(Tool::Xz),
            Some("zst") => Some(Tool::Zstd),
            _ => None,
        };
        let data = match unpacker {
            Some(tool) => Call::new(tool).args(["--decompress", "--stdout"]).arg(&from).run()?.stdout,
            None => fs::read(&from).at(&from)?,
        };
        files.insert(format!("{to}/{}", unpacked_name(path)), (false, data));
    }
    files.insert(format!("{to}/modules.dep"), (false, drivers.dependencies(&chosen).into()));
    files.insert(format!("{to}/modules.alias"), (false, aliases(&read("modules.alias")?, &chosen).into()));

    Ok(write(&files, epoch).at("initrd")?)
}

fn write(files: &BTreeMap<String, (bool, Vec<u8>)>, epoch: u64) -> io::Result<Vec<u8>> {
    let mut archive = Archive::new(Vec::new(), epoch);
    let mut folders = BTreeSet::from(["dev".to_owned()]);
    for path in files.keys() {
        let mut above = Path::new(path).parent();
        while let Some(folder) = above.filter(|folder| !folder.as_os_str().is_empty()) {
            folders.insert(folder.to_string_lossy().into_owned());
            above = folder.parent();
        }
    }
    for folder in &folders {
        archive.folder(folder)?;
    }
    // The kernel opens it as standard input and output of init before init can make anything.
    archive.character_device("dev/console", 5, 1)?;
    for (path, (executable, data)) in files {
        archive.file(path, *executable, data)?;
    }
    archive.finish()
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Libraries in the output of `ld.so --list` (glibc 2.41): `libc.so.6 => /tree/usr/lib/... (0x...)`. The loader itself has no arrow.
fn libraries(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.split_once(" => ")).map(|(name, _)| name.trim())
}

/// `kernel/fs/isofs/isofs.ko.xz` is module `isofs`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko").map_or(file, |(name, _)| name).replace('-', "_")
}

fn unpacked_name(path: &str) -> &str {
    path.strip_suffix(".xz").unwrap_or(path)
}

/// The kernel's modules and what they need of each other.
struct Drivers {
    /// By name: path and the paths it depends on, as in modules.dep.
    modules: BTreeMap<String, (String, Vec<String>)>,
    builtin: BTreeSet<String>,
}

impl Drivers {
    fn parse(dependencies: &str, builtin: &str) -> Self {
        let modules = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(path, needs)| {
                (module_name(path), (path.to_owned(), needs.split_whitespace().map(str::to_owned).collect()))
            })
            .collect();
        Self { modules, builtin: builtin.lines().map(module_name).collect() }
    }

    /// The wanted modules and all they depend on: name to path. `Err` is the name of a module that does not exist.
    fn closure(&self, wanted: &[&str]) -> Result<BTreeMap<String, String>, String> {
        let mut chosen = BTreeMap::new();
        let mut open: Vec<String> = wanted.iter().map(|name| name.replace('-', "_")).collect();
        while let Some(name) = open.pop() {
            if self.builtin.contains(&name) || chosen.contains_key(&name) {
                continue;
            }
            let Some((path, needs)) = self.modules.get(&name) else { return Err(name) };
            open.extend(needs.iter().map(|path| module_name(path)));
            chosen.insert(name, path.clone());
        }
        Ok(chosen)
    }

    /// modules.dep of the chosen modules, with the names of unpacked files.
    fn dependencies(&self, chosen: &BTreeMap<String, String>) -> String {
        let mut text = String::new();
        for name in chosen.keys() {
            if let Some((path, needs)) = self.modules.get(name) {
                text.push_str(unpacked_name(path));
                text.push(':');
                for need in needs {
                    text.push(' ');
                    text.push_str(unpacked_name(need));
                }
                text.push('\n');
            }
        }
        text
    }
}

/// The lines of modules.alias that lead to a chosen module.
fn aliases(all: &str, chosen: &BTreeMap<String, String>) -> String {
    let mut text: String = all
        .lines()
        .filter(|line| line.rsplit(' ').next().is_some_and(|module| chosen.contains_key(module)))
        .flat_map(|line| [line, "\n"])
        .collect();
    // A file with no line is taken by busybox for a missing one.
    if text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "kernel/drivers/cdrom/cdrom.ko.xz:\n\
        kernel/drivers/scsi/sr_mod.ko.xz: kernel/drivers/cdrom/cdrom.ko.xz kernel/drivers/scsi/scsi_mod.ko.xz\n\
        kernel/drivers/scsi/scsi_mod.ko.xz: kernel/drivers/scsi/scsi-common.ko.xz\n\
        kernel/drivers/scsi/scsi-common.ko.xz:\nkernel/net/x.ko.xz:\n";

    fn drivers() -> Drivers {
        Drivers::parse(DEPENDENCIES, "kernel/fs/ext4/ext4.ko\n")
    }

    #[test]
    fn what_a_module_needs_comes_along_and_nothing_else() {
        let chosen = drivers().closure(&["sr-mod", "ext4"]).unwrap();
        assert_eq!(chosen.keys().collect::<Vec<_>>(), ["cdrom", "scsi_common", "scsi_mod", "sr_mod"]);
        let text = drivers().dependencies(&chosen);
        assert!(text.contains(
            "kernel/drivers/scsi/sr_mod.ko: kernel/drivers/cdrom/cdrom.ko kernel/drivers/scsi/scsi_mod.ko\n"
        ));
        assert!(!text.contains(".xz"));
    }

    #[test]
    fn a_misspelt_module_is_named() {
        assert_eq!(drivers().closure(&["sr_mod", "sqashfs"]), Err("sqashfs".to_owned()));
    }

    #[test]
    fn aliases_of_other_modules_are_left_out() {
        let chosen = drivers().closure(&["cdrom"]).unwrap();
        let text = aliases("# head\nalias scsi:t-0x05* sr_mod\nalias cdrom-x cdrom\n", &chosen);
        assert_eq!(text, "alias cdrom-x cdrom\n");
    }

    #[test]
    fn libraries_are_read_from_the_loaders_list() {
        let text = "\tlinux-vdso.so.1 (0x0)\n\tlibresolv.so.2 => /t/libresolv.so.2 (0x1)\n\t/lib64/ld-linux-x86-64.so.2 (0x2)\n";
        assert_eq!(libraries(text).collect::<Vec<_>>(), ["libresolv.so.2"]);
    }

    #[test]
    fn the_list_of_modules_has_each_name_once() {
        let all: Vec<&str> = names(MODULES).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
