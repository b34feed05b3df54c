//! The rule: from what was read to one of seven states, each step with its evidence. Nothing is ever taken for active by the kernel's
//! word alone where a register can say otherwise, and never in a virtual machine.

use std::collections::{BTreeMap, BTreeSet};

use super::advice::{Facts, advice};
use super::readings::{Cpu, Log, Readings, SYSCFG, TME_ACTIVATE, TME_CAPABILITY, TME_EXCLUDE_BASE, TME_EXCLUDE_MASK};
use super::{Family, MemoryEncryption, State};

/// CPUID leaf 1, ECX: there is a hypervisor.
const HYPERVISOR: u32 = 1 << 31;
/// CPUID leaf 7, ECX: TME is supported.
const TME: u32 = 1 << 13;
/// CPUID leaf 8000001Fh, EAX: SME is supported.
const SME: u32 = 1;
/// SYSCFG: the firmware has switched memory encryption on.
const SYSCFG_ENABLED: u64 = 1 << 23;
/// `TME_ACTIVATE`: it cannot be changed until the machine starts anew.
const LOCK: u64 = 1;
/// `TME_ACTIVATE`: switched on.
const ENABLE: u64 = 1 << 1;
/// `TME_ACTIVATE`: what uses no key of its own is not encrypted.
const BYPASS: u64 = 1 << 31;
/// `TME_EXCLUDE_MASK`: the range is excluded.
const EXCLUDE: u64 = 1 << 11;
/// `TME_EXCLUDE_MASK` and `TME_EXCLUDE_BASE`: the bits that are an address.
const PAGES: u64 = !0xfff;
/// From this kernel on the flag `sme` means that the kernel encrypts; before, that the firmware allows it.
const FLAG_MEANS_ACTIVE: (u32, u32) = (5, 18);
/// From about this kernel on the flag `tme` is cleared where TME is unlocked or off.
const TME_FLAG_CLEARED: (u32, u32) = (6, 10);
/// The words of the evidence for a range of addresses that Intel's TME leaves out.
pub(super) const EXCLUDED: &str = "are excluded from the encryption";

/// Decides. Pure: the same readings give the same words.
pub fn decide(readings: &Readings) -> MemoryEncryption {
    let mut judge = Judge { readings, evidence: readings.notes.clone(), facts: Facts::default() };
    let vendor = judge.vendor();
    let family = vendor.map_or(Family::Other, Family::of);
    let bare = judge.virtualised();
    let found = match family {
        _ if vendor.is_none() => State::Unknown,
        Family::Amd | Family::Hygon => judge.amd(family),
        Family::Intel => judge.intel(),
        Family::Other => judge.other(),
    };
    let state = judge.of_this_machine(found, bare);
    let Judge { evidence, facts, .. } = judge;
    let advice = advice(state, family, facts);
    let vendor = vendor.unwrap_or("unknown").to_owned();
    MemoryEncryption { vendor, state, virtualised: facts.virtualised, evidence, advice }
}

struct Judge<'r> {
    readings: &'r Readings,
    evidence: Vec<String>,
    facts: Facts,
}

/// What one bit says on all CPUs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bit {
    Set,
    Clear,
    /// Set on some CPUs, clear on others.
    Mixed,
    /// There is no CPU, or one on which it could not be read.
    Unread,
}

/// What the security processor says of TSME.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tsme {
    On,
    Off,
    /// It says nothing: not that it is off.
    Silent,
    /// It contradicts itself, or is not understood.
    Unclear,
}

impl<'r> Judge<'r> {
    fn say(&mut self, sentence: impl Into<String>) {
        self.evidence.push(sentence.into());
    }

