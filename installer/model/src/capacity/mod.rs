//! The capacity planner: what each role gets of this machine. The rules and their reasons are in docs/capacity.md.
//!
//! Every figure is that of the reference machine times a scale, within the floor and ceiling of its role ([`scale`]); the site may pin
//! any of them. Nothing here knows a role by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bytes::{Bytes, MIB};
use crate::layout;
use crate::plan::Pool;
use crate::role::{Amount, Catalogue, Role};
use crate::site::{GuestRole, Size};

mod refusal;
mod scale;

pub use refusal::Refusal;
use scale::{Place, Rule, largest};

/// Threads of the reference machine, which the roles' vCPUs are meant for.
pub const REFERENCE_THREADS: u32 = 12;
/// Memory scales in steps of a sixteenth: the firmware of a machine of 32 GB keeps some hundred MB, more or less, for itself, and the
/// figures are the same whatever it keeps.
const MEMORY_UNIT: u64 = 16;
/// Pools scale in steps of a 256th.
const DISK_UNIT: u64 = 256;
/// What QEMU itself takes beside a machine's RAM: its program, device buffers and video memory, MiB. An estimate on the safe side.
const QEMU_MIB: u64 = 128;
/// ... and a part of the machine's RAM for the tables that map it: 8 bytes a 4 KiB page in each of two of them, 1/256.
const QEMU_PART: u64 = 256;
/// An over-committed SSD pool: volumes of at most 11/10 of it.
const OVERCOMMIT: (u64, u64) = (11, 10);
/// Volumes of one extent that each machine has on the SSD pool beside its figure: EFI variables and cloud-init's seed.
pub const SMALL_VOLUMES: u64 = 2;
/// The least RAM of a machine.
const MEMORY_MIN: Bytes = Bytes::mib(256);
/// The least SSD figure: a quarter of it, which a data volume may leave, still holds the guests' base.
const SSD_MIN: Bytes = Bytes(8_000_000_000);
/// The least data volume; XFS is made on 300 MiB or more (mkfs.xfs(8)).
const HDD_MIN: Bytes = Bytes(1_000_000_000);

/// What the machine has for guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Logical CPUs.
    pub threads: u32,
    /// RAM that the host leaves to all virtual machines together.
    pub memory: Bytes,
    /// Extents of the SSD pool.
    pub ssd: u64,
    /// Extents of the HDD pool, or that are free for thick volumes there; `None` on a machine without one.
    pub hdd: Option<u64>,
}

/// What the site decides itself.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'s> {
    /// Whether the SSD pool may be over-committed; `None`: the site does not say.
    pub ssd_overcommit: Option<bool>,
    /// Pinned figures, by role.
    pub roles: &'s BTreeMap<String, GuestRole>,
}

/// A figure and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure<T> {
    /// The figure.
    pub value: T,
    /// Why.
    pub reason: String,
}

/// What one role gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share<'c> {
    /// Whose share this is.
    pub role: &'c Role,
    /// Virtual CPUs.
    pub vcpus: Figure<u32>,
    /// Weight where the CPUs are short.
    pub cpu_weight: Figure<u32>,
    /// RAM in MiB.
    pub memory_mib: Figure<u64>,
    /// Extents of the SSD pool, without the [`SMALL_VOLUMES`].
    pub ssd: Figure<u64>,
    /// Extents of the HDD pool.
    pub hdd: Figure<u64>,
}

/// What all roles get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares<'c> {
    /// A share for each role, in the catalogue's order.
    pub roles: Vec<Share<'c>>,
    /// RAM that QEMU takes beside that of the machines, MiB.
    pub qemu_mib: u64,
    /// Extents of the SSD pool that the machines' volumes take.
    pub ssd_used: u64,
    /// Extents of the HDD pool that the machines' volumes take.
    pub hdd_used: u64,
    /// Figures that the site pinned below a role's floor, in words.
    pub warnings: Vec<String>,
}

/// What QEMU takes beside a machine's RAM, MiB.
const fn qemu_mib(memory_mib: u64) -> u64 {
    QEMU_MIB + memory_mib.div_ceil(QEMU_PART)
}

/// `1.0073`: extents of volumes by extents of a pool, cut after four places.
pub fn ratio(used: u64, pool: u64) -> String {
    let ratio = u128::from(used) * 10_000 / u128::from(pool.max(1));
    format!("{}.{:04}", ratio / 10_000, ratio % 10_000)
}

