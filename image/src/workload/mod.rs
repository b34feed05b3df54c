//! Workloads' images: which they are (the lock), where they come from (registries), and the file system that holds them on the medium.

use std::path::PathBuf;
use std::{fs, io};

use sovereign_model::Bytes;
use sovereign_model::medium::MediumWorkload;
use sovereign_model::role::Catalogue;

use crate::cache::{Cache, Layer};
use crate::file::At;
use crate::hash::Key;
use crate::progress::Progress;
use crate::squash;

mod error;
pub mod lock;
mod manifest;
mod registry;
mod store;

pub use error::WorkloadError;
pub use lock::Locked;
pub use registry::{Registry, mirrors};

use store::Images;

/// Changes whenever this module makes something else of the same inputs.
const RECIPE: &str = "workloads 1";
/// Kind of the layer in the cache.
const KIND: &str = "workloads";
/// The file system in the layer's folder.
const IMAGE: &str = "workloads.squashfs";
/// What the medium's manifest says about it, in the layer's folder.
const LIST: &str = "workloads.json";

/// What to lock.
#[derive(Debug, clap::Args)]
pub struct LockOptions {
    /// Ask this registry for every image: it has docker.io/library/traefik at URL/docker.io/library/traefik. With http:// it is asked
    /// without TLS
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// The lock file to write
    #[arg(long, value_name = "FILE", default_value = lock::DEFAULT_PATH)]
    pub output: PathBuf,
    /// The project's overlays: they say which workloads there are
    #[arg(long, value_name = "FOLDER", default_value = "overlays")]
    pub overlays: PathBuf,
}

/// Resolves the image of every workload and writes the lock file, whole or not at all.
pub fn lock(options: &LockOptions, catalogue: &Catalogue, progress: &Progress) -> Result<(), WorkloadError> {
    let registry = Registry::new(options.mirror.as_deref())?;
    let mut locked = Vec::new();
    for workload in catalogue.workloads() {
        let (role, name, image) = (workload.role.clone(), workload.name.clone(), workload.image.clone());
        let (digest, size) = registry.resolve(&format!("{role}/{name}"), image.repository(), image.tag())?;
        progress.say(&format!("{role}/{name}: {image} is {digest}"));
        locked.push(Locked { role, name, image, digest, size });
    }
    lock::write(&mut locked, &options.output)?;
    let bytes = locked.iter().map(|locked| locked.size).sum();
    progress.say(&format!(
        "{} images, {} to download at most; locked in {}",
        locked.len(),
        Bytes(bytes),
        options.output.display()
    ));
    Ok(())
}

/// The images on their way to the medium.
pub struct Packed {
    layer: Layer,
    /// What the medium's manifest says about them, sorted by role and name.
    pub workloads: Vec<MediumWorkload>,
}

impl Packed {
    /// Kind and key of the layer: stands for its content.
    pub fn name(&self) -> String {
        self.layer.name()
    }

    /// The file system: in it is a folder `ROLE/NAME` for each image.
    pub fn image(&self) -> PathBuf {
        self.layer.path(IMAGE)
    }
}

/// The file system of these images, which are sorted, from the cache if it is there; none without any.
pub fn pack(
    locked: &[Locked],
    registry: &Registry,
    epoch: u64,
    cache: &Cache,
    progress: &Progress,
) -> Result<Option<Packed>, WorkloadError> {
    if locked.is_empty() {
        return Ok(None);
    }
    let mut key =
        Key::new().with("recipe", RECIPE).with("squashfs", squash::blobs_recipe()).with("epoch", epoch.to_string());
    for entry in locked {
        key = key.with(&entry.folder(), format!("{} {} {}", entry.image, entry.digest, entry.size));
    }
    let layer = cache.layer(KIND, &key.finish(), |folder| {
        let images = Images::open(cache)?;
        let tree = folder.join("tree");
        let mut workloads = Vec::new();
        for entry in locked {
            let (role, name, image) = (entry.role.to_string(), entry.name.to_string(), entry.image.to_string());
            let found = images.get(entry, registry, progress)?;
            let digest = found.lay(&tree.join(entry.folder()), &image)?.to_string();
            workloads.push(MediumWorkload { role, name, image, digest });
        }
        {
            let _task = progress.spin("packing the workloads' images");
            squash::from_blobs(&tree, &folder.join(IMAGE), epoch)?;
        }
        fs::remove_dir_all(&tree).at(&tree)?;
        let path = folder.join(LIST);
        serde_json::to_vec(&workloads).map_err(io::Error::other).and_then(|text| fs::write(&path, text)).at(&path)?;
        Ok::<(), WorkloadError>(images.keep(locked)?)
    })?;
    let path = layer.path(LIST);
    let workloads =
        fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other)).at(&path)?;
    Ok(Some(Packed { layer, workloads }))
}
