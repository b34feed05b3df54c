//! `sovereign-image inspect --sizes`: what each part of a medium takes, and whether anything is on it twice.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use sovereign_model::Bytes;
use sovereign_model::medium::{
    BASE_PATH, EMBEDDED_SITE_PATH, GUEST_PATH, KERNEL_PATH, LIVE_PATH, MANIFEST_PATH, TARGET_PATH, WORKLOADS_PATH,
};

use crate::boot;
use crate::error::Error;
use crate::file::At;
use crate::hash;
use crate::inspect;
use crate::iso::SBOM_PATH;
use crate::iso9660::Iso;
use crate::squash;

/// Files smaller than this are not worth a look.
const SMALL_BYTES: u64 = 64 * 1024;

/// One part of a medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// What it takes on the medium.
    pub bytes: Bytes,
}

/// What a medium is made of.
#[derive(Debug, Serialize)]
pub struct Sizes {
    /// Length of the image; the sum of the parts.
    pub total: Bytes,
    /// The parts.
    pub parts: Vec<Part>,
    /// Files larger than 64 KiB that are on it more than once, by all their names.
    pub twice: Vec<Vec<String>>,
    /// What the kernel takes inside the packages' file system, if the one there is the one GRUB reads.
    pub kernel_in_base: Option<Bytes>,
}

/// Which part a file belongs to.
fn part(path: &str) -> String {
    let role = path.strip_prefix("sovereign/guest-").and_then(|rest| rest.strip_suffix(".squashfs"));
    if let Some(role) = role {
        return format!("guest-{role}.squashfs (what the role adds)");
    }
    let name = match path {
        KERNEL_PATH => "kernel",
        "boot/initrd.img" => "initrd",
        BASE_PATH => "base.squashfs (packages)",
        GUEST_PATH => "guest.squashfs (packages and configuration of every guest)",
        WORKLOADS_PATH => "workloads.squashfs (container images)",
        TARGET_PATH => "target.squashfs (installer, configuration)",
        LIVE_PATH => "live.squashfs",
        MANIFEST_PATH => "manifest",
        SBOM_PATH => "SBOM",
        EMBEDDED_SITE_PATH => "site file",
        path if path.starts_with("boot/grub/") => "GRUB for BIOS, menu",
        _ => "other files",
    };
    name.to_owned()
}

/// Measures a medium.
pub fn sizes(path: &Path) -> Result<Sizes, Error> {
    let (iso, manifest) = inspect::open(path)?;
    let esp = boot::examine(path, &iso).map_err(inspect::InspectError::from)?.esp();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut pieces: Vec<(String, Range<u64>)> = Vec::new();
    for entry in &iso.entries {
        *sums.entry(part(&entry.path)).or_default() += entry.size;
        pieces.push((entry.path.clone(), entry.offset..entry.offset + entry.size));
    }
    if let Some(esp) = esp {
        sums.insert("EFI system partition".to_owned(), esp.end - esp.start);
        pieces.push(("the EFI system partition".to_owned(), esp));
    }
    let counted: u64 = sums.values().sum();
    sums.insert("folders, padding, partition tables".to_owned(), iso.file_bytes.saturating_sub(counted));
    let mut parts: Vec<Part> = sums.into_iter().map(|(name, bytes)| Part { name, bytes: Bytes(bytes) }).collect();
    parts.sort_by_key(|part| Reverse(part.bytes));
    Ok(Sizes {
        total: Bytes(iso.file_bytes),
        parts,
        twice: twice(&iso, &pieces)?,
        kernel_in_base: kernel_in_base(path, &iso, &manifest.kernel)?,
    })
}

/// Names of pieces with the same content; one place that has two names is there once.
fn twice(iso: &Iso, pieces: &[(String, Range<u64>)]) -> Result<Vec<Vec<String>>, Error> {
    let mut found: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    for (name, range) in pieces.iter().filter(|(_, range)| range.end - range.start > SMALL_BYTES) {
        let sha256 = iso.hash(std::slice::from_ref(range)).map_err(inspect::InspectError::from)?;
        found.entry(sha256).or_default().insert(range.start, name.clone());
    }
    Ok(found.into_values().filter(|places| places.len() > 1).map(|places| places.into_values().collect()).collect())
}

