"""Copies a topic exactly once until it is killed (confluent-kafka): see copying.py."""

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from copying import BOOTSTRAP, PLAN, end_by, may_go_on, say


def main():
    common = {
        "bootstrap.servers": BOOTSTRAP,
        "reconnect.backoff.ms": 10,
        "reconnect.backoff.max.ms": 100,
        "retry.backoff.ms": 20,
        "log_level": 2,
        # After a rebootstrap, its default when the one broker is away, send_offsets_to_transaction may wait for a connection that it
        # has given up, without end (librdkafka#5511).
        "metadata.recovery.strategy": "none",
    }
    producer = Producer(
        common
        | {
            "transactional.id": PLAN["transactional_id"],
            "transaction.timeout.ms": 30000,
            "linger.ms": 1,
        }
    )
    producer.init_transactions(60)
    consumer = Consumer(
        common
        | {
            "group.id": PLAN["group"],
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # A successor takes the place of a killed one at once (KIP-345); and who was put out of the group is refused with its offsets
            # (KIP-447), which without an instance is asked only of who still knows its generation.
            "group.instance.id": PLAN["transactional_id"],
            "fetch.wait.max.ms": 100,
        }
    )
    consumer.subscribe([PLAN["source"]])
    say("ready")
    while True:
        messages = consumer.consume(PLAN["batch"], 0.2)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        if not messages:
            say("idle")
            continue
        producer.begin_transaction()
        ends = {}
        for message in messages:
            producer.produce(PLAN["target"], message.value(), partition=message.partition())
            ends[message.partition()] = message.offset() + 1
        producer.poll(0)
        say("sent")
        offsets = [TopicPartition(PLAN["source"], partition, end) for partition, end in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        say("offsets")
        producer.commit_transaction(30)
        say("committed")
        if not may_go_on():
            return


try:
    main()
except Exception as error:
    end_by(error)
