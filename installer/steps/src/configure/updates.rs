//! Where APT finds updates: Debian's archives where the site names them, and Proxmox VE's repository on a Proxmox VE node.

use sovereign_engine::StepError;
use sovereign_model::site::{ProxmoxUpdates, Updates};
use sovereign_proxmox::files::{Repository, apt_sources};

use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Debian's keys, of the package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Sources of Debian's packages.
const DEBIAN: &str = "/etc/apt/sources.list.d/debian.sources";

/// Writes the sources.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let updates = &context.plan.site.updates;
    let debian = sources(updates, &context.manifest.suite);
    if !debian.is_empty() {
        files::write(&context.on_target(DEBIAN), debian.as_bytes(), PUBLIC)?;
    }
    if !context.is_proxmox() {
        return Ok(());
    }
    let repository = match updates.proxmox {
        ProxmoxUpdates::NoSubscription => Repository::NoSubscription,
        ProxmoxUpdates::Enterprise => Repository::Enterprise,
        ProxmoxUpdates::None => Repository::None,
    };
    for file in apt_sources(repository) {
        files::write(&context.on_target(file.path), file.text.as_bytes(), PUBLIC)?;
    }
    Ok(())
}

/// Debian's archives as sources.list(5) in its deb822 form; empty where the site names none.
pub fn sources(updates: &Updates, suite: &str) -> String {
    let stanza = |uri: &str, suites: &str| {
        format!(
            "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main contrib non-free-firmware\nSigned-By: {KEYRING}\n"
        )
    };
    let archives = [
        updates.debian.as_deref().map(|uri| stanza(uri, &format!("{suite} {suite}-updates"))),
        updates.debian_security.as_deref().map(|uri| stanza(uri, &format!("{suite}-security"))),
    ];
    archives.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_archives_of_the_site() {
        assert_eq!(sources(&Updates::default(), "trixie"), "");
        let updates = Updates {
            debian: Some("http://mirror.example.org/debian".to_owned()),
            debian_security: Some("http://mirror.example.org/debian-security".to_owned()),
            ..Updates::default()
        };
        insta::assert_snapshot!(sources(&updates, "trixie"));
    }
}
