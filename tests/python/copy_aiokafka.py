"""Copies a topic exactly once until it is killed (aiokafka): copy_aiokafka.py BOOTSTRAP JSON

It prints what it does, a word a line, and reads a line before the next transaction: see tests/tests/copies_crash.rs. Whatever goes
wrong ends it; its successor goes on.
"""

import asyncio
import json
import os
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

BOOTSTRAP = sys.argv[1]
PLAN = json.loads(sys.argv[2])


def say(word):
    os.write(1, (word + "\n").encode())


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
        if not sys.stdin.readline():
            return


try:
    asyncio.run(main())
except Exception as error:
    print(f"{PLAN['transactional_id']}: {error!r}", file=sys.stderr)
    os._exit(3)
