#!/usr/bin/env bash
# Builds Ottla and runs a broker on port 9092 that keeps its data in ./data.
# Arguments go to `ottla serve`: ./scripts/run.sh --port 9093 --durability os
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"

require_rust
cargo build --release --locked -p ottla-cli
exec "${CARGO_TARGET_DIR:-target}/release/ottla" serve "$@"
