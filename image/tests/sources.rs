//! Sources of Proxmox's packages, in all their forms and with all that can be wrong with them, against a fixture: stand-ins of Proxmox's
//! packages and a small stand-in of Debian, both served on the loopback interface. Nothing is downloaded from anywhere.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sovereign_fixture::{
    Component, Fault, Fixture, IsoOptions, Kernel, Key, Package, RepositoryOptions, Server, iso, repository,
};

/// What the fixture's packages and the builder want of Debian.
const DEBIAN: [&str; 18] = [
    "apt",
    "ca-certificates",
    "dbus",
    "ifupdown2",
    "initramfs-tools",
    "kmod",
    "logrotate",
    "lvm2",
    "openssh-client",
    "openssh-server",
    "openssl",
    "perl",
    "postfix",
    "python3",
    "rsync",
    "socat",
    "systemd",
    "thin-provisioning-tools",
];
/// Packages that both have: name, Debian's version, Proxmox's, and whose is to be taken.
const BOTH: [(&str, &str, &str, &str); 4] = [
    ("the-same", "1:2.0+b1", "1:2.0+b1", "debian"),
    ("older-in-the-pool", "2.0", "1.9", "debian"),
    ("newer-in-the-pool", "2.0", "2.1", "debian"),
    ("rebuilt", "2.0-1", "2.0-0+pmx3", "proxmox"),
];

/// A folder with editions, both archives, and a server of it.
struct World {
    dir: tempfile::TempDir,
    fixture: Fixture,
    debian: Server,
}

