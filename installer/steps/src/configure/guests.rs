//! The guests' configuration on a Proxmox VE node: a file for each template and, where machines are made, for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;

use sovereign_engine::StepError;
use sovereign_model::plan::{self, Addressing, Guests, Interface, Plan, VolumeContent};
use sovereign_proxmox::guest::devices::{
    Balloon, BootDevice, CloudInit, Console, Controller, Cpu, CpuModel, Disk, EfiDisk, Firmware, Ip, Ip4, Ip6, Memory,
    Nic, Os, OwnVolume, Prefixed, Startup,
};
use sovereign_proxmox::guest::numbers::{CpuUnits, DiskSize, Mib, NicSlot, ScsiSlot, VmId};
use sovereign_proxmox::guest::values::{
    Bridge, Description, GuestName, Mac, SshKey, StorageId, Tag, Uuid, ValueError, Version,
};
use sovereign_proxmox::guest::{Agent, Created, Guest, Purpose};

use super::node::storage_of;
use crate::context::Context;
use crate::fail::OrStep;
use crate::files;
use crate::guests::extent_bytes;

/// What dpkg knows of the target.
const STATUS: &str = "var/lib/dpkg/status";
/// The package whose version Proxmox VE notes with each guest that is made.
const QEMU: &str = "pve-qemu-kvm";

/// What is the same in every guest of the node.
struct Common<'a> {
    guests: &'a Guests,
    keys: Vec<SshKey>,
    created: Created,
    /// Draws at random: addresses of cards and identities belong to one machine alone.
    draw: &'a dyn Fn() -> [u8; 16],
}

/// The configuration of each template and machine, where the plan has guests.
///
/// # Errors
/// A value that Proxmox VE does not take, or its QEMU is not there.
pub fn configurations(context: &Context) -> Result<Vec<Guest>, StepError> {
    configured(&context.plan, &qemu(context)?, context.started, &|| *uuid::Uuid::new_v4().as_bytes())
}

/// Version of the QEMU that runs the guests; empty where the plan has none.
///
/// # Errors
/// It is not there.
pub fn qemu(context: &Context) -> Result<String, StepError> {
    if context.plan.guests.is_none() {
        return Ok(String::new());
    }
    let status = files::read(&context.live.join(STATUS))?;
    let version = version(&status, QEMU);
    version
        .map(str::to_owned)
        .ok_or_else(|| StepError::new(format!("the target has no {QEMU}, and guests need it to run")))
}

/// As [`configurations`], with what is not the plan's: the version of QEMU, the time (seconds since 1970), and random bytes.
///
/// # Errors
/// A value that Proxmox VE does not take.
pub fn configured(plan: &Plan, qemu: &str, time_s: u64, draw: &dyn Fn() -> [u8; 16]) -> Result<Vec<Guest>, StepError> {
    let Some(guests) = &plan.guests else { return Ok(Vec::new()) };
    let what = "cannot describe the guests to Proxmox VE";
    let keys = plan.site.admin.ssh_keys.iter().map(|key| SshKey::new(key.trim()));
    let common = Common {
        guests,
        keys: keys.collect::<Result<_, _>>().or_step(what)?,
        created: Created { qemu: Version::new(qemu).or_step(what)?, time_s },
        draw,
    };
    let mut all = Vec::new();
    for guest in &guests.guests {
        all.push(common.template(guest).or_step(what)?);
    }
    for guest in guests.guests.iter().filter(|_| guests.deploy) {
        all.push(common.machine(guest).or_step(what)?);
    }
    Ok(all)
}

