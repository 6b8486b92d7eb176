// A transport of your own, which sends batches of JSON lines by POST. Retries and the circuit breaker of the package go around it.
// `transportContract` of `cosmos-telemetry/testing` tests such a transport.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { circuitBreaker, count, createTelemetry, defineEvent, retrying } from 'cosmos-telemetry';
import type { UsageEvent } from 'cosmos-telemetry';
import { jsonLinesTransport } from './custom-transport/json-lines-transport.js';

// A receiver that answers its first request with 503, as in a deployment.
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
