package ottla;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Clients of one broker, with settings that make tests quick. */
final class Fixture {
    /** 2024-01-01T00:00:00Z. */
    static final long T0 = 1704067200000L;

    final String bootstrap;
    final Admin admin;

    Fixture(String bootstrap) {
        this(bootstrap, Admin.create(Map.of("bootstrap.servers", bootstrap)));
    }

    private Fixture(String bootstrap, Admin admin) {
        this.bootstrap = bootstrap;
        this.admin = admin;
    }

    /** The same broker, by another admin client. */
    Fixture with(Admin other) {
        return new Fixture(bootstrap, other);
    }

    String create(int partitions, Map<String, String> configs) throws Exception {
        String topic = Checks.unique("t");
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        return topic;
    }

    String create(int partitions) throws Exception {
        return create(partitions, Map.of());
    }

    KafkaProducer<byte[], byte[]> producer(String... settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("linger.ms", "5");
        put(config, settings);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<byte[], byte[]> consumer(String group, String... settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", group);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        config.put("session.timeout.ms", "10000");
        config.put("heartbeat.interval.ms", "300");
        config.put("reconnect.backoff.max.ms", "200");
        put(config, settings);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void put(Map<String, Object> config, String... settings) {
        for (int i = 0; i < settings.length; i += 2) {
            config.put(settings[i], settings[i + 1]);
        }
    }

    /** Messages 0..count, spread over the partitions in turn; message i at T0 + i. */
    void fill(String topic, int count, int partitions) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            var sent = new ArrayList<java.util.concurrent.Future<?>>();
            for (int i = 0; i < count; i++) {
                sent.add(producer.send(record(topic, i, partitions)));
            }
            for (var future : sent) {
                future.get();
            }
        }
    }

    static ProducerRecord<byte[], byte[]> record(String topic, int i, int partitions) {
        byte[] text = Integer.toString(i).getBytes();
        return new ProducerRecord<>(topic, i % partitions, T0 + i, text, text);
    }

    static int number(ConsumerRecord<byte[], byte[]> record) {
        return Integer.parseInt(new String(record.value()));
    }

    static List<Integer> range(int from, int to) {
        return IntStream.range(from, to).boxed().collect(Collectors.toList());
    }

    /** At least that many records. */
    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        Checks.until(count + " records", Duration.ofSeconds(90), () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() >= count;
        });
        return records;
    }

    static Set<Integer> owned(KafkaConsumer<byte[], byte[]> consumer) {
        return consumer.assignment().stream().map(TopicPartition::partition).collect(Collectors.toSet());
    }

    static void pollAll(Collection<KafkaConsumer<byte[], byte[]>> consumers) {
        consumers.forEach(consumer -> consumer.poll(Duration.ofMillis(50)));
    }

    /** Polls until the members hold disjoint shares of these sizes that cover the topic. */
    static void settle(List<KafkaConsumer<byte[], byte[]>> consumers, List<Integer> sizes, int partitions) {
        Checks.until("shares of " + sizes, () -> {
            pollAll(consumers);
            Set<Integer> all = new HashSet<>();
            consumers.forEach(consumer -> all.addAll(owned(consumer)));
            List<Integer> shares = consumers.stream().map(c -> owned(c).size()).sorted().toList();
            return shares.equals(sizes) && all.equals(new HashSet<>(range(0, partitions)));
        });
    }
}