/// Shares the machine out among the roles.
///
/// # Errors
/// Everything that does not fit, each with what is missing.
pub fn share<'c>(catalogue: &'c Catalogue, machine: &Machine, wishes: &Wishes<'_>) -> Result<Shares<'c>, Vec<Refusal>> {
    let roles: Vec<Asked<'_, '_>> =
        catalogue.roles().iter().map(|role| Asked { role, site: wishes.roles.get(role.name.as_str()) }).collect();
    let mut refusals = Vec::new();
    let vcpus: Vec<_> =
        roles.iter().filter_map(|asked| asked.vcpus(machine.threads).map_err(|no| refusals.push(no)).ok()).collect();
    let memory = memory(&roles, machine.memory).map_err(|no| refusals.extend(no)).ok();
    let ssd = ssd(&roles, machine.ssd, wishes.ssd_overcommit).map_err(|no| refusals.extend(no)).ok();
    let hdd = hdd(&roles, machine.hdd).map_err(|no| refusals.extend(no)).ok();
    let (Some(memory), Some(ssd), Some(hdd), true) = (memory, ssd, hdd, refusals.is_empty()) else {
        return Err(refusals);
    };
    let qemu_mib = memory.iter().map(|figure| qemu_mib(figure.value)).sum();
    let extents = |figures: &[Figure<u64>]| figures.iter().map(|figure| figure.value).sum::<u64>();
    let ssd_used = extents(&ssd) + SMALL_VOLUMES * roles.len() as u64;
    let hdd_used = extents(&hdd);
    let figures = vcpus.into_iter().zip(memory).zip(ssd.into_iter().zip(hdd));
    let shares = roles.iter().zip(figures).map(|(asked, ((vcpus, memory_mib), (ssd, hdd)))| Share {
        role: asked.role,
        vcpus,
        cpu_weight: asked.cpu_weight(),
        memory_mib,
        ssd,
        hdd,
    });
    let shares = shares.collect();
    let warnings = roles.iter().flat_map(|asked| asked.below_floors(machine)).collect();
    Ok(Shares { roles: shares, qemu_mib, ssd_used, hdd_used, warnings })
}

/// A role, and what the site says about it.
struct Asked<'c, 's> {
    role: &'c Role,
    site: Option<&'s GuestRole>,
}

impl Asked<'_, '_> {
    fn name(&self) -> &str {
        self.role.name.as_str()
    }

    fn pinned(&self, key: &str) -> String {
        format!("pinned by guests.roles.{}.{key}", self.name())
    }

    /// The reference's number times threads / [`REFERENCE_THREADS`], rounded down, within floor and ceiling and the machine's threads.
    fn vcpus(&self, threads: u32) -> Result<Figure<u32>, Refusal> {
        let (role, rule) = (self.name().to_owned(), &self.role.capacity.vcpus);
        if let Some(pinned) = self.site.and_then(|site| site.vcpus) {
            if pinned > threads {
                return Err(Refusal::PinnedThreads { role, pinned, there: threads });
            }
            return Ok(Figure { value: pinned, reason: self.pinned("vcpus") });
        }
        if rule.floor > threads {
            return Err(Refusal::Threads { role, needed: rule.floor, there: threads });
        }
        let scaled = u64::from(rule.reference) * u64::from(threads) / u64::from(REFERENCE_THREADS);
        let scaled = u32::try_from(scaled).unwrap_or(u32::MAX);
        let value = scaled.clamp(rule.floor, rule.ceiling).min(threads);
        let product = format!("{} x {threads} threads / {REFERENCE_THREADS}", rule.reference);
        let reason = if threads == REFERENCE_THREADS && value == rule.reference {
            format!("the reference's, for {REFERENCE_THREADS} threads")
        } else if value == scaled {
            format!("{product}, rounded down")
        } else if scaled < value {
            format!("the floor, as {product} is less: {}", rule.why)
        } else if value == rule.ceiling {
            format!("the ceiling, as {product} is more: {}", rule.why)
        } else {
            format!("all threads of the machine, as {product} is more")
        };
        Ok(Figure { value, reason })
    }

    fn cpu_weight(&self) -> Figure<u32> {
        if let Some(value) = self.site.and_then(|site| site.cpu_weight) {
            return Figure { value, reason: self.pinned("cpu_weight") };
        }
        let weight = &self.role.capacity.cpu_weight;
        Figure { value: weight.reference, reason: format!("the same on every machine: {}", weight.why) }
    }

    /// The rule for a quantity of which there are `whole` bytes; `None` where the role has none of it.
    fn rule(&self, key: Key, whole: Bytes) -> Result<Option<Rule>, Refusal> {
        let Some(amount) = key.amount(self.role) else { return Ok(None) };
        let pin = self.site.and_then(|site| key.pin(site)).map(|size| size.of(whole));
        match pin.filter(|pin| *pin < key.least()) {
            Some(pinned) => {
                let (role, least) = (self.name().to_owned(), key.least());
                Err(Refusal::PinTooSmall { role, key: key.name(), pinned, least })
            }
            None => Ok(Some(Rule::of(amount, pin.map(|pin| pin.0)))),
        }
    }

