//! The installer's storage steps against real md, dm-crypt and LVM, and bad input against real disks: micro-VMs with the ISO's
//! kernel and root, bash as the first process, and the installer run from its shell.

#![expect(clippy::unwrap_used, reason = "this file holds nothing but tests and their helpers")]

use std::time::Duration;

use sovereign_qemu_tests::boot::{micro, micro_shell};
use sovereign_qemu_tests::disk::{REFERENCE_HDD_BYTES, REFERENCE_NVME_BYTES};
use sovereign_qemu_tests::shell::Output;
use sovereign_qemu_tests::words::{
    EXIT_BAD_INPUT, EXIT_BAD_MEDIUM, EXIT_NO_PLAN, EXIT_NOT_ENCRYPTED, EXIT_STEP_FAILED, PASSPHRASE, step,
};
use sovereign_qemu_tests::{Bus, Disk, Firmware, Lab, Machine, Shell, guest, host, secrets};

/// Everything up to the file systems: the goal is 90 s for the reference machine alone on the host.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(900);
/// A plan, or a refusal.
const PLAN_TIMEOUT: Duration = Duration::from_secs(300);

/// The site file of the micro-VMs, with changes (text to replace, replacement).
fn micro_site(changes: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(host::site("micro")).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "sites/micro.toml has no {from}");
        text = text.replace(from, to);
    }
    text
}

fn reference_machine(lab: &Lab) -> Machine {
    Machine::new(lab, Firmware::Bios).reference_disks().network()
}

/// Writes the answers into the guest's memory.
fn give_answers(shell: &Shell<'_>, site: &str) {
    shell.ok("mkdir -p /run/answers");
    shell.write_file("/run/answers/site.toml", 0o644, site.as_bytes());
    shell.write_file("/run/answers/passphrase", 0o600, PASSPHRASE.as_bytes());
}

/// Runs the installer without a pause before the first write.
fn install(shell: &Shell<'_>, arguments: &str) -> Output {
    let command = format!("sovereign-installer install --site /run/answers/site.toml --countdown 0 {arguments}");
    shell.run_live(&command, STORAGE_TIMEOUT)
}

/// Runs the installer up to and with this step, which must succeed.
#[track_caller]
fn install_until(shell: &Shell<'_>, step: &str) {
    let output = install(shell, &format!("--stop-after {step}"));
    assert_eq!(output.status, 0, "stopping after {step}:\n{}", output.stdout);
    shell.vm().lab().mark(step);
}

#[track_caller]
fn size_bytes(shell: &Shell<'_>, device: &str) -> u64 {
    shell.ok(&format!("blockdev --getsize64 {device}")).trim().parse().unwrap()
}

