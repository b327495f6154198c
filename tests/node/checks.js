// What a driver shares with the test harness: running checks, reporting them as lines of JSON, asking for a broker's restart.
"use strict";
const readline = require("node:readline");
const { randomUUID } = require("node:crypto");

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const report = (said) => process.stdout.write(JSON.stringify(said) + "\n");

/** Has the broker ended by "kill" (SIGKILL) or "terminate" (SIGTERM) and started again; resolves when it is back. */
async function restartBroker(how) {
  report({ control: how });
  const { value } = await lines.next();
  if (value !== "restarted") throw new Error(`unexpected answer: ${value}`);
}

/** Runs async functions that are named as their checks. Names on the command line choose some of them. */
async function run(checks) {
  const chosen = process.argv.slice(3);
  for (const check of checks) {
    if (chosen.length > 0 && !chosen.includes(check.name)) continue;
    const began = Date.now();
    try {
      await check();
      report({ check: check.name, ok: true });
    } catch (error) {
      report({ check: check.name, ok: false, detail: String(error.stack ?? error) });
    }
    console.error(`${check.name}: ${Date.now() - began} ms`);
  }
}

const unique = (prefix) => `${prefix}-${randomUUID()}`;

/** Resolves once condition() is true. */
async function until(condition, what, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { restartBroker, run, unique, until };
