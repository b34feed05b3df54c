//! Guests that several tests use.

// Clippy knows test functions, not the functions they share; not every test uses all of this.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use proptest::prelude::*;
use sovereign_proxmox::guest::devices::{
    Balloon, BootDevice, CloudInit, Console, Controller, Cpu, CpuModel, Disk, EfiDisk, Firmware, Ip, Ip4, Ip6, Memory,
    Nic, Os, OwnVolume, Prefixed, Startup, TpmState,
};
use sovereign_proxmox::guest::numbers::{CpuUnits, DiskSize, Mib, NicSlot, ScsiSlot, VlanTag, VmId};
use sovereign_proxmox::guest::values::{
    Bridge, Description, GuestName, Mac, SshKey, StorageId, Tag, User, Uuid, Version,
};
use sovereign_proxmox::guest::{Agent, Created, Guest, Purpose};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHexampleexampleexampleexampleexampleexam admin@example.org";

/// A role of the reference machine.
struct Role {
    name: &'static str,
    index: u8,
    cores: u16,
    units: Option<u32>,
    /// MB.
    memory: u64,
    /// Storage and GB of each disk.
    disks: &'static [(&'static str, u64)],
    public: bool,
}

const ROLES: [Role; 3] = [
    Role { name: "edge", index: 1, cores: 2, units: None, memory: 2000, disks: &[("local-lvm", 20)], public: true },
    Role {
        name: "core",
        index: 2,
        cores: 8,
        units: Some(2048),
        memory: 12_000,
        disks: &[("local-lvm", 350), ("bulk-lvm", 2000)],
        public: false,
    },
    Role {
        name: "storage",
        index: 3,
        cores: 6,
        units: Some(1024),
        memory: 16_000,
        disks: &[("local-lvm", 80), ("bulk-lvm", 10_000)],
        public: false,
    },
];

/// The templates 9001 to 9003 and their linked clones 101 to 103.
pub fn reference() -> Vec<Guest> {
    let templates = ROLES.iter().map(|role| reference_guest(role, true));
    templates.chain(ROLES.iter().map(|role| reference_guest(role, false))).collect()
}

fn storage(id: &str) -> StorageId {
    StorageId::new(id).unwrap()
}

fn uuid(kind: u8, id: u32) -> Uuid {
    Uuid::new(&format!("5e1f0000-00{kind:02x}-4000-8000-{id:012}")).unwrap()
}

fn reference_guest(role: &Role, template: bool) -> Guest {
    let id = if template { 9000 } else { 100 } + u32::from(role.index);
    let nic = |slot: u8, bridge: &str, ip| Nic {
        mac: Mac::proxmox([if template { 0x90 } else { 0 }, slot, role.index]),
        bridge: Bridge::new(bridge).unwrap(),
        firewall: true,
        tag: None,
        ip,
    };
    let address = Prefixed::v4([10, 10, 0, 10 + role.index].into(), 24).unwrap();
    let router = (!role.public).then(|| [10, 10, 0, 11].into());
    let internal = if template { Ip::Unset } else { Ip::V4(Ip4::Static(address, router)) };
    let public = if template { Ip::Unset } else { Ip::Both(Ip4::Dhcp, Ip6::Auto) };
    let nics = if role.public {
        BTreeMap::from([(NicSlot::FIRST, nic(0, "vmbr0", public)), (NicSlot::SECOND, nic(1, "vmbr1", internal))])
    } else {
        BTreeMap::from([(NicSlot::FIRST, nic(1, "vmbr1", internal))])
    };
    let disks = role.disks.iter().zip([ScsiSlot::FIRST, ScsiSlot::SECOND]).zip(1..);
    // Whole extents of 4 MiB.
    let size = |gigabytes: u64| DiskSize::from_kib((gigabytes * 1_000_000_000).div_ceil(4 << 20) * 4096).unwrap();
    let disks = disks.map(|(((id, gigabytes), slot), number)| {
        let volume = OwnVolume { storage: storage(id), number };
        let ssd = *id == "local-lvm";
        (slot, Disk { volume, size: size(*gigabytes), discard: true, ssd, backup: true })
    });
    let startup = Startup { order: Some(4 - u32::from(role.index)), up_s: Some(30), down_s: Some(120) };
    let description = format!("# {}\n\nRole `{}` 1.0: made by the installer.", role.name, role.name);
    let efi = EfiDisk {
        volume: OwnVolume { storage: storage("local-lvm"), number: 0 },
        size: DiskSize::from_kib(4096).unwrap(),
        enrolled_keys: true,
    };
    Guest {
        id: VmId::new(id).unwrap(),
        name: GuestName::new(&if template { format!("{}-template", role.name) } else { role.name.to_owned() }).unwrap(),
        description: Description::new(&description).unwrap(),
        tags: ["sovereign", role.name].into_iter().map(|tag| Tag::new(tag).unwrap()).collect(),
        purpose: if template { Purpose::Template } else { Purpose::Machine { onboot: true, startup } },
        protection: template,
        cpu: Cpu {
            model: CpuModel::V2Aes,
            cores: NonZeroU16::new(role.cores).unwrap(),
            sockets: NonZeroU16::MIN,
            units: role.units.map(|units| CpuUnits::new(units).unwrap()),
        },
        memory: Memory { total: Mib::in_bytes(role.memory * 1_000_000).unwrap(), balloon: Balloon::Watched },
        os: Os::Linux,
        firmware: Firmware::Ovmf(efi),
        tpm: None,
        controller: Controller::Single,
        disks: disks.collect(),
        nics,
        boot: vec![BootDevice::Disk(ScsiSlot::FIRST)],
        console: Console::Serial,
        agent: Some(Agent { fstrim_cloned_disks: true }),
        cloud_init: Some(CloudInit {
            storage: storage("local-lvm"),
            user: Some(User::new("admin").unwrap()),
            keys: vec![SshKey::new(KEY).unwrap()],
            nameservers: vec![[10, 10, 0, 1].into()],
            search: Some(GuestName::new("example.org").unwrap()),
        }),
        uuid: uuid(1, id),
        generation: uuid(2, id),
        created: Created { qemu: Version::new("10.1.2").unwrap(), time_s: 1_767_323_045 },
    }
}

