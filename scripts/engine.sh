# shellcheck shell=bash
# A container engine for tests: the one that answers, or one that is installed from Debian's packages and started for the time of
# the tests. Sourced after lib.sh, never run.

engine_pid=
engine_lack=

# Makes `docker` work. Where it cannot, says so by its status, and why in `engine_lack`. A Docker of our own has its socket and
# its data in the cache's `engine`, so that base images last; stop_engine ends it.
start_engine() {
    engine_lack=$(engine_lacks)
    [ -n "$engine_lack" ] || return 0
    if ! { [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] && have apt-get; }; then
        engine_lack="$engine_lack, and only root on a Debian can install and start it here"
        return 1
    fi
    install_package dockerd docker.io docker
    install_package docker "docker.io docker-cli" docker
    docker compose version >/dev/null 2>&1 || install_package docker-compose docker-compose docker-compose
    docker info >/dev/null 2>&1 || start_own_engine || return 1
    engine_lack=$(engine_lacks)
    [ -z "$engine_lack" ]
}

start_own_engine() {
    local data=${OTTLA_CACHE:-$PWD/.cache}/engine tries=300
    mkdir -p "$data"
    data=$(cd "$data" && pwd)
    # The path of a socket may have 107 bytes.
    engine_run=$(mktemp -d /tmp/ottla-engine.XXXXXX)
    dockerd --host "unix://$engine_run/docker.sock" --data-root "$data" --exec-root "$engine_run/exec" \
        --pidfile "$engine_run/pid" >"$engine_run/log" 2>&1 &
    engine_pid=$!
    export DOCKER_HOST=unix://$engine_run/docker.sock
    # It maps ports on this machine, also where that is a container itself: Testcontainers would look for them at the gateway.
    export TESTCONTAINERS_HOST_OVERRIDE=localhost
    until docker info >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || ! kill -0 "$engine_pid" 2>/dev/null; then
            engine_lack="dockerd does not start: $(tail -n 1 "$engine_run/log")"
            stop_engine
            return 1
        fi
        sleep 0.1
    done
    say "started a Docker of our own at $DOCKER_HOST"
}

# Ends the Docker that start_engine started, and what runs in it.
stop_engine() {
    [ -n "$engine_pid" ] || return 0
    docker ps -q 2>/dev/null | xargs -r docker kill >/dev/null 2>&1 || true
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
    engine_pid=
    unset DOCKER_HOST TESTCONTAINERS_HOST_OVERRIDE
    rm -rf "$engine_run"
}
