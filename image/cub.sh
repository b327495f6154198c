#!/bin/sh
# Confluent's utility, for what waits for a broker: cub kafka-ready [-b SERVERS] [-c FILE] [-s] MIN_BROKERS SECONDS
set -eu
case "${1:-}" in
zk-ready) exit 0 ;;
kafka-ready) shift ;;
*)
    echo "usage: cub kafka-ready [-b HOST:PORT] [-c FILE] MIN_BROKERS SECONDS" >&2
    exit 2
    ;;
esac
servers=
while getopts b:c:s:z: option; do
    case "$option" in
    b) servers=$OPTARG ;;
    c) servers=$(sed -n 's/^[[:space:]]*bootstrap\.servers[[:space:]]*=[[:space:]]*//p' "$OPTARG") ;;
    *) ;;
    esac
done
shift $((OPTIND - 1))
servers=${servers#*://}
exec ottla wait --for ready --timeout "${2:?cub kafka-ready: how many seconds to wait?}s" \
    --bootstrap-server "${servers:?cub kafka-ready: -b HOST:PORT is missing}"
