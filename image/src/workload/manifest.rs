//! What a registry says an image is made of: manifests and indexes of OCI (Image Specification 1.1) and of Docker (schema 2).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash;

/// An OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Docker's, which says the same with other media types.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Lists of manifests, one for each platform.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// An image's configuration; OCI's, and what Docker calls the same thing.
const CONFIGS: [(&str, &str); 2] = [
    ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.config.v1+json"),
    ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"),
];
/// Layers that are taken, and OCI's name of each.
const LAYERS: [(&str, &str); 4] = [
    ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar"),
    ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
];
/// The platform of guests.
const PLATFORM: &str = "linux/amd64";

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON of the wanted form.
    #[error("its manifest cannot be read: {0}")]
    Syntax(String),
    /// It is something else than an image.
    #[error("it is no image but `{0}`")]
    Kind(String),
    /// There is nothing for the guests' processors.
    #[error("it has nothing for {PLATFORM}, only for {0}")]
    Platform(String),
    /// Its configuration is of a kind nobody here knows.
    #[error("its configuration is of the type `{0}`, which is none of an image")]
    Config(String),
    /// A layer is of a kind nobody here knows, or not in the registry.
    #[error(
        "it has a layer of the type `{0}`, which is not taken: only layers that are tar archives in the registry itself are"
    )]
    Layer(String),
}

/// SHA-256 as registries write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Of bytes.
    pub fn of(data: &[u8]) -> Self {
        Self(hash::bytes(data))
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(hash::is_lower_hex));
        match hex {
            Some(hex) => Ok(Self(hex.to_owned())),
            None => Err(format!(
                "`{}` is no digest of a kind known here, which is `sha256:` and 64 lower-case hexadecimal digits",
                text.escape_debug()
            )),
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// Something in a registry, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// For what machine, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    /// Other places of a layer that is not in the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Of a blob, without more.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, platform: None, urls: Vec::new(), annotations: BTreeMap::new() }
    }
}

/// Of an index's entry and of an image's configuration: what it runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// What an image is made of; everything else a manifest may say is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What a reference leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// An image.
    Image(Box<Manifest>),
    /// A list of images; the digest is that of the one for the guests' processors.
    Index(Digest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    media_type: Option<String>,
    artifact_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
}

impl Answer {
    /// Reads what a registry sent for a reference.
    pub fn parse(data: &[u8]) -> Result<Self, ManifestError> {
        let head: Head = read(data)?;
        // The media type is optional in OCI's; what is there tells.
        let kind = match (&head.media_type, &head.manifests) {
            (Some(kind), _) => kind.as_str(),
            (None, Some(_)) => INDEXES[0],
            (None, None) => OCI_MANIFEST,
        };
        if let Some(artifact) = head.artifact_type {
            return Err(ManifestError::Kind(artifact));
        }
        if INDEXES.contains(&kind) {
            return index(&head.manifests.unwrap_or_default());
        }
        if ![OCI_MANIFEST, DOCKER_MANIFEST].contains(&kind) {
            return Err(ManifestError::Kind(kind.to_owned()));
        }
        let mut manifest: Manifest = read(data)?;
        kind.clone_into(&mut manifest.media_type);
        manifest.check()?;
        Ok(Self::Image(Box::new(manifest)))
    }
}

/// The entry of the guests' platform; one without a variant, where there are several.
fn index(entries: &[Descriptor]) -> Result<Answer, ManifestError> {
    let platform = |entry: &Descriptor| entry.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    let exact = entries.iter().find(|entry| platform(entry) == PLATFORM);
    let like = || entries.iter().find(|entry| platform(entry).starts_with(&format!("{PLATFORM}/")));
    if let Some(entry) = exact.or_else(like) {
        return Ok(Answer::Index(entry.digest.clone()));
    }
    let there: Vec<String> = entries.iter().map(platform).filter(|platform| !platform.is_empty()).collect();
    Err(ManifestError::Platform(if there.is_empty() { "nothing".to_owned() } else { there.join(", ") }))
}

impl Manifest {
    /// Only what can be unpacked, and only what is in the registry.
    fn check(&self) -> Result<(), ManifestError> {
        let config = &self.config.media_type;
        if name_of(&CONFIGS, config).is_none() {
            return Err(ManifestError::Config(config.clone()));
        }
        for layer in &self.layers {
            if name_of(&LAYERS, &layer.media_type).is_none() || !layer.urls.is_empty() {
                return Err(ManifestError::Layer(layer.media_type.clone()));
            }
        }
        Ok(())
    }

    /// The image's configuration.
    pub fn config(&self) -> &Descriptor {
        &self.config
    }

    /// Configuration and layers, each once.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let all = || std::iter::once(&self.config).chain(&self.layers);
        all()
            .enumerate()
            .filter(move |(at, blob)| !all().take(*at).any(|b| b.digest == blob.digest))
            .map(|(_, blob)| blob)
    }

    /// Bytes of all blobs, that of the manifest itself, which has `own` bytes, among them.
    pub fn total_bytes(&self, own: usize) -> u64 {
        self.blobs().fold(own as u64, |sum, blob| sum.saturating_add(blob.size))
    }

    /// The same image with OCI's media types, as text; none if it has them already. Programs that read an image layout take no
    /// others in it.
    pub fn to_oci(&self) -> Option<Result<Vec<u8>, serde_json::Error>> {
        if self.media_type == OCI_MANIFEST {
            return None;
        }
        let mut oci = Self { media_type: OCI_MANIFEST.to_owned(), ..self.clone() };
        for (descriptor, names) in std::iter::once((&mut oci.config, &CONFIGS[..]))
            .chain(oci.layers.iter_mut().map(|layer| (layer, &LAYERS[..])))
        {
            if let Some(name) = name_of(names, &descriptor.media_type) {
                name.clone_into(&mut descriptor.media_type);
            }
        }
        Some(serde_json::to_vec(&oci))
    }
}