fn world() -> World {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| dir.path().join(name);
    let fixture = Fixture::make(&at("proxmox"), &Kernel::Empty, 1_700_000_000).unwrap();
    let stub = |name, version, folder: &Path| {
        Package { name, version, architecture: "all", fields: "" }.build(folder).unwrap()
    };
    let mut debs: Vec<PathBuf> = DEBIAN.iter().map(|name| stub(name, "1.0", &at("debs"))).collect();
    for (name, theirs, proxmox, _) in BOTH {
        debs.push(stub(name, theirs, &at("debs")));
        stub(name, proxmox, &fixture.debs());
    }
    let key = Key::make().unwrap();
    key.export(&at("debian.gpg")).unwrap();
    let main = [Component { name: "main", debs: &debs }];
    repository(&at("debian"), &main, Some(&key), &RepositoryOptions::default()).unwrap();
    iso(&fixture.iso(), &files(&fixture.debs()), &IsoOptions::default()).unwrap();

    // Two editions where the program looks for them by name.
    let known = fs::read_to_string(fixture.edition()).unwrap();
    let (_, table) = known.split_once("[proxmox]\n").unwrap();
    let common = format!(
        "product = \"P\"\narchitecture = \"amd64\"\nkeyring = \"{}\"\ncomponents = [\"main\"]\nexclude = []\ninclude = []\n\
         [[suites]]\narchive = \"debian\"\nsuite = \"trixie\"\n[packages]\nperl = \"a test\"\n",
        at("debian.gpg").display()
    );
    let mut packages = String::new();
    for (name, ..) in BOTH {
        writeln!(packages, "{name} = \"a test\"").unwrap();
    }
    let proxmox = format!(
        "extends = \"common.toml\"\nname = \"proxmox\"\nlabel = \"a fixture\"\nkernel = \"proxmox-default-kernel\"\n\
         kernel-release = \"*-amd64\"\n[packages]\nproxmox-ve = \"a test\"\n{packages}[proxmox]\n{table}"
    );
    let rehearsal = "extends = \"common.toml\"\nname = \"rehearsal\"\nlabel = \"no Proxmox VE\"\nkernel = \"kmod\"\n\
                     kernel-release = \"*\"\n";
    fs::create_dir_all(at("image/editions")).unwrap();
    for (name, text) in [("common", common.as_str()), ("proxmox", &proxmox), ("rehearsal", rehearsal)] {
        fs::write(at(&format!("image/editions/{name}.toml")), text).unwrap();
    }
    let debian = Server::start(&at("debian"), None, &[]).unwrap();
    World { dir, fixture, debian }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What a command said, without the time stamps.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl World {
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the program with the stand-in of Debian as mirror.
    fn run<S: AsRef<OsStr>>(&self, command: &str, options: &[S]) -> Output {
        let mut call = Command::new(env!("CARGO_BIN_EXE_sovereign-image"));
        call.arg(command).current_dir(self.dir.path()).args(["--cache", "cache"]);
        for (archive, path) in [("debian", ""), ("debian-security", "/security")] {
            call.arg("--mirror").arg(format!("{archive}={}{path}", self.debian.url()));
        }
        call.args(options).output().unwrap()
    }

    /// Locks the edition with these options.
    fn lock<S: AsRef<OsStr>>(&self, options: &[S]) -> Output {
        let mut all: Vec<&OsStr> = ["--edition", "proxmox", "--output", "x.lock"].iter().map(OsStr::new).collect();
        all.extend(options.iter().map(AsRef::as_ref));
        self.run("lock", &all)
    }

    /// The options of a repository with the fixture's key.
    fn repository(&self, url: &str) -> [String; 4] {
        let keyring = self.fixture.keyring().display().to_string();
        ["--proxmox-url".to_owned(), url.to_owned(), "--proxmox-keyring".to_owned(), keyring]
    }

    /// Packages of the lock file, `name version archive`.
    fn locked(&self) -> Vec<String> {
        let lock = fs::read_to_string(self.at("x.lock")).unwrap();
        assert!(!lock.contains("127.0.0.1") && !lock.contains("copy:"), "{lock}");
        let lock: toml::Table = lock.parse().unwrap();
        let field = |package: &toml::Value, name: &str| package[name].as_str().unwrap().to_owned();
        let packages = lock["packages"].as_array().unwrap().iter();
        packages.map(|p| format!("{} {} {}", field(p, "name"), field(p, "version"), field(p, "archive"))).collect()
    }

    /// A repository of the fixture's packages that is other than usual.
    fn other(&self, name: &str, key: Option<&Key>, options: &RepositoryOptions, faults: &[Fault]) -> Server {
        let debs = files(&self.fixture.debs());
        let component = [Component { name: "pve-no-subscription", debs: &debs }];
        repository(&self.at(name), &component, key, options).unwrap();
        Server::start(&self.at(name), None, faults).unwrap()
    }
}

/// The command ended with this code and said this.
fn refused(output: &Output, code: i32, wanted: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in wanted {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

#[test]
fn iso_and_folder_give_proxmoxs_packages_and_leave_debians_to_the_mirror() {
    let world = world();
    let (iso, debs) = (world.fixture.iso(), world.fixture.debs());
    let mut locks = Vec::new();
    for (option, path) in [("--proxmox-iso", iso), ("--proxmox-debs", debs)] {
        let done = world.lock(&[OsStr::new(option), path.as_os_str()]);
        assert!(done.status.success(), "{}", text(&done));
        let locked = world.locked();
        for (name, theirs, proxmox, archive) in BOTH {
            let version = if archive == "debian" { theirs } else { proxmox };
            assert!(locked.contains(&format!("{name} {version} {archive}")), "{locked:#?}");
        }
        for wanted in ["proxmox-ve 9.1.0 proxmox", "pve-cluster 9.1.1 proxmox", "python3 1.0 debian"] {
            assert!(locked.contains(&wanted.to_owned()), "{locked:#?}");
        }
        locks.push(fs::read_to_string(world.at("x.lock")).unwrap());
    }
    // The same packages: the same lock, whichever source it was.
    assert_eq!(locks[0], locks[1]);
}

#[test]
fn a_repository_gives_its_packages_and_they_are_fetched() {
    let world = world();
    let server = Server::start(&world.fixture.repository(), None, &[]).unwrap();
    // The fixture's own repository has none of the packages that Debian has too.
    let edition = world.at("image/editions/proxmox.toml");
    let plain = fs::read_to_string(&edition).unwrap();
    fs::write(
        &edition,
        BOTH.iter().fold(plain, |text, (name, ..)| text.replace(&format!("{name} = \"a test\"\n"), "")),
    )
    .unwrap();
    let done = world.lock(&world.repository(&server.url()));
    assert!(done.status.success(), "{}", text(&done));
    assert!(world.locked().contains(&"proxmox-ve 9.1.0 proxmox".to_owned()));

    // A package that is not what was locked stops the build.
    let altered = Server::start(&world.fixture.repository(), None, &[Fault::Alter("qemu-server_9.2.1_amd64.deb")]);
    let altered = altered.unwrap();
    fs::write(world.at("installer"), "#!/bin/sh\n").unwrap();
    let mut options: Vec<String> = world.repository(&altered.url()).into();
    options.extend(["--edition", "proxmox", "--lock", "x.lock", "--installer", "installer"].map(str::to_owned));
    refused(&world.run("build", &options), 9, &["qemu-server 9.2.1 from the mirror is not the locked file"]);
    // All others are in the cache now or come from a server that tells the truth.
    let gone = Server::start(&world.fixture.repository(), None, &[Fault::Status("pve-manager_9.1.2_all.deb", 404)]);
    let gone = gone.unwrap();
    options[1] = gone.url();
    refused(
        &world.run("build", &options),
        1,
        &["pve-manager 9.1.2 is no longer on the mirror", "sovereign-image lock"],
    );
}

#[test]
fn a_repository_that_is_not_what_it_should_be_stops_the_build() {
    let world = world();
    let key = Key::make().unwrap();
    key.export(&world.at("other.gpg")).unwrap();
    let plain = RepositoryOptions::default();
    let try_it = |server: &Server| world.lock(&world.repository(&server.url()));

    let wrong_key = world.other("wrong-key", Some(&key), &plain, &[]);
    refused(&try_it(&wrong_key), 9, &["is not signed by the key", "compare the fingerprint"]);
    let unsigned = world.other("unsigned", None, &plain, &[]);
    refused(&try_it(&unsigned), 9, &["has no signature", "copies InRelease too"]);
    // A keyring without the edition's key is of no use, whatever it has signed.
    let keyring = ["--proxmox-url".into(), wrong_key.url(), "--proxmox-keyring".into(), "other.gpg".to_owned()];
    refused(&world.lock(&keyring), 9, &["other.gpg does not have the key", &key.fingerprint]);
    let keyring = ["--proxmox-keyring", "x.lock"];
    fs::write(world.at("x.lock"), "no keyring").unwrap();
    refused(&world.lock(&keyring), 9, &["x.lock is not a keyring that gpg can read"]);

    // What follows is signed by the right key: an edition that names this one.
    let edition = world.at("image/editions/proxmox.toml");
    let text = fs::read_to_string(&edition).unwrap();
    let right = text.lines().find_map(|line| line.strip_prefix("key = ")).unwrap().trim_matches('"').to_owned();
    fs::write(&edition, text.replace(&right, &key.fingerprint)).unwrap();
    let try_it = |server: &Server| {
        world.lock(&["--proxmox-url".into(), server.url(), "--proxmox-keyring".into(), "other.gpg".to_owned()])
    };
    let whole = try_it(&wrong_key);
    assert!(whole.status.success(), "{}", self::text(&whole));
    let expired = RepositoryOptions { valid_for_s: Some(-86_400), ..plain.clone() };
    refused(&try_it(&world.other("expired", Some(&key), &expired, &[])), 9, &["is out of date", "check this clock"]);
    let bookworm = RepositoryOptions { codename: "bookworm".to_owned(), ..plain.clone() };
    let bookworm = world.other("bookworm", Some(&key), &bookworm, &[]);
    refused(&try_it(&bookworm), 9, &["is of the release `bookworm`, the edition is of `trixie`"]);
    let index = world.other("index", Some(&key), &plain, &[Fault::Alter("Packages"), Fault::Alter("Packages.gz")]);
    refused(&try_it(&index), 9, &["a package index of", "is not the one that was signed"]);
    let empty = Server::start(&world.at("image"), None, &[]).unwrap();
    refused(&try_it(&empty), 9, &["has no suite `trixie`", "check --proxmox-url"]);
}

#[test]
fn credentials_are_for_apt_alone() {
    let world = world();
    let server = Server::start(&world.fixture.repository(), Some(("pve1a", "s3cret-k3y")), &[]).unwrap();
    let edition = world.at("image/editions/proxmox.toml");
    let plain = fs::read_to_string(&edition).unwrap();
    fs::write(
        &edition,
        BOTH.iter().fold(plain, |text, (name, ..)| text.replace(&format!("{name} = \"a test\"\n"), "")),
    )
    .unwrap();
    let mut options: Vec<String> = world.repository(&server.url()).into();
    options.extend(["--proxmox-repository", "enterprise"].map(str::to_owned));
    refused(&world.lock(&options), 9, &["refuses access", "--proxmox-credentials", "no-subscription"]);

    let file = world.at("auth.conf");
    fs::write(&file, format!("machine {}/\nlogin pve1a\npassword s3cret-k3y\n", server.url())).unwrap();
    options.extend(["--proxmox-credentials", "auth.conf"].map(str::to_owned));
    for (mode, code) in [(0o644, 2), (0o640, 2), (0o600, 0), (0o400, 0)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let done = world.lock(&options);
        assert_eq!(done.status.code(), Some(code), "{mode:o}: {}", text(&done));
        assert!(code == 0 || text(&done).contains("chmod 600 auth.conf"), "{}", text(&done));
    }
    // They are used for the packages too, and are kept nowhere.
    fs::write(world.at("installer"), "#!/bin/sh\n").unwrap();
    options.extend(["--edition", "proxmox", "--lock", "x.lock", "--installer", "installer"].map(str::to_owned));
    let built = world.run("build", &options);
    assert!(!text(&built).contains("cannot download"), "{}", text(&built));
    assert!(files(&world.at("cache/packages")).len() > 10, "{}", text(&built));
    let kept =
        Command::new("grep").args(["-rlF", "s3cret-k3y", "cache", "x.lock"]).current_dir(world.dir.path()).output();
    assert_eq!(kept.unwrap().status.code(), Some(1));
    assert!(!text(&built).contains("s3cret-k3y"));

    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, format!("machine {}/\nlogin pve1a\npassword wrong\n", server.url())).unwrap();
    refused(&world.lock(&options[..8]), 9, &["refuses access"]);
    let address = world.lock(&["--proxmox-url", "http://user:s3cret-k3y@127.0.0.1/"]);
    refused(&address, 2, &["--proxmox-credentials"]);
    assert!(!text(&address).contains("s3cret-k3y"));
}

#[test]
fn guests_have_debians_packages_alone_and_a_role_only_what_the_base_has_not() {
    let world = world();
    fs::create_dir_all(world.at("image/guest")).unwrap();
    fs::create_dir_all(world.at("overlays/guest/edge")).unwrap();
    fs::create_dir_all(world.at("overlays/guest/base")).unwrap();
    let base = "kernel = \"kmod\"\nkernel-release = \"*\"\nexclude = []\n[packages]\nrebuilt = \"a test\"\n";
    fs::write(world.at("image/guest/base.toml"), base).unwrap();
    let edition = "extends = \"proxmox.toml\"\nguests = \"../guest/base.toml\"\n";
    fs::write(world.at("image/editions/guests.toml"), edition).unwrap();
    let role = concat!(env!("CARGO_MANIFEST_DIR"), "/../overlays/guest/edge/role.toml");
    let role = fs::read_to_string(role).unwrap().replace("forward = \"core\"\n", "").replace("[\"traefik\"]", "[]");
    let (head, rest) = role.split_once("[packages]\n").unwrap();
    let (_, tail) = rest.split_once("\n\n").unwrap();
    let with = |packages: &str| format!("{head}[packages]\n{packages}\n{tail}");
    let file = world.at("overlays/guest/edge/role.toml");
    fs::write(&file, with("socat = \"a test\"\nrebuilt = \"a test\"\n")).unwrap();

    let iso = world.fixture.iso();
    let options = ["--edition".as_ref(), "guests".as_ref(), "--output".as_ref(), "x.lock".as_ref()];
    let lock = || world.run("lock", &[&options[..], &["--proxmox-iso".as_ref(), iso.as_os_str()]].concat());
    let done = lock();
    assert!(done.status.success(), "{}", text(&done));
    assert!(world.locked().contains(&"rebuilt 2.0-0+pmx3 proxmox".to_owned()));
    let lock_file: toml::Table = fs::read_to_string(world.at("x.lock")).unwrap().parse().unwrap();
    let names = |packages: &toml::Value| -> Vec<String> {
        let field = |package: &toml::Value, name: &str| package[name].as_str().unwrap().to_owned();
        let packages = packages.as_array().unwrap().iter();
        packages.map(|p| format!("{} {} {}", field(p, "name"), field(p, "version"), field(p, "archive"))).collect()
    };
    let guests = &lock_file["guests"];
    assert_eq!(names(&guests["base"]), ["apt 1.0 debian", "kmod 1.0 debian", "rebuilt 2.0-1 debian"]);
    assert_eq!(names(&guests["roles"]["edge"]), ["socat 1.0 debian"]);

    // What belongs to Proxmox's packages is none for guests.
    fs::write(&file, with("proxmox-ve = \"a test\"\n")).unwrap();
    refused(&lock(), 9, &["neither the Debian mirror nor the source has: proxmox-ve"]);
    fs::write(&file, with("socat = \"\"\n")).unwrap();
    refused(&lock(), 2, &["edge/role.toml:"]);
}

#[test]
fn an_iso_that_is_not_the_right_one_stops_the_build() {
    let world = world();
    let debs = files(&world.fixture.debs());
    let file = world.at("other.iso");
    let try_it = |options: &IsoOptions| {
        iso(&file, &debs, options).unwrap();
        world.lock(&["--proxmox-iso", "other.iso"])
    };
    let plain = IsoOptions::default();
    let without = |path| IsoOptions { without: Some(path), ..IsoOptions::default() };
    for (path, problem) in [
        (".cd-info", "it has no /.cd-info"),
        (".disk/info", "it has no /.disk/info"),
        ("proxmox", "there are no packages in /proxmox/packages/"),
        ("dists", "it has no package index /dists/trixie/pve/binary-amd64/Packages"),
    ] {
        refused(&try_it(&without(path)), 9, &["is not an official Proxmox VE ISO", problem]);
    }
    let old = IsoOptions { release: "8.4".to_owned(), ..plain.clone() };
    refused(&try_it(&old), 9, &["is of release 8.4, the edition is of 9"]);
    let backup = IsoOptions { product: "pbs".to_owned(), product_long: "Proxmox Backup Server".to_owned(), ..plain };
    refused(&try_it(&backup), 9, &["is an ISO of Proxmox Backup Server"]);
    let altered = IsoOptions { altered: Some("pve-cluster_"), ..IsoOptions::default() };
    refused(&try_it(&altered), 9, &["proxmox/packages/pve-cluster_9.1.1_amd64.deb", "the ISO's own index says"]);

    let whole = fs::read(world.fixture.iso()).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refused(&world.lock(&["--proxmox-iso", "other.iso"]), 9, &["cannot use other.iso", "is cut short"]);
    fs::write(&file, "no ISO").unwrap();
    refused(&world.lock(&["--proxmox-iso", "other.iso"]), 9, &["it has no ISO 9660 file system"]);
    refused(&world.lock(&["--proxmox-iso", "missing.iso"]), 2, &["cannot read missing.iso"]);
    let both = ["--proxmox-iso", "other.iso", "--proxmox-debs", "debs"];
    refused(&world.lock(&both), 2, &["--proxmox-iso and --proxmox-debs belong to two sources"]);
    let rehearsal = world.run("lock", &["--edition", "rehearsal", "--proxmox-iso", "other.iso"]);
    refused(&rehearsal, 2, &["takes no packages from Proxmox", "--edition proxmox"]);
}

#[test]
fn a_folder_with_a_wrong_package_stops_the_build() {
    let world = world();
    let debs = world.fixture.debs();
    let options = [OsStr::new("--proxmox-debs"), debs.as_os_str()];
    let try_it = || world.lock(&options);

    // What is no package is left alone, but for a name that says it is one.
    fs::write(debs.join("README"), "x").unwrap();
    assert!(try_it().status.success());
    let broken = debs.join("broken.deb");
    fs::write(&broken, "no package").unwrap();
    refused(&try_it(), 9, &["broken.deb is not a package, or is cut short"]);
    let whole = fs::read(debs.join("pve-cluster_9.1.1_amd64.deb")).unwrap();
    fs::write(&broken, &whole[..whole.len() - 100]).unwrap();
    refused(&try_it(), 9, &["broken.deb is not a package, or is cut short"]);
    // The same file under two names is one package; another file of the same version is not.
    fs::write(&broken, &whole).unwrap();
    assert!(try_it().status.success());
    let other = Package { name: "pve-cluster", version: "9.1.1", architecture: "amd64", fields: "" };
    fs::rename(other.build(&world.at("elsewhere")).unwrap(), &broken).unwrap();
    refused(&try_it(), 9, &["are the same version of one package", "broken.deb", "pve-cluster_9.1.1_amd64.deb"]);
    let arm = Package { name: "arm", version: "1", architecture: "arm64", fields: "" };
    fs::rename(arm.build(&world.at("elsewhere")).unwrap(), &broken).unwrap();
    refused(&try_it(), 9, &["broken.deb is for arm64, the edition is for amd64"]);
    fs::remove_file(&broken).unwrap();

    // Packages of another major release.
    let edition = world.at("image/editions/proxmox.toml");
    let plain = fs::read_to_string(&edition).unwrap();
    fs::write(&edition, plain.replace("release = \"9\"", "release = \"10\"")).unwrap();
    refused(&try_it(), 9, &["the source has proxmox-ve 9.1.0, the edition is of release 10", "of that major release"]);
    fs::write(&edition, plain).unwrap();

    // A package that another needs, and one that the edition names.
    fs::remove_file(debs.join("libpve-storage-perl_9.1.0_all.deb")).unwrap();
    refused(&try_it(), 9, &["cannot be installed together", "libpve-storage-perl"]);
    fs::remove_file(debs.join("proxmox-ve_9.1.0_all.deb")).unwrap();
    refused(&try_it(), 9, &["neither the Debian mirror nor the source has: proxmox-ve"]);
    let empty = [OsStr::new("--proxmox-debs"), OsStr::new("image")];
    refused(&world.lock(&empty), 2, &["there is no .deb file in image"]);
}

#[test]
fn auto_takes_what_answers_and_says_so_where_nothing_does() {
    let world = world();
    let edition = world.at("image/editions/proxmox.toml");
    let plain = fs::read_to_string(&edition).unwrap();
    let plain = BOTH.iter().fold(plain, |text, (name, ..)| text.replace(&format!("{name} = \"a test\"\n"), ""));
    let auto = |url: &str| {
        let text = plain.replace("http://download.proxmox.com/debian/pve", url);
        assert_ne!(text, plain);
        fs::write(&edition, text).unwrap();
        world.run("lock", &["--edition", "auto", "--output", "x.lock"])
    };
    let of = |done: &Output| {
        assert!(done.status.success(), "{}", text(done));
        let lock: toml::Table = fs::read_to_string(world.at("x.lock")).unwrap().parse().unwrap();
        lock["edition"].as_str().unwrap().to_owned()
    };
    let server = Server::start(&world.fixture.repository(), None, &[]).unwrap();
    assert_eq!(of(&auto(&server.url())), "proxmox");

    // Nobody listens, the name is unknown, or there is nothing but an error.
    drop(server);
    let down = Server::start(&world.at("image"), None, &[Fault::Status("Release", 503)]).unwrap();
    for url in ["http://127.0.0.1:9", "http://proxmox.invalid/pve", &down.url()] {
        let done = auto(url);
        assert_eq!(of(&done), "rehearsal", "{url}");
        let said = text(&done);
        let last: Vec<&str> = said.lines().rev().take(2).collect();
        assert!(last[1].contains("this is the edition `rehearsal`") && last[1].contains(url), "{said}");
        assert!(last[0].contains("--proxmox-iso"), "{said}");
    }
    // A source that is given is not done without, and a wrong answer is no silence.
    let given = world.run("lock", &["--edition", "auto", "--output", "x.lock", "--proxmox-url", "http://127.0.0.1:9"]);
    refused(&given, 1, &["http://127.0.0.1:9 cannot be reached", "--proxmox-debs"]);
    let unsigned = world.other("unsigned", None, &RepositoryOptions::default(), &[]);
    refused(&auto(&unsigned.url()), 9, &["has no signature"]);
}
