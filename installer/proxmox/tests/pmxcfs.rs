//! Databases that are written and read back, and databases that are broken on purpose.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rusqlite::Connection;
use sovereign_proxmox::pmxcfs::{
    Database, FILE_MAX, Initial, Problem, ReadError, Rule, Severity, Tree, TreeError, Value, WriteError, check, dump,
    listing, read, write,
};

/// 2026-01-02 03:04:05 UTC.
const MTIME: u32 = 1_767_323_045;

const STORAGE: &str = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup,import\n\n\
                       lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent images,rootdir\n\n";

fn node() -> Tree {
    let mut tree = Tree::initial(
        "node1",
        Initial {
            datacenter_cfg: "keyboard: de\n",
            user_cfg: "user:root@pam:1:0:::admin@example.org::\n",
            storage_cfg: STORAGE,
        },
    )
    .unwrap();
    tree.file("nodes/node1/qemu-server/100.conf", "name: web\ncipassword: $5$verysecret\n").unwrap();
    tree.file("priv/token.cfg", "verysecret\n").unwrap();
    tree.file("blob", [0, 1, 255]).unwrap();
    tree
}

fn written(tree: &Tree) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    write(&path, tree, MTIME).unwrap();
    (folder, path)
}

/// The errors but those in guests' settings, at which pmxcfs does not look.
fn errors(problems: &[Problem]) -> Vec<Rule> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.rule).filter(|rule| !rule.is_of_guests()).collect()
}

/// What pmxcfs relies on, judged from the rows alone.
fn holds(database: &Database) {
    let version = database.version().unwrap();
    let mut inodes = vec![0];
    for row in database.rows.iter().filter(|row| row.inode() != Some(0)) {
        let inode = row.inode().unwrap();
        assert!(inode > 0 && inode <= version && row.version == Value::Integer(inode));
        assert!(inodes.contains(&row.parent.integer().unwrap()), "parents come first");
        assert!([4, 8].contains(&row.kind.integer().unwrap()));
        assert!(row.kind == Value::Integer(8) || row.data == Value::Null);
        assert_eq!((&row.writer, &row.mtime), (&Value::Integer(0), &Value::Integer(i64::from(MTIME))));
        inodes.push(inode);
    }
    let mut names: Vec<_> = database.rows.iter().map(|row| (row.parent.integer(), row.name.bytes())).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), database.rows.len());
}

#[test]
fn a_node_is_written_and_read_back() {
    let (_folder, path) = written(&node());
    let database = read(&path).unwrap();
    holds(&database);
    assert_eq!(check(&database), []);
    assert_eq!(Tree::from_database(&database), Ok(node()));
}

/// A node with the templates and machines of the reference machine.
fn node_with_guests(storage_cfg: &str) -> Tree {
    let files = Initial { datacenter_cfg: "", user_cfg: "user:root@pam:1:0:::admin@example.org::\n", storage_cfg };
    let mut tree = Tree::initial("node1", files).unwrap();
    for guest in common::reference() {
        tree.guest("node1", &guest).unwrap();
    }
    tree
}

#[test]
fn a_node_with_guests_is_written_and_read_back() {
    let storage = format!("{STORAGE}lvmthin: bulk-lvm\n\tthinpool data\n\tvgname bulk\n\tcontent images,rootdir\n\n");
    let tree = node_with_guests(&storage);
    assert_eq!(tree.guests().map(|(vmid, _)| vmid).collect::<Vec<_>>(), [101, 102, 103, 9001, 9002, 9003]);
    let (_folder, path) = written(&tree);
    let database = read(&path).unwrap();
    holds(&database);
    assert_eq!(check(&database), []);
    assert_eq!(Tree::from_database(&database), Ok(tree));
    // Without the second storage four guests do not start.
    let (_folder, path) = written(&node_with_guests(STORAGE));
    let found = check(&read(&path).unwrap());
    assert_eq!(found.iter().map(|problem| problem.rule).collect::<Vec<_>>(), [Rule::Guest; 4]);
    assert!(found.iter().all(|problem| problem.what.contains("`scsi1` is on the storage `bulk-lvm`")), "{found:?}");
}

