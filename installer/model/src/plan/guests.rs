//! The guests of a plan: templates and machines with their figures, volumes, networks and ports.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::capacity::{self, Figure, Machine, Refusal, SMALL_VOLUMES, Share, Wishes, ratio};
use crate::layout;
use crate::plan::refusal::Reason;
use crate::plan::{HostShare, VolumeGroup};
use crate::role::{Catalogue, Filesystem, Name, Network, Port, Role, Startup, Tag, Unit};
use crate::site::{self, Site};

/// All guests of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guests {
    /// Whether the machines are made too, or the templates alone.
    pub deploy: bool,
    /// What stays the host's.
    pub host: HostRow,
    /// RAM that QEMU takes beside that of the machines, MiB; an estimate.
    pub qemu_mib: u64,
    /// The SSD pool.
    pub ssd: PoolUse,
    /// The HDD pool, on a machine with one.
    pub hdd: Option<PoolUse>,
    /// Name servers of the machines.
    pub dns: Vec<String>,
    /// A guest for each role, in the order of the machines' numbers.
    pub guests: Vec<Guest>,
}

/// The host's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRow {
    /// Logical CPUs, which it shares with all machines.
    pub threads: u32,
    /// RAM that no virtual machine gets.
    pub memory: Bytes,
    /// Root, and swap where there is some.
    pub ssd: Bytes,
    /// What of the volume group `pve` stays unallocated.
    pub reserve: Bytes,
}

/// A pool and what the machines' volumes take of it. Those of templates hold only what the base wrote, are shared with the machines,
/// and do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolUse {
    /// Volume group.
    pub group: String,
    /// The thin pool in it; `None`: thick volumes.
    pub pool: Option<String>,
    /// Extents it has for guests.
    pub extents: u64,
    /// Extents that the machines' volumes take. More than it has is an over-commitment, which the site accepts.
    pub used: u64,
}

impl PoolUse {
    /// `1.0073`, cut after four places.
    pub fn ratio(&self) -> String {
        ratio(self.used, self.extents)
    }

    /// Whether the volumes are larger than the pool.
    pub const fn is_overcommitted(&self) -> bool {
        self.used > self.extents
    }
}

/// One role's template and machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Name of the role.
    pub role: Name,
    /// What it is, in a few words.
    pub title: String,
    /// The same in a sentence.
    pub description: String,
    /// Version of the role.
    pub version: String,
    /// Number of the template.
    pub template: u32,
    /// Number of the machine.
    pub machine: u32,
    /// The machine's name with its domain; the first label is the role.
    pub fqdn: String,
    /// Virtual CPUs.
    pub vcpus: Figure<u32>,
    /// Weight where the CPUs are short.
    pub cpu_weight: Figure<u32>,
    /// RAM in MiB.
    pub memory_mib: Figure<u64>,
    /// On the SSD pool, without EFI variables and cloud-init's seed.
    pub ssd: Figure<Bytes>,
    /// On the HDD pool.
    pub hdd: Figure<Bytes>,
    /// Volumes, in the order they are made.
    pub volumes: Vec<GuestVolume>,
    /// Interfaces, in order.
    pub interfaces: Vec<Interface>,
    /// When the host starts and stops the machine.
    pub startup: Startup,
    /// Tags in Proxmox VE.
    pub tags: Vec<Tag>,
    /// Units that must be active once the machine is up.
    pub units: Vec<Unit>,
    /// Names of the container workloads.
    pub workloads: Vec<Name>,
    /// What its firewall lets in.
    pub ports: Vec<Port>,
}

/// A volume of a template and its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestVolume {
    /// What it holds.
    pub content: VolumeContent,
    /// Volume group.
    pub group: String,
    /// Thin pool in it; `None`: a thick volume.
    pub pool: Option<String>,
    /// Extents.
    pub extents: u64,
    /// The template's volume; `None`: the template has none, and the machine's is made when it is deployed.
    pub template: Option<String>,
    /// The machine's volume.
    pub machine: String,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VolumeContent {
    /// The system.
    Root {
        /// File system of its root.
        filesystem: Filesystem,
    },
    /// Variables of the UEFI firmware.
    Efi,
    /// cloud-init's seed.
    CloudInit,
    /// Data.
    Data {
        /// File system on it.
        filesystem: Filesystem,
        /// Where it is mounted.
        mount: String,
    },
}

/// An interface of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Which network.
    pub network: Network,
    /// The host's bridge.
    pub bridge: String,
    /// How it gets its address.
    pub address: Addressing,
}

/// How an interface gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Addressing {
    /// From the site file.
    Static {
        /// Address with prefix length.
        address: String,
        /// Default gateway.
        gateway: Option<String>,
    },
    /// Asked for.
    Dhcp,
    /// The site names none; only where the machines are not made.
    None,
}

