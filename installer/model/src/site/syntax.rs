//! Syntax of single values in a site file. Each check returns what is wrong, as the rest of a sentence that begins with the key.

use crate::text::is_unseen;

mod address;

pub(super) use address::{Cidr, cidr, reachable};

/// A fully qualified domain name in lower case (RFC 1123, 2.1; RFC 1035, 2.3.4).
pub(super) fn fqdn(name: &str) -> Result<(), &'static str> {
    let labels: Vec<&str> = name.split('.').collect();
    if name.len() > 253 {
        return Err("is longer than 253 characters");
    }
    if labels.len() < 2 {
        return Err("has no domain: write host and domain, such as \"host.example.org\"");
    }
    for label in &labels {
        if label.is_empty() || label.len() > 63 {
            return Err("has a part that is empty or longer than 63 characters");
        }
        if label.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err("has capitals: write it in lower case");
        }
        if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            || label.starts_with('-')
            || label.ends_with('-')
        {
            return Err("may have only letters, digits and inner hyphens between its dots");
        }
    }
    if labels.first().is_some_and(|first| is_number(first)) {
        return Err(
            "begins with a number, which programs take for an IP address and Proxmox VE refuses: give the host a name with a letter",
        );
    }
    if labels.first() == Some(&"localhost") {
        return Err("begins with localhost, which stands for every machine itself: give the host a name of its own");
    }
    if labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err(
            "ends in a number, so it looks like an IP address: write host and domain, such as \"host.example.org\"",
        );
    }
    Ok(())
}

/// What inet_aton(3), and so the look-up of a name, reads as a number: decimal, octal or, after `0x`, hexadecimal digits.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").filter(|digits| !digits.is_empty());
    label.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Name of an installation: it becomes part of file names.
pub(super) fn name(name: &str) -> Result<(), &'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(good) || name.starts_with(['.', '-']) {
        return Err("is no safe name: use 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit");
    }
    Ok(())
}

/// An IANA time zone, by its form: `Area/Location` or `UTC`.
pub(super) fn timezone(zone: &str) -> Result<(), &'static str> {
    let good = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
            && part.len() <= 14
    };
    let parts: Vec<&str> = zone.split('/').collect();
    if zone == "UTC" || ((2..=3).contains(&parts.len()) && parts.iter().all(|part| good(part))) {
        return Ok(());
    }
    Err("is no IANA time zone: write it as \"Europe/Berlin\" or \"Etc/UTC\"")
}

/// An XKB layout: `de`, `us`, `latam`.
pub(super) fn keyboard(layout: &str) -> Result<(), &'static str> {
    if (2..=12).contains(&layout.len()) && layout.bytes().all(|b| b.is_ascii_lowercase()) {
        return Ok(());
    }
    Err("is no XKB layout: write its short name in lower case, such as \"de\" or \"us\"")
}

/// A UTF-8 locale: `C.UTF-8`, `en_US.UTF-8`, `de_DE.UTF-8@euro`.
pub(super) fn locale(locale: &str) -> Result<(), &'static str> {
    let wrong = Err("is no UTF-8 locale: write it as \"en_US.UTF-8\" or \"C.UTF-8\"");
    let (base, modifier) = locale.split_once('@').unwrap_or((locale, "x"));
    let Some(language) = base.strip_suffix(".UTF-8") else { return wrong };
    let lower = |s: &str| (2..=3).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_lowercase());
    let upper = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_uppercase());
    let known = language == "C" || language.split_once('_').is_some_and(|(l, c)| lower(l) && upper(c));
    if known && !modifier.is_empty() && modifier.bytes().all(|b| b.is_ascii_alphanumeric()) { Ok(()) } else { wrong }
}

