// Testcontainers' modules for Node against Ottla's image: OTTLA_IMAGE is its name, tagged 7.9.0 and 8.0.0.
"use strict";

const assert = require("node:assert");
const { execFileSync } = require("node:child_process");
const { after, test } = require("node:test");
const { Kafka, logLevel } = require("kafkajs");
const { Network } = require("testcontainers");
const { KafkaContainer } = require("@testcontainers/kafka");
const { RedpandaContainer } = require("@testcontainers/redpanda");

const image = process.env.OTTLA_IMAGE;
assert.ok(image, "OTTLA_IMAGE names the image");
const KAFKA_PORT = 9093;

// Tags decide the mode: below 8 the module takes ZooKeeper's unless it is told otherwise.
const modes = {
  "a tag of KRaft's": () => new KafkaContainer(`${image}:8.0.0`),
  "a tag of ZooKeeper's": () => new KafkaContainer(`${image}:7.9.0`),
  "KRaft with a tag from before it was the only one": () => new KafkaContainer(`${image}:7.9.0`).withKraft(),
};

const server = (container) => `${container.getHost()}:${container.getMappedPort(KAFKA_PORT)}`;
const client = (broker) => new Kafka({ brokers: [broker], logLevel: logLevel.ERROR, retry: { retries: 20, maxRetryTime: 1000 } });

async function produce(broker, topic, values) {
  const producer = client(broker).producer();
  await producer.connect();
  await producer.send({ topic, messages: values.map((value) => ({ value })) });
  await producer.disconnect();
}

// Values of a topic's first records, by a group of its own.
async function consume(broker, topic, count) {
  const consumer = client(broker).consumer({ groupId: `group-${Math.random()}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const values = [];
  await new Promise((resolve, reject) => {
    const run = consumer.run({
      eachMessage: async ({ message }) => {
        values.push(message.value.toString());
        if (values.length === count) resolve();
      },
    });
    run.catch(reject);
  });
  await consumer.disconnect();
  return values;
}

async function topics(broker) {
  const admin = client(broker).admin();
  await admin.connect();
  const names = await admin.listTopics();
  await admin.disconnect();
  return names;
}

// What another container on the network reads of a topic through the listener for containers.
function fromContainer(network, broker, topic) {
  const command = ["consume", topic, "--exit-eof", "--bootstrap-server", broker];
  const run = ["run", "--rm", "--network", network.getName(), `${image}:8.0.0`];
  return execFileSync("docker", [...run, ...command], { encoding: "utf8", timeout: 60_000 }).trimEnd().split("\n");
}

// Runs `body` with started containers, and stops them whatever happens.
async function running(containers, body) {
  const started = [];
  try {
    for (const container of containers) started.push(await container.start());
    await body(...started);
  } finally {
    for (const container of started) await container.stop();
  }
}

// Testcontainers and kafkajs wait with timers that do not keep a process alive; the test runner gives up on tests then.
const alive = setInterval(() => {}, 1000);
after(() => clearInterval(alive));

for (const [name, container] of Object.entries(modes)) {
  test(`the Kafka module with ${name}: from the host, and from another container`, async () => {
    const network = await new Network().start();
    try {
      await running([container().withNetwork(network).withNetworkAliases("kafka")], async (kafka) => {
        await produce(server(kafka), "orders", ["one", "two"]);
        assert.deepStrictEqual(await consume(server(kafka), "orders", 2), ["one", "two"]);
        assert.deepStrictEqual(fromContainer(network, "kafka:9092", "orders"), ["one", "two"]);
      });
    } finally {
      await network.stop();
    }
  });
}

test("the Redpanda module", async () => {
  await running([new RedpandaContainer(`${image}:8.0.0`)], async (redpanda) => {
    const broker = redpanda.getBootstrapServers();
    await produce(broker, "orders", ["one", "two"]);
    assert.deepStrictEqual(await consume(broker, "orders", 2), ["one", "two"]);
  });
});

test("a restarted container has its records", async () => {
  const network = await new Network().start();
  try {
    await running([modes["a tag of KRaft's"]().withNetwork(network).withNetworkAliases("kafka")], async (kafka) => {
      await produce(server(kafka), "orders", ["before"]);
      // Not by restart(): that waits for a line which the container may print before Docker has noted its start. Afterwards
      // Docker has chosen another port for the host, which nobody tells the broker.
      execFileSync("docker", ["restart", "--time", "1", kafka.getId()]);
      const wait = await kafka.exec(["ottla", "wait", "--for", "ready", "--bootstrap-server", "localhost:9092"]);
      assert.strictEqual(wait.exitCode, 0, wait.output);
      assert.deepStrictEqual(fromContainer(network, "kafka:9092", "orders"), ["before"]);
    });
  } finally {
    await network.stop();
  }
});

test("two at once know nothing of each other", async () => {
  await running(Object.values(modes).slice(0, 2).map((container) => container()), async (...both) => {
    const servers = both.map(server);
    assert.notStrictEqual(servers[0], servers[1]);
    for (const broker of servers) await produce(broker, "orders", [broker]);
    for (const broker of servers) {
      assert.deepStrictEqual(await consume(broker, "orders", 1), [broker]);
      assert.deepStrictEqual(await topics(broker), ["orders"]);
    }
  });
});
