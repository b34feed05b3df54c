//! Two builds from one lock file are equal to the bit, and `verify` tells when one is not.
//!
//! These tests build real images, so they are ignored unless asked for, and need a lock file and the packages of an
//! earlier build: `scripts/test` sets `SOVEREIGN_TEST_LOCK` (a lock file), `SOVEREIGN_TEST_CACHE` (the cache of the
//! build that wrote it) and, for the slow form that installs all packages twice, `SOVEREIGN_TEST_COLD=1`.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Bench {
    lock: PathBuf,
    cache: PathBuf,
    cold: bool,
    root: PathBuf,
    dir: tempfile::TempDir,
}

/// What the environment gives.
fn bench() -> Bench {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let needed = |name| variable(name).unwrap_or_else(|| panic!("{name} is not set: run scripts/test"));
    let (lock, cache) = (needed("SOVEREIGN_TEST_LOCK"), needed("SOVEREIGN_TEST_CACHE"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    // Beside the cache: layers are linked, not copied.
    let dir = tempfile::tempdir_in(&cache).unwrap();
    Bench { lock, cache, cold: variable("SOVEREIGN_TEST_COLD").is_some(), root, dir }
}

fn image(arguments: &[OsString]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sovereign-image")).args(arguments).output().unwrap()
}

/// Who builds: what must not show in an image, and the date, which must.
struct Builder {
    umask: &'static str,
    environment: Vec<(&'static str, OsString)>,
}

impl Builder {
    /// As the test was started.
    fn plain() -> Self {
        Self { umask: "022", environment: Vec::new() }
    }

    /// Another time zone, locale, umask and home, with settings there that would change what mtools and xorriso write.
    fn other(home: &Path) -> Self {
        fs::create_dir(home).unwrap();
        fs::write(home.join(".mtoolsrc"), "mtools_lower_case=1\nmtools_no_vfat=1\n").unwrap();
        fs::write(home.join(".xorrisorc"), "-application_id OTHER\n").unwrap();
        let environment = [("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8")];
        let mut environment: Vec<_> = environment.map(|(name, value)| (name, value.into())).into();
        environment.push(("HOME", home.into()));
        Self { umask: "077", environment }
    }

    /// With `SOURCE_DATE_EPOCH`.
    fn at(mut self, epoch: u64) -> Self {
        self.environment.push(("SOURCE_DATE_EPOCH", epoch.to_string().into()));
        self
    }

    fn image(&self, arguments: &[OsString]) -> Output {
        Command::new("sh")
            .args([
                "-c",
                "umask \"$1\" && shift && exec \"$@\"",
                "sh",
                self.umask,
                env!("CARGO_BIN_EXE_sovereign-image"),
            ])
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap()
    }
}

fn words(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Bench {
    /// A cache of its own that shares nothing with others but package files and, unless everything is to be made anew, the layers that
    /// packages are installed in.
    fn cache(&self, name: &str) -> PathBuf {
        let cache = self.dir.path().join(name);
        fs::create_dir(&cache).unwrap();
        let mut shared = vec!["packages".to_owned()];
        if !self.cold {
            let names =
                fs::read_dir(&self.cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            shared.extend(names.filter(|name| name.starts_with("base-") || name.starts_with("guest-")));
        }
        for folder in shared {
            let done = Command::new("cp").arg("-al").arg(self.cache.join(&folder)).arg(&cache).status().unwrap();
            assert!(done.success(), "cannot link {folder}");
        }
        cache
    }

    /// The edition of the lock file.
    fn edition(&self) -> String {
        let lock = fs::read_to_string(&self.lock).unwrap();
        let name = lock.lines().find_map(|line| line.strip_prefix("edition = ")).unwrap();
        name.trim_matches('"').to_owned()
    }

    /// The date of the lock file, seconds since 1970; another one where all is made anew, since the cached base layer
    /// has that date.
    fn epoch(&self) -> u64 {
        let lock = fs::read_to_string(&self.lock).unwrap();
        let locked: u64 = lock.lines().find_map(|line| line.strip_prefix("epoch = ")).unwrap().parse().unwrap();
        if self.cold { locked - 86_400 } else { locked }
    }

    fn build(&self, name: &str, overlays: &Path, builder: &Builder) -> PathBuf {
        let cache = self.cache(name);
        let output = self.dir.path().join(format!("{name}-out"));
        let installer = self.dir.path().join("installer");
        fs::write(&installer, "#!/bin/sh\nexit 0\n").unwrap();
        let built = builder.image(&words(&[
            &"build",
            &"--edition",
            &self.root.join(format!("image/editions/{}.toml", self.edition())),
            &"--lock",
            &self.lock,
            &"--installer",
            &installer,
            &"--overlays",
            &overlays,
            &"--cache",
            &cache,
            &"--output",
            &output,
        ]));
        assert!(built.status.success(), "{}", text(&built));
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim_end())
    }
}

/// A copy of the overlays with other times and a tighter umask, as another checkout has them.
fn other_checkout(overlays: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(overlays).arg(to).status().unwrap();
    assert!(copied.success());
    let tightened = Command::new("sh")
        .args(["-c", "find \"$1\" -exec touch -h -d 2001-02-03 {} + && chmod -R go-w \"$1\"", "sh"])
        .arg(to)
        .status()
        .unwrap();
    assert!(tightened.success());
}

#[test]
#[ignore = "builds whole images; scripts/test runs it"]
fn two_builds_from_one_lock_are_equal_to_the_bit() {
    let bench = bench();
    let overlays = bench.root.join("overlays");
    let other = bench.dir.path().join("overlays");
    other_checkout(&overlays, &other);
    let epoch = bench.epoch();
    let one = bench.build("one", &overlays, &Builder::plain().at(epoch));
    let two = bench.build("two", &other, &Builder::other(&bench.dir.path().join("home")).at(epoch));
    assert_eq!(one.file_name(), two.file_name());
    let compared = Command::new("cmp").arg(&one).arg(&two).output().unwrap();
    assert!(compared.status.success(), "{}", text(&compared));
    let inspected = image(&words(&[&"inspect", &"--json", &two]));
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(report["manifest"]["epoch"], epoch);
    // Everything is on the medium once, and all of it is accounted for.
    let sizes = text(&image(&words(&[&"inspect", &"--sizes", &two])));
    assert!(sizes.contains("no file larger than 64 KiB is on it twice") && !sizes.contains("also inside"), "{sizes}");
}

#[test]
#[ignore = "builds whole images; scripts/test runs it"]
fn an_altered_or_short_image_is_found_and_exits_7() {
    let bench = Bench { cold: false, ..bench() };
    let iso = bench.build("whole", &bench.root.join("overlays"), &Builder::plain());
    let verify = || image(&words(&[&"verify", &iso]));
    let whole = verify();
    assert!(whole.status.success(), "{}", text(&whole));

    let inspected = image(&words(&[&"inspect", &"--json", &iso]));
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let esp = report["boot"]["gpt"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["kind"].as_str().unwrap().eq_ignore_ascii_case("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"));
    let esp = esp.unwrap()["offset"].as_u64().unwrap();
    let length = fs::metadata(&iso).unwrap().len();
    let refused = |what: &str, wanted: &str| {
        let said = verify();
        assert_eq!(said.status.code(), Some(7), "{what}: {}", text(&said));
        assert!(text(&said).contains(wanted), "{what}: {}", text(&said));
    };
    for (what, offset, wanted) in [
        ("packages", length / 2, "sovereign/base.squashfs has SHA-256"),
        ("loader for UEFI", esp + 100_000, "the EFI system partition was altered"),
        ("boot code", 100, "the boot code of the master boot record was altered"),
        ("primary GPT", 512 + 56, "one of the two GPT headers is not valid"),
        ("volume descriptor", 32_768 + 600, "a volume descriptor was altered"),
        ("backup GPT", length - 512 + 56, "one of the two GPT headers is not valid"),
    ] {
        flip(&iso, offset);
        refused(what, wanted);
        flip(&iso, offset);
    }
    assert!(verify().status.success());
    let file = fs::File::options().write(true).open(&iso).unwrap();
    for cut in [1, 512, 300_000, 1_000_000, 10_000_000] {
        file.set_len(length - cut).unwrap();
        refused("short image", "is cut short");
    }
}

#[test]
#[ignore = "builds whole images; scripts/test runs it"]
fn a_site_file_is_embedded_and_everything_else_refused() {
    let bench = Bench { cold: false, ..bench() };
    let iso = bench.build("plain", &bench.root.join("overlays"), &Builder::plain());
    let copy = bench.dir.path().join("copy.iso");
    let site = bench.root.join("docs/sites/reference.toml");
    // Nobody reads the progress: the copy is made all the same.
    let embedded = Command::new(env!("CARGO_BIN_EXE_sovereign-image"))
        .args(words(&[&"embed", &iso, &"--site", &site, &"--output", &copy]))
        .stderr(std::io::pipe().unwrap().1)
        .output()
        .unwrap();
    assert!(embedded.status.success(), "{}", text(&embedded));
    // Still whole, still bootable both ways, and now with a site file.
    let verified = image(&words(&[&"verify", &copy]));
    assert!(verified.status.success(), "{}", text(&verified));
    assert!(text(&verified).contains("site file embedded"), "{}", text(&verified));
    let inspected = image(&words(&[&"inspect", &"--json", &copy]));
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(report["embedded_site"], true);
    assert_eq!(report["problems"], serde_json::json!([]));

    let key = bench.dir.path().join("disk.key");
    fs::write(&key, "correct horse battery staple\n").unwrap();
    let other = bench.dir.path().join("other.iso");
    let refused = image(&words(&[&"embed", &iso, &"--site", &key, &"--output", &other]));
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(!other.exists());
}

fn flip(path: &Path, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}
