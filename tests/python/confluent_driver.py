"""Checks with confluent-kafka (librdkafka): confluent_driver.py BOOTSTRAP [CHECK...]"""

import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    ElectionType,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from checks import equal, restart_broker, run, unique, until

BOOTSTRAP = sys.argv[1]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# 2024-01-01T00:00:00Z
T0 = 1704067200000

admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def create(partitions=1, config=None, prefix="t"):
    topic = unique(prefix)
    admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result()
    return topic


def producer(**config):
    settings = {"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "linger.ms": 5}
    settings.update({name.replace("_", "."): value for name, value in config.items()})
    return Producer(settings)


def fill(topic, count, partitions=1, timestamp=None):
    """Messages 0..count, spread over the partitions in turn; message i at timestamp + i when one is given."""
    errors = []
    p = producer()
    for i in range(count):
        extra = {} if timestamp is None else {"timestamp": timestamp + i}
        p.produce(
            topic,
            str(i),
            key=str(i),
            partition=i % partitions,
            on_delivery=lambda error, _: error and errors.append(error),
            **extra,
        )
        p.poll(0)
    equal(p.flush(60), 0, "messages left")
    equal(errors, [], "delivery errors")


def consumer(group=None, **config):
    settings = {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": group or unique("g"),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 10000,
        "heartbeat.interval.ms": 300,
    }
    settings.update({name.replace("_", "."): value for name, value in config.items()})
    return Consumer(settings)


def poll(c, timeout=0.2):
    message = c.poll(timeout)
    if message is not None and message.error():
        raise KafkaException(message.error())
    return message


def read(c, count, seconds=60):
    messages = []

    def enough():
        message = poll(c)
        if message is not None:
            messages.append(message)
        return len(messages) >= count

    until(enough, f"{count} messages, {len(messages)} came", seconds)
    return messages


def expect_error(code, action):
    try:
        action()
    except KafkaException as error:
        equal(error.args[0].code(), code, "error code")
        return error.args[0]
    raise AssertionError(f"no error, expected {code}")


def creates_topics_and_describes_them():
    topic = create(3, {"retention.ms": "123456"})
    metadata = admin.list_topics(timeout=10)
    assert metadata.controller_id in metadata.brokers
    equal(sorted(metadata.topics[topic].partitions), [0, 1, 2])
    for partition in metadata.topics[topic].partitions.values():
        equal((partition.leader, partition.replicas, partition.isrs), (metadata.controller_id,) + ([metadata.controller_id],) * 2)
    again = admin.create_topics([NewTopic(topic, 1, 1)])[topic]
    expect_error(KafkaError.TOPIC_ALREADY_EXISTS, again.result)
    for bad, code in [
        (NewTopic("../bad", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic(unique("t"), 0, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic(unique("t"), 1, 1, config={"no.such.config": "1"}), KafkaError.INVALID_CONFIG),
    ]:
        expect_error(code, list(admin.create_topics([bad]).values())[0].result)
    checked_only = unique("validated")
    admin.create_topics([NewTopic(checked_only, 1, 1)], validate_only=True)[checked_only].result()
    assert checked_only not in admin.list_topics(timeout=10).topics
    cluster = admin.describe_cluster().result()
    equal([node.port for node in cluster.nodes], [int(BOOTSTRAP.split(":")[1])])


def produces_and_consumes_with_every_codec():
    for codec in CODECS:
        topic = create(2, prefix=codec)
        expected = []
        delivered = {}
        p = producer(compression_codec=codec)
        for i in range(300):
            key = None if i % 5 == 0 else f"key-{i}".encode()
            value = None if i % 7 == 0 else (b"" if i % 11 == 0 else b"value %d " % i * (i % 40))
            headers = None if i % 3 else [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)]
            expected.append((i % 2, key, value, headers, T0 + i))
            p.produce(
                topic,
                value,
                key,
                partition=i % 2,
                headers=headers,
                timestamp=T0 + i,
                on_delivery=lambda error, m, i=i: delivered.update({i: (error, m.partition(), m.offset())}),
            )
        equal(p.flush(60), 0)
        equal(delivered, {i: (None, i % 2, i // 2) for i in range(300)}, "delivery reports")
        for partition in (0, 1):
            c = consumer(check_crcs=True)
            c.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            got = read(c, 150)
            equal([m.offset() for m in got], list(range(150)))
            equal(
                [(m.partition(), m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in got],
                [e for e in expected if e[0] == partition],
                codec,
            )
            c.close()


def seeks_by_offset_and_by_time():
    topic = create(2)
    fill(topic, 200, 2, timestamp=T0)
    c = consumer()
    c.assign([TopicPartition(topic, 0, 90)])
    equal([m.offset() for m in read(c, 10)], list(range(90, 100)))
    c.seek(TopicPartition(topic, 0, 5))
    equal(read(c, 1)[0].offset(), 5)
    c.seek(TopicPartition(topic, 0, OFFSET_BEGINNING))
    equal(read(c, 1)[0].offset(), 0)
    equal(c.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (0, 100))
    asked = [TopicPartition(topic, 0, T0 + 51), TopicPartition(topic, 1, T0 + 51), TopicPartition(topic, 0, T0 + 1000)]
    found = [c.offsets_for_times([a], timeout=10)[0].offset for a in asked]
    equal(found, [26, 25, OFFSET_END], "offsets for times")
    c.seek(TopicPartition(topic, 0, 26))
    equal(read(c, 1)[0].timestamp()[1], T0 + 52)
    c.assign([TopicPartition(topic, 0, OFFSET_END)])
    equal(poll(c, 0.5), None)
    # Past the end: auto.offset.reset says where to go on.
    c.assign([TopicPartition(topic, 1, 10_000)])
    equal(read(c, 1)[0].offset(), 0)
    c.close()


def broadcasts_between_groups():
    topic = create(3)
    fill(topic, 90, 3)
    for group in (unique("one"), unique("two")):
        c = consumer(group)
        c.subscribe([topic])
        equal(sorted(int(m.value()) for m in read(c, 90)), list(range(90)), group)
        c.close()


def owned(c):
    return {p.partition for p in c.assignment()}


def poll_all(consumers, seen=None):
    for c in consumers:
        message = poll(c, 0.05)
        if message is not None and seen is not None:
            seen.append((message.partition(), message.offset()))


def settle(consumers, sizes, seen=None, partitions=6):
    """Polls until the members hold disjoint shares of these sizes that cover the topic."""

    def settled():
        poll_all(consumers, seen)
        shares = [owned(c) for c in consumers]
        return sorted(map(len, shares)) == sizes and set().union(*shares) == set(range(partitions))

    until(settled, f"shares of {sizes}")


def shared_by_strategy(strategy):
    topic = create(6)
    fill(topic, 60, 6)
    group = unique("shared")
    members = []
    for sizes in ([6], [3, 3], [2, 2, 2]):
        c = consumer(group, partition_assignment_strategy=strategy)
        c.subscribe([topic])
        members.append(c)
        settle(members, sizes)
    described = admin.describe_consumer_groups([group])[group].result()
    equal(described.state.name, "STABLE")
    equal(sorted(len(m.assignment.topic_partitions) for m in described.members), [2, 2, 2])
    members.pop(0).close()
    settle(members, [3, 3])
    fill(topic, 60, 6)
    seen = []
    until(lambda: poll_all(members, seen) or len({o for o in seen if o[1] >= 10}) == 60, "all new messages")
    members.pop().close()
    settle(members, [6])
    members.pop().close()


def shares_partitions_among_members_that_join_and_leave():
    for strategy in ("range", "roundrobin"):
        shared_by_strategy(strategy)


def rebalances_cooperatively():
    shared_by_strategy("cooperative-sticky")
    # A partition that stays with its owner is not taken away in between.
    topic = create(4)
    group = unique("cooperative")
    revoked = []
    first = consumer(group, partition_assignment_strategy="cooperative-sticky")
    first.subscribe([topic], on_revoke=lambda _, partitions: revoked.extend(p.partition for p in partitions))
    settle([first], [4], partitions=4)
    second = consumer(group, partition_assignment_strategy="cooperative-sticky")
    second.subscribe([topic])
    settle([first, second], [2, 2], partitions=4)
    equal(sorted(revoked), sorted(owned(second)), "revoked from the first member")
    second.close()
    settle([first], [4], partitions=4)
    first.close()


def static_members_keep_their_partitions_over_a_restart():
    topic = create(4)
    group = unique("static")

    def member(instance):
        c = consumer(group, group_instance_id=instance)
        c.subscribe([topic], on_assign=lambda *_: joined.append(instance))
        return c

    joined = []
    a, b = member("a"), member("b")
    settle([a, b], [2, 2], partitions=4)
    share = owned(b)
    before = {m.group_instance_id: m.member_id for m in admin.describe_consumer_groups([group])[group].result().members}
    equal(sorted(before), ["a", "b"])
    b.close()
    joined.clear()
    b = member("b")
    until(lambda: poll_all([a, b]) or owned(b) == share, "the old share is back")
    equal(joined, ["b"], "nobody else rebalanced")
    after = {m.group_instance_id: m.member_id for m in admin.describe_consumer_groups([group])[group].result().members}
    equal(after["a"], before["a"])
    # A second member of the same name fences the first.
    other = member("b")
    fenced = []

    def is_fenced():
        try:
            poll_all([a, other])
            message = b.poll(0.1)
            if message is not None and message.error():
                fenced.append(message.error().code())
        except KafkaException as error:
            fenced.append(error.args[0].code())
        return fenced

    until(is_fenced, "the older member is fenced")
    equal(fenced[0], KafkaError._FATAL if fenced[0] == KafkaError._FATAL else KafkaError.FENCED_INSTANCE_ID)
    for c in (a, other, b):
        c.close()


def commits_and_resumes():
    topic = create(1)
    fill(topic, 50)
    group = unique("resume")
    c = consumer(group)
    c.subscribe([topic])
    equal([int(m.value()) for m in read(c, 20)], list(range(20)))
    c.commit(offsets=[TopicPartition(topic, 0, 20, metadata="so far")], asynchronous=False)
    c.close()
    c = consumer(group)
    c.subscribe([topic])
    equal(int(read(c, 1)[0].value()), 20)
    committed = c.committed([TopicPartition(topic, 0)], timeout=10)[0]
    equal((committed.offset, committed.metadata), (20, "so far"))
    read(c, 29)
    c.commit(asynchronous=False)
    equal(c.committed([TopicPartition(topic, 0)], timeout=10)[0].offset, 50)
    # Committed without a subscription, as tools do: refused while members are there.
    outsider = consumer(group)
    expect_error(
        KafkaError.UNKNOWN_MEMBER_ID,
        lambda: outsider.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False),
    )
    c.close()
    outsider.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    equal(outsider.committed([TopicPartition(topic, 0)], timeout=10)[0].offset, 7)
    equal(consumer().committed([TopicPartition(topic, 0)], timeout=10)[0].offset, -1001, "nothing committed")


def describe_config(topic):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return admin.describe_configs([resource])[resource].result()


def alters_and_describes_configs():
    topic = create(1, {"retention.ms": "1000000", "cleanup.policy": "delete"})
    before = describe_config(topic)
    equal((before["retention.ms"].value, before["retention.ms"].source), ("1000000", 1))
    equal((before["max.message.bytes"].value, before["max.message.bytes"].source), ("1048588", 5))
    equal(before["retention.ms"].is_read_only, False)

    def alter(*entries):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=list(entries))
        admin.incremental_alter_configs([resource])[resource].result()

    alter(
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
        ConfigEntry("max.message.bytes", "2000", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND),
    )
    after = describe_config(topic)
    equal((after["retention.ms"].value, after["retention.ms"].source), ("604800000", 5))
    equal((after["max.message.bytes"].value, after["max.message.bytes"].source), ("2000", 1))
    equal(after["cleanup.policy"].value, "delete,compact")
    expect_error(
        KafkaError.INVALID_CONFIG,
        lambda: alter(ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)),
    )
    # The older call replaces everything.
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"segment.bytes": "2000000"})
    admin.alter_configs([resource])[resource].result()
    replaced = describe_config(topic)
    equal((replaced["segment.bytes"].value, replaced["max.message.bytes"].value), ("2000000", "1048588"))
    broker = ConfigResource(ConfigResource.Type.BROKER, str(admin.list_topics(timeout=10).controller_id))
    entries = admin.describe_configs([broker])[broker].result()
    assert "listeners" in entries and "log.dirs" in entries, sorted(entries)


def adds_partitions():
    topic = create(1)
    fill(topic, 3)
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result()
    until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 4, "four partitions")
    fill(topic, 4, 4)
    c = consumer()
    c.subscribe([topic])
    equal(len(read(c, 7)), 7)
    c.close()
    expect_error(KafkaError.INVALID_PARTITIONS, admin.create_partitions([NewPartitions(topic, 4)])[topic].result)
    missing = unique("missing")
    expect_error(
        KafkaError.UNKNOWN_TOPIC_OR_PART, admin.create_partitions([NewPartitions(missing, 2)])[missing].result
    )


