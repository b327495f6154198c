#!/usr/bin/env bash
# Records what real clients say to a broker, as seeds of the fuzzer: a session for each check of the programs in tests/.
#   record-sessions.sh DIRECTORY [CLIENT]...    all clients when none is named: franz sarama librdkafka kafkajs aiokafka java
# The clients must be installed: ./scripts/setup-test-clients.sh. To keep sessions as seeds, see fuzz/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"

[ $# -gt 0 ] || fail "record-sessions.sh DIRECTORY [CLIENT]..."
directory=$1
shift
[ $# -gt 0 ] || set -- franz sarama librdkafka kafkajs aiokafka java
mkdir -p "$directory"
cache=${OTTLA_CACHE:-$PWD/.cache}
target=${CARGO_TARGET_DIR:-target}/debug

require_rust
cargo build --locked -p ottla-cli -p ottla-fuzzing
for client in "$@"; do
    case "$client" in
    franz | sarama) program=("$cache/go/$client") ;;
    librdkafka) program=("$cache/python/bin/python" tests/python/confluent_driver.py) ;;
    aiokafka) program=("$cache/python/bin/python" tests/python/aiokafka_driver.py) ;;
    kafkajs) program=(env NODE_PATH="$cache/node/node_modules" node tests/node/kafkajs_driver.js) ;;
    java) program=(java -cp "$cache/java/driver.jar:$cache/java/libs/*" ottla.Driver) ;;
    *) fail "no such client: $client (franz, sarama, librdkafka, kafkajs, aiokafka, java)" ;;
    esac
    say "$client"
    "$target/record-sessions" "$target/ottla" "$directory" "$client" "${program[@]}"
done
