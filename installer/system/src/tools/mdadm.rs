//! mdadm 4.4: arrays.

use std::path::Path;
use std::time::Duration;

use sovereign_model::Bytes;
use sovereign_model::plan::RaidLevel;

use crate::runner::{Cmd, RunError, Runner};

/// What an array is made with.
#[derive(Debug, Clone)]
pub struct Create<'a> {
    /// `boot`, `ssd`, `hdd`: the device becomes /dev/md/NAME.
    pub name: &'a str,
    /// The target's host name: arrays of another host are renamed when they are assembled.
    pub homehost: &'a str,
    /// Level.
    pub level: RaidLevel,
    /// Device nodes of the members, in order: with layout n2, each two neighbours are mirrors of one another.
    pub members: &'a [String],
}

/// Creates an array and starts it. Its first synchronisation runs in the background.
///
/// # Errors
/// [`RunError`].
pub fn create(runner: &dyn Runner, array: &Create<'_>) -> Result<(), RunError> {
    let mut args = vec![
        "--create".to_owned(),
        format!("/dev/md/{}", array.name),
        // Answers the questions mdadm has about members that look used or are meant for booting.
        "--run".to_owned(),
        "--metadata=1.2".to_owned(),
        // Must be said: with --run and without it, mdadm 4.4 makes no bitmap.
        "--bitmap=internal".to_owned(),
        format!("--homehost={}", array.homehost),
        format!("--name={}", array.name),
    ];
    match array.level {
        RaidLevel::Raid1 => args.push("--level=1".to_owned()),
        RaidLevel::Raid10 { chunk } => {
            args.push("--level=10".to_owned());
            args.push("--layout=n2".to_owned());
            // In KiB.
            args.push(format!("--chunk={}", chunk.get() / 1024));
        }
    }
    args.push(format!("--raid-devices={}", array.members.len()));
    args.extend(array.members.iter().cloned());
    runner.run(&Cmd::new("mdadm", args)).map(drop)
}

/// Stops an array.
///
/// # Errors
/// [`RunError`]: most often something still uses it.
pub fn stop(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("mdadm", ["--stop", device]).timeout(Duration::from_secs(60))).map(drop)
}

/// Starts the array that these members make, under the name /dev/md/NAME. `degraded`: though others are missing.
///
/// # Errors
/// [`RunError`].
pub fn assemble(runner: &dyn Runner, name: &str, members: &[String], degraded: bool) -> Result<(), RunError> {
    let mut args = vec!["--assemble".to_owned(), format!("/dev/md/{name}")];
    if degraded {
        args.push("--run".to_owned());
    }
    args.extend(members.iter().cloned());
    runner.run(&Cmd::new("mdadm", args)).map(drop)
}

/// What the superblock on a member says of its array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The array's UUID, as mdadm writes it.
    pub uuid: String,
    /// Number of members it wants.
    pub devices: usize,
}

/// Which array a device is a member of; `None` where it has no superblock.
///
/// # Errors
/// [`RunError`].
pub fn superblock(runner: &dyn Runner, device: &str) -> Result<Option<Superblock>, RunError> {
    // It ends with 1 where it finds none.
    let output = runner.status(&Cmd::new("mdadm", ["--examine", "--export", device]), &mut |_| {})?;
    let value = |key| output.stdout.lines().find_map(|line| line.strip_prefix(key));
    let devices = value("MD_DEVICES=").and_then(|number| number.parse().ok());
    Ok(value("MD_UUID=").zip(devices).map(|(uuid, devices)| Superblock { uuid: uuid.to_owned(), devices }))
}

/// Versions of the kernel's own superblocks. A device can carry one of each: they lie at four different places.
pub const VERSIONS: [&str; 4] = ["1.2", "1.1", "1.0", "0.90"];

/// Removes the superblock of one version, or, without one, those of every kind that mdadm knows, firmware RAID's among them; `false`
/// when there was none.
///
/// # Errors
/// [`RunError`], also where the device is in use.
pub fn zero_superblock(runner: &dyn Runner, device: &str, version: Option<&str>) -> Result<bool, RunError> {
    let metadata = version.map(|version| format!("--metadata={version}"));
    let args = ["--zero-superblock"].into_iter().chain(metadata.as_deref()).chain([device]);
    let cmd = Cmd::new("mdadm", args);
    let output = runner.status(&cmd, &mut |_| {})?;
    // mdadm ends with 0 where it zeroed one, and with 2 (and "Unrecognised md component device") where it found none, but also with 2
    // where it cannot open the device. An extended partition has 2 sectors, of which it says that they are too few.
    match output.code {
        0 if output.stderr.contains("Unrecognised md component device") => Ok(false),
        0 => Ok(true),
        2 if !output.stderr.contains("for write") => Ok(false),
        1 if output.stderr.contains("too small for md") => Ok(false),
        code => Err(RunError::Failed { line: cmd.line(), code, stdout: output.stdout, stderr: output.stderr }),
    }
}

