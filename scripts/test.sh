#!/usr/bin/env bash
# All tests: format and lints, unit and simulation tests, end-to-end tests with real clients. Installs what they need.
#   test.sh [check|unit|e2e]...     all of them when none is named
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

step_check() {
    say "format and lints"
    ./scripts/check.sh
}

step_unit() {
    say "unit, property and simulation tests"
    cargo test --workspace --locked --exclude ottla-tests
}

step_e2e() {
    say "clients and servers for the end-to-end tests"
    ./scripts/setup-test-clients.sh
    say "end-to-end tests"
    cargo build --locked -p ottla-cli
    cargo test --locked -p ottla-tests --no-fail-fast
}

require_rust
[ $# -gt 0 ] || set -- check unit e2e
for step in "$@"; do
    case "$step" in
    check | unit | e2e) "step_$step" ;;
    *) fail "no such step: $step (check, unit, e2e)" ;;
    esac
done
say "all passed in $SECONDS s"
