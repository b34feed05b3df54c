#!/bin/sh
# First hook of mmdebstrap, run with the empty tree as $1 and the prepared configuration as $PREPARED: what the kernel's
# packages must find when they make the initramfs, so that it is made once.
set -eu
cp -R --no-preserve=ownership "$PREPARED/." "$1/"
