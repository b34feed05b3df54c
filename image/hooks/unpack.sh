#!/bin/sh
# First hook of a layer over another one, run with the image of that one as $1 and the empty tree as $2: unpacks it. Devices are those
# that mmdebstrap made.
set -eu
below=$1
root=$2
unsquashfs -quiet -no-progress -force -dest "$root" -excludes "$below" dev
# What changes from here on has a later time of change than this file; the kernel's clock ticks every few milliseconds.
: >"$root/.below"
sleep 0.1
