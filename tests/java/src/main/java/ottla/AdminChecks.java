package ottla;

import static ottla.Checks.equal;
import static ottla.Checks.expect;
import static ottla.Checks.that;
import static ottla.Checks.unique;
import static ottla.Checks.until;
import static ottla.Fixture.T0;
import static ottla.Fixture.read;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the admin client does. */
final class AdminChecks {
    private final Fixture fixture;
    private final Admin admin;

    AdminChecks(Fixture fixture) {
        this.fixture = fixture;
        this.admin = fixture.admin;
    }

    void addTo(Checks checks) {
        checks.add("creates_topics_and_describes_them", this::topics);
        checks.add("describes_the_cluster_and_its_log_dirs", this::cluster);
        checks.add("alters_and_describes_configs", this::configs);
        checks.add("adds_partitions", this::partitions);
        checks.add("deletes_topics", this::deletes);
        checks.add("lists_describes_and_deletes_groups", this::groups);
        checks.add("lists_and_alters_offsets", this::offsets);
        checks.add("deletes_records", this::records);
    }

    /** All of them, one after the other. */
    void all() throws Exception {
        topics();
        cluster();
        configs();
        partitions();
        deletes();
        groups();
        offsets();
        records();
    }

    private TopicDescription describe(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private void topics() throws Exception {
        String topic = unique("t");
        var created = admin.createTopics(List.of(
                new NewTopic(topic, Optional.of(3), Optional.empty()).configs(Map.of("retention.ms", "123456"))));
        equal(created.numPartitions(topic).get(), 3, "partitions");
        equal(created.replicationFactor(topic).get(), 1, "replication factor");
        equal(created.config(topic).get().get("retention.ms").value(), "123456", "config in the answer");
        TopicDescription description = describe(topic);
        equal(description.topicId(), created.topicId(topic).get(), "topic id");
        equal(description.partitions().stream().map(TopicPartitionInfo::partition).toList(), List.of(0, 1, 2), "ids");
        that(description.partitions().stream().allMatch(p -> p.leader() != null && p.isr().size() == 1), "leaders");
        that(admin.listTopics().names().get().contains(topic), "listed");
        equal(admin.describeTopics(TopicCollection.ofTopicIds(List.of(description.topicId()))).allTopicIds().get()
                .get(description.topicId()).name(), topic, "by id");

        expect(TopicExistsException.class, () -> create(new NewTopic(topic, 1, (short) 1)));
        expect(InvalidTopicException.class, () -> create(new NewTopic("../up", 1, (short) 1)));
        expect(InvalidPartitionsException.class, () -> create(new NewTopic(unique("t"), 0, (short) 1)));
        expect(InvalidReplicationFactorException.class, () -> create(new NewTopic(unique("t"), 1, (short) 0)));
        expect(InvalidConfigurationException.class,
                () -> create(new NewTopic(unique("t"), 1, (short) 1).configs(Map.of("no.such", "1"))));
        String checked = unique("t");
        admin.createTopics(List.of(new NewTopic(checked, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true))
                .all().get();
        expect(UnknownTopicOrPartitionException.class, () -> describe(checked));
        expect(UnknownTopicIdException.class, () -> admin.describeTopics(
                TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());
    }

    private void create(NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get();
    }

    private void cluster() throws Exception {
        var cluster = admin.describeCluster();
        that(!cluster.clusterId().get().isEmpty(), "a cluster id");
        equal(cluster.nodes().get().size(), 1, "nodes");
        var node = cluster.nodes().get().iterator().next();
        equal(node.host() + ":" + node.port(), fixture.bootstrap, "the node's address");
        String topic = fixture.create(1);
        fixture.fill(topic, 100, 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        var dirs = admin.describeLogDirs(List.of(node.id())).allDescriptions().get().get(node.id());
        long size = dirs.values().stream().filter(dir -> dir.replicaInfos().containsKey(partition))
                .mapToLong(dir -> dir.replicaInfos().get(partition).size()).sum();
        that(size > 500, "a partition's size: " + size);
    }

    private Config config(String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    private void alter(String topic, String name, String value, AlterConfigOp.OpType type) throws Exception {
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic),
                List.of(new AlterConfigOp(new ConfigEntry(name, value), type)))).all().get();
    }

    private void configs() throws Exception {
        String topic = fixture.create(1, Map.of("retention.ms", "1000000"));
        ConfigEntry retention = config(topic).get("retention.ms");
        equal(retention.value(), "1000000", "value");
        equal(retention.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        equal(retention.isDefault(), false, "default");
        ConfigEntry max = config(topic).get("max.message.bytes");
        equal(max.value(), "1048588", "default value");
        equal(max.source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG, "default source");
        alter(topic, "retention.ms", "", AlterConfigOp.OpType.DELETE);
        alter(topic, "max.message.bytes", "2000", AlterConfigOp.OpType.SET);
        alter(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        equal(config(topic).get("retention.ms").value(), "604800000", "back to the default");
        equal(config(topic).get("max.message.bytes").value(), "2000", "set");
        equal(config(topic).get("cleanup.policy").value(), "delete,compact", "appended");
        alter(topic, "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT);
        equal(config(topic).get("cleanup.policy").value(), "delete", "subtracted");
        expect(InvalidConfigurationException.class, () -> alter(topic, "retention.ms", "x", AlterConfigOp.OpType.SET));
        expect(UnknownTopicOrPartitionException.class, () -> config(unique("missing")));
        String node = admin.describeCluster().nodes().get().iterator().next().idString();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
        Config brokerConfig = admin.describeConfigs(List.of(broker)).all().get().get(broker);
        that(brokerConfig.get("log.dirs").isReadOnly(), "log.dirs is read-only");
        equal(brokerConfig.get("node.id").value(), node, "node.id");
    }

    private void partitions() throws Exception {
        String topic = fixture.create(1);
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        until("four partitions", () -> {
            try {
                return describe(topic).partitions().size() == 4;
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        fixture.fill(topic, 8, 4);
        expect(InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        expect(UnknownTopicOrPartitionException.class,
                () -> admin.createPartitions(Map.of(unique("missing"), NewPartitions.increaseTo(2))).all().get());
    }

    private void deletes() throws Exception {
        String topic = fixture.create(2);
        fixture.fill(topic, 10, 2);
        Uuid id = describe(topic).topicId();
        admin.deleteTopics(List.of(topic)).all().get();
        until("the topic is gone", () -> {
            try {
                return !admin.listTopics().names().get().contains(topic);
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        expect(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
        create(new NewTopic(topic, 1, (short) 1));
        that(!describe(topic).topicId().equals(id), "a new id");
        fixture.fill(topic, 1, 1);
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(describe(topic).topicId()))).all().get();
        expect(UnknownTopicIdException.class,
                () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
    }

    private void groups() throws Exception {
        String topic = fixture.create(1);
        fixture.fill(topic, 1, 1);
        String group = unique("described");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var consumer = fixture.consumer(group, "client.id", "the-client")) {
            consumer.subscribe(List.of(topic));
            read(consumer, 1);
            consumer.commitSync();
            Set<String> listed = admin.listGroups().all().get().stream().map(g -> g.groupId())
                    .collect(Collectors.toSet());
            that(listed.contains(group), "listed");
            var description = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            equal(description.groupState(), GroupState.STABLE, "state");
            equal(description.partitionAssignor(), "range", "assignor");
            var member = description.members().iterator().next();
            equal(member.clientId(), "the-client", "client id");
            equal(member.host(), "/127.0.0.1", "host");
            equal(member.assignment().topicPartitions(), Set.of(partition), "assignment");
            expect(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            expect(GroupSubscribedToTopicException.class,
                    () -> admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get());
        }
        equal(admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState(), GroupState.EMPTY, "empty");
        admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
        equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(), Map.of(), "offsets deleted");
        admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(1))).all().get();
        admin.deleteConsumerGroups(List.of(group)).all().get();
        expect(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        expect(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(group)).all().get());
    }

    private ListOffsetsResultInfo offset(TopicPartition partition, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).all().get().get(partition);
    }

    private void offsets() throws Exception {
        String topic = fixture.create(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        equal(offset(partition, OffsetSpec.maxTimestamp()).offset(), -1L, "newest of nothing");
        fixture.fill(topic, 30, 1);
        equal(offset(partition, OffsetSpec.earliest()).offset(), 0L, "earliest");
        equal(offset(partition, OffsetSpec.latest()).offset(), 30L, "latest");
        equal(offset(partition, OffsetSpec.earliestLocal()).offset(), 0L, "earliest local");
        equal(offset(partition, OffsetSpec.forTimestamp(T0 + 12)).offset(), 12L, "by time");
        equal(offset(partition, OffsetSpec.forTimestamp(T0 + 99)).offset(), -1L, "past the end");
        equal(offset(partition, OffsetSpec.maxTimestamp()).offset(), 29L, "newest");
        String group = unique("altered");
        Map<TopicPartition, OffsetAndMetadata> wanted = new HashMap<>();
        wanted.put(partition, new OffsetAndMetadata(17, Optional.empty(), "note"));
        admin.alterConsumerGroupOffsets(group, wanted).all().get();
        equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(), wanted, "offsets");
        try (var consumer = fixture.consumer(group)) {
            consumer.subscribe(List.of(topic));
            equal(read(consumer, 1).get(0).offset(), 17L, "resumes");
            expect(UnknownMemberIdException.class, () -> admin.alterConsumerGroupOffsets(group, wanted).all().get());
        }
    }

    private void records() throws Exception {
        String topic = fixture.create(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        fixture.fill(topic, 40, 1);
        equal(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(25))).lowWatermarks().get(partition)
                .get().lowWatermark(), 25L, "low watermark");
        equal(offset(partition, OffsetSpec.earliest()).offset(), 25L, "earliest");
        try (var consumer = fixture.consumer(unique("g"))) {
            consumer.subscribe(List.of(topic));
            equal(new TreeSet<>(read(consumer, 15).stream().map(Fixture::number).toList()),
                    new TreeSet<>(Fixture.range(25, 40)), "what is left");
        }
        expect(OffsetOutOfRangeException.class,
                () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(41))).all().get());
        equal(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(partition)
                .get().lowWatermark(), 40L, "everything");
    }
}