/// The guests that `site` asks for, and what a person should know of them; `None` where it asks for none. `hdd` is the group of
/// the HDD pool with what of it stays unallocated.
pub(super) fn plan(
    site: &Site,
    threads: u32,
    host: &HostShare,
    pve: &VolumeGroup,
    hdd: Option<(&VolumeGroup, u64)>,
) -> Result<Option<(Guests, Vec<String>)>, Vec<Reason>> {
    let Some(asked) = &site.guests else { return Ok(None) };
    let catalogue = Catalogue::shipped().map_err(|error| vec![Reason::Roles(error.clone())])?;
    let refused = |refusals: Vec<Refusal>| refusals.into_iter().map(Reason::Guests).collect::<Vec<_>>();
    let Some(ssd) = &pve.pool else { return Err(refused(vec![Refusal::ThickSsd])) };
    // With thick volumes the reserve is among the free extents.
    let bulk = hdd.map(|(group, reserve)| match &group.pool {
        Some(pool) => pool.extents,
        None => group.free_extents.saturating_sub(reserve),
    });
    let machine = Machine { threads, memory: host.guests, ssd: ssd.extents, hdd: bulk };
    let wishes = Wishes { ssd_overcommit: asked.ssd_overcommit, roles: &asked.roles };
    let shares = capacity::share(catalogue, &machine, &wishes).map_err(refused)?;
    let own = pve.volumes.iter().map(|volume| volume.extents).sum();
    let domain = asked.domain.as_deref().or(site.site.fqdn.split_once('.').map(|(_, domain)| domain));
    let places = Places {
        ssd: PoolUse {
            group: pve.name.clone(),
            pool: Some(ssd.name.clone()),
            extents: ssd.extents,
            used: shares.ssd_used,
        },
        hdd: hdd.zip(bulk).map(|((group, _), extents)| PoolUse {
            group: group.name.clone(),
            pool: group.pool.as_ref().map(|pool| pool.name.clone()),
            extents,
            used: shares.hdd_used,
        }),
    };
    let guests = shares.roles.iter().map(|share| places.guest(share, asked, domain.unwrap_or_default())).collect();
    let guests = Guests {
        deploy: asked.deploy,
        host: HostRow { threads, memory: host.memory, ssd: bytes(own), reserve: bytes(pve.free_extents) },
        qemu_mib: shares.qemu_mib,
        ssd: places.ssd,
        hdd: places.hdd,
        dns: asked.dns.clone(),
        guests,
    };
    let mut warnings = shares.warnings;
    warnings.extend(guests.warnings());
    Ok(Some((guests, warnings)))
}

fn bytes(extents: u64) -> Bytes {
    Bytes(extents.saturating_mul(layout::EXTENT.0))
}

/// Where volumes are made.
struct Places {
    ssd: PoolUse,
    hdd: Option<PoolUse>,
}

impl Places {
    fn guest(&self, share: &Share<'_>, asked: &site::Guests, domain: &str) -> Guest {
        let role = share.role;
        let sized = |figure: &Figure<u64>| Figure { value: bytes(figure.value), reason: figure.reason.clone() };
        Guest {
            role: role.name.clone(),
            title: role.title.to_string(),
            description: role.description.to_string(),
            version: role.version.to_string(),
            template: role.template.get(),
            machine: role.machine.get(),
            fqdn: format!("{}.{domain}", role.name),
            vcpus: share.vcpus.clone(),
            cpu_weight: share.cpu_weight.clone(),
            memory_mib: share.memory_mib.clone(),
            ssd: sized(&share.ssd),
            hdd: sized(&share.hdd),
            volumes: self.volumes(share),
            interfaces: interfaces(role, asked),
            startup: role.startup,
            tags: role.tags.clone(),
            units: role.units.clone(),
            workloads: role.workloads.clone(),
            ports: role.ports.clone(),
        }
    }

