// A host that publishes rejected promises as values of fields, in every place of a turn of its event loop. Started with
// `--unhandled-rejections=strict`, it ends with an error if one of them is unhandled. It prints the report of `close()`.
import { createTelemetry, defineEvent } from '../../src/index.js';
import type { SendOutcome } from '../../src/index.js';

const telemetry = createTelemetry({
  product: { name: 'acme', version: '1.0.0' },
  // Fewer than are published in a turn, so that most leave the buffer before the turn ends.
  maxPendingEvents: 3,
  events: [defineEvent('tick', {})],
  transport: { send: () => Promise.resolve<SendOutcome>({ kind: 'sent' }) },
  env: {},
});

function publish(): void {
  for (let event = 0; event < 5; event += 1) {
    telemetry.publish('tick', { promise: Promise.reject(new Error('hunter2')), text: 'x'.repeat(1000) });
  }
}

publish();
await Promise.resolve().then(publish);
await new Promise<void>((resolve) => {
  process.nextTick(() => {
    publish();
    setImmediate(() => {
      publish();
      setTimeout(() => {
        publish();
        queueMicrotask(() => {
          publish();
          process.nextTick(() => {
            publish();
            resolve();
          });
        });
      }, 1);
    });
  });
});
// Refused events: their promises are the host's, and were in its hands only.
telemetry.publish('tock' as 'tick', { promise: Promise.reject(new Error('hunter2')) });
telemetry.publish('tick', {}, Promise.reject(new Error('hunter2')) as never);
const isDeep = new Promise<void>((resolve) => {
  let depth = 0;
  telemetry.bus.on('tick', () => {
    depth += 1;
    telemetry.publish('tick', { promise: Promise.reject(new Error('hunter2')) });
    if (depth === 8) resolve();
  });
});
telemetry.publish('tick', {});
await isDeep;
const drained = telemetry.drain();
publish();
const closed = telemetry.close();
telemetry.publish('tick', { promise: Promise.reject(new Error('hunter2')) });
await drained;
console.log(JSON.stringify(await closed));
