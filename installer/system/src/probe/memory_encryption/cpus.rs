//! Lists of CPUs as the kernel writes them: `0-3,8` (Documentation/admin-guide/cputopology.rst in Linux).

use std::collections::BTreeSet;

/// More CPUs than any x86 kernel counts (`NR_CPUS` is 8192 at most).
const MOST: u32 = 8192;

/// The number of a CPU: decimal digits.
pub(super) fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number < MOST)
}

/// The CPUs of a list; `None` for what is none, or is empty.
pub(super) fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// A list of CPUs in words; empty for none.
pub(super) fn list<'c>(cpus: impl Iterator<Item = &'c u32>) -> String {
    cpus.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_what_is_none_is_refused() {
        let read = |text| parse(text).map(|cpus| cpus.into_iter().collect::<Vec<_>>());
        assert_eq!(read("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(read("0"), Some(vec![0]));
        assert_eq!(read("0,0-1\r\n"), Some(vec![0, 1]));
        assert_eq!(read("8191").map(|cpus| cpus.len()), Some(1));
        for bad in ["", "\n", "0-", "-1", "3-0", "0,,1", "0-3,", "a", "+1", "0 1", "0-4294967295", "8192", "0x1"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
