//! Lines of the kernel's log that speak of memory encryption. A line counts only where a message *begins* with the kernel's words: names of
//! devices are in the log too, and anybody can plug one in.

use sovereign_model::memory_encryption::readings::Log;

/// SME is active, as kernels up to 5.9 say it.
const SME: &str = "AMD Secure Memory Encryption (SME) active";
/// Up to 6.6: what is active follows, `SME` or `SEV`.
const AMD_FEATURES: &str = "AMD Memory Encryption Features active:";
/// Later ones: the vendor follows, and then what is active.
const FEATURES: &str = "Memory Encryption Features active:";
/// TSME, by the driver of the security processor (6.11 and later).
const TSME: [&str; 2] = ["psp: TSME enabled", "psp: Both TSME and SME are active"];
/// What the kernel makes of Intel's TME: `x86/tme: enabled by BIOS`.
const TME: &str = "x86/tme: ";
/// `Hypervisor detected: KVM`
const HYPERVISOR: &str = "Hypervisor detected: ";
/// The first line of every boot.
const BOOT: &str = "Linux version ";

/// Release of a kernel from what it calls itself: `Linux version 6.12.1 (...)`.
pub(super) fn release(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix(BOOT)?.split_ascii_whitespace().next()
}

/// Major and minor number of a release.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor.bytes().take_while(u8::is_ascii_digit).count();
    Some((major, minor.get(..digits)?.parse().ok()?))
}

/// Whether a line of the log is worth keeping.
pub(super) fn matters(line: &str) -> bool {
    let message = message(line);
    message.starts_with(BOOT) || !is_empty(&one(message))
}

/// What the log says of the last boot in it; `None` where there is no log, or it is another kernel's than `running`.
pub(super) fn parse(text: &str, running: Option<&str>, notes: &mut Vec<String>) -> Option<Log> {
    if text.trim().is_empty() {
        notes.push("there is no kernel log".to_owned());
        return None;
    }
    let (mut log, mut of) = (Log::default(), None);
    for message in text.lines().map(message) {
        if let Some(logged) = release(message) {
            (log, of) = (Log::default(), Some(logged));
        }
        let found = one(message);
        log = Log {
            sme: log.sme.or(found.sme),
            tsme: log.tsme.or(found.tsme),
            tme: log.tme.or(found.tme),
            hypervisor: log.hypervisor.or(found.hypervisor),
        };
    }
    if let Some((of, _)) = of.zip(running).filter(|(of, running)| of != running) {
        notes.push(format!("the kernel log is that of {of}, which is not the one that is running: it is not counted"));
        return None;
    }
    if is_empty(&log) {
        notes.push("the kernel log says nothing of memory encryption".to_owned());
    }
    Some(log)
}

fn is_empty(log: &Log) -> bool {
    *log == Log::default()
}

/// What one message says.
fn one(message: &str) -> Log {
    let said = |is: bool| is.then(|| message.to_owned());
    let features = [AMD_FEATURES, FEATURES].iter().find_map(|words| message.strip_prefix(words));
    let sme = features.is_some_and(|features| features.split_ascii_whitespace().any(|word| word == "SME"));
    Log {
        sme: said(sme || message.starts_with(SME)),
        tsme: said(TSME.iter().any(|words| without_device(message).starts_with(words))),
        tme: said(message.starts_with(TME)),
        hypervisor: said(message.starts_with(HYPERVISOR)),
    }
}

/// A message of the driver `ccp` without the device it is about: `ccp 0000:22:00.1: psp: ...`.
fn without_device(message: &str) -> &str {
    let rest = message.strip_prefix("ccp ").and_then(|rest| rest.split_once(": "));
    rest.filter(|(device, _)| device.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b)))
        .map_or(message, |(_, rest)| rest)
}

/// A line without what stands before its message: priority (`<6>`, `kern  :info  :`), the host of a syslog, and the time in any of dmesg's
/// forms.
fn message(line: &str) -> &str {
    let mut rest = line.trim();
    if let Some((_, message)) = rest.split_once(" kernel: ").filter(|(head, _)| is_syslog(head)) {
        rest = message.trim_start();
    }
    if let Some((_, message)) = rest.split_once('>').filter(|(head, _)| is_priority(head)) {
        rest = message.trim_start();
    }
    let mut parts = rest.splitn(3, ':');
    if let (Some("kern"), Some(level), Some(message)) = (parts.next().map(str::trim), parts.next(), parts.next())
        && level.trim().bytes().all(|b| b.is_ascii_lowercase())
    {
        rest = message.trim_start();
    }
    // `[    0.000000] [    T0]`: the time, and who called.
    while let Some((_, message)) =
        rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).filter(|(head, _)| is_time(head))
    {
        rest = message.trim_start();
    }
    match rest.split_once(' ') {
        Some((time, message)) if is_iso(time) => message.trim_start(),
        _ => rest,
    }
}

