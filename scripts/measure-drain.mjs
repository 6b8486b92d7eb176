// How many events one drain delivers, by round trip and concurrency: the table of the README. Run it after `npm run build`.
// The collector lives in a thread of its own, so that it does not take the client's time.
import os from 'node:os';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { createTelemetry } from '../dist/index.js';
import { startCollector } from '../dist/testing/index.js';

const DEADLINE_MS = 2000;
const ROUND_TRIPS_MS = [5, 20, 50, 100];
const CONCURRENCIES = [6, 24];

/** The best run counts: other work on the machine can only take away. */
const RUNS = 3;

if (isMainThread) await measureAll();
else {
  const { url } = await startCollector({ faults: { kind: 'ok', delayMs: workerData } });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- to a thread, not to a window
  parentPort.postMessage(url);
}

async function measureAll() {
  console.log(`${os.availableParallelism()} cores, Node ${process.versions.node}; events delivered by one drain() of ${DEADLINE_MS} ms, best of ${RUNS}`);
  // A host that has run for a while: the first few thousand events of a process cost about three times as much.
  await measure(0, 24);
  console.log('round trip  concurrency  bound  measured  of bound');
  for (const roundTripMs of ROUND_TRIPS_MS) {
    for (const concurrency of CONCURRENCIES) {
      const bound = Math.round((concurrency / roundTripMs) * DEADLINE_MS);
      let sent = 0;
      for (let run = 0; run < RUNS; run += 1) sent = Math.max(sent, await measure(roundTripMs, concurrency));
      const columns = [`${roundTripMs} ms`.padStart(10), `${concurrency}`.padStart(11), `${bound}`.padStart(5), `${sent}`.padStart(8)];
      console.log([...columns, `${Math.round((100 * sent) / bound)} %`.padStart(8)].join('  '));
    }
  }
}

/** Events delivered within the deadline to a collector that answers after the round trip. Warm: connections are open before. */
async function measure(roundTripMs, concurrency) {
  const worker = new Worker(new URL(import.meta.url), { workerData: roundTripMs });
  const endpoint = await new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  const product = { name: 'acme', version: '1.0.0' };
  const telemetry = createTelemetry({ product, endpoint, concurrency, drainConcurrency: concurrency, env: {} });
  const event = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
  const publish = (events) => {
    for (let n = 0; n < events; n += 1) telemetry.publish('dbt_docs_access', event);
  };
  publish(concurrency * 10);
  const { sent: before } = await telemetry.drain({ deadlineMs: 10_000 });
  publish(10_000);
  const { sent } = await telemetry.drain({ deadlineMs: DEADLINE_MS });
  await telemetry.close({ deadlineMs: 0 });
  await worker.terminate();
  return sent - before;
}