    /// Why the figure is what it is at the scale `n` / `unit`.
    fn reason(&self, key: Key, rule: Rule, n: u64, unit: u64) -> String {
        let Some(amount) = key.amount(self.role) else { return "the role has no data volume".to_owned() };
        let why = &amount.why;
        match rule.place(n, unit) {
            Place::Pinned => self.pinned(key.name()),
            Place::Fixed => format!("the same on every machine: {why}"),
            Place::Reference => "the reference's".to_owned(),
            Place::Floor => format!("the floor: {why}"),
            Place::Ceiling => format!("the ceiling: {why}"),
            Place::Scaled => format!("{n}/{unit} of the reference's {}", amount.reference),
        }
    }

    fn below_floors(&self, machine: &Machine) -> Vec<String> {
        let Some(site) = self.site else { return Vec::new() };
        let capacity = &self.role.capacity;
        let bytes = |extents: u64| Bytes(extents.saturating_mul(layout::EXTENT.0));
        let floor = |key: Key, whole: Bytes| {
            let (amount, pin) = (key.amount(self.role)?, key.pin(site)?.of(whole));
            let floor = amount.growth.map_or(amount.reference, |growth| growth.floor);
            (pin < floor).then(|| {
                format!(
                    "guests.roles.{}.{} pins {pin}, below the role's floor of {floor}: {}",
                    self.name(),
                    key.name(),
                    amount.why
                )
            })
        };
        let vcpus = site.vcpus.filter(|pin| *pin < capacity.vcpus.floor).map(|pin| {
            let (floor, why) = (capacity.vcpus.floor, &capacity.vcpus.why);
            format!("guests.roles.{}.vcpus pins {pin}, below the role's floor of {floor}: {why}", self.name())
        });
        let others = [
            floor(Key::Memory, machine.memory),
            floor(Key::Ssd, bytes(machine.ssd)),
            machine.hdd.and_then(|hdd| floor(Key::Hdd, bytes(hdd))),
        ];
        vcpus.into_iter().chain(others.into_iter().flatten()).collect()
    }
}

/// A quantity that is counted in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Memory,
    Ssd,
    Hdd,
}

impl Key {
    /// The key in role files and site files.
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ssd => "ssd",
            Self::Hdd => "hdd",
        }
    }

    const fn least(self) -> Bytes {
        match self {
            Self::Memory => MEMORY_MIN,
            Self::Ssd => SSD_MIN,
            Self::Hdd => HDD_MIN,
        }
    }

    const fn amount(self, role: &Role) -> Option<&Amount> {
        match self {
            Self::Memory => Some(&role.capacity.memory),
            Self::Ssd => Some(&role.capacity.ssd),
            Self::Hdd => role.capacity.hdd.as_ref(),
        }
    }

    const fn pin(self, site: &GuestRole) -> Option<Size> {
        match self {
            Self::Memory => site.memory,
            Self::Ssd => site.ssd,
            Self::Hdd => site.hdd,
        }
    }
}

/// One quantity and the rule of each role for it; a role that has none of it has a rule for nothing.
struct Sharing<'r, 'c, 's> {
    key: Key,
    roles: &'r [Asked<'c, 's>],
    rules: Vec<Rule>,
    unit: u64,
    /// What one figure of so many bytes takes, in the unit that is counted.
    takes: fn(u64) -> u64,
    /// What else is taken, in that unit.
    beside: u64,
}