impl Common<'_> {
    fn template(&self, guest: &plan::Guest) -> Result<Guest, ValueError> {
        let name = GuestName::new(guest.role.as_str())?;
        self.guest(guest, guest.template, name, Purpose::Template)
    }

    fn machine(&self, guest: &plan::Guest) -> Result<Guest, ValueError> {
        let startup = Startup {
            order: Some(guest.startup.order),
            up_s: Some(guest.startup.up_s),
            down_s: Some(guest.startup.down_s),
        };
        let name = GuestName::new(&guest.fqdn)?;
        self.guest(guest, guest.machine, name, Purpose::Machine { onboot: true, startup })
    }

    fn guest(&self, guest: &plan::Guest, id: u32, name: GuestName, purpose: Purpose) -> Result<Guest, ValueError> {
        let tags = guest.tags.iter().map(|tag| Tag::new(tag.as_str())).collect::<Result<BTreeSet<_>, _>>()?;
        let mut disks = BTreeMap::new();
        let mut firmware = Firmware::SeaBios;
        let mut seed = None;
        for volume in &guest.volumes {
            let Some(named) =
                (if purpose == Purpose::Template { volume.template.as_ref() } else { Some(&volume.machine) })
            else {
                continue;
            };
            let storage = StorageId::new(&storage_of(&volume.group))?;
            let size = DiskSize::from_kib(extent_bytes(volume.extents).get() / 1024)?;
            let own = |storage| OwnVolume { storage, number: number(named) };
            let disk = |storage, ssd| Disk { volume: own(storage), size, discard: true, ssd, backup: true };
            let is_ssd = volume.group == self.guests.ssd.group;
            match &volume.content {
                VolumeContent::Root { .. } => drop(disks.insert(ScsiSlot::new(0)?, disk(storage, is_ssd))),
                VolumeContent::Data { .. } => drop(disks.insert(ScsiSlot::new(1)?, disk(storage, is_ssd))),
                VolumeContent::Efi => {
                    firmware = Firmware::Ovmf(EfiDisk { volume: own(storage), size, enrolled_keys: true });
                }
                VolumeContent::CloudInit => seed = Some(storage),
            }
        }
        let nameservers: Vec<IpAddr> = self.guests.dns.iter().filter_map(|server| server.parse().ok()).collect();
        let domain = guest.fqdn.split_once('.').map(|(_, domain)| GuestName::new(domain)).transpose()?;
        let cloud_init =
            seed.map(|storage| CloudInit { storage, user: None, keys: self.keys.clone(), nameservers, search: domain });
        Ok(Guest {
            id: VmId::new(id)?,
            name,
            description: Description::new(&format!(
                "{}\n\n{}\n\nRole {}, version {}.",
                guest.title, guest.description, guest.role, guest.version
            ))?,
            tags,
            purpose,
            protection: false,
            cpu: Cpu {
                model: CpuModel::V2Aes,
                cores: cores(guest.vcpus.value)?,
                sockets: NonZeroU16::MIN,
                units: Some(CpuUnits::new(guest.cpu_weight.value)?),
            },
            memory: Memory {
                total: Mib::new(u32::try_from(guest.memory_mib.value).unwrap_or(u32::MAX))?,
                balloon: Balloon::Watched,
            },
            os: Os::Linux,
            firmware,
            tpm: None,
            controller: Controller::Single,
            disks,
            nics: self.nics(&guest.interfaces)?,
            boot: vec![BootDevice::Disk(ScsiSlot::new(0)?)],
            console: Console::Serial,
            agent: Some(Agent { fstrim_cloned_disks: true }),
            cloud_init,
            uuid: self.uuid()?,
            generation: self.uuid()?,
            created: self.created.clone(),
        })
    }

    fn nics(&self, interfaces: &[Interface]) -> Result<BTreeMap<NicSlot, Nic>, ValueError> {
        let each = (0u8..).zip(interfaces).map(|(slot, interface)| {
            let [a, b, c, ..] = (self.draw)();
            let nic = Nic {
                mac: Mac::proxmox([a, b, c]),
                bridge: Bridge::new(&interface.bridge)?,
                firewall: true,
                tag: None,
                ip: ip(&interface.address)?,
            };
            Ok((NicSlot::new(slot)?, nic))
        });
        each.collect()
    }

    fn uuid(&self) -> Result<Uuid, ValueError> {
        Uuid::new(&uuid::Builder::from_random_bytes((self.draw)()).into_uuid().to_string())
    }
}