def deletes_topics():
    topic = create(2)
    fill(topic, 10, 2)
    admin.delete_topics([topic])[topic].result()
    until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic is gone")
    expect_error(KafkaError.UNKNOWN_TOPIC_OR_PART, admin.delete_topics([topic])[topic].result)
    # One of the same name begins anew.
    until(lambda: admin.create_topics([NewTopic(topic, 1, 1)])[topic].exception() is None, "created again")
    fill(topic, 1)
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    equal(read(c, 1)[0].offset(), 0)
    c.close()


def lists_describes_and_deletes_groups():
    topic = create(1)
    fill(topic, 1)
    group = unique("described")
    c = consumer(group, client_id="the-client")
    c.subscribe([topic])
    read(c, 1)
    c.commit(asynchronous=False)
    listed = {g.group_id: g for g in admin.list_consumer_groups().result().valid}
    equal(listed[group].state.name, "STABLE")
    equal(listed[group].is_simple_consumer_group, False)
    described = admin.describe_consumer_groups([group])[group].result()
    equal((described.state.name, described.partition_assignor), ("STABLE", "range"))
    (member,) = described.members
    equal((member.client_id, member.host), ("the-client", "/127.0.0.1"))
    equal([(p.topic, p.partition) for p in member.assignment.topic_partitions], [(topic, 0)])
    expect_error(KafkaError.NON_EMPTY_GROUP, admin.delete_consumer_groups([group])[group].result)
    c.close()
    equal(admin.describe_consumer_groups([group])[group].result().state.name, "EMPTY")
    admin.delete_consumer_groups([group])[group].result()
    assert group not in {g.group_id for g in admin.list_consumer_groups().result().valid}
    expect_error(KafkaError.GROUP_ID_NOT_FOUND, admin.delete_consumer_groups([group])[group].result)


