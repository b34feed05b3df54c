//! `user.cfg` and `datacenter.cfg`, which every node of a cluster shares.

use crate::names::{self, NameError};

/// XKB layout, and Proxmox's name of it for the consoles of guests. Those of Proxmox's own installer.
const KEYBOARDS: [(&str, &str); 24] = [
    ("be", "fr-be"),
    ("br", "pt-br"),
    ("ca", "fr-ca"),
    ("ch", "de-ch"),
    ("de", "de"),
    ("dk", "da"),
    ("es", "es"),
    ("fi", "fi"),
    ("fr", "fr"),
    ("gb", "en-gb"),
    ("hu", "hu"),
    ("is", "is"),
    ("it", "it"),
    ("jp", "ja"),
    ("lt", "lt"),
    ("mk", "mk"),
    ("nl", "nl"),
    ("no", "no"),
    ("pl", "pl"),
    ("pt", "pt"),
    ("se", "sv"),
    ("si", "sl"),
    ("tr", "tr"),
    ("us", "en-us"),
];

/// What Proxmox's installer writes for a layout that it has no name for (Proxmox/Install.pm).
const DEFAULT_KEYBOARD: &str = "en-us";

/// What is set for all nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Datacenter<'a> {
    /// The keyboard of who sits before a guest's console, an XKB layout such as `de`.
    pub keyboard: Option<&'a str>,
}

/// Proxmox's name of an XKB layout; none where Proxmox has no such keyboard.
pub fn keyboard(layout: &str) -> Option<&'static str> {
    KEYBOARDS.iter().find(|(xkb, _)| *xkb == layout).map(|(_, proxmox)| *proxmox)
}

/// `datacenter.cfg`, as Proxmox's installer writes it: a keyboard that it has no name for becomes an American one.
pub fn datacenter_cfg(datacenter: Datacenter<'_>) -> String {
    let name = datacenter.keyboard.map(|layout| keyboard(layout).unwrap_or(DEFAULT_KEYBOARD));
    name.map(|name| format!("keyboard: {name}\n")).unwrap_or_default()
}

/// `user.cfg` with the administrator alone, and where their mail goes. The fields: id, enabled, expiry (0: never), first and last
/// name, e-mail, comment, keys.
///
/// # Errors
/// The address does not fit into a field.
pub fn user_cfg(email: &str) -> Result<String, NameError> {
    names::email(email)?;
    Ok(format!("user:root@pam:1:0:::{email}::\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrator() {
        assert_eq!(user_cfg("admin@example.org").as_deref(), Ok("user:root@pam:1:0:::admin@example.org::\n"));
        assert!(user_cfg("a:b@example.org").is_err());
    }

    #[test]
    fn keyboards() {
        let cfg = |keyboard| datacenter_cfg(Datacenter { keyboard });
        assert_eq!(cfg(Some("de")), "keyboard: de\n");
        assert_eq!(cfg(Some("us")), "keyboard: en-us\n");
        assert_eq!(cfg(Some("ch")), "keyboard: de-ch\n");
        assert_eq!(cfg(Some("ru")), "keyboard: en-us\n");
        assert_eq!(cfg(None), "");
    }
}
