//! Dumps of Debian's `cpuid -r`: under a line `CPU N:` a line a leaf,
//! `   0x00000007 0x00: eax=0x00000000 ebx=0x219c91a9 ecx=0x00400004 edx=0x00000000`.

use std::collections::BTreeMap;

use sovereign_model::memory_encryption::readings::Cpu;

use super::hex;

/// Leaf of the vendor and of the last basic leaf.
const BASIC: u32 = 0;
/// Leaf of features, the hypervisor bit among them.
const FEATURES: u32 = 1;
/// Leaf of structured features, TME among them.
const STRUCTURED: u32 = 7;
/// Leaf of the last extended leaf.
const EXTENDED: u32 = 0x8000_0000;
/// Leaf of AMD's memory encryption.
const ENCRYPTION: u32 = 0x8000_001f;

/// EAX, EBX, ECX, EDX.
type Registers = [u32; 4];

/// One CPU's leaves, by leaf and subleaf; `None` for one that is there twice with different values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leaves(BTreeMap<(u32, u32), Option<Registers>>);

impl Leaves {
    fn get(&self, leaf: u32) -> Option<Registers> {
        self.0.get(&(leaf, 0)).copied().flatten()
    }

    /// What of it counts. A leaf above the processor's last one is a leaf of zeros; one that should be there and is not was not read.
    pub(super) fn cpu(&self) -> Cpu {
        let last = |[eax, ..]: Registers| eax;
        let basic = self.get(BASIC).map(last);
        // A processor without extended leaves answers with something else.
        let extended = self.get(EXTENDED).map(last).map(|eax| if eax >> 16 == EXTENDED >> 16 { eax } else { EXTENDED });
        let within = |end: Option<u32>, leaf| match end {
            Some(end) if end < leaf => Some([0; 4]),
            _ => self.get(leaf),
        };
        Cpu {
            vendor: self.get(BASIC).and_then(vendor),
            features: self.get(FEATURES).map(|[_, _, ecx, _]| ecx),
            structured: within(basic, STRUCTURED).map(|[_, _, ecx, _]| ecx),
            encryption: within(extended, ENCRYPTION).map(|[eax, ..]| eax),
            ..Cpu::default()
        }
    }
}

/// The vendor's twelve letters, without the blanks around those of Zhaoxin's.
fn vendor([_, ebx, ecx, edx]: Registers) -> Option<String> {
    let bytes: Vec<u8> = [ebx, edx, ecx].into_iter().flat_map(u32::to_le_bytes).collect();
    let text = String::from_utf8(bytes).ok()?;
    let good = |c: char| c == ' ' || c.is_ascii_graphic();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text.chars().all(good))
}

/// All CPUs of a dump. What is no leaf, or belongs to no CPU, is passed over. `CPU:` of `cpuid -1` is taken for CPU 0.
pub(super) fn parse(text: &str) -> BTreeMap<u32, Leaves> {
    let mut cpus: BTreeMap<u32, Leaves> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().map(str::trim) {
        if let Some(number) = line.strip_prefix("CPU").and_then(|rest| rest.strip_suffix(':')) {
            let number = number.trim();
            current = if number.is_empty() { Some(0) } else { super::cpus::number(number) };
        } else if let (Some(number), Some((key, registers))) = (current, leaf(line)) {
            let seen = cpus.entry(number).or_default().0.entry(key).or_insert(Some(registers));
            if *seen != Some(registers) {
                *seen = None;
            }
        }
    }
    cpus
}

