package ottla.streams;

import java.util.Arrays;
import java.util.Properties;
import java.util.stream.Collectors;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.StateRestoreListener;

/**
 * An instance of a Streams application: Main TOPOLOGY NAME=VALUE...
 *
 * <p>The settings are those of Streams. It prints a line for each thing that happens:
 * <ul>
 *   <li>{@code state RUNNING 1234}: the state that it came to, and the milliseconds since it was started;
 *   <li>{@code tasks 0_0 0_1}: what it owns, before each {@code state RUNNING};
 *   <li>{@code restored STORE PARTITION RECORDS}: the state of a task came from its changelog;
 *   <li>{@code died EXCEPTION}: a thread failed, and the application with it.
 * </ul>
 * SIGTERM closes it.
 */
public final class Main {
    private Main() {
    }

    private static Topology topology(String name) {
        return switch (name) {
            case "clicks" -> Clicks.topology();
            case "shop" -> Shop.topology();
            case "word-count" -> WordCount.topology();
            default -> throw new IllegalArgumentException("no topology is named " + name);
        };
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String tasks(KafkaStreams streams) {
        return streams.metadataForLocalThreads().stream()
                .flatMap(thread -> thread.activeTasks().stream())
                .map(task -> task.taskId().toString())
                .sorted()
                .collect(Collectors.joining(" "));
    }

    private static StateRestoreListener restoration() {
        return new StateRestoreListener() {
            @Override
            public void onRestoreStart(TopicPartition partition, String store, long from, long to) {
            }

            @Override
            public void onBatchRestored(TopicPartition partition, String store, long to, long records) {
            }

            @Override
            public void onRestoreEnd(TopicPartition partition, String store, long records) {
                say("restored " + store + " " + partition.partition() + " " + records);
            }
        };
    }

    public static void main(String[] args) {
        Properties settings = new Properties();
        for (String setting : Arrays.asList(args).subList(1, args.length)) {
            String[] parts = setting.split("=", 2);
            settings.put(parts[0], parts[1]);
        }
        KafkaStreams streams = new KafkaStreams(topology(args[0]), settings);
        long started = System.nanoTime();
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                say("tasks " + tasks(streams));
            }
            say("state " + now + " " + (System.nanoTime() - started) / 1_000_000);
        });
        streams.setGlobalStateRestoreListener(restoration());
        streams.setUncaughtExceptionHandler(failure -> {
            Throwable cause = failure.getCause() == null ? failure : failure.getCause();
            say(("died " + failure + " / " + cause).replace('\n', ' '));
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
