use sovereign_model::bytes::Bytes;
use sovereign_model::inventory::{Bmc, RaidController};

use super::*;
use crate::probe::capture::{BLOCK_PATHS, LSBLK};
use crate::probe::disks;

/// A disk as lsblk lists it: kernel name, vendor, model, serial, WWN, transport.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

/// The classes of disks of 1 GB, with where they hang and what /sys says.
fn classed(rows: &[Row<'_>], paths: &str, attributes: &str) -> Vec<Class> {
    let node = |(kname, vendor, model, serial, wwn, tran): &Row<'_>| {
        let text = |text: &str| if text.is_empty() { "null".to_owned() } else { format!("\"{text}\"") };
        format!(
            r#"{{"kname":"{kname}","path":"/dev/{kname}","type":"disk","size":1000000000,"vendor":{},"model":{},"serial":{},"wwn":{},"tran":{}}}"#,
            text(vendor),
            text(model),
            text(serial),
            text(wwn),
            text(tran)
        )
    };
    let mut captures = Captures::default();
    let nodes: Vec<String> = rows.iter().map(node).collect();
    captures.insert(LSBLK, format!(r#"{{"blockdevices":[{}]}}"#, nodes.join(",")));
    captures.insert(BLOCK_PATHS, paths);
    captures.insert(ATTRIBUTES, attributes);
    let disks = disks::parse(&captures).unwrap();
    assert!(disks.iter().all(|disk| disk.size == Bytes(1_000_000_000)));
    disks.into_iter().map(|disk| disk.class).collect()
}

fn raid(controller: RaidController, model: &str) -> Class {
    Class::HardwareRaid { controller, model: model.to_owned() }
}

#[test]
fn namespaces_are_counted_for_each_drive() {
    let nvme = |kname, serial| (kname, "", "model", serial, "", "nvme");
    let rows = [nvme("nvme0n1", "A"), nvme("nvme0n2", "A"), nvme("nvme1n1", "B"), nvme("nvme2n1", "C")];
    let paths = "nvme0n1 ../devices/virtual/nvme-subsystem/nvme-subsys3/nvme0n1\n\
                 nvme0n2 ../devices/virtual/nvme-subsystem/nvme-subsys3/nvme0n2\n\
                 nvme1n1 ../devices/pci0000:00/0000:00:01.0/nvme/nvme1/nvme1n1\n";
    // Two drives with the name of their kind are two drives all the same.
    let attributes = "block/nvme0n1/nsid 1\nblock/nvme0n2/nsid 7\nclass/nvme-subsystem/nvme-subsys3/subsysnqn nqn.a\n\
                      class/nvme/nvme1/subsysnqn nqn.kind\nclass/nvme/nvme2/subsysnqn nqn.kind\n";
    let namespace = |number, of, subsystem: &str| Class::NvmeNamespace { number, of, subsystem: subsystem.to_owned() };
    assert_eq!(
        classed(&rows, paths, attributes),
        [namespace(1, 2, "nqn.a"), namespace(7, 2, "nqn.a"), namespace(1, 1, "nqn.kind"), namespace(1, 1, "nqn.kind")]
    );
    // Without any of it, by their names.
    assert_eq!(classed(&rows[..2], "", ""), [namespace(1, 2, "nvme0"), namespace(2, 2, "nvme0")]);
}

#[test]
fn two_disks_with_one_name_in_the_world_are_two_paths_where_there_can_be_paths() {
    let wwn = "0x5000cca02b0a1b10";
    let rows = |tran| [("sda", "HGST", "HUC", "S", wwn, tran), ("sdb", "HGST", "HUC", "S", wwn, tran)];
    let path = |other: &str| Class::MultipathPath { paths: 2, others: vec![other.to_owned()] };
    for tran in ["sas", "fc", ""] {
        assert_eq!(classed(&rows(tran), "", ""), [path("sdb"), path("sda")], "{tran}");
    }
    for tran in ["usb", "sata"] {
        assert_eq!(classed(&rows(tran), "", ""), [Class::Ordinary, Class::Ordinary], "{tran}");
    }
    let mut different = rows("sas");
    different[1].4 = "0x5000cca02b0a1c20";
    assert_eq!(classed(&different, "", ""), [Class::Ordinary, Class::Ordinary]);
}

#[test]
fn an_emmc_is_no_sd_card() {
    let rows = [
        ("mmcblk0", "", "", "1", "", "mmc"),
        ("mmcblk0boot0", "", "", "", "", ""),
        ("mmcblk0boot1", "", "", "", "", ""),
    ];
    let emmc = |boot_areas, rpmb| [Class::Emmc { boot_areas, rpmb }];
    assert_eq!(
        classed(&rows, "", "block/mmcblk0/device/type MMC\nbus/mmc_rpmb/devices/mmcblk0rpmb/uevent MAJOR=242\n"),
        emmc(2, true)
    );
    assert_eq!(classed(&rows, "", ""), emmc(2, false));
    assert_eq!(classed(&rows[..1], "", "block/mmcblk0/device/type MMC\n"), emmc(0, false));
    assert_eq!(classed(&rows[..1], "", "block/mmcblk0/device/type SD\n"), [Class::SdCard]);
    assert_eq!(classed(&rows[..1], "", ""), [Class::Ordinary]);
}

/// Two hosts whose controllers are SCSI devices themselves.
const CONTROLLERS: &str = "class/scsi_device/4:2:0:0/device/type 12\n\
                           class/scsi_device/4:2:0:0/device/model P408i-a SR Gen10\n\
                           class/scsi_device/5:2:0:0/device/type 12\n\
                           class/scsi_device/5:2:0:0/device/model another\n";

#[test]
fn volumes_of_raid_controllers_are_known_by_driver_channel_and_name() {
    for (driver, channel, vendor, model, seller, wanted) in [
        ("megaraid_sas", 2, "DELL", "PERC H730P Mini", "", Some((RaidController::DellPerc, "PERC H730P Mini"))),
        ("megaraid_sas", 2, "AVAGO", "MR9361-8i", "0x1000", Some((RaidController::MegaRaid, "AVAGO MR9361-8i"))),
        ("megaraid_sas", 2, "IBM", "ServeRAID M5210", "", Some((RaidController::MegaRaid, "IBM ServeRAID M5210"))),
        (
            "megaraid_sas",
            3,
            "HPE",
            "MR416i-p Gen10+",
            "0x1590",
            Some((RaidController::HpeSmartArray, "MR416i-p Gen10+")),
        ),
        // A disk that is passed through.
        ("megaraid_sas", 0, "ATA", "ST4000NM0035", "", None),
        ("mpi3mr", 0, "DELL", "PERC H965i Front", "0x1028", Some((RaidController::DellPerc, "PERC H965i Front"))),
        ("mpi3mr", 0, "BROADCOM", "MR9660-16i", "0x1000", Some((RaidController::MegaRaid, "BROADCOM MR9660-16i"))),
        ("mpi3mr", 0, "SAMSUNG", "MZILT960HBHQ0D3", "0x1028", None),
        ("smartpqi", 1, "HPE", "LOGICAL VOLUME", "0x1590", Some((RaidController::HpeSmartArray, "P408i-a SR Gen10"))),
        ("smartpqi", 1, "ADAPTEC", "LOGICAL VOLUME", "0x9005", Some((RaidController::Adaptec, "P408i-a SR Gen10"))),
        ("smartpqi", 0, "HPE", "EG001800JWJNL", "0x1590", None),
        ("hpsa", 1, "HP", "LOGICAL VOLUME", "0x103c", Some((RaidController::HpeSmartArray, "P408i-a SR Gen10"))),
        ("aacraid", 0, "ASR8405", "vol", "", Some((RaidController::Adaptec, "ASR8405 vol"))),
        ("aacraid", 1, "SEAGATE", "ST600MM0006", "", None),
        ("arcmsr", 0, "Areca", "ARC-1883-VOL#00", "", Some((RaidController::Areca, "ARC-1883-VOL#00"))),
        ("3w-sas", 0, "LSI", "9750-8i DISK", "", Some((RaidController::ThreeWare, "9750-8i DISK"))),
        ("mpt3sas", 1, "LSI", "Logical Volume", "", Some((RaidController::FusionMpt, "LSI Logical Volume"))),
        ("mpt3sas", 0, "SEAGATE", "ST12000NM0027", "", None),
        ("", 2, "DELL", "PERC H755 Front", "", Some((RaidController::DellPerc, "PERC H755 Front"))),
    ] {
        let path = format!(
            "sda ../devices/pci0000:80/0000:80:01.1/0000:81:00.0/host4/target4:{channel}:0/4:{channel}:0:0/block/sda\n"
        );
        let pci = "bus/pci/devices/0000:81:00.0";
        let mut attributes = CONTROLLERS.to_owned();
        for (name, value) in [("driver", driver), ("subsystem_vendor", seller)] {
            if !value.is_empty() {
                attributes.push_str(&format!("{pci}/{name} {value}\n"));
            }
        }
        let class = classed(&[("sda", vendor, model, "S", "", "")], &path, &attributes);
        let wanted = wanted.map_or(Class::Ordinary, |(controller, model)| raid(controller, model));
        assert_eq!(class, [wanted], "{driver} {channel} {vendor} {model}");
    }
}

#[test]
fn mirrors_that_look_like_one_disk_are_volumes() {
    for (kname, tran, model, controller) in [
        ("sda", "sata", "DELLBOSS VD", RaidController::DellBoss),
        ("sda", "sata", "ThinkSystem M.2 VD", RaidController::Marvell),
        ("nvme0n1", "nvme", "Dell BOSS-N1", RaidController::DellBoss),
        ("nvme0n1", "nvme", "HPE NS204i-p Gen10+ Boot Controller", RaidController::HpeBootDevice),
    ] {
        assert_eq!(classed(&[(kname, "", model, "S", "", tran)], "", ""), [raid(controller, model)], "{model}");
    }
}

#[test]
fn a_medium_of_the_bmc_is_none_of_the_machines_disks() {
    let rows = [("sda", "AMI", "Virtual HDisk0", "", "", "usb"), ("sdb", "SanDisk", "Ultra", "1", "", "usb")];
    assert_eq!(classed(&rows, "", ""), [Class::VirtualMedium { bmc: Bmc::Ami }, Class::Ordinary]);
    // Not a virtual disk of a hypervisor.
    assert_eq!(classed(&[("sda", "VMware", "Virtual disk", "", "", "spi")], "", ""), [Class::Ordinary]);
}
