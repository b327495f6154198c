// Checks with kafkajs: kafkajs_driver.js BOOTSTRAP [CHECK...]
"use strict";
const assert = require("node:assert/strict");
const {
  AclOperationTypes, AclPermissionTypes, AclResourceTypes, CompressionTypes, ConfigResourceTypes, Kafka, logLevel,
  ResourcePatternTypes,
} = require("kafkajs");
const { restartBroker, run, unique, until } = require("./checks");

// 2024-01-01T00:00:00Z
const T0 = 1704067200000;
const kafka = new Kafka({
  brokers: [process.argv[2]],
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 100 },
});
const admin = kafka.admin();

async function create(numPartitions, configEntries = []) {
  const topic = unique("t");
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] });
  return topic;
}

async function withProducer(options, action) {
  const producer = kafka.producer(options);
  await producer.connect();
  try {
    return await action(producer);
  } finally {
    await producer.disconnect();
  }
}

const message = (i, partitions) => ({
  partition: i % partitions,
  key: String(i),
  value: String(i),
  timestamp: String(T0 + i),
});

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

const fill = (topic, count, partitions) =>
  withProducer({}, (producer) =>
    producer.send({ topic, messages: range(0, count).map((i) => message(i, partitions)) }),
  );

/** A group's member that gathers what it gets in `messages`, and knows what it owns. */
async function join(topic, groupId, options = {}) {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10000,
    heartbeatInterval: 300,
    rebalanceTimeout: 10000,
    maxWaitTimeInMs: 200,
    ...options,
  });
  const member = { consumer, messages: [], owned: [] };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.owned = payload.memberAssignment[topic] ?? [];
  });
  consumer.on(consumer.events.REBALANCING, () => {
    member.owned = [];
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: options.autoCommit ?? true,
    eachMessage: async ({ partition, message }) => {
      member.messages.push({ partition, ...message });
    },
  });
  return member;
}

const numbers = (member) => member.messages.map((m) => Number(m.value)).sort((a, b) => a - b);

async function settle(members, sizes, partitions) {
  await until(() => {
    const shares = members.map((m) => m.owned.length).sort((a, b) => a - b);
    const all = new Set(members.flatMap((m) => m.owned));
    return String(shares) === String(sizes) && all.size === partitions;
  }, `shares of ${sizes}`);
}

async function creates_grows_and_deletes_topics() {
  const topic = await create(3);
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
  assert.equal(metadata.topics[0].partitions.length, 3);
  const { brokers, controller } = await admin.describeCluster();
  assert.equal(`${brokers[0].host}:${brokers[0].port}`, process.argv[2]);
  assert.equal(controller, brokers[0].nodeId);
  assert.equal(await admin.createTopics({ topics: [{ topic }] }), false);
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
  await until(
    async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 5,
    "five partitions",
  );
  await admin.deleteTopics({ topics: [topic] });
  await until(async () => !(await admin.listTopics()).includes(topic), "the topic is gone");
}

async function produces_and_consumes_with_every_codec() {
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
    const topic = await create(2);
    const sent = range(0, 200).map((i) => ({
      ...message(i, 2),
      key: i % 5 === 0 ? null : `key-${i}`,
      value: i % 7 === 0 ? null : "v".repeat((i * 7) % 900),
      headers: i % 3 === 0 ? { a: ["1", "2"], b: "x" } : {},
    }));
    await withProducer({}, (producer) => producer.send({ topic, acks: -1, compression, messages: sent }));
    const member = await join(topic, unique("g"));
    await until(() => member.messages.length === 200, "200 messages");
    for (const got of member.messages) {
      const i = Number(got.offset) * 2 + got.partition;
      const expected = sent[i];
      assert.equal(got.key && got.key.toString(), expected.key, `key ${i}`);
      assert.equal(got.value && got.value.toString(), expected.value, `value ${i}`);
      assert.equal(got.timestamp, expected.timestamp, `timestamp ${i}`);
      assert.deepEqual(
        JSON.parse(JSON.stringify(got.headers, (_, v) => (v?.type === "Buffer" ? Buffer.from(v).toString() : v))),
        expected.headers,
        `headers ${i}`,
      );
    }
    await member.consumer.disconnect();
  }
}

