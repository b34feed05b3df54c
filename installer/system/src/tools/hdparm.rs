//! hdparm 9.65: SATA disks that erase themselves.

use std::time::Duration;

use sovereign_model::erase::SelfErase;

use crate::runner::{Cmd, RunError, Runner};

/// The password a disk gets for as long as it erases itself, which removes it. It protects nothing, for the disk is empty by then or
/// about to be: it only unlocks the command. Where a power cut leaves it set, everybody must be able to know it (docs/erasing.md).
const PASSWORD: &str = "sovereign";

/// Has a disk erase itself, and waits for it.
///
/// # Errors
/// [`RunError`]: where it is of the second command, the disk may be left with [`PASSWORD`].
pub fn security_erase(runner: &dyn Runner, device: &str, enhanced: bool, timeout: Duration) -> Result<(), RunError> {
    runner.run(&Cmd::new("hdparm", ["--user-master", "u", "--security-set-pass", PASSWORD, device]))?;
    let erase = if enhanced { "--security-erase-enhanced" } else { "--security-erase" };
    runner.run(&Cmd::new("hdparm", ["--user-master", "u", erase, PASSWORD, device]).timeout(timeout)).map(drop)
}

/// Asks a disk how it erases itself now.
///
/// # Errors
/// [`RunError`].
pub fn self_erase(runner: &dyn Runner, device: &str) -> Result<SelfErase, RunError> {
    Ok(parse_self_erase(&runner.run(&Cmd::new("hdparm", ["-I", device]))?.stdout))
}

/// Reads the section `Security:` of `hdparm -I`: a flag a line, behind `not` where it is not set.
pub fn parse_self_erase(text: &str) -> SelfErase {
    let section: Vec<&str> = text
        .lines()
        .skip_while(|line| line.trim() != "Security:")
        .skip(1)
        .take_while(|line| line.starts_with(char::is_whitespace))
        .map(str::trim)
        .collect();
    let has = |flag: &str| section.contains(&flag);
    let unable = |why: &str| SelfErase::Unable { why: why.to_owned() };
    if !has("supported") {
        return unable("the disk does not have ATA's security commands");
    }
    if has("locked") {
        return unable(
            "the disk is locked by a password, which an erase that a power cut ended leaves behind too: docs/erasing.md says how to \
             unlock it",
        );
    }
    if has("enabled") {
        return unable("the disk has a password: remove it first (docs/erasing.md says how)");
    }
    if has("frozen") {
        return unable(
            "the firmware has frozen the disk's security settings: pull its power plug and put it back while the machine runs, or \
             look for a setting of the firmware",
        );
    }
    let enhanced = has("supported: enhanced erase");
    // `118min for SECURITY ERASE UNIT. 120min for ENHANCED SECURITY ERASE UNIT.`, `more than 508min for ...`
    let command = if enhanced { "ENHANCED SECURITY ERASE UNIT" } else { "SECURITY ERASE UNIT" };
    let minutes = section.iter().flat_map(|line| line.split('.')).find_map(|time| {
        let (time, of) = time.trim().split_once("min for ")?;
        // "more than" is the largest number that the disk has room for: it does not say how long.
        if of == command && !time.contains("more than") { time.rsplit(' ').next()?.parse().ok() } else { None }
    });
    SelfErase::AtaSecurity { enhanced, minutes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    /// hdparm 9.65, `hdparm -I`, the end of what it prints for a SATA disk, with the security section's flags and times.
    fn printed(flags: &str, times: &str) -> String {
        format!(
            "\t   *\tSMART Command Transport (SCT) feature set\n\t   *\tSCT Features Control (AC4)\nSecurity: \n\
             \tMaster password revision code = 65534\n{flags}\tnot\texpired: security count\n{times}\
             Logical Unit WWN Device Identifier: 5000c500a1b2c3d4\n\tNAA\t\t: 5\nChecksum: correct\n"
        )
    }

    const FREE: &str = "\t\tsupported\n\tnot\tenabled\n\tnot\tlocked\n\tnot\tfrozen\n";

    #[test]
    fn a_disk_says_whether_it_erases_itself_and_how_long_that_takes() {
        let both = "\t\tsupported: enhanced erase\n\t172min for SECURITY ERASE UNIT. 174min for ENHANCED SECURITY ERASE UNIT.\n";
        let parse = |flags, times| parse_self_erase(&printed(flags, times));
        assert_eq!(parse(FREE, both), SelfErase::AtaSecurity { enhanced: true, minutes: Some(174) });
        let plain = "\tnot\tsupported: enhanced erase\n\t90min for SECURITY ERASE UNIT.\n";
        assert_eq!(parse(FREE, plain), SelfErase::AtaSecurity { enhanced: false, minutes: Some(90) });
        let long = "\t\tsupported: enhanced erase\n\tmore than 508min for SECURITY ERASE UNIT. more than 508min for ENHANCED SECURITY ERASE UNIT.\n";
        assert_eq!(parse(FREE, long), SelfErase::AtaSecurity { enhanced: true, minutes: None });
        assert_eq!(parse(FREE, ""), SelfErase::AtaSecurity { enhanced: false, minutes: None });
    }

    #[test]
    fn a_disk_that_would_not_take_the_command_is_known_before() {
        let refused = |flags: &str, word: &str| match parse_self_erase(&printed(flags, "")) {
            SelfErase::Unable { why } => assert!(why.contains(word), "{why}"),
            other => panic!("{flags}: {other:?}"),
        };
        refused("\t\tsupported\n\tnot\tenabled\n\tnot\tlocked\n\t\tfrozen\n", "frozen");
        refused("\t\tsupported\n\t\tenabled\n\tnot\tlocked\n\tnot\tfrozen\n", "has a password");
        refused("\t\tsupported\n\t\tenabled\n\t\tlocked\n\tnot\tfrozen\n", "locked");
        refused("\tnot\tsupported\n", "does not have");
        // hdparm 9.65 on QEMU 7.2's disk prints no such section.
        assert!(matches!(parse_self_erase("/dev/sda:\n\nATA device\nChecksum: correct\n"), SelfErase::Unable { .. }));
        // What is said in another section is not meant.
        assert!(matches!(parse_self_erase("Other:\n\t\tsupported\n"), SelfErase::Unable { .. }));
    }

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        security_erase(&runner, "/dev/sda", true, Duration::from_secs(60)).unwrap();
        security_erase(&runner, "/dev/sdb", false, Duration::from_secs(60)).unwrap();
        self_erase(&runner, "/dev/sda").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "hdparm --user-master u --security-set-pass sovereign /dev/sda",
                "hdparm --user-master u --security-erase-enhanced sovereign /dev/sda",
                "hdparm --user-master u --security-set-pass sovereign /dev/sdb",
                "hdparm --user-master u --security-erase sovereign /dev/sdb",
                "hdparm -I /dev/sda",
            ]
        );
    }

    #[test]
    fn a_disk_that_takes_no_password_is_not_erased() {
        let runner = Recorder::new().fails(
            "hdparm --user-master u --security-set-pass",
            5,
            "SECURITY_SET_PASS: Input/output error",
        );
        assert!(security_erase(&runner, "/dev/sda", true, Duration::from_secs(60)).is_err());
        assert_eq!(runner.lines().len(), 1);
    }
}
