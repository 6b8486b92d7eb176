// A host in the client's namespace: publishes events with the built package at default options, and prints what became of them.
// Argument, as JSON: { endpoint, events, everyMs, aliveMs, options, warmUp, fullPool }
import { constants, closeSync, open, openSync } from 'node:fs';
import { createTelemetry } from '../../dist/index.js';

const job = { events: 8, everyMs: 50, aliveMs: 3000, options: {}, ...JSON.parse(process.argv[2]) };

function host(endpoint) {
  return createTelemetry({ product: { name: 'acme', version: '1.0.0' }, env: {}, endpoint, ...job.options });
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

// Loads what is loaded at the first event, by an endpoint that needs no name.
if (job.warmUp !== undefined) {
  const first = host(job.warmUp);
  publish(first);
  await settled(first, 5000);
  if (first.stats().sent !== 1) throw new Error('the warm-up was not delivered');
  await first.close();
}

// Opening a pipe for reading takes a thread of libuv's pool until the pipe is opened for writing.
if (job.fullPool !== undefined) for (let thread = 0; thread < 4; thread += 1) open(job.fullPool, 'r', () => {});

const telemetry = host(job.endpoint);
const started = performance.now();
for (let event = 0; event < job.events; event += 1) {
  if (event > 0) await pause(job.everyMs);
  publish(telemetry);
}
await settled(telemetry, job.aliveMs);
const stats = telemetry.stats();
const tookMs = performance.now() - started;
process.stdout.write(`${JSON.stringify({ ...stats, tookMs })}\n`);
await telemetry.close({ deadlineMs: 0 });
// A process does not end while a thread of the pool waits.
if (job.fullPool !== undefined) closeSync(openSync(job.fullPool, constants.O_WRONLY | constants.O_NONBLOCK));
process.exit();
