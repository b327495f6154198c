#!/usr/bin/env bash
# Fuzzes the decoders of what others wrote, and whole sessions: see fuzz/README.md. Needs a nightly toolchain and cargo-fuzz, and installs them.
#   fuzz.sh [TARGET|all] [SECONDS]    all targets for 60 seconds each when nothing is said
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

mapfile -t targets < <(cd fuzz/fuzz_targets && basename -s .rs -- *.rs)
target=${1:-all}
seconds=${2:-60}

require_rust
rustup run nightly rustc --version >/dev/null 2>&1 || {
    say "installing a nightly toolchain"
    rustup toolchain install nightly --profile minimal
}
have cargo-fuzz || {
    say "installing cargo-fuzz"
    cargo install cargo-fuzz --locked
}

if [ "$target" != all ]; then
    case " ${targets[*]} " in
    *" $target "*) targets=("$target") ;;
    *) fail "no such target: $target (all, ${targets[*]})" ;;
    esac
fi

for name in "${targets[@]}"; do
    say "$name for $seconds s"
    # What is found new goes to corpus/, which is not kept; seeds/ is.
    mkdir -p "fuzz/corpus/$name"
    # One allocation of more than 64 MB is a finding: no input here comes near it.
    len=16384
    [ "$name" != session ] || len=65536
    cargo +nightly fuzz run "$name" "fuzz/corpus/$name" "fuzz/seeds/$name" -- -max_total_time="$seconds" -max_len="$len" \
        -malloc_limit_mb=64 -rss_limit_mb=1024
done
say "nothing found"
