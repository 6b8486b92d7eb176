// A transport of your own, the extension point of delivery. This one POSTs batches of JSON lines. The package's retries and circuit breaker
// wrap it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { circuitBreaker, count, createTelemetry, defineEvent, retrying } from 'cosmos-telemetry';
import type { SendOutcome, Transport, UsageEvent } from 'cosmos-telemetry';

/** Sends up to a hundred events in one POST. `send` returns the outcome of the batch and never throws. */
function jsonLinesTransport(url: string): Transport {
  return {
    maxBatchSize: 100,
    async send(events, signal) {
      try {
        const body = events.map(({ id, type, metrics }) => `${JSON.stringify({ id, type, ...metrics })}\n`).join('');
        const response = await fetch(url, {
          method: 'POST',
          body,
          redirect: 'error',
          signal: AbortSignal.any([signal, AbortSignal.timeout(5000)]),
        });
        await response.body?.cancel();
        return outcomeOf(response.status);
      } catch {
        // The batch may have arrived. Each line has an id, so the receiver can ignore duplicates and a retry is safe. Without ids return
        // { kind: 'rejected' }: a retry could be counted twice.
        return signal.aborted ? { kind: 'aborted' } : { kind: 'retryable', reason: 'network' };
      }
    },
  };
}

function outcomeOf(status: number): SendOutcome {
  if (status < 300) return { kind: 'sent' };
  if (status === 429) return { kind: 'deferred', waitMs: 30_000, reason: 'http_429' };
  return { kind: status >= 500 ? 'retryable' : 'rejected', reason: `http_${status}` };
}

// A receiver that is not ready at the first request, as during a deployment.
const batches: Pick<UsageEvent, 'id' | 'type'>[][] = [];
let requests = 0;
const server = createServer((request, response) => {
  void (async () => {
    const lines = (await text(request)).trim().split('\n');
    requests += 1;
    if (requests === 1) return response.writeHead(503).end();
    batches.push(lines.map((line) => JSON.parse(line) as UsageEvent));
    return response.writeHead(204).end();
  })();
});
await new Promise<void>((resolve) => {
  server.listen(0, '127.0.0.1', resolve);
});
const { port } = server.address() as AddressInfo;

const tick = defineEvent('tick', { n: count({ description: 'Which tick.', reason: 'To have something to send.' }) });
const telemetry = createTelemetry({
  product: { name: 'acme', version: '3.1.0' },
  events: [tick],
  transport: retrying(circuitBreaker(jsonLinesTransport(`http://127.0.0.1:${port}/events`)), { retries: 3, minDelayMs: 20 }),
});

for (let n = 0; n < 250; n += 1) telemetry.publish('tick', { n });
const drained = await telemetry.drain({ deadlineMs: 10_000 });
await telemetry.close();
server.close();

const ids = new Set(batches.flat().map(({ id }) => id));
console.log(
  `${requests} requests, batches of ${batches
    .map((batch) => batch.length)
    .toSorted((one, other) => other - one)
    .join(', ')}`,
);
console.log(`sent ${drained.sent} of ${drained.published}, ${ids.size} different ids`);
