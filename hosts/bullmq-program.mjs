// A program with BullMQ's workers and a client, for `bullmq.host.mjs`. Argument, as JSON: `path` of Redis' socket, `prefix`, `endpoint`. It prints
// a line when it is ready, and its report when its input ends.
import { once } from 'node:events';
import { Worker } from 'bullmq';
import { bullmqMap } from '../dist/bullmq/index.js';
import { createTelemetry } from '../dist/index.js';

const { path, prefix, endpoint } = JSON.parse(process.argv[2]);
const connection = { path, maxRetriesPerRequest: null };

async function work(job) {
  if (job.name === 'Fails' || (job.name === 'Retries' && job.attemptsMade === 0)) throw new Error('as it should');
}

const telemetry = createTelemetry({
  product: { name: 'acme', version: '1.0.0' },
  host: { name: 'bullmq', version: '6.7.0' },
  endpoint,
  env: {},
});
const workers = ['runs', 'tasks'].map((queue) => new Worker(queue, work, { connection, prefix }));
for (const worker of workers) {
  worker.on('error', () => {});
  telemetry.register(worker, { map: bullmqMap({ operatorName: (job) => job.name }) });
}
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
console.log('ready');
process.stdin.resume();
await once(process.stdin, 'end');
for (const worker of workers) await worker.close();
console.log(JSON.stringify(await telemetry.close()));