/// Where an array's data starts on a member that is part of no running array, as its superblock of that version says; `None` where it
/// has none, or one of a version whose data starts at 0.
///
/// # Errors
/// [`RunError`].
pub fn data_offset_on(runner: &dyn Runner, device: &str, version: &str) -> Result<Option<Bytes>, RunError> {
    let cmd = Cmd::new("mdadm", ["--examine", &format!("--metadata={version}"), device]);
    // It ends with 1 where it finds no superblock.
    let output = runner.status(&cmd, &mut |_| {})?;
    let sectors = output.stdout.lines().find_map(|l| l.trim().strip_prefix("Data Offset : ")?.strip_suffix(" sectors"));
    Ok(sectors.and_then(|s| s.parse().ok()).map(|sectors: u64| Bytes(sectors.saturating_mul(512))))
}

/// What `mdadm --detail --export` says of a running array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// `raid1`, `raid10`.
    pub level: String,
    /// Number of members it wants.
    pub devices: u32,
    /// Superblock version.
    pub metadata: String,
    /// UUID as mdadm writes it: four groups of eight hexadecimal digits with colons.
    pub uuid: String,
    /// Device nodes of the members it has.
    pub members: Vec<String>,
}

/// Asks a running array what it is.
///
/// # Errors
/// [`RunError`].
pub fn detail(runner: &dyn Runner, device: &str) -> Result<Detail, RunError> {
    let cmd = Cmd::new("mdadm", ["--detail", "--export", device]);
    let output = runner.run(&cmd)?;
    parse_detail(&output.stdout).map_err(|reason| RunError::Unexpected { line: cmd.line(), reason })
}

/// Reads the output of `mdadm --detail --export` (mdadm 4.4).
///
/// # Errors
/// Which variable is missing.
pub fn parse_detail(text: &str) -> Result<Detail, String> {
    let value = |key: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(key).and_then(|l| l.strip_prefix('=')))
            .map(str::to_owned)
            .ok_or_else(|| format!("it has no {key}"))
    };
    let members = text
        .lines()
        .filter(|l| l.starts_with("MD_DEVICE_"))
        .filter_map(|l| l.split_once("_DEV=").map(|(_, dev)| dev.to_owned()))
        .collect();
    Ok(Detail {
        level: value("MD_LEVEL")?,
        devices: value("MD_DEVICES")?.parse().map_err(|_| "MD_DEVICES is not a number".to_owned())?,
        metadata: value("MD_METADATA")?,
        uuid: value("MD_UUID")?,
        members,
    })
}

