#!/usr/bin/env bash
# Starts compose files of tests/compose with the image: only the line of the image is another one, and ports of the host that are
# taken. Is each healthy, reached from the host and from another container, and still there after a new container?
#   test-compose.sh [NAME]...      these files; without names all that are listed below
#   OTTLA_IMAGE=NAME               the image (ottla:test, which is built if it is not there)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"
image=${OTTLA_IMAGE:-ottla:test}
work=$(mktemp -d)
project=

# File, service, port on the host, address in the network (- where the file has none that others can use).
cases() {
    cat <<'EOF'
apache-bare broker 9092 -
apache-dual kafka 9092 kafka:19092
apache-init-container kafka 9092 kafka:29092
apache-native kafka-native 9094 kafka-native:9092
apache-separate-controller broker 29092 broker:19092
cp-zookeeper kafka 29092 kafka:9092
cp-kraft broker 9092 broker:29092
cp-healthcheck-cub kafka - kafka:9092
bitnami-kraft kafka 9094 kafka:9092
user-and-volume broker - broker:9092
wurstmeister-topics kafka 9094 kafka:9092
redpanda-list redpanda 19092 redpanda:9092
redpanda-string redpanda 9092 redpanda:29092
ui-and-friends kafka 9092 kafka:29092
EOF
}

# Files whose named volume keeps the data when the container is another one.
with_volume="bitnami-kraft redpanda-list user-and-volume"

project() { compose -p "$project" -f "$work/$file.yml" "$@"; }

clean_up() {
    local result=$?
    if [ -n "$project" ]; then
        [ "$result" = 0 ] || project logs --tail=50 >&2 || true
        project down --volumes --remove-orphans >"$work/down.log" 2>&1 || cat "$work/down.log" >&2
    fi
    rm -rf "$work"
}
trap clean_up EXIT

# The file with Ottla's image, and with a free port where the one on the host is taken.
swapped() {
    local other=$host_port
    cp tests/compose/*.env "$work/"
    sed -E "s#^( *image: ).*(apache/kafka|cp-kafka|cp-server|bitnami(legacy)?/kafka|wurstmeister/kafka|redpandadata/redpanda).*#\1$image#" \
        "tests/compose/$file.yml" >"$work/$file.yml"
    grep -q "image: $image" "$work/$file.yml" || fail "no image was swapped"
    if [ "$host_port" != - ] && port_taken "$host_port"; then
        other=$(free_port)
        sed -E -i "s#(localhost|127\.0\.0\.1):$host_port#\1:$other#g; s#^( *ports: \[?.*\"| *- *[\"']?)$host_port:#\1$other:#" "$work/$file.yml"
    fi
    host_port=$other
}

# Starts the service, or all of the file where another one waits for it; returns when it is healthy.
start() {
    local services=(--no-deps "$service")
    [ "$file" != apache-init-container ] || services=()
    project up -d "${services[@]}" >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2 && fail "does not start"; }
    container=$(project ps -q "$service")
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
        case "$action" in *": healthy" | *": unhealthy" | die) break ;; esac
    done <"$work/events"
    kill "$events" 2>/dev/null || true
    wait "$events" 2>/dev/null || true
    case "$action" in *": healthy") ;; *) fail "not healthy within a minute; the engine's last word: $action" ;; esac
}

expect() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }

from_host() { within 60 kcat -q -b "localhost:$host_port" -t records "$@"; }
from_container() {
    within 60 docker run --rm -i --network "${project}_default" "$image" "$@" --bootstrap-server "$inside"
}

# The same records from everywhere that the file lets clients in.
serves() {
    local values
    values=$(printf '%s %s\n' "$file" 1 "$file" 2)
    # Some files turn off that topics come into being by themselves.
    [ "$inside" = - ] || from_container topic create records >/dev/null 2>&1
    if [ "$host_port" != - ]; then
        from_host -P -X acks=all <<<"$values"
    else
        from_container produce records --quiet <<<"$values"
    fi
    holds "$values"
}
# Several partitions are read in any order.
holds() {
    [ "$host_port" = - ] || expect "from the host" "$1" "$(from_host -C -o beginning -e | sort)"
    [ "$inside" = - ] || expect "from another container" "$1" "$(from_container consume records --exit-eof | sort)"
}

# What is particular to a file.
special() {
    local init
    case "$file" in
    apache-init-container)
        init=$(project ps -a -q init-topics 2>/dev/null || project ps -q init-topics)
        expect "the container that makes the topics ends well" 0 "$(docker wait "$init")"
        expect "the topics are there" "orders payments" "$(docker logs "$init" 2>/dev/null | sed '1,/^Topics:$/d' | sort | xargs)"
        ;;
    wurstmeister-topics)
        expect "the topics are there" "customers orders" \
            "$(docker exec "$container" kafka-topics.sh --list --bootstrap-server localhost:9092 | sort | xargs)"
        ;;
    esac
}

test_file() {
    local started=$SECONDS
    project=ottla-compose-$$-$file
    swapped
    start
    special
    serves
    case " $with_volume " in
    *" $file "*)
        project stop -t 2 >"$work/stop.log" 2>&1
        project rm -f >"$work/rm.log" 2>&1
        start
        holds "$(printf '%s %s\n' "$file" 1 "$file" 2)"
        ;;
    esac
    project down -t 2 --volumes --remove-orphans >"$work/down.log" 2>&1 || { cat "$work/down.log" >&2 && fail "does not go down"; }
    project=
    say "ok: $file ($((SECONDS - started)) s)"
}

require_engine
install_package kcat kcat kcat
docker image inspect "$image" >/dev/null 2>&1 || ./scripts/build-image.sh "$image"
wanted=" $* "
tested=0
while read -r file service host_port inside; do
    [ $# = 0 ] || [[ $wanted = *" $file "* ]] || continue
    test_file </dev/null
    tested=$((tested + 1))
done < <(cases)
[ "$tested" -gt 0 ] || fail "no such file: $* ($(cases | cut -d' ' -f1 | xargs))"
say "$tested compose files passed in $SECONDS s"
