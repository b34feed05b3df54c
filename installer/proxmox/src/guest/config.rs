//! A virtual machine's configuration file, `nodes/N/qemu-server/VMID.conf`, written as qemu-server 9.2 itself writes it: the
//! description in comments, then the settings in the order of their names' bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::devices::{
    Balloon, BootDevice, CloudInit, Console, Controller, Cpu, Disk, EfiDisk, Firmware, Ip, Ip4, Ip6, Memory, Nic, Os,
    OwnVolume, Startup, TpmState,
};
use super::numbers::{NicSlot, ScsiSlot, VmId};
use super::text::{encode_description, encode_url};
use super::values::{Description, GuestName, Tag, Uuid, Version};
use super::volume;

/// What a guest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be cloned. It is never started, and its disks are never written to.
    Template,
    /// To run.
    Machine {
        /// Whether it is started with the node.
        onboot: bool,
        /// When, among the others.
        startup: Startup,
    },
}

/// What Proxmox notes about a guest when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The version of QEMU.
    pub qemu: Version,
    /// Seconds since 1970.
    pub time_s: u64,
}

/// The agent in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// Whether the guest is told to free what it does not use after its disk was copied.
    pub fstrim_cloned_disks: bool,
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its number.
    pub id: VmId,
    /// Its name.
    pub name: GuestName,
    /// What a person should know about it.
    pub description: Description,
    /// Words to find it by.
    pub tags: BTreeSet<Tag>,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether Proxmox refuses to delete it or its disks.
    pub protection: bool,
    /// Its CPUs.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// What runs in it.
    pub os: Os,
    /// Its firmware.
    pub firmware: Firmware,
    /// Its TPM.
    pub tpm: Option<TpmState>,
    /// The controller of its disks.
    pub controller: Controller,
    /// Its disks.
    pub disks: BTreeMap<ScsiSlot, Disk>,
    /// Its network cards.
    pub nics: BTreeMap<NicSlot, Nic>,
    /// What it boots from, the first first.
    pub boot: Vec<BootDevice>,
    /// What a person sees of it.
    pub console: Console,
    /// Its agent.
    pub agent: Option<Agent>,
    /// What cloud-init is told.
    pub cloud_init: Option<CloudInit>,
    /// What it is to itself (SMBIOS).
    pub uuid: Uuid,
    /// Changes when it goes back in time: tells the guest to draw new secrets.
    pub generation: Uuid,
    /// When it was made.
    pub created: Created,
}

/// Why a guest has no configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// Two disks are one volume.
    #[error("guest {id} has the volume `{storage}:{name}` twice: give each disk a number of its own")]
    SameVolume {
        /// The guest.
        id: VmId,
        /// The storage.
        storage: String,
        /// The volume.
        name: String,
    },
    /// It boots from what is not there.
    #[error(
        "guest {id} is to boot from `{device}`, which it does not have: add the device or take it out of the order"
    )]
    NoBootDevice {
        /// The guest.
        id: VmId,
        /// The device.
        device: String,
    },
    /// The order names a device twice.
    #[error("guest {id} is to boot from `{device}` twice: name each device once")]
    BootsTwice {
        /// The guest.
        id: VmId,
        /// The device.
        device: String,
    },
    /// Two cards have one address.
    #[error("guest {id} has two network cards with the address {mac}: give each its own")]
    SameMac {
        /// The guest.
        id: VmId,
        /// The address.
        mac: super::values::Mac,
    },
    /// A guest without a disk to boot from.
    #[error("guest {0} has no disk: add one")]
    NoDisk(VmId),
}

impl Guest {
    /// The id of a volume of the guest's own, such as `local-lvm:vm-101-disk-0`.
    pub fn volume_id(&self, volume: &OwnVolume) -> String {
        let name = match self.purpose {
            Purpose::Template => volume::base(self.id, volume.number),
            Purpose::Machine { .. } => volume::disk(self.id, volume.number),
        };
        format!("{}:{name}", volume.storage)
    }