fn leaf(line: &str) -> Option<((u32, u32), Registers)> {
    let mut words = line.split_ascii_whitespace();
    let number = |word: &str| u32::try_from(hex(word, 8)?).ok();
    let key = (number(words.next()?)?, number(words.next()?.strip_suffix(':')?)?);
    let mut registers = [0; 4];
    for (register, name) in registers.iter_mut().zip(["eax=", "ebx=", "ecx=", "edx="]) {
        *register = number(words.next()?.strip_prefix(name)?)?;
    }
    words.next().is_none().then_some((key, registers))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: &str = "CPU 0:\r\n   0x00000000 0x00: eax=0x00000020 ebx=0x756E6547 ecx=0x6c65746e edx=0x49656e69\r\n\
                         \x20  0x00000007 0x00: eax=0x00000002 ebx=0xf3bfbfbf ecx=0xbd9ffffe edx=0xfe5401ff\r\n";

    #[test]
    fn leaves_belong_to_the_cpu_above_them() {
        let text = format!("{INTEL}junk\nCPU 1:\n   0x00000001 0x00: eax=0x0 ebx=0x0 ecx=0x80000000 edx=0x0\n");
        let cpus = parse(&text);
        assert_eq!(cpus.keys().copied().collect::<Vec<_>>(), [0, 1]);
        let cpu = cpus[&0].cpu();
        assert_eq!(
            (cpu.vendor.as_deref(), cpu.structured, cpu.features),
            (Some("GenuineIntel"), Some(0xbd9f_fffe), None)
        );
        assert_eq!(cpu.encryption, None, "no last extended leaf: cut off");
        assert_eq!(cpus[&1].cpu().features, Some(0x8000_0000));
        // What stands above every CPU, or under one that cannot be, is nobody's.
        for nobody in ["", "CPU 99999:\n", "CPU x:\n"] {
            assert!(parse(&format!("{nobody}   0x1 0x0: eax=0x0 ebx=0x0 ecx=0x0 edx=0x0\n")).is_empty());
        }
        assert_eq!(parse("CPU:\n   0x1 0x0: eax=0x0 ebx=0x0 ecx=0x7 edx=0x0\n")[&0].cpu().features, Some(7));
    }

    #[test]
    fn leaves_above_the_last_one_are_zero_and_others_were_not_read() {
        let of = |basic: u32, extended: u32| {
            let text = format!(
                "CPU 0:\n0x0 0x00: eax={basic:#x} ebx=0x0 ecx=0x0 edx=0x0\n0x80000000 0x00: eax={extended:#x} ebx=0x0 ecx=0x0 edx=0x0\n"
            );
            let cpu = parse(&text)[&0].cpu();
            (cpu.structured, cpu.encryption)
        };
        assert_eq!(of(6, 0x8000_001e), (Some(0), Some(0)));
        assert_eq!(of(7, 0x8000_001f), (None, None));
        // An old Intel processor answers with its last basic leaf.
        assert_eq!(of(0x20, 0x0780_0e11), (None, Some(0)));
    }

    #[test]
    fn a_leaf_with_two_values_was_not_read() {
        let line = |ecx: u32| format!("0x1 0x00: eax=0x0 ebx=0x0 ecx={ecx:#x} edx=0x0\n");
        assert_eq!(parse(&format!("CPU 0:\n{0}{0}", line(1)))[&0].cpu().features, Some(1));
        assert_eq!(parse(&format!("CPU 0:\n{}{}CPU 0:\n{0}", line(1), line(2)))[&0].cpu().features, None);
    }

    #[test]
    fn what_is_no_leaf_is_passed_over() {
        for line in [
            "0x1 0x00: eax=0x0 ebx=0x0 ecx=0x0",
            "0x1 0x00: eax=0x0 ebx=0x0 ecx=0x0 edx=",
            "0x1 0x00 eax=0x0 ebx=0x0 ecx=0x0 edx=0x0",
            "0x1 0x00: eax=0x0 ebx=0x0 edx=0x0 ecx=0x0",
            "0x1 0x00: eax=0x0 ebx=0x0 ecx=0x0 edx=0x0 0x0",
            "0x1 0x00: eax=0x123456789 ebx=0x0 ecx=0x0 edx=0x0",
            "0x1 0x00: eax=0x+1 ebx=0x0 ecx=0x0 edx=0x0",
            "CPUID 00000001: 00A10F11-00C00800-7EFA320B-178BFBFF",
        ] {
            assert!(parse(&format!("CPU 0:\n{line}\n")).is_empty(), "{line}");
        }
    }
}
