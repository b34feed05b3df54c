//! Squashfs images: how the layers are written and read.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use crate::tool::{Call, Tool, ToolError};

/// The options every layer is written with. Level: see docs/adr for the measurement. Blocks: larger compresses better, smaller reads
/// less for one page of a program in the live system.
const OPTIONS: [&str; 9] =
    ["-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "9", "-b", "256K"];
/// Options for a layer from a tar archive.
const FROM_TAR: [&str; 3] = ["-tar", "-root-mode", "755"];
/// Options for a layer from a folder, but for the dates.
const FROM_FOLDER: [&str; 4] = ["-all-root", "-no-xattrs", "-root-mode", "755"];
/// Options for files that are compressed already, beside those for a folder: their contents stay as they are.
const AS_IT_IS: [&str; 2] = ["-noD", "-noF"];

/// Everything mksquashfs is told besides names and dates: part of the key of each layer.
pub fn recipe() -> String {
    [&OPTIONS[..], &FROM_TAR, &FROM_FOLDER].map(|options| options.join(" ")).join("\n")
}

/// The same for [`from_blobs`].
pub fn blobs_recipe() -> String {
    [&OPTIONS[..], &FROM_FOLDER, &AS_IT_IS].map(|options| options.join(" ")).join("\n")
}

fn mksquashfs(source: &Path, image: &Path) -> Call {
    Call::new(Tool::Mksquashfs).arg(source).arg(image).args(OPTIONS)
}

/// Writes a tar archive from standard output of `producer` as squashfs. Both run at once: the archive is never stored.
pub fn from_tar(producer: &Call, image: &Path, epoch: u64) -> Result<(), ToolError> {
    // The variable, not -mkfs-time: it dates the root folder too, which the archive does not have for mksquashfs 4.5. That folder's
    // owner is whoever runs mksquashfs. Dates of packages' files stay as they are; compiled Python files are only used while those of
    // their sources do.
    let call =
        mksquashfs(Path::new("-"), image).env("SOURCE_DATE_EPOCH", epoch.to_string()).args(FROM_TAR).mapped_to_root();
    let mut tar = producer
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // mmdebstrap ends its whole process group when something goes wrong; ours has to stay and tell what it was.
        .process_group(0)
        .spawn()
        .map_err(|source| producer.cannot_start(source))?;
    let Some(pipe) = tar.stdout.take() else {
        return Err(producer.cannot_start(std::io::Error::other("no pipe")));
    };
    let errors = tar.stderr.take();
    let said = std::thread::spawn(move || errors.map(std::io::read_to_string).and_then(Result::ok).unwrap_or_default());
    let squash = call.command().stdin(Stdio::from(pipe)).output().map_err(|source| call.cannot_start(source))?;
    let status = tar.wait().map_err(|source| producer.cannot_start(source))?;
    let said = said.join().unwrap_or_default();
    let complaint = String::from_utf8_lossy(&squash.stderr);
    // Where one of the two fails, the other does too, and says nothing about the reason.
    match (status.success(), squash.status.success()) {
        (true, true) => Ok(()),
        (true, false) => Err(call.failed(squash.status, &complaint)),
        (false, true) => Err(producer.failed(status, &said)),
        (false, false) => Err(producer.failed(status, &format!("{said}\n`{}` said:\n{complaint}", call.line()))),
    }
}

/// Writes a folder as squashfs with the compression of the layers and nothing else: what `bench` compares with.
pub fn bare(folder: &Path, image: &Path) -> Result<(), ToolError> {
    mksquashfs(folder, image).run().map(drop)
}

/// Writes a folder as squashfs; everything in it belongs to root and has one date, seconds since 1970.
pub fn from_folder(folder: &Path, image: &Path, epoch: u64) -> Result<(), ToolError> {
    dated(mksquashfs(folder, image).args(FROM_FOLDER), epoch)
}

/// The same for a folder of files that are compressed already; those with equal contents are stored once.
pub fn from_blobs(folder: &Path, image: &Path, epoch: u64) -> Result<(), ToolError> {
    dated(mksquashfs(folder, image).args(FROM_FOLDER).args(AS_IT_IS), epoch)
}

fn dated(call: Call, epoch: u64) -> Result<(), ToolError> {
    let date = epoch.to_string();
    // Options, not SOURCE_DATE_EPOCH: mksquashfs 4.5.1 only makes later dates earlier by it, and what a checkout has may be older.
    call.args(["-mkfs-time", &date, "-all-time", &date]).run().map(drop)
}

/// Unpacks some paths of an image into a new folder.
pub fn extract(image: &Path, folder: &Path, paths: &[&str]) -> Result<(), ToolError> {
    Call::new(Tool::Unsquashfs)
        .args(["-no-progress", "-quiet", "-force", "-no-xattrs", "-dest"])
        .arg(folder)
        .arg(image)
        .args(paths)
        .run()
        .map(drop)
}

/// The content of one file of an image that begins at `offset` bytes in another file. Needs squashfs-tools 4.5.
pub fn content(file: &Path, offset: u64, path: &str) -> Result<Vec<u8>, ToolError> {
    let call = Call::new(Tool::Unsquashfs).args(["-offset", &offset.to_string(), "-cat"]).arg(file).arg(path);
    Ok(call.run()?.stdout)
}

/// Bytes that what an image holds takes on a disk: contents in blocks of 4096 bytes, and one block for each entry's inode and name,
/// which is more than ext4 needs. Reads `unsquashfs -lln` (squashfs-tools 4.5 and 4.6).
pub fn unpacked_bytes(image: &Path) -> Result<u64, ToolError> {
    Ok(sum_listing(&Call::new(Tool::Unsquashfs).arg("-lln").arg(image).text()?))
}

fn sum_listing(listing: &str) -> u64 {
    const BLOCK_BYTES: u64 = 4096;
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let mode = words.next()?;
            let _owner = words.next().filter(|owner| owner.contains('/'))?;
            let size = if mode.starts_with('-') { words.next()?.parse::<u64>().ok()? } else { 0 };
            Some(size.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_folder_belongs_to_root_and_has_the_date_of_the_build() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        let out = tempfile::tempdir().unwrap();
        let image = out.path().join("x.squashfs");
        // As mmdebstrap writes archives: the root folder is an entry, which mksquashfs 4.5 leaves out.
        let tar = Call::program("tar").args(["-c", "--mtime=@1000000000", "-C"]).arg(dir.path()).arg(".");
        from_tar(&tar, &image, 1_500_000_000).unwrap();
        let listing = Call::new(Tool::Unsquashfs).arg("-lln").arg(&image).text().unwrap();
        let root = listing.lines().find(|line| line.ends_with("squashfs-root")).unwrap();
        assert!(root.starts_with("drwxr-xr-x 0/0") && root.contains("2017-07-14 02:40"), "{root}");
        let file = listing.lines().find(|line| line.ends_with("squashfs-root/f")).unwrap();
        assert!(file.contains("2001-09-09 01:46"), "{file}");
    }

    #[test]
    fn everything_from_a_folder_has_the_date_of_the_build_older_or_newer() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        for (name, seconds) in [("old", 1_000_000_000), ("new", 1_700_000_000)] {
            let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            std::fs::File::create(tree.join(name)).unwrap().set_modified(date).unwrap();
        }
        let image = dir.path().join("x.squashfs");
        from_folder(&tree, &image, 1_500_000_000).unwrap();
        let listing = Call::new(Tool::Unsquashfs).arg("-lln").arg(&image).text().unwrap();
        assert_eq!(listing.matches(" 0/0 ").count(), 3, "{listing}");
        assert_eq!(listing.matches(" 2017-07-14 02:40 ").count(), 3, "{listing}");
    }

    #[test]
    fn a_listing_is_summed_in_blocks() {
        // unsquashfs 4.5.1 -lln
        let listing = "Parallel unsquashfs: Using 2 processors\n\
                       drwxr-xr-x 0/0               120 2026-09-21 14:13 squashfs-root\n\
                       -rwxr-xr-x 0/0              4097 2026-09-21 14:13 squashfs-root/a\n\
                       lrwxrwxrwx 0/0                 1 2026-09-21 14:13 squashfs-root/b -> a\n\
                       crw-r--r-- 0/0             5,  1 2026-09-21 14:13 squashfs-root/c\n";
        assert_eq!(sum_listing(listing), 4096 + (8192 + 4096) + 4096 + 4096);
    }
}