/// A mail address as Proxmox's own installer takes it, which is what HTML calls valid (HTML, 4.10.5.1.5): no quoted forms, and each label of
/// the domain a DNS label. Not what stands for a pipe or a file in aliases(5), in quotes too, nor what postfix takes for an option
/// (postconf(5), `allow_min_user`): mail would be lost, or run as a command.
pub(super) fn email(address: &str) -> Result<(), &'static str> {
    let wrong = Err("is no mail address: write it as \"name@example.org\"");
    let Some((local, domain)) = address.split_once('@') else { return wrong };
    let good = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(inner) && !l.starts_with('-') && !l.ends_with('-');
    if local.is_empty() || !local.bytes().all(good) || !domain.split('.').all(label) {
        return wrong;
    }
    if local.starts_with(['|', '/', '~', '-']) {
        return Err(
            "begins with `|`, `/`, `~` or `-`, which mail servers take for a command, a file or an option: use another address",
        );
    }
    Ok(())
}

/// A public key as in `authorized_keys`, without options: type, base64, comment (sshd(8)).
pub(super) fn ssh_key(line: &str) -> Result<(), &'static str> {
    const KINDS: [&str; 7] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    if line.contains("PRIVATE KEY") {
        return Err(
            "is a private key: give the public one, from the file ending in .pub, and treat the private one as lost",
        );
    }
    if line.chars().any(char::is_control) {
        return Err("has a line break or control character: a key is one line");
    }
    let mut fields = line.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (fields.next(), fields.next()) else {
        return Err("is no public key: write the one line of the .pub file, such as \"ssh-ed25519 AAAA... name\"");
    };
    if !KINDS.contains(&kind) {
        return Err(
            "is of no known type: write \"ssh-ed25519 AAAA... name\" (or ssh-rsa, ecdsa-sha2-..., sk-...), without options",
        );
    }
    // The blob begins with its type again: 4 bytes of length, big-endian, and the text.
    let bytes = base64(blob).ok_or("is damaged: its second word is not base64")?;
    let inner = bytes.get(4..4 + kind.len());
    let length = bytes.first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
    if inner != Some(kind.as_bytes()) || length != Some(kind.len()) {
        return Err("is damaged: its base64 does not hold a key of the type its first word says");
    }
    if bytes.len() < kind.len() + 4 + 36 {
        return Err("is cut off: copy the whole line");
    }
    Ok(())
}

/// Standard base64 with padding (RFC 4648, 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let data = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - data.len() > 2 {
        return None;
    }
    let (mut out, mut buffer, mut bits) = (Vec::new(), 0u32, 0);
    for byte in data.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0x00ff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(buffer >> bits & 0xff).ok()?);
        }
    }
    Some(out)
}

/// A crypt(3) hash that Debian 13's libcrypt checks and that is not weak (crypt(5)): yescrypt, scrypt, bcrypt, SHA-512, SHA-256.
pub(super) fn crypt_hash(hash: &str) -> Result<(), &'static str> {
    let alphabet = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    let mut fields = hash.split('$');
    if fields.next() != Some("") {
        return Err(
            "is not a crypt hash, and a plain-text password is never accepted: make one with `mkpasswd -m yescrypt`",
        );
    }
    let Some(id) = fields.next() else { return Err("is cut off: copy the whole line") };
    let rest: Vec<&str> = fields.collect();
    let last = rest.last().copied().unwrap_or_default();
    let good = match (id, rest.as_slice()) {
        ("1", _) => return Err("is an MD5 hash, which is too weak: make one with `mkpasswd -m yescrypt`"),
        ("y" | "gy", [parameters, salt, _]) => {
            alphabet(parameters) && !parameters.is_empty() && alphabet(salt) && last.len() == 43
        }
        ("7", [salt, _]) => alphabet(salt) && last.len() == 43,
        ("2a" | "2b" | "2y", [cost, _]) => {
            cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit()) && last.len() == 53
        }
        ("5" | "6", [rounds @ .., salt, _]) => {
            let rounds = match rounds {
                [] => true,
                [one] => one.strip_prefix("rounds=").is_some_and(|n| n.parse::<u32>().is_ok()),
                _ => false,
            };
            rounds
                && !salt.is_empty()
                && salt.len() <= 16
                && alphabet(salt)
                && last.len() == if id == "5" { 43 } else { 86 }
        }
        ("y" | "gy" | "7" | "2a" | "2b" | "2y" | "5" | "6", _) => return Err("is a crypt hash with parts missing"),
        _ => return Err("is a hash of an unknown kind: make one with `mkpasswd -m yescrypt`"),
    };
    if good && alphabet(last) {
        Ok(())
    } else {
        Err("is a damaged or cut off crypt hash: copy the whole line `mkpasswd` printed")
    }
}

