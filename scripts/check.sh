#!/usr/bin/env bash
# Format and lints: what must hold before any test is worth running.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
