#!/bin/sh
# Last hook of a layer over another one, run with the image of that one as $1 and the tree as $2: leaves in the tree what is new or was
# changed, and the folders that lead there. Unpacked over the other layer this gives the whole tree again.
set -eu
below=$1
root=$2
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"

# mmdebstrap keeps this program from starting anything, and would put it back only after this.
[ ! -e usr/sbin/start-stop-daemon.REAL ] || mv usr/sbin/start-stop-daemon.REAL usr/sbin/start-stop-daemon

# everything FIND-EXPRESSION...: what the tree holds but for what mmdebstrap mounts there.
everything() { find . -mindepth 1 \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./.below \) -prune -o "$@"; }

# Unpacking adds and replaces, and takes nothing away.
unsquashfs -no-progress -l "$below" | sed -n 's#^squashfs-root/#./#p' | grep -vE '^\./(dev|proc|sys)(/|$)' | sort >"$work/before"
everything -print | sort >"$work/after"
gone=$(comm -23 "$work/before" "$work/after")
if [ -n "$gone" ]; then
    printf 'a layer cannot take away what the layer below has, and these are gone:\n%s\n' "$gone" >&2
    exit 1
fi

# The time of the last change, unlike that of a file's content, cannot be set to the past. Lists first: removing changes times too.
everything ! -type d ! -cnewer .below -print0 >"$work/untouched"
everything -type d ! -cnewer .below -print0 >"$work/folders"
everything ! -type d -cnewer .below -print | sort | comm -12 - "$work/before" >"$work/touched"

# Touched is not changed: a file may have been moved away and back, or written again as it was.
sed 's#^\./##' "$work/touched" >"$work/names"
unsquashfs -quiet -no-progress -no-wildcards -dest "$work/tree" -extract-file "$work/names" "$below" >/dev/null
while read -r path; do
    other=$work/tree/$path
    [ "$(stat -c '%F %a %u %g %s' "$path")" = "$(stat -c '%F %a %u %g %s' "$other")" ] || continue
    if [ -h "$path" ]; then
        [ "$(readlink "$path")" = "$(readlink "$other")" ] || continue
    else
        cmp -s "$path" "$other" || continue
    fi
    rm "$path"
done <"$work/touched"
xargs -0 rm -f <"$work/untouched"
sort -rz "$work/folders" | xargs -0 rmdir --ignore-fail-on-non-empty
rm .below