def lists_and_alters_offsets():
    topic = create(1)
    fill(topic, 30, timestamp=T0)
    partition = TopicPartition(topic, 0)

    def offset(spec):
        return admin.list_offsets({partition: spec})[partition].result()

    equal(offset(OffsetSpec.earliest()).offset, 0)
    equal(offset(OffsetSpec.latest()).offset, 30)
    equal(offset(OffsetSpec.for_timestamp(T0 + 12)).offset, 12)
    newest = offset(OffsetSpec.max_timestamp())
    equal((newest.offset, newest.timestamp), (29, T0 + 29))
    group = unique("altered")
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 17)])
    admin.alter_consumer_group_offsets([request])[group].result()
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
    equal([(p.topic, p.partition, p.offset) for p in listed.topic_partitions], [(topic, 0, 17)])
    c = consumer(group)
    c.subscribe([topic])
    equal(read(c, 1)[0].offset(), 17)
    c.close()


def deletes_records():
    topic = create(1)
    fill(topic, 40)
    partition = TopicPartition(topic, 0, 25)
    equal(admin.delete_records([partition])[partition].result().low_watermark, 25)
    c = consumer()
    equal(c.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (25, 40))
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    equal(read(c, 1)[0].offset(), 25)
    c.close()
    past = TopicPartition(topic, 0, 41)
    expect_error(KafkaError.OFFSET_OUT_OF_RANGE, admin.delete_records([past])[past].result)
    everything = TopicPartition(topic, 0, -1)
    equal(admin.delete_records([everything])[everything].result().low_watermark, 40)


