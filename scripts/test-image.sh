#!/usr/bin/env bash
# Builds the image and runs docker-compose.yml: is a broker there that clients reach, and that keeps what it has acknowledged?
# Needs Docker with its compose plugin or docker-compose, and kcat. It has a project, a volume and an image tag of its own and
# removes them.
#   OTTLA_IMAGE=NAME           tests this image, and builds none
#   OTTLA_PORT=N               the port on the host; without it 9092, or a free one if that is taken
#   OTTLA_BIN=FILE, OTTLA_PROFILE=dev   as for build-image.sh
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"

# What the image may take when it is fetched, in bytes.
max_compressed=30000000
project=ottla-test-$$
image=${OTTLA_IMAGE:-$project}
work=$(mktemp -d)
topic=imagetest

require_engine
install_package kcat kcat kcat
if [ -z "${OTTLA_PORT:-}" ]; then
    OTTLA_PORT=9092
    if port_taken 9092; then
        OTTLA_PORT=$(free_port)
        say "port 9092 is taken: taking $OTTLA_PORT"
    fi
fi
export OTTLA_PORT

cat >"$work/override.yml" <<YAML
services:
  ottla:
    image: $image
YAML
project() { compose -p "$project" -f docker-compose.yml -f "$work/override.yml" "$@"; }

clean_up() {
    local result=$?
    if [ "$result" != 0 ]; then
        say "the broker's log"
        project logs --tail=50 >&2 || true
    fi
    project down --volumes --remove-orphans >"$work/down.log" 2>&1 || cat "$work/down.log" >&2
    if [ -z "${OTTLA_IMAGE:-}" ]; then
        docker image rm "$image" >/dev/null 2>&1 || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT

# expect WHAT EXPECTED GOT
expect() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
    say "ok: $1"
}

# Starts the project's container, or goes on with the one there is; returns when the image's own check finds it healthy. Sets
# `container`.
start() {
    project up -d --no-build >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2 && fail "the project does not start"; }
    container=$(project ps -q ottla)
    await_healthy
}

# Reads what the engine tells of the container since its start, for a minute at most.
await_healthy() {
    local since events action=nothing
    since=$(docker inspect -f '{{.State.StartedAt}}' "$container")
    rm -f "$work/events"
    mkfifo "$work/events"
    docker events --since "$since" --until "$(($(date +%s) + 60))" --filter "container=$container" \
        --filter event=health_status --filter event=die --format '{{.Action}}' >"$work/events" &
    events=$!
    while read -r action; do
        case "$action" in
        *": healthy" | *": unhealthy" | die) break ;;
        esac
    done <"$work/events"
    kill "$events" 2>/dev/null || true
    wait "$events" 2>/dev/null || true
    case "$action" in
    *": healthy") ;;
    *) fail "not healthy within a minute; the engine's last word: ${action:-nothing}" ;;
    esac
}

from_host() { within 60 kcat -q -b "localhost:$OTTLA_PORT" "$@"; }
# Another container of the project.
from_container() {
    local network
    network=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' "$container")
    within 60 docker run --rm -i --network "$network" "$image" "$@" --bootstrap-server ottla:19092
}
records() { from_host -C -t "$topic" -o beginning -e -f '%o=%s\n'; }

if [ -z "${OTTLA_IMAGE:-}" ]; then
    say "building the image"
    ./scripts/build-image.sh "$image"
fi

compressed=$(docker save "$image" | gzip -c | wc -c)
say "the image has $(docker image inspect -f '{{.Size}}' "$image") bytes, $compressed when it is fetched"
[ "$compressed" -le "$max_compressed" ] || fail "the image takes more than $max_compressed bytes"

start
say "ok: healthy"
user=$(docker exec "$container" cat /proc/1/status | awk '$1 == "Uid:" { print $2, $3 }')
expect "it does not run as root" "1000 1000" "$user"

printf 'from the host %s\n' 1 2 3 | from_host -P -t "$topic" -X acks=all
expect "records of the host come back to it" \
    "$(printf '0=from the host 1\n1=from the host 2\n2=from the host 3')" "$(records)"
expect "another container reads them" \
    "$(printf 'from the host %s\n' 1 2 3)" "$(from_container consume "$topic" --exit-eof)"
echo "from a container" | from_container produce "$topic" --quiet
before=$(records)
expect "the host reads those of a container" "3=from a container" "$(tail -n 1 <<<"$before")"

docker kill --signal KILL "$container" >/dev/null
expect "it was killed" 137 "$(docker wait "$container")"
start
expect "records survive kill -9" "$before" "$(records)"

# A second after this the engine would kill it, which its exit code would tell.
docker stop -t 2 "$container" >/dev/null
expect "it stops gracefully within two seconds" 0 "$(docker inspect -f '{{.State.ExitCode}}' "$container")"
project down >"$work/down.log" 2>&1 || { cat "$work/down.log" >&2 && fail "the project does not go down"; }
start
expect "records survive a new container" "$before" "$(records)"
say "the image passed in $SECONDS s"
