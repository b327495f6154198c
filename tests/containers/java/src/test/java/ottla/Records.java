package ottla;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.testcontainers.containers.Container;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.Network;

/** Writes and reads as an application does, on this machine and in another container. */
final class Records {
    static final Duration LIMIT = Duration.ofSeconds(60);

    private Records() {}

    static void produce(String bootstrap, String topic, String... values) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "acks", "all");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (String value : values) {
                producer.send(new ProducerRecord<>(topic, value)).get();
            }
        }
    }

    /** The first `count` values of a topic, read by a group of its own; fewer if no more come in a minute. */
    static List<String> consume(String bootstrap, String topic, int count) {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", bootstrap, "group.id", UUID.randomUUID().toString(), "auto.offset.reset", "earliest"
        );
        List<String> values = new ArrayList<>();
        long until = System.nanoTime() + LIMIT.toNanos();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (values.size() < count && System.nanoTime() < until) {
                consumer.poll(Duration.ofMillis(200)).forEach(record -> values.add(record.value()));
            }
        }
        return values;
    }

    /** A container in the broker's network, which waits to be told what to run. */
    static GenericContainer<?> neighbour(Network network) {
        GenericContainer<?> container = new GenericContainer<>(System.getenv("OTTLA_IMAGE"))
            .withNetwork(network)
            .withCommand("sleep", "600");
        container.start();
        return container;
    }

    static void produceIn(GenericContainer<?> neighbour, String bootstrap, String topic, String value) throws Exception {
        run(neighbour, "echo '" + value + "' | ottla produce " + topic + " --bootstrap-server " + bootstrap);
    }

    static List<String> consumeIn(GenericContainer<?> neighbour, String bootstrap, String topic, int count) throws Exception {
        // The broker may have been restarted the moment before.
        String wait = "until ottla topic describe %1$s --bootstrap-server %2$s >/dev/null 2>&1; do sleep 0.1; done; ";
        String consume = "ottla consume %1$s --bootstrap-server %2$s --offset beginning --max-messages %3$d";
        String command = "timeout " + LIMIT.toSeconds() + " sh -c '" + wait + consume + "'";
        return run(neighbour, command.formatted(topic, bootstrap, count)).lines().toList();
    }

    private static String run(GenericContainer<?> container, String command) throws Exception {
        Container.ExecResult result = container.execInContainer("sh", "-c", command);
        if (result.getExitCode() != 0) {
            throw new AssertionError(command + " ended with " + result.getExitCode() + ": " + result.getStderr());
        }
        return result.getStdout();
    }
}
