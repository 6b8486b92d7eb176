// What a million publishes cost a host whose endpoint never answers: time on its path, heap and resident memory, and that every event
// is accounted for. Run it after `npm run build` with --expose-gc: `npm run bench`.
import { createTelemetry } from '../dist/index.js';

const EVENTS = 1_000_000;
const MIB = 1024 * 1024;

const metrics = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
const silent = { send: () => new Promise(() => {}) };

function memory() {
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, transport: silent, env: {}, drainOnExit: false });
for (let event = 0; event < 20_000; event += 1) telemetry.publish('dbt_docs_access', metrics);
const before = memory();
const startedAt = performance.now();
for (let event = 0; event < EVENTS; event += 1) telemetry.publish('dbt_docs_access', metrics);
const tookMs = performance.now() - startedAt;
const after = memory();

const { published, sent, failed, dropped, pending, reasons } = telemetry.stats();
console.log(`${EVENTS.toLocaleString('en-US')} publishes at a silent endpoint, default bounds, after 20,000 to warm up`);
console.log(`  on the host's path   ${((tookMs / EVENTS) * 1e6).toFixed(0)} ns each`);
console.log(`  heap                 ${((after.heap - before.heap) / MIB).toFixed(2)} MiB more, resident ${((after.rss - before.rss) / MIB).toFixed(1)} MiB more`);
console.log(`  accounts             published ${published} = sent ${sent} + failed ${failed} + dropped ${dropped} + pending ${pending}`);
console.log(`  reasons              ${JSON.stringify(reasons)}`);
const broken = [];
if (published !== sent + failed + dropped + pending) broken.push('the accounts do not add up');
if (pending > 10_000 + 6) broken.push(`${pending} events are kept`);
if (after.heap - before.heap > 10 * MIB) broken.push('the heap grew by more than 10 MiB');
for (const what of broken) console.error(`broken: ${what}`);
process.exitCode = broken.length > 0 ? 1 : 0;