/// OCI's name of a media type, if it is one of these.
fn name_of(names: &[(&str, &'static str)], media_type: &str) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == media_type).map(|(_, oci)| *oci)
}

/// An image's configuration is for the guests' processors.
pub fn check_config(data: &[u8]) -> Result<(), ManifestError> {
    let platform: Platform = read(data)?;
    if format!("{}/{}", platform.os, platform.architecture) == PLATFORM {
        return Ok(());
    }
    Err(ManifestError::Platform(platform.to_string()))
}

fn read<'d, T: Deserialize<'d>>(data: &'d [u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(data).map_err(|error| ManifestError::Syntax(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str, digit: &str, more: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{}","size":7{more}}}"#, digit.repeat(64))
    }

    fn manifest(media_type: &str, config: &str, layers: &[String]) -> String {
        let config = descriptor(config, "c", "");
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{}]}}"#, layers.join(","))
    }

    #[test]
    fn of_an_index_the_image_for_the_guests_processors_is_taken() {
        let entry = |os: &str, architecture: &str, digit: &str, variant: &str| {
            let platform = format!(r#","platform":{{"architecture":"{architecture}","os":"{os}"{variant}}}"#);
            descriptor(OCI_MANIFEST, digit, &platform)
        };
        let index = |entries: &[String]| {
            Answer::parse(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")).as_bytes())
        };
        // As buildkit writes them: an attestation is an entry for nothing.
        let (arm, own) = (entry("linux", "arm64", "a", ""), entry("linux", "amd64", "b", ""));
        let (newer, note) = (entry("linux", "amd64", "e", r#","variant":"v3""#), entry("unknown", "unknown", "f", ""));
        let of = |digit: &str| Ok(Answer::Index(Digest(digit.repeat(64))));
        assert_eq!(index(&[arm.clone(), newer.clone(), own, note.clone()]), of("b"));
        assert_eq!(index(&[arm.clone(), newer]), of("e"));
        let none = index(&[arm, note]).unwrap_err().to_string();
        assert_eq!(none, "it has nothing for linux/amd64, only for linux/arm64, unknown/unknown");
    }

    #[test]
    fn layers_elsewhere_artifacts_and_other_digests_are_refused() {
        let parse = |text: String| Answer::parse(text.as_bytes()).unwrap_err().to_string();
        let (config, layer) = (CONFIGS[0].0, LAYERS[1].0);
        for foreign in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ] {
            let said = parse(manifest(OCI_MANIFEST, config, &[descriptor(foreign, "1", "")]));
            assert!(said.contains(foreign), "{said}");
        }
        let elsewhere = descriptor(layer, "1", r#","urls":["http://other.test/layer"]"#);
        assert!(parse(manifest(OCI_MANIFEST, config, &[elsewhere])).contains("in the registry itself"));
        let chart = manifest(OCI_MANIFEST, "application/vnd.cncf.helm.config.v1+json", &[]);
        assert!(parse(chart).contains("which is none of an image"));
        let other = descriptor(layer, "1", "").replace("sha256", "sha512");
        assert!(parse(manifest(OCI_MANIFEST, config, &[other])).contains("is no digest of a kind known here"));
        let first = r#"{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+json"}"#;
        assert!(parse(first.to_owned()).contains("it is no image but"));
    }

    #[test]
    fn dockers_manifest_becomes_one_of_oci_with_the_same_blobs() {
        let layers = ["1", "2", "1"].map(|digit| descriptor(LAYERS[3].0, digit, ""));
        let docker = manifest(DOCKER_MANIFEST, CONFIGS[1].0, &layers);
        let Answer::Image(image) = Answer::parse(docker.as_bytes()).unwrap() else { panic!("no image") };
        // A layer that is there twice is one blob.
        assert_eq!(image.blobs().map(|blob| &blob.digest.hex()[..1]).collect::<String>(), "c12");
        assert_eq!(image.total_bytes(100), 121);
        let oci = image.to_oci().unwrap().unwrap();
        let layers = ["1", "2", "1"].map(|digit| descriptor(LAYERS[1].0, digit, ""));
        assert_eq!(String::from_utf8(oci.clone()).unwrap(), manifest(OCI_MANIFEST, CONFIGS[0].0, &layers));
        let Answer::Image(again) = Answer::parse(&oci).unwrap() else { panic!("no image") };
        assert!(again.to_oci().is_none());
    }

    #[test]
    fn a_configuration_says_what_it_runs_on() {
        assert_eq!(check_config(br#"{"os":"linux","architecture":"amd64","config":{}}"#), Ok(()));
        let other = check_config(br#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).unwrap_err();
        assert_eq!(other, ManifestError::Platform("linux/arm64/v8".to_owned()));
        assert!(matches!(check_config(b"{}"), Err(ManifestError::Syntax(_))));
    }
}
