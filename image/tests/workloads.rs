//! Workloads' images from a real registry: Debian's docker-registry on the loopback interface, with images that are made here of Debian's
//! busybox-static. What is built from them is taken from the cache: the packages that a whole image would need are not there.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sovereign_fixture::{Registry, WorkloadImage};

/// The two workloads: name and image.
const FIRST: (&str, &str) = ("first", "docker.io/library/first:v1");
const SECOND: (&str, &str) = ("second", "ghcr.io/fixture/second:1.2");
/// The lock file that names no workload.
const NONE: &str = "version = 1\n";

/// A folder with an edition, a role with two workloads, and a registry that has their images: of the first one an index with more than one
/// processor's, of the second one Docker's manifest.
struct World {
    dir: tempfile::TempDir,
    registry: Option<Registry>,
}

fn world() -> World {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let edition = "name = \"test\"\nlabel = \"a test\"\nproduct = \"P\"\narchitecture = \"amd64\"\nkeyring = \"x.gpg\"\n\
                   components = [\"main\"]\nexclude = []\ninclude = []\nguests = \"../guest/base.toml\"\nkernel = \"kmod\"\n\
                   kernel-release = \"*\"\n[[suites]]\narchive = \"debian\"\nsuite = \"trixie\"\n[packages]\nkmod = \"a test\"\n";
    write("image/editions/test.toml", edition);
    let base = "kernel = \"kmod\"\nkernel-release = \"*\"\nexclude = []\n[packages]\nkmod = \"a test\"\n";
    write("image/guest/base.toml", base);
    write("installer", "#!/bin/sh\n");
    write("overlays/guest/base/etc/x", "");
    let package = |name: &str| {
        format!(
            "name = \"{name}\"\nversion = \"1\"\narchitecture = \"all\"\narchive = \"debian\"\npath = \"pool/{name}.deb\"\nsize = 1\n\
             sha256 = \"{}\"\n",
            "0".repeat(64)
        )
    };
    let lock = format!(
        "schema = 1\nedition = \"test\"\nsuite = \"trixie\"\nepoch = 1700000000\n[[packages]]\n{0}[[guests.base]]\n{0}\
         [[guests.roles.edge]]\n{1}",
        package("kmod"),
        package("podman")
    );
    write("x.lock", &lock);
    let role = concat!(env!("CARGO_MANIFEST_DIR"), "/../overlays/guest/edge/role.toml");
    let role = fs::read_to_string(role).unwrap().replace("forward = \"core\"\n", "");
    let role: Vec<&str> = role
        .lines()
        .map(|line| if line.starts_with("workloads = ") { "workloads = [\"first\", \"second\"]" } else { line })
        .collect();
    write("overlays/guest/edge/role.toml", &role.join("\n"));
    let registry = Registry::start(&dir.path().join("registry"), false).unwrap();
    for (at, (name, image)) in [FIRST, SECOND].into_iter().enumerate() {
        let text = format!("title = \"a test\"\nimage = \"{image}\"\nwhy = \"a test\"\nunits = [\"{name}.service\"]\n");
        write(&format!("overlays/guest/edge/workloads/{name}/workload.toml"), &text);
        let architectures = if at == 0 { vec!["arm64", "amd64"] } else { vec!["amd64"] };
        let made = WorkloadImage { architectures, ..WorkloadImage::new(name, image, 80) };
        made.push(&dir.path().join("made").join(name), &registry, "v2s2").unwrap();
    }
    World { dir, registry: Some(registry) }
}

