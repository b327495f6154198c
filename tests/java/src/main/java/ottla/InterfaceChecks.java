package ottla;

import static ottla.Checks.equal;
import static ottla.Checks.that;
import static ottla.Checks.unique;
import static ottla.Fixture.read;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeConsumerGroupsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** What user interfaces for administration (kafka-ui, AKHQ, Kafdrop) ask at their start and for their pages, in their order. */
final class InterfaceChecks {
    private static final int TOPICS = 250;

    private final Fixture fixture;

    InterfaceChecks(Fixture fixture) {
        this.fixture = fixture;
    }

    void addTo(Checks checks) {
        checks.add("shows_a_user_interface_the_cluster", () -> with(this::cluster));
        checks.add("shows_a_user_interface_many_topics_in_batches", () -> with(this::topics));
        checks.add("shows_a_user_interface_groups_and_their_lag", () -> with(this::groups));
    }

    private interface Page {
        void show(Admin admin) throws Exception;
    }

    /** An answer that does not come, or that the client asks for again and again, fails here. */
    private void with(Page page) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", fixture.bootstrap,
                "request.timeout.ms", "10000", "default.api.timeout.ms", "20000", "client.id", unique("ui")))) {
            page.show(admin);
        }
    }

    private void cluster(Admin admin) throws Exception {
        var described = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        List<Node> nodes = List.copyOf(described.nodes().get());
        Node controller = described.controller().get();
        that(nodes.contains(controller), "the controller is one of the nodes: " + controller);
        that(!described.clusterId().get().isEmpty(), "a cluster id");
        that(described.authorizedOperations().get().containsAll(Set.of(AclOperation.ALTER, AclOperation.DESCRIBE)),
                "everything is allowed: " + described.authorizedOperations().get());
        // How the version of a broker is found: its finalized features, or a setting that Kafka had before 4.0.
        that(admin.describeFeatures().featureMetadata().get().finalizedFeatures().containsKey("metadata.version"),
                "a version of the metadata");
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, controller.idString());
        var configs = admin.describeConfigs(List.of(broker),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(broker);
        for (String name : List.of("log.retention.ms", "num.partitions", "auto.create.topics.enable", "delete.topic.enable")) {
            ConfigEntry entry = configs.get(name);
            that(entry != null && entry.type() != ConfigEntry.ConfigType.UNKNOWN, name + " has a type");
            that(entry.documentation() != null && !entry.documentation().isEmpty(), name + " is documented");
        }
        equal(admin.describeMetadataQuorum().quorumInfo().get().leaderId(), controller.id(), "the quorum's leader");
        that(admin.describeLogDirs(nodes.stream().map(Node::id).toList()).allDescriptions().get().get(controller.id())
                .values().stream().allMatch(dir -> dir.error() == null), "log dirs without an error");
        // Whether to show pages of ACLs and quotas: these errors hide them. Kafka has quotas.
        try {
            admin.describeAcls(AclBindingFilter.ANY).values().get();
            throw new AssertionError("ACLs, without anybody who authorizes");
        } catch (ExecutionException error) {
            that(error.getCause() instanceof SecurityDisabledException, "ACLs: " + error.getCause());
        }
        try {
            equal(admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get(), Map.of(), "quotas");
        } catch (ExecutionException error) {
            that(error.getCause() instanceof UnsupportedVersionException, "quotas: " + error.getCause());
        }
    }

    private void topics(Admin admin) throws Exception {
        String prefix = unique("page");
        var names = Fixture.range(0, TOPICS).stream().map(i -> prefix + "-" + i).toList();
        admin.createTopics(names.stream().map(name -> new NewTopic(name, 2, (short) 1)).toList())
                .all().get();
        fixture.fill(names.get(0), 10, 2);
        var listed = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
        that(listed.containsAll(names), "all topics are listed");
        for (int from = 0; from < TOPICS; from += 200) {
            var batch = names.subList(from, Math.min(from + 200, TOPICS));
            var described = admin.describeTopics(batch, new DescribeTopicsOptions().includeAuthorizedOperations(true))
                    .allTopicNames().get();
            equal(described.keySet(), Set.copyOf(batch), "topics of a batch");
            that(described.values().stream().allMatch(t -> t.partitions().size() == 2
                    && t.authorizedOperations().contains(AclOperation.DELETE)), "partitions, and what is allowed");
            var resources = batch.stream().map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name)).toList();
            var configs = admin.describeConfigs(resources, new DescribeConfigsOptions().includeSynonyms(true)).all().get();
            equal(configs.size(), batch.size(), "configs of a batch");
            that(configs.values().stream().allMatch(c -> !c.get("cleanup.policy").synonyms().isEmpty()), "synonyms");
            var partitions = batch.stream().flatMap(name -> List.of(new TopicPartition(name, 0), new TopicPartition(name, 1))
                    .stream()).collect(Collectors.toMap(Function.identity(), p -> OffsetSpec.latest()));
            var latest = admin.listOffsets(partitions).all().get();
            long sum = latest.values().stream().mapToLong(info -> info.offset()).sum();
            equal(sum, from == 0 ? 10L : 0L, "records in a batch of topics");
        }
        equal(admin.listPartitionReassignments().reassignments().get(), Map.of(), "reassignments");
        var producers = admin.describeProducers(List.of(new TopicPartition(names.get(0), 0)))
                .all().get().get(new TopicPartition(names.get(0), 0));
        equal(producers.activeProducers().size(), 1, "active producers");
        admin.deleteTopics(names).all().get();
    }

    private void groups(Admin admin) throws Exception {
        String topic = fixture.create(2);
        fixture.fill(topic, 40, 2);
        String idle = unique("idle");
        String busy = unique("busy");
        TopicPartition first = new TopicPartition(topic, 0);
        admin.alterConsumerGroupOffsets(idle, Map.of(first,
                new OffsetAndMetadata(5))).all().get();
        try (var consumer = fixture.consumer(busy)) {
            consumer.subscribe(List.of(topic));
            read(consumer, 40);
            consumer.commitSync();
            var listed = admin.listGroups().all().get().stream().map(g -> g.groupId()).collect(Collectors.toSet());
            that(listed.containsAll(Set.of(idle, busy)), "groups are listed: " + listed);
            var described = admin.describeConsumerGroups(List.of(idle, busy),
                    new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true)).all().get();
            equal(described.get(idle).members().size(), 0, "members of the idle group");
            equal(described.get(busy).members().size(), 1, "members of the busy group");
            that(described.get(busy).coordinator() != null, "a coordinator");
            that(described.get(busy).authorizedOperations().contains(AclOperation.DELETE), "what is allowed");
            // Of several groups in one call, and all their partitions.
            var offsets = admin.listConsumerGroupOffsets(Map.of(idle, new ListConsumerGroupOffsetsSpec(),
                    busy, new ListConsumerGroupOffsetsSpec())).all().get();
            var ends = admin.listOffsets(Map.of(first, OffsetSpec.latest())).all().get();
            equal(ends.get(first).offset() - offsets.get(idle).get(first).offset(), 15L, "the lag of the idle group");
            equal(ends.get(first).offset() - offsets.get(busy).get(first).offset(), 0L, "the lag of the busy group");
        }
    }
}
