//! podman 5.4 of a guest, run inside of the guest's mounted file system: images that lie in folders go into its store. It asks no network.

use std::path::Path;
use std::time::Duration;

use crate::runner::{RunError, Runner};
use crate::tools::grub::in_target;

/// Slow virtual media of a BMC deliver about 1 MB/s.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Puts an image into the store of the guest mounted at `guest`, under its full reference `image`, from the OCI image layout in the folder
/// `layout` (absolute, as the guest sees it). podman compares each blob with its digest, but not the manifest: see [`digests`].
///
/// # Errors
/// [`RunError`]: the layout has no image of that name, a blob is missing or damaged, or the file system is full.
pub fn take(runner: &dyn Runner, guest: &Path, layout: &str, image: &str) -> Result<(), RunError> {
    let source = format!("oci:{layout}:{image}");
    runner.run(&in_target(guest, &["podman", "pull", "--quiet", &source]).timeout(TIMEOUT)).map(drop)
}

/// The digests (`sha256:...`) of the manifests that the store has for these references, in their order.
///
/// # Errors
/// [`RunError`]: it does not have all of them.
pub fn digests(runner: &dyn Runner, guest: &Path, images: &[&str]) -> Result<Vec<String>, RunError> {
    let head = ["podman", "image", "inspect", "--format", "{{.Digest}}"];
    let args: Vec<&str> = head.into_iter().chain(images.iter().copied()).collect();
    let cmd = in_target(guest, &args);
    let digests: Vec<String> = runner.run(&cmd)?.stdout.lines().map(|line| line.trim().to_owned()).collect();
    if digests.len() == images.len() {
        return Ok(digests);
    }
    let reason = format!("{} digests of {} images", digests.len(), images.len());
    Err(RunError::Unexpected { line: cmd.line(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    const IMAGE: &str = "docker.io/library/traefik:v3.5";
    // podman 5.4.2, `podman image inspect --format {{.Digest}}`
    const DIGEST: &str = "sha256:53c64a07f70b0cdb17fbd4295c60ccf72f01f019123bfebec5a6fc73e53011c3";

    #[test]
    fn whole_commands() {
        let runner = Recorder::new().prints("chroot /guest podman image inspect", &format!("{DIGEST}\n"));
        take(&runner, Path::new("/guest"), "/run/workloads/edge/traefik", IMAGE).unwrap();
        assert_eq!(digests(&runner, Path::new("/guest"), &[IMAGE]).unwrap(), [DIGEST]);
        assert_eq!(
            runner.lines(),
            [
                "chroot /guest podman pull --quiet oci:/run/workloads/edge/traefik:docker.io/library/traefik:v3.5",
                "chroot /guest podman image inspect --format '{{.Digest}}' docker.io/library/traefik:v3.5",
            ]
        );
    }

    #[test]
    fn an_image_without_a_digest_is_none_with_another_ones() {
        let runner = Recorder::new().prints("chroot", &format!("{DIGEST}\n"));
        let error = digests(&runner, Path::new("/guest"), &[IMAGE, "docker.io/library/b:1"]).unwrap_err();
        assert!(error.to_string().ends_with("1 digests of 2 images"), "{error}");
    }
}
