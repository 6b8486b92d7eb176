// A host that publishes to the queue by the transport. At its end it prints which events the queue confirmed.
import * as client from '@nats-io/transport-node';
import { retrying } from '../dist/index.js';
import { jetstreamTransport } from '../dist/jetstream/index.js';

const { servers, producer, ms, every } = JSON.parse(process.argv[2]);
const transport = retrying(jetstreamTransport({ client, servers, publishTimeoutMs: 1000, connectTimeoutMs: 1000 }), { retries: 5 });
const sent = [];
const pending = [];
let number = 0;

async function send(events) {
  const outcome = await transport.send(events, AbortSignal.timeout(30_000));
  const outcomes = outcome.kind === 'partial' ? outcome.outcomes : events.map(() => outcome);
  for (const [index, { kind }] of outcomes.entries()) if (kind === 'sent') sent.push(events[index].count);
}

const untilMs = performance.now() + ms;
while (performance.now() < untilMs) {
  const events = Array.from({ length: 5 }, () => {
    const count = producer * 1_000_000 + number;
    number += 1;
    return {
      id: crypto.randomUUID(),
      timeMs: Date.now(),
      type: 'dag_run',
      metrics: {},
      count,
      requestTarget: () => `/v3/dag_run?status=success&task_count=${count}`,
    };
  });
  pending.push(send(events));
  await new Promise((resolve) => {
    setTimeout(resolve, every);
  });
}
await Promise.all(pending);
await transport.close();
console.log(JSON.stringify({ made: number, sent }));