/// What the kernel takes in the packages' file system, compressed as everything there is.
fn kernel_in_base(path: &Path, iso: &Iso, release: &str) -> Result<Option<Bytes>, Error> {
    let (Some(base), Some(kernel)) = (iso.find(BASE_PATH), iso.find(KERNEL_PATH)) else { return Ok(None) };
    let scratch = tempfile::tempdir().at(std::env::temp_dir())?;
    let file = scratch.path().join("vmlinuz");
    // An error is a base layer without that kernel.
    let content = squash::content(path, base.offset, &format!("boot/vmlinuz-{release}"));
    let Ok(content) = content else { return Ok(None) };
    let known = kernel.offset..kernel.offset + kernel.size;
    let known = iso.hash(std::slice::from_ref(&known)).map_err(inspect::InspectError::from)?;
    if hash::bytes(&content) != known {
        return Ok(None);
    }
    let tree = scratch.path().join("tree");
    let empty = scratch.path().join("empty");
    for folder in [&tree, &empty] {
        fs::create_dir(folder).at(folder)?;
    }
    fs::write(tree.join("vmlinuz"), content).at(&file)?;
    let mut lengths = [0; 2];
    for (folder, length) in [&tree, &empty].into_iter().zip(&mut lengths) {
        let image = folder.with_extension("squashfs");
        squash::bare(folder, &image)?;
        *length = File::open(&image).and_then(|file| file.metadata()).at(&image)?.len();
    }
    Ok(Some(Bytes(lengths[0].saturating_sub(lengths[1]))))
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        // In tenths of a per cent; rounded, so that they may not add up to 1000.
        let share = |bytes: u64| {
            let tenths = (u128::from(bytes) * 1000 + u128::from(self.total.0) / 2) / u128::from(self.total.0.max(1));
            format!("{}.{}", tenths / 10, tenths % 10)
        };
        for part in &self.parts {
            writeln!(text, "{:>13}  {:>5} %  {}", part.bytes.exact(), share(part.bytes.0), part.name)?;
        }
        writeln!(text, "{:>13}  100.0 %  the image", self.total.exact())?;
        if self.twice.is_empty() {
            writeln!(text, "\nno file larger than 64 KiB is on it twice")?;
        }
        for names in &self.twice {
            writeln!(text, "\non it more than once: {}", names.join(", "))?;
        }
        if let Some(bytes) = self.kernel_in_base {
            writeln!(
                text,
                "the kernel is also inside base.squashfs, where it takes {} bytes ({} %): GRUB cannot read it there",
                bytes.exact(),
                share(bytes.0)
            )?;
        }
        f.write_str(text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_parts_are_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let image = fixture::image(dir.path());
        let sizes = sizes(&image).unwrap();
        assert_eq!(sizes.parts.iter().map(|part| part.bytes.0).sum::<u64>(), sizes.total.0);
        assert_eq!(sizes.total.0, fs::metadata(&image).unwrap().len());
        assert_eq!(sizes.parts[0].name, "base.squashfs (packages)");
        assert!(sizes.parts.iter().any(|part| part.name == "EFI system partition" && part.bytes.0 == 1 << 20));
        assert!(sizes.twice.is_empty() && sizes.kernel_in_base.is_none());
        assert!(sizes.parts.iter().any(|part| part.name.starts_with("guest.squashfs") && part.bytes.0 == 6000));
        let role = sizes.parts.iter().find(|part| part.name == "guest-edge.squashfs (what the role adds)");
        assert_eq!(role.unwrap().bytes.0, 4000);
        let text = sizes.to_string();
        assert!(text.contains("100.0 %  the image") && text.contains("no file larger than 64 KiB"), "{text}");
    }

    #[test]
    fn what_is_there_twice_is_named_unless_it_is_one_place_with_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for (name, length) in [("one", 70_000), ("two", 70_000), ("small", 100), ("other", 70_001)] {
            fs::write(tree.join(name), vec![b'x'; length]).unwrap();
        }
        fs::hard_link(tree.join("other"), tree.join("link")).unwrap();
        let image = dir.path().join("x.iso");
        crate::tool::Call::new(crate::tool::Tool::Xorriso)
            .args(["-as", "mkisofs", "-quiet", "-r", "-cache-inodes", "-o"])
            .arg(&image)
            .arg(&tree)
            .run()
            .unwrap();
        let iso = Iso::open(&image).unwrap();
        let pieces: Vec<_> =
            iso.entries.iter().map(|entry| (entry.path.clone(), entry.offset..entry.offset + entry.size)).collect();
        assert_eq!(twice(&iso, &pieces).unwrap(), [["one", "two"]]);
    }
}
