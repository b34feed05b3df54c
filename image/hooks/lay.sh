#!/bin/sh
# Hook of mmdebstrap, run with a folder as $1 and the tree as $2: lays the folder's files over the tree. Before the first package, this is
# what its packages must find, such as the configuration the initramfs is made with; after the last one, what must be there at the end.
set -eu
cp -R --no-preserve=ownership --remove-destination "$1/." "$2/"