#[test]
fn a_guest_that_contradicts_itself_is_not_added() {
    let mut guest = common::reference().pop().unwrap();
    guest.disks.clear();
    let mut tree = node();
    let before = tree.clone();
    assert!(matches!(tree.guest("node1", &guest), Err(TreeError::Guest(_))));
    assert_eq!(tree, before);
}

#[test]
fn the_file_is_the_owners_alone_and_alone() {
    let (folder, path) = written(&node());
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o7777, metadata.nlink()), (0o600, 1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // SQLite's file format, 1.3: bytes 18 and 19 are 2 for WAL.
    assert_eq!(fs::read(&path).unwrap()[18..20], [2, 2]);
}

#[test]
fn two_of_one_tree_are_the_same() {
    let (one, other) = (written(&node()), written(&node()));
    assert_eq!(read(&one.1).unwrap(), read(&other.1).unwrap());
}

#[test]
fn sqlite_says_the_same() {
    let (_folder, path) = written(&node());
    let db = Connection::open(&path).unwrap();
    let ask = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA journal_mode"), "wal");
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    assert_eq!(ask("SELECT group_concat(type || ' ' || name) FROM sqlite_schema"), "table tree");
    insta::assert_snapshot!("schema", ask("SELECT sql FROM sqlite_schema"));
    let version: (i64, i64, i64, i64, i64, i64, String, Option<Vec<u8>>) = db
        .query_row("SELECT * FROM tree WHERE inode = 0", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?))
        })
        .unwrap();
    let last: i64 = db.query_row("SELECT max(inode) FROM tree", [], |row| row.get(0)).unwrap();
    assert_eq!(version, (0, 0, last, 0, i64::from(MTIME), 8, "__version__".to_owned(), None));
    // The checks on types are there.
    assert!(db.execute("UPDATE tree SET parent = 'x' WHERE inode = 2", []).is_err());
}

#[test]
fn nothing_is_overwritten() {
    let (folder, path) = written(&node());
    let before = fs::read(&path).unwrap();
    assert!(matches!(write(&path, &Tree::new(), MTIME), Err(WriteError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    assert!(matches!(write(&link, &Tree::new(), MTIME), Err(WriteError::Exists(_))));
    assert!(matches!(write(&folder.path().join("no/config.db"), &Tree::new(), MTIME), Err(WriteError::Io { .. })));
}

#[test]
fn reading_changes_nothing() {
    let (folder, path) = written(&node());
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o500)).unwrap();
    let before = (fs::metadata(&path).unwrap().mtime_nsec(), fs::read(&path).unwrap());
    read(&path).unwrap();
    assert_eq!((fs::metadata(&path).unwrap().mtime_nsec(), fs::read(&path).unwrap()), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn changes_that_are_still_in_the_log_are_seen() {
    let (folder, path) = written(&node());
    let db = Connection::open(&path).unwrap();
    db.execute("UPDATE tree SET version = 99 WHERE inode = 0", []).unwrap();
    // While pmxcfs has it open.
    assert_eq!(read(&path).unwrap().version(), Some(99));
    // A copy of the two files, in a folder with an awkward name.
    let copy = folder.path().join("a b%3f#?");
    fs::create_dir(&copy).unwrap();
    for name in ["config.db", "config.db-wal"] {
        fs::copy(folder.path().join(name), copy.join(name)).unwrap();
    }
    drop(db);
    assert_eq!(read(&copy.join("config.db")).unwrap().version(), Some(99));
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 2);
    fs::remove_file(copy.join("config.db-wal")).unwrap();
    assert_ne!(read(&copy.join("config.db")).unwrap().version(), Some(99));
}

#[test]
fn what_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    assert!(matches!(read(&path), Err(ReadError::Io { .. })));
    assert!(matches!(read(folder.path()), Err(ReadError::NoFile(_))));
    assert!(matches!(read(Path::new("/dev/zero")), Err(ReadError::NoFile(_))));
    for bytes in [&b""[..], b"SQLite", b"datacenter.cfg: no database at all", &[0; 4096]] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path), Err(ReadError::NoDatabase(_))));
    }
    fs::write(&path, b"SQLite format 3\0").unwrap();
    assert!(matches!(read(&path), Err(ReadError::Sqlite { .. })));
}

