//! Memory, from /proc/meminfo.

use sovereign_model::bytes::{Bytes, KIB};

use super::ProbeError;

/// `MemTotal`: what the kernel can use, less than what is plugged in. The file's `kB` are 1024 bytes each.
pub(super) fn parse(capture: &str, meminfo: &str) -> Result<Bytes, ProbeError> {
    let bad = |reason: String| ProbeError::Parse { capture: capture.to_owned(), reason };
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let line = line.ok_or_else(|| bad("no line `MemTotal:`".to_owned()))?.trim();
    line.strip_suffix("kB")
        .and_then(|number| number.trim().parse::<u64>().ok())
        .and_then(|kib| Bytes(kib).checked_mul(KIB))
        .ok_or_else(|| bad(format!("`MemTotal: {line}` is not a number of kB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_in_kibibytes() {
        let text = "MemTotal:       32768000 kB\nMemFree:          100 kB\n";
        assert_eq!(parse("proc/meminfo", text).unwrap(), Bytes(33_554_432_000));
    }

    #[test]
    fn what_is_no_total_is_an_error_that_shows_it() {
        for (text, wanted) in [
            ("", "no line `MemTotal:`"),
            ("MemTotal: many kB", "`MemTotal: many kB` is not a number of kB"),
            ("MemTotal: 18446744073709551615 kB", "is not a number of kB"),
        ] {
            let error = parse("proc/meminfo", text).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("`proc/meminfo`"), "{error}");
        }
    }
}