/// What a command said.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The command ended with this code and said this.
#[track_caller]
fn refused(output: &Output, code: i32, wanted: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in wanted {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

impl World {
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn registry(&self) -> &Registry {
        self.registry.as_ref().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut call = Command::new(env!("CARGO_BIN_EXE_sovereign-image"));
        call.args(arguments).current_dir(self.dir.path()).output().unwrap()
    }

    /// Locks the workloads from the registry at this address.
    fn lock_from(&self, url: &str) -> Output {
        self.run(&["workloads", "lock", "--mirror", url, "--output", "w.lock"])
    }

    /// Locks them from the world's own, and gives the file as it is and as a table.
    fn lock(&self) -> (String, toml::Table) {
        let done = self.lock_from(&self.registry().url());
        assert!(done.status.success(), "{}", text(&done));
        let lock = fs::read_to_string(self.at("w.lock")).unwrap();
        let table = lock.parse().unwrap();
        (lock, table)
    }

    /// Builds from `w.lock` and the registry at this address, until a package is missing.
    fn build_from(&self, url: &str) -> Output {
        let (edition, nowhere) = ("image/editions/test.toml", "copy:/nonexistent");
        let (debian, security) = (format!("debian={nowhere}"), format!("debian-security={nowhere}"));
        self.run(&[
            "build",
            "--edition",
            edition,
            "--lock",
            "x.lock",
            "--workloads",
            "w.lock",
            "--installer",
            "installer",
            "--cache",
            "cache",
            "--output",
            "out",
            "--mirror",
            url,
            "--mirror",
            &debian,
            "--mirror",
            &security,
        ])
    }

    /// The packed images of a build that came as far as the packages.
    #[track_caller]
    fn packed(&self, built: &Output) -> PathBuf {
        refused(built, 1, &["kmod 1 is no longer on the mirror"]);
        self.layer().unwrap_or_else(|| panic!("{}", text(built))).join("workloads.squashfs")
    }

    /// The folder of packed images in the cache.
    fn layer(&self) -> Option<PathBuf> {
        let mut entries = fs::read_dir(self.at("cache")).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("workloads-"))
    }

    /// Blobs of a manifest in the registry: digits of the digest, and size.
    fn blobs(&self, digest: &str) -> Vec<(String, u64)> {
        let manifest = fs::read(self.registry().blob(hex(digest))).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let of = |blob: &serde_json::Value| {
            (hex(blob["digest"].as_str().unwrap()).to_owned(), blob["size"].as_u64().unwrap())
        };
        std::iter::once(of(&manifest["config"])).chain(manifest["layers"].as_array().unwrap().iter().map(of)).collect()
    }
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}

/// A field of an entry of the lock.
fn field<'l>(lock: &'l toml::Table, at: usize, name: &str) -> &'l str {
    lock["workloads"][at][name].as_str().unwrap()
}

