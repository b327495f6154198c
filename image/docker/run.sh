#!/bin/sh
# The start command of Apache's and of Confluent's image. Arguments are further variables.
set -eu
for variable in "$@"; do
    export "${variable?}"
done
exec start-ottla