fn volume() -> impl Strategy<Value = (OwnVolume, DiskSize)> {
    let size = (1u64..1 << 32).prop_map(|kib| DiskSize::from_kib(kib).unwrap());
    ("[a-z][a-z0-9._-]{0,6}[a-z0-9]", 0u16..200, size)
        .prop_map(|(id, number, size)| (OwnVolume { storage: StorageId::new(&id).unwrap(), number }, size))
}

fn ip() -> impl Strategy<Value = Ip> {
    let v4 = prop_oneof![
        Just(Ip4::Dhcp),
        (any::<[u8; 4]>(), 8u8..=32, prop::option::of(any::<[u8; 4]>())).prop_map(|(address, prefix, router)| {
            Ip4::Static(Prefixed::v4(address.into(), prefix).unwrap(), router.map(Into::into))
        }),
    ];
    let v6 = prop_oneof![
        Just(Ip6::Dhcp),
        Just(Ip6::Auto),
        (any::<[u8; 16]>(), 8u8..=128, prop::option::of(any::<[u8; 16]>())).prop_map(|(address, prefix, router)| {
            Ip6::Static(Prefixed::v6(address.into(), prefix).unwrap(), router.map(Into::into))
        }),
    ];
    let (v4, v6) = (v4.boxed(), v6.boxed());
    prop_oneof![
        Just(Ip::Unset),
        v4.clone().prop_map(Ip::V4),
        v6.clone().prop_map(Ip::V6),
        (v4, v6).prop_map(|(v4, v6)| Ip::Both(v4, v6)),
    ]
}

fn nic() -> impl Strategy<Value = Nic> {
    let tag = prop::option::of((1u16..=4094).prop_map(|tag| VlanTag::new(tag).unwrap()));
    (any::<[u8; 3]>(), "[a-zA-Z0-9_.-]{1,15}", any::<bool>(), tag, ip()).prop_map(
        |(rest, bridge, firewall, tag, ip)| Nic {
            mac: Mac::proxmox(rest),
            bridge: Bridge::new(&bridge).unwrap(),
            firewall,
            tag,
            ip,
        },
    )
}

fn cloud_init() -> impl Strategy<Value = CloudInit> {
    let key = "(ssh-ed25519|ecdsa-sha2-nistp256) AAAA[A-Za-z0-9+/]{4,20}={0,2}( [!-~]{1,12}( ü)?)?";
    (
        volume(),
        prop::option::of("[a-z_][a-z0-9_-]{0,8}"),
        prop::collection::vec(key, 0..3),
        prop::collection::vec(any::<std::net::IpAddr>(), 0..3),
        prop::option::of("[a-z]{1,8}(\\.[a-z]{1,8})?"),
    )
        .prop_map(|((volume, _), user, keys, nameservers, search)| CloudInit {
            storage: volume.storage,
            user: user.map(|user| User::new(&user).unwrap()),
            keys: keys.iter().map(|key| SshKey::new(key).unwrap()).collect(),
            nameservers,
            search: search.map(|domain| GuestName::new(&domain).unwrap()),
        })
}

