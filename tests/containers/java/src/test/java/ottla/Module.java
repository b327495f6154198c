package ottla;

import java.util.function.Function;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.kafka.ConfluentKafkaContainer;
import org.testcontainers.kafka.KafkaContainer;
import org.testcontainers.redpanda.RedpandaContainer;
import org.testcontainers.utility.DockerImageName;

/** The modules, each with the image that it wants and how its broker is found. */
enum Module {
    APACHE("apache/kafka") {
        @Override
        Broker create(DockerImageName image) {
            KafkaContainer container = new KafkaContainer(image);
            return new Broker(container, c -> container.getBootstrapServers(), container::withListener);
        }
    },
    APACHE_NATIVE("apache/kafka-native") {
        @Override
        Broker create(DockerImageName image) {
            return APACHE.create(image);
        }
    },
    CONFLUENT("confluentinc/cp-kafka") {
        @Override
        Broker create(DockerImageName image) {
            ConfluentKafkaContainer container = new ConfluentKafkaContainer(image);
            return new Broker(container, c -> container.getBootstrapServers(), container::withListener);
        }
    },
    REDPANDA("redpandadata/redpanda") {
        @Override
        Broker create(DockerImageName image) {
            RedpandaContainer container = new RedpandaContainer(image);
            return new Broker(container, c -> container.getBootstrapServers(), container::withListener);
        }
    },
    /** The module of Testcontainers 1, in ZooKeeper mode. */
    OLD_ZOOKEEPER("confluentinc/cp-kafka") {
        @Override
        @SuppressWarnings("deprecation")
        Broker create(DockerImageName image) {
            var container = new org.testcontainers.containers.KafkaContainer(image);
            return new Broker(container, c -> container.getBootstrapServers(), l -> container.withListener(() -> l));
        }
    },
    /** The module of Testcontainers 1, without ZooKeeper. */
    OLD_KRAFT("confluentinc/cp-kafka") {
        @Override
        @SuppressWarnings("deprecation")
        Broker create(DockerImageName image) {
            var container = new org.testcontainers.containers.KafkaContainer(image).withKraft();
            return new Broker(container, c -> container.getBootstrapServers(), l -> container.withListener(() -> l));
        }
    };

    private final String standsInFor;

    Module(String standsInFor) {
        this.standsInFor = standsInFor;
    }

    abstract Broker create(DockerImageName image);

    /** A container of this module, not yet started. */
    Broker create() {
        return create(DockerImageName.parse(System.getenv("OTTLA_IMAGE")).asCompatibleSubstituteFor(standsInFor));
    }

    /** A module's container, by what all have in common without a common type. */
    record Broker(
        GenericContainer<?> container,
        Function<GenericContainer<?>, String> bootstrap,
        java.util.function.Consumer<String> withListener
    ) implements AutoCloseable {
        /** Where clients on this machine connect, without the protocol that some modules put before it. */
        String bootstrapServers() {
            return bootstrap.apply(container).replaceFirst("^[A-Z]+://", "");
        }

        Broker start() {
            container.start();
            return this;
        }

        @Override
        public void close() {
            container.stop();
        }
    }
}