/// Each storage step does to the reference machine what the plan says, to the byte, as sfdisk, mdadm, cryptsetup, LVM and blkid
/// read it back; each run but the first starts by tearing down what the one before has left running. Meanwhile no process ever
/// carries the passphrase in its arguments or its environment.
#[test]
fn storage_steps_one_after_the_other() {
    let lab = Lab::new("micro_storage_steps");
    let mut machine = reference_machine(&lab);
    let vm = micro(&mut machine, "steps");
    let shell = micro_shell(&vm);
    give_answers(&shell, &micro_site(&[]));
    secrets::watch_processes(&shell, PASSPHRASE);

    install_until(&shell, step::ARRAYS);
    let mut guids = Vec::new();
    for disk in ["/dev/nvme0n1", "/dev/nvme1n1"] {
        let table = shell.json(&format!("sfdisk --json {disk}"));
        let table = &table["partitiontable"];
        assert_eq!((&table["label"], &table["sectorsize"]), (&"gpt".into(), &512.into()));
        let found: Vec<(&str, u64, u64)> = table["partitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| {
                (p["name"].as_str().unwrap(), p["start"].as_u64().unwrap() * 512, p["size"].as_u64().unwrap() * 512)
            })
            .collect();
        let (mib, gib) = (1 << 20, 1 << 30);
        let expected = [
            ("sovereign-bios", mib, mib),
            ("sovereign-esp", 2 * mib, gib),
            ("sovereign-boot", 2 * mib + gib, gib),
            ("sovereign-ssd", 2 * mib + 2 * gib, 509_960_257_536),
        ];
        assert_eq!(found, expected, "{disk}");
        guids.extend(table["partitions"].as_array().unwrap().iter().map(|p| p["uuid"].to_string()));
        // The protective MBR covers the disk and the backup table is where it belongs.
        let verified = shell.ok(&format!("sgdisk --verify {disk}"));
        assert!(verified.contains("No problems found"), "{verified}");
    }
    for disk in ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdd"] {
        assert_eq!(size_bytes(&shell, disk), REFERENCE_HDD_BYTES);
        assert_eq!(size_bytes(&shell, &format!("{disk}1")), 6_001_173_463_040);
        guids.push(shell.ok(&format!("blkid -o value -s PARTUUID {disk}1")));
    }
    let count = guids.len();
    guids.sort();
    guids.dedup();
    assert_eq!(guids.len(), count, "partition GUIDs are not unique");

    for (name, level, members, bytes) in [
        ("boot", "raid1", "UU", None),
        ("ssd", "raid1", "UU", Some(509_824_991_232_u64)),
        ("hdd", "raid10", "UUUU", Some(12_002_076_393_472)),
    ] {
        let array = guest::array(&shell, name);
        assert_eq!((array.level.as_str(), array.members.as_str()), (level, members), "{name}");
        let detail = shell.ok(&format!("mdadm --detail /dev/md/{name}"));
        assert!(detail.contains("Version : 1.2") && detail.contains("Intent Bitmap : Internal"), "{detail}");
        assert!(detail.contains(&format!("Name : micro:{name}")), "the array does not belong to the target: {detail}");
        if let Some(bytes) = bytes {
            assert_eq!(size_bytes(&shell, &format!("/dev/md/{name}")), bytes, "{name}");
        }
    }
    let detail = shell.ok("mdadm --detail /dev/md/hdd");
    assert!(detail.contains("Layout : near=2") && detail.contains("Chunk Size : 512K"), "{detail}");

    install_until(&shell, step::CONTAINERS);
    guest::assert_luks(&shell, "/dev/md/ssd", &["argon2id"]);
    let hdd = guest::luks(&shell, "/dev/md/hdd");
    assert!(hdd["keyslots"].as_object().unwrap().values().any(|slot| slot["kdf"]["type"] == "argon2id"), "{hdd:#}");
    assert_eq!(hdd["segments"]["0"]["sector_size"], 4096);
    assert_eq!(size_bytes(&shell, "/dev/mapper/luks-ssd"), 509_808_214_016);
    assert_eq!(size_bytes(&shell, "/dev/mapper/luks-hdd"), 12_002_059_616_256);
    for device in ["/dev/md/ssd", "/dev/md/hdd"] {
        shell.ok(&format!("cryptsetup open --test-passphrase --key-file /run/answers/passphrase {device}"));
    }

    install_until(&shell, step::FILE_SYSTEMS);
    assert_volumes(&shell);
    assert_eq!(shell.ok("blkid -o value -s TYPE /dev/pve/root").trim(), "ext4");
    assert!(shell.ok("blkid -o value -s TYPE /dev/md/boot").starts_with("ext"));
    let esp = |disk: &str| shell.ok(&format!("blkid -o value -s TYPE -s UUID {disk}p2"));
    let (first, second) = (esp("/dev/nvme0n1"), esp("/dev/nvme1n1"));
    assert!(first.contains("vfat") && second.contains("vfat"), "{first}{second}");
    assert_ne!(first, second, "the two EFI system partitions are one and the same file system");
    secrets::assert_processes_were_clean(&shell);
}

/// Volumes of the reference machine (facts: storage, "to the byte").
#[track_caller]
fn assert_volumes(shell: &Shell<'_>) {
    let pve = guest::group(shell, "pve").unwrap();
    assert_eq!((pve.extents, pve.free_extents, pve.extent_bytes), (121_547, 5_246, 4 << 20));
    let bulk = guest::group(shell, "bulk").unwrap();
    assert_eq!((bulk.extents, bulk.free_extents, bulk.extent_bytes), (2_861_513, 0, 4 << 20));
    let root = guest::volume(shell, "pve", "root").unwrap();
    assert_eq!((root.kind.as_str(), root.size_bytes), ("linear", 9_537 * (4 << 20)));
    let ssd = guest::volume(shell, "pve", "data").unwrap();
    assert_eq!((ssd.kind.as_str(), ssd.size_bytes), ("thin-pool", 446_726_930_432));
    assert_eq!((ssd.chunk_bytes, ssd.metadata_bytes, ssd.when_full.as_str()), (128 << 10, 512 << 20, "error"));
    let hdd = guest::volume(shell, "bulk", "data").unwrap();
    // All extents but the metadata's and its spare's, 128 each.
    assert_eq!((hdd.kind.as_str(), hdd.size_bytes), ("thin-pool", 2_861_257 * (4 << 20)));
    assert_eq!((hdd.chunk_bytes, hdd.metadata_bytes, hdd.when_full.as_str()), (1 << 20, 512 << 20, "error"));
}

