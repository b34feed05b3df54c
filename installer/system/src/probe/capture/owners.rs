//! What contents belong to, where their signature alone does not tell: members of arrays, physical volumes, earlier installations.

use std::fmt::Write as _;

use super::{Cmd, EARLIER, MDADM, Node, PVS, TOOL_TIMEOUT, Taker};
use crate::probe::lsblk;

/// Where an installation of ours says what it is, on its EFI system partitions (`sovereign_steps` writes it).
const STATE: &str = "/sovereign/install.json";
/// Columns of pvs.
const PV_COLUMNS: &str = "pv_name,pv_uuid,vg_name,vg_uuid,pv_count,vg_missing_pv_count";

/// Looks into what `disks` carry, as far as wipefs found something to look into. Nothing is assembled, activated or mounted:
/// mdadm and pvs read metadata, and grub-fstest reads a file system as a program of its own, without the kernel.
pub(super) fn take(taker: &mut Taker<'_>, disks: &[&Node]) {
    let found =
        crate::probe::disks::signatures(taker.captures.get(super::WIPEFS).unwrap_or_default()).unwrap_or_default();
    let nodes: Vec<&Node> = disks.iter().flat_map(|disk| std::iter::once(*disk).chain(disk.partitions())).collect();
    let with = |is: &dyn Fn(&str) -> bool| -> Vec<&str> {
        let carries = |node: &&Node| found.iter().any(|(_, s)| is(&s.kind) && node.is(&s.device));
        nodes.iter().copied().filter(carries).map(|node| node.path.as_str()).collect()
    };
    let members = with(&|kind| kind == "linux_raid_member");
    if !members.is_empty() {
        taker.devices(MDADM, "mdadm", &["--examine"], &members);
    }
    if !with(&|kind| kind == "LVM2_member").is_empty() {
        // Without locks, which would be files, and without the duplicates and repairs that need them.
        let args = ["--readonly", "--reportformat", "json", "--options", PV_COLUMNS];
        if let Some(text) = taker.tool(&Cmd::new("pvs", args).timeout(TOOL_TIMEOUT)) {
            taker.captures.insert(PVS, text);
        }
    }
    let fat = with(&|kind| kind == "vfat");
    let ours = nodes.iter().filter(|node| node.part_label.as_deref() == Some(lsblk::OUR_ESP));
    let mut states = String::new();
    for esp in ours.filter(|node| fat.contains(&node.path.as_str())) {
        // A partition of ours without the file is one of which nothing is known: no remark.
        let cmd = Cmd::new("grub-fstest", [esp.path.as_str(), "cat", STATE]).timeout(TOOL_TIMEOUT);
        if let Ok(output) = taker.runner.run(&cmd) {
            let state: Vec<&str> = output.stdout.split_whitespace().collect();
            let _ = writeln!(states, "{} {}", esp.path, state.join(" "));
        }
    }
    if !states.is_empty() {
        taker.captures.insert(EARLIER, states);
    }
}