/// Any guest, a few of which contradict themselves.
pub fn guest() -> impl Strategy<Value = Guest> {
    let startup = (prop::option::of(any::<u32>()), prop::option::of(any::<u32>()), prop::option::of(any::<u32>()))
        .prop_map(|(order, up_s, down_s)| Startup { order, up_s, down_s });
    let purpose = prop_oneof![
        Just(Purpose::Template),
        (any::<bool>(), startup).prop_map(|(onboot, startup)| Purpose::Machine { onboot, startup }),
    ];
    let cpu = (prop::sample::select(CpuModel::ALL.to_vec()), 1u16..200, 1u16..5, prop::option::of(1u32..=10_000))
        .prop_map(|(model, cores, sockets, units)| Cpu {
            model,
            cores: NonZeroU16::new(cores).unwrap(),
            sockets: NonZeroU16::new(sockets).unwrap(),
            units: units.map(|units| CpuUnits::new(units).unwrap()),
        });
    let memory = (16u32..=4 << 20, prop::sample::select(vec![Balloon::Off, Balloon::Watched]))
        .prop_map(|(mib, balloon)| Memory { total: Mib::new(mib).unwrap(), balloon });
    let firmware = prop_oneof![
        Just(Firmware::SeaBios),
        (volume(), any::<bool>()).prop_map(|((volume, size), enrolled_keys)| Firmware::Ovmf(EfiDisk {
            volume,
            size,
            enrolled_keys
        })),
    ];
    let tpm = prop::option::of(volume().prop_map(|(volume, size)| TpmState { volume, size }));
    let disk = (volume(), any::<[bool; 3]>()).prop_map(|((volume, size), [discard, ssd, backup])| Disk {
        volume,
        size,
        discard,
        ssd,
        backup,
    });
    let disks = prop::collection::btree_map((0u8..=30).prop_map(|slot| ScsiSlot::new(slot).unwrap()), disk, 1..4);
    let nics = prop::collection::btree_map((0u8..=31).prop_map(|slot| NicSlot::new(slot).unwrap()), nic(), 0..4);
    let who = (
        (100u32..=999_999_999).prop_map(|id| VmId::new(id).unwrap()),
        "[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?(\\.[a-z0-9]{1,4})?",
        "([ -~äöü€\t]{0,12}\n?){0,4}",
        prop::collection::btree_set("[a-z0-9_][a-z0-9_+.-]{0,6}", 0..3),
    );
    let hardware = (purpose, cpu, memory, firmware, tpm, disks, nics);
    let rest = (
        prop::sample::select(vec![Controller::Single, Controller::Shared]),
        prop::sample::select(Os::ALL.to_vec()),
        prop::sample::select(vec![Console::Serial, Console::Graphics]),
        prop::option::of(any::<bool>()),
        prop::option::of(cloud_init()),
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        any::<(u64, bool, u8)>(),
    );
    (who, hardware, rest).prop_map(|((id, name, description, tags), hardware, rest)| {
        let (purpose, cpu, memory, firmware, tpm, disks, nics) = hardware;
        let (controller, os, console, agent, cloud_init, uuid, (time_s, protection, minor)) = rest;
        let boot =
            disks.keys().map(|slot| BootDevice::Disk(*slot)).chain(nics.keys().map(|slot| BootDevice::Nic(*slot)));
        let boot: Vec<BootDevice> = boot.take(usize::from(minor % 4)).collect();
        let uuid = Uuid::new(&uuid).unwrap();
        Guest {
            id,
            name: GuestName::new(&name).unwrap(),
            description: Description::new(&description).unwrap(),
            tags: tags.iter().map(|tag| Tag::new(tag).unwrap()).collect::<BTreeSet<_>>(),
            purpose,
            protection,
            cpu,
            memory,
            os,
            firmware,
            tpm,
            controller,
            disks,
            nics,
            boot,
            console,
            agent: agent.map(|fstrim_cloned_disks| Agent { fstrim_cloned_disks }),
            cloud_init,
            generation: uuid.clone(),
            uuid,
            created: Created { qemu: Version::new(&format!("10.{minor}")).unwrap(), time_s: time_s >> 1 },
        }
    })
}