/// Leftovers of every kind are taken over: an array with its superblock at the end of the partitions and an active volume group
/// of the product's own name on it, an open container of the product's own name, a bare file system, swap, ZFS-like remains at
/// both ends of a disk, an MBR. What is built afterwards carries no old signature.
#[test]
fn leftovers_of_every_kind_are_taken_over() {
    let lab = Lab::new("micro_leftovers");
    let mut machine = reference_machine(&lab);
    let vm = micro(&mut machine, "leftovers");
    let shell = micro_shell(&vm);
    give_answers(&shell, &micro_site(&[]));
    shell.ok(
        "for d in nvme0n1 nvme1n1; do printf 'label: dos\\n2048,40G,fd\\n' | sfdisk -q /dev/$d; done; udevadm settle",
    );
    shell.ok(
        "mdadm --create /dev/md/old --run --metadata=0.90 --level=1 --raid-devices=2 --assume-clean \
         /dev/nvme0n1p1 /dev/nvme1n1p1 && udevadm settle && \
         pvcreate -qy /dev/md/old && vgcreate -qy pve /dev/md/old && lvcreate -qy -L 1G -n root pve && mkfs.ext4 -q /dev/pve/root",
    );
    shell.ok(
        "printf 'label: gpt\\n,,L\\n' | sfdisk -q /dev/sda; udevadm settle; printf old | cryptsetup luksFormat -q --pbkdf pbkdf2 \
         --pbkdf-force-iterations 1000 --key-file - /dev/sda1 && printf old | cryptsetup open --key-file - /dev/sda1 luks-hdd && \
         mkfs.ext4 -q -E nodiscard /dev/mapper/luks-hdd 1G",
    );
    shell.ok("mkfs.xfs -q -K /dev/sdb && mkswap -q /dev/sdc");
    // Uberblocks of a ZFS vdev (magic 0x00bab10c): two labels of 256 KiB at each end of the disk, the array from 128 KiB on in each.
    shell.ok("end=$(( $(blockdev --getsize64 /dev/sdd) / 262144 )); for n in 0 1 $((end - 2)) $((end - 1)); do \
         for u in $(seq 128 160); do printf '\\014\\261\\272\\000\\000\\000\\000\\000' | \
         dd of=/dev/sdd bs=1024 seek=$((n * 256 + u)) conv=notrunc status=none; done; done; sync");
    let uberblocks = "end=$(( $(blockdev --getsize64 /dev/sdd) / 262144 )); for n in 0 1 $((end - 2)) $((end - 1)); do \
         od -An -tx1 -j $((n * 262144 + 131072)) -N 4 /dev/sdd; done | sort -u";
    assert_eq!(shell.ok(uberblocks).trim(), "0c b1 ba 00");
    install_until(&shell, step::VOLUMES);
    assert_volumes(&shell);
    for (device, expected) in [
        ("/dev/nvme0n1p4", "linux_raid_member"),
        ("/dev/nvme1n1p4", "linux_raid_member"),
        ("/dev/sda1", "linux_raid_member"),
        ("/dev/sdd1", "linux_raid_member"),
        ("/dev/md/ssd", "crypto_LUKS"),
        ("/dev/mapper/luks-ssd", "LVM2_member"),
    ] {
        let signatures = shell.json(&format!("wipefs --json --no-act {device}"));
        let mut types: Vec<&str> = signatures["signatures"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|signature| signature["type"].as_str())
            .collect();
        // LUKS2 has two headers, each with its magic.
        types.dedup();
        assert_eq!(types, [expected], "{device}");
    }
    assert_eq!(shell.ok(uberblocks).trim(), "00 00 00 00", "a ZFS label survived");
    // Not the names in /dev/md: for about one LUKS header in a hundred the kernel takes its checksum, which is random, for a partition
    // table of Atari's, which has no magic, and there are /dev/md/hdd1 and /dev/md/hdd2.
    let arrays = shell.ok(
        "for d in /sys/block/md*; do mdadm --detail --export /dev/${d##*/} | sed -n 's/^MD_DEVNAME=//p'; done | sort",
    );
    assert_eq!(arrays.split_whitespace().collect::<Vec<_>>(), ["boot", "hdd", "ssd"]);
}

