use super::*;
use crate::probe::inventory;

#[test]
fn a_capture_that_nothing_here_knows_is_left_out() {
    let mut captures = Captures::default();
    captures.insert("proc/meminfo", "MemTotal: 1000 kB\n");
    captures.insert("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA root@berlin\n");
    captures.insert("sys/class/net/eth0/ifalias", "to customer\n");
    captures.insert(
        "dmesg.txt",
        "[    0.000000] Linux version 6.12.1 (root@berlin) #1\n[    0.1] AMD Memory Encryption Features active: SME\n",
    );
    let redacted = redact(&captures);
    assert_eq!(redacted.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["dmesg.txt", "proc/meminfo"]);
    let log = "[    0.000000] Linux version 6.12.1\n[    0.1] AMD Memory Encryption Features active: SME\n";
    assert_eq!(redacted.get("dmesg.txt"), Some(log));
}

#[test]
fn a_serial_number_is_the_same_stand_in_wherever_it_is_and_its_disk_the_same_disk() {
    let mut captures = Captures::default();
    captures.insert("proc/meminfo", "MemTotal: 1000 kB\n");
    captures.insert(
        LSBLK,
        r#"{"blockdevices":[{"name":"sda","kname":"sda","path":"/dev/sda","type":"disk","size":9,"serial":"ZAD0A001","wwn":"0x5000C500AB",
            "label":"customers","children":[{"kname":"dm-0","name":"pve-berlin","path":"/dev/mapper/pve-berlin","type":"lvm",
            "mountpoints":["/srv/berlin"]}]}]}"#,
    );
    captures.insert(
        UDEVADM,
        "DEVPATH=/x\nDEVNAME=/dev/sda\nID_SERIAL_SHORT=ZAD0A001\nDEVLINKS=/dev/disk/by-id/ata-ZAD0A001\n",
    );
    captures.insert(MOUNTS, "proc /proc proc rw 0 0\n/dev/mapper/pve-berlin /srv/berlin ext4 rw,x=ZAD0A001 0 0\n");
    captures.insert(REMARKS, "/dev/disk/by-id/ata-zad0a001 cannot be read\n");
    captures.insert("proc/cmdline", "root=/dev/mapper/pve-berlin ip=10.0.0.1 console=ttyS0\n");
    captures.insert("proc/version", "Linux version 6.12.1 (root@berlin) #1\n");
    let redacted = redact(&captures);
    for (path, text) in redacted.iter() {
        let text = text.to_lowercase();
        for name in ["zad0a001", "5000c500ab", "customers", "berlin", "10.0.0.1"] {
            assert!(!text.contains(name), "{name} is in {path}: {text}");
        }
    }
    assert_eq!(redacted.get(REMARKS), Some("/dev/disk/by-id/ata-SERIAL0001 cannot be read\n"));
    let disk = inventory(&redacted).unwrap().disks.remove(0);
    assert_eq!(disk.serial.as_deref(), Some("SERIAL0001"));
    assert_eq!(disk.in_use, ["/srv/folder001"]);
    assert_eq!(redact(&redacted), redacted, "twice is once");
}

#[test]
fn the_name_of_an_interface_that_is_its_address_is_replaced_with_it() {
    let mut captures = Captures::default();
    for (file, text) in
        [("address", "00:E0:4C:68:00:01\n"), ("type", "1\n"), ("uevent", "INTERFACE=enx00e04c680001\nIFINDEX=3\n")]
    {
        captures.insert(format!("{NET}enx00e04c680001/{file}"), text);
    }
    let redacted = redact(&captures);
    assert_eq!(redacted.get("sys/class/net/enx020000000001/address"), Some("02:00:00:00:00:01\n"));
    assert_eq!(redacted.get("sys/class/net/enx020000000001/uevent"), Some(""));
    assert_eq!(redacted.iter().count(), 3);
}

#[test]
fn how_a_disk_erases_itself_is_kept_and_who_it_is_is_not() {
    let mut captures = Captures::default();
    captures.insert(
        "nvme/nvme0n1/id-ctrl.json",
        r#"{"sn":"S5GANX0R2","subnqn":"nqn.S5GANX0R2","oacs":6,"fna":1,"sanicap":2}"#,
    );
    captures.insert(
        "ata/sda/identify.txt",
        "\tSerial Number:      ZAD0A001\nSecurity:\n\t\tsupported\n\tnot\tenabled\nLogical Unit WWN Device Identifier: 5000c500c0a00001\n",
    );
    let redacted = redact(&captures);
    assert_eq!(redacted.get("ata/sda/identify.txt"), Some("Security:\n\t\tsupported\n\tnot\tenabled\n"));
    let kept: serde_json::Value = serde_json::from_str(redacted.get("nvme/nvme0n1/id-ctrl.json").unwrap()).unwrap();
    assert_eq!(kept, serde_json::json!({"oacs": 6, "fna": 1, "sanicap": 2}));
}
