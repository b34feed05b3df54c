//! What templates of workloads make of a site: golden files, their syntax, their secrets; and a seventh workload, which is one more folder.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sovereign_model::plan::{Addressing, Plan, make};
use sovereign_model::role::Catalogue;
use sovereign_model::site::{Site, Tls, Workloads, parse::parse};
use sovereign_model::workload::{Facts, File, Piece, SecretId};
use yaml_rust2::YamlLoader;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The reference machine and its site.
fn reference() -> (Site, Plan) {
    let folder = tests().join("plans/reference");
    let site = parse(&fs::read_to_string(folder.join("site.toml")).unwrap(), "site.toml").unwrap();
    let inventory = serde_json::from_str(&fs::read_to_string(folder.join("inventory.json")).unwrap()).unwrap();
    let plan = make(&site, &inventory).unwrap();
    (site, plan)
}

fn facts<'c>(site: &Site, plan: &Plan, catalogue: &'c Catalogue) -> Facts<'c> {
    Facts::new(site, plan.guests.as_ref().unwrap(), catalogue, |_| true)
}

/// A file's text, with values for its secrets that name them.
fn text(file: &File) -> String {
    let each = file.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Secret(id) => format!("value-of-{id}").replace('/', "-"),
        Piece::SecretSha256(id) => format!("sha256-of-{id}").replace('/', "-"),
    });
    each.collect()
}

/// Files as one text: path, mode and owner above each.
fn golden(files: &[File]) -> String {
    let each = files.iter().map(|file| {
        let (mode, owner) = (String::from(file.access.mode), String::from(file.access.owner.clone()));
        let text = text(file);
        format!(
            "==== {} {mode} {owner}\n{}{}",
            file.path,
            text,
            if text.ends_with('\n') { "" } else { "(no line end)\n" }
        )
    });
    each.collect()
}

fn one<'f>(files: &'f [File], path: &str) -> &'f File {
    files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}"))
}

/// Every file of every role for a few sites.
fn every() -> Vec<File> {
    let (mut site, mut plan) = reference();
    let catalogue = Catalogue::shipped().unwrap();
    let mut files = Vec::new();
    for tls in [Tls::Internal, Tls::Acme] {
        site.workloads = Some(Workloads { tls, ..Workloads::default() });
        for role in catalogue.roles() {
            files.extend(facts(&site, &plan, catalogue).files(role.name.as_str()).unwrap());
        }
        // The second site has its public address by DHCP.
        for guest in &mut plan.guests.as_mut().unwrap().guests {
            guest.interfaces[0].address = match &guest.interfaces[0].address {
                Addressing::Static { .. } if guest.interfaces.len() > 1 => Addressing::Dhcp,
                other => other.clone(),
            };
        }
    }
    files
}

#[test]
fn the_files_of_each_role_on_the_reference_site() {
    let (site, plan) = reference();
    let catalogue = Catalogue::shipped().unwrap();
    let facts = facts(&site, &plan, catalogue);
    for role in catalogue.roles() {
        let files = facts.files(role.name.as_str()).unwrap();
        insta::assert_snapshot!(format!("workloads-{}", role.name), golden(&files));
    }
    let hosts = ["calls.", "files.", "mail.", "matrix.", "passwords.", ""];
    assert_eq!(facts.all_hosts(), hosts.map(|label| format!("{label}reference.example.org")));
}

#[test]
fn names_and_certificates_are_those_that_the_site_asks_for() {
    let (mut site, mut plan) = reference();
    let hosts = [("matrix".to_owned(), "chat.example.net".to_owned())].into();
    let acme_directory = Some("https://acme.example.net/directory".to_owned());
    site.workloads = Some(Workloads { tls: Tls::Acme, acme_directory, hosts });
    for (index, guest) in plan.guests.as_mut().unwrap().guests.iter_mut().enumerate() {
        for interface in &mut guest.interfaces {
            let address = format!("fd00:77::{}/64", index + 2);
            interface.address = Addressing::Static { address, gateway: None };
        }
    }
    let facts = facts(&site, &plan, Catalogue::shipped().unwrap());
    insta::assert_snapshot!("workloads-edge-acme", golden(&facts.files("edge").unwrap()));
    let core = facts.files("core").unwrap();
    assert!(text(one(&core, "/etc/matrix/homeserver.yaml")).contains("public_baseurl: \"https://chat.example.net/\""));
    let storage = facts.files("storage").unwrap();
    assert!(text(one(&storage, "/etc/sovereign/postgresql/hba.conf")).contains("host \"matrix\" \"matrix\" fd00:77::"));
    assert!(text(one(&storage, "/etc/sovereign/postgresql/hba.conf")).contains("/128 scram-sha-256"));
}

