package ottla;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.apache.kafka.common.utils.Exit;

/**
 * Apache Kafka's command line tools, many runs in one process, since starting one costs more than what it does. Each line of
 * input is a run, {"class", "args", "stdin"}, and each line of output what came of it, {"code", "stdout", "stderr"}.
 */
public final class Tools {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Tools() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = asked.readLine()) != null) {
            answers.println(JSON.writeValueAsString(new Run(JSON.readTree(line)).run()));
            answers.flush();
        }
        System.exit(0);
    }

    /** Unwinds a tool that has called exit; what it does on the way out was not done by a process that is gone. */
    private static final class Exited extends Error {
        Exited() {
            super("exited", null, false, false);
        }
    }

    private static final class Run {
        private final String name;
        private final String[] args;
        private final byte[] input;
        private final ByteArrayOutputStream stdout = new ByteArrayOutputStream();
        private final ByteArrayOutputStream stderr = new ByteArrayOutputStream();
        private final List<Runnable> hooks = new ArrayList<>();
        private Map<String, Object> ending;

        Run(JsonNode asked) {
            name = asked.get("class").asText();
            List<String> given = new ArrayList<>();
            asked.get("args").forEach(arg -> given.add(arg.asText()));
            args = given.toArray(new String[0]);
            input = asked.get("stdin").asText().getBytes(StandardCharsets.UTF_8);
        }

        Map<String, Object> run() throws Exception {
            System.setIn(new ByteArrayInputStream(input));
            System.setOut(new PrintStream(stdout, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(stderr, true, StandardCharsets.UTF_8));
            Exit.setExitProcedure(this::exit);
            Exit.setHaltProcedure(this::exit);
            Exit.setShutdownHookAdder((hook, action) -> hooks.add(action));
            try {
                Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
                end(0);
            } catch (InvocationTargetException thrown) {
                if (!(thrown.getCause() instanceof Exited)) {
                    System.err.print("Exception in thread \"main\" ");
                    thrown.getCause().printStackTrace();
                    end(1);
                }
            }
            return ending;
        }

        private void exit(int code, String message) {
            end(code);
            throw new Exited();
        }

        /** The first ending counts: where a tool catches everything, it calls exit again. */
        private synchronized void end(int code) {
            if (ending != null) {
                return;
            }
            hooks.forEach(Runnable::run);
            System.out.flush();
            System.err.flush();
            ending = new LinkedHashMap<>();
            ending.put("code", code);
            ending.put("stdout", stdout.toString(StandardCharsets.UTF_8));
            ending.put("stderr", stderr.toString(StandardCharsets.UTF_8));
        }
    }
}