/// A unicast MAC address, six pairs with colons or hyphens.
pub(super) fn mac(mac: &str) -> Result<(), &'static str> {
    let wrong = Err("is no MAC address: write it as \"52:54:00:12:34:56\"");
    let parts: Vec<&str> = mac.split(if mac.contains(':') { ':' } else { '-' }).collect();
    if parts.len() != 6 || !parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit())) {
        return wrong;
    }
    match u8::from_str_radix(parts[0], 16) {
        Ok(first) if first & 1 == 1 => {
            Err("is a multicast or broadcast address, which no interface has: copy it from `sovereign-installer probe`")
        }
        Ok(_) if parts.iter().all(|part| *part == "00") => {
            Err("is all zeros, which no interface has: copy it from `sovereign-installer probe`")
        }
        Ok(_) => Ok(()),
        Err(_) => wrong,
    }
}

/// An interface name as the kernel takes it (`dev_valid_name()`, net/core/dev.c).
pub(super) fn interface(name: &str) -> Result<(), &'static str> {
    let good = !name.is_empty() && name.len() <= 15 && name != "." && name != "..";
    if good && name.bytes().all(|b| b.is_ascii_graphic() && !b"/:\"'\\$`%".contains(&b)) {
        return Ok(());
    }
    Err("is no interface name: write it as `ip link` shows it, such as \"enp3s0\"")
}

/// A file name on a FAT file system, not a path.
pub(super) fn file_name(name: &str) -> Result<(), &'static str> {
    if name.contains(['/', '\\']) || name == ".." || name == "." {
        return Err("is a path: write the name of a file in the root of the answer medium");
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.bytes().all(good) {
        return Err("is no safe file name: use 1 to 64 letters, digits, `-`, `_` and `.`");
    }
    Ok(())
}

/// Most characters of an attestation: it is shown whole in reports and banners.
const ATTESTATION_MAX: usize = 200;

/// What somebody signs: one line that says something.
pub(super) fn attestation(text: &str) -> Result<(), &'static str> {
    if text.chars().any(is_unseen) {
        return Err("has a line break or control character: write one line");
    }
    if !text.chars().any(char::is_alphabetic) || text.trim() != text {
        return Err("says nothing, or begins or ends with a blank: write who checked what and when");
    }
    if text.chars().count() > ATTESTATION_MAX {
        return Err("is longer than 200 characters: write one line, who checked what and when");
    }
    Ok(())
}

