#!/bin/sh
# Compiles as cargo says (RUSTC_WRAPPER), the project's own crates with what libFuzzer is guided by: edges and compared values. Without the crates
# from outside it is guided by the project's code alone, and built in minutes.
case "$CARGO_PKG_NAME" in
ottla-*) ;;
*) exec "$@" ;;
esac
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0
