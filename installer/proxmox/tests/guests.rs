//! Configurations of virtual machines that are written and read back, and files that are broken on purpose.

// Clippy knows test functions, not the functions they share.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::{guest, reference};
use proptest::prelude::*;
use sovereign_proxmox::guest::lines::Lines;
use sovereign_proxmox::guest::numbers::{NicSlot, ScsiSlot, VmId};
use sovereign_proxmox::guest::values::Mac;
use sovereign_proxmox::guest::volume::Naming;
use sovereign_proxmox::guest::{Context, GuestError, ParseError, Purpose, Reach, StorageInfo, check, devices, parse};
use sovereign_proxmox::pmxcfs::Severity;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests").join(name)
}

/// The files of a folder, sorted.
fn cases(name: &str) -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    cases.sort();
    cases
}

fn storages() -> BTreeMap<String, StorageInfo> {
    let info = |naming, images, iso, reach| StorageInfo { naming, images, iso, reach };
    let all = [
        ("local", info(Naming::Files, false, true, Reach::Node)),
        ("local-lvm", info(Naming::LvmThin, true, false, Reach::Node)),
        ("bulk-lvm", info(Naming::LvmThin, true, false, Reach::Node)),
        ("thick", info(Naming::Lvm, true, false, Reach::Node)),
        ("tank", info(Naming::Chained, true, false, Reach::Node)),
        ("nas", info(Naming::Files, true, true, Reach::Cluster)),
        ("far", info(Naming::LvmThin, true, false, Reach::Elsewhere)),
    ];
    all.into_iter().map(|(id, info)| (id.to_owned(), info)).collect()
}

/// What there is to say about guest 101 of a node with 12 CPUs, which has guest 9001 too.
fn findings(text: &str, id: u32) -> Vec<String> {
    let (storages, guests) = (storages(), BTreeSet::from([101, 9001]));
    let context = Context { id, host_cpus: Some(12), storages: Some(&storages), guests: Some(&guests) };
    let line = |severity| if severity == Severity::Error { "error" } else { "warning" };
    check(&Lines::read(text), &context).iter().map(|f| format!("{}: {f}", line(f.severity))).collect()
}

/// The templates and machines of the reference machine, each beside its file.
#[test]
fn the_reference_machine() {
    for guest in reference() {
        let path = folder(&format!("{}.conf", guest.id));
        let text = guest.write().unwrap();
        assert_eq!(text, fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        assert_eq!(findings(&text, guest.id.get()), [""; 0]);
        assert_eq!(parse(guest.id, &text), Ok(guest));
    }
}

/// What `qm` and the web interface write, and what people have on their nodes.
#[test]
fn files_of_proxmox_itself_are_right() {
    let all = cases("right");
    assert!(all.len() >= 5);
    for path in all {
        assert_eq!(findings(&fs::read_to_string(&path).unwrap(), 101), [""; 0], "{}", path.display());
    }
}

/// Each file of `broken/`; beside it is what `check` has to say.
#[test]
fn broken_files() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("guests/broken");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let all = cases("broken");
    assert!(all.len() >= 12);
    settings.bind(|| {
        for path in all {
            let found = findings(&fs::read_to_string(&path).unwrap(), 101);
            assert!(!found.is_empty(), "{} was found to be right", path.display());
            insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), found.join("\n"));
        }
    });
}

#[test]
fn without_a_context_little_is_said() {
    let text = "cores: 999\nscsi0: anything:vm-101-disk-0,size=1G\nname: a\n";
    assert_eq!(check(&Lines::read(text), &Context { id: 101, ..Context::default() }), []);
}

