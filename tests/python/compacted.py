"""Writes to a topic, or reads partition 0 of it from the front to its end: compacted.py aiokafka|confluent write|read BOOTSTRAP TOPIC

Both in lines of JSON: [offset, key, value], null for a tombstone; when written the offset is left out of account."""

import asyncio
import json
import sys

CLIENT, ACTION, BOOTSTRAP, TOPIC = sys.argv[1:5]


def text(value):
    return None if value is None else value.decode()


def data(value):
    return None if value is None else value.encode()


def tell(record_offset, key, value):
    print(json.dumps([record_offset, text(key), text(value)]))


def lines():
    return [json.loads(line)[1:] for line in sys.stdin]


async def aiokafka_write():
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True) as producer:
        for sent in [await producer.send(TOPIC, data(value), data(key)) for key, value in lines()]:
            await sent


async def aiokafka_read():
    from aiokafka import AIOKafkaConsumer, TopicPartition

    partition = TopicPartition(TOPIC, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=BOOTSTRAP, enable_auto_commit=False, isolation_level="read_committed"
    ) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    tell(record.offset, record.key, record.value)


def confluent_write():
    from confluent_kafka import Producer

    failures = []
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "batch.size": 8000})
    for key, value in lines():
        producer.produce(TOPIC, data(value), data(key), on_delivery=lambda e, _: e and failures.append(e))
        producer.poll(0)
    assert producer.flush(60) == 0 and not failures, failures


def confluent_read():
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "none", "enable.partition.eof": True})
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    while message := consumer.poll(30):
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            break
        tell(message.offset(), message.key(), message.value())
    else:
        raise AssertionError("the end of the partition was not told within 30 s")
    consumer.close()


action = globals()[f"{CLIENT}_{ACTION}"]
if CLIENT == "aiokafka":
    asyncio.run(action())
else:
    action()