/// A serial port of a PC as the kernel names it.
pub(super) fn serial_port(port: &str) -> Result<(), &'static str> {
    let number = port
        .strip_prefix("ttyS")
        .filter(|n| n.bytes().all(|b| b.is_ascii_digit()) && !(n.len() > 1 && n.starts_with('0')));
    if number.and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| n < 32) {
        return Ok(());
    }
    Err("is no serial port: write \"ttyS0\" (COM1), \"ttyS1\" (COM2) and so on, without /dev/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused stands in tests/site; these must pass.
    #[test]
    fn good_values_are_accepted() {
        for good in [
            "host.example.org",
            "a.b",
            "xn--bcher-kva.example",
            "h-1.2.de",
            "1a.example.org",
            "0x.example.org",
            "0xg.example.org",
            "1-2.example.org",
            "a.1.example.org",
        ] {
            assert_eq!(fqdn(good), Ok(()), "{good}");
        }
        for good in [
            "Europe/Berlin",
            "Etc/UTC",
            "UTC",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+12",
            "America/Port-au-Prince",
        ] {
            assert_eq!(timezone(good), Ok(()), "{good}");
        }
        for good in ["C.UTF-8", "en_US.UTF-8", "de_DE.UTF-8@euro", "fil_PH.UTF-8"] {
            assert_eq!(locale(good), Ok(()), "{good}");
        }
        for good in ["de", "us", "latam"] {
            assert_eq!(keyboard(good), Ok(()), "{good}");
        }
        // What Proxmox's installer takes.
        for good in [
            "admin@example.org",
            "a.b+c@EXAMPLE.org",
            "o'neill@mail.example.org",
            "root@localhost",
            ".a..b.@host",
            "a!#$%&'*+/=?^_`{|}~-@1.2",
        ] {
            assert_eq!(email(good), Ok(()), "{good}");
        }
        for good in ["52:54:00:12:34:56", "52-54-00-AB-CD-EF"] {
            assert_eq!(mac(good), Ok(()), "{good}");
        }
        for good in ["ttyS0", "ttyS1", "ttyS31"] {
            assert_eq!(serial_port(good), Ok(()), "{good}");
        }
        assert_eq!(serial_port("ttyS"), serial_port("ttyS32"));
        assert_eq!(interface("enp0s31f6"), Ok(()));
        assert_eq!(file_name("passphrase.txt"), Ok(()));
        assert_eq!(
            ssh_key(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqXgRLKG73K+sIxs5oj3E2nhu/4FHxOcrmAd4Wv7ki7 technician@example.org"
            ),
            Ok(())
        );
    }

    #[test]
    fn a_host_name_that_reads_as_a_number_is_refused() {
        for bad in
            ["1.example.org", "007.example.org", "3232235777.example.org", "0x7f.example.org", "0xdead.example.org"]
        {
            assert!(fqdn(bad).is_err_and(|what| what.starts_with("begins with a number")), "{bad}");
        }
    }

    #[test]
    fn addresses_that_mail_cannot_be_sent_to_are_refused() {
        for bad in
            ["", "a", "@b", "a@", "a:b@c", "a b@c", "a@b\n", "a@b@c", "ä@b.c", "\"a\"@b", "a@b_c", "a@-b", "a@b..c"]
        {
            assert!(email(bad).is_err_and(|what| what.starts_with("is no mail address")), "{bad}");
        }
        for bad in ["|sh@example.org", "/root/mail@example.org", "~/mail@example.org", "-f@example.org"] {
            assert!(email(bad).is_err_and(|what| what.contains("for a command, a file or an option")), "{bad}");
        }
    }

    #[test]
    fn hashes_of_each_kind_are_accepted_and_a_cut_one_is_not() {
        for good in [
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            "$6$rounds=5000$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz11",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz11",
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "$2b$12$abcdefghijklmnopqrstuuS9gC7zHqQh6XwQ5fJ8Zc1n1u0Jk7m2a",
        ] {
            assert_eq!(crypt_hash(good), Ok(()), "{good}");
            for cut in [&good[..good.len() - 1], &good[..good.len() / 2], &good[..4]] {
                assert!(crypt_hash(cut).is_err(), "{cut}");
            }
        }
        for bad in ["", "!", "secret", "$", "$6", "$9$salt$hash", "$$$$", "$6$$$"] {
            assert!(crypt_hash(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_lost_a_character_is_refused() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMqXgRLKG73K+sIxs5oj3E2nhu/4FHxOcrmAd4Wv7ki7 technician@example.org";
        for cut in [25, 40, 60] {
            assert!(ssh_key(&key[..cut]).is_err(), "{cut}");
        }
        assert!(ssh_key(&key.replacen("ssh-ed25519", "ssh-rsa", 1)).is_err());
    }
}
