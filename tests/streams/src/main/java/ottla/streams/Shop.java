package ottla.streams;

import java.time.Duration;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Each kind of join. What goes in is text, and what comes out is what was joined, with colons between:
 * <ul>
 *   <li>{@code enriched}: orders (by customer) with the customer's name, and with the country that the order says;
 *   <li>{@code paid}: orders with payments (by customer) of the same order within a minute;
 *   <li>{@code profiles}: names with addresses;
 *   <li>{@code stocked}: articles with the name of their maker, by foreign key.
 * </ul>
 */
final class Shop {
    private static final Serde<String> TEXT = Serdes.String();

    private Shop() {
    }

    private static Consumed<String, String> text() {
        return Consumed.with(TEXT, TEXT);
    }

    private static Materialized<String, String, KeyValueStore<Bytes, byte[]>> table(String name) {
        return Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as(name)
                .withKeySerde(TEXT)
                .withValueSerde(TEXT);
    }

    private static String last(String value) {
        return value.substring(value.lastIndexOf(':') + 1);
    }

    static Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> orders = builder.stream("orders", text());
        KStream<String, String> payments = builder.stream("payments", text());
        KTable<String, String> names = builder.table("names", text(), table("names"));
        KTable<String, String> addresses = builder.table("addresses", text(), table("addresses"));
        KTable<String, String> articles = builder.table("articles", text(), table("articles"));
        KTable<String, String> makers = builder.table("makers", text(), table("makers"));
        GlobalKTable<String, String> countries = builder.globalTable("countries", text());
        Produced<String, String> produced = Produced.with(TEXT, TEXT);

        orders.join(names, (order, name) -> order + ":" + name, Joined.with(TEXT, TEXT, TEXT))
                .join(countries, (customer, order) -> order.split(":")[1], (order, country) -> order + ":" + country)
                .to("enriched", produced);
        orders.selectKey((customer, order) -> order.split(":")[0])
                .join(payments.selectKey((customer, payment) -> payment.split(":")[0]),
                        (order, payment) -> order + ":" + last(payment),
                        JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMinutes(1), Duration.ofHours(1)),
                        StreamJoined.with(TEXT, TEXT, TEXT).withName("payment").withStoreName("payment"))
                .to("paid", produced);
        names.join(addresses, (name, address) -> name + ":" + address, table("profiles"))
                .toStream()
                .to("profiles", produced);
        articles.join(makers, article -> article.split(":")[0], (article, maker) -> article + ":" + maker,
                        TableJoined.as("made"), table("stocked"))
                .toStream()
                .to("stocked", produced);
        return builder.build();
    }
}
