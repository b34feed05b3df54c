//! Making devices forget what was on them.

use std::time::Duration;

use sovereign_model::Bytes;

use crate::runner::{Cmd, RunError, Runner};

/// How much of each end of a device is zeroed: covers every signature that is known to sit there (ZFS labels, the backup GPT,
/// md 0.90 and 1.0, IMSM, DDF, DRBD, Ceph, bcache).
pub const END: Bytes = Bytes::mib(16);
/// Zeroing falls back to writing on disks without an offload.
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

/// Zeroes the first and last [`END`] of a device of `size`.
///
/// # Errors
/// [`RunError`].
pub fn ends(runner: &dyn Runner, device: &str, size: Bytes) -> Result<(), RunError> {
    if size <= Bytes(2 * END.get()) {
        return zero(runner, device, Bytes::ZERO, size);
    }
    zero(runner, device, Bytes::ZERO, END)?;
    zero(runner, device, size.saturating_sub(END), END)
}

/// Zeroes a range, by the disk's own means where it has them.
fn zero(runner: &dyn Runner, device: &str, offset: Bytes, length: Bytes) -> Result<(), RunError> {
    let (offset, length) = (offset.get().to_string(), length.get().to_string());
    let args = ["--force", "--zeroout", "--offset", &offset, "--length", &length, device];
    runner.run(&Cmd::new("blkdiscard", args).timeout(TIMEOUT)).map(drop)
}

/// Tells an SSD that nothing on it is needed; `false` where it takes no discards. No proof of erasure.
///
/// # Errors
/// [`RunError`].
pub fn discard(runner: &dyn Runner, device: &str) -> Result<bool, RunError> {
    let cmd = Cmd::new("blkdiscard", ["--force", device]).timeout(TIMEOUT);
    let output = runner.status(&cmd, &mut |_| {})?;
    match output.code {
        0 => Ok(true),
        _ if output.stderr.contains("not supported") => Ok(false),
        code => Err(RunError::Failed { line: cmd.line(), code, stdout: output.stdout, stderr: output.stderr }),
    }
}

/// Length of a block device.
///
/// # Errors
/// [`RunError`].
pub fn size(runner: &dyn Runner, device: &str) -> Result<Bytes, RunError> {
    let cmd = Cmd::new("blockdev", ["--getsize64", device]);
    let text = runner.run(&cmd)?.stdout;
    text.trim().parse().map(Bytes).map_err(|_| RunError::Unexpected {
        line: cmd.line(),
        reason: format!("`{}` is not a number of bytes", text.trim()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn both_ends_of_a_large_device_and_all_of_a_small_one() {
        let runner = Recorder::new();
        ends(&runner, "/dev/sda", Bytes(6_001_175_126_016)).unwrap();
        ends(&runner, "/dev/sda1", Bytes::mib(1)).unwrap();
        assert_eq!(
            runner.lines(),
            [
                "blkdiscard --force --zeroout --offset 0 --length 16777216 /dev/sda",
                "blkdiscard --force --zeroout --offset 6001158348800 --length 16777216 /dev/sda",
                "blkdiscard --force --zeroout --offset 0 --length 1048576 /dev/sda1",
            ]
        );
    }

    #[test]
    fn a_disk_without_discards_is_no_error() {
        let dumb = Recorder::new().fails(
            "blkdiscard",
            1,
            "blkdiscard: /dev/sda: BLKDISCARD ioctl failed: Operation not supported",
        );
        assert!(!discard(&dumb, "/dev/sda").unwrap());
        assert!(discard(&Recorder::new(), "/dev/sda").unwrap());
        assert!(discard(&Recorder::new().fails("blkdiscard", 1, "Input/output error"), "/dev/sda").is_err());
    }

    #[test]
    fn what_is_left_is_named() {
        // util-linux 2.41, `wipefs --json /dev/sda`
        let json = r#"{ "signatures": [ {"device":"sda","offset":"0x200","type":"gpt","uuid":null,"label":null} ] }"#;
        let runner = Recorder::new().prints("wipefs --json", json).prints("blockdev", "512110190592\n");
        assert_eq!(found(&runner, "/dev/sda").unwrap(), ["gpt at 0x200"]);
        assert_eq!(size(&runner, "/dev/sda").unwrap(), Bytes(512_110_190_592));
        assert!(found(&Recorder::new(), "/dev/sda").unwrap().is_empty());
    }
}
