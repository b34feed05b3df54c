#!/bin/sh
# Last hook of mmdebstrap, run with the tree as $1: takes out what belongs to one machine or one moment, so that two trees of
# the same packages are equal and no two machines share an identity.
set -eu
root=$1

# What was diverted comes back.
rm -f "$root/usr/sbin/policy-rc.d" "$root/usr/sbin/update-grub"
chroot "$root" dpkg-divert --quiet --local --rename --remove /usr/sbin/update-grub

# The locales that are asked for most, compiled once: a machine takes a second for each, an emulated one ten. Folders, not an archive: most
# have the same collation, which is on the medium once then.
for locale in en_US en_GB de_DE fr_FR es_ES it_IT nl_NL pl_PL; do
    [ ! -f "$root/usr/share/i18n/locales/$locale" ] ||
        chroot "$root" localedef --no-archive -i "$locale" -f UTF-8 "$locale.UTF-8"
done

# Everything that maintainer scripts made for one machine, or copied from the build host: path (a pattern), then what it is. It is made
# anew on each machine, by the installer, by its own service, or at the first start.
while read -r path _; do
    case $path in '' | '#'*) continue ;; esac
    # Word splitting and globbing are wanted.
    # shellcheck disable=SC2086
    rm -rf "${root:?}"/$path
done <<'END'
# Identity of the system
etc/machine-id                        empty below: systemd fills it in
etc/hostid                            ZFS and gethostid
etc/hostname                          the build host's
etc/hosts.equiv                       nobody's
etc/mailname                          the build host's, by postfix
var/lib/dbus/machine-id               a copy of machine-id
etc/popularity-contest.conf           an identifier for surveys
var/lib/systemd/random-seed           randomness must not be shared
var/lib/systemd/credential.secret     a key
var/lib/urandom/random-seed           the same, older
# Keys and certificates
etc/ssh/ssh_host_*                    SSH host keys
root/.ssh                             keys of root, by pve-cluster
root/.rnd                             randomness of openssl
etc/ssl/private/ssl-cert-snakeoil.key a key, by ssl-cert
etc/ssl/certs/ssl-cert-snakeoil.pem   its certificate
etc/postfix/*.pem                     keys and certificates
etc/chrony/chrony.keys                keys for NTP
etc/pve/*                             the cluster's file system before it was mounted
etc/corosync/authkey                  the cluster's key
etc/corosync/corosync.conf            the cluster
var/lib/corosync/*                    state of the cluster
var/lib/pve-cluster/*                 config.db and its lock
var/lib/pve-firewall/*                the host's rules
var/lib/pve-manager/pkgupdates        what could be updated when the image was built
var/lib/pve-manager/apl-info/*        lists of templates, fetched or copied; the packaged one is put back below
var/lib/rrdcached/*                   measurements
# Storage
etc/iscsi/initiatorname.iscsi         name of the initiator; made anew below
etc/nvme/hostid                       identity towards NVMe over fabrics
etc/nvme/hostnqn                      the same
etc/lvm/archive/*                     volume groups of the build host
etc/lvm/backup/*                      the same
etc/lvm/devices/*                     disks of the build host
etc/mdadm/mdadm.conf                  arrays of the build host; written anew below
etc/zfs/zpool.cache                   pools of the build host
etc/multipath/wwids                   disks of the build host
# Network
etc/openvswitch/conf.db               bridges and the switch's UUID
etc/openvswitch/.conf.db*             its lock
etc/openvswitch/system-id.conf        the switch's identity
var/lib/openvswitch/*                 state, and a PKI made by scripts
var/lib/dhcp/*                        leases
var/lib/dhcpcd/*                      leases, and the DUID
var/lib/chrony/*                      drift of the build host's clock
# Mail
var/lib/postfix/*                     state, randomness
var/spool/postfix/*/*                 queues
etc/aliases.db                        made again by postalias
# Package management: the sources are those of the machine's site, not of the build, Proxmox's enterprise repository included
etc/apt/sources.list.d/*              written by the installer
etc/apt/auth.conf                     credentials
etc/apt/auth.conf.d/*                 credentials
etc/apt/apt.conf.d/99mmdebstrap       of the build
etc/dpkg/dpkg.cfg.d/99mmdebstrap      of the build
var/lib/apt/lists/*                   of the build
var/cache/apt/*                       of the build
var/lib/dpkg/*-old                    dpkg's own backups
var/lib/dpkg/lock                     locks
var/lib/dpkg/lock-frontend            locks
var/lib/dpkg/triggers/Lock            locks
var/lib/dpkg/arch-native              written by newer dpkg alone
var/cache/debconf/*-old               debconf's own backups
# Leftovers
tmp/*                                 of scripts
var/tmp/*                             of scripts
run/*                                 of scripts
var/cache/ldconfig                    made again
var/cache/man                         made again
var/cache/apparmor/*                  made again for the machine's kernel
root/.bash_history                    nobody's
etc/passwd-                           backups, with the moment they were made
etc/group-                            the same
etc/shadow-                           the same
etc/gshadow-                          the same
etc/subuid-                           the same
etc/subgid-                           the same
etc/.pwd.lock                         a lock
boot/*.old-dkms                       backups
vmlinuz.old                           a link to nothing
initrd.img.old                        a link to nothing
END
# The build host's; a link belongs to the system's own resolver.
[ -h "$root/etc/resolv.conf" ] || rm -f "$root/etc/resolv.conf"
find "$root/var/log" -type f -delete
find "$root/etc" -name '*.dpkg-dist' -delete
# The link by which openssl finds that certificate.
find "$root/etc/ssl/certs" -lname '*ssl-cert-snakeoil.pem' -delete 2>/dev/null || true

# What must be there, with nothing of one machine in it.
: >"$root/etc/machine-id"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
[ ! -d "$root/etc/mdadm" ] || printf '# The arrays of this machine; written by the installer.\nHOMEHOST <system>\nMAILADDR root\n' \
    >"$root/etc/mdadm/mdadm.conf"
printf '# Written by the installer from the site file.\n' >"$root/etc/apt/sources.list"
# The list of templates that pve-manager ships; its maintainer script may have fetched a newer one.
templates=usr/share/doc/pve-manager/aplinfo.dat
if [ -f "$root/$templates" ]; then
    mkdir -p "$root/var/lib/pve-manager/apl-info"
    cp "$root/$templates" "$root/var/lib/pve-manager/apl-info/download.proxmox.com"
fi
# The service makes the name at its first start where the file says so.
[ ! -d "$root/etc/iscsi" ] || printf 'GenerateName=yes\n' >"$root/etc/iscsi/initiatorname.iscsi"

# Packages date the password of each account they add; a reproducible tree has one date, that of the build.
day=$((SOURCE_DATE_EPOCH / 86400))
awk -F: -v OFS=: -v day="$day" '{ if ($3 != "") $3 = day; print }' "$root/etc/shadow" >"$root/etc/shadow.new"
cat "$root/etc/shadow.new" >"$root/etc/shadow"
rm -f "$root/etc/shadow.new"