/// `<6`
fn is_priority(head: &str) -> bool {
    head.strip_prefix('<').is_some_and(|n| (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// What stands before ` kernel: `, date and host: `Nov 26 18:00:00 host`, `2026-11-26T18:00:00.123456+00:00 host`.
fn is_syslog(head: &str) -> bool {
    let words: Vec<&str> = head.split_ascii_whitespace().collect();
    match words.as_slice() {
        [_month, day, time, _host] => day.parse::<u8>().is_ok() && time.split(':').count() == 3,
        [time, _host] => is_iso(time),
        _ => false,
    }
}

/// What stands in the brackets: seconds, a date in words, a difference, a caller (`T0`, `C12`).
fn is_time(head: &str) -> bool {
    let head = head.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | ':' | '+' | '<' | '>');
    head.contains(|c: char| c.is_ascii_digit()) && head.chars().all(good)
}

/// `2026-11-26T18:00:00,123456+00:00`
fn is_iso(word: &str) -> bool {
    word.len() >= 19
        && word.as_bytes().get(10) == Some(&b'T')
        && word.bytes().all(|b| b.is_ascii_digit() || b"-:,.+TZ".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Log {
        parse(text, None, &mut Vec::new()).unwrap()
    }

    #[test]
    fn each_era_says_it_in_its_own_words() {
        for line in [
            "AMD Secure Memory Encryption (SME) active",
            "AMD Memory Encryption Features active: SME",
            "AMD Memory Encryption Features active: SME SEV",
            "Memory Encryption Features active: AMD SME",
        ] {
            assert_eq!(read(line).sme.as_deref(), Some(line));
        }
        for line in [
            "AMD Memory Encryption Features active: SEV SEV-ES",
            "Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP",
            "Memory Encryption Features active: Intel TDX",
            "AMD Secure Encrypted Virtualization (SEV) active",
        ] {
            assert_eq!(read(line), Log::default(), "{line}");
        }
        assert!(read("x86/tme: enabled by BIOS").tme.is_some());
        assert!(read("Hypervisor detected: KVM").hypervisor.is_some());
    }

    #[test]
    fn time_priority_and_host_do_not_hide_a_message() {
        let words = "AMD Memory Encryption Features active: SME";
        for head in [
            "",
            "[    0.123456] ",
            "<6>[    0.123456] ",
            "<6>",
            "kern  :info  : [    0.123456] ",
            "[Thu Nov 26 18:00:00 2026] ",
            "[    0.123456] [    T0] ",
            "[    0.123456][    T0] ",
            "[    0.123456 <    0.000001>] ",
            "[  +0.000001] ",
            "2026-11-26T18:00:00,123456+00:00 ",
            "Nov 26 18:00:00 host kernel: ",
            "Nov 26 18:00:00 host kernel: [    0.123456] ",
            "2026-11-26T18:00:00.123456+00:00 host kernel: ",
        ] {
            assert_eq!(read(&format!("{head}{words}\r\n")).sme.as_deref(), Some(words), "{head:?}");
        }
        for line in ["psp: TSME enabled", "ccp 0000:22:00.1: psp: TSME enabled"] {
            assert!(read(&format!("[    5.000000] {line}")).tsme.is_some(), "{line}");
        }
        assert!(
            read("ccp 0000:22:00.1: psp: Both TSME and SME are active, SME is unnecessary when TSME is active.")
                .tsme
                .is_some()
        );
    }

    #[test]
    fn the_name_of_a_device_says_nothing() {
        for head in [
            "usb 1-1: Product: ",
            "[    9.000000] usb 1-1: Product: ",
            "[    9.000000] usb 1-1: Product: ] ",
            "[    9.000000] usb 1-1: Product: <6>[1.0] ",
            "[    9.000000] usb 1-1: Product: kernel: ",
            "[usb-x] ",
            "a b c d kernel: ",
            "ccp usb 1-1: psp: ",
        ] {
            for words in
                [SME, "AMD Memory Encryption Features active: SME", "psp: TSME enabled", "Hypervisor detected: x"]
            {
                assert_eq!(read(&format!("{head}{words}")), Log::default(), "{head}{words}");
            }
        }
    }

    #[test]
    fn only_the_last_boot_counts_and_only_that_of_the_running_kernel() {
        let text = format!("Linux version 6.1.0 (x)\n{SME}\n[    0.000000] Linux version 6.12.1 (x)\nbooted\n");
        let mut notes = Vec::new();
        assert_eq!(parse(&text, None, &mut notes), Some(Log::default()));
        assert_eq!(parse(&text, Some("6.12.1"), &mut notes), Some(Log::default()));
        let own = format!("Linux version 6.12.1 (x)\n{SME}\n");
        assert!(parse(&own, Some("6.12.1"), &mut notes).is_some_and(|log| log.sme.is_some()));
        assert_eq!(parse(&own, Some("6.12.2"), &mut notes), None);
        assert!(notes.last().is_some_and(|note| note.contains("not the one that is running")), "{notes:?}");
        assert_eq!(parse(" \r\n", None, &mut notes), None);
        assert!(matters(&format!("[ 0.0] {SME}")) && matters("Linux version 1") && !matters("usb 1-1: Product: x"));
    }

    #[test]
    fn versions_are_read_from_what_the_kernel_calls_itself() {
        for (text, wanted) in [
            ("Linux version 6.12.117+deb13-amd64 (x) #1\n", Some((6, 12))),
            ("Linux version 5.18-rc1 (x)", Some((5, 18))),
            ("Linux version 6.8.12-4-pve (x)\r\n", Some((6, 8))),
            ("Linux version six", None),
            ("Linux version 6", None),
            ("FreeBSD 14", None),
            ("", None),
        ] {
            assert_eq!(release(text).and_then(version), wanted, "{text}");
        }
    }
}
