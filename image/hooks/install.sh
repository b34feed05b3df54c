#!/bin/sh
# Hook of a layer over another one, run with a folder of packages as $1 and the tree as $2: installs these packages. APT inside the tree does
# it, without any source, so that nothing else is installed.
set -eu
packages=$1
root=$2
mkdir "$root/var/cache/sovereign"
cp "$packages"/*.deb "$root/var/cache/sovereign/"
# $0 of the inner shell is not used; the pattern is expanded inside the tree.
# shellcheck disable=SC2016
DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c \
    'apt-get --quiet --yes --no-install-recommends -o APT::Sandbox::User=root install /var/cache/sovereign/*.deb'
rm -r "$root/var/cache/sovereign"
# Where a file is there already, ucf notes its question in debconf's database, with the name of a temporary file: another one each time.
sed -i '\#^ NEW = /tmp/#d' "$root/var/cache/debconf/config.dat"