/// A volume group that spans a chosen disk and one that was not chosen is nobody's to destroy: the installer names it and
/// refuses, and the volume group is whole afterwards.
#[test]
fn what_spans_a_disk_that_was_not_chosen_is_left_alone() {
    let lab = Lab::new("micro_spanning");
    let mut machine = reference_machine(&lab).disk(Disk::new(Bus::Virtio, "KEEP0001", 10 << 30));
    let vm = micro(&mut machine, "spanning");
    let shell = micro_shell(&vm);
    give_answers(&shell, &micro_site(&[]));
    shell.ok("pvcreate -qy /dev/nvme0n1 /dev/vda && vgcreate -qy keep /dev/nvme0n1 /dev/vda && \
         lvcreate -qy -l 100%FREE -n all keep && vgchange -qan keep && udevadm settle");
    let before = shell.ok("vgs --noheadings -o vg_uuid,pv_count,lv_count keep");
    let output = install(&shell, "");
    assert!([EXIT_NO_PLAN, EXIT_STEP_FAILED].contains(&output.status), "exit {}:\n{}", output.status, output.stdout);
    assert!(output.stdout.contains("keep"), "the volume group is not named:\n{}", output.stdout);
    assert_eq!(shell.ok("vgs --noheadings -o vg_uuid,pv_count,lv_count keep"), before);
}

/// Where no unambiguous plan exists, or the site file is wrong, the installer says why and what to do, with the promised exit
/// code, and no byte of any disk is written.
#[test]
fn bad_input_leaves_the_disks_alone() {
    let lab = Lab::new("micro_bad_input");
    let mut machine = reference_machine(&lab)
        .disk(Disk::new(Bus::Nvme, "NVME0003", REFERENCE_NVME_BYTES))
        .disk(
            Disk::new(Bus::Scsi, "FOURK0001", REFERENCE_HDD_BYTES)
                .blocks(4096, 4096)
                .rotating(7200)
                .wwn(0x5000_c500_0000_0099),
        )
        .disk(Disk::new(Bus::Virtio, "RO0001", REFERENCE_NVME_BYTES).read_only());
    let before = machine.image_hashes();
    let vm = micro(&mut machine, "bad-input");
    let shell = micro_shell(&vm);
    let ssd = "match = { transport = \"nvme\" }";
    let hdd = "match = { rotational = true, min_size = \"5TB\" }";
    let both = "match = { serials = [\"NVME0001\", \"NVME0002\"] }";
    let read_only = "match = { serials = [\"NVME0001\", \"RO0001\"] }";
    let twice = "match = { serials = [\"NVME0001\", \"NVME0001\"] }";
    let sata = "match = { transport = \"sata\" }";
    let mixed = "match = { serials = [\"HDD00001\", \"HDD00002\", \"HDD00003\", \"FOURK0001\"] }";
    let too_large = format!("root = \"600GB\"\n{both}");
    let refused = |name: &str, changes: &[(&str, &str)], code: i32, words: &[&str]| {
        give_answers(&shell, &micro_site(changes));
        assert_refused(&shell, name, code, words);
    };
    let all_three = ["3 disks fit", "NVME0001", "NVME0002", "NVME0003", "HDD00001"];
    refused("three fit", &[(hdd, sata)], EXIT_NO_PLAN, &all_three);
    let nothing = "match = { model = \"NOSUCH*\" }";
    refused("none fits", &[(ssd, nothing), (hdd, sata)], EXIT_NO_PLAN, &["no disk fits", "NVME0001"]);
    refused("mixed sectors", &[(ssd, both), (hdd, mixed)], EXIT_NO_PLAN, &["512 and 4096", "FOURK0001"]);
    refused("read-only", &[(ssd, read_only), (hdd, sata)], EXIT_NO_PLAN, &["RO0001", "read-only"]);
    refused("too large", &[(ssd, &too_large), (hdd, sata)], EXIT_NO_PLAN, &["too small", "bytes short"]);
    refused("named twice", &[(ssd, twice), (hdd, sata)], EXIT_BAD_INPUT, &["NVME0001"]);
    let misspelt = [("passphrase = \"file\"", "pasphrase = \"file\"")];
    refused("misspelt", &misspelt, EXIT_BAD_INPUT, &["pasphrase", "passphrase", "site.toml:23:1"]);
    refused("wrong type", &[("raid = \"raid1\"", "raid = 1")], EXIT_BAD_INPUT, &["raid = 1", "site.toml:15"]);
    let absent = [(ssd, both), (hdd, sata), ("file = \"passphrase\"", "file = \"absent\"")];
    refused("no key", &absent, EXIT_BAD_INPUT, &["absent"]);
    give_answers(&shell, "");
    assert_refused(&shell, "empty", EXIT_BAD_INPUT, &["site"]);
    let whole = micro_site(&[]);
    give_answers(&shell, &whole[..whole.len() / 2]);
    assert_refused(&shell, "truncated", EXIT_BAD_INPUT, &["site.toml"]);
    assert_eq!(vm.disks_written(), []);
    vm.power_cut();
    assert_eq!(machine.image_hashes(), before);
}

