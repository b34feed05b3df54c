//! LVM 2.03: physical volumes, volume groups, thick volumes, thin pools.

use std::time::Duration;

use serde::Deserialize;
use sovereign_model::Bytes;

use crate::runner::{Cmd, RunError, Runner};

/// Creating a pool zeroes its metadata, which takes its time on slow disks.
const POOL_TIMEOUT: Duration = Duration::from_secs(300);

/// Extents start at 1 MiB (`devices/default_data_alignment`), as the plan says, and not at the first multiple of the array's stripe after
/// it: 1.5 MiB on a RAID 10 of six disks, which costs the last extent and aligns nothing, for an extent is no multiple of that stripe.
const ALIGNMENT: &str = "devices { md_chunk_alignment=0 data_alignment_detection=0 data_alignment_offset_detection=0 default_data_alignment=1 }";

/// Makes `device` a physical volume, whatever was on it.
///
/// # Errors
/// [`RunError`].
pub fn pvcreate(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("pvcreate", ["--config", ALIGNMENT, "--force", "--force", "--yes", device])).map(drop)
}

/// Makes a volume group on one physical volume.
///
/// # Errors
/// [`RunError`].
pub fn vgcreate(runner: &dyn Runner, group: &str, extent: Bytes, device: &str) -> Result<(), RunError> {
    let extent = format!("{}k", extent.get() / 1024);
    runner.run(&Cmd::new("vgcreate", ["--physicalextentsize", &extent, group, device])).map(drop)
}

/// Makes a thick volume of `extents`.
///
/// # Errors
/// [`RunError`].
pub fn lvcreate(runner: &dyn Runner, group: &str, name: &str, extents: u64) -> Result<(), RunError> {
    let extents = extents.to_string();
    let args = ["--yes", "--wipesignatures", "y", "--zero", "y", "--extents", &extents, "--name", name, group];
    runner.run(&Cmd::new("lvcreate", args)).map(drop)
}

/// Makes a thick volume of `extents` for a guest. Its extents hold noise, for the container below them is new: nothing is wiped.
///
/// # Errors
/// [`RunError`].
pub fn lvcreate_fresh(runner: &dyn Runner, group: &str, name: &str, extents: u64) -> Result<(), RunError> {
    let extents = extents.to_string();
    let args = ["--yes", "--wipesignatures", "n", "--zero", "n", "--extents", &extents, "--name", name, group];
    runner.run(&Cmd::new("lvcreate", args)).map(drop)
}

/// What a thin pool is made with.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Volume group.
    pub group: &'a str,
    /// Name.
    pub name: &'a str,
    /// Extents of data.
    pub extents: u64,
    /// Chunk. Always given: LVM's own choice grows with the pool, to 8 MiB at 12 TB.
    pub chunk: Bytes,
    /// Length of the metadata; the spare takes as much again.
    pub metadata: Bytes,
    /// Profile in /etc/lvm/profile that says when the pool grows.
    pub profile: &'a str,
}

/// Makes a thin pool with its metadata and the group's metadata spare.
///
/// # Errors
/// [`RunError`].
pub fn create_pool(runner: &dyn Runner, pool: &Pool<'_>) -> Result<(), RunError> {
    let extents = pool.extents.to_string();
    let chunk = format!("{}k", pool.chunk.get() / 1024);
    let metadata = format!("{}k", pool.metadata.get() / 1024);
    let args = [
        // By default all of the metadata is zeroed, a GiB with the spare; the kernel formats what it uses by itself.
        "--config",
        "allocation/zero_metadata=0",
        "--yes",
        "--type",
        "thin-pool",
        "--extents",
        &extents,
        "--chunksize",
        &chunk,
        "--poolmetadatasize",
        &metadata,
        "--poolmetadataspare",
        "y",
        "--zero",
        "y",
        "--discards",
        "passdown",
        "--metadataprofile",
        pool.profile,
        "--name",
        pool.name,
        pool.group,
    ];
    runner.run(&Cmd::new("lvcreate", args).timeout(POOL_TIMEOUT))?;
    // lvcreate 2.03.31 documents the option for thin pools and refuses it there.
    let volume = format!("{}/{}", pool.group, pool.name);
    runner.run(&Cmd::new("lvchange", ["--errorwhenfull", "y", &volume])).map(drop)
}