/// What is in a file system.
fn listing(image: &Path) -> String {
    let output = Command::new("unsquashfs").arg("-lln").arg(image).env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tags_become_digests_of_what_runs_on_guests() {
    let world = world();
    let (first, lock) = world.lock();
    assert_eq!(lock["version"].as_integer(), Some(1));
    for (at, (name, image)) in [FIRST, SECOND].into_iter().enumerate() {
        let fields = ["role", "name", "image"].map(|name| field(&lock, at, name));
        assert_eq!(fields, ["edge", name, image]);
        // The digest is that of an image, not of an index, and the size that of all of it.
        let digest = field(&lock, at, "digest");
        let manifest = fs::metadata(world.registry().blob(hex(digest))).unwrap().len();
        let blobs = world.blobs(digest);
        assert_eq!(blobs.len(), 3);
        let size: u64 = blobs.iter().map(|(_, size)| size).sum();
        assert_eq!(lock["workloads"][at]["size"].as_integer(), Some(i64::try_from(size + manifest).unwrap()));
        let config = fs::read_to_string(world.registry().blob(&blobs[0].0)).unwrap();
        assert!(config.contains("amd64") && config.contains(name), "{config}");
    }
    // The mirror's address is nobody else's business.
    assert!(!first.contains("127.0.0.1"), "{first}");
    assert_eq!(world.lock().0, first);
}

#[test]
fn images_are_fetched_once_by_digest_and_are_on_the_medium_once() {
    let mut world = world();
    let (_, lock) = world.lock();
    let url = world.registry().url();
    let image = world.packed(&world.build_from(&url));
    let listing = listing(&image);
    for (_, blobs) in [0, 1].map(|at| (at, world.blobs(field(&lock, at, "digest")))) {
        for (blob, size) in blobs {
            let line = listing.lines().find(|line| line.ends_with(&format!("/blobs/sha256/{blob}")));
            let line = line.unwrap_or_else(|| panic!("{blob}: {listing}"));
            assert!(line.starts_with("-rw-r--r-- 0/0") && line.contains(&size.to_string()), "{line}");
            assert!(line.contains(" 2023-11-14 22:13 "), "{line}");
        }
    }
    // The layer that both have, almost all of them, takes its place once.
    let all: i64 = [0, 1].iter().map(|at| lock["workloads"][*at]["size"].as_integer().unwrap()).sum();
    let taken = i64::try_from(fs::metadata(&image).unwrap().len()).unwrap();
    assert!(taken > all / 2 - 8192 && taken < all / 2 + 16384, "{taken} of {all}");

    // An image by its full name, under the registry's digest; of Docker's manifest OCI's, with the same blobs.
    let tree = world.at("tree");
    let unpacked = Command::new("unsquashfs").args(["-quiet", "-no-progress", "-dest"]).arg(&tree).arg(&image).output();
    assert!(unpacked.unwrap().status.success());
    let list = fs::read_to_string(image.with_file_name("workloads.json")).unwrap();
    for (at, (name, reference)) in [FIRST, SECOND].into_iter().enumerate() {
        let index = fs::read_to_string(tree.join(format!("edge/{name}/index.json"))).unwrap();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        let manifest = &index["manifests"][0];
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(manifest["annotations"]["org.opencontainers.image.ref.name"], reference);
        assert_eq!(manifest["digest"] == field(&lock, at, "digest"), at == 0, "{index}");
        assert!(list.contains(manifest["digest"].as_str().unwrap()), "{list}");
        let layout = format!("oci:{}/edge/{name}:{reference}", tree.display());
        let to = format!("dir:{}", world.at(&format!("read-{name}")).display());
        let read = Command::new("skopeo").args(["copy", "--quiet", &layout, &to]).output().unwrap();
        assert!(read.status.success(), "{}", text(&read));
    }

    // A tag that leads elsewhere since then changes nothing.
    let content = fs::read(&image).unwrap();
    let moved = WorkloadImage::new("other", FIRST.1, 81);
    moved.push(&world.at("made/other"), world.registry(), "oci").unwrap();
    fs::remove_dir_all(world.at("cache")).unwrap();
    let image = world.packed(&world.build_from(&url));
    assert!(fs::read(&image).unwrap() == content, "another file system of the same images");
    // What is in the cache is not asked for, unless it is damaged.
    world.registry = None;
    fs::remove_dir_all(image.parent().unwrap()).unwrap();
    let image = world.packed(&world.build_from(&url));
    assert!(fs::read(&image).unwrap() == content);
    fs::remove_dir_all(image.parent().unwrap()).unwrap();
    let cached = world.at("cache/images").join(hex(field(&lock, 0, "digest")));
    let blobs: Vec<_> = fs::read_dir(cached.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect();
    flip(&blobs[0]);
    refused(&world.build_from(&url), 1, &["edge/first is fetched again", "cannot be reached", "connection refused"]);
}

#[test]
fn what_a_registry_lost_or_altered_stops_the_build() {
    let world = world();
    let (_, lock) = world.lock();
    let digest = field(&lock, 0, "digest");
    let blobs = world.blobs(digest);
    let [config, layer] = [&blobs[0], &blobs[1]].map(|(hex, _)| world.registry().blob(hex));
    let manifest = world.registry().blob(hex(digest));
    let url = world.registry().url();
    let asked = format!("edge/first: what came for docker.io/library/first@{digest} is not what its digest says");
    let gone = format!("edge/first: the registry no longer has docker.io/library/first@{digest}");
    let lacks = format!("edge/first: the registry lacks a part of docker.io/library/first@{digest}");
    let again = "lock again with `sovereign-image workloads lock`";
    let altered = [asked.as_str(), "nothing was built from it"];
    let remove: fn(&Path) = |path| fs::remove_file(path).unwrap();
    // Still a manifest, of another digest.
    let lengthen: fn(&Path) = |path| fs::write(path, [fs::read(path).unwrap(), b" ".to_vec()].concat()).unwrap();
    for (path, change, wanted) in [
        (&layer, flip as fn(&Path), altered),
        (&config, flip, altered),
        (&manifest, lengthen, altered),
        (&layer, remove, [&lacks, "push the image to it again"]),
        (&manifest, remove, [&gone, again]),
    ] {
        let whole = fs::read(path).unwrap();
        change(path);
        refused(&world.build_from(&url), 9, &wanted);
        assert!(world.layer().is_none());
        assert_eq!(fs::read_dir(world.at("cache/images")).unwrap().count(), 0);
        fs::write(path, whole).unwrap();
    }
    world.packed(&world.build_from(&url));
}

#[test]
fn nothing_is_locked_where_one_image_cannot_be_had() {
    let world = world();
    let url = world.registry().url();
    let refused_whole = |output: &Output, code: i32, wanted: &[&str]| {
        refused(output, code, wanted);
        assert!(!world.at("w.lock").exists());
        assert!(
            fs::read_dir(world.dir.path()).unwrap().all(|e| !e
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with(".w"))
        );
    };
    let silent = world.lock_from("http://127.0.0.1:9");
    let wanted = "edge/first: the registry of docker.io/library/first:v1 cannot be reached";
    refused_whole(&silent, 1, &[wanted, "connection refused", "--mirror URL"]);
    let login = Registry::start(&world.at("login"), true).unwrap();
    let wanted = "edge/first: the registry refuses access to docker.io/library/first:v1";
    refused_whole(&world.lock_from(&login.url()), 9, &[wanted, "`skopeo login`"]);
    refused_whole(
        &world.lock_from("127.0.0.1:5000"),
        2,
        &["`--mirror 127.0.0.1:5000` is not the address of a registry"],
    );

    let file = world.at("overlays/guest/edge/workloads/second/workload.toml");
    let plain = fs::read_to_string(&file).unwrap();
    fs::write(&file, plain.replace(SECOND.1, "ghcr.io/fixture/second:9")).unwrap();
    let wanted = "edge/second: the registry has no ghcr.io/fixture/second:9";
    refused_whole(&world.lock_from(&url), 9, &[wanted, "correct `image` in workload.toml"]);
    for (tag, architectures, found) in
        [("arm", vec!["arm64"], "linux/arm64"), ("both", vec!["arm64", "riscv64"], "linux/arm64, linux/riscv64")]
    {
        let image = format!("ghcr.io/fixture/second:{tag}");
        let made = WorkloadImage { architectures, ..WorkloadImage::new("second", &image, 80) };
        made.push(&world.at("made").join(tag), world.registry(), "oci").unwrap();
        fs::write(&file, plain.replace(SECOND.1, &image)).unwrap();
        let wanted = format!(
            "edge/second: {image} cannot be used: it has nothing for linux/amd64, only for {found}; give another"
        );
        refused_whole(&world.lock_from(&url), 9, &[&wanted]);
    }

    // A lock that is there stays as it is.
    fs::write(&file, plain).unwrap();
    let (lock, _) = world.lock();
    refused(&world.lock_from("http://127.0.0.1:9"), 1, &["cannot be reached"]);
    assert_eq!(fs::read_to_string(world.at("w.lock")).unwrap(), lock);
    // What is locked is not left out because nothing answers.
    refused(&world.build_from("http://127.0.0.1:9"), 1, &["edge/first: the registry of", "cannot be reached"]);
    assert!(world.layer().is_none());
}

#[test]
fn a_lock_that_does_not_fit_stops_the_build_at_its_line() {
    let world = world();
    let url = world.registry().url();
    refused(&world.build_from(&url), 2, &["cannot read the lock file of workloads w.lock", "No such file"]);
    let (good, _) = world.lock();
    let again = "with `sovereign-image workloads lock`";
    for (from, to, wanted) in [
        (
            "first:v1",
            "first:v0",
            "w.lock:4:1: the workload `edge/first` is locked as docker.io/library/first:v0, its workload.toml says",
        ),
        ("\"second\"", "\"third\"", "w.lock:11:1: the workload `edge/third` is that of no role in the overlays"),
        ("\"second\"", "\"first\"", "w.lock:11:1: the workload `edge/first` is locked twice"),
        ("sha256:", "md5:", "w.lock:8:10: `md5:"),
        ("version = 1", "version = one", "w.lock:2:11: "),
        ("size = ", "size = -", "w.lock:9:8: "),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        fs::write(world.at("w.lock"), text).unwrap();
        refused(&world.build_from(&url), 2, &[wanted, again]);
    }
    // A size that is another one is no accident of the registry's.
    fs::write(world.at("w.lock"), good.replacen("size = ", "size = 1", 1)).unwrap();
    refused(&world.build_from(&url), 2, &["edge/first: sha256:", "the lock file was changed by hand"]);

    // None is none: nothing is fetched, and nothing is packed.
    fs::write(world.at("w.lock"), NONE).unwrap();
    refused(&world.build_from("http://127.0.0.1:9"), 1, &["kmod 1 is no longer on the mirror"]);
    assert!(world.layer().is_none());
}

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