async function seeks_by_offset_and_by_time() {
  const topic = await create(1);
  await fill(topic, 100, 1);
  const offsets = await admin.fetchTopicOffsets(topic);
  assert.deepEqual(offsets, [{ partition: 0, offset: "100", low: "0", high: "100" }]);
  const byTime = await admin.fetchTopicOffsetsByTimestamp(topic, T0 + 42);
  assert.equal(byTime[0].offset, "42");
  const member = await join(topic, unique("g"));
  await until(() => member.messages.length === 100, "all");
  member.messages.length = 0;
  member.consumer.seek({ topic, partition: 0, offset: "90" });
  await until(() => member.messages.length >= 10, "ten again");
  assert.equal(member.messages[0].offset, "90");
  await member.consumer.disconnect();
}

async function broadcasts_between_groups() {
  const topic = await create(3);
  await fill(topic, 90, 3);
  const members = [await join(topic, unique("one")), await join(topic, unique("two"))];
  for (const member of members) {
    await until(() => member.messages.length >= 90, "90 messages");
    assert.deepEqual(numbers(member), range(0, 90));
    await member.consumer.disconnect();
  }
}

async function shares_partitions_among_members_that_join_and_leave() {
  const topic = await create(6);
  const group = unique("shared");
  const members = [];
  for (const sizes of [[6], [3, 3], [2, 2, 2]]) {
    members.push(await join(topic, group));
    await settle(members, sizes, 6);
  }
  const { groups } = await admin.describeGroups([group]);
  assert.equal(groups[0].state, "Stable");
  assert.equal(groups[0].members.length, 3);
  await members.shift().consumer.disconnect();
  await settle(members, [3, 3], 6);
  await fill(topic, 60, 6);
  await until(() => new Set(members.flatMap(numbers)).size === 60, "each new message");
  await members.shift().consumer.disconnect();
  await settle(members, [6], 6);
  await members.shift().consumer.disconnect();
}

async function commits_and_resumes() {
  const topic = await create(1);
  await fill(topic, 50, 1);
  const groupId = unique("resume");
  let member = await join(topic, groupId, { autoCommit: false });
  await until(() => member.messages.length === 50, "50 messages");
  await member.consumer.commitOffsets([{ topic, partition: 0, offset: "20", metadata: "so far" }]);
  await member.consumer.disconnect();
  const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
  assert.equal(committed.partitions[0].offset, "20");
  assert.equal(committed.partitions[0].metadata, "so far");
  member = await join(topic, groupId);
  await until(() => member.messages.length > 0, "more");
  assert.equal(member.messages[0].offset, "20");
  await member.consumer.disconnect();
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "7" }] });
  member = await join(topic, groupId);
  await until(() => member.messages.length > 0, "from where it was set");
  assert.equal(member.messages[0].offset, "7");
  await member.consumer.disconnect();
}

async function alters_and_describes_configs() {
  const topic = await create(1, [{ name: "retention.ms", value: "123456" }]);
  const value = async () => {
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ["retention.ms"] };
    const described = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
    return described.resources[0].configEntries[0].configValue;
  };
  assert.equal(await value(), "123456");
  const configEntries = [{ name: "retention.ms", value: "654321" }];
  await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] });
  await until(async () => (await value()) === "654321", "the new value");
}

async function lists_describes_and_deletes_groups() {
  const topic = await create(1);
  await fill(topic, 1, 1);
  const group = unique("g");
  const member = await join(topic, group);
  await until(() => member.messages.length === 1, "a message");
  assert((await admin.listGroups()).groups.some((g) => g.groupId === group && g.protocolType === "consumer"));
  await assert.rejects(
    kafka.admin({ retry: { retries: 0 } }).deleteGroups([group]),
    /DeleteGroups|not empty|Group/i,
  );
  await member.consumer.disconnect();
  await admin.deleteGroups([group]);
  assert(!(await admin.listGroups()).groups.some((g) => g.groupId === group));
}

async function deletes_records() {
  const topic = await create(1);
  await fill(topic, 40, 1);
  // kafkajs knows the leaders of topics that it asked about before.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "25" }] });
  const [offsets] = await admin.fetchTopicOffsets(topic);
  assert.deepEqual([offsets.low, offsets.high], ["25", "40"]);
}

