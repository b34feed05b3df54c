//! Cables between two machines: networks that have nobody else on them.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::disk::escape;
use crate::failure::OrFail;
use crate::host::{self, HostError, Lock};

/// Which of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The one that is switched on first.
    First,
    /// The one that is switched on while the first runs.
    Second,
}

/// Some cables between two machines. While they live no other test runs two machines.
#[derive(Debug)]
pub struct Cables {
    folder: TempDir,
    count: usize,
    _pair: Lock,
}

impl Cables {
    /// So many cables; waits for its turn if another test runs two machines.
    #[track_caller]
    pub fn lay(count: usize) -> Self {
        let pair = host::vm_pair().or_fail();
        // Unix sockets have short paths only.
        let folder = tempfile::Builder::new().prefix("sovereign-cables-").tempdir();
        let folder =
            folder.map_err(|source| HostError::file("create a folder in", &std::env::temp_dir(), source)).or_fail();
        Self { folder, count, _pair: pair }
    }

    /// What a machine is plugged in by.
    pub(crate) fn plugs(&self, end: End) -> Vec<Plug> {
        (0..self.count).map(|cable| Plug { socket: self.folder.path().join(cable.to_string()), end, cable }).collect()
    }
}

/// MAC address of the card at this end of a cable, from 0.
pub fn mac(end: End, cable: usize) -> String {
    format!("52:54:00:50:{}:{cable:02x}", if end == End::First { "57" } else { "58" })
}

/// One end of a cable.
#[derive(Debug, Clone)]
pub(crate) struct Plug {
    socket: PathBuf,
    end: End,
    cable: usize,
}

impl Plug {
    /// A paravirtual card with the cable in it; cards have their order on the bus.
    pub(crate) fn arguments(&self) -> [String; 4] {
        let Self { socket, end, cable } = self;
        let server = if *end == End::First { "on" } else { "off" };
        let address = format!("{:#x}", 0x9 + cable);
        [
            "-netdev".to_owned(),
            format!("stream,id=cable{cable},server={server},addr.type=unix,addr.path={}", escape(socket)),
            "-device".to_owned(),
            format!("virtio-net-pci,netdev=cable{cable},mac={},addr={address},romfile=", mac(*end, *cable)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_waits_for_the_other_and_no_two_cards_have_one_address() {
        let plug = |end, cable| Plug { socket: "/tmp/a".into(), end, cable }.arguments();
        assert_eq!(plug(End::First, 0)[1], "stream,id=cable0,server=on,addr.type=unix,addr.path=/tmp/a");
        assert_eq!(plug(End::Second, 1)[1], "stream,id=cable1,server=off,addr.type=unix,addr.path=/tmp/a");
        assert_eq!(plug(End::Second, 1)[3], "virtio-net-pci,netdev=cable1,mac=52:54:00:50:58:01,addr=0xa,romfile=");
        let macs = [mac(End::First, 0), mac(End::First, 1), mac(End::Second, 0), mac(End::Second, 1)];
        assert_eq!(macs.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }
}
