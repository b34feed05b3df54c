//! Reads a configuration file back into a [`Guest`], and refuses whatever a [`Guest`] cannot say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use super::config::{Agent, Created, Guest, GuestError, Purpose};
use super::devices::{
    Balloon, BootDevice, CloudInit, Console, Controller, Cpu, CpuModel, Disk, EfiDisk, Firmware, Ip, Ip4, Ip6, Memory,
    Nic, Os, OwnVolume, Prefixed, Startup, TpmState,
};
use super::format::{Format, Properties};
use super::lines::Lines;
use super::numbers::{CpuUnits, DiskSize, Mib, NicSlot, ScsiSlot, Slot, VlanTag, VmId};
use super::schema_drives::{EFI_DISK, IDE, SCSI, TPM_STATE};
use super::schema_lists::{AGENT, BOOT, IP_CONFIG, META, NET, SMBIOS};
use super::text::decode;
use super::values::{Bridge, Description, GuestName, Mac, SshKey, StorageId, Tag, User, Uuid, Version};
use super::volume;

/// Why a file is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line that Proxmox leaves out.
    #[error("line {line}: {what}: delete or correct the line")]
    Skipped {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A setting that is not there.
    #[error("the setting `{0}` is missing: add it")]
    Missing(String),
    /// A setting whose value we do not write.
    #[error("line {line}: `{key}` has a value that the installer does not write: {what}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The setting.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// A setting that we do not write, or that is there twice.
    #[error("line {line}: the installer does not write `{key}`, or not twice: take the line out")]
    Unknown {
        /// The line, from 1.
        line: usize,
        /// The setting.
        key: String,
    },
    /// The guest contradicts itself.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

/// Reads the file of a guest. The order of the lines makes no difference; comments are its description.
///
/// # Errors
/// [`ParseError`].
pub fn parse(id: VmId, text: &str) -> Result<Guest, ParseError> {
    let lines = Lines::read(text);
    if let Some(skipped) = lines.skipped.first() {
        return Err(ParseError::Skipped { line: skipped.line, what: skipped.reason.to_string() });
    }
    let reader = Reader { id, lines: &lines, taken: RefCell::default() };
    let guest = reader.guest()?;
    let taken = reader.taken.borrow();
    if let Some(unknown) = lines.settings.iter().find(|setting| !taken.contains(&setting.line)) {
        return Err(ParseError::Unknown { line: unknown.line, key: unknown.key.clone() });
    }
    // Refuses what contradicts itself.
    guest.write()?;
    Ok(guest)
}

struct Reader<'a> {
    id: VmId,
    lines: &'a Lines,
    /// The lines that have been understood.
    taken: RefCell<BTreeSet<usize>>,
}

/// The value of a setting, with where it is.
#[derive(Clone, Copy)]
struct Found<'a> {
    line: usize,
    key: &'a str,
    value: &'a str,
}

impl<'a> Found<'a> {
    fn wrong(self, what: impl Into<String>) -> ParseError {
        ParseError::Value { line: self.line, key: self.key.to_owned(), what: what.into() }
    }

    fn number<T: FromStr>(self) -> Result<T, ParseError> {
        number(self.value).ok_or_else(|| self.wrong("no number"))
    }

    fn make<T, E: ToString>(self, made: Result<T, E>) -> Result<T, ParseError> {
        made.map_err(|error| self.wrong(error.to_string()))
    }

    fn flag(self) -> Result<bool, ParseError> {
        match self.value {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(self.wrong("neither 0 nor 1")),
        }
    }

    /// A list with no other properties than these.
    fn list(self, format: &Format, keys: &[&str]) -> Result<Properties<'a>, ParseError> {
        let list = format.read(self.value).map_err(|wrong| self.wrong(wrong.join("; ")))?;
        let other = list.keys().find(|key| !keys.contains(key));
        other.map_or(Ok(list), |key| Err(self.wrong(format!("`{key}`"))))
    }

    /// A property that must be there.
    fn need(self, list: &Properties<'a>, key: &str) -> Result<&'a str, ParseError> {
        list.get(key).ok_or_else(|| self.wrong(format!("no `{key}`")))
    }
}

/// Digits, as we write them: without sign and leading zeros.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

