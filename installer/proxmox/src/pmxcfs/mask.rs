//! Takes secrets out of a text that is shown, outside of `priv` too.
//!
//! Proxmox keeps most secrets below `priv`, and some elsewhere: `client-key` and `tfa` in domains.cfg, `token` in sdn/ipams.cfg, `key` in
//! sdn/dns.cfg, a proxy's password in datacenter.cfg, old second factors in user.cfg, whatever stands in `args` of a guest. No list of these would
//! stay complete, so names decide. Not shown are:
//! - the value of a key that is named like a secret ([`is_secret_name`]): the rest of a line `key value`, `key: value` or `key = value`, a part
//!   `key=value` of any line, an option `--key value`, a member `"key": "value"` of JSON;
//! - in a line that speaks of a secret, `data=` too: QEMU's `-object secret,data=...`;
//! - what stands before the `@` of a URL;
//! - of a `user:` line in user.cfg, the eighth field and all after it.
//!
//! It rather hides too much than too little: `token` of corosync.conf alone is known to be a time.

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "(not shown)";

/// Field of a `user:` line with keys of a second factor; PVE/AccessControl.pm, `parse_user_config`.
const USER_KEYS: usize = 8;

/// Parts of names of secrets.
const PARTS: [&str; 9] =
    ["passw", "passphrase", "passcode", "secret", "token", "credential", "authorization", "header", "private"];

/// Words that are names of secrets by themselves.
const WORDS: [&str; 5] = ["key", "pass", "psk", "pw", "pwd"];

/// The text of a file, without its secrets. `path` is relative to the root.
pub(super) fn masked(path: &str, text: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mask = |line: &str| {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let shown = if name.starts_with("user.cfg") {
            without_parts(&without_user_keys(text))
        } else if name.starts_with("corosync.conf") && key_of(text.trim_start()).0 == "token" {
            text.to_owned()
        } else {
            without_values(text)
        };
        without_userinfo(&shown) + end
    };
    text.split_inclusive('\n').map(mask).collect()
}

/// Whether a key of this name has a secret: `password`, `client-key`, `api_token`, `cipassword`; not `sshkeys` or `master-pubkey`.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let public = name.contains("pub") || name.contains("ssh");
    PARTS.iter().any(|part| name.contains(part))
        || name.split(['-', '_', '.']).any(|word| WORDS.contains(&word) && !public)
        || (name.ends_with("key") && !public)
}

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The name a text begins with, and what follows it.
fn key_of(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()))
}

fn without_user_keys(line: &str) -> String {
    let fields: Vec<&str> = line.split(':').collect();
    if fields.first().map(|field| field.trim()) != Some("user") {
        return line.to_owned();
    }
    let hide = |(index, field): (usize, &&str)| {
        if index >= USER_KEYS && !field.trim().is_empty() { HIDDEN.to_owned() } else { (*field).to_owned() }
    };
    fields.iter().enumerate().map(hide).collect::<Vec<_>>().join(":")
}

/// A line that is `key value` as a whole, or any other.
fn without_values(line: &str) -> String {
    let body = line.trim_start_matches(|c: char| c.is_whitespace() || c == '#');
    let (lead, comment) = (&line[..line.len() - body.len()], line.trim_start().starts_with('#'));
    let (key, rest) = key_of(body);
    let bare = rest.trim_start();
    // A description has its colons as %3A.
    let value = [":", "=", "%3A"].iter().find_map(|sign| bare.strip_prefix(sign));
    let value =
        value.or_else(|| (!comment && rest.starts_with(char::is_whitespace)).then_some(bare)).map(str::trim_start);
    match value {
        Some(value) if is_secret_name(key) && !value.is_empty() => {
            format!("{lead}{key}{}{HIDDEN}", &rest[..rest.len() - value.len()])
        }
        _ => format!("{lead}{}", without_parts(body)),
    }
}

/// A line in which `key=value`, `--key value` or `"key": "value"` may stand anywhere.
fn without_parts(line: &str) -> String {
    let speaks_of_secrets = line.contains("secret");
    let mut shown = String::with_capacity(line.len());
    let mut left = line;
    let mut quote = None;
    while let Some(first) = left.chars().next() {
        if !is_name(first) {
            if matches!(first, '"' | '\'') {
                quote = match quote {
                    None => Some(first),
                    Some(open) if open == first => None,
                    open => open,
                };
            }
            let (head, tail) = left.split_at(first.len_utf8());
            shown.push_str(head);
            left = tail;
            continue;
        }
        let (key, rest) = key_of(left);
        shown.push_str(key);
        left = rest;
        let bare = key.trim_start_matches('-');
        let is_secret = is_secret_name(bare) || (speaks_of_secrets && bare == "data");
        if is_secret
            && let Some((gap, value)) = value_after(rest, key.starts_with('-'), quote)
            && value > gap
        {
            shown.push_str(&rest[..gap]);
            shown.push_str(HIDDEN);
            left = &rest[value..];
            // The quotation that the name stood in has ended with it.
            if rest[..gap].contains(['"', '\'']) {
                quote = None;
            }
        }
    }
    shown
}