#[test]
fn a_guest_that_contradicts_itself() {
    let machine = || reference().pop().unwrap();
    let wrong = |guest: sovereign_proxmox::guest::Guest| guest.write().unwrap_err();
    let id = machine().id;
    let mut twice = machine();
    let first = twice.disks[&ScsiSlot::FIRST].clone();
    twice.disks.insert(ScsiSlot::new(30).unwrap(), first);
    let (storage, name) = ("local-lvm".to_owned(), "vm-103-disk-1".to_owned());
    assert_eq!(wrong(twice), GuestError::SameVolume { id, storage, name });
    let mut nowhere = machine();
    nowhere.boot.push(devices::BootDevice::Nic(NicSlot::SECOND));
    assert_eq!(wrong(nowhere), GuestError::NoBootDevice { id, device: "net1".to_owned() });
    let mut again = machine();
    again.boot = vec![devices::BootDevice::Disk(ScsiSlot::FIRST); 2];
    assert_eq!(wrong(again), GuestError::BootsTwice { id, device: "scsi0".to_owned() });
    let mut macs = machine();
    let nic = macs.nics[&NicSlot::FIRST].clone();
    macs.nics.insert(NicSlot::SECOND, nic);
    assert_eq!(wrong(macs), GuestError::SameMac { id, mac: Mac::proxmox([0, 1, 3]) });
    let mut empty = machine();
    empty.disks.clear();
    assert_eq!(wrong(empty), GuestError::NoDisk(id));
}

#[test]
fn what_the_installer_does_not_write_is_not_read() {
    let machine = reference().pop().unwrap();
    let text = machine.write().unwrap();
    let error = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        parse(machine.id, &text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let lines = [
        error("cores: 6", "cores: 6\nnuma: 1"),
        error("cores: 6", "cores: 6\ncores: 6"),
        error("cores: 6", "no setting"),
        error("cores: 6", "cores: 06"),
        error("name: ", "#"),
        error("vm-103-disk-1", "vm-102-disk-1"),
        error("vm-103-disk-1", "base-103-disk-1"),
        error("iothread=1,", ""),
        error("virtio=BC", "virtio=BD"),
        error("net0: virtio", "net1: virtio"),
        error("order=scsi0", "order=scsi7"),
        error("x86-64-v2-AES", "EPYC"),
        error("efitype=4m", "efitype=2m"),
        error("ssh-ed25519", "nothing"),
        error("size=", "cache=none,size="),
    ];
    insta::assert_snapshot!("not-ours", lines.join("\n"));
    assert!(matches!(parse(VmId::new(104).unwrap(), &text), Err(ParseError::Value { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read_and_right(guest in guest()) {
        if let Ok(text) = guest.write() {
            prop_assert_eq!(parse(guest.id, &text), Ok(guest.clone()), "{}", text);
            let found = check(&Lines::read(&text), &Context { id: guest.id.get(), ..Context::default() });
            prop_assert_eq!(found, [], "{}", text);
            // Settings come in the order of their bytes, each once, after the description.
            let settings = text.lines().filter(|line| !line.starts_with('#'));
            let keys: Vec<&str> = settings.filter_map(|line| line.split_once(": ")).map(|(key, _)| key).collect();
            prop_assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert_eq!(keys.contains(&"template"), guest.purpose == Purpose::Template);
        }
    }

    #[test]
    fn no_change_makes_it_panic(
        which in 0usize..6,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), "[,=:;#%\\[\\]\\n 0-9a-z]{0,3}|\\PC", 0usize..4),
            1..8,
        ),
    ) {
        let guest = &reference()[which];
        let mut text: Vec<char> = guest.write().unwrap().chars().collect();
        for (at, put, drop) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + drop).min(text.len());
            text.splice(at..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        let _ = (parse(guest.id, &text), findings(&text, guest.id.get()));
    }

    #[test]
    fn any_value_of_any_setting_is_judged(
        key in prop::sample::select(vec![
            "scsi0", "virtio0", "ide2", "cdrom", "efidisk0", "tpmstate0", "net0", "ipconfig0", "boot", "cpu", "memory", "startup", "tags",
            "startdate", "usb0", "hostpci0", "machine", "cpulimit", "sshkeys", "smbios1", "numa0", "serial0", "unused0", "cores",
        ]),
        value in "[,=:;/%+.-]{0,3}[a-z0-9=,:;/.-]{0,12}|\\PC{0,12}",
    ) {
        let text = format!("template: 1\n{key}: {value}\n{key}: {value}\n");
        let _ = (parse(VmId::new(101).unwrap(), &text), findings(&text, 101));
    }
}
