#!/usr/bin/env bash
# All tests: format and lints, unit and simulation tests, end-to-end tests with real clients, the image. Installs what they need.
#   test.sh [check|unit|e2e|image]...     all of them when none is named; the image where there is Docker
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

step_image() {
    say "the image, and docker-compose.yml"
    ./scripts/test-image.sh
}

left_out=
if [ $# = 0 ]; then
    lack=$(engine_lacks)
    [ -z "$lack" ] || left_out="; skipped the image: $lack"
    set -- check unit e2e
    [ -n "$lack" ] || set -- "$@" image
fi
require_rust
for step in "$@"; do
    case "$step" in
    check | unit | e2e | image) "step_$step" ;;
    *) fail "no such step: $step (check, unit, e2e, image)" ;;
    esac
done
say "all passed in $SECONDS s$left_out"
