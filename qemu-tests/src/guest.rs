//! What scenarios ask an installed machine: arrays, containers, volumes; guest knowledge is data here, parsed from the tools'
//! machine-readable output.

use std::time::Duration;

use serde_json::Value;

use crate::shell::Shell;

/// From the login prompt to the first boot's report: it waits for the bulk container and the network.
pub const REPORT_TIMEOUT: Duration = Duration::from_secs(420);

/// The first boot's report, once it is there.
#[track_caller]
pub fn first_boot_report(shell: &Shell<'_>) -> Value {
    let file = "/var/lib/sovereign/first-boot.json";
    shell.wait_until(&format!("test -s {file} && echo there"), "there", REPORT_TIMEOUT);
    shell.keep(file, "first-boot.json");
    shell.json(&format!("cat {file}"))
}

/// Whether a report of the first boot says that this is as planned.
pub fn is_ok(report: &Value, what: &str) -> bool {
    let mut findings = report["findings"].as_array().into_iter().flatten();
    findings.any(|finding| finding["what"] == what && finding["state"] == "ok")
}

/// No unit has failed; one that has says why.
#[track_caller]
pub fn assert_no_failed_unit(shell: &Shell<'_>) {
    let failed = shell.ok("systemctl --failed --plain --no-legend | cut -d' ' -f1");
    let why = shell.run("for unit in $(systemctl --failed --plain --no-legend | cut -d' ' -f1); do journalctl -b --no-pager -u $unit; done");
    assert_eq!(failed.trim(), "", "units have failed:\n{}", why.stdout);
}

/// An array as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Such as `raid1`.
    pub level: String,
    /// One letter a member: `UU`, `_U`.
    pub members: String,
    /// What it is doing: `resync = 1.2%`, `recovery = ...`, or nothing.
    pub activity: Option<String>,
}

/// A logical volume; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// `linear`, `thin-pool`, ...
    pub kind: String,
    /// Size of the volume, of a pool's data.
    pub size_bytes: u64,
    /// Chunk of a thin pool; 0 for other volumes.
    pub chunk_bytes: u64,
    /// Size of a thin pool's metadata; 0 for other volumes.
    pub metadata_bytes: u64,
    /// What a full pool does: `error` or `queue`; nothing for other volumes.
    pub when_full: String,
}

/// A volume group, in extents of 4 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// All extents.
    pub extents: u64,
    /// Those not given to any volume.
    pub free_extents: u64,
    /// Size of one, in bytes.
    pub extent_bytes: u64,
}

/// The array `/dev/md/<name>`.
#[track_caller]
pub fn array(shell: &Shell<'_>, name: &str) -> Array {
    let kernel_name = shell.ok(&format!("basename $(readlink -f /dev/md/{name})"));
    let mdstat = shell.ok("cat /proc/mdstat");
    match parse_mdstat(&mdstat, kernel_name.trim()) {
        Some(array) => array,
        None => panic!("/proc/mdstat has no running array {}:\n{mdstat}", kernel_name.trim()),
    }
}

/// Reads one array of `/proc/mdstat`.
fn parse_mdstat(mdstat: &str, kernel_name: &str) -> Option<Array> {
    let mut lines = mdstat.lines().skip_while(|line| !line.starts_with(&format!("{kernel_name} : active")));
    let level = lines.next()?.split_whitespace().find(|word| word.starts_with("raid"))?.to_owned();
    let block: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).collect();
    let members =
        block.iter().find_map(|line| line.rsplit_once('[')?.1.strip_suffix(']').filter(|m| m.contains(['U', '_'])))?;
    let activity =
        block.iter().find(|line| line.contains("resync") || line.contains("recovery") || line.contains("reshape"));
    Some(Array { level, members: members.to_owned(), activity: activity.map(|line| line.trim().to_owned()) })
}

/// A logical volume, `None` where the machine does not have it.
#[track_caller]
pub fn volume(shell: &Shell<'_>, group: &str, name: &str) -> Option<Volume> {
    let report = shell.json(
        "lvs --reportformat json --units b --nosuffix -o vg_name,lv_name,segtype,lv_size,chunk_size,lv_metadata_size,lv_when_full",
    );
    parse_volume(&report, group, name)
}

fn parse_volume(report: &Value, group: &str, name: &str) -> Option<Volume> {
    let row =
        report["report"][0]["lv"].as_array()?.iter().find(|row| row["vg_name"] == group && row["lv_name"] == name)?;
    Some(Volume {
        kind: text(row, "segtype"),
        size_bytes: number(row, "lv_size"),
        chunk_bytes: number(row, "chunk_size"),
        metadata_bytes: number(row, "lv_metadata_size"),
        when_full: text(row, "lv_when_full"),
    })
}

