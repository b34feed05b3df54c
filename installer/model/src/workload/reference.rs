//! The full name of an image in a registry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest tag (OCI Distribution Specification 1.1, "Pulling manifests").
const TAG_MAX: usize = 128;
/// The longest name with its registry, as clients take it (same place).
const NAME_MAX: usize = 255;

/// Registry, path and tag: `docker.io/library/traefik:v3.5`. Nothing is left to defaults, and no digest: that is in the lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference(String);

impl Reference {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Registry and path: `docker.io/library/traefik`.
    pub fn repository(&self) -> &str {
        self.0.rsplit_once(':').map_or(self.0.as_str(), |(name, _)| name)
    }

    /// The tag: `v3.5`.
    pub fn tag(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(_, tag)| tag)
    }
}

impl TryFrom<String> for Reference {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_reference(&text) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is no full reference of an image: write registry, path and tag, such as \"docker.io/library/traefik:v3.5\"",
            text.escape_debug()
        ))
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn is_reference(text: &str) -> bool {
    let Some((name, tag)) = text.rsplit_once(':') else { return false };
    let Some((registry, path)) = name.split_once('/') else { return false };
    name.len() <= NAME_MAX && is_registry(registry) && path.split('/').all(is_component) && is_tag(tag)
}

/// A host name with a dot, so that it is no first component of a path, and a port where one is written.
fn is_registry(registry: &str) -> bool {
    let (host, port) = registry.split_once(':').unwrap_or((registry, "443"));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    host.contains('.') && host.split('.').all(label) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A component of a path (OCI Distribution Specification 1.1, `<name>`), of which only the usual separators are taken.
fn is_component(component: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(component.bytes().next())
        && edge(component.bytes().last())
        && component.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && !component.contains("..")
}

fn is_tag(tag: &str) -> bool {
    (1..=TAG_MAX).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_registry_path_and_tag_and_nothing_is_left_to_defaults() {
        for good in [
            "docker.io/library/traefik:v3.5",
            "ghcr.io/element-hq/synapse:v1.140.0",
            "r.example:5000/a/b_c.d:31-apache",
        ] {
            let reference = Reference::try_from(good.to_owned()).unwrap();
            assert_eq!(format!("{}:{}", reference.repository(), reference.tag()), good);
        }
        let bad = [
            "",
            "traefik",
            "traefik:v3",
            "library/traefik:v3",
            "docker.io/traefik",
            "docker.io/Traefik:v3",
            "docker.io/library/traefik:",
            "docker.io/../traefik:v3",
            "docker.io//traefik:v3",
            "docker.io/traefik:v3@sha256:00",
            "docker.io/traefik:-v3",
            "docker.io:0/traefik:v3",
            "docker.io/tra efik:v3",
            "https://docker.io/traefik:v3",
        ];
        for bad in bad {
            assert!(Reference::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
