package ottla;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A consumer that dies on some records: DeadLettersWorker BOOTSTRAP JSON
 *
 * <p>It prints a line {@code partition offset value} for each record before it handles it, and a line {@code assigned} when it owns
 * partitions. What it does is in the JSON: see tests/tests/e2e/dead_letters/worker.rs.
 */
public final class DeadLettersWorker {
    private DeadLettersWorker() {
    }

    private static void die(KafkaConsumer<String, String> consumer, JsonNode plan) throws Exception {
        switch (plan.get("death").asText()) {
            case "kill" -> new ProcessBuilder("kill", "-9", Long.toString(ProcessHandle.current().pid())).start().waitFor();
            case "leave" -> consumer.close();
            // Past max.poll.interval.ms: the heartbeat thread leaves the group while this process still lives.
            case "stall" -> Thread.sleep(plan.get("poll_interval_ms").asInt() + 1_500);
            default -> { }
        }
        Runtime.getRuntime().halt(3);
    }

    public static void main(String[] args) throws Exception {
        JsonNode plan = new ObjectMapper().readTree(args[1]);
        int session = plan.get("session_ms").asInt();
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("group.id", plan.get("group").asText());
        settings.put("client.id", plan.get("client_id").asText());
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", plan.get("auto_commit").asBoolean());
        settings.put("auto.commit.interval.ms", 100);
        settings.put("session.timeout.ms", session);
        settings.put("max.poll.interval.ms", plan.get("poll_interval_ms").asInt());
        settings.put("heartbeat.interval.ms", 200);
        settings.put("fetch.max.wait.ms", 100);
        settings.put("max.poll.records", plan.get("batch").asInt());
        settings.put("partition.assignment.strategy", plan.get("assignor").asText().equals("range")
                ? "org.apache.kafka.clients.consumer.RangeAssignor"
                : "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        if (!plan.get("instance").asText().isEmpty()) {
            settings.put("group.instance.id", plan.get("instance").asText());
        }
        KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join(5_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        consumer.subscribe(List.of(plan.get("topic").asText()), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                if (!partitions.isEmpty()) {
                    System.out.println("assigned");
                }
            }
        });
        try {
            while (true) {
                var records = consumer.poll(Duration.ofMillis(100));
                for (ConsumerRecord<String, String> record : records) {
                    System.out.println(record.partition() + " " + record.offset() + " " + record.value());
                    if (record.value().startsWith(plan.get("poison").asText())) {
                        die(consumer, plan);
                    }
                    Thread.sleep(plan.get("slow_ms").asInt());
                }
                if (!records.isEmpty() && !plan.get("auto_commit").asBoolean()) {
                    try {
                        consumer.commitSync();
                    } catch (WakeupException e) {
                        throw e;
                    } catch (KafkaException e) {
                        // A rebalance in between: the records come again, at whoever owns them now.
                        System.err.println(e);
                    }
                }
            }
        } catch (WakeupException e) {
            consumer.close();
        }
    }
}
