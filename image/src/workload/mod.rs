//! Workloads' images: which they are (the lock), where they come from (registries), and the file system that holds them on the medium.

use std::fs;
use std::path::PathBuf;

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
pub use registry::{Registry, is_address};

use store::Images;

/// Changes whenever this module makes something else of the same inputs.
const RECIPE: &str = "workloads 1";
/// Kind of the layer in the cache.
const KIND: &str = "workloads";

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

/// The file system of these images, from the cache if it is there; none without any. In it is a folder `ROLE/NAME` for each.
pub fn layer(
    locked: &[Locked],
    registry: &Registry,
    epoch: u64,
    cache: &Cache,
    progress: &Progress,
) -> Result<Option<Layer>, WorkloadError> {
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
        for entry in locked {
            let image = images.get(entry, registry, progress)?;
            image.lay(&tree.join(entry.folder()), entry.image.as_str())?;
        }
        {
            let _task = progress.spin("packing the workloads' images");
            squash::from_blobs(&tree, &folder.join(image_name()), epoch)?;
        }
        fs::remove_dir_all(&tree).at(&tree)?;
        Ok::<(), WorkloadError>(images.keep(locked)?)
    })?;
    Ok(Some(layer))
}

/// The image in a layer's folder.
pub fn image(layer: &Layer) -> PathBuf {
    layer.path(&image_name())
}

fn image_name() -> String {
    format!("{KIND}.squashfs")
}

/// What the medium's manifest says about them.
pub fn describe(locked: &[Locked]) -> Vec<MediumWorkload> {
    let mut workloads: Vec<MediumWorkload> = locked
        .iter()
        .map(|entry| MediumWorkload {
            role: entry.role.to_string(),
            name: entry.name.to_string(),
            image: entry.image.to_string(),
            digest: entry.digest.to_string(),
        })
        .collect();
    workloads.sort_by(|a, b| (&a.role, &a.name).cmp(&(&b.role, &b.name)));
    workloads
}
