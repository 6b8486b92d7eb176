// A host in the client's namespace: publishes events with the built package at default options, and prints at its exit what became of them.
// Argument, as JSON, all but `endpoint` optional:
//   endpoint, options   of the client
//   events, everyMs     how many events, and how far apart
//   end                 'alive': waits until nothing is pending, for at most `aliveMs`. 'close': calls `close()`, with `deadlineMs` if it is
//                       given. 'plain': lives on for `liveOnMs` and ends by itself
//   clients             how many clients publish; each of them publishes all events
//   awaits              what the host awaits for `liveOnMs` instead of a timer: a 'worker', or 'scrypt'. Node lists neither
//   pausesInput         whether the host has read from standard input, and reads no more
//   warmUp              an endpoint to which one event goes first, so that everything is loaded that is loaded late
//   turnMs              how long each turn of the event loop takes
//   fullPool            a pipe that keeps each thread of libuv's pool waiting
import { scrypt } from 'node:crypto';
import { once } from 'node:events';
import { constants, closeSync, open, openSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { starvedMs } from '../../build/test/helpers/starved.js';
import { createTelemetry } from '../../dist/index.js';

const defaults = { events: 8, clients: 1, everyMs: 50, end: 'alive', aliveMs: 3000, liveOnMs: 0, options: {} };
const job = { ...defaults, ...JSON.parse(process.argv[2]) };

function host(endpoint, options = {}) {
  return createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, env: {}, endpoint, ...options });
}

function publish(telemetry) {
  telemetry.publish('dbt_docs_access', { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until nothing is pending, but not longer than a limit. */
async function settled(telemetry, limitMs) {
  const until = performance.now() + limitMs;
  while (telemetry.stats().pending > 0 && performance.now() < until) await pause(10);
}

/** The counters of all clients together. */
function sum() {
  const total = {};
  for (const telemetry of clients) {
    for (const [name, value] of Object.entries(telemetry.stats())) if (typeof value === 'number') total[name] = (total[name] ?? 0) + value;
  }
  return { ...total, reasons: clients[0].stats().reasons };
}

const WAITS = {
  async worker() {
    const code = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${job.liveOnMs})`;
    await once(new Worker(code, { eval: true }), 'exit');
  },
  async scrypt() {
    for (const until = performance.now() + job.liveOnMs; performance.now() < until; ) await promisify(scrypt)('word', 'salt', 64);
  },
};

function work() {
  for (const until = performance.now() + job.turnMs; performance.now() < until; );
  setImmediate(work);
}

if (job.warmUp !== undefined) {
  const first = host(job.warmUp, { connectTimeoutMs: 4999 });
  publish(first);
  await settled(first, 5000);
  if (first.stats().sent !== 1) throw new Error('the warm-up was not delivered');
  await first.close();
}

// Opening a pipe for reading takes a thread of libuv's pool until the pipe is opened for writing.
if (job.fullPool !== undefined) for (let thread = 0; thread < 4; thread += 1) open(job.fullPool, 'r', () => {});

if (job.turnMs !== undefined) work();

if (job.pausesInput === true) {
  process.stdin.resume();
  setImmediate(() => process.stdin.pause());
}

const clients = Array.from({ length: job.clients }, () => host(job.endpoint, job.options));
const started = performance.now();
for (let event = 0; event < job.events; event += 1) {
  if (event > 0 && job.everyMs > 0) await pause(job.everyMs);
  for (const telemetry of clients) publish(telemetry);
}
let stats;
if (job.end === 'alive') {
  for (const telemetry of clients) await settled(telemetry, job.aliveMs);
  stats = sum();
} else if (job.awaits !== undefined) await WAITS[job.awaits]();
else if (job.liveOnMs > 0) await pause(job.liveOnMs);

const [endedAt, starvedBeforeMs, cpuAtEnd] = [performance.now(), starvedMs(), process.cpuUsage()];
process.once('exit', () => {
  // Without the time in which other processes had the processor.
  const starved = starvedMs() - starvedBeforeMs;
  const afterEndMs = performance.now() - endedAt - starved;
  const { user, system } = process.cpuUsage(cpuAtEnd);
  stats ??= sum();
  const times = { tookMs: endedAt - started, afterEndMs, starvedMs: starved, cpuAfterEndMs: (user + system) / 1000 };
  writeSync(1, `${JSON.stringify({ ...stats, ...times })}\n`);
});

if (job.end === 'alive') {
  for (const telemetry of clients) await telemetry.close({ deadlineMs: 0 });
  // A process does not end while a thread of the pool waits.
  if (job.fullPool !== undefined) closeSync(openSync(job.fullPool, constants.O_WRONLY | constants.O_NONBLOCK));
  process.exit();
}
if (job.end === 'close') {
  const deadline = job.deadlineMs === undefined ? {} : { deadlineMs: job.deadlineMs };
  await Promise.all(clients.map((telemetry) => telemetry.close(deadline)));
}