def delivery_error(value, topic, **config):
    outcome = []
    p = producer(**config)
    p.produce(topic, value, on_delivery=lambda error, _: outcome.append(error))
    p.flush(60)
    return outcome[0]


def accepts_large_messages_and_refuses_too_large_ones():
    topic = create(1)
    near = b"x" * 999_000
    equal(delivery_error(near, topic), None)
    c = consumer(fetch_max_bytes=500_000, message_max_bytes=400_000, max_partition_fetch_bytes=1000)
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    equal(read(c, 1)[0].value(), near, "a batch beyond the limits of a fetch")
    c.close()
    error = delivery_error(b"x" * 1_100_000, topic, message_max_bytes=4_000_000)
    equal(error and error.code(), KafkaError.MSG_SIZE_TOO_LARGE)
    small = create(1, {"max.message.bytes": "1000"})
    equal(delivery_error(b"x" * 1100, small).code(), KafkaError.MSG_SIZE_TOO_LARGE)
    equal(delivery_error(b"x" * 800, small), None)
    huge = create(1, {"max.message.bytes": "10000000"})
    equal(delivery_error(b"y" * 5_000_000, huge, message_max_bytes=9_000_000), None)


def reports_unknown_topics_and_bad_requests():
    missing = unique("missing")
    c = consumer(allow_auto_create_topics=False)
    metadata = admin.list_topics(timeout=10)
    assert missing not in metadata.topics
    c.subscribe([missing])
    errors = []

    def got_error():
        message = c.poll(0.2)
        if message is not None:
            errors.append(message.error().code())
        return errors

    until(got_error, "an error for an unknown topic")
    equal(errors[0], KafkaError.UNKNOWN_TOPIC_OR_PART)
    c.close()
    topic = create(1)
    error = []
    p = producer(topic_metadata_propagation_max_ms=500)
    p.produce(topic, b"x", partition=5, on_delivery=lambda e, _: error.append(e))
    p.flush(60)
    equal(error[0] and error[0].code(), KafkaError._UNKNOWN_PARTITION)
    future = int(time.time() * 1000) + 2 * 3600 * 1000
    strict = create(1)
    error.clear()
    p.produce(strict, b"x", timestamp=future, on_delivery=lambda e, _: error.append(e))
    p.flush(60)
    equal(error[0] and error[0].code(), KafkaError.INVALID_TIMESTAMP)
    expect_error(KafkaError.INVALID_SESSION_TIMEOUT, lambda: read_with_session_timeout(topic, 1000))


