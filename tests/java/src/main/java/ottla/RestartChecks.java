package ottla;

import static ottla.Checks.equal;
import static ottla.Fixture.number;
import static ottla.Fixture.range;
import static ottla.Fixture.read;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;

import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/** Clients that go on while the broker dies and comes back. */
final class RestartChecks {
    private final Fixture fixture;

    RestartChecks(Fixture fixture) {
        this.fixture = fixture;
    }

    void addTo(Checks checks) {
        checks.add("goes_on_over_sigkill_and_restart", () -> goesOnOver("kill"));
        checks.add("goes_on_over_sigterm_and_restart", () -> goesOnOver("terminate"));
    }

    private void goesOnOver(String how) throws Exception {
        String topic = fixture.create(2);
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        try (var producer = fixture.producer("linger.ms", "1", "reconnect.backoff.max.ms", "200");
                var consumer = fixture.consumer(Checks.unique("restart"))) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 500; i++) {
                sent.add(producer.send(Fixture.record(topic, i, 2)));
            }
            producer.flush();
            consumer.subscribe(List.of(topic));
            List<Integer> got = new ArrayList<>();
            read(consumer, 500).forEach(record -> got.add(number(record)));
            consumer.commitSync();
            // Some of these are under way while the broker goes.
            for (int i = 500; i < 1500; i++) {
                sent.add(producer.send(Fixture.record(topic, i, 2)));
            }
            Checks.restartBroker(how);
            for (int i = 1500; i < 2000; i++) {
                sent.add(producer.send(Fixture.record(topic, i, 2)));
            }
            for (int i = 0; i < 2000; i++) {
                equal(sent.get(i).get().offset(), (long) i / 2, "offset of " + i);
            }
            read(consumer, 1500).forEach(record -> got.add(number(record)));
            equal(got.stream().filter(i -> i % 2 == 0).toList(), range(0, 1000).stream().map(i -> 2 * i).toList(), "even");
            equal(got.stream().filter(i -> i % 2 == 1).toList(), range(0, 1000).stream().map(i -> 2 * i + 1).toList(), "odd");
            consumer.commitSync();
            var committed = consumer.committed(Set.of(zero, one));
            equal(Map.of(zero, committed.get(zero).offset(), one, committed.get(one).offset()),
                    Map.of(zero, 1000L, one, 1000L), "committed");
        }
    }
}