impl<'a> Reader<'a> {
    fn get(&self, key: &'a str) -> Option<Found<'a>> {
        let setting = self.lines.get(key)?;
        self.taken.borrow_mut().insert(setting.line);
        Some(Found { line: setting.line, key: &setting.key, value: &setting.value })
    }

    fn need(&self, key: &'a str) -> Result<Found<'a>, ParseError> {
        self.get(key).ok_or_else(|| ParseError::Missing(key.to_owned()))
    }

    fn flag(&self, key: &'a str) -> Result<bool, ParseError> {
        self.get(key).map_or(Ok(false), Found::flag)
    }

    /// Settings `name0` and further, by their place.
    fn numbered<const MAX: u8>(&self, name: &str) -> Vec<(Slot<MAX>, Found<'a>)> {
        let of = |key: &'a str| Some((number(key.strip_prefix(name)?)?, key));
        let slots = self.lines.settings.iter().filter_map(|setting| of(&setting.key));
        slots.filter_map(|(index, key)| Some((Slot::new(index).ok()?, self.get(key)?))).collect()
    }

    fn guest(&self) -> Result<Guest, ParseError> {
        let name = self.need("name")?;
        let tags = self
            .get("tags")
            .map_or(Ok(BTreeSet::new()), |tags| tags.value.split(';').map(|tag| tags.make(Tag::new(tag))).collect())?;
        let purpose = if self.flag("template")? {
            Purpose::Template
        } else {
            Purpose::Machine { onboot: self.flag("onboot")?, startup: self.startup()? }
        };
        let template = purpose == Purpose::Template;
        let controller = self.need("scsihw")?;
        let controller = match controller.value {
            "virtio-scsi-single" => Controller::Single,
            "virtio-scsi-pci" => Controller::Shared,
            other => return Err(controller.wrong(other)),
        };
        let disks = self.numbered::<30>("scsi").into_iter();
        let disks = disks.map(|(slot, found)| Ok((slot, self.disk(found, controller, template)?)));
        let description = Description::new(&self.lines.description);
        Ok(Guest {
            id: self.id,
            name: name.make(GuestName::new(name.value))?,
            description: description.map_err(|error| ParseError::Value {
                line: 1,
                key: "description".to_owned(),
                what: error.to_string(),
            })?,
            tags,
            purpose,
            protection: self.flag("protection")?,
            cpu: self.cpu()?,
            memory: self.memory()?,
            os: self.os()?,
            firmware: self.firmware(template)?,
            tpm: self.tpm(template)?,
            controller,
            disks: disks.collect::<Result<BTreeMap<ScsiSlot, Disk>, ParseError>>()?,
            nics: self.nics()?,
            boot: self.boot()?,
            console: self.console()?,
            agent: self.agent()?,
            cloud_init: self.cloud_init()?,
            uuid: self.uuid()?,
            generation: {
                let found = self.need("vmgenid")?;
                found.make(Uuid::new(found.value))?
            },
            created: self.created()?,
        })
    }

    fn startup(&self) -> Result<Startup, ParseError> {
        let mut startup = Startup::default();
        let Some(found) = self.get("startup") else { return Ok(startup) };
        for part in found.value.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| found.wrong(part))?;
            let place = match key {
                "order" => &mut startup.order,
                "up" => &mut startup.up_s,
                "down" => &mut startup.down_s,
                other => return Err(found.wrong(other)),
            };
            let value = number(value).ok_or_else(|| found.wrong("no number"))?;
            if place.replace(value).is_some() {
                return Err(found.wrong(format!("`{key}` twice")));
            }
        }
        Ok(startup)
    }

    fn cpu(&self) -> Result<Cpu, ParseError> {
        let model = self.need("cpu")?;
        let known = CpuModel::ALL.into_iter().find(|known| known.word() == model.value);
        let units = self.get("cpuunits").map(|found| found.make(CpuUnits::new(found.number()?))).transpose()?;
        Ok(Cpu {
            model: known.ok_or_else(|| model.wrong("another model"))?,
            cores: self.need("cores")?.number::<NonZeroU16>()?,
            sockets: self.need("sockets")?.number::<NonZeroU16>()?,
            units,
        })
    }

    fn memory(&self) -> Result<Memory, ParseError> {
        let found = self.need("memory")?;
        let balloon = match self.get("balloon") {
            None => Balloon::Watched,
            Some(off) if off.value == "0" => Balloon::Off,
            Some(other) => return Err(other.wrong("a target")),
        };
        Ok(Memory { total: found.make(Mib::new(found.number()?))?, balloon })
    }

    fn os(&self) -> Result<Os, ParseError> {
        let found = self.need("ostype")?;
        let known = Os::ALL.into_iter().find(|known| known.word() == found.value);
        known.ok_or_else(|| found.wrong("another system"))
    }