/// Where the value behind a name begins and ends, in bytes; `quote` is the quotation that the name stands in.
fn value_after(rest: &str, is_option: bool, quote: Option<char>) -> Option<(usize, usize)> {
    if let Some(value) = rest.strip_prefix('=') {
        return Some((1, 1 + length(value, quote)));
    }
    // JSON, whose quotes may be escaped in a quotation.
    let unquoted = rest.strip_prefix('\\').unwrap_or(rest);
    if let Some(value) = unquoted.strip_prefix(['"', '\'']) {
        let value = value.trim_start().strip_prefix(':')?.trim_start();
        let gap = rest.len() - value.len();
        let length = match value.chars().next() {
            Some('"' | '\'' | '\\') => length(value, None),
            // What is inside is secret too, wherever it ends.
            Some('{' | '[') => value.len(),
            _ => value.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']')).unwrap_or(value.len()),
        };
        return Some((gap, gap + length));
    }
    let value = rest.trim_start();
    let gap = rest.len() - value.len();
    (is_option && gap > 0).then(|| (gap, gap + length(value, quote)))
}

/// How many bytes a value has: to the end of its quotation, or else to a comma, the end of a word or that of the quotation around it. Two commas
/// are one within a value (QEMU).
fn length(value: &str, around: Option<char>) -> usize {
    let escaped = value.strip_prefix('\\').filter(|rest| rest.starts_with(['"', '\'']));
    if let Some(quotation) = escaped {
        return quotation[1..].find("\\\"").map_or(value.len(), |end| end + 4);
    }
    let mut chars = value.char_indices().peekable();
    let own = chars.next_if(|(_, c)| matches!(c, '"' | '\'')).map(|(_, c)| c);
    while let Some((at, c)) = chars.next() {
        match (own, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(own), c) if c == own => return at + 1,
            (None, ',') if chars.next_if(|(_, next)| *next == ',').is_some() => {}
            (None, ',') => return at,
            (None, c) if around == Some(c) || (around.is_none() && c.is_whitespace()) => return at,
            _ => {}
        }
    }
    value.len()
}

