#!/bin/sh
# Last hook of mmdebstrap, run with the tree as $1: takes out what belongs to one machine or one moment, so that two trees of
# the same packages are equal and no two machines share an identity.
set -eu
root=$1

# Identity: made anew on each machine at its first start.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
rm -f "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret"
rm -f "$root/etc/nvme/hostid" "$root/etc/nvme/hostnqn"
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/etc/hosts.equiv"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
# Written by postinst scripts at the moment of the build, or made from the build host.
rm -f "$root/etc/mdadm/mdadm.conf" "$root/etc/chrony/chrony.keys" "$root/etc/openvswitch/system-id.conf"
rm -f "$root/etc/openvswitch/conf.db" "$root"/etc/openvswitch/.conf.db*
rm -rf "$root/var/lib/openvswitch"/*
printf '# The arrays of this machine; written by the installer.\nHOMEHOST <system>\nMAILADDR root\n' \
    >"$root/etc/mdadm/mdadm.conf"

# Package management: the sources are those of the machine's site, not of the build.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/etc/apt/sources.list.d/*
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
printf '# Written by the installer from the site file.\n' >"$root/etc/apt/sources.list"
rm -f "$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old "$root/var/lib/dpkg/lock" "$root/var/lib/dpkg/lock-frontend"
rm -f "$root/var/lib/dpkg/triggers/Lock" "$root/var/lib/dpkg/arch-native"
find "$root/etc" -name '*.dpkg-dist' -delete

# Logs, caches, leftovers.
find "$root/var/log" -type f -delete
rm -rf "$root"/tmp/* "$root"/var/tmp/* "$root"/run/* "$root"/var/cache/ldconfig "$root"/var/cache/man "$root"/root/.bash_history
rm -f "$root/etc/passwd-" "$root/etc/group-" "$root/etc/shadow-" "$root/etc/gshadow-" "$root/etc/subuid-" "$root/etc/subgid-"
rm -f "$root/etc/.pwd.lock" "$root/boot"/*.old-dkms "$root"/vmlinuz.old "$root"/initrd.img.old

# Packages date the password of each account they add; a reproducible tree has one date, that of the build.
day=$((SOURCE_DATE_EPOCH / 86400))
awk -F: -v OFS=: -v day="$day" '{ if ($3 != "") $3 = day; print }' "$root/etc/shadow" >"$root/etc/shadow.new"
cat "$root/etc/shadow.new" >"$root/etc/shadow"
rm -f "$root/etc/shadow.new"
