#!/usr/bin/env bash
# All tests: format and lints, unit and simulation tests, end-to-end tests with real clients, the image. Installs what they need.
#   test.sh [check|unit|e2e|image]...     all of them when none is named; the image where Docker is or can be installed
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/engine.sh
. scripts/engine.sh
usage "$@"

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
    if ! start_engine; then
        left_out="; skipped the image: $engine_lack"
        return
    fi
    trap stop_engine EXIT
    say "the image, docker-compose.yml, the ways in, other compose files, Testcontainers' modules"
    ./scripts/build-image.sh ottla:test
    export OTTLA_IMAGE=ottla:test
    ./scripts/test-image.sh
    ./scripts/test-entrypoints.sh
    ./scripts/test-compose.sh
    ./scripts/test-containers.sh
    stop_engine
    trap - EXIT
}

left_out=
[ $# -gt 0 ] || set -- check unit e2e image
require_rust
for step in "$@"; do
    case "$step" in
    check | unit | e2e | image) "step_$step" ;;
    *) fail "no such step: $step (check, unit, e2e, image)" ;;
    esac
done
say "all passed in $SECONDS s$left_out"