/** What the other checks do not call of the admin client; a method without a check fails. */
async function calls_every_method_of_the_admin_client() {
  const [topic, groupId] = [await create(1), unique("g")];
  await fill(topic, 10, 1);
  // In the checks before this one, and by all of them.
  const called = new Set([
    "connect", "disconnect", "logger", "events", "createTopics", "deleteTopics", "createPartitions", "listTopics",
    "fetchTopicMetadata", "describeCluster", "fetchOffsets", "setOffsets", "fetchTopicOffsets",
    "fetchTopicOffsetsByTimestamp", "describeConfigs", "alterConfigs", "listGroups", "describeGroups", "deleteGroups",
    "deleteTopicRecords",
  ]);
  const own = kafka.admin({ retry: { retries: 0 } });
  const call = (name, ...args) => {
    called.add(name);
    return own[name](...args);
  };
  let requests = 0;
  const stop = call("on", own.events.REQUEST, () => (requests += 1));
  await own.connect();
  try {
    await call("resetOffsets", { groupId, topic, earliest: true });
    const [{ partitions }] = await own.fetchOffsets({ groupId, topics: [topic] });
    assert.equal(partitions[0].offset, "-2", "kafkajs commits the number that stands for the beginning");
    const member = await join(topic, groupId);
    await until(() => member.messages.length === 10, "all from the beginning");
    await member.consumer.disconnect();
    const { controller } = await own.describeCluster();
    const to = (node) => ({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [node] }] }] });
    await call("alterPartitionReassignments", to(controller));
    await assert.rejects(own.alterPartitionReassignments(to(99)));
    const { topics } = await call("listPartitionReassignments", { topics: [{ topic, partitions: [0] }] });
    assert.deepEqual(topics, []);
    const acl = {
      resourceType: AclResourceTypes.TOPIC, resourceName: "t", resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: "User:a", host: "*", operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW,
    };
    const disabled = ({ message }) => /security features are disabled/i.test(message);
    await assert.rejects(call("createAcls", { acl: [acl] }), disabled);
    await assert.rejects(call("describeAcls", acl), disabled);
    await assert.rejects(call("deleteAcls", { filters: [acl] }), disabled);
    assert(requests > 0, "requests are told of");
  } finally {
    stop();
    await own.disconnect();
  }
  assert.deepEqual(Object.keys(own).filter((name) => !called.has(name)), [], "methods without a check");
}

async function accepts_large_messages_and_refuses_too_large_ones() {
  const topic = await create(1);
  await withProducer({ retry: { retries: 0 } }, async (producer) => {
    const send = (size) => producer.send({ topic, messages: [{ value: Buffer.alloc(size) }] });
    await send(1_000_000);
    await assert.rejects(send(1_100_000), { type: "MESSAGE_TOO_LARGE" });
  });
  const member = await join(topic, unique("g"), { maxBytesPerPartition: 1000, maxBytes: 1000 });
  await until(() => member.messages.length === 1, "a batch beyond the limits of a fetch");
  assert.equal(member.messages[0].value.length, 1_000_000);
  await member.consumer.disconnect();
}

async function produces_idempotently() {
  const topic = await create(1);
  await withProducer({ idempotent: true, maxInFlightRequests: 1 }, async (producer) => {
    for (const i of range(0, 20)) {
      const [sent] = await producer.send({ topic, messages: [message(i, 1)] });
      assert.equal(sent.baseOffset, String(i));
    }
  });
}

const transactional = (transactionalId, action) =>
  withProducer({ transactionalId, idempotent: true, maxInFlightRequests: 1 }, action);

/** The values of what is committed in a topic: kafkajs reads nothing else unless told to. */
async function committed(topic, count, options = {}) {
  const member = await join(topic, unique("g"), options);
  await until(() => member.messages.length >= count, `${count} messages`);
  await member.consumer.disconnect();
  return numbers(member);
}