#[track_caller]
fn assert_refused(shell: &Shell<'_>, name: &str, code: i32, words: &[&str]) {
    let command = "sovereign-installer install --site /run/answers/site.toml --countdown 0 2>&1";
    let output = shell.run_within(command, PLAN_TIMEOUT);
    assert_eq!(output.status, code, "{name}:\n{}", output.stdout);
    for word in words {
        assert!(output.stdout.contains(word), "{name}: \"{word}\" is not in\n{}", output.stdout);
    }
}

/// A machine without a disk is told so, and one whose processor is emulated is not called encrypted.
#[test]
fn a_machine_without_disks_is_told_so() {
    let lab = Lab::new("micro_no_disks");
    let mut machine = Machine::new(&lab, Firmware::Uefi).network();
    let vm = micro(&mut machine, "no-disks");
    let shell = micro_shell(&vm);
    give_answers(&shell, &micro_site(&[]));
    assert_refused(&shell, "no disks", EXIT_NO_PLAN, &["no disks at all"]);
    let output = shell.run("sovereign-installer memory-encryption --json");
    assert_eq!(output.status, EXIT_NOT_ENCRYPTED, "{}{}", output.stdout, output.stderr);
    let said: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&said["state"], &said["virtualised"]), (&"unsupported".into(), &true.into()), "{said:#}");
    assert!(said["evidence"].as_array().is_some_and(|evidence| evidence.len() > 1), "{said:#}");
}

/// A disk that vanishes between the plan and the first write stops the installer, which names it; the other disks are untouched.
#[test]
fn a_disk_that_vanishes_after_the_plan_stops_the_install() {
    let lab = Lab::new("micro_vanishing");
    let mut machine = reference_machine(&lab);
    let vm = micro(&mut machine, "vanishing");
    let shell = micro_shell(&vm);
    give_answers(&shell, &micro_site(&[]));
    shell.ok(
        "(setsid sovereign-installer install --site /run/answers/site.toml --countdown 30 >/run/install.log 2>&1 </dev/null; \
         echo \"exit $?\" >/run/install.exit) >/dev/null 2>&1 &",
    );
    shell.wait_until("cat /run/install.log", "will be erased", PLAN_TIMEOUT);
    vm.unplug(&Disk::reference_nvme(2));
    let exit = shell.wait_until("cat /run/install.exit 2>/dev/null", "exit", PLAN_TIMEOUT);
    let log = shell.ok("cat /run/install.log");
    assert_eq!(exit.trim(), format!("exit {EXIT_NO_PLAN}"), "{log}");
    assert!(log.contains("NVME0002"), "the missing disk is not named:\n{log}");
    assert_eq!(vm.disks_written(), []);
}