def read_with_session_timeout(topic, milliseconds):
    c = consumer(session_timeout_ms=milliseconds)
    c.subscribe([topic])
    try:
        read(c, 1, seconds=10)
    finally:
        c.close()


def goes_on_over(how):
    topic = create(2)
    group = unique("restart")
    delivered, errors = [], []
    p = producer(linger_ms=1)

    def send(numbers):
        for i in numbers:
            p.produce(
                topic,
                str(i),
                partition=i % 2,
                on_delivery=lambda e, m: errors.append(e) if e else delivered.append(int(m.value())),
            )
            p.poll(0)

    c = consumer(group)
    c.subscribe([topic])
    send(range(0, 500))
    p.flush(60)
    first = [int(m.value()) for m in read(c, 500)]
    c.commit(asynchronous=False)
    # Some of these are under way while the broker goes.
    send(range(500, 1500))
    restart_broker(how)
    send(range(1500, 2000))
    equal(p.flush(90), 0)
    equal((errors, sorted(delivered)), ([], list(range(2000))), "deliveries")
    rest = [int(m.value()) for m in read(c, 1500, seconds=90)]
    equal(sorted(first + rest), list(range(2000)), "each once")
    for half in (0, 1):
        mine = [i for i in first + rest if i % 2 == half]
        equal(mine, sorted(mine), "in order")
    c.commit(asynchronous=False)
    equal([x.offset for x in c.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=30)], [1000, 1000])
    c.close()