#[test]
fn a_mebibyte_and_no_byte_more() {
    let mut tree = node();
    tree.file("whole", vec![7; FILE_MAX]).unwrap();
    let (_folder, path) = written(&tree);
    assert_eq!(errors(&check(&read(&path).unwrap())), []);
    let db = Connection::open(&path).unwrap();
    db.execute("UPDATE tree SET data = zeroblob(1048577) WHERE name = 'whole'", []).unwrap();
    drop(db);
    assert_eq!(errors(&check(&read(&path).unwrap())), [Rule::TooLarge]);
}

/// pmxcfs writes its root with the root's own type when it takes over the changes of a cluster (`bdb_backend_commit_update`).
#[test]
fn the_version_counter_of_a_synced_member_of_a_cluster_is_right() {
    let (_folder, path) = written(&node());
    let db = Connection::open(&path).unwrap();
    db.execute("UPDATE tree SET type = 4, writer = 2 WHERE inode = 0", []).unwrap();
    db.close().unwrap();
    assert_eq!(check(&read(&path).unwrap()), []);
}

#[test]
fn a_dump_shows_all_but_secrets() {
    let (_folder, path) = written(&node());
    let database = read(&path).unwrap();
    insta::assert_snapshot!("dump", dump(&database));
    let json = serde_json::to_string_pretty(&listing(&database)).unwrap();
    assert!(!json.contains("verysecret"), "{json}");
    insta::assert_snapshot!("dump-json", json);
}

#[test]
fn secrets_outside_of_priv_are_in_no_dump() {
    let mut tree = node();
    tree.dir("sdn").unwrap();
    for (path, text) in [
        ("domains.cfg", "openid: kc\n\tclient-id shown\n\tclient-key verysecret\n\n"),
        ("sdn/ipams.cfg", "netbox: nb\n\ttoken verysecret\n\turl http://shown\n\n"),
        ("sdn/dns.cfg", "powerdns: pd\n\tkey verysecret\n\turl http://shown\n\n"),
        ("sdn/.running-config", "{\"dns\":{\"ids\":{\"pd\":{\"key\":\"verysecret\",\"type\":\"shown\"}}}}"),
        ("other.cfg", "http_proxy: http://u:verysecret@shown:3128\n"),
        ("nodes/node1/qemu-server/101.conf", "name: shown\nargs: -vnc :77,password=verysecret\n"),
        ("nodes/node1/qemu-server/102.conf", "name: shown\nargs: -object secret,id=a,data=verysecret\n"),
        ("user.cfg.bak", "user:shown@pam:1:0:::a@b.c::x!oath verysecret:\n"),
    ] {
        tree.file(path, text).unwrap();
    }
    let (_folder, path) = written(&tree);
    let database = read(&path).unwrap();
    let json = serde_json::to_string_pretty(&listing(&database)).unwrap();
    for shown in [dump(&database), json] {
        assert!(!shown.contains("verysecret"), "{shown}");
        assert_eq!(shown.matches("shown").count() - shown.matches("(not shown)").count(), 8, "{shown}");
    }
}

