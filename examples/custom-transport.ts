// A transport of your own: the one extension point of delivery, two methods wide. This one POSTs batches of JSON lines. Retries
// and the circuit breaker are the package's own, put around it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { circuitBreaker, count, createTelemetry, defineEvent, retrying } from 'cosmos-telemetry';
import type { SendOutcome, Transport, UsageEvent } from 'cosmos-telemetry';

/** Sends up to a hundred events in one POST. Outcomes are data: `send` says what became of the batch, and throws nothing. */
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
        // Nobody knows how far it came. Each line has an id by which the receiver can drop what it has, so it may be sent again;
        // without ids this would be { kind: 'rejected' }, since a number counted twice is worse than one lost.
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

// A receiver that is not there yet at the first request, as happens in a deployment.
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