async function commits_and_aborts_transactions() {
  const topic = await create(2);
  await transactional(unique("x"), async (producer) => {
    for (const round of range(0, 10)) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: range(10 * round, 10 * round + 10).map((i) => message(i, 2)) });
      await (round % 2 ? transaction.abort() : transaction.commit());
    }
  });
  assert.deepEqual(await committed(topic, 50), range(0, 100).filter((i) => Math.floor(i / 10) % 2 === 0));
  assert.equal((await committed(topic, 100, { readUncommitted: true })).length, 100);
}

async function copies_exactly_once() {
  const [source, target] = [await create(1), await create(1)];
  await fill(source, 60, 1);
  const [consumerGroupId, transactionalId] = [unique("copy"), unique("x")];
  const reader = await join(source, unique("g"));
  await until(() => reader.messages.length === 60, "60 messages");
  await reader.consumer.disconnect();
  const position = async () =>
    Math.max(0, Number((await admin.fetchOffsets({ groupId: consumerGroupId, topics: [source] }))[0].partitions[0].offset));
  let rounds = 0;
  for (let done = false; !done; rounds += 1) {
    // Each a new instance, as after a crash.
    await transactional(transactionalId, async (producer) => {
      const transaction = await producer.transaction();
      const from = await position();
      const messages = reader.messages.slice(from, from + 20).map(({ value }) => ({ value }));
      await transaction.send({ topic: target, messages });
      const offset = String(from + messages.length);
      const topics = [{ topic: source, partitions: [{ partition: 0, offset }] }];
      await transaction.sendOffsets({ consumerGroupId, topics });
      // Every other one is left open: the next instance aborts it.
      if (rounds % 2) {
        await transaction.commit();
        done = (await position()) === 60;
      }
    });
  }
  assert.equal(rounds, 6);
  assert.deepEqual(await committed(target, 60), range(0, 60));
}

async function fences_the_producer_before() {
  const [topic, transactionalId] = [await create(1), unique("x")];
  await transactional(transactionalId, async (zombie) => {
    const late = await zombie.transaction();
    await late.send({ topic, messages: [{ value: "1" }] });
    await transactional(transactionalId, async (heir) => {
      const transaction = await heir.transaction();
      await transaction.send({ topic, messages: [{ value: "2" }] });
      await assert.rejects(late.commit(), ({ type }) => ["PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"].includes(type));
      await transaction.commit();
    });
  });
  assert.deepEqual(await committed(topic, 1), [2]);
}

const goesOnOver = async (how) => {
  const topic = await create(2);
  const member = await join(topic, unique("restart"));
  await withProducer({ idempotent: true, maxInFlightRequests: 1 }, async (producer) => {
    const send = async (from, to) => {
      for (let i = from; i < to; i += 10) {
        await producer.send({ topic, messages: range(i, i + 10).map((n) => message(n, 2)) });
      }
    };
    await send(0, 200);
    await until(() => member.messages.length >= 200, "before");
    const during = send(200, 400);
    await restartBroker(how);
    await during;
    await send(400, 600);
  });
  await until(() => new Set(numbers(member)).size === 600, "all of them");
  const [zero, one] = (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition);
  // kafkajs may give a batch that it sends again a new sequence: at least once is what it keeps.
  for (const { high } of [zero, one]) assert(Number(high) >= 300, `end ${high}`);
  await member.consumer.disconnect();
};

async function goes_on_over_sigkill_and_restart() {
  await goesOnOver("kill");
}

async function goes_on_over_sigterm_and_restart() {
  await goesOnOver("terminate");
}

(async () => {
  await admin.connect();
  await run([
    creates_grows_and_deletes_topics,
    produces_and_consumes_with_every_codec,
    seeks_by_offset_and_by_time,
    broadcasts_between_groups,
    shares_partitions_among_members_that_join_and_leave,
    commits_and_resumes,
    alters_and_describes_configs,
    lists_describes_and_deletes_groups,
    deletes_records,
    accepts_large_messages_and_refuses_too_large_ones,
    produces_idempotently,
    calls_every_method_of_the_admin_client,
    commits_and_aborts_transactions,
    copies_exactly_once,
    fences_the_producer_before,
    goes_on_over_sigkill_and_restart,
    goes_on_over_sigterm_and_restart,
  ]);
  process.exit(0);
})();
