package ottla;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.function.BooleanSupplier;

import com.fasterxml.jackson.databind.ObjectMapper;

/** Runs checks, reports each as a line of JSON, and asks the test harness to restart the broker. */
final class Checks {
    /** Something that passes unless it throws. */
    interface Check {
        void run() throws Exception;
    }

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    private final Map<String, Check> checks = new LinkedHashMap<>();

    void add(String name, Check check) {
        checks.put(name, check);
    }

    /** Runs those of the given names, or all. */
    void run(List<String> names) throws IOException {
        for (Map.Entry<String, Check> entry : checks.entrySet()) {
            if (!names.isEmpty() && !names.contains(entry.getKey())) {
                continue;
            }
            long began = System.nanoTime();
            Map<String, Object> said = new LinkedHashMap<>();
            said.put("check", entry.getKey());
            try {
                entry.getValue().run();
                said.put("ok", true);
            } catch (Throwable failure) {
                StringWriter trace = new StringWriter();
                failure.printStackTrace(new PrintWriter(trace));
                said.put("ok", false);
                said.put("detail", trace.toString());
            }
            System.out.println(JSON.writeValueAsString(said));
            System.err.printf("%s: %d ms%n", entry.getKey(), (System.nanoTime() - began) / 1_000_000);
        }
    }

    /** Has the broker ended by "kill" (SIGKILL) or "terminate" (SIGTERM) and started again; returns when it is back. */
    static void restartBroker(String how) throws IOException {
        System.out.println("{\"control\": \"" + how + "\"}");
        equal(INPUT.readLine(), "restarted", "the harness's answer");
    }

    static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID();
    }

    static void equal(Object actual, Object expected, String what) {
        if (!Objects.deepEquals(actual, expected)) {
            throw new AssertionError(what + ": " + show(actual) + ", expected " + show(expected));
        }
    }

    private static String show(Object value) {
        return value instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(value);
    }

    static void that(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** Calls a condition, which itself waits a little for news, until it holds. */
    static void until(String what, Duration limit, BooleanSupplier condition) {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!condition.getAsBoolean()) {
            that(System.nanoTime() < deadline, "not within " + limit + ": " + what);
        }
    }

    static void until(String what, BooleanSupplier condition) {
        until(what, Duration.ofSeconds(60), condition);
    }

    /** The check fails unless this throws an error of that class, by itself or as the cause. */
    static void expect(Class<? extends Throwable> error, Check action) {
        try {
            action.run();
        } catch (Throwable thrown) {
            Throwable real = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            that(error.isInstance(real), "expected " + error.getSimpleName() + ", got " + real);
            return;
        }
        throw new AssertionError("expected " + error.getSimpleName() + ", nothing was thrown");
    }
}
