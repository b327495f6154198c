package ottla;

import java.util.Arrays;

/** Checks with Apache Kafka's Java clients: Driver BOOTSTRAP [CHECK...] */
public final class Driver {
    private Driver() {
    }

    public static void main(String[] args) throws Exception {
        Fixture fixture = new Fixture(args[0]);
        Checks checks = new Checks();
        new AdminChecks(fixture).addTo(checks);
        new AdminMethodChecks(fixture).addTo(checks);
        new DataChecks(fixture).addTo(checks);
        new GroupChecks(fixture).addTo(checks);
        new RestartChecks(fixture).addTo(checks);
        new TransactionChecks(fixture).addTo(checks);
        new InterfaceChecks(fixture).addTo(checks);
        checks.run(Arrays.asList(args).subList(1, args.length));
        // Clients of a broker that is gone must not keep the process.
        System.exit(0);
    }
}
