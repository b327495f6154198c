#!/usr/bin/env bash
# Runs one of Apache Kafka's command line tools: kafka-tool.sh topics --bootstrap-server localhost:9092 --list
# NAME is that of Kafka's own script with or without `kafka-` and `.sh`, or a Java class.
# Java options go in KAFKA_OPTS. `kafka-tool.sh --class NAME` says which class it is.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${OTTLA_CACHE:-$root/.cache}

[ $# -gt 0 ] || {
    sed -n '2,4s/^# //p' "$0"
    exit 2
}
print=
if [ "$1" = --class ]; then
    print=yes
    shift
fi
name=${1#kafka-}
name=${name%.sh}
shift
case "$name" in
*.*) class=$name ;;
broker-api-versions) class=org.apache.kafka.tools.BrokerApiVersionsCommand ;;
cluster) class=org.apache.kafka.tools.ClusterTool ;;
configs) class=kafka.admin.ConfigCommand ;;
console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
console-producer) class=org.apache.kafka.tools.ConsoleProducer ;;
consumer-perf-test) class=org.apache.kafka.tools.ConsumerPerformance ;;
consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
delete-records) class=org.apache.kafka.tools.DeleteRecordsCommand ;;
dump-log) class=org.apache.kafka.tools.DumpLogSegments ;;
features) class=org.apache.kafka.tools.FeatureCommand ;;
get-offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
groups) class=org.apache.kafka.tools.GroupsCommand ;;
leader-election) class=org.apache.kafka.tools.LeaderElectionCommand ;;
log-dirs) class=org.apache.kafka.tools.LogDirsCommand ;;
metadata-quorum) class=org.apache.kafka.tools.MetadataQuorumCommand ;;
producer-perf-test) class=org.apache.kafka.tools.ProducerPerformance ;;
reassign-partitions) class=org.apache.kafka.tools.reassign.ReassignPartitionsCommand ;;
server-start) class=kafka.Kafka ;;
storage) class=kafka.tools.StorageTool ;;
streams-application-reset) class=org.apache.kafka.tools.StreamsResetter ;;
streams-groups) class=org.apache.kafka.tools.streams.StreamsGroupCommand ;;
topics) class=org.apache.kafka.tools.TopicCommand ;;
transactions) class=org.apache.kafka.tools.TransactionsCommand ;;
verifiable-consumer) class=org.apache.kafka.tools.VerifiableConsumer ;;
verifiable-producer) class=org.apache.kafka.tools.VerifiableProducer ;;
*)
    echo "error: no tool named '$name' is known here: give the Java class instead" >&2
    exit 2
    ;;
esac

if [ -n "$print" ]; then
    echo "$class"
    exit
fi
[ -d "$cache/java/libs" ] || {
    echo "error: Kafka's tools are not installed: run scripts/setup-test-clients.sh java" >&2
    exit 1
}

# These tools live a second: the second compiler and its threads would cost more than they give.
short="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx256m"
[ "$name" = server-start ] && short="-XX:+UseG1GC"
# shellcheck disable=SC2086 # options are words
exec java $short -Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_LOG_LEVEL:-warn}" ${KAFKA_OPTS:-} \
    -cp "$cache/java/driver.jar:$cache/java/libs/*" "$class" "$@"
