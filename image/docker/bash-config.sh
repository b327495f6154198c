# shellcheck shell=sh
# Read by scripts of Testcontainers modules, with bash and with sh.
set -o nounset -o errexit