    /// The volumes of its disks, of UEFI's variables and of the TPM's state, in this order.
    pub fn volumes(&self) -> impl Iterator<Item = &OwnVolume> {
        let efi = match &self.firmware {
            Firmware::Ovmf(disk) => Some(&disk.volume),
            Firmware::SeaBios => None,
        };
        self.disks.values().map(|disk| &disk.volume).chain(efi).chain(self.tpm.as_ref().map(|tpm| &tpm.volume))
    }

    fn validate(&self) -> Result<(), GuestError> {
        let id = self.id;
        if self.disks.is_empty() {
            return Err(GuestError::NoDisk(id));
        }
        let mut volumes = BTreeSet::new();
        if let Some(twice) = self.volumes().find(|volume| !volumes.insert(*volume)) {
            let name = self.volume_id(twice).split_off(twice.storage.as_str().len() + 1);
            return Err(GuestError::SameVolume { id, storage: twice.storage.to_string(), name });
        }
        let mut macs = BTreeSet::new();
        if let Some(twice) = self.nics.values().find(|nic| !macs.insert(nic.mac)) {
            return Err(GuestError::SameMac { id, mac: twice.mac });
        }
        let mut devices = BTreeSet::new();
        for device in &self.boot {
            let there = match device {
                BootDevice::Disk(slot) => self.disks.contains_key(slot),
                BootDevice::Nic(slot) => self.nics.contains_key(slot),
            };
            if !there {
                return Err(GuestError::NoBootDevice { id, device: boot_device(*device) });
            }
            if !devices.insert(device) {
                return Err(GuestError::BootsTwice { id, device: boot_device(*device) });
            }
        }
        Ok(())
    }

    /// The file.
    ///
    /// # Errors
    /// [`GuestError`].
    pub fn write(&self) -> Result<String, GuestError> {
        self.validate()?;
        let mut text = encode_description(self.description.as_str());
        for (key, value) in self.settings() {
            text.push_str(&format!("{key}: {value}\n"));
        }
        Ok(text)
    }

    /// Every setting. In the order of the names' bytes `net10` comes before `net2`, as in Proxmox's.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        let mut set = |key: &str, value: String| {
            settings.insert(key.to_owned(), value);
        };
        set("name", self.name.to_string());
        if !self.tags.is_empty() {
            set("tags", joined(self.tags.iter(), ";"));
        }
        match self.purpose {
            Purpose::Template => set("template", "1".to_owned()),
            Purpose::Machine { onboot, startup } => {
                if onboot {
                    set("onboot", "1".to_owned());
                }
                let startup = startup_value(startup);
                if !startup.is_empty() {
                    set("startup", startup);
                }
            }
        }
        if self.protection {
            set("protection", "1".to_owned());
        }
        set("cores", self.cpu.cores.to_string());
        set("sockets", self.cpu.sockets.to_string());
        set("cpu", self.cpu.model.word().to_owned());
        if let Some(units) = self.cpu.units {
            set("cpuunits", units.get().to_string());
        }
        set("memory", self.memory.total.get().to_string());
        if self.memory.balloon == Balloon::Off {
            set("balloon", "0".to_owned());
        }
        set("ostype", self.os.word().to_owned());
        if let Firmware::Ovmf(disk) = &self.firmware {
            set("bios", "ovmf".to_owned());
            set("efidisk0", self.efi_disk(disk));
        }
        if let Some(tpm) = &self.tpm {
            set("tpmstate0", format!("{},size={},version=v2.0", self.volume_id(&tpm.volume), tpm.size));
        }
        let controller = match self.controller {
            Controller::Single => "virtio-scsi-single",
            Controller::Shared => "virtio-scsi-pci",
        };
        set("scsihw", controller.to_owned());
        for (slot, disk) in &self.disks {
            set(&format!("scsi{slot}"), self.disk(disk));
        }
        for (slot, nic) in &self.nics {
            set(&format!("net{slot}"), nic_value(nic));
            let ip = ip_value(nic.ip);
            if !ip.is_empty() {
                set(&format!("ipconfig{slot}"), ip);
            }
        }
        if !self.boot.is_empty() {
            let order: Vec<String> = self.boot.iter().copied().map(boot_device).collect();
            set("boot", format!("order={}", order.join(";")));
        }
        if self.console == Console::Serial {
            set("serial0", "socket".to_owned());
            set("vga", "serial0".to_owned());
        }
        if let Some(agent) = self.agent {
            let fstrim = if agent.fstrim_cloned_disks { ",fstrim_cloned_disks=1" } else { "" };
            set("agent", format!("enabled=1{fstrim}"));
        }
        if let Some(cloud_init) = &self.cloud_init {
            self.cloud_init(cloud_init, &mut set);
        }
        set("smbios1", format!("uuid={}", self.uuid));
        set("vmgenid", self.generation.to_string());
        set("meta", format!("creation-qemu={},ctime={}", self.created.qemu, self.created.time_s));
        settings
    }

    fn cloud_init(&self, data: &CloudInit, set: &mut impl FnMut(&str, String)) {
        set("ide2", format!("{}:{},media=cdrom", data.storage, volume::cloud_init(self.id)));
        if let Some(user) = &data.user {
            set("ciuser", user.to_string());
        }
        if !data.keys.is_empty() {
            // As `qm set --sshkeys FILE` stores a file: a line a key, the last one ended too.
            let lines: String = data.keys.iter().map(|key| format!("{key}\n")).collect();
            set("sshkeys", encode_url(&lines));
        }
        if !data.nameservers.is_empty() {
            set("nameserver", joined(data.nameservers.iter(), " "));
        }
        if let Some(domain) = &data.search {
            set("searchdomain", domain.to_string());
        }
    }

    fn disk(&self, disk: &Disk) -> String {
        let flag = |set: bool, text: &'static str| if set { text } else { "" };
        format!(
            "{}{}{}{},size={}{}",
            self.volume_id(&disk.volume),
            flag(!disk.backup, ",backup=0"),
            flag(disk.discard, ",discard=on"),
            flag(self.controller == Controller::Single, ",iothread=1"),
            disk.size,
            flag(disk.ssd, ",ssd=1"),
        )
    }

    fn efi_disk(&self, disk: &EfiDisk) -> String {
        let keys = if disk.enrolled_keys { ",pre-enrolled-keys=1" } else { "" };
        format!("{},efitype=4m{keys},size={}", self.volume_id(&disk.volume), disk.size)
    }
}

