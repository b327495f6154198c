package ottla;

import static ottla.Checks.equal;
import static ottla.Checks.expect;
import static ottla.Checks.that;
import static ottla.Checks.unique;
import static ottla.Checks.until;
import static ottla.Fixture.read;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListStreamsGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.metrics.Gauge;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricConfig;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.utils.Time;

/** Every method of the admin client: what it does, or that it says at once that the broker does not do it. */
final class AdminMethodChecks {
    private static final int NODE = 1;

    private final Fixture fixture;
    private final Set<String> called = new ConcurrentSkipListSet<>();
    private final Admin admin;
    private final HttpClient http = HttpClient.newHttpClient();

    AdminMethodChecks(Fixture fixture) {
        this.fixture = fixture.with(noting(fixture.admin));
        this.admin = this.fixture.admin;
    }

    void addTo(Checks checks) {
        checks.add("elects_reassigns_and_moves_as_a_cluster_of_one", this::replicas);
        checks.add("describes_the_quorum_and_the_features", this::quorum);
        checks.add("sets_the_levels_of_loggers", this::loggers);
        checks.add("pushes_its_own_metrics_when_they_are_subscribed_to", this::telemetry);
        checks.add("removes_members_from_a_group", this::members);
        checks.add("looks_at_transactions_and_fences_their_producers", this::transactions);
        checks.add("says_at_once_what_the_broker_does_not_do", this::unsupported);
        checks.add("calls_every_method_of_the_admin_client", this::everyMethod);
    }

    /** The same client, whose methods are noted when they are called. */
    private Admin noting(Admin real) {
        return (Admin) Proxy.newProxyInstance(Admin.class.getClassLoader(), new Class<?>[] {Admin.class},
                (proxy, method, arguments) -> {
                    called.add(method.getName());
                    try {
                        return method.invoke(real, arguments);
                    } catch (InvocationTargetException error) {
                        throw error.getCause();
                    }
                });
    }

    /** Runs all checks of the admin client, and fails for a method that none of them has called. */
    private void everyMethod() throws Exception {
        new AdminChecks(fixture).all();
        replicas();
        quorum();
        loggers();
        telemetry();
        members();
        transactions();
        unsupported();
        Set<String> methods = Arrays.stream(Admin.class.getMethods())
                .filter(method -> !Modifier.isStatic(method.getModifiers()))
                .map(method -> method.getName())
                .collect(Collectors.toCollection(TreeSet::new));
        methods.removeAll(called);
        equal(methods, Set.of(), "methods without a check");
    }