/// A medium that was altered is found out before anything is written.
#[test]
fn an_altered_medium_is_found_out_before_anything_is_written() {
    let lab = Lab::new("micro_altered_medium");
    let mut machine = reference_machine(&lab);
    let vm = micro(&mut machine, "altered");
    let shell = micro_shell(&vm);
    give_answers(&shell, &micro_site(&[]));
    // A medium of links to the real one, but for one file in which one bit is another.
    shell.ok("cp -rs /run/sovereign/medium /run/altered && rm /run/altered/sovereign/target.squashfs && \
         cp /run/sovereign/medium/sovereign/target.squashfs /run/altered/sovereign/ && \
         f=/run/altered/sovereign/target.squashfs && at=$(( $(stat -c %s $f) / 2 )) && \
         printf \"\\\\$(printf %o $(( $(od -An -tu1 -j$at -N1 $f) ^ 1 )))\" | dd of=$f bs=1 conv=notrunc status=none seek=$at");
    let output = install(&shell, "--medium /run/altered");
    assert_eq!(output.status, EXIT_BAD_MEDIUM, "{}", output.stdout);
    assert!(output.stdout.contains("target.squashfs"), "the damaged file is not named:\n{}", output.stdout);
    assert_eq!(vm.disks_written(), []);
}

/// Other disks than the reference machine's: NVMe with sectors of 4096 bytes, six HDDs, thick bulk volumes. What the tools made is
/// what the plan said, to the byte, and the EFI system partitions are FAT32 by their number of clusters too.
#[test]
fn other_disks_get_what_their_plan_says() {
    let lab = Lab::new("micro_other_disks");
    let mut machine = Machine::new(&lab, Firmware::Uefi).network();
    for number in 1..=2 {
        let size = 960_197_124_096;
        machine = machine.disk(Disk::new(Bus::Nvme, &format!("NVME4K0{number}"), size).blocks(4096, 4096));
    }
    for number in 1..=6 {
        machine = machine.disk(Disk::new(Bus::Scsi, &format!("HDD2T00{number}"), 2_000_398_934_016).rotating(7200));
    }
    let vm = micro(&mut machine, "other");
    let shell = micro_shell(&vm);
    let hdd = "[storage.hdd]\nraid = \"raid10\"\n";
    let changed = "[storage.hdd]\nraid = \"raid10\"\ndisks = 6\nvolumes = \"thick\"\n";
    give_answers(&shell, &micro_site(&[(hdd, changed), ("min_size = \"5TB\"", "min_size = \"1TB\"")]));
    let plan = &shell.json("sovereign-installer plan --site /run/answers/site.toml --json")["plan"];
    install_until(&shell, step::FILE_SYSTEMS);

    let bytes = |value: &serde_json::Value| value.as_u64().unwrap_or_else(|| panic!("no number of bytes: {value}"));
    for array in plan["arrays"].as_array().unwrap() {
        let name = array["name"].as_str().unwrap();
        assert_eq!(size_bytes(&shell, &format!("/dev/md/{name}")), bytes(&array["size"]), "{name}");
    }
    for container in plan["containers"].as_array().unwrap() {
        let name = container["name"].as_str().unwrap();
        assert_eq!(size_bytes(&shell, &format!("/dev/mapper/{name}")), bytes(&container["size"]), "{name}");
    }
    for group in plan["volume_groups"].as_array().unwrap() {
        let found = guest::group(&shell, group["name"].as_str().unwrap()).unwrap();
        let planned = (bytes(&group["extents"]), bytes(&group["free_extents"]));
        assert_eq!((found.extents, found.free_extents), planned, "{group:#}");
    }
    assert_eq!(guest::array(&shell, "hdd").members, "UUUUUU");
    assert_eq!(guest::volume(&shell, "bulk", "data"), None);
    for disk in ["nvme0n1", "nvme1n1"] {
        assert_eq!(shell.ok(&format!("cat /sys/block/{disk}/queue/logical_block_size")).trim(), "4096");
        let table = &shell.json(&format!("sfdisk --json /dev/{disk}"))["partitiontable"];
        assert_eq!(
            (&table["sectorsize"], table["partitions"].as_array().unwrap().len()),
            (&4096.into(), 3),
            "{table:#}"
        );
        let verified = shell.ok(&format!("sgdisk --verify /dev/{disk}"));
        assert!(verified.contains("No problems found"), "{verified}");
        // Firmware reads a FAT by the disk's own sectors (bytes 11 and 12 of its first).
        assert_eq!(shell.ok(&format!("od -An -tu2 -j11 -N2 /dev/{disk}p1")).trim(), "4096");
        // FAT32 has at least 65,525 clusters (Microsoft's specification); firmware may go by that alone.
        let checked = shell.ok(&format!("fsck.vfat -n -v /dev/{disk}p1"));
        let clusters = checked.lines().find_map(|line| line.trim().strip_suffix(" bytes per cluster")).map(str::trim);
        assert!(clusters.is_some_and(|n| (1 << 30) / n.parse::<u64>().unwrap() > 65_525), "{checked}");
    }
}

