#!/usr/bin/env bash
# Kills the broker in every way there is, under load, and holds what is left against what was acknowledged: docs/CRASH_SUITE.md.
#   crash-suite.sh [--minutes N | --rounds N] [--seed S] [--only KIND] [--json FILE]
# 10 minutes and a seed by chance when not said; --rounds: so many episodes of each kind. Ends with 1 if anything does not hold; the data directory and the log of the broker are kept then.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"

[ "$(uname)" = Linux ] || fail "the crash suite needs Linux 5.19 or newer (seccomp_unotify)"
require_rust
cargo build --locked -p ottla-cli -p ottla-tests --bins
target=${CARGO_TARGET_DIR:-$PWD/target}
export OTTLA_BIN=${OTTLA_BIN:-$target/debug/ottla} OTTLA_KEEP_FAILED=1
exec "$target/debug/crash-suite" "$@"
