#!/usr/bin/env bash
# The Testcontainers modules of each language, as they are published, against the image: started, written to and read from on the
# mapped port and from another container, restarted, two at once.
#   test-containers.sh [java|go|python|node|rust]...     all of them when none is named
#   OTTLA_IMAGE=NAME                                     the image (ottla:test, which is built if it is not there)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"
cache=${OTTLA_CACHE:-$PWD/.cache}/containers
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
tested=${OTTLA_IMAGE:-ottla:test}
export OTTLA_IMAGE=ottla-containers-$$
# Ryuk removes what tests leave behind, and is an image of a registry. Here that is done below.
export TESTCONTAINERS_RYUK_DISABLED=true

# Containers are known by the image's name, which is of this run alone; networks by the containers in them.
clean_up() {
    local containers networks
    containers=$(docker ps -a --format '{{.ID}} {{.Image}}' | awk -v image="$OTTLA_IMAGE" '$2 == image || index($2, image ":") == 1 { print $1 }')
    if [ -n "$containers" ]; then
        # shellcheck disable=SC2086 # ids
        networks=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' $containers)
        # shellcheck disable=SC2086
        docker rm -f -v $containers >/dev/null 2>&1 || true
        for network in $networks; do
            case "$network" in bridge | host | none) ;; *) docker network rm "$network" >/dev/null 2>&1 || true ;; esac
        done
    fi
    docker images --format '{{.Repository}}:{{.Tag}}' "$OTTLA_IMAGE" | xargs -r docker rmi >/dev/null 2>&1 || true
}

test_java() {
    install_package java openjdk-17-jdk-headless openjdk@17
    install_package mvn maven maven
    # The oldest API that this module speaks by itself is newer than that of Docker in Debian 12.
    mvn -q -B -f tests/containers/java/pom.xml test -DoutputDirectory="$cache/java" \
        -Dapi.version="$(docker version -f '{{.Server.APIVersion}}')"
}

test_go() {
    install_package go golang-go go
    (cd tests/containers/go && go test -count=1 ./...)
}

test_python() {
    install_package python3 "python3 python3-venv" python@3
    [ -x "$cache/python/bin/python" ] || python3 -m venv "$cache/python"
    "$cache/python/bin/pip" install --quiet --disable-pip-version-check -r tests/containers/python/requirements.txt
    (cd tests/containers/python && "$cache/python/bin/python" -B -m unittest test_modules)
}

test_node() {
    install_package node nodejs node
    install_package npm npm node
    mkdir -p "$cache/node"
    cp tests/containers/node/*.js* "$cache/node/"
    npm ci --prefix "$cache/node" --ignore-scripts --no-audit --no-fund --silent
    (cd "$cache/node" && node --test --test-reporter=spec)
}

test_rust() {
    require_rust
    install_package kcat kcat kcat
    CARGO_TARGET_DIR=$cache/rust cargo test -q --locked --manifest-path tests/containers/rust/Cargo.toml
}

lack=$(engine_lacks)
case "$lack" in "" | *compose*) ;; *) fail "containers cannot be run here: $lack" ;; esac
docker image inspect "$tested" >/dev/null 2>&1 || ./scripts/build-image.sh "$tested"
docker tag "$tested" "$OTTLA_IMAGE"
# Modules choose by the tag how they start Confluent's image: with ZooKeeper below 8.
for tag in 7.9.0 8.0.0; do docker tag "$tested" "$OTTLA_IMAGE:$tag"; done
[ $# -gt 0 ] || set -- java go python node rust
trap clean_up EXIT
for language in "$@"; do
    case "$language" in
    java | go | python | node | rust) ;;
    *) fail "no modules of '$language': java, go, python, node, rust" ;;
    esac
    say "Testcontainers' modules: $language"
    started=$SECONDS
    "test_$language"
    say "Testcontainers' modules: $language passed in $((SECONDS - started)) s"
done