fn joined<T: ToString>(items: impl Iterator<Item = T>, between: &str) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(between)
}

/// The device's name in the boot order.
pub(super) fn boot_device(device: BootDevice) -> String {
    match device {
        BootDevice::Disk(slot) => format!("scsi{slot}"),
        BootDevice::Nic(slot) => format!("net{slot}"),
    }
}

fn startup_value(startup: Startup) -> String {
    let parts = [("order", startup.order), ("up", startup.up_s), ("down", startup.down_s)];
    joined(parts.into_iter().filter_map(|(key, value)| value.map(|value| format!("{key}={value}"))), ",")
}

fn nic_value(nic: &Nic) -> String {
    let firewall = if nic.firewall { ",firewall=1" } else { "" };
    let tag = nic.tag.map(|tag| format!(",tag={}", tag.get())).unwrap_or_default();
    format!("virtio={},bridge={}{firewall}{tag}", nic.mac, nic.bridge)
}

fn ip_value(ip: Ip) -> String {
    let v4 = |ip| match ip {
        Ip4::Dhcp => "ip=dhcp".to_owned(),
        Ip4::Static(at, router) => {
            let router = router.map(|router| format!(",gw={router}")).unwrap_or_default();
            format!("ip={}/{}{router}", at.address, at.prefix)
        }
    };
    let v6 = |ip| match ip {
        Ip6::Dhcp => "ip6=dhcp".to_owned(),
        Ip6::Auto => "ip6=auto".to_owned(),
        Ip6::Static(at, router) => {
            let router = router.map(|router| format!(",gw6={router}")).unwrap_or_default();
            format!("ip6={}/{}{router}", at.address, at.prefix)
        }
    };
    match ip {
        Ip::Unset => String::new(),
        Ip::V4(ip) => v4(ip),
        Ip::V6(ip) => v6(ip),
        Ip::Both(ip, ip6) => format!("{},{}", v4(ip), v6(ip6)),
    }
}