/// Each file of `broken/` is run over the database of a node; beside it is what `check` has to say.
#[test]
fn broken_databases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    cases.sort();
    assert!(cases.len() > 30);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("broken");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in cases {
            let name = case.file_stem().unwrap().to_str().unwrap().to_owned();
            let (_folder, path) = written(&node());
            let db = Connection::open(&path).unwrap();
            db.pragma_update(None, "ignore_check_constraints", true).unwrap();
            db.execute_batch(&fs::read_to_string(&case).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
            db.close().unwrap();
            let database = read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let _ = (dump(&database), Tree::from_database(&database));
            let lines: Vec<String> = check(&database).iter().map(ToString::to_string).collect();
            assert!(!lines.is_empty(), "{name} was found to be right");
            insta::assert_snapshot!(name, lines.join("\n"));
        }
    });
}

/// A path of a file or directory, and what is in it.
fn entry() -> impl Strategy<Value = (Vec<String>, Option<Vec<u8>>)> {
    let name = prop_oneof![
        8 => "[a-c.]{1,3}",
        4 => "[1-3]0[0-2]\\.conf",
        4 => prop::sample::select(vec!["nodes", "n1", "n2", "qemu-server", "lxc", "priv", "local", "__version__"])
            .prop_map(str::to_owned),
        1 => "\\PC{1,6}",
        1 => "(?s).{0,3}",
    ];
    let data = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    (prop::collection::vec(name, 1..5), data)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_tree_survives(entries in prop::collection::vec(entry(), 0..60)) {
        let mut tree = Tree::new();
        for (path, data) in entries {
            // Most of them find their directories only if those are made first.
            for depth in 1..path.len() {
                let _ = tree.dir(&path[..depth].join("/"));
            }
            let path = path.join("/");
            let _ = match data {
                Some(data) => tree.file(&path, data).map(drop),
                None => tree.dir(&path).map(drop),
            };
        }
        let (_folder, path) = written(&tree);
        let database = read(&path).unwrap();
        holds(&database);
        prop_assert_eq!(errors(&check(&database)), []);
        prop_assert_eq!(Tree::from_database(&database), Ok(tree));
        let _ = dump(&database);
    }

    #[test]
    fn a_row_that_is_broken_is_found(
        row in 2i64..13,
        (change, rules) in prop::sample::select(vec![
            ("parent = 777", &[Rule::MissingParent][..]),
            ("parent = inode", &[Rule::Unreachable, Rule::ParentIsFile]),
            ("parent = 'root'", &[Rule::ColumnType]),
            ("type = 5", &[Rule::UnknownType]),
            ("type = NULL", &[Rule::ColumnType]),
            ("type = 4, data = x'00'", &[Rule::DirectoryData]),
            ("name = ''", &[Rule::NoName]),
            ("name = 'a/b'", &[Rule::BadName]),
            ("name = 'local', parent = 0", &[Rule::VirtualName]),
            ("name = 'blob', parent = 0, inode = 500", &[Rule::VersionBelowInode]),
            ("inode = -inode", &[Rule::Inode]),
            ("name = CASE inode WHEN 2 THEN 'nodes' ELSE 'blob' END, parent = 0", &[Rule::DuplicateName]),
        ]),
    ) {
        let (_folder, path) = written(&node());
        let db = Connection::open(&path).unwrap();
        // Without the constraints, as in a file that something else has written.
        db.execute_batch("CREATE TABLE copy AS SELECT * FROM tree; DROP TABLE tree; ALTER TABLE copy RENAME TO tree").unwrap();
        db.execute(&format!("UPDATE tree SET {change} WHERE inode = {row}"), []).unwrap();
        db.close().unwrap();
        let found = errors(&check(&read(&path).unwrap()));
        prop_assert!(rules.iter().any(|rule| found.contains(rule)), "{row} {change}: {found:?}");
    }

    #[test]
    fn a_damaged_file_is_no_panic(at in 16usize..16_000, byte: u8, cut in prop::option::of(100usize..16_000)) {
        let (_folder, path) = written(&node());
        let mut bytes = fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= byte;
        bytes.truncate(cut.unwrap_or(usize::MAX));
        fs::write(&path, bytes).unwrap();
        if let Ok(database) = read(&path) {
            let _ = (check(&database), dump(&database), Tree::from_database(&database));
        }
    }
}
