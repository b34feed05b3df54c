//! Role files: those that are shipped, those that are wrong with the exact text a person gets, and a fourth one.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sovereign_model::role::{Catalogue, Network, Role, Source};

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../overlays/guest")
}

fn text(role: &str) -> String {
    fs::read_to_string(guests().join(role).join("role.toml")).unwrap()
}

/// The files of a role's workloads and natives, sorted by path.
fn workloads(role: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    for kind in ["workloads", "natives"] {
        walk(&guests().join(role).join(kind), &mut files);
    }
    files.sort();
    let relative = |file: &PathBuf| format!("overlays/guest/{}", file.strip_prefix(guests()).unwrap().display());
    files.iter().map(|file| (relative(file), fs::read_to_string(file).unwrap())).collect()
}

/// The files of edge, core and storage and of their workloads, with one text replaced by another in one of them.
fn changed(role: &str, from: &str, to: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> =
        ["core", "edge", "storage"].map(|name| (format!("overlays/guest/{name}/role.toml"), text(name))).into();
    files.extend(files.clone().iter().flat_map(|(file, _)| workloads(file.rsplit('/').nth(1).unwrap())));
    let (_, text) = files.iter_mut().find(|(file, _)| file.contains(role)).unwrap();
    assert!(text.contains(from), "{role} has no {from:?}");
    *text = text.replacen(from, to, 1);
    files
}

fn catalogue(files: &[(String, String)]) -> Result<Catalogue, String> {
    let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    Catalogue::new(&files).map_err(|error| error.to_string())
}