    /// The one vendor of all CPUs, by CPUID and by the kernel.
    fn vendor(&mut self) -> Option<&'r str> {
        let cpus = self.readings.cpus.values();
        let by_cpuid: BTreeSet<&str> = cpus.clone().filter_map(|cpu| cpu.vendor.as_deref()).collect();
        let by_kernel = cpus.filter_map(|cpu| cpu.kernel.as_ref()).map(|flags| flags.vendor.as_str());
        let by_kernel: BTreeSet<&str> = by_kernel.filter(|vendor| !vendor.is_empty()).collect();
        let all: BTreeSet<&str> = by_cpuid.union(&by_kernel).copied().collect();
        if all.len() > 1 {
            let names = all.into_iter().collect::<Vec<_>>().join(", ");
            self.say(format!("CPUID and /proc/cpuinfo: CPUs disagree about their vendor ({names}): not one machine's"));
            return None;
        }
        let from = if by_cpuid.is_empty() { "/proc/cpuinfo" } else { "CPUID 0x00000000" };
        match all.first() {
            Some(vendor) => self.say(format!("{from}: the processors are of {vendor}")),
            None => self.say("neither CPUID nor /proc/cpuinfo names the processors' vendor"),
        }
        all.first().copied()
    }

    /// Whether this is known to be no virtual machine.
    fn virtualised(&mut self) -> bool {
        let readings = self.readings;
        let cpus = || readings.cpus.iter().chain(&readings.offline);
        let bits = groups(cpus(), |cpu| Some(cpu.features? & HYPERVISOR != 0));
        let flags = groups(cpus(), |cpu| Some(cpu.kernel.as_ref()?.hypervisor));
        if let Some(cpus) = bits.get(&Some(true)) {
            self.say(format!("CPUID 0x00000001 ecx of {}: the hypervisor bit is set", named(cpus)));
            self.facts.virtualised = true;
        }
        if let Some(cpus) = flags.get(&Some(true)) {
            self.say(format!("/proc/cpuinfo: flag hypervisor on {}", named(cpus)));
            self.facts.virtualised = true;
        }
        if let Some(line) = readings.log.as_ref().and_then(|log| log.hypervisor.as_ref()) {
            self.say(format!("kernel log: \"{line}\""));
            self.facts.virtualised = true;
        }
        if self.facts.virtualised {
            return false;
        }
        let bare = bits.contains_key(&Some(false)) || flags.contains_key(&Some(false));
        self.say(if bare {
            "CPUID 0x00000001 ecx, /proc/cpuinfo: no hypervisor bit, so this is no virtual machine"
        } else {
            "neither CPUID nor /proc/cpuinfo tells whether this is a virtual machine"
        });
        bare
    }

    /// What the registers say counts only on a machine that is known to be real. A virtual processor without memory encryption is just
    /// that.
    fn of_this_machine(&mut self, found: State, bare: bool) -> State {
        if self.facts.virtualised && found != State::Unsupported {
            self.say(
                "in a virtual machine registers and flags are what the host makes up: they tell nothing of its memory",
            );
            return State::Unknown;
        }
        if found.is_active() && !bare { State::Unknown } else { found }
    }

    /// A bit of a register of every CPU, with evidence for each value found. `bits` are shown of it.
    fn bit<T: Copy + Ord + std::fmt::LowerHex>(
        &mut self,
        what: &str,
        value: impl Fn(&Cpu) -> Option<T>,
        is_set: impl Fn(T) -> bool,
        [set, clear]: [&str; 2],
    ) -> Bit {
        let groups = groups(&self.readings.cpus, value);
        for (value, cpus) in &groups {
            let cpus = named(cpus);
            let width = 2 + 2 * size_of::<T>();
            self.say(match value {
                Some(value) => {
                    format!("{what} of {cpus} is {value:#0width$x}: {}", if is_set(*value) { set } else { clear })
                }
                None => format!("{what} of {cpus} could not be read"),
            });
        }
        let bits: BTreeSet<Option<bool>> = groups.keys().map(|value| value.map(&is_set)).collect();
        match bits.into_iter().collect::<Vec<_>>().as_slice() {
            [Some(true)] => Bit::Set,
            [Some(false)] => Bit::Clear,
            [Some(false), Some(true)] => {
                self.say(format!("{what}: CPUs disagree"));
                Bit::Mixed
            }
            _ => Bit::Unread,
        }
    }

    fn log(&self) -> Option<&'r Log> {
        self.readings.log.as_ref()
    }

    /// AMD's: TSME by the security processor, SME by SYSCFG and the kernel.
    fn amd(&mut self, family: Family) -> State {
        let can = self.bit(
            "CPUID 0x8000001f eax",
            |cpu| cpu.encryption,
            |eax| eax & SME != 0,
            ["SME is supported (bit 0)", "SME is not supported (bit 0)"],
        );
        let tsme = self.tsme();
        // Without SME there may be no such bit.
        let enabled = if can == Bit::Clear {
            Bit::Unread
        } else {
            self.bit(
                "MSR 0xc0010010 (SYSCFG)",
                |cpu| cpu.msrs.get(&SYSCFG).copied(),
                |value| value & SYSCFG_ENABLED != 0,
                ["the firmware has switched SME on (bit 23)", "the firmware has not switched SME on (bit 23)"],
            )
        };
        let flag = self.sme_flag();
        let logged = self.log().and_then(|log| log.sme.as_ref());
        if let Some(line) = logged {
            self.say(format!("kernel log: \"{line}\""));
        }
        if tsme == Tsme::On {
            return State::ActiveTransparent;
        }
        match (can, enabled) {
            (Bit::Clear, _) if flag == Bit::Set || logged.is_some() || tsme == Tsme::Unclear => State::Unknown,
            (Bit::Clear, _) => State::Unsupported,
            (Bit::Mixed | Bit::Unread, _) | (_, Bit::Unread) => State::Unknown,
            (Bit::Set, Bit::Set) => self.sme(family, flag, logged.is_some()),
            (Bit::Set, Bit::Clear | Bit::Mixed) if tsme == Tsme::Off => State::OffInFirmware,
            (Bit::Set, Bit::Clear | Bit::Mixed) => {
                self.say("SYSCFG bit 23 may be clear where TSME is on, and nothing says whether TSME is: this cannot be told");
                State::Unknown
            }
        }
    }

    /// Whether the kernel uses what the firmware has switched on. The flag `sme` of Hygon's processors is never cleared
    /// (arch/x86/kernel/cpu/hygon.c).
    fn sme(&mut self, family: Family, flag: Bit, logged: bool) -> State {
        let tells = family == Family::Amd && self.readings.kernel.is_some_and(|version| version >= FLAG_MEANS_ACTIVE);
        match flag {
            Bit::Set if tells || logged => State::Active,
            Bit::Set if self.log().is_some() => {
                self.say("here the flag sme says only that the firmware allows it, and the kernel log does not say that SME is active");
                State::KernelOff
            }
            Bit::Set => {
                self.say(
                    "here the flag sme says only that the firmware allows it, and there is no kernel log to tell more",
                );
                State::Unknown
            }
            Bit::Clear if !logged => State::KernelOff,
            Bit::Clear | Bit::Mixed | Bit::Unread => {
                self.say("/proc/cpuinfo and the kernel log do not say together whether the kernel uses SME");
                State::Unknown
            }
        }
    }

    fn sme_flag(&mut self) -> Bit {
        let kernel =
            self.readings.kernel.map_or("of unknown version".to_owned(), |(major, minor)| format!("{major}.{minor}"));
        let groups = groups(&self.readings.cpus, |cpu| Some(cpu.kernel.as_ref()?.sme));
        for (flag, cpus) in &groups {
            let has = match flag {
                Some(true) => "flag sme",
                Some(false) => "no flag sme",
                None => "no flags",
            };
            self.say(format!("/proc/cpuinfo (kernel {kernel}): {has} on {}", named(cpus)));
        }
        match groups.keys().copied().collect::<Vec<_>>().as_slice() {
            [Some(true)] => Bit::Set,
            [Some(false)] => Bit::Clear,
            [Some(false), Some(true)] => Bit::Mixed,
            _ => Bit::Unread,
        }
    }

    /// The security processors' word: that of every file, or the kernel's log where there is none.
    fn tsme(&mut self) -> Tsme {
        let readings = self.readings;
        for (path, value) in &readings.tsme {
            self.say(match value {
                Some(true) => format!("{path} is 1: the firmware encrypts all memory (TSME)"),
                Some(false) => format!("{path} is 0: TSME is off"),
                None => format!("{path} holds neither 0 nor 1"),
            });
        }
        let logged = readings.log.as_ref().and_then(|log| log.tsme.as_ref());
        if let Some(line) = logged {
            self.say(format!("kernel log: \"{line}\""));
        }
        let values: BTreeSet<Option<bool>> = readings.tsme.iter().map(|(_, value)| *value).collect();
        match (values.into_iter().collect::<Vec<_>>().as_slice(), logged) {
            ([Some(true)], _) | ([], Some(_)) => Tsme::On,
            ([Some(false)], None) => Tsme::Off,
            ([], None) => {
                self.say(
                    "no /sys/bus/pci/devices/*/tsme_status: the security processor does not say whether TSME is on",
                );
                Tsme::Silent
            }
            _ => {
                self.say("the security processors' files and the kernel log disagree about TSME");
                Tsme::Unclear
            }
        }
    }

    /// Intel's: the registers of TME, on every CPU. The kernel's log and flag ignore the bypass, and count for nothing.
    fn intel(&mut self) -> State {
        let can = self.bit(
            "CPUID 0x00000007 ecx",
            |cpu| cpu.structured,
            |ecx| ecx & TME != 0,
            ["TME is supported (bit 13)", "TME is not supported (bit 13)"],
        );
        if !self.readings.tsme.is_empty() {
            self.say("tsme_status is of AMD's security processors: it is not counted here");
        }
        let claimed = self.tme_claims();
        match can {
            Bit::Clear if claimed => State::Unknown,
            Bit::Clear => State::Unsupported,
            Bit::Mixed | Bit::Unread => State::Unknown,
            Bit::Set => self.tme(),
        }
    }

    /// What the kernel makes of TME: evidence that decides nothing.
    fn tme_claims(&mut self) -> bool {
        let flags = groups(&self.readings.cpus, |cpu| cpu.kernel.as_ref().map(|flags| flags.tme));
        let cleared = self.readings.kernel.is_some_and(|version| version >= TME_FLAG_CLEARED);
        if let Some(cpus) = flags.get(&Some(true)) {
            let what = if cleared {
                "set even where it is bypassed"
            } else {
                "set even where TME is off, unlocked or bypassed"
            };
            self.say(format!("/proc/cpuinfo: flag tme on {}, which with this kernel is {what}", named(cpus)));
        }
        if let Some(line) = self.log().and_then(|log| log.tme.as_ref()) {
            self.say(format!("kernel log: \"{line}\", which ignores the bypass"));
        }
        flags.contains_key(&Some(true))
    }

    /// TME is supported: what its registers say on every CPU.
    fn tme(&mut self) -> State {
        let capability = groups(&self.readings.cpus, |cpu| cpu.msrs.get(&TME_CAPABILITY).copied());
        for (value, cpus) in &capability {
            let cpus = named(cpus);
            self.say(match value {
                Some(value) => {
                    format!("MSR 0x981 (TME_CAPABILITY) of {cpus} is {value:#018x}: {}", capabilities(*value))
                }
                None => format!(
                    "MSR 0x981 (TME_CAPABILITY) of {cpus} could not be read: which algorithms there are is not known"
                ),
            });
        }
        let groups = groups(&self.readings.cpus, |cpu| cpu.msrs.get(&TME_ACTIVATE).copied());
        for (value, cpus) in &groups {
            let cpus = named(cpus);
            self.say(match value {
                Some(value) => format!("MSR 0x982 (TME_ACTIVATE) of {cpus} is {value:#018x}: {}", activated(*value)),
                None => format!("MSR 0x982 (TME_ACTIVATE) of {cpus} could not be read"),
            });
        }
        if groups.len() > 1 {
            self.say("MSR 0x982 (TME_ACTIVATE): CPUs disagree");
        }
        self.excluded_range();
        // A range of all addresses is encryption of none.
        let all =
            self.readings.cpus.values().any(|cpu| {
                cpu.msrs.get(&TME_EXCLUDE_MASK).is_some_and(|mask| mask & EXCLUDE != 0 && mask & PAGES == 0)
            });
        let values: Option<Vec<u64>> = groups.keys().copied().collect();
        let Some(values) = values.filter(|values| !values.is_empty()) else { return State::Unknown };
        let off = |value: &u64| value & ENABLE == 0;
        let bypassed = |value: &u64| value & BYPASS != 0;
        if all || values.iter().any(|value| off(value) || bypassed(value)) {
            self.facts.bypass = !values.iter().any(off);
            State::OffInFirmware
        } else if values.iter().any(|value| value & LOCK == 0) {
            State::EnabledUnlocked
        } else {
            State::ActiveTransparent
        }
    }

    /// A range of addresses that is not encrypted: reported, for what it is worth only the machine's vendor knows.
    fn excluded_range(&mut self) {
        let range = |cpu: &Cpu| (cpu.msrs.get(&TME_EXCLUDE_MASK).copied(), cpu.msrs.get(&TME_EXCLUDE_BASE).copied());
        for ((mask, base), cpus) in groups(&self.readings.cpus, range) {
            let cpus = named(&cpus);
            match mask {
                None => self.say(format!(
                    "MSR 0x983 (TME_EXCLUDE_MASK) of {cpus} could not be read: whether a range is excluded is not known"
                )),
                Some(mask) if mask & EXCLUDE == 0 => self.say(format!(
                    "MSR 0x983 (TME_EXCLUDE_MASK) of {cpus} is {mask:#018x}: no range is excluded (bit 11)"
                )),
                Some(mask) => {
                    self.facts.excluded = true;
                    let base = match base {
                        Some(base) => {
                            format!("0x984 (TME_EXCLUDE_BASE) {base:#018x}: addresses {}", matching(mask, base))
                        }
                        None => "0x984 (TME_EXCLUDE_BASE) could not be read: addresses that are not known".to_owned(),
                    };
                    self.say(format!(
                        "MSR 0x983 (TME_EXCLUDE_MASK) of {cpus} is {mask:#018x} (bit 11 is set), {base} {EXCLUDED}"
                    ));
                }
            }
        }
    }

    /// Of any other vendor it is known only that it has neither of the two features.
    fn other(&mut self) -> State {
        let sme = self.bit(
            "CPUID 0x8000001f eax",
            |cpu| cpu.encryption,
            |eax| eax & SME != 0,
            ["bit 0 is set, AMD's SME", "no SME (bit 0)"],
        );
        let tme = self.bit(
            "CPUID 0x00000007 ecx",
            |cpu| cpu.structured,
            |ecx| ecx & TME != 0,
            ["bit 13 is set, Intel's TME", "no TME (bit 13)"],
        );
        let tsme = self.tsme();
        if (sme, tme) == (Bit::Clear, Bit::Clear) && matches!(tsme, Tsme::Silent | Tsme::Off) {
            return State::Unsupported;
        }
        self.say("what memory encryption means on processors of this vendor is not known here");
        State::Unknown
    }
}