def calls_every_method_of_the_admin_client():
    """What the other checks do not call of it; a method without a check fails."""
    topic, group = create(2), unique("g")
    fill(topic, 2, 2)
    # In the checks of topics, configs, groups, offsets and records. The last two are librdkafka's own, and ask the broker nothing.
    called = {
        "create_topics", "list_topics", "create_partitions", "delete_topics", "describe_configs", "alter_configs",
        "incremental_alter_configs", "list_consumer_groups", "describe_consumer_groups", "delete_consumer_groups",
        "list_consumer_group_offsets", "alter_consumer_group_offsets", "list_offsets", "delete_records",
        "poll", "set_sasl_credentials",
    }

    def call(name, *args, **options):
        called.add(name)
        return getattr(admin, name)(*args, request_timeout=20, **options)

    cluster = call("describe_cluster", include_authorized_operations=True).result()
    equal([f"{node.host}:{node.port}" for node in cluster.nodes], [BOOTSTRAP])
    equal(cluster.controller.id, cluster.nodes[0].id)
    assert AclOperation.ALTER in cluster.authorized_operations, cluster.authorized_operations
    called.update(["cluster_id", "list_groups"])
    equal(admin.cluster_id(timeout=20), cluster.cluster_id)
    missing = unique("missing")
    described = call("describe_topics", TopicCollection([topic, missing]), include_authorized_operations=True)
    equal([(p.id, p.leader.id, len(p.isr)) for p in described[topic].result().partitions], [(0, 1, 1), (1, 1, 1)])
    assert AclOperation.DELETE in described[topic].result().authorized_operations
    expect_error(KafkaError.UNKNOWN_TOPIC_OR_PART, described[missing].result)
    c = consumer(group)
    c.subscribe([topic])
    read(c, 2)
    (listed,) = [g for g in admin.list_groups(timeout=20) if g.id == group]
    equal((listed.state, listed.protocol_type, len(listed.members)), ("Stable", "consumer", 1))
    c.close()
    partition = TopicPartition(topic, 0)
    called.add("elect_leaders")
    (elected,) = admin.elect_leaders(ElectionType.PREFERRED, [partition]).result().values()
    equal(elected.code(), KafkaError.ELECTION_NOT_NEEDED)

    acl = AclBinding(
        ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, "User:a", "*", AclOperation.READ, AclPermissionType.ALLOW
    )
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    expect_error(KafkaError.SECURITY_DISABLED, call("create_acls", [acl])[acl].result)
    equal(call("describe_acls", every).result(), [], "librdkafka does not tell of the error")
    expect_error(KafkaError.SECURITY_DISABLED, call("delete_acls", [every])[every].result)
    unsupported = KafkaError._UNSUPPORTED_FEATURE
    expect_error(unsupported, call("describe_user_scram_credentials").result)
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    upsertion = UserScramCredentialUpsertion("a", scram, b"secret", b"salt")
    expect_error(unsupported, call("alter_user_scram_credentials", [upsertion])["a"].result)
    methods = {name for name in dir(AdminClient) if not name.startswith("_")}
    equal(methods - called, set(), "methods without a check")


