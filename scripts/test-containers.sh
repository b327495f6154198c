#!/usr/bin/env bash
# The Testcontainers modules of each language, as they are published, against the image: started, written to and read from on the
# mapped port and from another container, restarted, two at once.
#   test-containers.sh [java|go]...     all of them when none is named
#   OTTLA_IMAGE=NAME                    the image (ottla:test, which is built if it is not there)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
cache=${OTTLA_CACHE:-$PWD/.cache}/containers
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
export OTTLA_IMAGE=${OTTLA_IMAGE:-ottla:test}
# Ryuk removes what tests leave behind, and is an image of a registry. Here that is done below.
export TESTCONTAINERS_RYUK_DISABLED=true

case "${1:-}" in
-h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac

# All modules label what they make.
clean_up() {
    docker ps -aq --filter label=org.testcontainers | xargs -r docker rm -f -v >/dev/null 2>&1 || true
    docker network ls -q --filter label=org.testcontainers | xargs -r docker network rm >/dev/null 2>&1 || true
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

lack=$(engine_lacks)
case "$lack" in "" | *compose*) ;; *) fail "containers cannot be run here: $lack" ;; esac
docker image inspect "$OTTLA_IMAGE" >/dev/null 2>&1 || ./scripts/build-image.sh "$OTTLA_IMAGE"
[ $# -gt 0 ] || set -- java go
trap clean_up EXIT
for language in "$@"; do
    case "$language" in
    java | go) ;;
    *) fail "no modules of '$language': java, go" ;;
    esac
    say "Testcontainers' modules: $language"
    started=$SECONDS
    "test_$language"
    say "Testcontainers' modules: $language passed in $((SECONDS - started)) s"
done