    /// Names are those Proxmox VE gives: `base-` for disks of templates, the number of the guest, a number of the disk.
    fn volumes(&self, share: &Share<'_>) -> Vec<GuestVolume> {
        let role = share.role;
        let disk = |place: &PoolUse, number: u32, extents: u64, content: VolumeContent| GuestVolume {
            content,
            group: place.group.clone(),
            pool: place.pool.clone(),
            extents,
            // Thick LVM has no base images.
            template: place.pool.as_ref().map(|_| format!("base-{}-disk-{number}", role.template)),
            machine: format!("vm-{}-disk-{number}", role.machine),
        };
        let data = role.volumes.data.as_ref().map(|data| match &self.hdd {
            Some(hdd) => (data, hdd, share.hdd.value),
            None => (data, &self.ssd, share_of(share.ssd.value, data.without_hdd.get())),
        });
        let on_ssd = data.as_ref().filter(|_| self.hdd.is_none()).map_or(0, |(_, _, extents)| *extents);
        let each = SMALL_VOLUMES / 2;
        let root = VolumeContent::Root { filesystem: role.volumes.root.filesystem };
        let mut volumes = vec![
            disk(&self.ssd, 0, share.ssd.value - on_ssd, root),
            disk(&self.ssd, 1, each, VolumeContent::Efi),
            GuestVolume {
                template: Some(format!("vm-{}-cloudinit", role.template)),
                machine: format!("vm-{}-cloudinit", role.machine),
                ..disk(&self.ssd, 0, each, VolumeContent::CloudInit)
            },
        ];
        volumes.extend(data.map(|(data, place, extents)| {
            let content = VolumeContent::Data { filesystem: data.filesystem, mount: data.mount.to_string() };
            disk(place, 2, extents, content)
        }));
        volumes
    }
}

/// `percent` of `extents`, rounded down.
const fn share_of(extents: u64, percent: u64) -> u64 {
    extents / 100 * percent + extents % 100 * percent / 100
}

fn interfaces(role: &Role, asked: &site::Guests) -> Vec<Interface> {
    let said = asked.roles.get(role.name.as_str());
    let fixed = |address: &String, gateway: Option<&String>| Addressing::Static {
        address: address.clone(),
        gateway: gateway.cloned(),
    };
    let each = role.networks.iter().map(|network| {
        let address = match network {
            Network::Public => match said.and_then(|said| said.public_address.as_ref()) {
                None => Addressing::Dhcp,
                Some(address) if address == "dhcp" => Addressing::Dhcp,
                Some(address) => fixed(address, said.and_then(|said| said.public_gateway.as_ref())),
            },
            // Where there is a public network, it has the default route.
            Network::Internal => match said.and_then(|said| said.internal_address.as_ref()) {
                None => Addressing::None,
                Some(address) if role.is_on(Network::Public) => fixed(address, None),
                Some(address) => fixed(address, asked.internal_gateway.as_ref()),
            },
        };
        Interface { network: *network, bridge: network.bridge().to_owned(), address }
    });
    each.collect()
}

/// A guest's address on the internal network, without the length of its prefix, and its gateway there.
fn internal(guest: &Guest) -> Option<(&str, Option<&str>)> {
    guest.interfaces.iter().filter(|interface| interface.network == Network::Internal).find_map(|interface| {
        match &interface.address {
            Addressing::Static { address, gateway } => {
                Some((address.split('/').next().unwrap_or_default(), gateway.as_deref()))
            }
            Addressing::Dhcp | Addressing::None => None,
        }
    })
}

impl Guests {
    /// Machines whose answers do not go back the way on which what they answer was passed on to them.
    fn unanswered(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for router in &self.guests {
            let Some((way, _)) = internal(router) else { continue };
            let passed_on: BTreeSet<_> = router.ports.iter().filter_map(|port| port.forward.as_ref()).collect();
            for guest in self.guests.iter().filter(|guest| passed_on.contains(&guest.role)) {
                if internal(guest).is_some_and(|(_, gateway)| gateway != Some(way)) {
                    let (router, role) = (&router.role, &guest.role);
                    warnings.push(format!(
                        "{role} cannot answer what {router} passes on to it with the senders' own addresses (see its ports): set \
                         guests.internal_gateway = \"{way}\", which is {router}'s and a way out too"
                    ));
                }
            }
        }
        warnings
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.ssd.is_overcommitted() {
            warnings.push(format!(
                "the machines' volumes take {} bytes of a thin pool of {}: over-committed {}, accepted by guests.ssd_overcommit; when the \
                 pool is full, machines stop writing",
                bytes(self.ssd.used).exact(),
                bytes(self.ssd.extents).exact(),
                self.ssd.ratio()
            ));
        }
        warnings.extend(self.unanswered());
        let thick: Vec<_> = self
            .guests
            .iter()
            .flat_map(|guest| &guest.volumes)
            .filter(|volume| volume.template.is_none())
            .map(|volume| format!("{}/{}", volume.group, volume.machine))
            .collect();
        if !thick.is_empty() {
            let what = if self.deploy {
                "the deployed machines get theirs"
            } else {
                "a machine that is cloned later needs one made by hand"
            };
            let thick = thick.join(", ");
            warnings.push(format!(
                "thick volumes have no templates, so the templates carry no data disk: {what} ({thick})"
            ));
        }
        warnings
    }
}