/// Where data starts on a running array's member, as the kernel says (`sys` is /sys; Documentation/admin-guide/md.rst).
///
/// # Errors
/// The member is not part of the array, or the array does not run.
pub fn data_offset(sys: &Path, array: &str, member: &str) -> std::io::Result<Bytes> {
    let path = sys.join(format!("class/block/{array}/md/dev-{member}/offset"));
    let text = std::fs::read_to_string(&path)?;
    let sectors: u64 = text.trim().parse().map_err(|_| std::io::Error::other(format!("`{text}` is no number")))?;
    Ok(Bytes(sectors.saturating_mul(512)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn arrays_are_created_with_bitmap_name_and_home_host() {
        let runner = Recorder::new();
        let members = ["/dev/nvme0n1p4".to_owned(), "/dev/nvme1n1p4".to_owned()];
        let ssd = Create { name: "ssd", homehost: "host", level: RaidLevel::Raid1, members: &members };
        create(&runner, &ssd).unwrap();
        let members = ["/dev/sda1", "/dev/sdb1", "/dev/sdc1", "/dev/sdd1"].map(str::to_owned);
        let level = RaidLevel::Raid10 { chunk: Bytes(512 * 1024) };
        create(&runner, &Create { name: "hdd", homehost: "host", level, members: &members }).unwrap();
        assert_eq!(
            runner.lines(),
            [
                "mdadm --create /dev/md/ssd --run --metadata=1.2 --bitmap=internal --homehost=host --name=ssd --level=1 \
                 --raid-devices=2 /dev/nvme0n1p4 /dev/nvme1n1p4",
                "mdadm --create /dev/md/hdd --run --metadata=1.2 --bitmap=internal --homehost=host --name=hdd --level=10 \
                 --layout=n2 --chunk=512 --raid-devices=4 /dev/sda1 /dev/sdb1 /dev/sdc1 /dev/sdd1",
            ]
        );
    }

    #[test]
    fn a_device_in_use_is_not_taken_for_one_without_a_superblock() {
        // mdadm 4.2, `mdadm --zero-superblock --metadata=1.2` on a file of zeroes, of 1000 bytes, and one that it may not write.
        let says = |code, text| Recorder::new().fails("mdadm --zero-superblock --metadata=1.2 /dev/sda1", code, text);
        let zero = |runner: &Recorder| zero_superblock(runner, "/dev/sda1", Some("1.2"));
        assert!(
            !zero(&says(2, "mdadm: No super block found on /dev/sda1 (Expected magic a92b4efc, got 00000000)"))
                .unwrap()
        );
        assert!(!zero(&says(1, "mdadm: /dev/sda1 is too small for md: size is 2 sectors.")).unwrap());
        assert!(zero(&Recorder::new()).unwrap());
        let busy = says(2, "mdadm: Couldn't open /dev/sda1 for write - not zeroing");
        assert!(matches!(zero(&busy), Err(RunError::Failed { code: 2, .. })));
        let all = Recorder::new().prints("mdadm", "");
        assert!(zero_superblock(&all, "/dev/sda1", None).unwrap());
        assert_eq!(all.lines(), ["mdadm --zero-superblock /dev/sda1"]);
    }

    #[test]
    fn an_array_is_started_from_the_members_that_say_they_are_its_own() {
        // mdadm 4.4, `mdadm --examine --export /dev/sda1`
        let text = "MD_LEVEL=raid1\nMD_DEVICES=2\nMD_NAME=host:ssd\nMD_ARRAY_SIZE=510.98GB\n\
            MD_UUID=4e1ba1c9:0f4ab0d7:ee6d8b37:0a1a1b62\nMD_DEV_UUID=b4d8b1c2:0f4ab0d7:ee6d8b37:0a1a1b62\nMD_EVENTS=19\n";
        let runner = Recorder::new().prints("mdadm --examine --export", text);
        let of = superblock(&runner, "/dev/sda1").unwrap().unwrap();
        assert_eq!((of.uuid.as_str(), of.devices), ("4e1ba1c9:0f4ab0d7:ee6d8b37:0a1a1b62", 2));
        let none = Recorder::new().fails("mdadm", 1, "mdadm: No md superblock detected on /dev/sda1.");
        assert_eq!(superblock(&none, "/dev/sda1").unwrap(), None);
        assemble(&runner, "ssd", &["/dev/sda1".to_owned(), "/dev/sdb1".to_owned()], false).unwrap();
        assemble(&runner, "ssd", &["/dev/sda1".to_owned()], true).unwrap();
        assert_eq!(
            runner.lines()[1..],
            ["mdadm --assemble /dev/md/ssd /dev/sda1 /dev/sdb1", "mdadm --assemble /dev/md/ssd --run /dev/sda1"]
        );
    }

    #[test]
    fn a_superblock_tells_where_data_starts() {
        // mdadm 4.4, `mdadm --examine /dev/sda1`, shortened
        let text = "/dev/sda1:\n          Magic : a92b4efc\n        Version : 1.2\n Avail Dev Size : 1019656192 sectors (486.21 GiB)\n    \
             Data Offset : 264192 sectors\n   Super Offset : 8 sectors\n";
        let member = Recorder::new().prints("mdadm --examine --metadata=1.2 /dev/sda1", text);
        assert_eq!(data_offset_on(&member, "/dev/sda1", "1.2").unwrap(), Some(Bytes::mib(129)));
        let none = Recorder::new().fails("mdadm --examine", 1, "mdadm: No md superblock detected on /dev/sda1.");
        assert_eq!(data_offset_on(&none, "/dev/sda1", "1.0").unwrap(), None);
    }

    // mdadm 4.4, `mdadm --detail --export /dev/md/ssd`
    const DETAIL: &str = "MD_LEVEL=raid1\nMD_DEVICES=2\nMD_METADATA=1.2\nMD_UUID=4e1ba1c9:0f4ab0d7:ee6d8b37:0a1a1b62\n\
        MD_DEVNAME=ssd\nMD_NAME=host:ssd\nMD_DEVICE_dev_nvme0n1p4_ROLE=0\nMD_DEVICE_dev_nvme0n1p4_DEV=/dev/nvme0n1p4\n\
        MD_DEVICE_dev_nvme1n1p4_ROLE=1\nMD_DEVICE_dev_nvme1n1p4_DEV=/dev/nvme1n1p4\n";

    #[test]
    fn a_running_array_says_what_it_is() {
        let detail = parse_detail(DETAIL).unwrap();
        assert_eq!(detail.level, "raid1");
        assert_eq!(detail.devices, 2);
        assert_eq!(detail.uuid, "4e1ba1c9:0f4ab0d7:ee6d8b37:0a1a1b62");
        assert_eq!(detail.members, ["/dev/nvme0n1p4", "/dev/nvme1n1p4"]);
        assert_eq!(parse_detail("MD_LEVEL=raid1\n").unwrap_err(), "it has no MD_DEVICES");
    }

    #[test]
    fn the_data_offset_is_in_sectors_of_512_bytes() {
        let sys = tempfile::tempdir().unwrap();
        let folder = sys.path().join("class/block/md126/md/dev-nvme0n1p4");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("offset"), "264192\n").unwrap();
        assert_eq!(data_offset(sys.path(), "md126", "nvme0n1p4").unwrap(), Bytes::mib(129));
        assert!(data_offset(sys.path(), "md126", "nvme1n1p4").is_err());
    }
}