/// CPUs by what is read of each.
fn groups<'c, T: Ord>(
    cpus: impl IntoIterator<Item = (&'c u32, &'c Cpu)>,
    of: impl Fn(&Cpu) -> T,
) -> BTreeMap<T, Vec<u32>> {
    let mut groups: BTreeMap<T, Vec<u32>> = BTreeMap::new();
    for (number, cpu) in cpus {
        groups.entry(of(cpu)).or_default().push(*number);
    }
    groups
}

/// `CPU 3`, `CPUs 0-3,8`.
fn named(cpus: &[u32]) -> String {
    let mut cpus = cpus.to_vec();
    cpus.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in &cpus {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*cpu) => *last = *cpu,
            _ => ranges.push((*cpu, *cpu)),
        }
    }
    let text = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let list = ranges.iter().map(text).collect::<Vec<_>>().join(",");
    if cpus.len() == 1 { format!("CPU {list}") } else { format!("CPUs {list}") }
}

/// Names of the algorithms of `TME_CAPABILITY` and of the policy of `TME_ACTIVATE`, by their number.
const ALGORITHMS: [&str; 3] = ["AES-XTS-128", "AES-XTS-128 with integrity", "AES-XTS-256"];

fn capabilities(value: u64) -> String {
    let names = ALGORITHMS.iter().enumerate().filter(|(bit, _)| value >> bit & 1 == 1).map(|(_, name)| *name);
    let names: Vec<&str> = names.collect();
    let names = if names.is_empty() { "no algorithm that is known here".to_owned() } else { names.join(", ") };
    let bypass = if value & BYPASS == 0 { "no bypass" } else { "a bypass" };
    format!("{names}; {bypass} (bit 31); {} keys (bits 50:36)", value >> 36 & 0x7fff)
}

fn activated(value: u64) -> String {
    let enable = if value & ENABLE == 0 { "off (bit 1)" } else { "on (bit 1)" };
    let lock = if value & LOCK == 0 { "not locked (bit 0)" } else { "locked (bit 0)" };
    let bypass = if value & BYPASS == 0 { "not bypassed (bit 31)" } else { "BYPASSED (bit 31)" };
    let policy = value >> 4 & 0xf;
    let named = usize::try_from(policy).ok().and_then(|policy| ALGORITHMS.get(policy));
    let policy =
        named.map_or_else(|| format!("algorithm {policy}, which is not known here"), |name| (*name).to_owned());
    format!("{enable}, {lock}, {bypass}, {policy} (bits 7:4)")
}

/// The addresses a mask and a base stand for, as with MTRRs: those whose bits under the mask are the base's.
fn matching(mask: u64, base: u64) -> String {
    let (mask, base) = (mask & PAGES, base & PAGES);
    match mask.trailing_zeros() {
        64 => "of every range, for the mask is empty,".to_owned(),
        bits => format!("{:#x} to {:#x}", base & mask, (base & mask) | ((1 << bits) - 1)),
    }
}
