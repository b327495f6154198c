package ottla;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.testcontainers.DockerClientFactory;
import org.testcontainers.containers.Network;

/** What users of Testcontainers do with a broker. */
class ModulesTest {
    private static final String TOPIC = "orders";
    private static final String INSIDE = "kafka:19092";

    @ParameterizedTest
    @EnumSource
    void aBrokerIsReachedOnItsMappedPortAndFromAnotherContainer(Module module) throws Exception {
        try (
            Network network = Network.newNetwork();
            Module.Broker broker = module.create()
        ) {
            broker.container().withNetwork(network);
            broker.withListener().accept(INSIDE);
            broker.start();
            Records.produce(broker.bootstrapServers(), TOPIC, "one", "two");
            assertEquals(List.of("one", "two"), Records.consume(broker.bootstrapServers(), TOPIC, 2));
            try (var neighbour = Records.neighbour(network)) {
                assertEquals(List.of("one", "two"), Records.consumeIn(neighbour, INSIDE, TOPIC, 2));
                Records.produceIn(neighbour, INSIDE, TOPIC, "three");
                assertEquals(List.of("one", "two", "three"), Records.consume(broker.bootstrapServers(), TOPIC, 3));

                // It is killed after a second, since the modules' shell passes no signal on. Docker maps another port then, which the
                // neighbour need not know.
                String id = broker.container().getContainerId();
                DockerClientFactory.instance().client().restartContainerCmd(id).withTimeout(1).exec();
                assertEquals(List.of("one", "two", "three"), Records.consumeIn(neighbour, INSIDE, TOPIC, 3));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void aStoppedBrokerStartsAgainWithNothing(Module module) throws Exception {
        try (Module.Broker broker = module.create().start()) {
            Records.produce(broker.bootstrapServers(), TOPIC, "before");
            broker.container().stop();
            broker.start();
            Records.produce(broker.bootstrapServers(), TOPIC, "after");
            assertEquals(List.of("after"), Records.consume(broker.bootstrapServers(), TOPIC, 1));
        }
    }

    @ParameterizedTest
    @EnumSource
    void twoBrokersAtOnceKnowNothingOfEachOther(Module module) throws Exception {
        try (Module.Broker one = module.create().start(); Module.Broker two = module.create().start()) {
            assertNotEquals(one.bootstrapServers(), two.bootstrapServers());
            Records.produce(one.bootstrapServers(), TOPIC, "first");
            Records.produce(two.bootstrapServers(), TOPIC, "second");
            assertEquals(List.of("first"), Records.consume(one.bootstrapServers(), TOPIC, 1));
            assertEquals(List.of("second"), Records.consume(two.bootstrapServers(), TOPIC, 1));
        }
    }
}
