#!/usr/bin/env bash
# A mixed load with churn and restarts for an hour, and whether memory, files, threads and disk stay as they were: docs/LONG_RUN.md.
#   long-run.sh [--minutes N] [--output DIR] [--load SHARE] [--restart-every SECONDS] [--leak connections]
# 60 minutes and target/long-run when not said. Ends with 1 if anything grows or does not hold.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"

[ "$(uname)" = Linux ] || fail "the long run needs Linux: it reads /proc"
require_rust
cargo build --locked --release -p ottla-cli
cargo build --locked -p ottla-tests --bin long-run
target=${CARGO_TARGET_DIR:-$PWD/target}
export OTTLA_BIN=${OTTLA_BIN:-$target/release/ottla}
exec "$target/debug/long-run" "$@"
