#!/bin/sh
# Second hook of mmdebstrap, run with the tree as $1 once its essential packages are there: what maintainer scripts would ask, and
# programs they must not run while an image is built.
set -eu
root=$1

# Answers: the machine's own are written by the installer from the site file.
# - postfix: no configuration; its default has the build host's name in it
# - GRUB: install to the removable path too, whenever the package is configured again on the machine
chroot "$root" debconf-set-selections <<'END'
postfix postfix/main_mailer_type select No configuration
grub-efi-amd64 grub2/force_efi_extra_removable boolean true
grub-pc grub2/force_efi_extra_removable boolean true
END

# No maintainer script starts or restarts a service. mmdebstrap diverts start-stop-daemon, and sees to this file too.
printf '#!/bin/sh\n# An image is being built.\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

# Diverted until the last hook: update-grub writes a menu for the disks of the build host, and fails where there are none.
chroot "$root" dpkg-divert --quiet --local --rename --divert /usr/sbin/update-grub.image-build --add /usr/sbin/update-grub
printf '#!/bin/sh\n# An image is being built.\nexit 0\n' >"$root/usr/sbin/update-grub"
chmod 755 "$root/usr/sbin/update-grub"
