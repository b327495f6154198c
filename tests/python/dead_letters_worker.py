"""A consumer that dies on some records (confluent-kafka): dead_letters_worker.py BOOTSTRAP JSON

It prints a line `partition offset value` for each record before it handles it, and a line `assigned` when it owns partitions.
What it does is in the JSON: see tests/tests/e2e/dead_letters/worker.rs.
"""

import json
import os
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException

BOOTSTRAP = sys.argv[1]
PLAN = json.loads(sys.argv[2])


def die():
    how = PLAN["death"]
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "leave":
        consumer.close()
    elif how == "stall":
        # Past max.poll.interval.ms: librdkafka leaves the group while this process still lives.
        time.sleep(PLAN["poll_interval_ms"] / 1000 + 1.5)
    os._exit(3)


def say(text):
    os.write(1, (text + "\n").encode())


settings = {
    "bootstrap.servers": BOOTSTRAP,
    "group.id": PLAN["group"],
    "client.id": PLAN["client_id"],
    "auto.offset.reset": "earliest",
    "enable.auto.commit": PLAN["auto_commit"],
    "auto.commit.interval.ms": 100,
    "session.timeout.ms": PLAN["session_ms"],
    "max.poll.interval.ms": max(PLAN["poll_interval_ms"], PLAN["session_ms"]),
    "heartbeat.interval.ms": 200,
    "partition.assignment.strategy": PLAN["assignor"],
    "fetch.wait.max.ms": 100,
    "reconnect.backoff.max.ms": 200,
}
if PLAN["instance"]:
    settings["group.instance.id"] = PLAN["instance"]
consumer = Consumer(settings)
consumer.subscribe([PLAN["topic"]], on_assign=lambda _, partitions: partitions and say("assigned"))
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
while not stop:
    batch = consumer.consume(PLAN["batch"], 0.1)
    for record in batch:
        if record.error():
            raise KafkaException(record.error())
        value = record.value().decode()
        say(f"{record.partition()} {record.offset()} {value}")
        if value.startswith(PLAN["poison"]):
            die()
        if PLAN["slow_ms"]:
            time.sleep(PLAN["slow_ms"] / 1000)
    if batch and not PLAN["auto_commit"]:
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            # A rebalance in between: the records come again, at whoever owns them now.
            print(error, file=sys.stderr)
consumer.close()
