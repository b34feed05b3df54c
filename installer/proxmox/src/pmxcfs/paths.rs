//! What a path means to pmxcfs.

use crate::names;

use super::GUEST_DIRECTORIES;

/// A directory in which pmxcfs looks for guests: `nodes/N/qemu-server` and its like.
pub(super) fn is_guest_directory(path: &str) -> bool {
    let mut parts = path.split('/');
    let (nodes, node, directory, end) = (parts.next(), parts.next(), parts.next(), parts.next());
    nodes == Some("nodes")
        && node.is_some_and(names::is_node)
        && directory.is_some_and(|directory| GUEST_DIRECTORIES.contains(&directory))
        && end.is_none()
}

/// The number of the guest whose configuration a file is, as pmxcfs reads it: a decimal number without leading zero below 2^32,
/// and `.conf`.
pub(super) fn vmid(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".conf")?;
    let fits = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| fits)
}

/// The node `nodes/N`.
pub(super) fn node(path: &str) -> Option<&str> {
    path.strip_prefix("nodes/").filter(|name| !name.contains('/'))
}

/// Directory and name of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether what is in a file is nobody else's business: private keys, tokens, passwords.
pub(super) fn is_secret(path: &str) -> bool {
    // pve-www.key and nodes/N/pve-ssl.key are private keys outside `priv`; a file `subscription` begins with the key.
    path.split('/').any(|part| part == "priv") || path.strip_suffix(".key").is_some() || split(path).1 == "subscription"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_recognised_as_pmxcfs_does() {
        assert_eq!(vmid("100.conf"), Some(100));
        assert_eq!(vmid("7.conf"), Some(7));
        for name in ["0100.conf", "100", "100.cfg", "100.conf.tmp", "+100.conf", "4294967296.conf", ".conf", "0.conf"] {
            assert_eq!(vmid(name), None, "{name}");
        }
        assert!(is_guest_directory("nodes/n1/qemu-server") && is_guest_directory("nodes/n1/lxc"));
        for path in ["nodes/n1", "nodes/n1/priv", "qemu-server", "nodes/n_1/lxc", "nodes/n1/lxc/deep", "x/n1/lxc"] {
            assert!(!is_guest_directory(path), "{path}");
        }
    }

    #[test]
    fn secrets() {
        for path in ["priv/shadow.cfg", "nodes/n/priv/x", "nodes/n/pve-ssl.key", "pve-www.key", "priv", "subscription"]
        {
            assert!(is_secret(path), "{path}");
        }
        assert!(!is_secret("privy/x") && !is_secret("authkey.pub"));
    }
}