#[test]
fn the_roles_that_are_compiled_in_are_those_of_the_overlays() {
    let shipped = Catalogue::shipped().unwrap();
    let mut folders: Vec<_> =
        fs::read_dir(guests()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.retain(|folder| guests().join(folder).join("role.toml").exists());
    folders.sort();
    let mut names: Vec<_> = shipped.roles().iter().map(|role| role.name.to_string()).collect();
    names.sort();
    assert_eq!(names, folders);
    for role in shipped.roles() {
        assert_eq!(Role::parse(&text(role.name.as_str()), "role.toml").as_ref(), Ok(role));
    }
    let numbers: Vec<_> = shipped.roles().iter().map(|role| (role.template.get(), role.machine.get())).collect();
    assert_eq!(numbers[..3], [(9001, 101), (9002, 102), (9003, 103)]);
}

#[test]
fn only_edge_hears_the_public_network_and_the_others_hear_roles_and_the_host_alone() {
    for role in Catalogue::shipped().unwrap().roles() {
        let is_edge = role.name.as_str() == "edge";
        assert_eq!(role.is_on(Network::Public), is_edge, "{}", role.name);
        for port in role.ports.iter().filter(|_| !is_edge) {
            assert!(matches!(port.from, Source::Role(_) | Source::Host), "{}: {port:?}", role.name);
        }
    }
    let edge = Catalogue::shipped().unwrap().role("edge").unwrap();
    let own = edge.ports.iter().filter(|port| port.from == Source::Public && port.forward.is_none());
    assert_eq!(own.map(|port| port.port.to_string()).collect::<Vec<_>>(), ["80", "443"]);
}

#[test]
fn each_wrong_file_gets_its_error() {
    const UNREACHABLE: &str = "\n[[ports]]\nproto = \"tcp\"\nport = \"1\"\nfrom = \"public\"\nwhy = \"x\"\n";
    let cases = [
        ("no TOML", "core", "name = \"core\"", "name = core"),
        ("unknown key", "core", "version = ", "verzion = "),
        ("unknown key below", "core", "floor = \"4GB\"", "flor = \"4GB\""),
        ("missing key", "core", "title = \"messages, mail, calls, passwords\"\n", ""),
        ("underscore in a name", "core", "name = \"core\"", "name = \"co_re\""),
        ("number too low", "core", "machine = 102", "machine = 99"),
        ("number as text", "core", "machine = 102", "machine = \"102\""),
        ("unknown network", "core", "[\"internal\"]", "[\"intern\"]"),
        ("no network", "core", "[\"internal\"]", "[]"),
        ("one network twice", "core", "[\"internal\"]", "[\"internal\", \"internal\"]"),
        ("unit without type", "core", "\"nftables.service\"", "\"nftables\""),
        ("package without reason", "core", "\"runs the workloads as systemd units\"", "\"\""),
        ("no port", "core", "port = \"8008\"", "port = \"80808\""),
        ("port as number", "core", "port = \"8008\"", "port = 8008"),
        ("unknown protocol", "core", "proto = \"udp\"", "proto = \"sctp\""),
        ("relative mount", "core", "mount = \"/srv\"", "mount = \"srv\""),
        ("no room for the system", "core", "without_hdd = 50", "without_hdd = 90"),
        ("file system", "core", "filesystem = \"ext4\"", "filesystem = \"btrfs\""),
        ("no size", "core", "reference = \"12GB\"", "reference = \"12 gigs\""),
        ("size of nothing", "core", "reference = \"12GB\"", "reference = \"0GB\""),
        ("floor above reference", "core", "floor = \"4GB\"", "floor = \"13GB\""),
        ("floor without ceiling", "core", "ceiling = \"256GB\"\n", ""),
        ("too few CPUs", "core", "reference = 8", "reference = 3"),
        ("weight", "core", "reference = 2048", "reference = 20000"),
        (
            "data without a figure",
            "core",
            "[volumes.data]\nfilesystem = \"ext4\"\nmount = \"/srv\"\nwithout_hdd = 50\n",
            "",
        ),
        ("other folder", "core", "name = \"core\"", "name = \"kern\""),
        ("one number twice", "core", "template = 9002", "template = 9001"),
        ("template and machine", "core", "machine = 102", "machine = 9003"),
        ("one place twice", "core", "order = 2", "order = 3"),
        ("unknown sender", "core", "from = \"storage\"", "from = \"storag\""),
        ("sender is itself", "core", "from = \"storage\"", "from = \"core\""),
        ("no way", "core", "\n[volumes.root]", &format!("{UNREACHABLE}\n[volumes.root]")),
        ("passed on to nobody", "edge", "forward = \"core\"", "forward = \"cor\""),
        ("passed on and not accepted", "core", "port = \"993\"", "port = \"994\""),
        (
            "open twice",
            "core",
            "port = \"50000-50999\"",
            "port = \"50000-50999\"\nfrom = \"edge\"\nwhy = \"x\"\n\n[[ports]]\nproto = \"udp\"\nport = \"50999\"",
        ),
    ];
    let mut said = String::new();
    for (what, role, from, to) in cases {
        let error = catalogue(&changed(role, from, to)).expect_err(what);
        said.push_str(&format!("{what}\n    {error}\n"));
    }
    insta::assert_snapshot!("wrong", said);
}

#[test]
fn each_wrong_workload_gets_its_error() {
    let cases = [
        ("no TOML", "matrix/workload.toml", "title = \"Matrix", "title = Matrix"),
        ("unknown key", "matrix/workload.toml", "why = ", "wyh = "),
        ("missing key", "matrix/workload.toml", "units = [\"matrix.service\"]\n", ""),
        ("no registry", "matrix/workload.toml", "ghcr.io/element-hq/", ""),
        ("no tag", "traefik/workload.toml", "traefik:v3.5", "traefik"),
        ("a digest", "traefik/workload.toml", "traefik:v3.5", "traefik@sha256:0123"),
        ("unit without type", "traefik/workload.toml", "traefik.service", "traefik"),
        ("a name without folder", "core/role", "\"livekit\"", "\"livekid\""),
        ("a name twice", "core/role", "\"livekit\"", "\"livekit\", \"matrix\""),
        ("a folder without name", "core/role", "\"matrix\", ", ""),
    ];
    let mut said = String::new();
    for (what, file, from, to) in cases {
        let error = catalogue(&changed(file, from, to)).expect_err(what);
        said.push_str(&format!("{what}\n    {error}\n"));
    }
    let moved = |to: &str| {
        let mut files = changed("edge", "", "");
        for (file, _) in &mut files {
            *file = file.replace("workloads/traefik/", to);
        }
        catalogue(&files).unwrap_err()
    };
    said.push_str(&format!("a folder with capitals\n    {}\n", moved("workloads/Traefik/")));
    said.push_str(&format!("a folder too deep\n    {}\n", moved("workloads/more/traefik/")));
    insta::assert_snapshot!("wrong-workloads", said);
}

#[test]
fn the_workloads_that_are_compiled_in_are_those_of_the_overlays() {
    let shipped = Catalogue::shipped().unwrap();
    for role in shipped.roles() {
        let names: Vec<_> = shipped.workloads_of(role.name.as_str()).map(|workload| workload.name.clone()).collect();
        assert_eq!(names, role.workloads);
        let files = workloads(role.name.as_str());
        for (file, text) in files.iter().filter(|(file, _)| file.ends_with("/workload.toml")) {
            let name = file.rsplit('/').nth(1).unwrap();
            let workload = shipped.workload(role.name.as_str(), name).unwrap();
            assert!(text.contains(&format!("image = \"{}\"", workload.image)), "{file}");
        }
    }
    assert_eq!(shipped.workloads().len(), 6);
}

#[test]
fn a_port_that_is_passed_on_in_a_circle_is_refused() {
    let back = "port = \"25\"\nfrom = \"edge\"\nforward = \"edge\"";
    let mut files = changed("core", "port = \"25\"\nfrom = \"edge\"", back);
    let again = "\n[[ports]]\nproto = \"tcp\"\nport = \"25\"\nfrom = \"core\"\nwhy = \"x\"\n\n[volumes.root]";
    files[1].1 = files[1].1.replacen("\n[volumes.root]", again, 1);
    let error = catalogue(&files).unwrap_err();
    assert_eq!(error, "roles pass port tcp 25 on in a circle: edge -> core -> edge: end it at one of them");
}

#[test]
fn words_of_role_files_are_no_names_of_roles() {
    let mut files = changed("core", "name = \"core\"", "name = \"host\"");
    files[0].0 = "overlays/guest/host/role.toml".to_owned();
    let error = catalogue(&files).unwrap_err();
    assert!(error.contains("cannot be called `host`"), "{error}");
}

#[test]
fn a_fourth_role_is_one_more_file() {
    let mut files = changed("core", "", "");
    let fourth = text("storage")
        .replace("name = \"storage\"", "name = \"backup\"")
        .replace("9003", "9004")
        .replace("103", "104")
        .replace("order = 1", "order = 4")
        .replace("[\"nextcloud\"]", "[]");
    files.push(("overlays/guest/backup/role.toml".to_owned(), fourth));
    let catalogue = catalogue(&files).unwrap();
    assert_eq!(catalogue.role("backup").unwrap().machine.get(), 104);
    assert_eq!(catalogue.roles().len(), 4);
}

proptest! {
    #[test]
    fn no_mutated_file_panics_and_every_error_has_a_place(
        role in prop::sample::select(vec!["edge", "core", "storage"]),
        at: prop::sample::Index, length in 0usize..12, put in "[\\[\\]{}=\"'.,#\n\u{e9}a0-]{0,4}",
    ) {
        let mut chars: Vec<char> = text(role).chars().collect();
        let at = at.index(chars.len());
        let end = (at + length).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Err(error) = Role::parse(&text, "role.toml") {
            prop_assert!((1..=text.split('\n').count()).contains(&error.line) && error.column >= 1);
            prop_assert!(!error.message.is_empty());
        }
    }
}
