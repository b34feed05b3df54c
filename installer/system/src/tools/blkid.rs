//! What libblkid sees: types, UUIDs and partition names, through `lsblk` and `blkid` of util-linux 2.41.

use serde::Deserialize;

use crate::runner::{Cmd, RunError, Runner};

/// A partition with its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Device node.
    #[serde(rename = "path")]
    pub device: String,
    /// Device node of its disk's kernel name, such as `nvme0n1`.
    #[serde(rename = "pkname", default)]
    pub disk: Option<String>,
    /// Name in the partition table.
    #[serde(rename = "partlabel", default)]
    pub name: Option<String>,
    /// Type of the file system or container on it.
    #[serde(rename = "fstype", default)]
    pub kind: Option<String>,
}

/// All partitions called `name`.
///
/// # Errors
/// [`RunError`].
pub fn partitions_named(runner: &dyn Runner, name: &str) -> Result<Vec<Named>, RunError> {
    Ok(partitions(runner)?.into_iter().filter(|d| d.name.as_deref() == Some(name)).collect())
}

/// All block devices, those without a partition's name too.
///
/// # Errors
/// [`RunError`].
pub fn partitions(runner: &dyn Runner) -> Result<Vec<Named>, RunError> {
    #[derive(Deserialize)]
    struct Whole {
        blockdevices: Vec<Named>,
    }
    let cmd = Cmd::new("lsblk", ["--json", "--list", "--output", "PATH,PKNAME,PARTLABEL,FSTYPE"]);
    let output = runner.run(&cmd)?;
    let whole: Whole = serde_json::from_str(&output.stdout)
        .map_err(|e| RunError::Unexpected { line: cmd.line(), reason: e.to_string() })?;
    Ok(whole.blockdevices)
}

/// The UUID on a device, read from the device itself; `None` where it has none.
///
/// # Errors
/// [`RunError`].
pub fn uuid(runner: &dyn Runner, device: &str) -> Result<Option<String>, RunError> {
    let cmd = Cmd::new("blkid", ["--probe", "--match-tag", "UUID", "--output", "value", device]);
    let output = runner.status(&cmd, &mut |_| {})?;
    match output.code {
        0 => Ok(Some(output.stdout.trim().to_owned()).filter(|t| !t.is_empty())),
        // "nothing found", says blkid(8).
        2 => Ok(None),
        code => Err(RunError::Failed { line: cmd.line(), code, stdout: output.stdout, stderr: output.stderr }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn partitions_are_found_by_name() {
        // util-linux 2.41, `lsblk --json --list --output PATH,PKNAME,PARTLABEL,FSTYPE`
        let json = r#"{ "blockdevices": [
            {"path":"/dev/nvme0n1","pkname":null,"partlabel":null,"fstype":null},
            {"path":"/dev/nvme0n1p2","pkname":"nvme0n1","partlabel":"sovereign-esp","fstype":"vfat"},
            {"path":"/dev/nvme1n1p2","pkname":"nvme1n1","partlabel":"sovereign-esp","fstype":null} ] }"#;
        let found = partitions_named(&Recorder::new().prints("lsblk", json), "sovereign-esp").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].device.as_str(), found[0].kind.as_deref()), ("/dev/nvme0n1p2", Some("vfat")));
    }

    #[test]
    fn no_uuid_is_no_error() {
        let runner = Recorder::new().prints("blkid", "ABCD-1234\n");
        assert_eq!(uuid(&runner, "/dev/sda1").unwrap().as_deref(), Some("ABCD-1234"));
        assert_eq!(uuid(&Recorder::new().fails("blkid", 2, ""), "/dev/sda1").unwrap(), None);
        assert!(uuid(&Recorder::new().fails("blkid", 4, "usage"), "/dev/sda1").is_err());
    }
}
