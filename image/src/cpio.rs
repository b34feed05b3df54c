//! Writes cpio archives in the "newc" form the kernel unpacks as an initramfs (Documentation/driver-api/early-userspace/
//! buffer-format.rst). Device nodes need no privilege here, and nothing of the build host gets in: owners are root, inode numbers count up.

use std::io::{self, Write};

/// File type bits of a mode, as in stat(2).
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive being written.
pub struct Archive<W> {
    out: W,
    epoch: u32,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// An empty archive whose entries are all dated `epoch`, seconds since 1970 (32 bits: until 2106).
    pub fn new(out: W, epoch: u64) -> Self {
        Self { out, epoch: u32::try_from(epoch).unwrap_or(u32::MAX), inode: 0 }
    }

    /// A folder; those above it must be there already.
    pub fn folder(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, TYPE_FOLDER | 0o755, (0, 0), &[])
    }

    /// A file.
    pub fn file(&mut self, path: &str, executable: bool, data: &[u8]) -> io::Result<()> {
        self.entry(path, TYPE_FILE | if executable { 0o755 } else { 0o644 }, (0, 0), data)
    }

    /// A character device with its major and minor number.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        self.entry(path, TYPE_CHARACTER_DEVICE | 0o600, (major, minor), &[])
    }

    /// Writes the end of the archive and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.epoch = 0;
        self.inode = u32::MAX;
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), data: &[u8]) -> io::Result<()> {
        self.inode = self.inode.wrapping_add(1);
        let length = u32::try_from(data.len())
            .map_err(|_| io::Error::other(format!("{path} is too long for a cpio archive")))?;
        let name_length = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        let links = if mode & TYPE_FOLDER == TYPE_FOLDER { 2 } else { 1 };
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of name, checksum
        let fields = [self.inode, mode, 0, 0, links, self.epoch, length, 0, 0, major, minor, name_length, 0];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08X}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(b"\0")?;
        // The header has 110 bytes; name and data each end at a multiple of four.
        self.pad(110 + path.len() + 1)?;
        self.out.write_all(data)?;
        self.pad(data.len())
    }

    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..length.next_multiple_of(4) - length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new(), 1_000_000_000);
        archive.folder("dev").unwrap();
        archive.character_device("dev/console", 5, 1).unwrap();
        archive.file("init", true, b"#!/bin/sh\n").unwrap();
        archive.file("empty", false, b"").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn cpio_lists_what_was_written() {
        let mut child = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let listing = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let squeezed: Vec<String> =
            listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            squeezed,
            [
                "drwxr-xr-x 2 0 0 0 Sep 9 2001 dev",
                "crw------- 1 0 0 5, 1 Sep 9 2001 dev/console",
                "-rwxr-xr-x 1 0 0 10 Sep 9 2001 init",
                "-rw-r--r-- 1 0 0 0 Sep 9 2001 empty",
            ]
        );
    }

    #[test]
    fn entries_are_aligned_to_four_bytes() {
        assert_eq!(sample().len() % 4, 0);
    }
}
