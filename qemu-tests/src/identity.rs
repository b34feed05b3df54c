//! What two machines of one image have in common, and what of it would be one identity for both.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::boot;
use crate::failure::OrFail;
use crate::host::{self, HostError};
use crate::installed::Installed;
use crate::shell::Shell;
use crate::timing::Lab;

/// Hashing the changeable part of a root file system through dm-crypt under TCG.
const LISTING_TIMEOUT: Duration = Duration::from_secs(600);
/// Where a machine may keep an identity: everything but the programs that packages ship.
const FOLDERS: &str = "/etc /var /root /home /usr/local /boot";
/// A private key, or something drawn at random: a UUID, 32 and more hexadecimal digits, or a long word of base64.
const RANDOM: &str = r"PRIVATE KEY|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(^|[^0-9a-zA-Z])[0-9a-f]{32,}($|[^0-9a-zA-Z])|[A-Za-z0-9+/]{43,}=";

/// Files that are an identity whatever is in them, text or not; beginnings of paths.
const IDENTITIES: [&str; 15] = [
    "/etc/machine-id",
    "/etc/hostid",
    "/etc/ssh/ssh_host_",
    "/etc/sovereign/keys/",
    "/etc/sovereign/luks-headers/",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/chrony/chrony.keys",
    "/etc/corosync/authkey",
    "/etc/openvswitch/conf.db",
    "/etc/openvswitch/system-id.conf",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
];

/// What a machine has that could tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// SHA-256 of each file that no package ships as it is, by path; `!` before the hash where it holds something drawn at random.
    pub files: BTreeMap<String, String>,
    /// Names drawn for this machine, by what they are: machine ID, keys, UUIDs of disks.
    pub names: BTreeMap<String, String>,
}

impl Listing {
    /// The listing of a machine that was installed and started once. Made once for all tests that ask.
    #[track_caller]
    pub fn of(installed: &Installed) -> Self {
        let file = installed.folder.join("listing.txt");
        let _lock = host::lock(&installed.folder.join("listing.lock")).or_fail();
        if !file.exists() {
            let lab = Lab::new(&format!("listing_{}", name(installed)));
            let vm = installed.machine(&lab).power_on("listing");
            let shell = boot::unlock_and_log_in(&vm);
            shell.wait_until(
                "systemctl is-system-running --wait",
                crate::console::re("^running$|^degraded$"),
                boot::LOGIN_TIMEOUT,
            );
            Self::keep(installed, &shell);
            boot::power_off(&shell);
            boot::off(vm);
        }
        Self::read(&file)
    }

    /// Makes the listing of a running machine, for those who ask later.
    #[track_caller]
    pub fn keep(installed: &Installed, shell: &Shell<'_>) {
        let text = shell.ok_within(&script(), LISTING_TIMEOUT);
        let file = installed.folder.join("listing.txt");
        std::fs::write(&file, text).map_err(|source| HostError::file("write", &file, source)).or_fail();
    }

    #[track_caller]
    fn read(file: &PathBuf) -> Self {
        let text = std::fs::read_to_string(file).map_err(|source| HostError::file("read", file, source)).or_fail();
        Self::parse(&text)
    }

    /// Lines of `file HASH PATH` and `name WHAT VALUE`.
    pub fn parse(text: &str) -> Self {
        let mut listing = Self { files: BTreeMap::new(), names: BTreeMap::new() };
        for line in text.lines() {
            match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
                ["file", hash, path] => drop(listing.files.insert(path.to_owned(), hash.to_owned())),
                ["name", what, value] => drop(listing.names.insert(what.to_owned(), value.to_owned())),
                _ => {}
            }
        }
        listing
    }

    /// Files that both have with the same contents, and of these the ones that hold something drawn at random.
    pub fn shared<'a>(&'a self, other: &Self) -> (Vec<&'a str>, Vec<&'a str>) {
        let same = self.files.iter().filter(|(path, hash)| other.files.get(*path) == Some(hash));
        let is_identity = |path: &str| IDENTITIES.iter().any(|known| path.starts_with(known));
        let (random, plain): (Vec<_>, Vec<_>) =
            same.partition(|(path, hash)| hash.starts_with('!') || is_identity(path));
        let paths = |files: Vec<(&'a String, &'a String)>| files.into_iter().map(|(path, _)| path.as_str()).collect();
        (paths(plain), paths(random))
    }
}

fn name(installed: &Installed) -> String {
    installed.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Prints the listing on the machine. A file that a package ships and nobody changed is everybody's, whatever is in it.
fn script() -> String {
    format!(
        "cd /; cat /var/lib/dpkg/info/*.list | sort -u >/run/shipped; \
         dpkg-query -W -f '${{Conffiles}}\\n' | awk '$1 ~ /^\\// {{ print $2 \"  \" $1 }}' >/run/conffiles; \
         md5sum -c /run/conffiles 2>/dev/null | sed -n 's/: OK$//p' | sort -u >/run/unchanged; \
         find {FOLDERS} -xdev -type f ! -path '/var/lib/dpkg/info/*' ! -path '/var/log/journal/*' ! -path '/var/cache/*' \
             ! -path '/var/lib/systemd/catalog/*' ! -path '/boot/grub/*/*.mod' | sort -u >/run/files; \
         comm -23 /run/files /run/unchanged | while read -r path; do \
             case $path in /etc/*|/root/*) ;; *) grep -qxF -e \"$path\" /run/shipped && continue ;; esac; \
             mark=; [ $(stat -c %s \"$path\") -gt 1048576 ] || ! grep -qaE '{RANDOM}' \"$path\" || mark='!'; \
             echo \"file $mark$(sha256sum <\"$path\" | cut -d' ' -f1) $path\"; \
         done; \
         echo name machine-id $(cat /etc/machine-id); \
         echo name hostid $(hostid); \
         for key in /etc/ssh/ssh_host_*_key.pub; do echo name $(basename $key) $(cut -d' ' -f2 $key); done; \
         blkid -o export | awk -F= '$1 == \"DEVNAME\" {{ d = $2 }} $1 ~ /UUID$/ {{ print \"name\", $1 \":\" d, $2 }}' | sort -u; \
         ovs-vsctl --no-wait get Open_vSwitch . external_ids:system-id 2>/dev/null | sed 's/^/name ovs-system-id /'; true"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_equal_is_shared_and_what_is_random_is_told_apart() {
        let both = "file aa /etc/x\nfile !bb /etc/key\nfile ee /var/lib/systemd/random-seed\n";
        let a = Listing::parse(&format!("{both}file cc /etc/own\nname machine-id 1\n"));
        let b = Listing::parse(&format!("{both}file dd /etc/own\nname machine-id 2\nother\n"));
        assert_eq!(a.shared(&b), (vec!["/etc/x"], vec!["/etc/key", "/var/lib/systemd/random-seed"]));
        assert_eq!(a.names["machine-id"], "1");
    }
}