/// Activates a group's volumes.
///
/// # Errors
/// [`RunError`].
pub fn activate(runner: &dyn Runner, group: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("vgchange", ["--activate", "y", group]).timeout(POOL_TIMEOUT)).map(drop)
}

/// Deactivates a group's volumes.
///
/// # Errors
/// [`RunError`]: most often a volume is in use.
pub fn deactivate(runner: &dyn Runner, group: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("vgchange", ["--activate", "n", group])).map(drop)
}

/// A volume group as `vgs` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Group {
    /// Name.
    #[serde(rename = "vg_name")]
    pub name: String,
    /// Extent size in bytes.
    #[serde(rename = "vg_extent_size", deserialize_with = "number")]
    pub extent: u64,
    /// Extents in all.
    #[serde(rename = "vg_extent_count", deserialize_with = "number")]
    pub extents: u64,
    /// Unallocated extents.
    #[serde(rename = "vg_free_count", deserialize_with = "number")]
    pub free: u64,
}

/// A logical volume, hidden ones too, as `lvs --all` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Logical {
    /// Name; hidden volumes stand in brackets, such as `[data_tmeta]`.
    #[serde(rename = "lv_name")]
    pub name: String,
    /// Length in bytes.
    #[serde(rename = "lv_size", deserialize_with = "number")]
    pub size: u64,
    /// Layout such as `linear` or `thin,pool`.
    #[serde(rename = "lv_layout")]
    pub layout: String,
    /// Chunk size in bytes; 0 for volumes that have none.
    #[serde(rename = "chunk_size", deserialize_with = "number")]
    pub chunk: u64,
    /// `error` or `queue` for a thin pool, else empty.
    #[serde(rename = "lv_when_full")]
    pub when_full: String,
    /// Ten letters, as lvs(8) explains them: the second is the permission, the fifth the state.
    #[serde(rename = "lv_attr")]
    pub attributes: String,
}

/// A physical volume as `pvs` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Physical {
    /// Device node.
    #[serde(rename = "pv_name")]
    pub device: String,
    /// Its group; empty where it has none.
    #[serde(rename = "vg_name")]
    pub group: String,
    /// UUID of its group: two groups may have one name. Empty where it has none.
    #[serde(rename = "vg_uuid")]
    pub group_id: String,
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(0) } else { text.parse().map_err(serde::de::Error::custom) }
}

/// What there is to know of one group.
///
/// # Errors
/// [`RunError`]; also where there is no such group.
pub fn group(runner: &dyn Runner, name: &str) -> Result<Group, RunError> {
    let options = "vg_name,vg_extent_size,vg_extent_count,vg_free_count";
    let cmd = report("vgs", &["--options", options, name]);
    let groups = parse_report(&runner.run(&cmd)?.stdout, "vg");
    groups
        .and_then(|mut g: Vec<Group>| g.pop().ok_or_else(|| "it is empty".to_owned()))
        .map_err(|reason| RunError::Unexpected { line: cmd.line(), reason })
}

/// The volumes of a group, hidden ones too.
///
/// # Errors
/// [`RunError`].
pub fn volumes(runner: &dyn Runner, group: &str) -> Result<Vec<Logical>, RunError> {
    let cmd =
        report("lvs", &["--all", "--options", "lv_name,lv_size,lv_layout,chunk_size,lv_when_full,lv_attr", group]);
    parse_report(&runner.run(&cmd)?.stdout, "lv").map_err(|reason| RunError::Unexpected { line: cmd.line(), reason })
}

/// All physical volumes the machine has.
///
/// # Errors
/// [`RunError`].
pub fn physical_volumes(runner: &dyn Runner) -> Result<Vec<Physical>, RunError> {
    let cmd = report("pvs", &["--options", "pv_name,vg_name,vg_uuid"]);
    parse_report(&runner.run(&cmd)?.stdout, "pv").map_err(|reason| RunError::Unexpected { line: cmd.line(), reason })
}

