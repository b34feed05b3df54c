//! Images of workloads: from the medium into the store of a guest's podman, by that podman itself, which asks no network. What it needs of
//! a running system is mounted for it, and gone again afterwards, whatever happened.

use std::fs;
use std::path::{Path, PathBuf};

use sovereign_engine::StepError;
use sovereign_model::medium::{MediumWorkload, WORKLOADS_PATH};
use sovereign_model::plan::Guest;
use sovereign_system::tools::{mount, podman};

use crate::context::Context;
use crate::fail::OrStep;

/// What the kernel shows in the guest, each a file system of its own: the running system's would lead what is mounted below back to it.
/// podman has its locks in /dev/shm, and what lasts until the next boot in /run.
const KERNELS: [(&str, &str); 6] =
    [("devtmpfs", "dev"), ("tmpfs", "dev/shm"), ("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "run"), ("tmpfs", "tmp")];
/// Where podman lays down each layer before it unpacks it. On the guest's own volume it would take blocks of the pool for ever, and in memory
/// there is no room: it is the target's.
const SCRATCH: &str = "/var/tmp";
/// Where the guest sees the medium's images, below its /run.
const IMAGES: &str = "/run/workloads";
/// What helps against a medium that is not what it says of itself.
const AGAIN: &str = "Write or attach the medium again and start over; where that does not help, build it anew. The disks hold an unfinished \
                     installation.";

/// The workloads of the guest's role whose images are on the medium.
pub fn present<'a>(context: &'a Context, guest: &Guest) -> Vec<&'a MediumWorkload> {
    let all = context.manifest.guests.iter().flat_map(|guests| &guests.workloads);
    all.filter(|workload| workload.role == guest.role.as_str()).collect()
}

/// Loads the images of `workloads` into the guest that is mounted at `folder`; `note` gets each before its turn.
///
/// # Errors
/// One is damaged, is not there or is another than the manifest says, or the guest's file system has no room.
pub fn load(
    context: &Context,
    folder: &Path,
    workloads: &[&MediumWorkload],
    note: &dyn Fn(String),
) -> Result<(), StepError> {
    if workloads.is_empty() {
        return Ok(());
    }
    let mut mounted = Vec::new();
    let loaded = enter(context, folder, &mut mounted).and_then(|()| take(context, folder, workloads, note));
    loaded.and(leave(context, &mounted))
}

/// Mounts what podman needs, and adds each place to `mounted`.
fn enter(context: &Context, folder: &Path, mounted: &mut Vec<PathBuf>) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let at = |path: &str| folder.join(path.trim_start_matches('/'));
    for (kind, point) in KERNELS {
        let point = place(at(point))?;
        mount::kernels(runner, kind, &point)
            .or_step(&format!("cannot mount {kind} for the programs of the guest on {}", point.display()))?;
        mounted.push(point);
    }
    let (scratch, point) = (place(context.on_target(SCRATCH))?, place(at(SCRATCH))?);
    mount::bind(runner, &scratch.to_string_lossy(), &point)
        .or_step(&format!("cannot show {} to the programs of the guest", scratch.display()))?;
    mounted.push(point);
    let (images, point) = (context.on_medium(WORKLOADS_PATH), place(at(IMAGES))?);
    mount::image(runner, &images, &point)
        .or_step(&format!("cannot mount {WORKLOADS_PATH} of the medium"))
        .map_err(|e| e.next(AGAIN))?;
    mounted.push(point);
    Ok(())
}

/// A folder that is there as the layers have it, with its mode, or else is made.
fn place(path: PathBuf) -> Result<PathBuf, StepError> {
    fs::create_dir_all(&path).or_step(&format!("cannot make the folder {}", path.display()))?;
    Ok(path)
}

/// Unmounts it all, the last first, and goes on where one place is in use.
fn leave(context: &Context, mounted: &[PathBuf]) -> Result<(), StepError> {
    let mut left = Ok(());
    for point in mounted.iter().rev() {
        let point = point.to_string_lossy();
        let unmounted = mount::unmount(context.runner.as_ref(), &point).or_step(&format!("cannot unmount {point}"));
        left = left.and(unmounted);
    }
    left
}

