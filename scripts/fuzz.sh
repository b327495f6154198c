#!/usr/bin/env bash
# Fuzzes the decoders of what others wrote, and whole sessions: see fuzz/README.md.
#   fuzz.sh [TARGET|all] [SECONDS]    all targets for 60 seconds each when nothing is said
#   fuzz.sh TARGET min                leaves in corpus/ the smallest inputs that reach what seeds/ and corpus/ do
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
usage "$@"

mapfile -t targets < <(cd fuzz/fuzz_targets && basename -s .rs -- *.rs)
target=${1:-all}
seconds=${2:-60}

require_rust
if [ "$target" != all ]; then
    case " ${targets[*]} " in
    *" $target "*) targets=("$target") ;;
    *) fail "no such target: $target (all, ${targets[*]})" ;;
    esac
fi

# A directory of its own: cargo does not see whether a crate was built with instrumentation.
built=$(realpath -m "${CARGO_TARGET_DIR:-fuzz/target}")/instrumented
RUSTC_WRAPPER=$PWD/scripts/instrumented-rustc.sh \
    cargo build --locked --manifest-path fuzz/Cargo.toml --target-dir "$built" "${targets[@]/#/--bin=}"

for name in "${targets[@]}"; do
    corpus=fuzz/corpus/$name
    if [ "$seconds" = min ]; then
        mkdir -p "$corpus.min" "$corpus"
        "$built/debug/$name" -merge=1 "$corpus.min" "$corpus" "fuzz/seeds/$name"
        rm -r "$corpus"
        mv "$corpus.min" "$corpus"
        continue
    fi
    say "$name for $seconds s"
    # What is found new goes to corpus/, which is not kept; seeds/ is.
    mkdir -p "$corpus" "fuzz/artifacts/$name"
    len=16384
    [ "$name" != session ] || len=65536
    "$built/debug/$name" "$corpus" "fuzz/seeds/$name" -max_total_time="$seconds" -max_len="$len" \
        -rss_limit_mb=2048 -timeout=20 -artifact_prefix="fuzz/artifacts/$name/"
    say "$name: nothing found"
done
