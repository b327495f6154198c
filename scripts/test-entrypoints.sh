#!/usr/bin/env bash
# The commands, paths, users and directories by which the images of others are started and used, in the image $OTTLA_IMAGE.
# Containers are removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
image=${OTTLA_IMAGE:?which image to test}
name=ottla-entry-$$
work=$(mktemp -d)
passed=0

clean_up() {
    docker rm -f -v "$name" >/dev/null 2>&1 || true
    docker volume rm "$name" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT

# expect WHAT EXPECTED GOT
expect() {
    if [ "$2" != "$3" ]; then
        docker logs "$name" >&2 || true
        fail "$1: expected '$2', got '$3'"
    fi
    passed=$((passed + 1))
}
inside() { within 60 docker exec "$name" "$@"; }

# run LINE [DOCKER ARGS...] -- [COMMAND...]: starts a container; returns when its log has a line with LINE.
run() {
    local line=$1 args=() until=$((SECONDS + 60))
    shift
    while [ "$1" != -- ]; do
        args+=("$1")
        shift
    done
    shift
    docker rm -f -v "$name" >/dev/null 2>&1 || true
    docker run -d --name "$name" "${args[@]}" "$image" "$@" >/dev/null
    until docker logs "$name" 2>&1 | grep -F -- "$line" >/dev/null; do
        if [ "$SECONDS" -gt "$until" ] || [ "$(docker inspect -f '{{.State.Running}}' "$name")" != true ]; then
            docker logs "$name" >&2
            fail "'$line' is not in the log of: ${args[*]} $*"
        fi
        sleep 0.05
    done
}

# Whether a record comes back, at an address inside.
round_trip() {
    echo hello | docker exec -i "$name" ottla produce round-trip --quiet --bootstrap-server "$1"
    inside ottla consume round-trip --offset beginning --max-messages 1 --bootstrap-server "$1"
}
advertised() { inside sh -c 'cat /run/ottla/broker.json' | grep -o '"advertised":"[^"]*"' | cut -d'"' -f4 | sort | paste -sd' '; }
data_dir() { inside sh -c 'ls -d /data/meta /var/lib/kafka/data/meta /bitnami/kafka/data/meta /var/lib/redpanda/data/meta /kafka/meta /mine/meta 2>/dev/null' || true; }

kafka_started="Kafka Server started"
redpanda_started="Successfully started Redpanda!"

say "start commands"
run "$kafka_started" --hostname own --
expect "the default command serves the host and other containers" "localhost:9092 own:19092" "$(advertised)"
expect "records go in and out for other containers" hello "$(round_trip own:19092)"
expect "the data is in /data" /data/meta "$(data_dir)"
inside health || fail "the default command is not healthy"

# shellcheck disable=SC2054 # commas of values
listeners=(-e KAFKA_LISTENERS=HOST://:9092,IN://:29092 -e KAFKA_ADVERTISED_LISTENERS=HOST://localhost:9092,IN://own:29092
    -e KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=HOST:PLAINTEXT,IN:PLAINTEXT --hostname own)
for command in "" /etc/kafka/docker/run /etc/confluent/docker/run start-kafka.sh /opt/bitnami/scripts/kafka/run.sh \
    "/opt/bitnami/scripts/kafka/entrypoint.sh /opt/bitnami/scripts/kafka/run.sh" "bash -c /etc/confluent/docker/run"; do
    # shellcheck disable=SC2086 # the command's words
    run "$kafka_started" "${listeners[@]}" -- $command
    expect "${command:-the default command} takes the environment" "localhost:9092 own:29092" "$(advertised)"
    expect "${command:-the default command}: records go in and out" hello "$(round_trip own:29092)"
done
run "$kafka_started" -- /etc/kafka/docker/run KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9095
expect "variables may be arguments of run" localhost:9095 "$(advertised)"
for command in "redpanda start" "start" "rpk redpanda start"; do
    # shellcheck disable=SC2086 # the command's words
    run "$redpanda_started" --hostname own -- $command --mode dev-container --smp 1 \
        --kafka-addr in://0.0.0.0:9092,out://0.0.0.0:19092 --advertise-kafka-addr in://own:9092,out://localhost:19092
    expect "$command takes its flags" "localhost:19092 own:9092" "$(advertised)"
    expect "$command: records go in and out" hello "$(round_trip own:9092)"
    inside sh -c "rpk cluster health | grep -qE 'Healthy:.+true'" || fail "rpk does not find it healthy"
done
expect "the command line is Ottla's" "ottla" "$(docker run --rm "$image" --version 2>/dev/null | cut -d' ' -f1)"
expect "and any other's" hello "$(docker run --rm "$image" echo hello)"
run "$kafka_started" --hostname own -- --override num.partitions=7
expect "flags are those of serve" 7 \
    "$(inside ottla topic create seven --bootstrap-server own:19092 --json | grep -o '"partitions":[0-9]*' | cut -d: -f2)"
run "$kafka_started" -- --data-dir /tmp/mine --override advertised.listeners=PLAINTEXT://mine:9092
expect "and go before what the image would say" mine:9092 "$(advertised)"
inside ls -d /tmp/mine/meta >/dev/null || fail "--data-dir is not heeded"
run "$kafka_started" -- --port 9094
# shellcheck disable=SC2016 # for the shell inside
inside sh -c 'nc -z "$(hostname)" 9094' || fail "--port is one of the loopback"
run "$kafka_started" -- --ephemeral
expect "data may go with the broker" "" "$(data_dir)"

say "users, volumes and files"
for data in /data /var/lib/kafka/data /bitnami/kafka /var/lib/redpanda/data /kafka; do
    docker volume create "$name" >/dev/null
    run "$kafka_started" -v "$name:$data" --user 4711:4711 --
    case "$data" in
    /bitnami/kafka) expect "the data is on the volume at $data" "$data/data/meta" "$(data_dir)" ;;
    *) expect "the data is on the volume at $data" "$data/meta" "$(data_dir)" ;;
    esac
    docker rm -f "$name" >/dev/null
    docker volume rm "$name" >/dev/null
