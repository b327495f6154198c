package ottla;

import java.io.StringReader;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Properties;

/**
 * Says of each block of settings on standard input, parted by blank lines, whether Kafka's broker takes it: `accepted`, or
 * `refused: ` and why. Run from its source, since Kafka's broker is on the class path when it runs, and not when the rest is built.
 */
public final class ListenerRules {
    private ListenerRules() {}

    public static void main(String[] args) throws Exception {
        String input = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        Method read = Class.forName("kafka.server.KafkaConfig").getMethod("fromProps", Properties.class);
        for (String block : input.strip().split("\n\n")) {
            Properties settings = new Properties();
            settings.load(new StringReader(block));
            System.out.println(verdict(read, settings));
        }
    }

    private static String verdict(Method read, Properties settings) throws IllegalAccessException {
        try {
            read.invoke(null, settings);
            return "accepted";
        } catch (InvocationTargetException e) {
            return "refused: " + String.valueOf(e.getCause().getMessage()).replace('\n', ' ');
        }
    }
}
