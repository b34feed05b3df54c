//! How a disk erases itself: what it was asked by `nvme id-ctrl` and `hdparm -I`.

use std::time::Duration;

use sovereign_model::erase::SelfErase;

use super::captures::Captures;
use super::lsblk::Node;
use crate::runner::{Cmd, Runner};
use crate::tools::{hdparm, nvme};

/// `nvme id-ctrl`, JSON, of the disk of this kernel name.
fn id_ctrl(disk: &str) -> String {
    format!("nvme/{disk}/id-ctrl.json")
}

/// `nvme sanitize-log`, JSON, of the disk of this kernel name.
fn sanitize_log(disk: &str) -> String {
    format!("nvme/{disk}/sanitize-log.json")
}

/// `hdparm -I` of the disk of this kernel name.
fn identify(disk: &str) -> String {
    format!("ata/{disk}/identify.txt")
}

/// How the disk erases itself; `None` where it was not asked, or gave no answer.
pub(super) fn parse(captures: &Captures, disk: &str) -> Option<SelfErase> {
    if let Some(text) = captures.get(&id_ctrl(disk)) {
        let erase = nvme::parse_self_erase(text, captures.get(&sanitize_log(disk)));
        let unread =
            |reason| SelfErase::Unable { why: format!("what it says of itself cannot be understood: {reason}") };
        return Some(erase.unwrap_or_else(unread));
    }
    captures.get(&identify(disk)).map(hdparm::parse_self_erase)
}

/// Asks a disk. One that does not answer is one that cannot erase itself, which is worth no remark: few sites ask for that.
pub(super) fn ask(runner: &dyn Runner, disk: &Node, timeout: Duration, captures: &mut Captures) {
    let mut take = |name: String, program: &str, args: &[&str]| {
        let cmd = Cmd::new(program, args.iter().copied()).timeout(timeout);
        let answer = runner.run(&cmd).ok().map(|output| output.stdout);
        if let Some(text) = answer.filter(|text| !text.trim().is_empty()) {
            captures.insert(name, text);
        }
    };
    match disk.tran.as_deref() {
        Some("nvme" | "pcie") => {
            take(id_ctrl(&disk.kname), "nvme", &["id-ctrl", &disk.path, "--output-format=json"]);
            // A drive that does not sanitize itself has no such log.
            take(sanitize_log(&disk.kname), "nvme", &["sanitize-log", &disk.path, "--output-format=json"]);
        }
        Some("sata" | "ata" | "ide") => take(identify(&disk.kname), "hdparm", &["-I", &disk.path]),
        _ => {}
    }
}
