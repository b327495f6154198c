package ottla;

import static ottla.Checks.equal;
import static ottla.Checks.expect;
import static ottla.Checks.that;
import static ottla.Fixture.read;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions: all of it or nothing, once, and by one producer at a time. */
final class TransactionChecks {
    private final Fixture fixture;

    TransactionChecks(Fixture fixture) {
        this.fixture = fixture;
    }

    void addTo(Checks checks) {
        checks.add("commits_and_aborts_transactions", this::commitsAndAborts);
        checks.add("copies_exactly_once", this::copies);
        checks.add("fences_the_producer_before", this::fences);
        checks.add("lists_describes_and_aborts_transactions", this::administers);
    }

    private KafkaProducer<byte[], byte[]> producer(String id, String... settings) {
        String[] all = new String[settings.length + 2];
        all[0] = "transactional.id";
        all[1] = id;
        System.arraycopy(settings, 0, all, 2, settings.length);
        var producer = fixture.producer(all);
        producer.initTransactions();
        return producer;
    }

    private KafkaConsumer<byte[], byte[]> reader(String group, String... settings) {
        String[] all = new String[settings.length + 2];
        all[0] = "isolation.level";
        all[1] = "read_committed";
        System.arraycopy(settings, 0, all, 2, settings.length);
        return fixture.consumer(group, all);
    }

    private void commitsAndAborts() throws Exception {
        String topic = fixture.create(3);
        String other = fixture.create(1);
        try (var producer = producer(Checks.unique("x")); var reader = reader(Checks.unique("g"))) {
            for (int round = 0; round < 20; round++) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    producer.send(Fixture.record(topic, round * 10 + i, 3));
                }
                producer.send(Fixture.record(other, round, 1));
                if (round % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
            reader.subscribe(List.of(topic, other));
            var records = read(reader, 110);
            var numbers = records.stream().filter(r -> r.topic().equals(topic)).map(Fixture::number).sorted().toList();
            var expected = Fixture.range(0, 200).stream().filter(i -> i / 10 % 2 == 0).toList();
            equal(numbers, expected, "what was committed");
            producer.beginTransaction();
            producer.send(Fixture.record(other, 1000, 1)).get();
            TopicPartition partition = new TopicPartition(other, 0);
            long stable = reader.endOffsets(List.of(partition)).get(partition);
            producer.commitTransaction();
            equal(reader.endOffsets(List.of(partition)).get(partition), stable + 2, "a record and its marker");
        }
        try (var all = fixture.consumer(Checks.unique("g"))) {
            all.subscribe(List.of(topic));
            equal(read(all, 200).size(), 200, "uncommitted records for those who want them");
        }
        try (var tooLong = fixture.producer("transactional.id", Checks.unique("x"), "transaction.timeout.ms", "900001")) {
            expect(KafkaException.class, tooLong::initTransactions);
        }
    }

    /** Reads, writes, commits; some rounds are aborted and done again. */
    private void copies() throws Exception {
        String from = fixture.create(2);
        String to = fixture.create(2);
        fixture.fill(from, 400, 2);
        String group = Checks.unique("copy");
        int copied = 0;
        int round = 0;
        while (copied < 400) {
            // Each a new instance, as after a crash.
            try (var producer = producer("copier-" + group); var consumer = reader(group, "max.poll.records", "37")) {
                consumer.subscribe(List.of(from));
                boolean instanceLives = true;
                while (instanceLives && copied < 400) {
                    var records = consumer.poll(Duration.ofMillis(500));
                    if (records.isEmpty()) {
                        continue;
                    }
                    producer.beginTransaction();
                    Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
                    for (var record : records) {
                        producer.send(new ProducerRecord<>(to, record.partition(), record.key(), record.value()));
                        positions.put(new TopicPartition(record.topic(), record.partition()),
                                new OffsetAndMetadata(record.offset() + 1));
                    }
                    producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
                    round++;
                    if (round % 4 == 0) {
                        producer.flush();
                        producer.abortTransaction();
                        instanceLives = false;
                    } else if (round % 7 == 0) {
                        // Left open: the next instance aborts it.
                        producer.flush();
                        instanceLives = false;
                    } else {
                        producer.commitTransaction();
                        copied += records.count();
                    }
                }
            }
        }
        try (var reader = reader(Checks.unique("g"))) {
            reader.subscribe(List.of(to));
            var numbers = read(reader, 400).stream().map(Fixture::number).sorted().toList();
            equal(numbers, Fixture.range(0, 400), "each once");
            that(reader.poll(Duration.ofMillis(300)).isEmpty(), "nothing twice");
        }
        var committed = fixture.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        equal(committed.values().stream().mapToLong(OffsetAndMetadata::offset).sum(), 400L, "positions");
    }

    private void fences() throws Exception {
        String topic = fixture.create(1);
        String id = Checks.unique("x");
        try (var zombie = producer(id)) {
            zombie.beginTransaction();
            zombie.send(Fixture.record(topic, 0, 1)).get();
            try (var heir = producer(id)) {
                heir.beginTransaction();
                heir.send(Fixture.record(topic, 1, 1));
                heir.commitTransaction();
                expect(ProducerFencedException.class, zombie::commitTransaction);
            }
        }
        try (var reader = reader(Checks.unique("g"))) {
            reader.subscribe(List.of(topic));
            equal(read(reader, 1).stream().map(Fixture::number).toList(), List.of(1), "the heir's alone");
        }
    }

    private void administers() throws Exception {
        String topic = fixture.create(1);
        String id = Checks.unique("x");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var producer = producer(id)) {
            producer.beginTransaction();
            producer.send(Fixture.record(topic, 0, 1)).get();
            var open = fixture.admin.listTransactions(
                    new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).all().get();
            that(open.stream().anyMatch(t -> t.transactionalId().equals(id)), open.toString());
            var described = fixture.admin.describeTransactions(List.of(id)).description(id).get();
            equal(described.state(), TransactionState.ONGOING, "state");
            equal(described.topicPartitions(), Set.of(partition), "partitions");
            var active = fixture.admin.describeProducers(List.of(partition)).partitionResult(partition).get()
                    .activeProducers().get(0);
            equal(active.currentTransactionStartOffset().getAsLong(), 0L, "start of the transaction");
            fixture.admin.abortTransaction(new AbortTransactionSpec(partition, active.producerId(),
                    (short) active.producerEpoch(), 0)).all().get();
            var after = fixture.admin.describeProducers(List.of(partition)).partitionResult(partition).get()
                    .activeProducers().get(0);
            that(after.currentTransactionStartOffset().isEmpty(), "nothing is open");
            fixture.admin.fenceProducers(List.of(id)).all().get();
            expect(KafkaException.class, () -> {
                producer.send(Fixture.record(topic, 1, 1)).get();
                producer.commitTransaction();
            });
        }
    }
}
