package ottla;

import static ottla.Checks.equal;
import static ottla.Checks.expect;
import static ottla.Checks.that;
import static ottla.Fixture.T0;
import static ottla.Fixture.read;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Records: what is produced comes back as it was, from wherever one asks. */
final class DataChecks {
    private final Fixture fixture;

    DataChecks(Fixture fixture) {
        this.fixture = fixture;
    }

    void addTo(Checks checks) {
        checks.add("produces_and_consumes_with_every_codec", this::everyCodec);
        checks.add("seeks_by_offset_and_by_time", this::seeks);
        checks.add("stamps_records_with_the_append_time_where_a_topic_says_so", this::appendTime);
        checks.add("accepts_large_messages_and_refuses_too_large_ones", this::large);
        checks.add("reports_unknown_topics_and_bad_requests", this::unknown);
        checks.add("produces_without_waiting_for_acknowledgements", this::acks);
    }

    private void everyCodec() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = fixture.create(2);
            Random random = new Random(7);
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            for (int i = 0; i < 300; i++) {
                byte[] key = i % 5 == 0 ? null : ("key-" + i).getBytes();
                byte[] value = i % 7 == 0 ? null : new byte[random.nextInt(2000)];
                if (value != null && i % 2 == 0) {
                    random.nextBytes(value);
                }
                List<Header> headers = i % 3 != 0 ? List.of() : List.of(
                        new RecordHeader("a", "1".getBytes()),
                        new RecordHeader("a", "2".getBytes()),
                        new RecordHeader("empty", new byte[0]),
                        new RecordHeader("null", (byte[]) null));
                sent.add(new ProducerRecord<>(topic, i % 2, T0 + i, key, value, headers));
            }
            try (var producer = fixture.producer("compression.type", codec)) {
                List<Future<RecordMetadata>> futures = new ArrayList<>();
                for (var record : sent) {
                    futures.add(producer.send(record));
                }
                for (int i = 0; i < futures.size(); i++) {
                    RecordMetadata metadata = futures.get(i).get();
                    equal(metadata.offset(), (long) i / 2, "offset");
                    equal(metadata.timestamp(), T0 + i, "timestamp");
                }
            }
            try (var consumer = fixture.consumer(Checks.unique("g"))) {
                TopicPartition zero = new TopicPartition(topic, 0);
                TopicPartition one = new TopicPartition(topic, 1);
                consumer.assign(List.of(zero, one));
                consumer.seekToBeginning(List.of(zero, one));
                Map<Integer, ConsumerRecord<byte[], byte[]>> got = new HashMap<>();
                for (var record : read(consumer, 300)) {
                    got.put((int) record.offset() * 2 + record.partition(), record);
                }
                equal(got.size(), 300, "records");
                for (int i = 0; i < 300; i++) {
                    var record = got.get(i);
                    var expected = sent.get(i);
                    equal(record.key(), expected.key(), codec + " key " + i);
                    equal(record.value(), expected.value(), codec + " value " + i);
                    equal(record.timestamp(), expected.timestamp(), codec + " timestamp " + i);
                    equal(Arrays.asList(record.headers().toArray()), Arrays.asList(expected.headers().toArray()),
                            codec + " headers " + i);
                }
            }
        }
    }

    private void seeks() throws Exception {
        String topic = fixture.create(2);
        fixture.fill(topic, 200, 2);
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        try (var consumer = fixture.consumer(Checks.unique("g"))) {
            consumer.assign(List.of(zero));
            consumer.seek(zero, 90);
            var records = read(consumer, 10);
            equal(records.get(0).offset(), 90L, "first after a seek");
            equal(records.size(), 10, "up to the end");
            equal(consumer.beginningOffsets(List.of(zero, one)), Map.of(zero, 0L, one, 0L), "beginnings");
            equal(consumer.endOffsets(List.of(zero, one)), Map.of(zero, 100L, one, 100L), "ends");
            Map<TopicPartition, OffsetAndTimestamp> found =
                    consumer.offsetsForTimes(Map.of(zero, T0 + 51, one, T0 + 51));
            equal(found.get(zero).offset(), 26L, "even");
            equal(found.get(zero).timestamp(), T0 + 52, "even, time");
            equal(found.get(one).offset(), 25L, "odd");
            equal(consumer.offsetsForTimes(Map.of(zero, T0 + 1000)).get(zero), null, "past the end");
            consumer.seekToEnd(List.of(zero));
            equal(consumer.position(zero), 100L, "end");
            equal(consumer.poll(Duration.ofMillis(300)).count(), 0, "nothing at the end");
            consumer.seek(zero, 5000);
            equal(read(consumer, 1).get(0).offset(), 0L, "out of range begins anew");
        }
    }

    private void appendTime() throws Exception {
        String topic = fixture.create(1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        fixture.fill(topic, 5, 1);
        long after = System.currentTimeMillis();
        try (var consumer = fixture.consumer(Checks.unique("g"))) {
            consumer.subscribe(List.of(topic));
            for (var record : read(consumer, 5)) {
                equal(record.timestampType().name, "LogAppendTime", "type");
                Checks.that(record.timestamp() >= before && record.timestamp() <= after, "time " + record.timestamp());
            }
        }
    }

    private void large() throws Exception {
        String topic = fixture.create(1);
        byte[] near = new byte[1_000_000];
        try (var producer = fixture.producer("max.request.size", "20000000")) {
            producer.send(new ProducerRecord<>(topic, near)).get();
            expect(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(topic, new byte[1_100_000])).get());
            String huge = fixture.create(1, Map.of("max.message.bytes", "10000000"));
            equal(producer.send(new ProducerRecord<>(huge, new byte[8_000_000])).get().offset(), 0L, "8 MB");
        }
        try (var consumer = fixture.consumer(Checks.unique("g"),
                "fetch.max.bytes", "1000", "max.partition.fetch.bytes", "1000")) {
            consumer.subscribe(List.of(topic));
            equal(read(consumer, 1).get(0).value().length, near.length, "a batch beyond the limits of a fetch");
        }
    }

    private void unknown() throws Exception {
        try (var producer = fixture.producer("max.block.ms", "2000")) {
            String topic = fixture.create(1);
            expect(TimeoutException.class, () -> producer.send(new ProducerRecord<>(topic, 7, null, null)).get());
            expect(InvalidTopicException.class,
                    () -> producer.send(new ProducerRecord<>("no spaces", new byte[1])).get());
            long future = System.currentTimeMillis() + Duration.ofHours(2).toMillis();
            expect(InvalidTimestampException.class,
                    () -> producer.send(new ProducerRecord<>(topic, 0, future, null, new byte[1])).get());
            // Asking for a topic makes it, where the broker may.
            String created = Checks.unique("auto");
            equal(producer.send(new ProducerRecord<>(created, new byte[1])).get().offset(), 0L, "auto-created");
        }
        try (var consumer = fixture.consumer(Checks.unique("g"), "allow.auto.create.topics", "false",
                "default.api.timeout.ms", "2000")) {
            TopicPartition missing = new TopicPartition(Checks.unique("missing"), 0);
            expect(TimeoutException.class, () -> consumer.endOffsets(List.of(missing)));
        }
    }

    private void acks() throws Exception {
        for (String acks : List.of("0", "1")) {
            String topic = fixture.create(1);
            try (var producer = fixture.producer("acks", acks, "enable.idempotence", "false")) {
                for (int i = 0; i < 100; i++) {
                    producer.send(Fixture.record(topic, i, 1));
                }
            }
            try (var consumer = fixture.consumer(Checks.unique("g"))) {
                consumer.subscribe(List.of(topic));
                equal(read(consumer, 100).stream().map(Fixture::number).toList(), Fixture.range(0, 100), "acks=" + acks);
            }
        }
    }
}
