#!/bin/sh
# What the image runs: a command of Ottla's, one of the images that it stands in for, or any other.
set -eu
case "${1:-start-ottla}" in
start-ottla) exec start-ottla ;;
redpanda) exec rpk "$@" ;;
start) exec rpk redpanda "$@" ;;
-h | --help | -V | --version) exec ottla "$@" ;;
-*) exec start-ottla "$@" ;;
esac
# Some of Ottla's commands have the names of common tools (`wait`, `reset`), which nobody calls by these names alone.
if ottla help "$1" >/dev/null 2>&1; then
    exec ottla "$@"
fi
exec "$@"
