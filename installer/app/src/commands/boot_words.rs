//! What the boot menu asks of the live system, by words on the kernel's command line.

/// Check the medium instead of installing.
pub const CHECK: &str = "sovereign.mode=check";
/// Show the screens in ASCII, without colours.
pub const ASCII: &str = "sovereign.ascii";
/// Never show the screens.
pub const PLAIN: &str = "sovereign.plain";

/// Screens over SSH too (overlays/live/).
pub const SSH: &str = "sovereign.ssh";

/// Whether this system was started with `word`.
pub fn has(word: &str) -> bool {
    is_in(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default(), word)
}

fn is_in(cmdline: &str, word: &str) -> bool {
    cmdline.split_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(is_in("quiet sovereign.ascii console=tty0\n", ASCII));
        assert!(!is_in("quiet sovereign.ascii=no xsovereign.plain\n", ASCII));
        assert!(is_in("sovereign.mode=check", CHECK) && !is_in("sovereign.mode=install", CHECK));
    }
}