fn take(
    context: &Context,
    folder: &Path,
    workloads: &[&MediumWorkload],
    note: &dyn Fn(String),
) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    for workload in workloads {
        note(format!("image {} of {}", workload.image, workload.role));
        let layout = format!("{IMAGES}/{}/{}", workload.role, workload.name);
        podman::take(runner, folder, &layout, &workload.image)
            .or_step(&format!("cannot load {}", told(workload)))
            .map_err(|e| e.next(AGAIN))?;
    }
    let images: Vec<&str> = workloads.iter().map(|workload| workload.image.as_str()).collect();
    let digests = podman::digests(runner, folder, &images)
        .or_step(&format!("cannot see which images the guest's store has: {}", images.join(", ")))?;
    for (workload, found) in workloads.iter().zip(digests) {
        if workload.digest != found {
            let text = format!(
                "{} has the digest {found}, and the medium's manifest says {}",
                told(workload),
                workload.digest
            );
            return Err(StepError::new(text).next(AGAIN));
        }
    }
    Ok(())
}

/// An image with what it is for.
fn told(workload: &MediumWorkload) -> String {
    let MediumWorkload { role, name, image, .. } = workload;
    format!("the image {image} of the workload `{name}` (role `{role}`)")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use sovereign_model::Bytes;
    use sovereign_model::medium::Guests;
    use sovereign_system::testing::Recorder;

    use super::*;
    use crate::testing::context;

    const DIGEST: &str = "sha256:53c64a07f70b0cdb17fbd4295c60ccf72f01f019123bfebec5a6fc73e53011c3";

    fn workload(role: &str, name: &str) -> MediumWorkload {
        let image = format!("docker.io/library/{name}:1");
        MediumWorkload { role: role.to_owned(), name: name.to_owned(), image, digest: DIGEST.to_owned() }
    }

    /// What loading two images says, with the commands that were run, each without the test's folder.
    fn loaded(recorder: impl Fn(Recorder, &str) -> Recorder) -> (Result<(), String>, Vec<String>) {
        let target = tempfile::tempdir().unwrap();
        let root = target.path().to_string_lossy().into_owned();
        let (mut context, _) = context("reference", target.path());
        let inspected = format!("chroot {root}/guest podman image inspect");
        let runner = recorder(Recorder::new(), &root).prints(&inspected, &format!("{DIGEST}\n{DIGEST}\n"));
        let runner = Arc::new(runner);
        context.runner = runner.clone();
        let (one, two) = (workload("core", "matrix"), workload("core", "stalwart"));
        let said = load(&context, &context.guest, &[&one, &two], &|_| ()).map_err(|error| error.render());
        (said, runner.lines().iter().map(|line| line.replace(&root, "/target")).collect())
    }

    #[test]
    fn every_image_of_a_role_is_taken_from_the_medium_and_looked_at() {
        let (said, lines) = loaded(|recorder, _| recorder);
        said.unwrap();
        assert_eq!(
            lines,
            [
                "mount -t devtmpfs devtmpfs /target/guest/dev",
                "mount -t tmpfs tmpfs /target/guest/dev/shm",
                "mount -t proc proc /target/guest/proc",
                "mount -t sysfs sysfs /target/guest/sys",
                "mount -t tmpfs tmpfs /target/guest/run",
                "mount -t tmpfs tmpfs /target/guest/tmp",
                "mount --bind /target/var/tmp /target/guest/var/tmp",
                "mount -o ro,loop /target/medium/sovereign/workloads.squashfs /target/guest/run/workloads",
                "chroot /target/guest podman pull --quiet oci:/run/workloads/core/matrix:docker.io/library/matrix:1",
                "chroot /target/guest podman pull --quiet oci:/run/workloads/core/stalwart:docker.io/library/stalwart:1",
                "chroot /target/guest podman image inspect --format '{{.Digest}}' docker.io/library/matrix:1 \
                 docker.io/library/stalwart:1",
                "umount /target/guest/run/workloads",
                "umount /target/guest/var/tmp",
                "umount /target/guest/tmp",
                "umount /target/guest/run",
                "umount /target/guest/sys",
                "umount /target/guest/proc",
                "umount /target/guest/dev/shm",
                "umount /target/guest/dev",
            ]
        );
    }

    #[test]
    fn whatever_fails_nothing_stays_mounted() {
        let (_, all) = loaded(|recorder, _| recorder);
        let works = all.iter().take_while(|line| !line.starts_with("umount"));
        for failing in works {
            let fail =
                |recorder: Recorder, root: &str| recorder.fails(&failing.replace("/target", root), 32, "refused");
            let (said, lines) = loaded(fail);
            assert!(said.unwrap_err().contains("refused"), "{failing}");
            let last = |line: &String| line.rsplit(' ').next().unwrap_or_default().to_owned();
            let mounts = lines.iter().filter(|line| line.starts_with("mount ") && *line != failing);
            let mut mounts: Vec<String> = mounts.map(last).collect();
            mounts.reverse();
            let unmounted: Vec<String> = lines.iter().filter(|line| line.starts_with("umount ")).map(last).collect();
            assert_eq!(unmounted, mounts, "after {failing}");
        }
    }

    #[test]
    fn a_place_in_use_keeps_no_other_from_being_unmounted() {
        let fail = |recorder: Recorder, root: &str| recorder.fails(&format!("umount {root}/guest/run"), 32, "busy");
        let (said, lines) = loaded(fail);
        assert!(said.unwrap_err().contains("cannot unmount"));
        assert_eq!(lines.last().unwrap(), "umount /target/guest/dev");
    }

    #[test]
    fn an_image_that_is_another_is_refused_by_role_workload_and_reference() {
        let other = format!("sha256:{}", "0".repeat(64));
        let (said, lines) = loaded(|recorder, root| {
            recorder.prints(&format!("chroot {root}/guest podman image inspect"), &format!("{DIGEST}\n{other}\n"))
        });
        let said = said.unwrap_err();
        for words in ["`stalwart` (role `core`)", "docker.io/library/stalwart:1", &other, DIGEST, "Write or attach"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(lines.last().unwrap(), "umount /target/guest/dev");
    }

    #[test]
    fn an_image_that_cannot_be_loaded_is_named() {
        let (said, _) = loaded(|recorder, root| {
            recorder.fails(&format!("chroot {root}/guest podman pull"), 125, "Error: reading blob sha256:a9657c2")
        });
        let said = said.unwrap_err();
        for words in
            ["cannot load the image docker.io/library/matrix:1 of the workload `matrix` (role `core`)", "a9657c2"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn a_role_gets_its_own_images_alone_and_none_costs_nothing() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, recorder) = context("reference", target.path());
        let workloads = vec![workload("core", "matrix"), workload("edge", "traefik")];
        let kernel = "6-cloud".to_owned();
        context.manifest.guests = Some(Guests { kernel, unpacked: Bytes(1), roles: Vec::new(), workloads });
        let names = |role: &str| -> Vec<String> {
            let guests = &context.plan.guests.as_ref().unwrap().guests;
            let guest = guests.iter().find(|guest| guest.role.as_str() == role).unwrap();
            present(&context, guest).iter().map(|workload| workload.name.clone()).collect()
        };
        assert_eq!(names("edge"), ["traefik"]);
        assert_eq!(names("core"), ["matrix"]);
        assert!(names("storage").is_empty());
        let noted = RefCell::new(Vec::new());
        load(&context, &context.guest, &[], &|note| noted.borrow_mut().push(note)).unwrap();
        assert!(recorder.lines().is_empty() && noted.into_inner().is_empty());
    }
}
