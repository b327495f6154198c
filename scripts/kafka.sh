#!/usr/bin/env bash
# A single Apache Kafka broker (KRaft, one node) to compare Ottla with.
#   kafka.sh start PORT DIR [name=value...]   formats DIR if it is new, starts, waits until it answers
#   kafka.sh run PORT DIR [name=value...]     the same in the foreground, without waiting
#   kafka.sh stop PORT DIR                    ends it gracefully
# The process id is in DIR/pid, what it says in DIR/kafka.log. The controller listens on a free port of its own.
# Heap options go in KAFKA_HEAP_OPTS (-Xms256m -Xmx512m).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
usage "$@"

wrong_usage() {
    about >&2
    exit 2
}
[ $# -ge 3 ] || wrong_usage
verb=$1 port=$2 dir=$3
shift 3
export KAFKA_OPTS="${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m} ${KAFKA_OPTS:-}"

prepare() {
    mkdir -p "$dir"
    local properties="$dir/server.properties"
    local controller
    if [ -f "$dir/controller-port" ]; then
        controller=$(cat "$dir/controller-port")
    else
        controller=$(free_port)
        echo "$controller" >"$dir/controller-port"
    fi
    {
        # Named first, so that name=value arguments replace them.
        echo "group.initial.rebalance.delay.ms=0"
        echo "num.partitions=1"
        echo "process.roles=broker,controller"
        echo "node.id=1"
        echo "controller.quorum.voters=1@127.0.0.1:$controller"
        echo "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller"
        echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port"
        echo "controller.listener.names=CONTROLLER"
        echo "log.dirs=$dir/logs"
        echo "offsets.topic.replication.factor=1"
        echo "offsets.topic.num.partitions=5"
        echo "transaction.state.log.replication.factor=1"
        echo "transaction.state.log.min.isr=1"
        echo "transaction.state.log.num.partitions=5"
        echo "share.coordinator.state.topic.replication.factor=1"
        echo "share.coordinator.state.topic.min.isr=1"
        for override in "$@"; do echo "$override"; done
    } >"$properties"
    if [ ! -f "$dir/logs/meta.properties" ]; then
        "$here/kafka-tool.sh" storage format --ignore-formatted --cluster-id 4L6g3nShT-eMCtK--X86sw \
            --config "$properties" >"$dir/format.log" 2>&1 || {
            cat "$dir/format.log" >&2
            exit 1
        }
    fi
}

case "$verb" in
run)
    prepare "$@"
    echo $$ >"$dir/pid"
    exec "$here/kafka-tool.sh" server-start "$dir/server.properties"
    ;;
start)
    prepare "$@"
    nohup "$here/kafka-tool.sh" server-start "$dir/server.properties" >"$dir/kafka.log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    for _ in $(seq 1 240); do
        if port_taken "$port"; then
            echo "Apache Kafka on 127.0.0.1:$port, process $(cat "$dir/pid"), data in $dir"
            exit
        fi
        kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
        sleep 0.25
    done
    tail -n 40 "$dir/kafka.log" >&2
    echo "error: Apache Kafka did not start" >&2
    exit 1
    ;;
stop)
    [ -f "$dir/pid" ] || exit 0
    pid=$(cat "$dir/pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 1 120); do
        kill -0 "$pid" 2>/dev/null || {
            rm -f "$dir/pid"
            exit 0
        }
        sleep 0.25
    done
    kill -9 "$pid"
    rm -f "$dir/pid"
    ;;
*) wrong_usage ;;
esac
