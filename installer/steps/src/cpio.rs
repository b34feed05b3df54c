//! A small writer and reader of cpio archives in the format `newc`, the kernel's initramfs format
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

/// Magic of an entry without checksum.
const MAGIC: &[u8] = b"070701";
/// Bytes of an entry's header: the magic and 13 fields of 8 hexadecimal digits.
const HEADER: usize = 110;
/// Name of the last entry.
const TRAILER: &str = "TRAILER!!!";
/// Archives are padded to this, as cpio(1) does.
const BLOCK: usize = 512;

/// Folder bit and file bit of a mode.
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;

/// An archive in the making. Everything belongs to root and is dated 1970, so the same files make the same bytes.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    folders: Vec<String>,
    inode: u32,
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; `path` has no leading slash. Folders it needs are added too, with mode 0755.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if !self.folders.iter().any(|f| f == folder) {
                self.folders.push(folder.to_owned());
                self.entry(folder, S_IFDIR | 0o755, &[]);
            }
        }
        self.entry(path, S_IFREG | mode, content);
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = u32::MAX;
        self.entry(TRAILER, 0, &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode = self.inode.wrapping_add(1);
        let links = if mode & S_IFDIR != 0 { 2 } else { 1 };
        // Both lengths are those of a few lines of configuration.
        let (size, name_size) = (u32::try_from(content.len()).unwrap_or(u32::MAX), name.len() + 1);
        self.bytes.extend_from_slice(MAGIC);
        for field in [self.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0] {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(format!("{name_size:08X}{:08X}", 0).as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Reads an archive: (name, mode, content) of each entry. `None` where it is not one.
pub fn read(bytes: &[u8]) -> Option<Vec<(String, u32, Vec<u8>)>> {
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        let header = bytes.get(at..at + HEADER)?;
        if !header.starts_with(MAGIC) {
            return None;
        }
        let field = |n: usize| {
            let text = header.get(6 + n * 8..14 + n * 8)?;
            u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
        };
        let (mode, size, name_size) = (field(1)?, field(6)? as usize, field(11)? as usize);
        let name = bytes.get(at + HEADER..at + HEADER + name_size.checked_sub(1)?)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let content = (at + HEADER + name_size).next_multiple_of(4);
        if name == TRAILER {
            return Some(entries);
        }
        entries.push((name, mode, bytes.get(content..content + size)?.to_vec()));
        at = (content + size).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn archive() -> Vec<u8> {
        let mut archive = Archive::new();
        archive.file("cryptroot/crypttab", 0o600, b"luks-ssd UUID=1 none luks\n");
        archive.file("etc/mdadm/mdadm.conf", 0o644, b"HOMEHOST x\n");
        archive.file("etc/hostname", 0o644, b"");
        archive.finish()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = archive();
        assert_eq!(bytes.len() % BLOCK, 0);
        let entries = read(&bytes).unwrap();
        let names: Vec<_> = entries.iter().map(|e| e.0.as_str()).collect();
        assert_eq!(
            names,
            ["cryptroot", "cryptroot/crypttab", "etc", "etc/mdadm", "etc/mdadm/mdadm.conf", "etc/hostname"]
        );
        assert_eq!(entries[1].1, 0o100_600);
        assert_eq!(entries[1].2, b"luks-ssd UUID=1 none luks\n");
        assert!(read(&bytes[..bytes.len() / 2]).is_none());
        assert!(read(b"not an archive").is_none());
    }

    #[test]
    fn cpio_itself_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("cpio")
            .args(["--extract", "--quiet", "--make-directories", "--no-preserve-owner"])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&archive()).unwrap();
        assert!(child.wait().unwrap().success());
        let text = std::fs::read_to_string(dir.path().join("cryptroot/crypttab")).unwrap();
        assert_eq!(text, "luks-ssd UUID=1 none luks\n");
    }
}