impl<'r, 'c, 's> Sharing<'r, 'c, 's> {
    fn new(
        key: Key,
        roles: &'r [Asked<'c, 's>],
        whole: Bytes,
        takes: fn(u64) -> u64,
        beside: u64,
    ) -> Result<Self, Vec<Refusal>> {
        let unit = if key == Key::Memory { MEMORY_UNIT } else { DISK_UNIT };
        let (mut rules, mut refusals) = (Vec::new(), Vec::new());
        for asked in roles {
            match asked.rule(key, whole) {
                Ok(rule) => rules.push(rule.unwrap_or(Rule::Fixed(0))),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() { Ok(Self { key, roles, rules, unit, takes, beside }) } else { Err(refusals) }
    }

    fn total(&self, n: u64) -> u64 {
        let taken = self.rules.iter().map(|rule| (self.takes)(rule.at(n, self.unit)));
        taken.fold(self.beside, u64::saturating_add)
    }

    /// The largest scale of which the figures together take no more than `there`.
    fn largest(&self, there: u64) -> Option<u64> {
        largest(&self.rules, self.unit, |n| self.total(n) <= there)
    }

    /// `convert` makes the figure from bytes.
    fn figures(&self, n: u64, convert: fn(u64) -> u64) -> Vec<Figure<u64>> {
        let each = self.roles.iter().zip(&self.rules);
        each.map(|(asked, rule)| Figure {
            value: convert(rule.at(n, self.unit)),
            reason: asked.reason(self.key, *rule, n, self.unit),
        })
        .collect()
    }

    /// What each role needs at least, in words.
    fn parts(&self) -> String {
        let parts = self.roles.iter().zip(&self.rules).filter(|(_, rule)| **rule != Rule::Fixed(0));
        let parts = parts.map(|(asked, rule)| {
            let pinned = if matches!(rule, Rule::Pinned(_)) { ", pinned" } else { "" };
            format!("{} {}{pinned}", asked.name(), Bytes(rule.at(0, self.unit)))
        });
        parts.collect::<Vec<_>>().join(" + ")
    }

    fn too_small(&self, pool: Pool, there: u64) -> Vec<Refusal> {
        let (needed, there) = (extents(self.total(0)), extents(there));
        vec![Refusal::Space { pool, parts: self.parts(), needed, there }]
    }
}

const fn to_mib(bytes: u64) -> u64 {
    bytes / MIB
}

const fn to_extents(bytes: u64) -> u64 {
    Bytes(bytes).covering(layout::EXTENT)
}

const fn extents(n: u64) -> Bytes {
    Bytes(n.saturating_mul(layout::EXTENT.0))
}

/// Machine and QEMU, MiB.
const fn with_qemu(bytes: u64) -> u64 {
    to_mib(bytes) + qemu_mib(to_mib(bytes))
}

fn memory(roles: &[Asked<'_, '_>], there: Bytes) -> Result<Vec<Figure<u64>>, Vec<Refusal>> {
    let sharing = Sharing::new(Key::Memory, roles, there, with_qemu, 0)?;
    let Some(n) = sharing.largest(to_mib(there.0)) else {
        let qemu = sharing.rules.iter().map(|rule| qemu_mib(to_mib(rule.at(0, MEMORY_UNIT)))).sum();
        let parts = format!("{} + {} for QEMU itself", sharing.parts(), Bytes::mib(qemu));
        let needed = Bytes(sharing.total(0).saturating_mul(MIB));
        return Err(vec![Refusal::Memory { parts, needed, there: there.align_down(MIB) }]);
    };
    Ok(sharing.figures(n, to_mib))
}

/// The rule of docs/capacity.md: what fits is exact; up to a tenth too much is over-committed, if the site accepts it; beyond that,
/// and where the site wants no over-commitment, elastic volumes shrink.
fn ssd(roles: &[Asked<'_, '_>], pool: u64, accepted: Option<bool>) -> Result<Vec<Figure<u64>>, Vec<Refusal>> {
    let beside = SMALL_VOLUMES * roles.len() as u64;
    let sharing = Sharing::new(Key::Ssd, roles, extents(pool), to_extents, beside)?;
    let reference = sharing.total(DISK_UNIT);
    let little = u128::from(reference) * u128::from(OVERCOMMIT.1) <= u128::from(pool) * u128::from(OVERCOMMIT.0);
    let n = match accepted {
        Some(true) if reference > pool && little => DISK_UNIT,
        None if reference > pool && little => {
            let ratio = ratio(reference, pool);
            return Err(vec![Refusal::Overcommitted { needed: extents(reference), there: extents(pool), ratio }]);
        }
        _ => sharing.largest(pool).ok_or_else(|| sharing.too_small(Pool::Ssd, pool))?,
    };
    Ok(sharing.figures(n, to_extents))
}

/// Never over-committed: the figures follow the pool.
fn hdd(roles: &[Asked<'_, '_>], pool: Option<u64>) -> Result<Vec<Figure<u64>>, Vec<Refusal>> {
    let Some(pool) = pool else {
        let none = |asked: &Asked<'_, '_>| match &asked.role.volumes.data {
            Some(data) => {
                format!("the machine has none; the data volume is {} % of the SSD figure", data.without_hdd.get())
            }
            None => "the role has no data volume".to_owned(),
        };
        return Ok(roles.iter().map(|asked| Figure { value: 0, reason: none(asked) }).collect());
    };
    let sharing = Sharing::new(Key::Hdd, roles, extents(pool), to_extents, 0)?;
    let n = sharing.largest(pool).ok_or_else(|| sharing.too_small(Pool::Hdd, pool))?;
    Ok(sharing.figures(n, to_extents))
}
