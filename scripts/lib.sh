# shellcheck shell=bash
# What the scripts share: messages, and finding or installing what they need. Sourced, never run.

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Prints what the script says of itself at its top.
about() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$(dirname "${BASH_SOURCE[0]}")/$(basename "$0")"; }
# usage "$@": does that, and ends, where the first argument asks for it.
usage() {
    case "${1:-}" in
    -h | --help)
        about
        exit
        ;;
    esac
}

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo: run as root: $*"
    fi
}

apt_updated=
# install_package COMMAND DEBIAN_PACKAGES BREW_FORMULA: makes COMMAND available, through apt or Homebrew.
install_package() {
    have "$1" && return
    if have apt-get; then
        say "installing $2 (for $1)"
        if [ -z "$apt_updated" ]; then
            as_root apt-get update -qq
            apt_updated=yes
        fi
        # shellcheck disable=SC2086 # several packages may be named
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 >/dev/null
    elif have brew; then
        say "installing $3 (for $1)"
        brew install "$3" >&2
    else
        fail "'$1' is missing, and neither apt-get nor brew is here to install it (Debian: $2, Homebrew: $3)"
    fi
    have "$1" || fail "'$1' is still not on the PATH after installing it"
}

# Whether apt knows a package: Debian has rustup from trixie on.
apt_has() { have apt-cache && apt-cache policy "$1" 2>/dev/null | grep -q "Candidate: [^(]"; }

# Cargo, a C compiler and its companions (bundled C libraries are compiled during the build).
require_rust() {
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
        export PATH
    fi
    if [ "$(uname)" = Darwin ]; then
        xcode-select -p >/dev/null 2>&1 || fail "no C compiler: run 'xcode-select --install', then this again"
    else
        install_package cc "gcc g++ libc6-dev" gcc
        install_package c++ "g++" gcc
    fi
    install_package make make make
    if ! have cargo && { have brew || apt_has rustup; }; then
        install_package rustup rustup rustup
        say "installing the Rust toolchain of rust-toolchain.toml"
        # Homebrew keeps rustup's proxies out of the PATH.
        if have brew && [ -d "$(brew --prefix)/opt/rustup/bin" ]; then
            PATH="$(brew --prefix)/opt/rustup/bin:$PATH"
            export PATH
        fi
        rustup show >&2
    fi
    have cargo || fail "no Rust toolchain, and no package for it here: install rustup as https://rustup.rs says, open a new shell, then run this again"
}

# Checksum of the given files, to tell whether something built from them is still true.
fingerprint() { cat "$@" | cksum | tr ' ' '-'; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port that nobody listens on now.
free_port() {
    local candidate
    while :; do
        candidate=$((20000 + RANDOM % 12000))
        port_taken "$candidate" || break
    done
    echo "$candidate"
}

# within SECONDS COMMAND...: ends a command that takes longer, where there is a command to do it.
within() {
    if have timeout; then timeout "$@"; else "${@:2}"; fi
}

# Docker's compose: the plugin, or the command of its own.
compose() {
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# Says what is missing for running containers; nothing if all is there.
engine_lacks() {
    if ! have docker; then
        echo "there is no docker command"
    elif ! docker info >/dev/null 2>&1; then
        echo "docker does not answer (docker info says why)"
    elif ! compose version >/dev/null 2>&1; then
        echo "docker has no compose plugin, and there is no docker-compose"
    fi
}

require_engine() {
    local lack
    lack=$(engine_lacks)
    [ -z "$lack" ] || fail "containers cannot be run here: $lack"
}
