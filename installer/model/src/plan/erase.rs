//! Disks that are to erase themselves: which of them cannot, or would erase more than was agreed to.

use crate::erase::{SelfErase, nvme_controller};
use crate::inventory::{Disk, Transport};
use crate::plan::identity::named;
use crate::plan::refusal::Reason;
use crate::plan::transport_name;

/// What speaks against a chosen disk; `others` are those that were not chosen.
pub(super) fn refusal(disk: &Disk, others: &[&Disk]) -> Option<Reason> {
    let erase = match &disk.self_erase {
        Some(SelfErase::Unable { why }) => return Some(cannot(disk, why.clone())),
        None => return Some(cannot(disk, unasked(disk.transport))),
        Some(erase) => erase,
    };
    let drive = nvme_controller(&disk.kernel_name).filter(|_| erase.is_of_whole_drive())?;
    let other = others.iter().find(|other| nvme_controller(&other.kernel_name) == Some(drive))?;
    Some(Reason::ErasesMore { chosen: named(disk), other: named(other) })
}

fn cannot(disk: &Disk, why: String) -> Reason {
    Reason::CannotErase { disk: named(disk), why }
}

fn unasked(transport: Transport) -> String {
    match transport {
        Transport::Nvme | Transport::Sata => {
            "it gave no answer to the question how it erases itself (`nvme id-ctrl`, `hdparm -I`)".to_owned()
        }
        other => format!(
            "it is attached by {}, and only disks attached by nvme or sata are known to erase themselves",
            transport_name(other)
        ),
    }
}
