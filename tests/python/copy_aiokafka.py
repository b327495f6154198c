"""Copies a topic exactly once until it is killed (aiokafka): see copying.py."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from copying import BOOTSTRAP, PLAN, end_by, may_go_on, say


async def copy(producer, batches):
    await producer.begin_transaction()
    for partition, batch in batches.items():
        for message in batch:
            await producer.send(PLAN["target"], message.value, partition=partition.partition)
    say("sent")
    ends = {partition: batch[-1].offset + 1 for partition, batch in batches.items()}
    await producer.send_offsets_to_transaction(ends, PLAN["group"])
    say("offsets")
    await producer.commit_transaction()
    say("committed")


async def main():
    producer = AIOKafkaProducer(
        bootstrap_servers=BOOTSTRAP,
        transactional_id=PLAN["transactional_id"],
        transaction_timeout_ms=30000,
        retry_backoff_ms=50,
    )
    # First: it aborts what the last instance left open, whose positions must not be read before.
    await producer.start()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=BOOTSTRAP,
        group_id=PLAN["group"],
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=PLAN["batch"],
        retry_backoff_ms=50,
    )
    # Partitions of its own: this client cannot tell the broker of which generation its offsets are (KIP-447).
    consumer.assign([TopicPartition(PLAN["source"], partition) for partition in PLAN["partitions"]])
    await consumer.start()
    say("ready")
    while True:
        batches = await consumer.getmany(timeout_ms=200)
        if not batches:
            say("idle")
            continue
        # Its sender may end by an error of a connection while others wait for it.
        await asyncio.wait_for(copy(producer, batches), 20)
        if not may_go_on():
            return


try:
    asyncio.run(main())
except Exception as error:
    end_by(error)
