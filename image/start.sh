#!/bin/sh
# Starts the broker as an image is started: settings come from the environment, arguments are those of `ottla serve`.
set -eu

# A container that is nothing but a controller has nothing to do; what depends on it wants to see it run.
if [ "${KAFKA_PROCESS_ROLES:-}" = controller ] || [ "${KAFKA_CFG_PROCESS_ROLES:-}" = controller ]; then
    echo "Ottla needs no controllers: this container waits until it is stopped." >&2
    trap 'exit 0' INT TERM
    sleep 2147483647 &
    wait
fi

# Whether one of these is in the arguments; a space before it is that before an argument.
arguments=" $* "
given() {
    for option in "$@"; do
        case "$arguments" in *"$option"*) return 0 ;; esac
    done
    return 1
}

# Settings that somebody has mounted where an image looks for them.
config=
for file in /mnt/shared/config/server.properties /bitnami/kafka/config/server.properties \
    /opt/bitnami/kafka/config/server.properties; do
    if [ -f "$file" ] && ! given ' --config' ' -c'; then
        config=$file
        set -- --config "$file" "$@"
        break
    fi
done

# The data goes where the volume is: to the first of the images' directories that something is mounted on.
if [ -z "${KAFKA_LOG_DIRS:-}${KAFKA_LOG_DIR:-}${KAFKA_CFG_LOG_DIRS:-}${KAFKA_CFG_LOG_DIR:-}${OTTLA_LOG_DIRS:-}" ] &&
    ! given ' --data-dir' ' -d' ' --ephemeral' log.dir &&
    ! { [ -n "$config" ] && grep -q '^[[:space:]]*log\.dirs\{0,1\}[[:space:]]*[=:]' "$config"; }; then
    data=
    while read -r _ _ _ _ point _; do
        case "$point" in
        /data | /kafka | /tmp/kraft-combined-logs | /var/lib/kafka/data | /var/lib/redpanda/data | /bitnami/kafka/data)
            data=$point
            break
            ;;
        /var/lib/kafka | /bitnami/kafka) data=$point/data ;;
        /bitnami) data=/bitnami/kafka/data ;;
        esac
    done </proc/self/mountinfo
    set -- --data-dir "${data:-/data}" "$@"
fi

# Who says nothing of listeners gets one for the host and one for other containers.
if [ -z "${KAFKA_LISTENERS:-}${KAFKA_ADVERTISED_LISTENERS:-}${KAFKA_CFG_LISTENERS:-}${KAFKA_CFG_ADVERTISED_LISTENERS:-}" ] &&
    [ -z "${OTTLA_LISTENERS:-}${OTTLA_ADVERTISED_LISTENERS:-}${KAFKA_ADVERTISED_HOST_NAME:-}${KAFKA_ADVERTISED_PORT:-}${KAFKA_HOST_NAME:-}" ] &&
    ! given ' --port ' ' --port=' ' -p' ' --host' listeners= ' --config' ' -c' &&
    ! { [ -n "$config" ] && grep -q '^[[:space:]]*\(advertised\.\)\{0,1\}listeners[[:space:]]*[=:]' "$config"; }; then
    set -- --override listeners=HOST://0.0.0.0:9092,CONTAINERS://0.0.0.0:19092 \
        --override listener.security.protocol.map=HOST:PLAINTEXT,CONTAINERS:PLAINTEXT \
        --override "advertised.listeners=HOST://localhost:9092,CONTAINERS://$(hostname):19092" "$@"
fi

# A port alone would be one of the loopback, which nobody reaches here.
if given ' --port ' ' --port=' ' -p' && ! given ' --host'; then
    set -- --host 0.0.0.0 "$@"
fi

# For the health check. A root file system that cannot be written to does without.
if [ -w /run/ottla ] && ! given ' --port-file'; then
    set -- --port-file /run/ottla/broker.json "$@"
fi
exec ottla serve "$@"
