#!/usr/bin/env bash
# Ottla and Apache Kafka measured side by side: builds, installs what is missing, runs. Arguments go to ottla-bench:
#   bench.sh                       everything, three rounds
#   bench.sh --quick --rounds 1    to see that it runs
#   bench.sh --only "50 conn"      some of it (--list names them)
#   bench.sh scale                 what costs are as sizes grow (docs/SCALE.md)
# All options are in docs/PERFORMANCE.md and docs/SCALE.md.
# Results are printed and written to target/bench-results/. Let nothing else run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"
require_rust
scripts/setup-test-clients.sh java
cargo build --release --locked -p ottla-cli -p ottla-bench
target=${CARGO_TARGET_DIR:-target}
exec "$target/release/ottla-bench" --ottla "$target/release/ottla" \
    --kafka-jars "${OTTLA_CACHE:-.cache}/java/libs" --output "$target/bench-results" "$@"
