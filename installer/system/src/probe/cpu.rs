//! Processors, from /proc/cpuinfo (x86).

use sovereign_model::inventory::Cpu;

/// Vendor and model of the first logical CPU, and how many there are. Fields that are not there stay empty.
pub(super) fn parse(cpuinfo: &str) -> Cpu {
    let mut cpu = Cpu::default();
    for (name, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.trim() {
            "processor" => cpu.threads = cpu.threads.saturating_add(1),
            "vendor_id" if cpu.vendor.is_empty() => value.clone_into(&mut cpu.vendor),
            "model name" if cpu.model.is_empty() => value.clone_into(&mut cpu.model),
            _ => {}
        }
    }
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_and_the_first_names_the_model() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 4244P\nflags\t\t: fpu vme\n\n\
                    processor\t: 1\nvendor_id\t: AuthenticAMD\nmodel name\t: another\n";
        let cpu = parse(text);
        assert_eq!((cpu.vendor.as_str(), cpu.model.as_str(), cpu.threads), ("AuthenticAMD", "AMD EPYC 4244P", 2));
        assert_eq!(parse(""), Cpu::default());
    }
}
