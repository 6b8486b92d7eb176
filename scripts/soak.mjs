// A client under load with a collector that changes its behaviour every second. The argument is the duration in seconds (300). Run
// `npm run build` first, and Node with --expose-gc to see memory: `npm run soak`. The exit code is 1 if a promise is broken.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { circuitBreaker, createTelemetry, fetchTransport, retrying } from '../dist/index.js';
import { startCollector } from '../dist/testing/index.js';

const EVENTS_PER_S = 500;
const LOOK_MS = 100;
const MOST_GROWTH_MB = 10;

/** Faults in sequence, a second each, with good seconds in between. */
const WEATHER = [
  ['ok', { kind: 'ok' }],
  ['slow', { kind: 'ok', delayMs: 50 }],
  ['500', { kind: 'status', status: 500 }],
  ['ok', { kind: 'ok' }],
  ['503, Retry-After 1', { kind: 'status', status: 503, headers: { 'retry-after': '1' } }],
  ['reset after the request', { kind: 'reset' }],
  ['ok', { kind: 'ok' }],
  ['hang', { kind: 'hang' }],
  ['ok', { kind: 'ok' }],
  ['refused', 'refused'],
  ['ok', { kind: 'ok' }],
  ['reset in the body', { kind: 'reset', when: 'body' }],
  ['body that drips', { kind: 'drip', intervalMs: 20 }],
  ['endless body', { kind: 'endless' }],
  ['not HTTP', { kind: 'not_http' }],
  ['ok', { kind: 'ok' }],
  ['reset at connect', { kind: 'reset', when: 'connect' }],
  ['too slow', { kind: 'ok', delayMs: 1100 }],
];

if (process.argv[2] === 'collector') await collect();
else await soak(Number(process.argv[2] ?? 300));

/** The collector runs in its own process, so that its memory is not counted as the client's. */
async function collect() {
  const collector = await startCollector();
  const sockets = new Set();
  // A proxy in front of it, so that the same port can refuse connections for a while.
  const front = createServer((socket) => {
    const inner = connect(collector.port, '127.0.0.1');
    for (const [one, other] of [
      [socket, inner],
      [inner, socket],
    ]) {
      sockets.add(one);
      one.on('error', () => other.resetAndDestroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  const listen = (port) => once(front.listen(port, '127.0.0.1'), 'listening');
  await listen(0);
  const { port } = front.address();
  const obey = async (message) => {
    if (message === 'count') process.send({ answered2xx: collector.answered2xx, requests: collector.requests.length });
    else if (message === 'refused') {
      front.close();
      for (const socket of sockets) socket.destroy();
    } else {
      if (!front.listening) await listen(port);
      collector.setFaults(message);
    }
  };
  process.on('message', (message) => void obey(message));
  process.on('disconnect', () => process.exit());
  process.send({ endpoint: `http://127.0.0.1:${port}` });
}

async function soak(seconds) {
  const violations = [];
  const collector = fork(fileURLToPath(import.meta.url), ['collector']);
  const [{ endpoint }] = await once(collector, 'message');
  // The transport of createTelemetry, but its breaker probes after half a second, not a minute: a soak has little time.
  const transport = retrying(circuitBreaker(fetchTransport({ endpoint, env: {} }), { probeAfterMs: 500, maxProbeAfterMs: 1000 }));
  const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, dbt: true, env: {}, transport, maxPendingEvents: 2000 });
  const event = { storage_type: 's3', docs_dir_configured: true, uses_custom_conn: false, has_custom_name: false };
  const started = performance.now();
  const elapsedMs = () => performance.now() - started;
  let published = 0;
  let looks = 0;
  let slowestUs = 0;
  const timers = [
    setInterval(() => {
      for (const due = Math.floor((elapsedMs() / 1000) * EVENTS_PER_S); published < due; published += 1) {
        const before = performance.now();
        telemetry.publish('dbt_docs_access', event);
        slowestUs = Math.max(slowestUs, (performance.now() - before) * 1000);
      }
    }, 10),
    setInterval(() => {
      looks += 1;
      const { published: all, sent, failed, dropped, pending, reasons } = telemetry.stats();
      const losses = Object.values(reasons).reduce((sum, count) => sum + count, 0);
      if (all !== sent + failed + dropped + pending || losses !== failed + dropped)
        violations.push(`accounts: ${JSON.stringify(telemetry.stats())}`);
      if (all !== published) violations.push(`${published} published, ${all} counted`);
    }, LOOK_MS),
  ];

  const memory = [];
  for (let second = 0; second < seconds; second += 1) {
    const [name, fault] = WEATHER[second % WEATHER.length];
    collector.send(fault);
    await new Promise((resolve) => setTimeout(resolve, 1000 * (second + 1) - elapsedMs()));
    globalThis.gc?.();
    const { heapUsed, rss } = process.memoryUsage();
    memory.push(heapUsed / 2 ** 20);
    const { sent, failed, dropped, pending } = telemetry.stats();
    const columns = [
      `${second + 1} s`.padStart(6),
      name.padEnd(24),
      `sent ${sent}`.padEnd(12),
      `failed ${failed}`.padEnd(13),
      `dropped ${dropped}`.padEnd(14),
      `pending ${pending}`.padEnd(13),
    ];
    console.log(`${columns.join(' ')} heap ${memory.at(-1).toFixed(1)} MB, resident ${(rss / 2 ** 20).toFixed(0)} MB`);
  }
  for (const timer of timers) clearInterval(timer);
  const report = await telemetry.close({ deadlineMs: 2000 });
  collector.send('count');
  const [{ answered2xx, requests }] = await once(collector, 'message');
  collector.disconnect();

  const { sent, pending, reasons } = report;
  const unknown = (reasons.timeout ?? 0) + (reasons.network ?? 0) + (reasons.aborted ?? 0);
  if (pending !== 0) violations.push(`${pending} pending after close()`);
  if (sent > answered2xx) violations.push(`${sent} counted as sent, but only ${answered2xx} answered with 2xx`);
  if (answered2xx - sent > unknown)
    violations.push(`${answered2xx - sent} answered and not counted as sent, but only ${unknown} ended unknown`);
  // The first round warms up; after that the same faults must need the same memory.
  const [warm, end] = [memory[Math.min(WEATHER.length, memory.length) - 1], memory.at(-1)];
  if (end - warm > MOST_GROWTH_MB) violations.push(`the heap grew from ${warm.toFixed(1)} to ${end.toFixed(1)} MB`);
  console.log(`\n${JSON.stringify(report)}`);
  console.log(
    `${requests} requests, ${answered2xx} answered with 2xx, ${sent} counted as sent, ${unknown} ended unknown; ` +
      `${looks} checks of the accounts`,
  );
  console.log(
    `slowest publish ${slowestUs.toFixed(0)} us; heap after the first round ${warm.toFixed(1)} MB, at the end ${end.toFixed(1)} MB`,
  );
  for (const violation of violations.slice(0, 20)) console.error(`VIOLATION ${violation}`);
  console.log(violations.length === 0 ? 'no promise is broken' : `${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
