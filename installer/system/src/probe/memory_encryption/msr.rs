//! Model-specific registers of a CPU, a line each: `0x982 0x0000000000000003`. The device itself is read in [`super::take`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::hex;

/// The registers of a capture. Other lines are passed over, and a register with two values was not read.
pub(super) fn parse(text: &str) -> BTreeMap<u32, u64> {
    let mut registers = BTreeMap::new();
    let mut contradictory = BTreeSet::new();
    for (register, value) in text.lines().filter_map(line) {
        if registers.insert(register, value).is_some_and(|before| before != value) {
            contradictory.insert(register);
        }
    }
    registers.retain(|register, _| !contradictory.contains(register));
    registers
}

fn line(line: &str) -> Option<(u32, u64)> {
    let mut words = line.split_ascii_whitespace();
    let (register, value) = (hex(words.next()?, 8)?, hex(words.next()?, 16)?);
    words.next().is_none().then_some((u32::try_from(register).ok()?, value))
}

/// The capture of registers.
pub(super) fn text(registers: &BTreeMap<u32, u64>) -> String {
    let mut text = String::new();
    for (register, value) in registers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{register:#x} {value:#018x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_survive_being_written_down() {
        let registers = BTreeMap::from([(0x982, 3), (0xc001_0010, u64::MAX)]);
        assert_eq!(text(&registers), "0x982 0x0000000000000003\n0xc0010010 0xffffffffffffffff\n");
        assert_eq!(parse(&text(&registers)), registers);
        assert_eq!(parse("0XC0010010\t0XFFFFFFFFFFFFFFFF \r\n0x00000982 0x3"), registers);
    }

    #[test]
    fn what_is_no_register_or_has_two_values_was_not_read() {
        for bad in [
            "0x982",
            "0x982 3",
            "982 0x3",
            "0x982 0x",
            "0x982 0x3 0x4",
            "0x982=0x3",
            "0x982 0x00000000000000003",
            "0x982 -0x3",
            "0x982 0x3\n0x982 0x2\n0x982 0x3",
            "\0\u{fffd}",
        ] {
            assert!(parse(bad).is_empty(), "{bad:?}");
        }
        assert_eq!(parse("0x982 0x3\n0x982 0x3\n").len(), 1);
    }
}