/// Pools without md: one NVMe disk without a copy, and one volume with sectors of 4096 bytes that stands for a controller's. The containers and
/// /boot stand on partitions, as lsblk, cryptsetup and LVM read them back, and a second run takes down what the first has left open.
#[test]
fn pools_of_one_disk_get_what_their_plan_says() {
    let lab = Lab::new("micro_single_disks");
    let mut machine = Machine::new(&lab, Firmware::Bios)
        .network()
        .disk(Disk::reference_nvme(1))
        .disk(Disk::new(Bus::Scsi, "VOLUME01", REFERENCE_HDD_BYTES).blocks(4096, 4096).rotating(7200));
    let vm = micro(&mut machine, "single");
    let shell = micro_shell(&vm);
    let (ssd, hdd) = ("raid = \"raid1\"", "raid = \"raid10\"\nmatch = { rotational = true, min_size = \"5TB\" }");
    let volume = "raid = \"hardware\"\nmatch = { serials = [\"VOLUME01\"] }";
    give_answers(&shell, &micro_site(&[(ssd, "raid = \"none\""), (hdd, volume)]));
    let planned = shell.ok("sovereign-installer plan --site /run/answers/site.toml");
    assert!(planned.contains("UNSAFE") && planned.contains("one volume of a RAID controller"), "{planned}");
    install_until(&shell, step::CONTAINERS);
    install_until(&shell, step::FILE_SYSTEMS);

    assert_eq!(shell.run("grep ^md /proc/mdstat").stdout.trim(), "", "there is an array");
    let tree = shell.ok("lsblk -nro NAME,FSTYPE,PARTLABEL /dev/nvme0n1 /dev/sda");
    for line in ["nvme0n1p2 vfat sovereign-esp", "nvme0n1p3 ext4 sovereign-boot", "nvme0n1p4 crypto_LUKS sovereign-ssd"]
    {
        assert!(tree.contains(line), "{tree}");
    }
    assert!(tree.contains("sda1 crypto_LUKS sovereign-hdd"), "{tree}");
    let types = |disk: &str, sector: u64| {
        let table = &shell.json(&format!("sfdisk --json {disk}"))["partitiontable"];
        assert_eq!((&table["label"], &table["sectorsize"]), (&"gpt".into(), &sector.into()), "{disk}");
        let verified = shell.ok(&format!("sgdisk --verify {disk}"));
        assert!(verified.contains("No problems found"), "{verified}");
        let partitions = table["partitions"].as_array().unwrap().iter();
        partitions.map(|p| p["type"].as_str().unwrap()[..8].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(types("/dev/nvme0n1", 512), ["21686148", "C12A7328", "0FC63DAF", "CA7D7CCB"]);
    assert_eq!(types("/dev/sda", 4096), ["CA7D7CCB"]);
    // The protective MBR counts sectors of the disk's own size: all but the first, in the entry's last four bytes.
    let protected = shell.ok("od -An -tu4 -j458 -N4 /dev/sda");
    assert_eq!(protected.trim().parse::<u64>().unwrap(), REFERENCE_HDD_BYTES / 4096 - 1);
    guest::assert_luks(&shell, "/dev/nvme0n1p4", &["argon2id"]);
    guest::assert_luks(&shell, "/dev/sda1", &["argon2id", "pbkdf2"]);
    let pvs = shell.ok("pvs --noheadings -o pv_name,vg_name");
    let pvs: Vec<_> = pvs.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(pvs, [["/dev/mapper/luks-hdd", "bulk"], ["/dev/mapper/luks-ssd", "pve"]]);
    // Partition less 16 MiB of header; the partitions are those of the plan's own tests.
    assert_eq!(size_bytes(&shell, "/dev/mapper/luks-ssd"), 509_960_257_536 - (16 << 20));
    assert_eq!(size_bytes(&shell, "/dev/mapper/luks-hdd"), 6_001_173_463_040 - (16 << 20));
}