fn report(program: &str, args: &[&str]) -> Cmd {
    let head = ["--reportformat", "json", "--units", "b", "--nosuffix"];
    Cmd::new(program, head.iter().chain(args).copied())
}

/// Reads `--reportformat json` of lvm 2.03: `{"report": [{"vg": [ .. ]}]}`.
fn parse_report<T: serde::de::DeserializeOwned>(text: &str, kind: &str) -> Result<Vec<T>, String> {
    let mut whole: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let rows = whole.pointer_mut(&format!("/report/0/{kind}")).map(serde_json::Value::take);
    serde_json::from_value(rows.ok_or_else(|| format!("it has no report of kind `{kind}`"))?).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        pvcreate(&runner, "/dev/mapper/luks-ssd").unwrap();
        vgcreate(&runner, "pve", Bytes::mib(4), "/dev/mapper/luks-ssd").unwrap();
        lvcreate(&runner, "pve", "root", 9537).unwrap();
        lvcreate_fresh(&runner, "bulk", "vm-102-disk-2", 7).unwrap();
        let chunk = Bytes(128 * 1024);
        let metadata = Bytes::mib(512);
        let pool = Pool { group: "pve", name: "data", extents: 106_508, chunk, metadata, profile: "sovereign-fixed" };
        create_pool(&runner, &pool).unwrap();
        activate(&runner, "pve").unwrap();
        deactivate(&runner, "pve").unwrap();
        assert_eq!(
            runner.lines(),
            [
                &format!("pvcreate --config '{ALIGNMENT}' --force --force --yes /dev/mapper/luks-ssd"),
                "vgcreate --physicalextentsize 4096k pve /dev/mapper/luks-ssd",
                "lvcreate --yes --wipesignatures y --zero y --extents 9537 --name root pve",
                "lvcreate --yes --wipesignatures n --zero n --extents 7 --name vm-102-disk-2 bulk",
                "lvcreate --config allocation/zero_metadata=0 --yes --type thin-pool --extents 106508 --chunksize 128k --poolmetadatasize 524288k \
                 --poolmetadataspare y --zero y --discards passdown --metadataprofile sovereign-fixed --name data pve",
                "lvchange --errorwhenfull y pve/data",
                "vgchange --activate y pve",
                "vgchange --activate n pve",
            ]
        );
    }

    #[test]
    fn reports_are_read() {
        // lvm 2.03.31, `vgs --reportformat json --units b --nosuffix --options .. pve`
        let vgs = r#"  { "report": [ { "vg": [ {"vg_name":"pve", "vg_extent_size":"4194304", "vg_extent_count":"121547",
            "vg_free_count":"5246"} ] } ] , "log": [ ] }"#;
        let group = super::group(&Recorder::new().prints("vgs", vgs), "pve").unwrap();
        assert_eq!((group.extents, group.free, group.extent), (121_547, 5246, 4_194_304));
        let lvs = r#"{ "report": [ { "lv": [
            {"lv_name":"data","lv_size":"446726930432","lv_layout":"thin,pool","chunk_size":"131072","lv_when_full":"error","lv_attr":"twi-a-tz--"},
            {"lv_name":"[lvol0_pmspare]","lv_size":"536870912","lv_layout":"linear","chunk_size":"0","lv_when_full":"","lv_attr":"ewi-------"}
            ] } ] }"#;
        let runner = Recorder::new().prints("lvs", lvs);
        let volumes = volumes(&runner, "pve").unwrap();
        assert_eq!(volumes[0].chunk, 131_072);
        assert_eq!(volumes[1].name, "[lvol0_pmspare]");
        assert_eq!(
            runner.lines()[0],
            "lvs --reportformat json --units b --nosuffix --all --options lv_name,lv_size,lv_layout,chunk_size,lv_when_full,lv_attr \
             pve"
        );
        let nothing = Recorder::new().prints("vgs", "{}");
        assert!(matches!(super::group(&nothing, "pve"), Err(RunError::Unexpected { .. })));
    }
}
