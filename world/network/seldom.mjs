// A host in the client's namespace whose events come seldom, at several endpoints at once: each has connections of its own. Prints what
// became of them. Argument, as JSON:
//   endpoints       one client, or relay, for each
//   relay           whether events go through relays
//   rounds, everyMs how many events each endpoint gets, and how far apart
//   spreadMs        by how much the times of the endpoints differ within a round, in all
//   busyMs          how long the host keeps its event loop busy between two rounds, before the next events
//   trace           prints when something was sent, as lines of `{ atMs, sent, pending }` by the wall clock
import { get } from 'node:http';
import { createTelemetry } from '../../dist/index.js';
import { createRelay } from '../../dist/relay/index.js';

const job = { spreadMs: 0, busyMs: 0, settleMs: 20_000, ...JSON.parse(process.argv[2]) };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function client(endpoint) {
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, env: {}, endpoint });
  const event = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
  return { publish: () => telemetry.publish('dbt_docs_access', event), stats: () => telemetry.stats() };
}

/** Its events are those that it acknowledged. */
async function relay(endpoint) {
  const started = createRelay({ listen: '127.0.0.1:0', forward: endpoint, env: {} });
  const { url } = await started.listen();
  const publish = () => {
    const asked = get(`${url}/v3/dag_run?status=success&task_count=1`, { agent: false }, (answer) => answer.resume());
    asked.on('error', (error) => console.error(`the relay did not answer: ${error.message}`));
  };
  return { publish, stats: () => started.stats() };
}

const sources = await Promise.all(job.endpoints.map(job.relay === true ? relay : client));
const published = job.rounds * sources.length;

function total() {
  const sum = { published: 0, sent: 0, failed: 0, dropped: 0, pending: 0, reasons: {} };
  for (const source of sources) {
    const stats = source.stats();
    for (const key of ['published', 'sent', 'failed', 'dropped', 'pending']) sum[key] += stats[key];
    for (const [reason, count] of Object.entries(stats.reasons)) sum.reasons[reason] = (sum.reasons[reason] ?? 0) + count;
  }
  return sum;
}

if (job.trace === true) {
  let before = -1;
  setInterval(() => {
    const { sent, pending } = total();
    if (sent !== before) console.log(JSON.stringify({ atMs: Date.now(), sent, pending }));
    before = sent;
  }, 5).unref();
}

console.log(JSON.stringify({ started: true }));
const startedMs = performance.now();
for (let round = 0; round < job.rounds; round += 1) {
  if (job.busyMs > 0 && round > 0) for (const until = performance.now() + job.busyMs; performance.now() < until; );
  for (const [index, source] of sources.entries()) {
    const delayMs = (index * job.spreadMs) / sources.length;
    if (delayMs > 0) setTimeout(() => source.publish(), delayMs);
    else source.publish();
  }
  // Counted from the start, so that the timers' own delays do not add up.
  await pause(job.busyMs > 0 ? job.everyMs : Math.max(0, startedMs + (round + 1) * job.everyMs - performance.now()));
}
await pause(job.spreadMs);
for (const until = performance.now() + job.settleMs; performance.now() < until; await pause(10)) {
  const { published: known, pending } = total();
  if (known === published && pending === 0) break;
}
console.log(JSON.stringify({ ...total(), wanted: published }));
process.exit();