    fn firmware(&self, template: bool) -> Result<Firmware, ParseError> {
        match self.get("bios") {
            None => return Ok(Firmware::SeaBios),
            Some(bios) if bios.value == "ovmf" => {}
            Some(bios) => return Err(bios.wrong("another firmware")),
        }
        let found = self.need("efidisk0")?;
        let list = found.list(&EFI_DISK, &["file", "efitype", "pre-enrolled-keys", "size"])?;
        if list.get("efitype") != Some("4m") {
            return Err(found.wrong("another type than 4m"));
        }
        let (volume, size) = self.volume(found, &list, template)?;
        Ok(Firmware::Ovmf(EfiDisk { volume, size, enrolled_keys: list.is_set("pre-enrolled-keys") }))
    }

    fn tpm(&self, template: bool) -> Result<Option<TpmState>, ParseError> {
        let Some(found) = self.get("tpmstate0") else { return Ok(None) };
        let list = found.list(&TPM_STATE, &["file", "size", "version"])?;
        if list.get("version") != Some("v2.0") {
            return Err(found.wrong("another version than v2.0"));
        }
        let (volume, size) = self.volume(found, &list, template)?;
        Ok(Some(TpmState { volume, size }))
    }

    /// A volume of the guest's own, and its size.
    fn volume(
        &self,
        at: Found<'a>,
        list: &Properties<'a>,
        template: bool,
    ) -> Result<(OwnVolume, DiskSize), ParseError> {
        let id = at.need(list, "file")?;
        let (storage, name) = volume::split(id).ok_or_else(|| at.wrong(format!("`{id}` is no volume")))?;
        let storage = at.make(StorageId::new(storage))?;
        let digits = name.rsplit('-').next().unwrap_or_default();
        let own = number(digits).filter(|number| {
            let own = if template { volume::base(self.id, *number) } else { volume::disk(self.id, *number) };
            own == name
        });
        let number = own.ok_or_else(|| at.wrong(format!("`{name}` is no disk of guest {}", self.id)))?;
        let size = at.need(list, "size")?;
        let size = DiskSize::parse(size).ok_or_else(|| at.wrong(format!("`{size}` is no size")))?;
        Ok((OwnVolume { storage, number }, size))
    }

    fn disk(&self, found: Found<'a>, controller: Controller, template: bool) -> Result<Disk, ParseError> {
        let list = found.list(&SCSI, &["file", "backup", "discard", "iothread", "size", "ssd"])?;
        if list.is_set("iothread") != (controller == Controller::Single) {
            return Err(found.wrong("`iothread` goes with `virtio-scsi-single`, and only with it"));
        }
        let (volume, size) = self.volume(found, &list, template)?;
        Ok(Disk {
            volume,
            size,
            discard: list.get("discard") == Some("on"),
            ssd: list.is_set("ssd"),
            backup: list.get("backup").is_none() || list.is_set("backup"),
        })
    }

    fn nics(&self) -> Result<BTreeMap<NicSlot, Nic>, ParseError> {
        let mut ips: BTreeMap<NicSlot, Found<'a>> = self.numbered("ipconfig").into_iter().collect();
        let mut nics = BTreeMap::new();
        for (slot, found) in self.numbered("net") {
            let list = found.list(&NET, &["model", "macaddr", "bridge", "firewall", "tag"])?;
            if list.get("model") != Some("virtio") {
                return Err(found.wrong("another model than virtio"));
            }
            let tag = list.get("tag").map(|tag| {
                let number = number(tag).ok_or_else(|| found.wrong("no number"))?;
                found.make(VlanTag::new(number))
            });
            let nic = Nic {
                mac: found.make(Mac::parse(found.need(&list, "macaddr")?))?,
                bridge: found.make(Bridge::new(found.need(&list, "bridge")?))?,
                firewall: list.is_set("firewall"),
                tag: tag.transpose()?,
                ip: ips.remove(&slot).map_or(Ok(Ip::Unset), ip)?,
            };
            nics.insert(slot, nic);
        }
        match ips.into_values().next() {
            Some(left) => Err(left.wrong("there is no such network card")),
            None => Ok(nics),
        }
    }

    fn boot(&self) -> Result<Vec<BootDevice>, ParseError> {
        let Some(found) = self.get("boot") else { return Ok(Vec::new()) };
        let list = found.list(&BOOT, &["order"])?;
        let device = |name: &str| {
            let disk = name.strip_prefix("scsi").and_then(number).and_then(|index| ScsiSlot::new(index).ok());
            let nic = name.strip_prefix("net").and_then(number).and_then(|index| NicSlot::new(index).ok());
            let device = disk.map(BootDevice::Disk).or(nic.map(BootDevice::Nic));
            device.ok_or_else(|| found.wrong(format!("`{name}`")))
        };
        found.need(&list, "order")?.split(';').map(device).collect()
    }

