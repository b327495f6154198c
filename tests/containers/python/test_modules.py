"""Testcontainers' modules for Python against Ottla's image: OTTLA_IMAGE is its name, tagged 7.9.0 and 8.0.0."""

import os
import socket
import unittest
import uuid

from confluent_kafka import Consumer, Producer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.network import Network
from testcontainers.kafka import KafkaContainer, RedpandaContainer

IMAGE = os.environ["OTTLA_IMAGE"]
PATIENCE = 60


def produce(server, topic, values):
    failed = []
    producer = Producer({"bootstrap.servers": server, "message.timeout.ms": PATIENCE * 1000})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: error and failed.append(error))
    left = producer.flush(PATIENCE)
    if failed or left:
        raise AssertionError(f"{left} not delivered, {failed}")


def consume(server, topic, count):
    """Values of a topic's first records, by a group of its own."""
    consumer = Consumer(
        {"bootstrap.servers": server, "group.id": str(uuid.uuid4()), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    values = []
    while len(values) < count:
        message = consumer.poll(PATIENCE)
        if message is None:
            raise AssertionError(f"only {values} came within {PATIENCE} s")
        if message.error():
            raise AssertionError(message.error())
        values.append(message.value().decode())
    consumer.close()
    return values


def from_container(network, server, topic):
    """What another container on the network reads of a topic through the listener for containers."""
    command = ["consume", topic, "--exit-eof", "--bootstrap-server", server]
    output = DockerClient().client.containers.run(
        f"{IMAGE}:8.0.0", command, network=network.name, remove=True
    )
    return output.decode().splitlines()


def topics(server):
    return sorted(Consumer({"bootstrap.servers": server, "group.id": "none"}).list_topics(timeout=PATIENCE).topics)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Modules(unittest.TestCase):
    def serves(self, container):
        server = container.get_bootstrap_server()
        produce(server, "orders", ["one", "two"])
        self.assertEqual(consume(server, "orders", 2), ["one", "two"])

    def test_kafka_in_kraft_mode(self):
        with KafkaContainer(f"{IMAGE}:7.9.0").with_kraft() as kafka:
            self.serves(kafka)

    def test_kafka_in_zookeeper_mode(self):
        with KafkaContainer(f"{IMAGE}:7.9.0") as kafka:
            self.serves(kafka)

    def test_redpanda(self):
        with RedpandaContainer(f"{IMAGE}:8.0.0") as redpanda:
            self.serves(redpanda)

    def test_another_container_comes_in_through_the_listener_for_containers(self):
        for mode in (KafkaContainer.with_kraft, lambda container: container):
            with self.subTest(mode=mode), Network() as network:
                container = KafkaContainer(f"{IMAGE}:7.9.0").with_network(network).with_network_aliases("kafka")
                with mode(container) as kafka:
                    produce(kafka.get_bootstrap_server(), "orders", ["one", "two"])
                    self.assertEqual(from_container(network, "kafka:9092", "orders"), ["one", "two"])

    def test_a_restarted_container_has_its_records(self):
        kafka = KafkaContainer(f"{IMAGE}:7.9.0").with_kraft()
        # A port that Docker chooses would be another one afterwards.
        kafka.with_bind_ports(kafka.port, free_port())
        with kafka:
            server = kafka.get_bootstrap_server()
            produce(server, "orders", ["before"])
            kafka.get_wrapped_container().restart(timeout=1)
            produce(server, "orders", ["after"])
            self.assertEqual(consume(server, "orders", 2), ["before", "after"])

    def test_two_at_once_know_nothing_of_each_other(self):
        with KafkaContainer(f"{IMAGE}:7.9.0").with_kraft() as one, KafkaContainer(f"{IMAGE}:7.9.0") as other:
            servers = [one.get_bootstrap_server(), other.get_bootstrap_server()]
            self.assertNotEqual(*servers)
            for server in servers:
                produce(server, "orders", [server])
            for server in servers:
                self.assertEqual(consume(server, "orders", 1), [server])
                self.assertEqual(topics(server), ["orders"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
