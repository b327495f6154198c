#!/usr/bin/env bash
# Format and lints: what must hold before any test is worth running.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings

# `docker build .` copies the manifests of members that are no part of the image one by one.
manifests=$(cargo metadata --no-deps --locked --format-version 1 | grep -o '"manifest_path":"[^"]*"' | cut -d'"' -f4)
for manifest in $manifests; do
    manifest=${manifest#"$PWD/"}
    case "$manifest" in
    crates/*) ;;
    *) grep -qx "COPY $manifest $manifest" Dockerfile || {
        echo "Dockerfile lacks: COPY $manifest $manifest" >&2
        exit 1
    } ;;
    esac
done

# The fuzzers are no members of the workspace, so nothing else notices when their lock file lacks a crate of it.
(cd fuzz && cargo update --quiet --workspace --locked) || {
    echo "fuzz/Cargo.lock is not up to date: run \`cargo update --workspace\` in fuzz/ and commit it" >&2
    exit 1
}