    private void replicas() throws Exception {
        TopicPartition partition = new TopicPartition(fixture.create(1), 0);
        TopicPartition missing = new TopicPartition(unique("missing"), 0);
        var elected = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition, missing)).partitions().get();
        that(elected.get(partition).get() instanceof ElectionNotNeededException, "no election: " + elected);
        that(elected.get(missing).get() instanceof UnknownTopicOrPartitionException, "nothing to elect: " + elected);

        reassign(partition, Optional.of(new NewPartitionReassignment(List.of(NODE))));
        expect(InvalidReplicaAssignmentException.class,
                () -> reassign(partition, Optional.of(new NewPartitionReassignment(List.of(99)))));
        expect(NoReassignmentInProgressException.class, () -> reassign(partition, Optional.empty()));
        equal(admin.listPartitionReassignments().reassignments().get(), Map.of(), "reassignments");

        TopicPartitionReplica replica = new TopicPartitionReplica(partition.topic(), 0, NODE);
        String directory = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica)
                .getCurrentReplicaLogDir();
        that(directory != null && !directory.isEmpty(), "a directory");
        admin.alterReplicaLogDirs(Map.of(replica, directory)).all().get();
        expect(LogDirNotFoundException.class, () -> admin.alterReplicaLogDirs(Map.of(replica, "/nowhere")).all().get());
        expect(BrokerIdNotRegisteredException.class, () -> admin.unregisterBroker(99).all().get());
    }

    private void reassign(TopicPartition partition, Optional<NewPartitionReassignment> to) throws Exception {
        admin.alterPartitionReassignments(Map.of(partition, to)).all().get();
    }

    private void quorum() throws Exception {
        var quorum = admin.describeMetadataQuorum().quorumInfo().get();
        equal(quorum.leaderId(), NODE, "leader");
        equal(quorum.voters().stream().map(voter -> voter.replicaId()).toList(), List.of(NODE), "voters");
        that(quorum.nodes().get(NODE).endpoints().size() == 1, "an endpoint");
        long before = quorum.highWatermark();
        fixture.create(1);
        that(admin.describeMetadataQuorum().quorumInfo().get().highWatermark() > before, "the log grows");

        var features = admin.describeFeatures().featureMetadata().get();
        short level = features.finalizedFeatures().get("metadata.version").maxVersionLevel();
        that(level >= 30, "metadata.version: " + level);
        update("metadata.version", level);
        expect(InvalidUpdateVersionException.class, () -> update("metadata.version", (short) (level + 100)));
        expect(InvalidUpdateVersionException.class, () -> update("no.such.feature", (short) 1));
    }

    private void update(String feature, short level) throws Exception {
        admin.updateFeatures(Map.of(feature, new FeatureUpdate(level, FeatureUpdate.UpgradeType.UPGRADE)),
                new UpdateFeaturesOptions()).all().get();
    }

    private void alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType type) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), type))))
                .all().get();
    }

    private String value(ConfigResource resource, String name) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
    }

    private void loggers() throws Exception {
        ConfigResource loggers = new ConfigResource(ConfigResource.Type.BROKER_LOGGER, Integer.toString(NODE));
        String before = value(loggers, "root");
        alter(loggers, "root", "WARN", AlterConfigOp.OpType.SET);
        equal(value(loggers, "root"), "WARN", "the root's level");
        alter(loggers, "root", before, AlterConfigOp.OpType.SET);
        expect(InvalidConfigurationException.class, () -> alter(loggers, "no.such", "WARN", AlterConfigOp.OpType.SET));
        expect(InvalidConfigurationException.class, () -> alter(loggers, "root", "LOUD", AlterConfigOp.OpType.SET));
    }

    private void telemetry() throws Exception {
        String name = unique("subscription");
        ConfigResource subscription = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, name);
        alter(subscription, "metrics", "*", AlterConfigOp.OpType.SET);
        alter(subscription, "interval.ms", "100", AlterConfigOp.OpType.SET);
        until("the subscription is listed", () -> {
            try {
                return admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS),
                        new ListConfigResourcesOptions()).all().get().contains(subscription);
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        that(listed(name), "listed as Kafka 4.0 did");
        // A broker says when a client connects whether it wants any metrics.
        try (Admin fresh = noting(Admin.create(Map.of(
                "bootstrap.servers", fixture.bootstrap, "enable.metrics.push", "true")))) {
            fresh.describeCluster().clusterId().get();
            KafkaMetric own = new KafkaMetric(new Object(), fresh.metrics().keySet().iterator().next(),
                    (Gauge<Double>) (config, now) -> 1.0, new MetricConfig(), Time.SYSTEM);
            fresh.registerMetricForSubscription(own);
            Uuid id = fresh.clientInstanceId(Duration.ofSeconds(60));
            that(!id.equals(Uuid.ZERO_UUID), "a client instance id");
            equal(fresh.clientInstanceId(Duration.ofSeconds(60)), id, "the same id");
            if (!"kafka".equals(System.getenv("OTTLA_TEST_TARGET"))) {
                until("a push is counted", () -> pushed() > 0);
            }
            fresh.unregisterMetricFromSubscription(own);
        }
        for (String setting : List.of("metrics", "interval.ms")) {
            alter(subscription, setting, "", AlterConfigOp.OpType.DELETE);
        }
        until("the subscription is gone", () -> {
            try {
                return !listed(name);
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
    }

    /** How many data points clients have pushed, as Ottla counts them; it speaks HTTP on the same port. */
    private long pushed() {
        try {
            var request = HttpRequest.newBuilder(URI.create("http://" + fixture.bootstrap + "/metrics")).build();
            String page = http.send(request, HttpResponse.BodyHandlers.ofString()).body();
            return page.lines().filter(line -> line.startsWith("ottla_client_telemetry_data_points_total "))
                    .mapToLong(line -> Long.parseLong(line.substring(line.indexOf(' ') + 1))).sum();
        } catch (IOException | InterruptedException error) {
            throw new AssertionError(error);
        }
    }

    @SuppressWarnings("removal")
    private boolean listed(String subscription) throws Exception {
        return admin.listClientMetricsResources().all().get().stream()
                .anyMatch(resource -> resource.name().equals(subscription));
    }

    @SuppressWarnings("removal")
    private void members() throws Exception {
        String topic = fixture.create(1);
        fixture.fill(topic, 1, 1);
        String group = unique("removed");
        try (var consumer = fixture.consumer(group)) {
            consumer.subscribe(List.of(topic));
            read(consumer, 1);
            consumer.commitSync();
            equal(admin.describeClassicGroups(List.of(group)).all().get().get(group).state(), ClassicGroupState.STABLE, "state");
            that(admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(group)), "listed");
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all().get();
            equal(admin.describeClassicGroups(List.of(group)).all().get().get(group).state(), ClassicGroupState.EMPTY, "state");
        }
        // What these ask of groups of Kafka Streams is the same as of consumer groups.
        TopicPartition partition = new TopicPartition(topic, 0);
        var offsets = Map.of(partition, new OffsetAndMetadata(1));
        admin.alterStreamsGroupOffsets(group, offsets).all().get();
        equal(admin.listStreamsGroupOffsets(Map.of(group, new ListStreamsGroupOffsetsSpec()))
                .partitionsToOffsetAndMetadata(group).get().get(partition).offset(), 1L, "offset");
        admin.deleteStreamsGroupOffsets(group, Set.of(partition)).all().get();
        admin.deleteStreamsGroups(List.of(group)).all().get();
        expect(GroupIdNotFoundException.class, () -> admin.deleteShareGroups(List.of(group)).all().get());
    }

    private void refused(Checks.Check action) {
        expect(UnsupportedVersionException.class, action);
    }

    /** {@link TransactionChecks} has those that are open; here is each method once. */
    private void transactions() throws Exception {
        TopicPartition partition = new TopicPartition(fixture.create(1), 0);
        String id = unique("x");
        expect(TransactionalIdNotFoundException.class,
                () -> admin.describeTransactions(List.of(id)).description(id).get());
        admin.fenceProducers(List.of(id)).all().get();
        equal(admin.describeTransactions(List.of(id)).description(id).get().state(), TransactionState.EMPTY, "state");
        that(admin.listTransactions().all().get().stream().anyMatch(t -> t.transactionalId().equals(id)), "listed");
        long epoch = admin.fenceProducers(List.of(id)).epochId(id).get();
        equal(epoch, 1L, "epoch");
        admin.forceTerminateTransaction(id).result().get();
        equal(admin.describeTransactions(List.of(id)).description(id).get().producerEpoch(), 2, "epoch");
        that(admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().isEmpty(),
                "nobody has written");
        admin.abortTransaction(new AbortTransactionSpec(partition, 7, (short) 1, 0)).all().get();
        var marked = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
        equal(marked.get(0).producerId(), 7L, "whom the marker is of");
    }

    @SuppressWarnings("deprecation")
    private void unsupported() throws Exception {
        TopicPartition partition = new TopicPartition(fixture.create(1), 0);
        AclBinding acl = new AclBinding(new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL),
                new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
        expect(SecurityDisabledException.class, () -> admin.createAcls(List.of(acl)).all().get());
        expect(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        expect(SecurityDisabledException.class, () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get());

        refused(() -> admin.describeUserScramCredentials().all().get());
        refused(() -> admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("a",
                new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all().get());
        refused(() -> admin.createDelegationToken().delegationToken().get());
        refused(() -> admin.describeDelegationToken().delegationTokens().get());
        refused(() -> admin.renewDelegationToken(new byte[] {1}).expiryTimestamp().get());
        refused(() -> admin.expireDelegationToken(new byte[] {1}).expiryTimestamp().get());

        refused(() -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        refused(() -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(
                new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "a")),
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1.0))))).all().get());

        refused(() -> admin.describeShareGroups(List.of("g")).all().get());
        refused(() -> admin.listShareGroupOffsets(Map.of("g", new ListShareGroupOffsetsSpec()))
                .partitionsToOffsetInfo("g").get());
        refused(() -> admin.alterShareGroupOffsets("g", Map.of(partition, 1L)).all().get());
        refused(() -> admin.deleteShareGroupOffsets("g", Set.of(partition.topic())).all().get());
        refused(() -> admin.describeStreamsGroups(List.of("g")).all().get());

        refused(() -> admin.addRaftVoter(2, Uuid.randomUuid(), Set.of()).all().get());
        refused(() -> admin.removeRaftVoter(2, Uuid.randomUuid()).all().get());
    }
}