fn cores(vcpus: u32) -> Result<NonZeroU16, ValueError> {
    let cores = u16::try_from(vcpus).ok().and_then(NonZeroU16::new);
    cores.ok_or(ValueError::Range { what: "the number of cores", value: vcpus.into(), min: 1, max: u16::MAX.into() })
}

/// The number at the end of a volume's name; the planner gives each one.
fn number(name: &str) -> u16 {
    name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Addresses in the plan were checked with the site file.
fn ip(address: &Addressing) -> Result<Ip, ValueError> {
    let Addressing::Static { address, gateway } = address else {
        return Ok(if *address == Addressing::Dhcp { Ip::V4(Ip4::Dhcp) } else { Ip::Unset });
    };
    let (address, prefix) = address.split_once('/').unwrap_or((address, ""));
    let prefix = prefix.parse().unwrap_or_default();
    let gateway = gateway.as_ref().and_then(|gateway| gateway.parse::<IpAddr>().ok());
    Ok(match (address.parse(), gateway) {
        (Ok(IpAddr::V4(address)), Some(IpAddr::V4(gateway))) => {
            Ip::V4(Ip4::Static(Prefixed::v4(address, prefix)?, Some(gateway)))
        }
        (Ok(IpAddr::V4(address)), _) => Ip::V4(Ip4::Static(Prefixed::v4(address, prefix)?, None)),
        (Ok(IpAddr::V6(address)), Some(IpAddr::V6(gateway))) => {
            Ip::V6(Ip6::Static(Prefixed::v6(address, prefix)?, Some(gateway)))
        }
        (Ok(IpAddr::V6(address)), _) => Ip::V6(Ip6::Static(Prefixed::v6(address, prefix)?, None)),
        (Err(_), _) => Ip::Unset,
    })
}

/// The upstream part of an installed package's version: Debian's epoch and revision go.
fn version<'a>(status: &'a str, package: &str) -> Option<&'a str> {
    let paragraph = status.split("\n\n").find(|paragraph| {
        paragraph.lines().any(|line| line.strip_prefix("Package: ").is_some_and(|name| name.trim() == package))
    })?;
    let version = paragraph.lines().find_map(|line| line.strip_prefix("Version: "))?.trim();
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    upstream.split(['-', '+', '~']).next()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::testing::context;

    /// Numbers instead of random ones.
    fn counted() -> impl Fn() -> [u8; 16] {
        let count = Cell::new(0);
        move || {
            count.set(count.get() + 1);
            [count.get(); 16]
        }
    }

    #[test]
    fn templates_and_machines_of_the_reference_are_what_proxmox_would_have_written() {
        let target = tempfile::tempdir().unwrap();
        let (context, _) = context("reference", target.path());
        let guests = configured(&context.plan, "10.1.2", 0, &counted()).unwrap();
        let text: String = guests.iter().map(|g| format!("== {}.conf\n{}", g.id, g.write().unwrap())).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_template_carries_no_disk_on_thick_volumes_and_its_machine_does() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = context("reference", target.path());
        for guest in &mut context.plan.guests.as_mut().unwrap().guests {
            for volume in guest.volumes.iter_mut().filter(|volume| volume.group == "bulk") {
                (volume.pool, volume.template) = (None, None);
            }
        }
        for guest in configured(&context.plan, "10.1.2", 0, &counted()).unwrap() {
            let text = guest.write().unwrap();
            let is_template = guest.purpose == Purpose::Template;
            let has_data = text.contains("\nscsi1: bulk-lvm:vm-");
            assert_eq!(has_data, !is_template && guest.id.get() != 101, "{text}");
        }
    }

    #[test]
    fn a_version_is_that_of_upstream() {
        let status = "Package: pve-qemu-kvm-extra\nVersion: 9\n\nPackage: pve-qemu-kvm\nStatus: install ok installed\n\
                      Version: 1:10.1.2-3\n\nPackage: x\nVersion: 1\n";
        assert_eq!(version(status, QEMU), Some("10.1.2"));
        assert_eq!(version(status, "none"), None);
    }
}
