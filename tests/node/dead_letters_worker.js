// A consumer that dies on some records (kafkajs): dead_letters_worker.js BOOTSTRAP JSON
// It prints a line `partition offset value` for each record before it handles it, and a line `assigned` when it owns partitions.
// What it does is in the JSON: see tests/tests/e2e/dead_letters/worker.rs.
"use strict";
const fs = require("node:fs");
const { Kafka, logLevel } = require("kafkajs");

const plan = JSON.parse(process.argv[3]);
const say = (text) => fs.writeSync(1, text + "\n");
const kafka = new Kafka({
  brokers: [process.argv[2]],
  clientId: plan.client_id,
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 100 },
});
const consumer = kafka.consumer({
  groupId: plan.group,
  sessionTimeout: plan.session_ms,
  heartbeatInterval: 200,
  rebalanceTimeout: Math.max(plan.session_ms, 2000),
  maxWaitTimeInMs: 100,
});

function die() {
  if (plan.death === "kill") process.kill(process.pid, "SIGKILL");
  if (plan.death !== "leave") process.exit(3);
  // It waits for the handler that calls this.
  consumer.disconnect().then(() => process.exit(3));
}

async function main() {
  process.on("SIGTERM", () => consumer.disconnect().then(() => process.exit(0)));
  consumer.on(consumer.events.GROUP_JOIN, () => say("assigned"));
  await consumer.connect();
  await consumer.subscribe({ topics: [plan.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: plan.auto_commit,
    autoCommitInterval: 100,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale, commitOffsetsIfNecessary }) => {
      const { topic, partition } = batch;
      let handled = 0;
      for (const message of batch.messages) {
        if (!isRunning() || isStale()) return;
        const value = message.value.toString();
        say(`${partition} ${message.offset} ${value}`);
        if (value.startsWith(plan.poison)) {
          return die();
        }
        resolveOffset(message.offset);
        handled += 1;
        if (handled % plan.batch === 0 || message === batch.messages.at(-1)) {
          const offset = String(BigInt(message.offset) + 1n);
          if (plan.auto_commit) await commitOffsetsIfNecessary();
          else await consumer.commitOffsets([{ topic, partition, offset }]);
          await heartbeat();
        }
      }
    },
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