    fn console(&self) -> Result<Console, ParseError> {
        match (self.get("serial0"), self.get("vga")) {
            (None, None) => Ok(Console::Graphics),
            (Some(port), Some(vga)) if port.value == "socket" && vga.value == "serial0" => Ok(Console::Serial),
            (Some(found), _) | (None, Some(found)) => Err(found.wrong("another console")),
        }
    }

    fn agent(&self) -> Result<Option<Agent>, ParseError> {
        let Some(found) = self.get("agent") else { return Ok(None) };
        let list = found.list(&AGENT, &["enabled", "fstrim_cloned_disks"])?;
        let agent = Agent { fstrim_cloned_disks: list.is_set("fstrim_cloned_disks") };
        if list.is_set("enabled") { Ok(Some(agent)) } else { Err(found.wrong("an agent that is off")) }
    }

    fn cloud_init(&self) -> Result<Option<CloudInit>, ParseError> {
        let Some(found) = self.get("ide2") else { return Ok(None) };
        let list = found.list(&IDE, &["file", "media"])?;
        let source = found.need(&list, "file")?;
        let own = volume::cloud_init(self.id);
        let storage = volume::split(source).filter(|(_, name)| *name == own && list.get("media") == Some("cdrom"));
        let (storage, _) = storage.ok_or_else(|| found.wrong("no volume with cloud-init's data"))?;
        let user = self.get("ciuser").map(|found| found.make(User::new(found.value))).transpose()?;
        let keys = self.get("sshkeys").map_or(Ok(Vec::new()), |found| {
            decode(found.value).lines().map(|line| found.make(SshKey::new(line))).collect()
        });
        let nameservers = self
            .get("nameserver")
            .map_or(Ok(Vec::new()), |found| found.value.split(' ').map(|word| found.make(word.parse())).collect());
        let search = self.get("searchdomain").map(|found| found.make(GuestName::new(found.value))).transpose()?;
        let storage = found.make(StorageId::new(storage))?;
        Ok(Some(CloudInit { storage, user, keys: keys?, nameservers: nameservers?, search }))
    }

    fn uuid(&self) -> Result<Uuid, ParseError> {
        let found = self.need("smbios1")?;
        let list = found.list(&SMBIOS, &["uuid"])?;
        found.make(Uuid::new(found.need(&list, "uuid")?))
    }

    fn created(&self) -> Result<Created, ParseError> {
        let found = self.need("meta")?;
        let list = found.list(&META, &["creation-qemu", "ctime"])?;
        let time_s = number(found.need(&list, "ctime")?).ok_or_else(|| found.wrong("no number"))?;
        Ok(Created { qemu: found.make(Version::new(found.need(&list, "creation-qemu")?))?, time_s })
    }
}

fn ip(found: Found<'_>) -> Result<Ip, ParseError> {
    let list = found.list(&IP_CONFIG, &["ip", "gw", "ip6", "gw6"])?;
    let wrong = || found.wrong("an address or router that does not fit");
    let v4 = match (list.get("ip"), list.get("gw")) {
        (None, None) => None,
        (Some("dhcp"), None) => Some(Ip4::Dhcp),
        (Some(address), router) => {
            let (address, prefix) = prefixed::<Ipv4Addr>(address).ok_or_else(wrong)?;
            let router = router.map(str::parse).transpose().map_err(|_| wrong())?;
            Some(Ip4::Static(found.make(Prefixed::<Ipv4Addr>::v4(address, prefix))?, router))
        }
        (None, Some(_)) => return Err(wrong()),
    };
    let v6 = match (list.get("ip6"), list.get("gw6")) {
        (None, None) => None,
        (Some("dhcp"), None) => Some(Ip6::Dhcp),
        (Some("auto"), None) => Some(Ip6::Auto),
        (Some(address), router) => {
            let (address, prefix) = prefixed::<Ipv6Addr>(address).ok_or_else(wrong)?;
            let router = router.map(str::parse).transpose().map_err(|_| wrong())?;
            Some(Ip6::Static(found.make(Prefixed::<Ipv6Addr>::v6(address, prefix))?, router))
        }
        (None, Some(_)) => return Err(wrong()),
    };
    match (v4, v6) {
        (None, None) => Err(wrong()),
        (Some(v4), None) => Ok(Ip::V4(v4)),
        (None, Some(v6)) => Ok(Ip::V6(v6)),
        (Some(v4), Some(v6)) => Ok(Ip::Both(v4, v6)),
    }
}

fn prefixed<A: FromStr>(text: &str) -> Option<(A, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, number(prefix)?))
}
