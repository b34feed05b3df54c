//! What /proc/cpuinfo says of each processor that is on line.

use std::collections::BTreeMap;

use sovereign_model::memory_encryption::readings::Flags;

/// Every processor; `None` for one without a line of flags. Of one that is listed twice the worse counts.
pub(super) fn parse(cpuinfo: &str) -> BTreeMap<u32, Option<Flags>> {
    let mut processors: BTreeMap<u32, Option<Flags>> = BTreeMap::new();
    let (mut current, mut vendor) = (None, "");
    for (name, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match (name.trim(), current) {
            ("processor", _) => {
                current = super::cpus::number(value);
                vendor = "";
                if let Some(number) = current {
                    processors.entry(number).or_default();
                }
            }
            ("vendor_id", _) => vendor = value,
            ("flags", Some(number)) => {
                let has = |flag| value.split_ascii_whitespace().any(|word| word == flag);
                let mut flags = Flags {
                    vendor: vendor.to_owned(),
                    sme: has("sme"),
                    tme: has("tme"),
                    hypervisor: has("hypervisor"),
                };
                if let Some(Some(before)) = processors.get(&number) {
                    flags.sme &= before.sme;
                    flags.hypervisor |= before.hypervisor;
                }
                processors.insert(number, Some(flags));
            }
            _ => {}
        }
    }
    processors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_its_own_flags() {
        let text = "processor\t: 0\r\nvendor_id\t: AuthenticAMD\r\nflags\t\t: fpu sme sev\r\n\r\n\
                    processor\t: 2\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu smep hypervisor\n\nprocessor\t: 3\n\nprocessor\t: x\nflags\t: sme\n";
        let found = parse(text);
        let amd = |sme, hypervisor| Some(Flags { vendor: "AuthenticAMD".to_owned(), sme, tme: false, hypervisor });
        assert_eq!(found, BTreeMap::from([(0, amd(true, false)), (2, amd(false, true)), (3, None)]));
        let twice = "processor: 0\nflags: sme\nprocessor: 0\nflags: hypervisor\nprocessor: 0\nflags: sme\n";
        let found = parse(twice);
        assert!(found[&0].as_ref().is_some_and(|flags| !flags.sme && flags.hypervisor));
    }
}
