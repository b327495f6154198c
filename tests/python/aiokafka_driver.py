"""Checks with aiokafka: aiokafka_driver.py BOOTSTRAP [CHECK...]"""

import asyncio
import sys
import time
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, MessageSizeTooLargeError, ProducerFenced, TopicAlreadyExistsError
from aiokafka.structs import OffsetAndMetadata

from checks import equal, failed, passed, restart_broker, unique

BOOTSTRAP = sys.argv[1]
# 2024-01-01T00:00:00Z
T0 = 1704067200000


async def until(condition, what, seconds=60):
    """Awaits condition(), which itself waits a little for news, until it is true."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"


async def with_admin(action):
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    try:
        return await action(admin)
    finally:
        await admin.close()


async def create(partitions=1, configs=None):
    topic = unique("t")
    new = NewTopic(topic, partitions, 1, topic_configs=configs or {})
    await with_admin(lambda admin: admin.create_topics([new]))
    return topic


def producer(**settings):
    return AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **{"enable_idempotence": True, "linger_ms": 5, **settings})


def consumer(*topics, **settings):
    defaults = {
        "bootstrap_servers": BOOTSTRAP,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "heartbeat_interval_ms": 300,
        "metadata_max_age_ms": 1000,
    }
    return AIOKafkaConsumer(*topics, **{**defaults, **settings})


async def fill(topic, count, partitions=1):
    async with producer() as p:
        sent = [
            await p.send(topic, str(i).encode(), key=str(i).encode(), partition=i % partitions, timestamp_ms=T0 + i)
            for i in range(count)
        ]
        await asyncio.gather(*sent)


async def read(c, count, seconds=60):
    messages = []

    async def enough():
        for batch in (await c.getmany(timeout_ms=200)).values():
            messages.extend(batch)
        return len(messages) >= count

    await until(enough, f"{count} messages", seconds)
    return messages


async def creates_topics_and_describes_them():
    topic = await create(3)

    async def check(admin):
        (described,) = await admin.describe_topics([topic])
        equal(sorted(p["partition"] for p in described["partitions"]), [0, 1, 2])
        assert topic in await admin.list_topics()
        cluster = await admin.describe_cluster()
        equal(len(cluster["brokers"]), 1)
        again = await admin.create_topics([NewTopic(topic, 1, 1)])
        equal([error[:2] for error in again.topic_errors], [(topic, TopicAlreadyExistsError.errno)])
        await admin.create_partitions({topic: NewPartitions(5)})
        await admin.delete_topics([topic])

        async def gone():
            await asyncio.sleep(0.02)
            return topic not in await admin.list_topics()

        await until(gone, "the topic is gone")

    await with_admin(check)


async def produces_and_consumes_with_every_codec():
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        topic = await create(2)
        expected = {}
        async with producer(compression_type=codec) as p:
            sent = []
            for i in range(200):
                key = None if i % 5 == 0 else b"key-%d" % i
                value = None if i % 7 == 0 and key else b"v" * (i * 7 % 900)
                headers = [] if i % 3 else [("a", b"1"), ("a", b"2"), ("null", None)]
                expected[(i % 2, i // 2)] = (key, value, tuple(headers), T0 + i)
                sent.append(
                    await p.send(topic, value, key=key, partition=i % 2, headers=headers, timestamp_ms=T0 + i)
                )
            for i, metadata in enumerate(await asyncio.gather(*sent)):
                equal((metadata.partition, metadata.offset), (i % 2, i // 2))
        async with consumer(topic) as c:
            got = {(m.partition, m.offset): (m.key, m.value, m.headers, m.timestamp) for m in await read(c, 200)}
            equal(got, expected, codec)


async def seeks_by_offset_and_by_time():
    topic = await create(1)
    await fill(topic, 100)
    partition = TopicPartition(topic, 0)
    async with consumer() as c:
        c.assign([partition])
        c.seek(partition, 90)
        equal((await read(c, 10))[0].offset, 90)
        await c.seek_to_beginning(partition)
        equal((await read(c, 1))[0].offset, 0)
        equal(await c.end_offsets([partition]), {partition: 100})
        equal(await c.beginning_offsets([partition]), {partition: 0})
        found = await c.offsets_for_times({partition: T0 + 42})
        equal((found[partition].offset, found[partition].timestamp), (42, T0 + 42))
        equal(await c.offsets_for_times({partition: T0 + 1000}), {partition: None})


async def broadcasts_between_groups():
    topic = await create(3)
    await fill(topic, 90, 3)
    for group in (unique("one"), unique("two")):
        async with consumer(topic, group_id=group) as c:
            equal(sorted(int(m.value) for m in await read(c, 90)), list(range(90)))


async def shares_partitions_among_members_that_join_and_leave():
    topic = await create(6)
    group = unique("shared")
    members = []

    async def settle(sizes):
        async def settled():
            await asyncio.gather(*(c.getmany(timeout_ms=50) for c in members))
            shares = [{p.partition for p in c.assignment()} for c in members]
            return sorted(map(len, shares)) == sizes and set().union(*shares) == set(range(6))

        await until(settled, f"shares of {sizes}")

    for sizes in ([6], [3, 3], [2, 2, 2]):
        c = consumer(topic, group_id=group)
        members.append(c)
        # The others have to take part in the rebalance that lets it start.
        starting = asyncio.create_task(c.start())
        while not starting.done():
            await asyncio.gather(*(m.getmany(timeout_ms=50) for m in members[:-1]), asyncio.sleep(0.02))
        await starting
        await settle(sizes)
    await members.pop(0).stop()
    await settle([3, 3])
    await members.pop().stop()
    await settle([6])
    await members.pop().stop()


async def static_members_keep_their_partitions_over_a_restart():
    topic = await create(2)
    group = unique("static")
    joined = []

    class Watch(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            pass

        async def on_partitions_assigned(self, assigned):
            joined.append(assigned)

    stays = consumer(group_id=group, group_instance_id="stays")
    stays.subscribe([topic], listener=Watch())
    await stays.start()

    async def member():
        c = consumer(topic, group_id=group, group_instance_id="comes")
        starting = asyncio.create_task(c.start())
        while not starting.done():
            await asyncio.gather(stays.getmany(timeout_ms=50), asyncio.sleep(0.02))
        await starting

        async def has_one():
            await asyncio.gather(stays.getmany(timeout_ms=50), c.getmany(timeout_ms=50))
            return len(c.assignment()) == 1

        await until(has_one, "a share")
        return c

    comes = await member()
    share = comes.assignment()
    await comes.stop()
    joined.clear()
    comes = await member()
    equal(comes.assignment(), share)
    equal(joined, [], "assignments of the member that stayed")
    await comes.stop()
    await stays.stop()


async def commits_and_resumes():
    topic = await create(1)
    await fill(topic, 50)
    group = unique("resume")
    partition = TopicPartition(topic, 0)
    async with consumer(topic, group_id=group) as c:
        await read(c, 50)
        await c.commit({partition: OffsetAndMetadata(20, "so far")})
    async with consumer(topic, group_id=group) as c:
        equal((await read(c, 1))[0].offset, 20)
        equal(await c.committed(partition), 20)
        async with consumer(group_id=group) as outsider:
            outsider.assign([partition])
            try:
                await outsider.commit({partition: 1})
            except CommitFailedError:
                pass
            else:
                raise AssertionError("an outsider committed")
    offsets = await with_admin(lambda admin: admin.list_consumer_group_offsets(group))
    equal(offsets[partition].offset, 20)


async def alters_and_describes_configs():
    topic = await create(1, {"retention.ms": "123456"})

    async def check(admin):
        async def value():
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            (response,) = await admin.describe_configs([resource])
            (_, _, _, _, entries) = response.resources[0]
            return {entry[0]: entry[1] for entry in entries}["retention.ms"]

        equal(await value(), "123456")
        changed = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "654321"})
        await admin.alter_configs([changed])

        async def is_set():
            await asyncio.sleep(0.02)
            return await value() == "654321"

        await until(is_set, "the new value")

    await with_admin(check)


async def accepts_large_messages_and_refuses_too_large_ones():
    topic = await create(1)
    async with producer(max_request_size=5_000_000) as p:
        await p.send_and_wait(topic, bytes(1_000_000))
        try:
            await p.send_and_wait(topic, bytes(1_100_000))
        except MessageSizeTooLargeError:
            pass
        else:
            raise AssertionError("accepted")
    async with consumer(topic, max_partition_fetch_bytes=1000, fetch_max_bytes=1000) as c:
        equal(len((await read(c, 1))[0].value), 1_000_000)


async def calls_every_method_of_the_admin_client():
    """What the other checks do not call of it; a method without a check fails."""
    topic, group = await create(1), unique("g")
    await fill(topic, 40)
    partition = TopicPartition(topic, 0)
    # In creates_topics_and_describes_them, commits_and_resumes and alters_and_describes_configs.
    called = {
        "start", "close", "create_topics", "describe_topics", "list_topics", "describe_cluster", "create_partitions",
        "delete_topics", "list_consumer_group_offsets", "describe_configs", "alter_configs",
    }

    async def check(admin):
        def call(name, *args):
            called.add(name)
            return getattr(admin, name)(*args)

        async with consumer(topic, group_id=group) as c:
            await read(c, 40)
            equal(await call("find_coordinator", group), (await admin.describe_cluster())["controller_id"])
            assert (group, "consumer") in [g[:2] for g in await call("list_consumer_groups")]
            (described,) = await call("describe_consumer_groups", [group])
            ((error, name, state, _, assignor, members, *_),) = described.groups
            equal((error, name, state, assignor, len(members)), (0, group, "Stable", "roundrobin", 1))
        await call("delete_records", {partition: RecordsToDelete(before_offset=25)})
        async with consumer() as c:
            equal(await c.beginning_offsets([partition]), {partition: 25})

    await with_admin(check)
    methods = {name for name in dir(AIOKafkaAdminClient) if not name.startswith("_")}
    equal(methods - called, set(), "methods without a check")


@asynccontextmanager
async def transactional(transactional_id):
    p = producer(transactional_id=transactional_id)
    await p.start()
    try:
        yield p
    finally:
        await p.stop()


async def committed(topic, count):
    async with consumer(topic, isolation_level="read_committed") as c:
        return sorted(int(m.value) for m in await read(c, count))


async def commits_and_aborts_transactions():
    topic = await create(2)
    async with transactional(unique("x")) as p:
        for r in range(10):
            await p.begin_transaction()
            for i in range(10):
                await p.send_and_wait(topic, str(10 * r + i).encode(), partition=i % 2)
            await (p.abort_transaction() if r % 2 else p.commit_transaction())
    equal(await committed(topic, 50), [i for i in range(100) if i // 10 % 2 == 0])
    async with consumer(topic) as c:
        equal(len(await read(c, 100)), 100, "with what was aborted")


async def copies_exactly_once():
    source, target = await create(2), await create(2)
    await fill(source, 120, 2)
    group, transactional_id = unique("copy"), unique("x")
    copied = rounds = 0
    while copied < 120:
        # Each a new instance, as after a crash.
        lives = True
        async with (
            transactional(transactional_id) as p,
            consumer(source, group_id=group, isolation_level="read_committed") as c,
        ):
            while lives and copied < 120:
                batches = await c.getmany(timeout_ms=200, max_records=20)
                messages = [m for batch in batches.values() for m in batch]
                if not messages:
                    continue
                await p.begin_transaction()
                for m in messages:
                    await p.send_and_wait(target, m.value, partition=m.partition)
                ends = {partition: batch[-1].offset + 1 for partition, batch in batches.items()}
                await p.send_offsets_to_transaction(ends, group)
                rounds += 1
                if rounds % 3:
                    await p.commit_transaction()
                    copied += len(messages)
                else:
                    # Left open: the next instance aborts it.
                    lives = False
    equal(await committed(target, 120), list(range(120)), "each once")


async def fences_the_producer_before():
    topic, transactional_id = await create(1), unique("x")
    async with transactional(transactional_id) as zombie:
        await zombie.begin_transaction()
        await zombie.send_and_wait(topic, b"1")
        async with transactional(transactional_id) as heir:
            await heir.begin_transaction()
            await heir.send_and_wait(topic, b"2")
            try:
                await zombie.commit_transaction()
            except ProducerFenced:
                pass
            else:
                raise AssertionError("committed")
            await heir.commit_transaction()
    equal(await committed(topic, 1), [2])


async def goes_on_over(how):
    topic = await create(2)
    group = unique("restart")
    async with producer(linger_ms=1, retry_backoff_ms=50) as p, consumer(topic, group_id=group) as c:

        async def send(numbers):
            return [await p.send(topic, str(i).encode(), partition=i % 2) for i in numbers]

        sent = await send(range(500))
        await p.flush()
        got = [int(m.value) for m in await read(c, 500)]
        await c.commit()
        sent += await send(range(500, 1000))
        await asyncio.to_thread(restart_broker, how)
        sent += await send(range(1000, 1500))
        offsets = [m.offset for m in await asyncio.gather(*sent)]
        equal(offsets, [i // 2 for i in range(1500)])
        got += [int(m.value) for m in await read(c, 1000, 90)]
        equal(sorted(got), list(range(1500)), "each once")
        await c.commit()
        equal(await c.committed(TopicPartition(topic, 0)), 750)


async def goes_on_over_sigkill_and_restart():
    await goes_on_over("kill")


async def goes_on_over_sigterm_and_restart():
    await goes_on_over("terminate")


async def moves_what_it_nacks():
    await with_admin(lambda admin: admin.create_topics([NewTopic("nacked", 1, 1)]))
    await fill("nacked", 5)
    partition = TopicPartition("nacked", 0)
    got = []
    async with consumer("nacked", group_id="billing") as c:

        async def all_committed():
            for record in (await c.getmany(timeout_ms=200)).get(partition, []):
                got.append(record.offset)
                if record.value == b"2":
                    await c.commit({partition: OffsetAndMetadata(record.offset, "!nack cannot read 2")})
                    c.seek(partition, await c.committed(partition))
                    break
                await c.commit({partition: record.offset + 1})
            return await c.committed(partition) == 5

        await until(all_committed, "the end of the partition")
    equal(got, [0, 1, 2, 2, 2, 3, 4])


# Against a broker that has dead letters: run where it is named.
NAMED = [moves_what_it_nacks]


async def main():
    for check in (
        *(check for check in NAMED if check.__name__ in sys.argv[2:]),
        creates_topics_and_describes_them,
        produces_and_consumes_with_every_codec,
        seeks_by_offset_and_by_time,
        broadcasts_between_groups,
        shares_partitions_among_members_that_join_and_leave,
        static_members_keep_their_partitions_over_a_restart,
        commits_and_resumes,
        alters_and_describes_configs,
        accepts_large_messages_and_refuses_too_large_ones,
        calls_every_method_of_the_admin_client,
        commits_and_aborts_transactions,
        copies_exactly_once,
        fences_the_producer_before,
        goes_on_over_sigkill_and_restart,
        goes_on_over_sigterm_and_restart,
    ):
        if sys.argv[2:] and check.__name__ not in sys.argv[2:]:
            continue
        began = time.monotonic()
        try:
            await asyncio.wait_for(check(), 120)
            passed(check.__name__)
        except Exception:
            failed(check.__name__)
        print(f"{check.__name__}: {time.monotonic() - began:.1f} s", file=sys.stderr)


asyncio.run(main())
