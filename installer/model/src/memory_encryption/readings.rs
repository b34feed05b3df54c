//! What memory encryption is decided from: registers of every logical CPU that is on line, and what the kernel says. Plain values; who
//! reads them from where is not known here.

use std::collections::BTreeMap;

/// MSR of AMD: SYSCFG; bit 23 is `MemEncryptionModEn` (AMD64 Architecture Programmer's Manual, volume 2, 7.10).
pub const SYSCFG: u32 = 0xc001_0010;
/// MSR of Intel: `IA32_TME_CAPABILITY` (Intel SDM, volume 4, as the three below).
pub const TME_CAPABILITY: u32 = 0x981;
/// MSR of Intel: `IA32_TME_ACTIVATE`.
pub const TME_ACTIVATE: u32 = 0x982;
/// MSR of Intel: `IA32_TME_EXCLUDE_MASK`; bit 11 switches the exclusion on.
pub const TME_EXCLUDE_MASK: u32 = 0x983;
/// MSR of Intel: `IA32_TME_EXCLUDE_BASE`.
pub const TME_EXCLUDE_BASE: u32 = 0x984;
/// All of them.
pub const MSRS: [u32; 5] = [TME_CAPABILITY, TME_ACTIVATE, TME_EXCLUDE_MASK, TME_EXCLUDE_BASE, SYSCFG];

/// Everything that was read of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// Every CPU that is on line, by its number.
    pub cpus: BTreeMap<u32, Cpu>,
    /// CPUs that are known and not on line: only a hypervisor shows in them.
    pub offline: BTreeMap<u32, Cpu>,
    /// Each `tsme_status` file; `None` where it holds neither 0 nor 1.
    pub tsme: Vec<(String, Option<bool>)>,
    /// Version of the kernel: major, minor.
    pub kernel: Option<(u32, u32)>,
    /// What its log says since it was started; `None` where there is no log.
    pub log: Option<Log>,
    /// What the reader noticed, a sentence each.
    pub notes: Vec<String>,
}

/// One logical CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Vendor, CPUID leaf 0.
    pub vendor: Option<String>,
    /// CPUID leaf 1, ECX.
    pub features: Option<u32>,
    /// CPUID leaf 7, subleaf 0, ECX; 0 where the processor's last leaf is below.
    pub structured: Option<u32>,
    /// CPUID leaf 8000001Fh, EAX; 0 where the processor's last leaf is below.
    pub encryption: Option<u32>,
    /// What /proc/cpuinfo says of it.
    pub kernel: Option<Flags>,
    /// Model-specific registers that could be read.
    pub msrs: BTreeMap<u32, u64>,
}

/// A processor's entry in /proc/cpuinfo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `vendor_id`; empty where it has none.
    pub vendor: String,
    /// Flag `sme`.
    pub sme: bool,
    /// Flag `tme`.
    pub tme: bool,
    /// Flag `hypervisor`.
    pub hypervisor: bool,
}

/// Lines of the kernel's log, where they are there, without what stands before the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// SME is active.
    pub sme: Option<String>,
    /// The security processor says that TSME is.
    pub tsme: Option<String>,
    /// What the kernel makes of Intel's TME.
    pub tme: Option<String>,
    /// A hypervisor was detected.
    pub hypervisor: Option<String>,
}