/// A text in which no URL has a user or password.
fn without_userinfo(text: &str) -> String {
    const SCHEME: &str = "://";
    let mut shown = String::with_capacity(text.len());
    let mut left = text;
    while let Some(at) = left.find(SCHEME) {
        let (head, rest) = left.split_at(at + SCHEME.len());
        shown.push_str(head);
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
        // A password may have slashes and commas, right or not.
        let userinfo = rest[..end].rfind('@').unwrap_or(0);
        if userinfo > 0 {
            shown.push_str(HIDDEN);
        }
        left = &rest[userinfo..];
    }
    shown + left
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line with the word `SECRET` in place of what must go, and how it is shown.
    fn shows(path: &str, lines: &[(&str, &str)]) {
        for (line, shown) in lines {
            assert_eq!(masked(path, line), *shown);
        }
    }

    #[test]
    fn values_of_keys_that_are_named_like_secrets() {
        shows(
            "domains.cfg",
            &[
                ("\tclient-key SECRET\n", "\tclient-key (not shown)\n"),
                ("\tclient-key\tSECRET SECRET", "\tclient-key\t(not shown)"),
                ("\tclient-id x\n", "\tclient-id x\n"),
                ("\ttfa type=yubico,id=1,key=SECRET,url=u\n", "\ttfa type=yubico,id=1,key=(not shown),url=u\n"),
                ("\tpassword\n", "\tpassword\n"),
            ],
        );
        shows("sdn/ipams.cfg", &[("\ttoken SECRET\n", "\ttoken (not shown)\n")]);
        shows("sdn/dns.cfg", &[("  key SECRET\n", "  key (not shown)\n"), ("  ttl 5\n", "  ttl 5\n")]);
        shows(
            "ceph.conf",
            &[("admin_secret = SECRET\n", "admin_secret = (not shown)\n"), ("keyring = /x\n", "keyring = /x\n")],
        );
        shows("notifications.cfg", &[("\theader name=A,value=SECRET\n", "\theader (not shown)\n")]);
        shows(
            "storage.cfg",
            &[("\tmaster-pubkey /x\n", "\tmaster-pubkey /x\n"), ("\tapikey SECRET", "\tapikey (not shown)")],
        );
        shows(
            "datacenter.cfg",
            &[("keyboard: de\n", "keyboard: de\n"), ("x: API_KEY=SECRET", "x: API_KEY=(not shown)")],
        );
    }

    #[test]
    fn a_guests_configuration() {
        shows(
            "nodes/n/qemu-server/100.conf",
            &[
                ("cipassword: $5$SECRET\n", "cipassword: (not shown)\n"),
                (" CIPassword:SECRET", " CIPassword:(not shown)"),
                ("sshkeys: ssh-ed25519%20AAAA\n", "sshkeys: ssh-ed25519%20AAAA\n"),
                ("args: -spice port=1,password=SECRET,x=1 -S\n", "args: -spice port=1,password=(not shown),x=1 -S\n"),
                ("args: -vnc :1,password=SEC,,RET -S", "args: -vnc :1,password=(not shown) -S"),
                ("args: -x 'a=1,password=SEC RET' -S", "args: -x 'a=1,password=(not shown)' -S"),
                ("args: -x password='SEC RET' -S", "args: -x password=(not shown) -S"),
                ("args: -x password=\"SEC\\\" RET\" -S", "args: -x password=(not shown) -S"),
                ("args: -x password=SEC}RE]T -S", "args: -x password=(not shown) -S"),
                ("args: --password SECRET -S", "args: --password (not shown) -S"),
                (
                    "args: -object secret,id=s,data=SECRET,format=raw",
                    "args: -object secret,id=s,data=(not shown),format=raw",
                ),
                ("args: -drive file=rbd:p/x:id=a:key=SEC==", "args: -drive file=rbd:p/x:id=a:key=(not shown)"),
                (
                    "args: -o '{\"password\": \"SEC,RET\", \"a\": 1}' -S",
                    "args: -o '{\"password\": (not shown), \"a\": 1}' -S",
                ),
                (
                    "args: -o \"{\\\"key\\\":\\\"SECRET\\\",\\\"a\\\":1}\"",
                    "args: -o \"{\\\"key\\\":(not shown),\\\"a\\\":1}\"",
                ),
                ("#root password%3A SECRET\n", "#root password%3A SECRET\n"),
                ("#password%3A SECRET\n", "#password%3A (not shown)\n"),
                ("# the key is below the mat\n", "# the key is below the mat\n"),
                ("scsi0: local-lvm:vm-100-disk-0,size=32G\n", "scsi0: local-lvm:vm-100-disk-0,size=32G\n"),
            ],
        );
        shows(
            "nodes/n/lxc/1.conf",
            &[("lxc.environment: DB_PASSWORD=SECRET\n", "lxc.environment: DB_PASSWORD=(not shown)\n")],
        );
    }

    #[test]
    fn json_on_one_line() {
        shows(
            "sdn/.running-config",
            &[
                (
                    r#"{"dns":{"ids":{"p":{"key":"SEC\"RET","ttl":5}}},"token": 5}"#,
                    r#"{"dns":{"ids":{"p":{"key":(not shown),"ttl":5}}},"token": (not shown)}"#,
                ),
                (r#"{"a":1,"secrets":[{"value":"SECRET"}]}"#, r#"{"a":1,"secrets":(not shown)"#),
            ],
        );
    }

    #[test]
    fn users_and_passwords_in_addresses() {
        shows(
            "datacenter.cfg",
            &[
                ("http_proxy: http://u:SECRET@p:3128\n", "http_proxy: http://(not shown)@p:3128\n"),
                ("http_proxy: http://u:SEC/R@,T@p:3128/x", "http_proxy: http://(not shown)@p:3128/x"),
                ("http_proxy: http://p:3128\n", "http_proxy: http://p:3128\n"),
                ("# a@b http://SECRET@c and https://d e@f\n", "# a@b http://(not shown)@c and https://d e@f\n"),
            ],
        );
        shows("user.cfg", &[("group:g::see http://SECRET@x:\n", "group:g::see http://(not shown)@x:\n")]);
    }

    #[test]
    fn second_factors_of_users() {
        shows(
            "user.cfg",
            &[
                ("user:root@pam:1:0:::a@b.c::x!oath SECRET:\n", "user:root@pam:1:0:::a@b.c::(not shown):\n"),
                (
                    " user : a@pve:1:0:F:L::key%3A:SECRET:SECRET\n",
                    " user : a@pve:1:0:F:L::key%3A:(not shown):(not shown)\n",
                ),
                ("user:root@pam:1:0:::a@b.c::\n", "user:root@pam:1:0:::a@b.c::\n"),
                ("token:root@pam!t:0:1::\n", "token:root@pam!t:0:1::\n"),
            ],
        );
    }

    #[test]
    fn a_time_of_corosync_is_no_secret() {
        let text = "totem {\n  token: 1000\n  secauth: on\n}\n";
        assert_eq!(masked("corosync.conf", text), text);
        assert_eq!(masked("x", "  token: 1000"), "  token: (not shown)");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_shown_without_a_password_in_it(
            before in "[a-z ,:\"'\\\\#{}=@/-]{0,12}", secret in "[A-Z0-9]{9}", after in "([ ,].{0,12})?",
        ) {
            for line in [format!("{before} password={secret}{after}"), format!("{before} http://u:{secret}@h{after}")] {
                let shown = masked("x", &line);
                proptest::prop_assert!(!shown.contains(&secret), "{}", shown);
            }
        }
    }
}
