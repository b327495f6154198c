#!/usr/bin/env bash
# Builds the image with the binary that cargo builds here: for tests, and where a builder's container reaches no registry.
# `docker build .` builds the same image, and the binary inside.
#   build-image.sh [TAG]      tags the image so (ottla:dev)
#   OTTLA_BIN=FILE            takes this binary instead of building one; it must run on this machine's Debian
#   OTTLA_PROFILE=dev         builds without optimisation, in a fraction of the time
#   OTTLA_BASE=IMAGE          takes the files of the image from this image of Debian
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
tag=${1:-ottla:dev}
case "$tag" in
-*)
    about
    exit
    ;;
esac
lack=$(engine_lacks)
case "$lack" in "" | *compose*) ;; *) fail "no image can be built here: $lack" ;; esac

# The Debian of the image is that of this machine, so that the libraries are those which the binary was built with.
suite() {
    # shellcheck source=/dev/null
    (. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") ||
        fail "this is no Debian: build the image with 'docker build .'"
}

# The image to take files from: Debian's from a registry, or one made here from Debian's packages. It is kept.
base_image() {
    local suite base=ottla-base work
    suite=$(suite)
    base=$base:$suite
    if docker image inspect "$base" >/dev/null 2>&1; then
        echo "$base"
        return
    fi
    if docker pull -q "debian:$suite-slim" >/dev/null 2>&1; then
        docker tag "debian:$suite-slim" "$base"
        echo "$base"
        return
    fi
    say "no registry is reached: making $base from Debian's packages"
    install_package debootstrap debootstrap debootstrap
    work=$(mktemp -d)
    as_root debootstrap --variant=minbase --include=busybox-static,netcat-openbsd "$suite" "$work/root" >"$work/log" 2>&1 ||
        { tail -n 5 "$work/log" >&2 && fail "debootstrap failed"; }
    as_root tar -C "$work/root" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists -c . | docker import - "$base" >&2
    as_root rm -rf "$work"
    echo "$base"
}

binary() {
    local profile=${OTTLA_PROFILE:-release} target=${CARGO_TARGET_DIR:-target}
    if [ -n "${OTTLA_BIN:-}" ]; then
        echo "$OTTLA_BIN"
        return
    fi
    require_rust
    cargo build --locked -p ottla-cli --profile "$profile" >&2
    if [ "$profile" = dev ]; then profile=debug; fi
    echo "$target/$profile/ottla"
}

binary=$(binary)
base=${OTTLA_BASE:-$(base_image)}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp -r Dockerfile image "$context/"
strip -o "$context/ottla" "$binary"
# Told of only if it fails: an older Docker has much to say.
docker build --target prebuilt --build-arg "BASE=$base" --tag "$tag" "$context" >"$context/log" 2>&1 ||
    { cat "$context/log" >&2 && fail "the image is not built"; }
say "built $tag with $binary"
