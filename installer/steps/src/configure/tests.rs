//! The files of a whole target, as snapshots; and that no secret is in any that others may read.

use std::fs;
use std::sync::Arc;

use sovereign_model::Passphrase;
use sovereign_system::testing::Recorder;

use super::*;
use crate::testing::context;

/// A target with what the parts expect of the unpacked packages.
fn unpacked() -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("etc/shadow", "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\n"),
        ("usr/share/zoneinfo/Europe/Berlin", "TZif"),
        ("usr/share/zoneinfo/Etc/UTC", "TZif"),
    ] {
        let path = target.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::set_permissions(target.path().join("etc/shadow"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    target
}

const WITHOUT_DEVICES: [Part; 14] = [
    ("identity", identity::write),
    ("fstab", fstab::write),
    ("storage", storage::write),
    ("network", network::write),
    ("users", users::write),
    ("locale", locale::write),
    ("boot settings", grub_defaults::write),
    ("records", records::write),
    ("the host's share", host_share::write),
    ("time servers", time::write),
    ("mail", mail::write),
    ("sources of updates", updates::write),
    ("Proxmox VE", node::write),
    ("secrets of the first boot", secrets::write),
];

fn configured(case: &str) -> (tempfile::TempDir, Context, Vec<String>) {
    let target = unpacked();
    let (context, recorder) = context(case, target.path());
    for (name, part) in WITHOUT_DEVICES {
        part(&context).unwrap_or_else(|e| panic!("{name}: {}", e.render()));
    }
    let lines = recorder.lines().iter().map(|l| l.replace(target.path().to_str().unwrap(), "/target")).collect();
    (target, context, lines)
}

fn shown(target: &tempfile::TempDir, paths: &[&str]) -> String {
    let show = |path: &&str| format!("== {path}\n{}", fs::read_to_string(target.path().join(&path[1..])).unwrap());
    paths.iter().map(show).collect()
}

#[test]
fn the_reference_machine() {
    let (target, context, lines) = configured("reference");
    let paths = [
        "/etc/hostname",
        "/etc/hosts",
        "/etc/fstab",
        "/etc/crypttab",
        "/etc/mdadm/mdadm.conf",
        "/etc/network/interfaces",
        "/usr/local/lib/systemd/network/50-pmx-nic0.link",
        "/etc/default/locale",
        "/etc/default/keyboard",
        "/etc/default/grub.d/sovereign.cfg",
        "/etc/timezone",
        "/etc/systemd/system/qemu.slice.d/sovereign.conf",
        "/etc/systemd/system/system.slice.d/sovereign.conf",
        "/etc/sysctl.d/50-sovereign.conf",
        "/etc/aliases",
        "/etc/mailname",
    ];
    insta::assert_snapshot!("reference", shown(&target, &paths));
    insta::assert_snapshot!("reference-programs", lines.join("\n"));
    // The hook of cryptsetup-initramfs keeps the line of the root container alone, as it is in crypttab.
    let early = initramfs_crypttab(&context).unwrap();
    assert_eq!(early.lines().count(), 1);
    assert!(fs::read_to_string(target.path().join("etc/crypttab")).unwrap().contains(&early));
    users::check(&context).unwrap();
    assert_eq!(
        fs::read_link(target.path().join("etc/localtime")).unwrap().to_str().unwrap(),
        "/usr/share/zoneinfo/Europe/Berlin"
    );
}

#[test]
fn a_machine_without_hdds() {
    let (target, _, _) = configured("no-hdd");
    insta::assert_snapshot!("no-hdd", shown(&target, &["/etc/fstab", "/etc/crypttab", "/etc/mdadm/mdadm.conf"]));
}

#[test]
fn machines_with_pools_of_one_disk() {
    let paths = ["/etc/fstab", "/etc/crypttab", "/etc/mdadm/mdadm.conf"];
    let banners = ["/etc/issue.d/20-sovereign-unsafe.issue", "/etc/motd.d/20-sovereign-unsafe"];
    let (target, context, _) = configured("hardware-ssd-none-hdd");
    insta::assert_snapshot!("hardware-ssd-none-hdd", shown(&target, &[&paths[..], &banners].concat()));
    assert_eq!(context.boot_device().unwrap(), "/dev/sda3");
    assert_eq!(context.plan.containers.iter().map(|c| context.base(c)).collect::<Vec<_>>(), ["/dev/sda4", "/dev/sdb1"]);

    let (target, context, _) = configured("no-raid-ssd-raid10-hdd");
    insta::assert_snapshot!("no-raid-ssd-raid10-hdd", shown(&target, &[&paths[..], &banners].concat()));
    assert_eq!(
        context.plan.containers.iter().map(|c| context.base(c)).collect::<Vec<_>>(),
        ["/dev/nvme0n1p4", "/dev/md/hdd"]
    );

    let (target, context, _) = configured("raid1-ssd-hardware-hdd");
    assert!(banners.iter().all(|path| !context.on_target(path).exists()), "nothing about it is unsafe");
    assert!(shown(&target, &paths).contains("ARRAY /dev/md/ssd "));
}

#[test]
fn a_proxmox_node_with_open_vswitch_and_swap() {
    let target = unpacked();
    let (mut context, recorder) = context("swap-and-three-nics", target.path());
    let live = crate::testing::proxmox_live();
    context.live = live.path().to_owned();
    context.secrets =
        vec![(sovereign_model::installed::CLUSTER_PASSWORD, Passphrase::from_key(b"secret of others".to_vec()))];
    for (path, text) in [("usr/sbin/postfix", ""), ("etc/chrony/chrony.conf", "pool x iburst\nmakestep 1 3\n")] {
        files::write(&context.on_target(path), text.as_bytes(), files::PUBLIC).unwrap();
    }
    context.plan.site.network.ntp = vec!["192.0.2.1".to_owned(), "time.example.org".to_owned()];
    context.plan.site.updates.debian = Some("http://mirror.example.org/debian".to_owned());
    for (name, part) in WITHOUT_DEVICES {
        part(&context).unwrap_or_else(|e| panic!("{name}: {}", e.render()));
    }
    let paths = [
        "/etc/fstab",
        "/etc/network/interfaces",
        "/usr/local/lib/systemd/network/50-pmx-nic2.link",
        "/etc/chrony/chrony.conf",
        "/etc/chrony/sources.d/sovereign.sources",
        "/etc/postfix/main.cf",
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list.d/proxmox.sources",
        "/etc/apt/sources.list.d/pve-enterprise.sources",
        "/etc/sysctl.d/50-sovereign.conf",
    ];
    insta::assert_snapshot!("proxmox-node", shown(&target, &paths));
    let compiled = recorder.lines().into_iter().filter(|line| line.contains("alias")).collect::<Vec<_>>();
    assert_eq!(compiled, [format!("chroot {} postalias hash:/etc/aliases", target.path().display())]);
    secrets::check(&context).unwrap();
    node::check(&context).unwrap();
}

#[test]
fn no_secret_is_in_a_file_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let target = unpacked();
    let (mut context, _) = context("reference", target.path());
    context.plan.site.admin.root_password_hash = Some("$6$salt$verysecrethash".to_owned());
    for (_, part) in WITHOUT_DEVICES {
        part(&context).unwrap();
    }
    let mut left = vec![target.path().to_owned()];
    let mut holders = Vec::new();
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                left.push(path);
            } else if metadata.is_file() {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                assert!(!text.contains("correct horse"), "{} holds the passphrase", path.display());
                if text.contains("verysecrethash") {
                    assert_eq!(metadata.permissions().mode() & 0o007, 0, "{} may be read by others", path.display());
                    holders.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
    }
    assert_eq!(holders, ["shadow"]);
}

#[test]
fn a_time_zone_that_is_not_there_is_named() {
    let target = unpacked();
    let (mut context, _) = context("reference", target.path());
    context.plan.site.site.timezone = "Europe/Atlantis".to_owned();
    let error = locale::write(&context).unwrap_err().render();
    assert!(error.contains("there is no time zone `Europe/Atlantis`") && error.contains("site.timezone"), "{error}");
}

#[test]
fn a_locale_has_one_charset_and_is_looked_for_after_it_was_generated() {
    let target = unpacked();
    let (mut context, _) = context("reference", target.path());
    context.plan.site.site.locale = "de_DE.UTF-8@euro".to_owned();
    locale::write(&context).unwrap();
    assert_eq!(fs::read_to_string(target.path().join("etc/locale.gen")).unwrap(), "de_DE.UTF-8@euro UTF-8\n");
    // libc-bin 2.41, `locale -a`
    context.runner = Arc::new(Recorder::new().prints("chroot", "C\nC.utf8\nPOSIX\nde_DE.utf8@euro\n"));
    locale::check(&context).unwrap();
    context.runner = Arc::new(Recorder::new().prints("chroot", "C\nC.utf8\nPOSIX\n"));
    let error = locale::check(&context).unwrap_err().render();
    assert!(error.contains("the locale de_DE.UTF-8@euro was not generated"), "{error}");
    context.plan.site.site.locale = "C.UTF-8".to_owned();
    locale::check(&context).unwrap();
}

#[test]
fn a_machine_that_speaks_ipv6_alone() {
    let target = unpacked();
    let (mut context, _) = context("reference", target.path());
    let network = &mut context.plan.site.network;
    network.address = Some("2001:db8::10/64".to_owned());
    network.gateway = Some("fe80::1".to_owned());
    network.dns = vec!["2001:db8::53".to_owned()];
    network::write(&context).unwrap();
    identity::write(&context).unwrap();
    let text = shown(&target, &["/etc/network/interfaces", "/etc/resolv.conf", "/etc/hosts"]);
    for line in ["iface vmbr0 inet6 static", "nameserver 2001:db8::53", "2001:db8::10 host.reference.example.org host"]
    {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
