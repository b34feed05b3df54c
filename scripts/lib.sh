#!/bin/sh
# Shared by the scripts here; source it. Finds the top of the tree and installs missing Debian packages.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# need PACKAGE...: installs those Debian packages that are missing.
need() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing:$missing"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { say "run as root: apt-get install$missing"; exit 1; }
        as_root=sudo
    fi
    $as_root apt-get update -qq >&2
    # Word splitting is wanted: a list of package names.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# need_cargo: Rust must be there; no Debian release has one that is new enough.
need_cargo() {
    command -v cargo >/dev/null || { say "Rust is missing: install 1.88 or later with rustup"; exit 1; }
}

# need_cargo_tool NAME VERSION: installs that version of a cargo subcommand where there is none; not optimised, since compiling it is most of
# what it costs.
need_cargo_tool() {
    command -v "$1" >/dev/null || CARGO_PROFILE_DEV_DEBUG=0 cargo install "$1" --version "$2" --locked --debug
}

# build_fixture: builds the image of the fixture edition and prints its path. It stands for the proxmox edition: packages that are made
# here, shaped like Proxmox's, in an ISO that is laid out like Proxmox's. It has every workload, from a registry on the loopback interface
# with stand-ins of their images. Needs the programs and packages of scripts/build-iso.
build_fixture() {
    need skopeo docker-registry busybox-static
    fixture=target/fixture
    programs=${CARGO_TARGET_DIR:-target}/release
    cargo run --quiet --locked -p sovereign-fixture -- make "$fixture" >&2
    mkdir -p "$fixture/cache"
    ln -sfn "$(realpath target/image-cache/packages)" "$fixture/cache/packages"
    # Guests are those of every edition: of the same packages and of the same date, their layers are there already.
    epoch=$(sed -n 's/^epoch = //p' target/sovereign-*-rehearsal-amd64.lock.toml 2>/dev/null | head -n 1)
    find "$fixture/cache" -maxdepth 1 -type l -name 'guest-*' -delete
    for layer in target/image-cache/guest-*; do
        if [ -d "$layer" ] && [ ! -e "$fixture/cache/${layer##*/}" ]; then
            ln -s "$(realpath "$layer")" "$fixture/cache/"
        fi
    done
    # The shell that is started has the address of the registry, not this one.
    # shellcheck disable=SC2016
    cargo run --quiet --locked -p sovereign-fixture -- workloads --output "$fixture/workloads" -- sh -euc '
        "$1" workloads lock --mirror "$SOVEREIGN_FIXTURE_REGISTRY" --output "$2/workloads.lock" >&2
        image=$1 fixture=$2
        shift 2
        exec "$image" build --mirror "$SOVEREIGN_FIXTURE_REGISTRY" --workloads "$fixture/workloads.lock" "$@"
    ' sh "$programs/sovereign-image" "$fixture" \
        --installer "$programs/sovereign-installer" --edition "$fixture/edition.toml" \
        --proxmox-iso "$fixture/proxmox-ve.iso" --cache "$fixture/cache" --output "$fixture" \
        ${epoch:+--epoch "$epoch"}
}