/// A volume group, `None` where the machine does not have it.
#[track_caller]
pub fn group(shell: &Shell<'_>, name: &str) -> Option<Group> {
    let report = shell
        .json("vgs --reportformat json --units b --nosuffix -o vg_name,vg_extent_count,vg_free_count,vg_extent_size");
    let rows = report["report"][0]["vg"].as_array()?;
    let row = rows.iter().find(|row| row["vg_name"] == name)?;
    Some(Group {
        extents: number(row, "vg_extent_count"),
        free_extents: number(row, "vg_free_count"),
        extent_bytes: number(row, "vg_extent_size"),
    })
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// LVM prints numbers as strings, and nothing for a number that a volume does not have.
fn number(row: &Value, key: &str) -> u64 {
    row[key].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A LUKS2 container's metadata, as `cryptsetup luksDump --dump-json-metadata` prints it.
#[track_caller]
pub fn luks(shell: &Shell<'_>, device: &str) -> Value {
    shell.json(&format!("cryptsetup luksDump --dump-json-metadata {device}"))
}

/// Asserts that the container has 4096-byte sectors, AES-XTS with a 512-bit key, the data at 16 MiB, and these key derivations,
/// in the order of the slots.
#[track_caller]
pub fn assert_luks(shell: &Shell<'_>, device: &str, kdfs: &[&str]) {
    let dump = luks(shell, device);
    let segment = &dump["segments"]["0"];
    assert_eq!(segment["sector_size"], 4096, "{device}: {dump:#}");
    assert_eq!(segment["encryption"], "aes-xts-plain64", "{device}: {dump:#}");
    assert_eq!(segment["offset"], "16777216", "{device}: {dump:#}");
    let slots: Vec<&Value> = dump["keyslots"].as_object().map(|slots| slots.values().collect()).unwrap_or_default();
    let found: Vec<&str> = slots.iter().filter_map(|slot| slot["kdf"]["type"].as_str()).collect();
    assert_eq!(found, kdfs, "{device}: {dump:#}");
    assert!(slots.iter().all(|slot| slot["key_size"] == 64), "{device}: {dump:#}");
}

/// Kernel names of the members of the array `/dev/md/<name>`, such as `nvme0n1p4`, sorted.
#[track_caller]
pub fn members(shell: &Shell<'_>, name: &str) -> Vec<String> {
    let list = shell.ok(&format!("ls -1 /sys/block/$(basename $(readlink -f /dev/md/{name}))/slaves"));
    list.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cat /proc/mdstat`, kernel 6.12, RAID 1 whole, RAID 10 with one member missing and the rest syncing.
    const MDSTAT: &str = "Personalities : [raid1] [raid10] 
md125 : active raid10 sda1[0] sdb1[1] sdc1[2]
      11720777728 blocks super 1.2 512K chunks 2 near-copies [4/3] [UUU_]
      [>....................]  resync =  0.1% (11720777/11720777728) finish=540.1min speed=180000K/sec
      bitmap: 88/88 pages [352KB], 65536KB chunk

md126 : active (auto-read-only) raid1 nvme0n1p4[0] nvme1n1p4[1]
      497875968 blocks super 1.2 [2/2] [UU]
      bitmap: 0/4 pages [0KB], 65536KB chunk

md1 : inactive sdd1[3](S)
      5860386008 blocks super 1.2

unused devices: <none>
";

    #[test]
    fn mdstat_is_read_by_array() {
        let ssd = parse_mdstat(MDSTAT, "md126").unwrap();
        assert_eq!(ssd, Array { level: "raid1".into(), members: "UU".into(), activity: None });
        let hdd = parse_mdstat(MDSTAT, "md125").unwrap();
        assert_eq!((hdd.level.as_str(), hdd.members.as_str()), ("raid10", "UUU_"));
        assert!(hdd.activity.unwrap().contains("resync =  0.1%"));
        assert_eq!(parse_mdstat(MDSTAT, "md1"), None);
        assert_eq!(parse_mdstat(MDSTAT, "md12"), None);
    }

    #[test]
    fn a_pool_is_read_from_lvs() {
        // lvs 2.03.31 with the options above.
        let report = serde_json::json!({"report": [{"lv": [
            {"vg_name": "pve", "lv_name": "root", "segtype": "linear", "lv_size": "40001077248", "chunk_size": "0",
             "lv_metadata_size": "", "lv_when_full": ""},
            {"vg_name": "pve", "lv_name": "data", "segtype": "thin-pool", "lv_size": "446726930432", "chunk_size": "131072",
             "lv_metadata_size": "536870912", "lv_when_full": "error"}]}], "log": []});
        let pool = parse_volume(&report, "pve", "data").unwrap();
        assert_eq!((pool.size_bytes, pool.chunk_bytes, pool.metadata_bytes), (446_726_930_432, 131_072, 536_870_912));
        assert_eq!(parse_volume(&report, "bulk", "data"), None);
    }
}