done
run "$kafka_started" --read-only --tmpfs /data --
expect "a root file system may be read-only" hello "$(round_trip 127.0.0.1:9092)"
run "$kafka_started" --user 0 -e KAFKA_LOG_DIRS=/mine --
expect "KAFKA_LOG_DIRS says where the data is" /mine/meta "$(data_dir)"
printf 'listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://given:9092\nlog.dirs=/tmp/given\n' >"$work/server.properties"
chmod 755 "$work"
for place in /mnt/shared/config /bitnami/kafka/config /opt/bitnami/kafka/config; do
    run "$kafka_started" -v "$work/server.properties:$place/server.properties:ro" --
    expect "$place/server.properties is heeded" given:9092 "$(advertised)"
done
printf 'orders:3\n' >"$work/own.topics"
chmod 644 "$work"/*
run "$kafka_started" -v "$work/own.topics:/etc/ottla/init.d/own.topics:ro" -e OTTLA_TOPICS=payments:2 --
expect "first topics are made" "orders payments" "$(inside kafka-topics --bootstrap-server localhost:9092 --list | paste -sd' ')"

say "Testcontainers' ways in"
# shellcheck disable=SC2016 # for the shell inside
run "$kafka_started" --entrypoint sh --user 0 -e CLUSTER_ID=test-cluster "${listeners[@]}" -- -c '
    set -e
    . /etc/confluent/docker/bash-config
    sed -i "/KAFKA_ZOOKEEPER_CONNECT/d" /etc/confluent/docker/configure
    echo "kafka-storage format --ignore-formatted -t \"\$(kafka-storage random-uuid)\" -c /etc/kafka/kafka.properties" >>/etc/confluent/docker/configure
    echo "" >/etc/confluent/docker/ensure
    zookeeper-server-start zookeeper.properties &
    /etc/confluent/docker/configure
    /etc/confluent/docker/launch'
expect "a script in the way of the modules starts it" "localhost:9092 own:29092" "$(advertised)"
expect "by the name that it gives" test-cluster "$(inside sh -c 'cat /run/ottla/broker.json' | grep -o '"cluster_id":"[^"]*"' | cut -d'"' -f4)"
inside nc -z localhost 29092 || fail "nc -z does not find the broker"
inside bash -c 'echo >/dev/tcp/localhost/29092' || fail "bash does not find the broker"
inside cub kafka-ready -b own:29092 1 20 || fail "cub does not find the broker"

say "tools"
# Its usage ends with 2.
known=$({ inside ottla kafka 2>&1 || true; } | sed -n 's/^The tools: //p' | tr -d ',' | tr ' ' '\n' | sed '/^zookeeper-/!s/^/kafka-/' | sort)
expect "each tool of the binary has its name in the image" "$known" "$(sort image/tools)"
while read -r tool; do
    for path in "$tool" "$tool.sh" "/opt/kafka/bin/$tool.sh" "/opt/bitnami/kafka/bin/$tool.sh"; do
        inside sh -c "command -v $path" >/dev/null || fail "$path is not in the image"
    done
done <image/tools
expect "a tool answers by its path" round-trip \
    "$(round_trip own:29092 >/dev/null && inside /opt/kafka/bin/kafka-topics.sh --bootstrap-server own:29092 --list)"

say "a container that is a controller alone"
run "needs no controllers" -e KAFKA_PROCESS_ROLES=controller -e KAFKA_LISTENERS=CONTROLLER://:9093 -- /etc/kafka/docker/run
docker stop -t 5 "$name" >/dev/null
expect "stops when it is told to" 0 "$(docker inspect -f '{{.State.ExitCode}}' "$name")"
say "the entry points passed: $passed checks in $SECONDS s"
