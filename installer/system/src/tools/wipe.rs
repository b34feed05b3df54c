//! Making devices forget what was on them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use sovereign_model::Bytes;

use crate::runner::{Cmd, RunError, Runner};

/// How much of each end of a device is zeroed: covers every signature that is known to sit there (ZFS labels, the backup GPT,
/// md 0.90 and 1.0, IMSM, DDF, DRBD, Ceph, bcache).
pub const END: Bytes = Bytes::mib(16);
/// Discarding a whole disk takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Removes every signature libblkid knows.
///
/// # Errors
/// [`RunError`].
pub fn signatures(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("wipefs", ["--all", "--force", device])).map(drop)
}

/// The signatures libblkid finds, as `type at offset`.
///
/// # Errors
/// [`RunError`].
pub fn found(runner: &dyn Runner, device: &str) -> Result<Vec<String>, RunError> {
    #[derive(serde::Deserialize)]
    struct Whole {
        signatures: Vec<Signature>,
    }
    #[derive(serde::Deserialize)]
    struct Signature {
        #[serde(rename = "type")]
        kind: String,
        offset: String,
    }
    let cmd = Cmd::new("wipefs", ["--json", device]);
    let output = runner.run(&cmd)?;
    // util-linux prints nothing at all where there is nothing.
    if output.stdout.trim().is_empty() {
        return Ok(Vec::new());
    }
    let whole: Whole = serde_json::from_str(&output.stdout)
        .map_err(|e| RunError::Unexpected { line: cmd.line(), reason: e.to_string() })?;
    Ok(whole.signatures.into_iter().map(|s| format!("{} at {}", s.kind, s.offset)).collect())
}

/// Zeroes the first and last [`END`] of a device, by the disk's own means where it has them.
///
/// # Errors
/// The device refuses.
pub fn ends(device: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(device)?;
    let size = Bytes(file.seek(SeekFrom::End(0))?);
    if size <= Bytes(2 * END.get()) {
        zero(&mut file, Bytes::ZERO, size)?;
    } else {
        zero(&mut file, Bytes::ZERO, END)?;
        zero(&mut file, size.saturating_sub(END), END)?;
    }
    file.sync_all()
}

/// Zeroes [`END`] from `offset` on, or what there is of it: where a LUKS header on an array lies on the array's member. A header
/// takes 16 MiB at most by default, and no member holds more of it than that.
///
/// # Errors
/// The device refuses.
pub fn header_at(device: &str, offset: Bytes) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(device)?;
    let size = Bytes(file.seek(SeekFrom::End(0))?);
    let length = size.saturating_sub(offset).min(END);
    if length > Bytes::ZERO {
        zero(&mut file, offset, length)?;
    }
    file.sync_all()
}

/// Zeroes a range. On a block device `fallocate` is "write zeroes", which disks do themselves or the kernel does for them.
fn zero(file: &mut File, offset: Bytes, length: Bytes) -> io::Result<()> {
    let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    match fallocate(&*file, flags, offset.get(), length.get()) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::INVAL) => {
            file.seek(SeekFrom::Start(offset.get()))?;
            io::copy(&mut io::repeat(0).take(length.get()), file).map(drop)
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells an SSD that nothing on it is needed. No proof of erasure.
///
/// # Errors
/// [`RunError`]: the disk takes no discards, or fails at them. Nothing depends on it.
pub fn discard(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("blkdiscard", ["--force", device]).timeout(TIMEOUT)).map(drop)
}

/// Length of a block device.
///
/// # Errors
/// The device cannot be opened.
pub fn size(device: &str) -> io::Result<Bytes> {
    File::open(device)?.seek(SeekFrom::End(0)).map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;
    use std::io::Write;

    #[test]
    fn both_ends_of_a_large_device_and_all_of_a_small_one() {
        let zeroed = |size: u64, probes: &[u64]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut handle = file.as_file();
            handle.write_all(&vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
            let device = file.path().to_str().unwrap();
            ends(device).unwrap();
            assert_eq!(super::size(device).unwrap(), Bytes(size));
            let bytes = std::fs::read(file.path()).unwrap();
            probes.iter().map(|at| bytes[usize::try_from(*at).unwrap()] == 0).collect::<Vec<_>>()
        };
        let end = END.get();
        let large = 3 * end;
        let probes = [0, end - 1, end, large - end - 1, large - end, large - 1];
        assert_eq!(zeroed(large, &probes), [true, true, false, false, true, true]);
        assert_eq!(zeroed(1 << 20, &[0, 1 << 19, (1 << 20) - 1]), [true; 3]);
    }

    #[test]
    fn a_header_inside_a_member_goes_and_what_is_behind_it_stays() {
        let end = END.get();
        let file = tempfile::NamedTempFile::new().unwrap();
        let size = 2 * end + (1 << 20);
        file.as_file().write_all(&vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
        let device = file.path().to_str().unwrap();
        let zeroed = |at: u64| std::fs::read(device).unwrap()[usize::try_from(at).unwrap()] == 0;
        header_at(device, Bytes(1 << 20)).unwrap();
        let probes = [(1 << 20) - 1, 1 << 20, (1 << 20) + end - 1, (1 << 20) + end];
        assert_eq!(probes.map(zeroed), [false, true, true, false]);
        // Near the end, and a superblock that lies: the device does not grow.
        header_at(device, Bytes(size - 10)).unwrap();
        header_at(device, Bytes(size + 10)).unwrap();
        assert!(zeroed(size - 1) && !zeroed(size - 11));
        assert_eq!(super::size(device).unwrap(), Bytes(size));
    }

    #[test]
    fn the_whole_disk_is_discarded() {
        let runner = Recorder::new();
        discard(&runner, "/dev/sda").unwrap();
        assert_eq!(runner.lines(), ["blkdiscard --force /dev/sda"]);
    }

    #[test]
    fn what_is_left_is_named() {
        // util-linux 2.41, `wipefs --json /dev/sda`
        let json = r#"{ "signatures": [ {"device":"sda","offset":"0x200","type":"gpt","uuid":null,"label":null} ] }"#;
        let runner = Recorder::new().prints("wipefs --json", json);
        assert_eq!(found(&runner, "/dev/sda").unwrap(), ["gpt at 0x200"]);
        assert!(found(&Recorder::new(), "/dev/sda").unwrap().is_empty());
    }
}
