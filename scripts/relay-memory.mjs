// Measures the memory of a relay with a full spool above that of an empty one, and how long it takes to start: with Cosmos' events, and
// with the shortest ones. `npm run build && node scripts/relay-memory.mjs [rounds]`
//
// `node scripts/relay-memory.mjs without-spool` measures the most memory of a relay without a spool, which 64 connections fill until it is full.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MIB = 2 ** 20;
const SPOOL_BYTES = 64 * MIB;
/** The memory is read so long after the start, when the first garbage is collected. */
const SETTLE_MS = 2000;
/** Of the clients that fill a relay. */
const CONNECTIONS = 64;
const COSMOS =
  '/v3/task_instance?cosmos_version=1.15.1&airflow_version=3.3.2&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64' +
  '&status=success&operator_name=DbtRunLocalOperator&is_cosmos_operator_subclass=False&invocation_mode=subprocess&execution_mode=local' +
  '&profile_strategy=yaml_file&profile_mapping_class=None&database=duckdb&is_mapped_task=False&dbt_command=run&install_deps=False' +
  '&has_callback=False';
const KINDS = { 'no event': undefined, "Cosmos' events": COSMOS, 'the shortest events': '/v3/dag_run?status=success&task_count=3' };

const [, , role, spool] = process.argv;
if (role === 'relay') {
  const { createRelay } = await import('../dist/relay/index.js');
  const startedAtMs = performance.now();
  const relay = createRelay({ listen: '127.0.0.1:0', forward: 'http://127.0.0.1:9', spool, maxSpoolBytes: SPOOL_BYTES, env: {} });
  await relay.listen();
  const startMs = performance.now() - startedAtMs;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const { pending } = relay.stats();
  process.send({ startMs, pending, bytes: process.memoryUsage.rss() }, () => process.exit());
} else if (role === 'memory-relay') {
  const { createRelay } = await import('../dist/relay/index.js');
  const options = { maxSpoolBytes: SPOOL_BYTES, maxEventsPerSecond: 1_000_000, env: {} };
  const relay = createRelay({ listen: '127.0.0.1:0', forward: 'http://127.0.0.1:9', ...options });
  const { port } = await relay.listen();
  let most = 0;
  setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 50);
  process.on('message', () => process.send({ pending: relay.stats().pending, most }));
  process.send({ port });
} else if (role === 'without-spool') {
  for (const [name, target] of Object.entries(KINDS)) if (target !== undefined) await fillMemory(name, target);
} else await measure(Number(role) || 3);

/** Sends events until the relay answers 503, for five minutes at most. */
async function fillMemory(name, target) {
  const child = fork(fileURLToPath(import.meta.url), ['memory-relay']);
  try {
    const [{ port }] = await once(child, 'message');
    const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
    const endMs = performance.now() + 300_000;
    const statuses = new Set();
    const isFull = () => statuses.has(503);
    const send = async () => {
      const [response] = await once(get({ agent, host: '127.0.0.1', port, path: target }), 'response');
      statuses.add(response.statusCode);
      await once(response.resume(), 'end');
    };
    const fillOne = async () => {
      while (!isFull() && performance.now() < endMs) await send();
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, fillOne));
    agent.destroy();
    child.send('tell');
    const [{ pending, most }] = await once(child, 'message');
    console.log(
      `${name.padEnd(20)} ${String(pending).padStart(7)} in memory   at most ${(most / MIB).toFixed(0)} MiB resident${isFull() ? '' : ', not full'}`,
    );
  } finally {
    child.kill();
  }
}

/** Fills a spool as a relay that was killed leaves it. */
function fill(directory, target) {
  mkdirSync(directory, { mode: 0o700 });
  if (target === undefined) return;
  const atMs = Date.now();
  let seq = 0;
  for (let number = 1, bytes = 0; bytes < SPOOL_BYTES - 1.5 * MIB; number += 1) {
    const lines = [];
    for (let size = 0; size < MIB; size += lines.at(-1).length) {
      lines.push(`{"seq":${seq},"mark":${lines.length},"at":${atMs},"target":"${target}"}\n`);
      seq += 1;
    }
    const text = lines.join('');
    const name = String(number).padStart(6, '0');
    writeFileSync(path.join(directory, `marks-${name}.txt`), '.'.repeat(lines.length), { mode: 0o600 });
    writeFileSync(path.join(directory, `events-${name}.jsonl`), text, { mode: 0o600 });
    bytes += text.length + lines.length;
  }
}

async function measure(rounds) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'relay-memory-'));
  try {
    console.log(`Node ${process.versions.node}, ${os.cpus().length} cores, a spool of ${SPOOL_BYTES / MIB} MiB, medians of ${rounds}`);
    for (const [name, target] of Object.entries(KINDS)) fill(path.join(folder, name), target);
    const found = new Map(Object.keys(KINDS).map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, runs] of found) {
        const child = fork(fileURLToPath(import.meta.url), ['relay', path.join(folder, name)]);
        runs.push((await once(child, 'message'))[0]);
        await once(child, 'exit');
      }
    }
    const median = (name, key) =>
      found
        .get(name)
        .map((run) => run[key])
        .sort((left, right) => left - right)[rounds >> 1];
    for (const name of found.keys()) {
      const above = (median(name, 'bytes') - median('no event', 'bytes')) / MIB;
      const memory = `${(median(name, 'bytes') / MIB).toFixed(0)} MiB resident, ${above.toFixed(0)} above an empty relay`;
      console.log(
        `${name.padEnd(20)} ${String(median(name, 'pending')).padStart(7)} pending   ${memory}   ready after ${median(name, 'startMs').toFixed(0)} ms`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
