//! Files of systemd.link that pin the names of network cards, where Proxmox's installer and `pve-network-interface-pinning` keep them.

use crate::names::{self, NameError};

/// A file that pins a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFile {
    /// Its path.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Pins a name to the card with a MAC address. `Type=ether` leaves out bridges and VLANs, which have their port's address.
///
/// # Errors
/// Either is none.
pub fn link(name: &str, mac: &str) -> Result<LinkFile, NameError> {
    names::interface(name)?;
    let mac = names::mac(mac)?;
    Ok(LinkFile {
        path: format!("/usr/local/lib/systemd/network/50-pmx-{name}.link"),
        text: format!("[Match]\nMACAddress={mac}\nType=ether\n\n[Link]\nName={name}\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card() {
        let file = link("nic0", "52:54:00:AB:CD:01").unwrap();
        assert_eq!(file.path, "/usr/local/lib/systemd/network/50-pmx-nic0.link");
        assert_eq!(file.text, "[Match]\nMACAddress=52:54:00:ab:cd:01\nType=ether\n\n[Link]\nName=nic0\n");
        assert!(link("../x", "52:54:00:ab:cd:01").is_err() && link("nic0", "x").is_err());
    }
}
