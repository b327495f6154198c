#!/bin/sh
# Writes the properties that the lines want which modules add here: `kafka-storage format ... -c /etc/kafka/kafka.properties`.
# The broker itself reads the environment.
set -eu
echo "log.dirs=${KAFKA_LOG_DIRS:-${KAFKA_LOG_DIR:-/data}}" >/etc/kafka/kafka.properties
if [ -n "${CLUSTER_ID:-}" ]; then
    kafka-storage format --ignore-formatted -t "$CLUSTER_ID" -c /etc/kafka/kafka.properties
fi