#[test]
fn every_file_is_one_of_its_kind() {
    for file in every() {
        let text = text(&file);
        let path = file.path.as_str();
        let kind = path.rsplit('.').next().unwrap();
        match kind {
            "yml" | "yaml" => {
                let documents =
                    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
                assert!(documents.len() == 1 && documents[0].as_hash().is_some_and(|hash| !hash.is_empty()), "{path}");
            }
            "toml" => {
                let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
                assert!(!table.is_empty());
            }
            "container" | "service" | "timer" => unit(path, &text),
            "conf" if path.contains(".service.d/") => unit(path, &text),
            "env" => assert!(
                lines(&text).all(|line| line.split_once('=').is_some_and(|(_, value)| !value.is_empty())),
                "{path}"
            ),
            _ => {}
        }
        assert!(!text.contains("{{") && !text.contains("{%"), "{path}:\n{text}");
        assert!(text.lines().all(|line| line.trim_end() == line), "{path}:\n{text}");
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A unit of systemd, or a quadlet: sections, and assignments in them.
fn unit(path: &str, text: &str) {
    let mut section = None;
    for line in lines(text) {
        if line.starts_with('[') {
            assert!(["[Unit]", "[Container]", "[Service]", "[Install]", "[Timer]"].contains(&line), "{path}: {line}");
            section = Some(line);
        } else {
            assert!(section.is_some() && line.contains('='), "{path}: {line}");
        }
    }
    if path.ends_with(".container") {
        let has = |wanted: &str| lines(text).any(|line| line == wanted);
        assert!(has("Pull=never") && has("Network=host") && has("WantedBy=multi-user.target"), "{path}:\n{text}");
        assert!(text.matches("\nImage=").count() == 1, "{path}");
        // What lies on the data volume waits for it.
        assert_eq!(text.contains("=/srv/"), has("Requires=sovereign-data.service"), "{path}");
    }
}

#[test]
fn secrets_are_in_files_that_only_their_owner_reads_and_every_secret_is_used() {
    let mut used = BTreeSet::new();
    for file in every() {
        for piece in &file.pieces {
            if let Piece::Secret(id) | Piece::SecretSha256(id) = piece {
                assert!(file.access.mode.is_private(), "{}: {id}", file.path);
                assert!(!file.path.contains("/systemd/"), "{}: {id}", file.path);
                used.insert(id.clone());
            }
        }
    }
    for workload in Catalogue::shipped().unwrap().workloads() {
        for name in workload.secrets.keys() {
            let (role, workload) = (workload.role.clone(), workload.name.clone());
            let id = SecretId { role, workload, name: name.clone() };
            assert!(used.contains(&id), "{id}");
        }
    }
}

/// The files of all roles as they lie in the work tree.
fn tree() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else {
                files.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../overlays/guest");
    let mut files = Vec::new();
    for role in ["core", "edge", "storage"] {
        let role = guests.join(role);
        files.push((role.join("role.toml").display().to_string(), fs::read_to_string(role.join("role.toml")).unwrap()));
        for kind in ["workloads", "natives"].map(|kind| role.join(kind)) {
            if kind.is_dir() {
                walk(&kind, &mut files);
            }
        }
    }
    files
}

fn catalogue(files: &[(String, String)]) -> Result<Catalogue, String> {
    let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    Catalogue::new(&files).map_err(|error| error.to_string())
}

/// Adds the fixture `seventh` to a tree.
fn add_seventh(files: &mut Vec<(String, String)>) {
    let role = files.iter_mut().find(|(file, _)| file.ends_with("core/role.toml")).unwrap();
    role.1 = role.1.replace("\"livekit\"]", "\"livekit\", \"seventh\"]");
    role.1 = role.1.replace("port = \"7880\"\n", "port = \"7870-7880\"\n");
    let folder = role.0.clone();
    for file in ["workload.toml", "files/etc/containers/systemd/seventh.container", "files/etc/seventh/password"] {
        let text = fs::read_to_string(tests().join("workloads/seventh").join(file)).unwrap();
        files.push((folder.replace("role.toml", &format!("workloads/seventh/{file}")), text));
    }
}

#[test]
fn a_seventh_workload_is_one_more_folder_and_a_name() {
    let mut files = tree();
    let images = |catalogue: &Catalogue| -> Vec<_> {
        catalogue.workloads().iter().map(|workload| (workload.image.clone(), workload.templates.len())).collect()
    };
    assert_eq!(images(&catalogue(&files).unwrap()), images(Catalogue::shipped().unwrap()));
    add_seventh(&mut files);
    let catalogue = catalogue(&files).unwrap();
    assert_eq!(catalogue.workloads().len(), 7);
    let (site, plan) = reference();
    let facts = facts(&site, &plan, &catalogue);
    let core = facts.files("core").unwrap();
    insta::assert_snapshot!(
        "workloads-seventh",
        golden(&core.iter().filter(|file| file.path.contains("seventh")).cloned().collect::<Vec<_>>())
    );
    let routes = text(one(&facts.files("edge").unwrap(), "/etc/traefik/dynamic/services.yml"));
    assert!(routes.contains("Host(`new.reference.example.org`)") && routes.contains(":7870\""), "{routes}");
    let databases = text(one(&facts.files("storage").unwrap(), "/etc/sovereign/postgresql/databases.sql"));
    assert!(databases.contains("ALTER ROLE \"seventh\" PASSWORD 'value-of-core-seventh-database';"), "{databases}");
    assert!(facts.all_hosts().contains(&"new.reference.example.org".to_owned()));
}

#[test]
fn each_wrong_workload_among_others_gets_its_error() {
    let cases = [
        ("a key that is not known", "workload.toml", "port = 7870", "prot = 7870"),
        ("a port of no role", "workload.toml", "port = 7870", "port = 9"),
        ("a host label twice", "workload.toml", "host = \"new\"", "host = \"matrix\""),
        ("a native that is not there", "workload.toml", "native = \"postgresql\"", "native = \"postgres\""),
        ("a secret that is not there", "workload.toml", "secret = \"database\"", "secret = \"databse\""),
        ("a form of secrets", "workload.toml", "form = \"letters\"", "form = \"words\""),
        ("a length of secrets", "workload.toml", "length = 20", "length = 2"),
        ("a mode that others may write", "workload.toml", "mode = \"0400\"", "mode = \"0666\""),
        ("an owner", "workload.toml", "owner = \"5000\"", "owner = \"five thousand\""),
        ("a file that is not there", "workload.toml", "/etc/seventh/password", "/etc/seventh/pasword"),
        ("a path of URLs", "workload.toml", "port = 7870", "port = 7870\ndomain_paths = [\"new\"]"),
        (
            "a certificate for no name",
            "workload.toml",
            "[http]\nhost = \"new\"\nport = 7870\n",
            "[certificate]\nhosts = \"own\"\ncertificate = \"/a\"\nkey = \"/b\"\nowner = \"0\"\n",
        ),
        ("a template that is none", "seventh.container", "{{ image }}", "{{ image }"),
    ];
    let mut said = String::new();
    for (what, file, from, to) in cases {
        let mut files = tree();
        add_seventh(&mut files);
        let (_, text) = files.iter_mut().find(|(path, _)| path.contains("/seventh/") && path.ends_with(file)).unwrap();
        assert!(text.contains(from), "{what}");
        *text = text.replacen(from, to, 1);
        let error = catalogue(&files).map(|_| ()).expect_err(what);
        said.push_str(&format!("{what}\n    {}\n", error.replace(env!("CARGO_MANIFEST_DIR"), "MODEL")));
    }
    insta::assert_snapshot!("workloads-wrong", said);
}

#[test]
fn a_template_that_asks_for_what_is_not_known_is_refused() {
    let cases = [
        ("a variable", "{{ image }}", "{{ imgae }}"),
        ("an address", "{{ image }}", "{{ roles.core.public }}"),
        ("a secret", "{{ image }}", "{{ secret(\"pasword\") }}"),
        ("a secret for everybody", "{{ image }}", "{{ secret(\"database\") }}"),
    ];
    let mut said = String::new();
    for (what, from, to) in cases {
        let mut files = tree();
        add_seventh(&mut files);
        let (_, text) = files.iter_mut().find(|(path, _)| path.ends_with("seventh.container")).unwrap();
        *text = text.replacen(from, to, 1);
        let catalogue = catalogue(&files).unwrap();
        let (site, plan) = reference();
        let error = facts(&site, &plan, &catalogue).files("core").map(|_| ()).expect_err(what);
        said.push_str(&format!("{what}\n    {}\n", error.to_string().replace(env!("CARGO_MANIFEST_DIR"), "MODEL")));
    }
    insta::assert_snapshot!("workloads-unknown", said);
}