def transactional(transactional_id):
    p = producer(transactional_id=transactional_id)
    p.init_transactions(30)
    return p


def commits_and_aborts_transactions():
    topic = create(2)
    p = transactional(unique("x"))
    for r in range(10):
        p.begin_transaction()
        for i in range(10):
            p.produce(topic, str(10 * r + i), partition=i % 2)
        if r % 2:
            p.flush(30)
            p.abort_transaction(30)
        else:
            p.commit_transaction(30)
    c = consumer(isolation_level="read_committed")
    c.subscribe([topic])
    committed = [i for i in range(100) if i // 10 % 2 == 0]
    equal(sorted(int(m.value()) for m in read(c, 50)), committed)
    c.close()


def copies_exactly_once():
    source, target = create(2), create(2)
    fill(source, 300, 2)
    group, transactional_id = unique("copy"), unique("x")
    copied = rounds = 0
    while copied < 300:
        # Each a new instance, as after a crash.
        p = transactional(transactional_id)
        c = consumer(group, isolation_level="read_committed")
        c.subscribe([source])
        lives = True
        while lives and copied < 300:
            messages = [m for m in c.consume(30, 1) if not m.error()]
            if not messages:
                continue
            p.begin_transaction()
            for m in messages:
                p.produce(target, m.value(), partition=m.partition())
            p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata())
            rounds += 1
            if rounds % 3:
                p.commit_transaction(30)
                copied += len(messages)
            else:
                # Left open: the next instance aborts it.
                p.flush(30)
                lives = False
        c.close()
    c = consumer(isolation_level="read_committed")
    c.subscribe([target])
    equal(sorted(int(m.value()) for m in read(c, 300)), list(range(300)), "each once")
    c.close()


def fences_the_producer_before():
    topic, transactional_id = create(1), unique("x")
    zombie = transactional(transactional_id)
    zombie.begin_transaction()
    zombie.produce(topic, "zombie")
    zombie.flush(30)
    heir = transactional(transactional_id)
    error = expect_error(KafkaError._FENCED, lambda: zombie.commit_transaction(30))
    assert error.fatal()
    heir.begin_transaction()
    heir.produce(topic, "heir")
    heir.commit_transaction(30)
    c = consumer(isolation_level="read_committed")
    c.subscribe([topic])
    equal([m.value() for m in read(c, 1)], [b"heir"])
    c.close()


def goes_on_over_sigkill_and_restart():
    goes_on_over("kill")


def goes_on_over_sigterm_and_restart():
    goes_on_over("terminate")


run([
    creates_topics_and_describes_them,
    produces_and_consumes_with_every_codec,
    seeks_by_offset_and_by_time,
    broadcasts_between_groups,
    shares_partitions_among_members_that_join_and_leave,
    rebalances_cooperatively,
    static_members_keep_their_partitions_over_a_restart,
    commits_and_resumes,
    alters_and_describes_configs,
    adds_partitions,
    deletes_topics,
    lists_describes_and_deletes_groups,
    lists_and_alters_offsets,
    deletes_records,
    accepts_large_messages_and_refuses_too_large_ones,
    reports_unknown_topics_and_bad_requests,
    calls_every_method_of_the_admin_client,
    commits_and_aborts_transactions,
    copies_exactly_once,
    fences_the_producer_before,
    goes_on_over_sigkill_and_restart,
    goes_on_over_sigterm_and_restart,
])
