"""Avro records through a schema registry, by Confluent's serializers: what its users' programs do.

    avro.py BOOTSTRAP REGISTRY begin    registers and evolves schemas, produces with each, deletes a subject
    avro.py BOOTSTRAP REGISTRY go-on N  finds the N versions of before after a restart, of whatever it was, and adds one
"""

import json
import sys
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

TOPIC = "orders"
SUBJECT = "orders-value"
EACH = 20


def schema(version):
    """The nth version of an order: every version has one field more, with a default."""
    fields = [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}]
    for number in range(1, version):
        fields.append({"name": f"extra{number}", "type": "string", "default": "none"})
    return json.dumps({"type": "record", "name": "Order", "namespace": "ottla", "fields": fields})


def order(version, number):
    fields = {"id": number, "name": f"order {number}"}
    fields.update({f"extra{field}": f"{field} of {number}" for field in range(1, version)})
    return fields


def produce(bootstrap, registry, version):
    """Records of one version; the serializer registers its schema."""
    serialize = AvroSerializer(registry, schema(version), conf={"auto.register.schemas": True})
    context = SerializationContext(TOPIC, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    failed = []
    for number in range((version - 1) * EACH, version * EACH):
        producer.produce(
            TOPIC,
            serialize(order(version, number), context),
            key=str(number),
            on_delivery=lambda error, _: error and failed.append(error),
        )
    assert producer.flush(60) == 0 and not failed, failed


def consume(bootstrap, registry, versions):
    """All records, each read with the schema that it was written with and seen through the newest one."""
    deserialize = AvroDeserializer(registry, schema(versions))
    context = SerializationContext(TOPIC, MessageField.VALUE)
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([TOPIC])
    found = {}
    while len(found) < versions * EACH:
        message = consumer.poll(60)
        assert message is not None, f"{len(found)} records within a minute"
        if message.error():
            assert message.error().retriable(), message.error()
            continue
        value = deserialize(message.value(), context)
        assert value["id"] not in found, value
        found[value["id"]] = value
    consumer.close()
    for number, value in found.items():
        written = number // EACH + 1
        expected = order(written, number)
        expected.update({f"extra{field}": "none" for field in range(written, versions)})
        assert value == expected, (value, expected)


def refused(status, call, *arguments):
    """The call is answered with this status."""
    try:
        answer = call(*arguments)
    except SchemaRegistryError as error:
        assert error.http_status_code == status, error
    else:
        raise AssertionError(f"not refused: {answer}")


def begin(bootstrap, registry):
    topic = NewTopic(TOPIC, num_partitions=3, replication_factor=1)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([topic])[TOPIC].result(60)
    registry.set_compatibility(SUBJECT, "BACKWARD")
    produce(bootstrap, registry, 1)
    # A field without a default cannot be read from older records.
    broken = schema(1).replace('"string"}]', '"string"}, {"name": "must", "type": "long"}]')
    refused(409, registry.register_schema, SUBJECT, Schema(broken, "AVRO"))
    doomed = Schema(schema(1).replace("Order", "Payment"), "AVRO")
    registry.register_schema("payments-value", doomed)
    registry.delete_subject("payments-value")


def look_up(registry, versions):
    """What was registered is there under its version and its id, and what was deleted is not."""
    assert registry.get_versions(SUBJECT) == list(range(1, versions + 1))
    assert registry.get_compatibility(SUBJECT) == "BACKWARD"
    for version in range(1, versions + 1):
        found = registry.get_version(SUBJECT, version)
        assert json.loads(found.schema.schema_str) == json.loads(schema(version)), found
        by_id = registry.get_schema(found.schema_id)
        assert json.loads(by_id.schema_str) == json.loads(schema(version)), by_id
        same = registry.lookup_schema(SUBJECT, Schema(schema(version), "AVRO"))
        assert same.schema_id == found.schema_id, (same, found)
    assert registry.get_subjects() == [SUBJECT]
    refused(404, registry.get_versions, "payments-value")


def main():
    bootstrap, url, what, *more = sys.argv[1:]
    registry = SchemaRegistryClient({"url": url})
    if what == "begin":
        begin(bootstrap, registry)
        versions = 1
    else:
        versions = int(more[0])
        look_up(registry, versions)
        versions += 1
        produce(bootstrap, registry, versions)
    # Another client, which has nothing cached.
    registry = SchemaRegistryClient({"url": url})
    look_up(registry, versions)
    consume(bootstrap, registry, versions)


main()
