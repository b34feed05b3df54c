//! A context for tests: the reference machine of the model's tests, with UUIDs that read like what they stand for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sovereign_engine::Journal;
use sovereign_model::medium::Manifest;
use sovereign_model::plan::{PartitionRole, make};
use sovereign_model::{Bytes, Passphrase, site};
use sovereign_system::testing::Recorder;

use crate::context::{Context, Found, esp_mount};

/// The case `name` of the model's plans, to be installed below `target`; programs are recorded.
pub fn context(name: &str, target: &Path) -> (Context, Arc<Recorder>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans").join(name);
    let read = |file| std::fs::read_to_string(folder.join(file)).unwrap();
    let site = site::parse::parse(&read("site.toml"), name).unwrap();
    let plan = make(&site, &serde_json::from_str(&read("inventory.json")).unwrap()).unwrap();
    let named = |names: Vec<String>, prefix: &str| -> BTreeMap<String, String> {
        names.into_iter().map(|n| (n.clone(), format!("{prefix}-of-{n}"))).collect()
    };
    let mut points = vec!["/".to_owned(), "/boot".to_owned()];
    let esps = plan.disks.iter().filter(|d| d.partitions.iter().any(|p| p.role == PartitionRole::Esp)).count();
    points.extend((0..esps).map(|i| esp_mount(i).to_owned()));
    let found = Found {
        arrays: named(plan.arrays.iter().map(|a| a.name.clone()).collect(), "array"),
        containers: named(plan.containers.iter().map(|c| c.name.clone()).collect(), "container"),
        filesystems: named(points, "fs"),
        ..Found::default()
    };
    let recorder = Arc::new(Recorder::new());
    let context = Context {
        plan_hash: plan.hash(),
        plan,
        install_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        passphrase: Passphrase::from_line(b"correct horse".to_vec()).unwrap(),
        recovery: None,
        secrets: Vec::new(),
        runner: recorder.clone(),
        reprobe: Box::new(|| Err("the tests have no machine".to_owned())),
        live: target.join("live"),
        medium: target.join("medium"),
        manifest: Manifest {
            schema: 1,
            version: "0".to_owned(),
            edition: "rehearsal".to_owned(),
            edition_label: "rehearsal, no Proxmox VE".to_owned(),
            build_id: "build".to_owned(),
            epoch: 0,
            suite: "trixie".to_owned(),
            kernel: "6.12.0-test".to_owned(),
            unpacked: Bytes(1),
            guests: None,
            files: Vec::new(),
        },
        target: target.to_owned(),
        guest: target.join("guest"),
        journal: Journal::new(),
        log: None,
        serial: Some(("ttyS0".to_owned(), 115_200)),
        started: 0,
        found,
    };
    (context, recorder)
}

/// The root folder of a system with Proxmox VE among its packages.
pub fn proxmox_live() -> tempfile::TempDir {
    let root = live();
    std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    std::fs::write(root.path().join("usr/bin/pmxcfs"), "").unwrap();
    std::fs::create_dir_all(root.path().join("var/lib/dpkg")).unwrap();
    let status = "Package: pve-qemu-kvm\nStatus: install ok installed\nVersion: 10.1.2-3\n";
    std::fs::write(root.path().join("var/lib/dpkg/status"), status).unwrap();
    root
}

/// The root folder of a system that knows a time zone, a keyboard and a few locales.
pub fn live() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("usr/share/zoneinfo/Europe/Berlin", "TZif"),
        ("usr/share/zoneinfo/America/Argentina/Ushuaia", "TZif"),
        // xkb-data 2.42, shortened
        (
            "usr/share/X11/xkb/rules/base.lst",
            "! model\n  pc105           Generic\n\n! layout\n  de              German\n  custom          A user-defined custom \
             Layout\n\n! variant\n  neo             de: German (Neo 2)\n",
        ),
        ("usr/share/X11/xkb/symbols/pc", ""),
        // locales 2.41, shortened
        (
            "usr/share/i18n/SUPPORTED",
            "C.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\nde_DE@euro ISO-8859-15\nen_US.UTF-8 UTF-8\n",
        ),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}
