"""A consumer that nacks what it cannot handle (confluent-kafka): dead_letters_nacker.py BOOTSTRAP JSON

It prints a line of JSON for each record that it gets, and one for each nack before it sends it. The JSON is
{"topics": [...], "group": "...", "poison": "..."}: it fails on values that begin with `poison`. See
tests/tests/e2e/dead_letters/nacker.rs.
"""

import json
import os
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

BOOTSTRAP = sys.argv[1]
PLAN = json.loads(sys.argv[2])


def say(what, record):
    said = {
        "what": what,
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "key": record.key().decode(),
        "value": record.value().decode(),
        "headers": [[name, value.decode()] for name, value in record.headers() or []],
        "timestamp": record.timestamp()[1],
        "at": time.time_ns() // 1_000_000,
    }
    os.write(1, (json.dumps(said) + "\n").encode())


def nack(record):
    reason = f"!nack cannot read {record.value().decode()}"
    failed = TopicPartition(record.topic(), record.partition(), record.offset(), metadata=reason)
    say("nack", record)
    consumer.commit(offsets=[failed], asynchronous=False)
    consumer.seek(consumer.committed([failed])[0])


consumer = Consumer(
    {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": PLAN["group"],
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        # A retry topic is made when it is first used.
        "topic.metadata.refresh.interval.ms": 200,
    }
)
# With callbacks a rebalance happens within poll, and not between a record and its commit.
consumer.subscribe(PLAN["topics"], on_assign=lambda *_: None, on_revoke=lambda *_: None)
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
while not stop:
    record = consumer.poll(0.1)
    if record is None:
        continue
    if record.error():
        if record.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            continue
        raise KafkaException(record.error())
    say("got", record)
    if record.value().decode().startswith(PLAN["poison"]):
        nack(record)
    else:
        consumer.commit(record, asynchronous=False)
consumer.close()
