//! Images in the cache: each under the digest of its manifest, fetched once, compared with its digests whenever it is used.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::WorkloadError;
use super::lock::Locked;
use super::manifest::{self, Answer, Descriptor, Digest, Manifest, ManifestError, OCI_MANIFEST};
use super::registry::{Registry, Wanted};
use crate::cache::Cache;
use crate::file::{At, FileError};
use crate::hash;
use crate::progress::Progress;

/// What skopeo calls a manifest in a folder.
const FETCHED_MANIFEST: &str = "manifest.json";
/// Of an image layout (OCI Image Specification 1.1, "Image Layout"): that it is one.
const LAYOUT_FILE: (&str, &str) = ("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
/// What is in it.
const INDEX_FILE: &str = "index.json";
/// Its blobs.
const BLOBS: &str = "blobs/sha256";
/// Annotation of the manifest: the image's name.
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// The images of a cache, each a folder with the layout's blobs.
pub struct Images<'a> {
    folder: PathBuf,
    cache: &'a Cache,
}

/// An image in the cache, found whole.
pub struct Image {
    folder: PathBuf,
    manifest: Manifest,
    /// The manifest, as it came.
    text: Vec<u8>,
}

impl<'a> Images<'a> {
    /// Those of this cache.
    pub fn open(cache: &'a Cache) -> Result<Self, FileError> {
        let folder = cache.images();
        fs::create_dir_all(&folder).at(&folder)?;
        Ok(Self { folder, cache })
    }

    /// The image of a workload, from the cache or else from the registry.
    pub fn get(&self, locked: &Locked, registry: &Registry, progress: &Progress) -> Result<Image, WorkloadError> {
        let folder = self.folder.join(locked.digest.hex());
        if folder.is_dir() {
            match open(&folder, locked) {
                Err(error @ (WorkloadError::Mismatch { .. } | WorkloadError::File(_))) => {
                    progress.say(&format!("{} is fetched again, since the cache is damaged: {error}", locked.folder()));
                    fs::remove_dir_all(&folder).at(&folder)?;
                }
                found => return found,
            }
        }
        let scratch = self.cache.scratch()?;
        let (fetched, layout) = (scratch.path().join("fetched"), scratch.path().join("layout"));
        {
            let _task = progress.spin(&format!("fetching {} for {}", locked.image, locked.folder()));
            registry.fetch(locked, &fetched)?;
        }
        arrange(&fetched, &layout, locked)?;
        let image = open(&layout, locked)?;
        fs::rename(&layout, &folder).at(&folder)?;
        Ok(Image { folder, ..image })
    }

    /// Removes the images of no workload among these.
    pub fn keep(&self, locked: &[Locked]) -> Result<(), FileError> {
        for entry in fs::read_dir(&self.folder).at(&self.folder)? {
            let path = entry.at(&self.folder)?.path();
            if !locked.iter().any(|locked| path.ends_with(locked.digest.hex())) {
                fs::remove_dir_all(&path).at(&path)?;
            }
        }
        Ok(())
    }
}

/// Moves the files that skopeo wrote to where an image layout has them. Which they are is told by the manifest, which is
/// compared with its digest first: it names files.
fn arrange(fetched: &Path, layout: &Path, locked: &Locked) -> Result<(), WorkloadError> {
    let path = fetched.join(FETCHED_MANIFEST);
    let manifest = check_manifest(&fs::read(&path).at(&path)?, locked)?;
    let blobs = layout.join(BLOBS);
    fs::create_dir_all(&blobs).at(&blobs)?;
    let mut moves = vec![(path, &locked.digest)];
    moves.extend(manifest.blobs().map(|blob| (fetched.join(blob.digest.hex()), &blob.digest)));
    for (from, digest) in moves {
        fs::rename(&from, blobs.join(digest.hex())).at(&from)?;
    }
    Ok(())
}

/// The manifest, if it is the locked one and that of an image as long as the lock says.
fn check_manifest(data: &[u8], locked: &Locked) -> Result<Manifest, WorkloadError> {
    let (workload, version) = (locked.folder(), format!("@{}", locked.digest));
    let wanted = Wanted { workload: &workload, repository: locked.image.repository(), version: &version };
    if Digest::of(data) != locked.digest {
        return Err(wanted.mismatch(format!("the manifest has the digest {}", Digest::of(data))));
    }
    let manifest = match Answer::parse(data).map_err(|problem| wanted.unusable(problem))? {
        Answer::Image(manifest) => *manifest,
        Answer::Index(_) => return Err(wanted.unusable(ManifestError::Kind("a list of images".to_owned()))),
    };
    let found = manifest.total_bytes(data.len());
    if found != locked.size {
        return Err(WorkloadError::Size { workload, image: locked.digest.clone(), found, locked: locked.size });
    }
    Ok(manifest)
}

/// Compares everything of an image with the lock: the manifest with its digest, configuration and layers with the manifest.
fn open(folder: &Path, locked: &Locked) -> Result<Image, WorkloadError> {
    let (workload, version) = (locked.folder(), format!("@{}", locked.digest));
    let wanted = Wanted { workload: &workload, repository: locked.image.repository(), version: &version };
    let blobs = folder.join(BLOBS);
    let path = blobs.join(locked.digest.hex());
    let text = fs::read(&path).at(&path)?;
    let manifest = check_manifest(&text, locked)?;
    for blob in manifest.blobs() {
        let path = blobs.join(blob.digest.hex());
        let (found, bytes) = hash::file(&path).at(&path)?;
        if found != blob.digest.hex() || bytes != blob.size {
            let reason = format!(
                "{} should have {} bytes, {bytes} bytes with SHA-256 {found} are there",
                blob.digest, blob.size
            );
            return Err(wanted.mismatch(reason));
        }
    }
    let path = blobs.join(manifest.config().digest.hex());
    manifest::check_config(&fs::read(&path).at(&path)?).map_err(|problem| wanted.unusable(problem))?;
    Ok(Image { folder: folder.to_owned(), manifest, text })
}

/// `index.json` of a layout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    manifests: [Descriptor; 1],
}

impl Image {
    /// Lays the image into a new folder, as an OCI image layout whose one image is called `reference`, and gives the digest it has there:
    /// another one than in the registry where that has a manifest of Docker's. Blobs are links to those of the cache.
    pub fn lay(&self, folder: &Path, reference: &str) -> Result<Digest, WorkloadError> {
        let blobs = folder.join(BLOBS);
        fs::create_dir_all(&blobs).at(&blobs)?;
        for blob in self.manifest.blobs() {
            let to = blobs.join(blob.digest.hex());
            fs::hard_link(self.folder.join(BLOBS).join(blob.digest.hex()), &to).at(&to)?;
        }
        let manifest = match self.manifest.to_oci() {
            Some(manifest) => manifest.map_err(std::io::Error::other).at(&blobs)?,
            None => self.text.clone(),
        };
        let digest = Digest::of(&manifest);
        let path = blobs.join(digest.hex());
        fs::write(&path, &manifest).at(&path)?;
        let mut descriptor = Descriptor::new(OCI_MANIFEST, digest.clone(), manifest.len() as u64);
        descriptor.annotations.insert(REFERENCE.to_owned(), reference.to_owned());
        let index = Index { schema_version: 2, manifests: [descriptor] };
        let path = folder.join(INDEX_FILE);
        serde_json::to_vec(&index).map_err(std::io::Error::other).and_then(|text| fs::write(&path, text)).at(&path)?;
        let path = folder.join(LAYOUT_FILE.0);
        fs::write(&path, LAYOUT_FILE.1).at(&path)?;
        Ok(digest)
    }
}
