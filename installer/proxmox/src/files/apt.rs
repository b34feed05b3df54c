//! APT's sources for updates, in the deb822 form.
//!
//! pve-manager brings `pve-enterprise.sources` along as a configuration file. Without a subscription every `apt update` fails on
//! it, and deleting it would make dpkg ask at the next update: it is switched off instead. No source of Ceph is written.

/// Suite of Proxmox VE 9: Debian 13's.
const SUITE: &str = "trixie";

/// Where proxmox-archive-keyring puts the key of Proxmox's releases.
const KEYRING: &str = "/usr/share/keyrings/proxmox-archive-keyring.gpg";

/// Where updates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repository {
    /// Proxmox's enterprise repository; needs a subscription.
    Enterprise,
    /// Proxmox's repository without a subscription.
    NoSubscription,
    /// Nowhere: the node is not updated over the network.
    None,
}

/// A file of APT's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path.
    pub path: &'static str,
    /// What is in it.
    pub text: String,
}

/// The files to write for a choice; each replaces one of its name.
pub fn apt_sources(repository: Repository) -> Vec<SourceFile> {
    let enterprise =
        stanza("https://enterprise.proxmox.com/debian/pve", "pve-enterprise", repository == Repository::Enterprise);
    let mut files = vec![SourceFile { path: "/etc/apt/sources.list.d/pve-enterprise.sources", text: enterprise }];
    if repository == Repository::NoSubscription {
        let text = stanza("http://download.proxmox.com/debian/pve", "pve-no-subscription", true);
        files.push(SourceFile { path: "/etc/apt/sources.list.d/proxmox.sources", text });
    }
    files
}

fn stanza(uri: &str, component: &str, enabled: bool) -> String {
    let enabled = if enabled { "" } else { "Enabled: no\n" };
    format!("{enabled}Types: deb\nURIs: {uri}\nSuites: {SUITE}\nComponents: {component}\nSigned-By: {KEYRING}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice() {
        let show = |repository| {
            let files = apt_sources(repository).into_iter().map(|file| format!("== {}\n{}", file.path, file.text));
            format!("=== {repository:?}\n{}", files.collect::<String>())
        };
        let all = [Repository::Enterprise, Repository::NoSubscription, Repository::None].map(show);
        insta::assert_snapshot!(all.join("\n"));
    }
}
